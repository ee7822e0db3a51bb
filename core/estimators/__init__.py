"""People in frames: estimators behind one protocol, streaming extraction, shots, curation."""

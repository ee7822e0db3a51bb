"""Files and checkpoints -> objects."""

"""Video -> motion, motion -> motion, motion -> maps, tokens and files."""

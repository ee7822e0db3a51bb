"""Objects to and from files. Whatever a file holds, reading it raises ValueError or FileNotFoundError and nothing else."""

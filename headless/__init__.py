"""Runs workflows where ComfyUI is not, or sends them to it: the command `motion4d`."""

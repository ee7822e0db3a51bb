"""Runs workflows where ComfyUI is not, or sends them to it: the command `motion4d`."""

from pathlib import Path

EXAMPLES = Path(__file__).resolve().parents[1] / "example_workflows"
EXAMPLE_INPUTS = EXAMPLES / "inputs"  # what examples read; runs look there last

"""Files that examples read, made by code: a rigged character, four calibrated cameras with what a pose detector found in their films, a motion and a figure."""

from pathlib import Path

from .. import EXAMPLE_INPUTS
from .character import character_glb
from .cue_inputs import cue_inputs
from .filmed import CALIBRATION, POSES, calibration_toml, poses_json

CHARACTER = "motion4d_character.glb"


def inputs() -> dict[Path, bytes]:
    """What each file contains."""
    poses = {EXAMPLE_INPUTS / name: poses_json(view).encode() for view, name in enumerate(POSES)}
    return {EXAMPLE_INPUTS / CHARACTER: character_glb(), EXAMPLE_INPUTS / CALIBRATION: calibration_toml().encode(), **poses, **cue_inputs()}

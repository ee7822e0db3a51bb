"""npz files of Kimodo: posed_joints (T, 77, 3), the SOMA skeleton in metres, Y up. Never read from a real file here: unverified."""

from ...skeletons import SMPL24
from ...types import Frame, Motion
from ..clips import Clip, ClipInfo, check_frames, chosen_rate, measured_motion, usable_rate
from ..npz import NpzFile
from .mhr_poses import rig_joints

_NAME = "posed_joints"


def kimodo_clips(file: NpzFile) -> list[Clip]:
    """The clip of a file of Kimodo; empty for other contents. A batch of one (1, T, 77, 3) is accepted."""
    shape = file.shape(_NAME)
    if len(shape) not in (3, 4) or shape[-2:] != (77, 3) or (len(shape) == 4 and shape[0] != 1):
        return []
    frames, stored = shape[-3], usable_rate(file.value("fps"))
    check_frames(frames)

    def build(person: int, given: float | None) -> Motion:
        rate, notes = chosen_rate(given, stored)
        notes = (
            *notes,
            "unverified: this converter has not been fed real data",
            "SOMA's joints taken for SMPL's by their place in the body",
        )
        return measured_motion(rig_joints(file.read(_NAME).reshape(-1, 77, 3)), scale=1.0, frame=Frame.WORLD, fps=rate, notes=notes)

    return [Clip(ClipInfo("motion", frames, 1, len(SMPL24.names), stored, None, "kimodo"), build)]

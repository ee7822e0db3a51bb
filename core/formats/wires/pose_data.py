"""Pose data of any kind, told apart by its keys."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from torch import Tensor

from ...types import ImageSize, Motion
from ..clips import ASSUMED_FPS
from .mhr_poses import mhr_frames
from .nlf_poses import nlf_frames
from .pose_frames import PoseFrames
from .smpl_parameters import from_smpl_params

EXPECTED = "NLFPRED (joints3d_nonparam), MHR_POSE_DATA or KIMODO_POSE_DATA (frames) or SMPL_PARAMS (body_pose, global_orient, transl)"


def pose_data_frames(payload: Any, *, image_size: ImageSize | None = None) -> PoseFrames | None:
    """People frame by frame of NLFPRED, MHR_POSE_DATA or KIMODO_POSE_DATA; None for SMPL_PARAMS, which are of one person.

    Args:
        image_size: (H, W) of the picture for NLFPRED, which does not tell it.

    Raises:
        ValueError: none of these, or what the reader of its kind refuses.
    """
    if isinstance(payload, Tensor) or hasattr(payload, "__array__") or (isinstance(payload, Mapping) and "joints3d_nonparam" in payload):
        return nlf_frames(payload, image_size=image_size)
    if isinstance(payload, Mapping) and "frames" in payload:
        return mhr_frames(payload)
    if isinstance(payload, Mapping) and any(key in payload for key in ("body_pose", "smpl_params_global", "smpl_params_incam")):
        return None
    found = ", ".join(map(str, list(payload)[:20])) or "no keys" if isinstance(payload, Mapping) else type(payload).__name__
    raise ValueError(f"pose_data: got {found}; expected {EXPECTED}")


def pose_data_motion(
    payload: Any, *, fps: float | None = None, image_size: ImageSize | None = None, person: int = 0, space: str = "world"
) -> Motion:
    """One person of pose data of any kind; ValueError as `pose_data_frames` and `from_smpl_params`.

    Args:
        fps: none of the kinds tells it; 30 is assumed and noted without it. space: of SMPL_PARAMS, "world" or "camera".
    """
    rate = ASSUMED_FPS if fps is None else fps
    frames = pose_data_frames(payload, image_size=image_size)
    if frames is not None:
        motion = frames.motion(person, fps=rate)
    elif person:
        raise ValueError(f"there is no person {person}: SMPL_PARAMS hold one, person 0")
    else:
        motion = from_smpl_params(payload, fps=rate, space=space)
    return motion if fps is not None else replace(motion, notes=(f"{rate:g} fps assumed: pose data has no frame rate", *motion.notes))

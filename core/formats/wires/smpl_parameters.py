"""SMPL_PARAMS: SMPL parameters under the keys of GVHMR, as motion-capture packs hand them on and store them in npz files.

body_pose (T, 63), global_orient (T, 3) rotation vectors; transl (T, 3) metres in a world with Y up, of the template's origin; betas (T, 10). The same person in the
axes of the camera (OpenCV): global_orient_incam, transl_incam, with K_fullimg (T, 3, 3) pixels, img_width and img_height. No frame rate. Also read: the
nested smpl_params_global and smpl_params_incam of GVHMR's own result.
"""

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ...body.animation import animation_of, to_world
from ...geometry.kinematics import forward
from ...geometry.rotations import matrix_to_rotvec
from ...geometry.similarity import HALF_TURN, transformed
from ...types import Frame, Motion
from ..atomic import replacing
from ..smpl_params import PELVIS, flattened, parameter_clips
from .payloads import PayloadTable, entry

KIND = "SMPL_PARAMS"
SPACES = ("world", "camera")
_AMASS = ("poses", "trans")  # other parameters, by which files of AMASS are known
_BODY = 22  # pelvis and body joints; hands have no place in body_pose


def from_smpl_params(payload: Any, *, fps: float, space: str = "world") -> Motion:
    """SMPL_PARAMS as a motion with rotations.

    Args:
        space: "world", or "camera" for the motion as the camera saw it. fps: the payload has none.

    Raises:
        ValueError: a missing key, another shape, NaN, or an unknown space.
    """
    if space not in SPACES:
        raise ValueError(f"space is '{space}', expected one of {', '.join(SPACES)}")
    flat = flattened(dict(payload)) if isinstance(payload, Mapping) else payload
    suffix = "" if space == "world" else "_incam"
    for key in ("body_pose", f"global_orient{suffix}", f"transl{suffix}"):
        entry(flat, key, kind=f"{KIND} in {space} space")
    clips = {clip.info.name: clip for clip in parameter_clips(PayloadTable({key: flat[key] for key in flat if key not in _AMASS}))}
    return clips[space].build(0, fps)


def to_smpl_params(motion: Motion) -> tuple[dict[str, np.ndarray], tuple[str, ...]]:
    """A motion as SMPL_PARAMS (float32 numpy), and what was assumed.

    World keys are always there, the camera's where the motion is in camera space. Rotations that the motion lacks are solved from its joints.

    Raises:
        ValueError: other joints than SMPL's or SMPL-X's, or a root joint that is never seen.
    """
    if len(motion.skeleton.names) not in (24, 55):
        raise ValueError(
            f"the motion has {len(motion.skeleton.names)} joints, expected SMPL's 24 or SMPL-X's 55: convert it with Convert Skeleton"
        )
    animation, notes = animation_of(motion), []
    if motion.rotations is None or motion.translation is None:
        notes.append("rotations solved from the joints: the turn of a bone about its own axis is not in them")
    if missing := int((~motion.seen).any(-1).sum()):
        notes.append(f"{missing} frames lack joints; the parameters have no way to say so and hold what was bridged")
    if motion.shape is None:
        notes.append("betas are zero: the motion knows no shape")
    world = replace(forward(animation), frame=Frame.WORLD)
    frames = motion.frames
    shape = torch.zeros(10) if motion.shape is None else motion.shape
    params = {
        "body_pose": matrix_to_rotvec(world.rotations[:, 1:_BODY].double()).flatten(1),
        "betas": shape.expand(frames, 10),
        **_root(world, ""),
    }
    if motion.frame is Frame.CAMERA:
        params |= _root(_back_in_camera(world, motion), "_incam")
        if motion.intrinsics is not None:
            params["K_fullimg"] = motion.intrinsics.expand(frames, 3, 3)
    arrays = {name: value.float().contiguous().numpy() for name, value in params.items()}
    if motion.image_size is not None:
        arrays |= {"img_height": np.int64(motion.image_size[0]), "img_width": np.int64(motion.image_size[1])}
    return arrays, tuple(notes)


def save_smpl_params(motion: Motion, path: str | Path) -> tuple[str, ...]:
    """Write the npz of GVHMR; returns the notes of `to_smpl_params` and raises as it does. No file is left half written."""
    arrays, notes = to_smpl_params(motion)
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez(file, allow_pickle=False, **arrays)
    return notes


def _root(motion: Motion, suffix: str) -> dict[str, torch.Tensor]:
    """The pelvis as the template's own turn and origin; its place in the template is the mean of SMPL-X, which readers of 63 numbers assume."""
    origin = motion.translation.double() - torch.tensor(PELVIS["SMPL-X"], dtype=torch.float64)
    return {f"global_orient{suffix}": matrix_to_rotvec(motion.rotations[:, 0].double()), f"transl{suffix}": origin}


def _back_in_camera(world: Motion, motion: Motion) -> Motion:
    """A motion that `to_world` has stood up, in the camera's axes again."""
    frame, joint = (int(index) for index in motion.seen.nonzero()[0])
    upright = to_world(motion).joints[frame, joint].double()
    shift = upright - HALF_TURN @ motion.joints[frame, joint].double()
    return transformed(world, turn=HALF_TURN, shift=-HALF_TURN @ shift)

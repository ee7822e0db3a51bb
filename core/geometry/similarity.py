"""Turning, scaling and moving a whole motion."""

from dataclasses import replace

import torch
from torch import Tensor

from ..types import Motion

# About x, between WORLD and the axes of a level CAMERA, both ways.
HALF_TURN = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))


def transformed(motion: Motion, *, turn: Tensor, scale: float = 1.0, shift: Tensor) -> Motion:
    """Every point x of a motion at scale * turn x + shift; the caller says which axes and which camera the result has.

    The root joints turn along. With rotations the rest pose grows with the body, so that they still lead to the joints.

    Args:
        turn: (3, 3). shift: (3) metres. Or one of each for every frame: (T, 3, 3) and (T, 3). The arithmetic is done in float64.
    """
    turn, shift = turn.to(motion.joints.device, torch.float64), shift.to(motion.joints.device, torch.float64)

    def points(x: Tensor) -> Tensor:  # (T, N, 3)
        return (x.double() @ turn.mT * scale + shift[..., None, :]).to(x.dtype)

    skeleton, rotations = motion.skeleton, motion.rotations
    if rotations is not None:
        roots = list(skeleton.roots)
        rotations = rotations.clone()
        rotations[:, roots] = turn.to(rotations).reshape(-1, 1, 3, 3) @ rotations[:, roots]
        if skeleton.rest is not None and scale != 1:
            skeleton = replace(skeleton, rest=skeleton.rest * scale)
    translation = None if motion.translation is None else points(motion.translation[:, None])[:, 0]
    return replace(motion, joints=points(motion.joints), rotations=rotations, translation=translation, skeleton=skeleton)

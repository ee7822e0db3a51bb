"""Cameras as numbers that networks read: relative rotations with their sinusoidal embedding, and Plücker maps as Wan Fun Camera takes them."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..types import CameraRig

_CHANNELS = 32  # of the embedding of each entry of a rotation
_PERIOD = 10_000.0
_GROUP = 4  # frames that become one latent frame


def relative_rotations(rig: CameraRig, *, base: int = 0) -> Tensor:
    """(V, 3, 3), of moving cameras (V, T, 3, 3): R_v R_base^T of the world-to-camera rotations, the identity for the view `base` (HVG; in each frame anew).

    Raises:
        ValueError: a base that the rig does not have.
    """
    if not 0 <= base < rig.views:
        raise ValueError(f"base is {base}, the rig has {rig.views} views: give 0 to {rig.views - 1}")
    rotation = rig.world_to_camera[..., :3].double()
    return (rotation @ rotation[base].mT).to(rig.world_to_camera)


def rotation_embedding(rotations: Tensor, *, scale: float = 1.0) -> Tensor:
    """Rotations (..., 3, 3) -> (..., 288): each of the nine entries as 32 numbers, cosines before sines (the timestep embedding of diffusion models).

    scale: factor on the entries. They lie in -1..1, where the embedding of timesteps (0..1000) changes little: 1000 spreads them; Human4DiT has 1.
    """
    entries = rotations.flatten(-2).double() * scale
    frequencies = torch.exp(-math.log(_PERIOD) * torch.arange(_CHANNELS // 2, dtype=torch.float64) / (_CHANNELS // 2))
    angles = entries[..., None] * frequencies
    return torch.cat([angles.cos(), angles.sin()], -1).flatten(-2).to(rotations)


def relative_to_first(rig: CameraRig, *, view: int = 0, metres: float = 1.0) -> CameraRig:
    """One view of a rig, alone, in the axes of its own first frame, where it stands at the origin; metres: length of the unit of the result.

    Raises:
        ValueError: a view that the rig does not have.
    """
    alone = rig.take_views([view])
    pose = alone.world_to_camera.double()
    rotation, shift = pose[..., :3], pose[..., 3:]
    first_turn, first_shift = (part[:, :1] if alone.frames is not None else part for part in (rotation, shift))
    turn = rotation @ first_turn.mT
    moved = torch.cat([turn, (shift - turn @ first_shift) / metres], -1)
    return replace(alone, world_to_camera=moved.to(alone.world_to_camera))


def wan_camera_embedding(rig: CameraRig, height: int, width: int, *, view: int = 0, metres: float = 1.0) -> Tensor:
    """Plücker maps of one moving camera in the layout of Wan2.1 Fun Camera (VideoX-Fun; WAN_CAMERA_EMBEDDING in ComfyUI).

    Rays are relative to the first frame. Moment before direction; the first frame comes four times, then four frames make one latent frame. Frames beyond
    the last whole group of four are left out.

    Args:
        height, width: pixels of the video, the proportions of the rig's pictures.
        metres: length of the unit that the model measures moves in.

    Returns:
        (1, 24, F, height, width), F = 1 + (T - 1) // 4.

    Raises:
        ValueError: a camera that stands still, a view that the rig does not have, a size that is no multiple of 16 or of other proportions, or metres of 0 or less.
    """
    if rig.frames is None:
        raise ValueError("the cameras stand still, and a camera path is needed: make one with Move Camera or Key Cameras")
    if not metres > 0:
        raise ValueError(f"metres is {metres}, expected a length above 0")
    if height % 16 or width % 16 or min(height, width) < 16:
        raise ValueError(f"the video is {width}x{height}, expected multiples of 16: choose such a size for the cameras")
    if abs(width / height * rig.image_size[0] / rig.image_size[1] - 1) > 0.02:
        raise ValueError(
            f"the pictures of the cameras are {rig.image_size[1]}x{rig.image_size[0]}, the video {width}x{height}: give both the same proportions"
        )
    kept = rig.frames - (rig.frames - 1) % _GROUP
    lines = relative_to_first(rig.take_frames(slice(0, kept)), view=view, metres=metres).resized((height, width)).plucker(height, width)[0]
    maps = torch.cat([lines[:, 3:], lines[:, :3]], 1)  # (T, 6, h, w)
    maps = torch.cat([maps[:1].expand(_GROUP, -1, -1, -1), maps[1:]])
    groups = maps.unflatten(0, (-1, _GROUP))  # (F, 4, 6, h, w)
    return groups.permute(2, 1, 0, 3, 4).flatten(0, 1)[None].contiguous()

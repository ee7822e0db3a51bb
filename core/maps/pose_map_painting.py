"""Pose maps painted: bones as grey lines, then joints as coloured discs, on white."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from .discs import disc_coverage, paint_bones, paint_discs, place_windows
from .palettes import BACKGROUND, BONE

ORDERS = ("depth", "bpy")  # the nearest joint on top, or the first of the skeleton, as bpy-renderer draws


@dataclass(frozen=True)
class Style:
    """radius of discs and bone_width in pixels; order: one of ORDERS."""

    radius: float
    bone_width: float
    order: str = ORDERS[0]


def paint(
    pixels: np.ndarray, depth: np.ndarray, bones: np.ndarray, palette: Tensor, size: tuple[int, int], style: Style,
    advance: Callable[[int], None] | None = None,
) -> Tensor:  # fmt: skip
    """Pictures (V, T, H, W, 3) in 0..1 of joints (V, T, J, 2) pixels, NaN for none, and of the bones (B, 2) of which both ends are there.

    depth: (V, T, J) from the camera. palette: (J, 3) uint8.
    """
    views, frames, _ = depth.shape
    height, width = size
    flat = torch.empty(views * frames * height * width + 1, 3)  # one row beyond the pictures: the bin of paint_discs
    canvas, colours = flat.numpy(), palette.numpy().astype(np.float32) / 255
    painted = _painting_order(depth, np.isfinite(pixels).all(-1), style.order)
    for picture, (view, frame) in enumerate(np.ndindex(views, frames)):
        at = pixels[view, frame]
        block = canvas[picture * height * width : (picture + 1) * height * width + 1]
        block[:-1] = _bones_plane(at, bones, style.bone_width, size).reshape(-1, 1)
        index, x, y = place_windows(at[None], size, int(np.ceil(style.radius + 1)))
        paint_discs(block, index, disc_coverage(np.hypot(x, y), style.radius), colours[None], painted[view, frame][None])
        if advance is not None:
            advance(1)
    return flat[:-1].view(views, frames, height, width, 3)


def _painting_order(depth: np.ndarray, shown: np.ndarray, order: str) -> np.ndarray:
    """(V, T, J) joints from the first painted to the last."""
    joints = depth.shape[-1]
    if order == "bpy":
        return np.broadcast_to(np.arange(joints)[::-1], depth.shape)
    backwards = np.where(shown, depth, np.inf)[..., ::-1]
    return joints - 1 - np.argsort(-backwards, -1, kind="stable")


def _bones_plane(at: np.ndarray, bones: np.ndarray, bone_width: float, size: tuple[int, int]) -> np.ndarray:
    """(H, W) grey picture of the bones whose two joints (J, 2) are there."""
    plane = np.full(size, BACKGROUND[0] / 255, np.float32)
    starts, ends = at[bones[:, 0]], at[bones[:, 1]]
    there = np.isfinite(starts).all(-1) & np.isfinite(ends).all(-1)
    if bone_width > 0:
        paint_bones(plane, starts[there], ends[there], bone_width, BONE[0] / 255)
    return plane

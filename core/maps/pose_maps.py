"""Pose maps (AnimaX, section 3): every joint a disc of its own colour over grey bones, drawn so that a video of them can be read back."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import CameraRig, Keypoints, Motion, PoseMaps, Skeleton
from .discs import disc_coverage, paint_bones, paint_discs, place_windows
from .palettes import BACKGROUND, BONE, assign_palette, make_palette
from .pose_map_reading import read_pose_maps

__all__ = ["ORDERS", "auto_radius", "draw_pose_maps", "make_palette", "read_pose_maps"]

ORDERS = ("depth", "bpy")  # the nearest joint on top, or the first of the skeleton, as bpy-renderer draws
_NEAR = 0.01  # of the rig's own unit: joints nearer to the camera plane are not drawn
_RADII = (4.0, 6.0)  # pixels: smaller discs do not survive compression, larger ones cover each other


def draw_pose_maps(
    motion: Motion,
    rig: CameraRig,
    *,
    palette: Tensor | None = None,
    radius: float = 5,
    bone_width: float = 5,
    order: str = "depth",
    advance: Callable[[int], None] | None = None,
) -> PoseMaps:
    """Draw the joints of a motion as discs over their bones, on white, with each camera. No disc lies under a bone.

    Args:
        motion: in world axes, or in the axes of the camera `rig`. Missing joints and those behind a camera are left out, with their bones.
        palette: (J, 3) uint8 colours of the joints; None: `make_palette`, given out so that neighbours in the tree differ.
        radius, bone_width: pixels. 0.5 to 64 and 0 (no bones) to 64.
        order: "depth" paints near joints over far ones, joints equally far in reversed order; "bpy" always in reversed order.
        advance: called with 1 after each picture; what it raises ends the work.

    Returns:
        PoseMaps with the keypoints that were drawn: confidence 1 where a joint's disc is in the picture, though others may cover it.

    Raises:
        ValueError: cameras that do not fit the motion, a palette of another size, an unknown order, a size out of range, or more than 200 joints.
    """
    check_camera(motion, rig)
    if not 0.5 <= radius <= 64 or not 0 <= bone_width <= 64:
        raise ValueError(f"radius is {radius} and bone_width {bone_width}, expected 0.5..64 and 0..64 pixels")
    if order not in ORDERS:
        raise ValueError(f"order is '{order}', expected one of {', '.join(ORDERS)}")
    palette = _palette_of(motion.skeleton, palette)
    pixels, depth = (part.detach().cpu().double().numpy() for part in rig.project(motion.joints))  # (V, T, J, 2), (V, T, J)
    shown = motion.seen.cpu().numpy() & (np.nan_to_num(depth) > _NEAR) & (np.abs(np.nan_to_num(pixels)) < 1e6).all(-1)
    views, frames, _ = shown.shape
    height, width = rig.image_size
    flat = torch.empty(views * frames * height * width + 1, 3)  # one row beyond the pictures: the bin of paint_discs
    canvas, colours = flat.numpy(), palette.numpy().astype(np.float32) / 255
    bones = np.array(motion.skeleton.bones, int).reshape(-1, 2)
    painted = _painting_order(depth, shown, order)
    for picture, (view, frame) in enumerate(np.ndindex(views, frames)):
        at = np.where(shown[view, frame][:, None], pixels[view, frame], np.nan)
        block = canvas[picture * height * width : (picture + 1) * height * width + 1]
        block[:-1] = _bones_plane(at, bones, bone_width, rig.image_size).reshape(-1, 1)
        index, x, y = place_windows(at[None], rig.image_size, int(np.ceil(radius + 1)))
        paint_discs(block, index, disc_coverage(np.hypot(x, y), radius), colours[None], painted[view, frame][None])
        if advance is not None:
            advance(1)
    images = flat[:-1].view(views, frames, height, width, 3)
    keypoints = _drawn(pixels, shown, rig.image_size, radius)
    return PoseMaps(images=images, palette=palette, keypoints=keypoints, radius=float(radius), bone_width=float(bone_width))


def auto_radius(motion: Motion, rig: CameraRig) -> float:
    """Radius in pixels that suits how close the joints of a motion come in the pictures: 0.45 of the 20th percentile of the distances to the nearest one, 4 to 6."""
    pixels, _ = rig.project(motion.joints)
    distance = torch.cdist(pixels, pixels).nan_to_num(torch.inf).diagonal_scatter(
        torch.full(pixels.shape[:3], torch.inf).to(pixels), dim1=-2, dim2=-1
    )  # fmt: skip
    nearest = distance.min(-1).values
    nearest = nearest[torch.isfinite(nearest)]
    if len(nearest) == 0:
        return 5.0
    return float(np.clip(0.45 * np.quantile(nearest.cpu().numpy(), 0.2), *_RADII))


def _palette_of(skeleton: Skeleton, palette: Tensor | None) -> Tensor:
    joints = len(skeleton.names)
    if palette is None:
        return assign_palette(make_palette(joints), skeleton.parents)
    palette = palette.detach().cpu()
    if tuple(palette.shape) != (joints, 3) or palette.dtype != torch.uint8:
        raise ValueError(f"the palette is {tuple(palette.shape)} {palette.dtype}, expected ({joints}, 3) uint8: one colour for each joint")
    return palette


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


def _drawn(pixels: np.ndarray, shown: np.ndarray, size: tuple[int, int], radius: float) -> Keypoints:
    far = np.array([size[1], size[0]]) + radius
    inside = shown & ((pixels > -radius) & (pixels < far)).all(-1)
    return Keypoints(
        pixels=torch.from_numpy(np.where(inside[..., None], pixels, np.nan)).float(),
        confidence=torch.from_numpy(inside).float(),
        image_size=size,
    )

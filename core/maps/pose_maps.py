"""Pose maps (AnimaX, section 3): every joint a disc of its own colour over grey bones, drawn so that a video of them can be read back."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import CameraRig, Keypoints, Motion, PoseMaps, Skeleton
from .palettes import assign_palette, make_palette
from .pose_map_details import check_groups, crowded_groups, draw_details, read_again
from .pose_map_painting import ORDERS, Style, paint
from .pose_map_reading import read_pose_maps

__all__ = ["ORDERS", "auto_radius", "crowded_groups", "draw_pose_maps", "make_palette", "read_again", "read_pose_maps"]

_OUTSIDE = 1e6  # pixels, as of joints next to the camera's plane: farther ones are not drawn
_RADII = (4.0, 6.0)  # pixels: smaller discs do not survive compression, larger ones cover each other


def draw_pose_maps(
    motion: Motion,
    rig: CameraRig,
    *,
    palette: Tensor | None = None,
    radius: float = 5,
    bone_width: float = 5,
    order: str = "depth",
    detail: Sequence[Sequence[int]] = (),
    advance: Callable[[int], None] | None = None,
) -> PoseMaps:
    """Draw the joints of a motion as discs over their bones, on white, with each camera. No disc lies under a bone.

    Args:
        motion: in world axes, or in the axes of the camera `rig`. Missing joints and those behind a camera are left out, with their bones.
        palette: (J, 3) uint8 colours of the joints; None: `make_palette`, given out so that neighbours in the tree differ.
        radius, bone_width: pixels. 0.5 to 64 and 0 (no bones) to 64.
        order: "depth" paints near joints over far ones, joints equally far in reversed order; "bpy" always in reversed order.
        detail: groups of joints to draw apart and larger, each with the joint that carries it first; see `crowded_groups`.
        advance: called with 1 after each picture of the maps; what it raises ends the work.

    Returns:
        PoseMaps with the keypoints that were drawn: confidence 1 where a joint's disc is in the picture, though others may cover it.

    Raises:
        ValueError: cameras that do not fit the motion, a palette of another size, an unknown order, a size out of range, groups that share joints or carry
            nothing, or more than 200 joints.
    """
    check_camera(motion, rig)
    if not 0.5 <= radius <= 64 or not 0 <= bone_width <= 64:
        raise ValueError(f"radius is {radius} and bone_width {bone_width}, expected 0.5..64 and 0..64 pixels")
    if order not in ORDERS:
        raise ValueError(f"order is '{order}', expected one of {', '.join(ORDERS)}")
    palette = _palette_of(motion.skeleton, palette)
    groups = check_groups(detail, motion.skeleton)
    pixels, depth = (part.detach().cpu().double().numpy() for part in rig.project(motion.joints))  # (V, T, J, 2), (V, T, J)
    shown = motion.seen.cpu().numpy() & (np.abs(np.nan_to_num(pixels, nan=np.inf)) < _OUTSIDE).all(-1)
    style = Style(float(radius), float(bone_width), order)
    apart = [joint for group in groups for joint in group[1:]]
    left = shown.copy()
    left[:, :, apart] = False
    scene = (np.where(left[..., None], pixels, np.nan), depth, np.array(motion.skeleton.bones, int).reshape(-1, 2))
    return PoseMaps(
        images=paint(*scene, palette, rig.image_size, style, advance),
        palette=palette,
        keypoints=_drawn(pixels, shown, rig.image_size, radius),
        radius=style.radius,
        bone_width=style.bone_width,
        skeleton=motion.skeleton,
        detail=draw_details(np.where(shown[..., None], pixels, np.nan), depth, motion.skeleton, groups, rig.image_size, style)
        if groups
        else None,
    )


def auto_radius(motion: Motion, rig: CameraRig) -> float:
    """Radius in pixels that suits how close the joints of a motion come in the pictures: 0.45 of the 20th percentile of the distances to the nearest one,
    4 to 6, in quarters."""
    pixels, _ = rig.project(motion.joints)
    distance = torch.cdist(pixels, pixels).nan_to_num(torch.inf).diagonal_scatter(
        torch.full(pixels.shape[:3], torch.inf).to(pixels), dim1=-2, dim2=-1
    )  # fmt: skip
    nearest = distance.min(-1).values
    nearest = nearest[torch.isfinite(nearest)]
    if len(nearest) == 0:
        return 5.0
    return round(4 * float(np.clip(0.45 * np.quantile(nearest.cpu().numpy(), 0.2), *_RADII))) / 4


def _palette_of(skeleton: Skeleton, palette: Tensor | None) -> Tensor:
    joints = len(skeleton.names)
    if palette is None:
        return assign_palette(make_palette(joints), skeleton.parents)
    palette = palette.detach().cpu()
    if tuple(palette.shape) != (joints, 3) or palette.dtype != torch.uint8:
        raise ValueError(f"the palette is {tuple(palette.shape)} {palette.dtype}, expected ({joints}, 3) uint8: one colour for each joint")
    return palette


def _drawn(pixels: np.ndarray, shown: np.ndarray, size: tuple[int, int], radius: float) -> Keypoints:
    far = np.array([size[1], size[0]]) + radius
    inside = shown & ((pixels > -radius) & (pixels < far)).all(-1)
    return Keypoints(
        pixels=torch.from_numpy(np.where(inside[..., None], pixels, np.nan)).float(),
        confidence=torch.from_numpy(inside).float(),
        image_size=size,
    )

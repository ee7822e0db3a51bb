"""Skeletons drawn into pictures, and pictures laid over frames."""

from collections.abc import Callable, Sequence

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import CameraRig, Motion, Skeleton
from .colours import side_colours
from .openpose_drawing import draw_openpose, openpose_figure

STYLES = ("motion4d", "mtvcrafter", "openpose")
_NEAR = 0.05  # metres: joints nearer to the camera plane are not drawn
_SHIFT = 4  # coordinates go to OpenCV in 1/16 pixel
_TOP, _BOTTOM = (30, 33, 46), (13, 14, 20)  # the plain background fades from one to the other
_OUTLINE = (10, 11, 16)
_BONE_RADIUS = 0.021  # metres at the parent's end
_TAPER = 0.62  # of it at the child's end
_HEAD = 2.1  # radius of the head's disc in bones
_JOINT_BIAS = 0.06  # metres by which a joint's disc is drawn before the bones that meet there

# The drawing of the reference MTVCrafter: discs, then bones without collars, in the colours of its palette.
_REFERENCE_JOINTS = (
    (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 0, 255), (255, 255, 0), (85, 255, 0), (0, 75, 255), (0, 255, 85), (0, 255, 170),
    (170, 0, 255), (85, 0, 255), (0, 85, 255), (0, 255, 255), None, None, (255, 0, 255), (255, 0, 170),
)  # fmt: skip
_REFERENCE_BONES = (
    (15, 12, (255, 0, 0)), (12, 16, (0, 255, 0)), (16, 18, (0, 0, 255)), (18, 20, (255, 255, 0)), (20, 22, (255, 0, 255)),
    (12, 17, (0, 255, 0)), (17, 19, (0, 85, 255)), (19, 21, (255, 175, 0)), (21, 23, (0, 0, 255)), (12, 9, (255, 85, 0)),
    (9, 6, (0, 255, 85)), (6, 3, (255, 0, 255)), (3, 0, (255, 0, 0)), (0, 1, (0, 175, 255)), (1, 4, (255, 255, 0)), (4, 7, (0, 0, 255)),
    (7, 10, (0, 255, 0)), (0, 2, (255, 0, 0)), (2, 5, (0, 255, 0)), (5, 8, (0, 0, 255)), (8, 11, (255, 255, 0)),
)  # fmt: skip


def draw_skeleton(
    motion: Motion,
    rig: CameraRig,
    *,
    background: Tensor | None = None,
    style: str = "motion4d",
    advance: Callable[[int], None] | None = None,
) -> Tensor:
    """Draw the bones and joints of a motion with each camera.

    Args:
        background: frames in 0..1 of the rig's image size, (T, H, W, 3), (1, H, W, 3) or (V, T, H, W, 3); None: a plain dark one.
        style: "motion4d", warm on the left side of the body and cool on its right, near over far; or "mtvcrafter", the thin coloured lines on which the
            reference MTVCrafter was trained (SMPL24 only); or "openpose", the coloured figure of pose ControlNets, VACE and Fun-Control (SMPL's joints or
            OPENPOSE18).
        advance: called with 1 after each picture; what it raises ends the work.

    Returns:
        (V, T, H, W, 3) in 0..1. Missing joints and those behind a camera are left out, with their bones.

    Raises:
        ValueError: cameras of another length or foreign to a motion in CAMERA axes, a background of another size, an unknown style, or one that does not fit the skeleton.
    """
    check_camera(motion, rig)
    if style not in STYLES:
        raise ValueError(f"style is '{style}', expected one of {', '.join(STYLES)}")
    if style == "mtvcrafter" and len(motion.skeleton.names) != 24:
        raise ValueError(f"the style 'mtvcrafter' draws SMPL's 24 joints, the motion has {len(motion.skeleton.names)}: use 'motion4d'")
    if style == "openpose":
        motion = openpose_figure(motion)
    pixels, depth = (part.detach().cpu().double().numpy() for part in rig.project(motion.joints))
    shown = motion.seen.cpu().numpy() & (np.nan_to_num(depth) > _NEAR)
    pictures = torch.empty(rig.views, motion.frames, *rig.image_size, 3)
    plain = None if background is not None else _plain_background(rig.image_size, style)
    frames = None if background is None else _as_views(background, (rig.views, motion.frames, *rig.image_size, 3))
    focal = (rig.intrinsics if rig.frames is not None else rig.intrinsics[:, None])[..., 0, 0].expand(rig.views, motion.frames).tolist()
    for view in range(rig.views):
        for frame in range(motion.frames):
            canvas = plain.copy() if frames is None else _to_bytes(frames[view, frame])
            if style != "motion4d":
                draw = _draw_reference if style == "mtvcrafter" else draw_openpose
                draw(canvas, pixels[view, frame], shown[view, frame])
            else:
                _draw_bones(canvas, motion.skeleton, pixels[view, frame], depth[view, frame], shown[view, frame], focal[view][frame])
            pictures[view, frame] = torch.from_numpy(canvas)
            if advance is not None:
                advance(1)
    return pictures.div_(255)


def overlay(images: Tensor, background: Tensor, mask: Tensor, *, opacity: float = 1.0) -> Tensor:
    """Lay pictures over frames where a mask says so.

    Args:
        images: (V, T, H, W, 3) in 0..1. background: (T, H, W, 3), (1, H, W, 3) or (V, T, H, W, 3). mask: (V, T, H, W) bool or 0..1.
        opacity: of the pictures, 0..1.

    Returns:
        (V, T, H, W, 3).

    Raises:
        ValueError: sizes that do not fit, or an opacity outside 0..1.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity is {opacity}, expected 0..1")
    if images.dim() != 5 or mask.shape != images.shape[:-1]:
        raise ValueError(f"images {tuple(images.shape)} and mask {tuple(mask.shape)}: expected (V, T, H, W, 3) and (V, T, H, W)")
    weight = (mask.to(images) * opacity)[..., None]
    return torch.lerp(_as_views(background.to(images), images.shape), images, weight)


def _plain_background(image_size: tuple[int, int], style: str) -> np.ndarray:
    height, width = image_size
    if style != "motion4d":
        return np.zeros((height, width, 3), np.uint8)
    fade = np.linspace(0, 1, height)[:, None, None]
    return np.broadcast_to(np.round((1 - fade) * _TOP + fade * np.array(_BOTTOM)), (height, width, 3)).astype(np.uint8)


def _as_views(background: Tensor, wanted: Sequence[int]) -> Tensor:
    """Background (V, T, H, W, 3), expanded from fewer views and from a single frame."""
    stack = background if background.dim() == 5 else background[None]
    views, frames, height, width, _ = wanted
    if stack.dim() != 5 or stack.shape[2:] != wanted[2:] or stack.shape[0] not in (1, views) or stack.shape[1] not in (1, frames):
        raise ValueError(
            f"the background is {tuple(background.shape)}, expected {frames} frames (or 1) of {height}x{width} pixels: "
            "give the cameras the size of the background, and as many frames as the motion has"
        )
    return stack.expand(wanted)


def _to_bytes(picture: Tensor) -> np.ndarray:
    return (picture.detach().cpu().float().clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy().copy()


def _draw_bones(canvas: np.ndarray, skeleton: Skeleton, pixels: np.ndarray, depth: np.ndarray, shown: np.ndarray, focal: float) -> None:
    """Draw tapered bones and their joints, far ones first."""
    if not shown.any():
        return
    unit = min(canvas.shape[:2]) / 512
    radius = np.clip(_BONE_RADIUS * focal / np.where(shown, depth, 1), 1.5 * unit, 9 * unit)
    colours = side_colours(skeleton)
    middle = np.median(depth[shown])
    parts = [((depth[a] + depth[b]) / 2, a, b) for b, a in skeleton.bones if shown[a] and shown[b]]
    parts += [(depth[joint] - _JOINT_BIAS, joint, joint) for joint in np.flatnonzero(shown)]
    for distance, a, b in sorted(parts, reverse=True):
        light = np.clip(0.9 - 0.45 * (distance - middle), 0.6, 1.0)
        colour = np.array(colours[b]) * light
        ends = (radius[a], _TAPER * radius[b])
        if a == b:
            colour = colour + (255 - colour) * 0.35
            ends = ((_HEAD if skeleton.names[a] == "head" else 1.12) * radius[a],) * 2
        _capsule(canvas, pixels[a], pixels[b], [end + max(0.9 * unit, 0.6) for end in ends], _OUTLINE)
        _capsule(canvas, pixels[a], pixels[b], ends, tuple(colour.tolist()))


def _capsule(canvas: np.ndarray, start: np.ndarray, end: np.ndarray, radii, colour: tuple) -> None:
    """Fill the hull of two discs."""
    import cv2

    reach = 8 * max(canvas.shape)
    if max(np.abs(start).max(), np.abs(end).max()) > reach:  # far outside: what is left in the picture is a sliver of a limb at the lens
        return
    length = np.linalg.norm(end - start)
    turn = 0.0 if length == 0 else np.arctan2(*(end - start)[::-1])
    lean = np.arccos(np.clip((radii[0] - radii[1]) / max(length, 1e-9), -1, 1))  # where the tangents touch
    arc = np.linspace(0, 1, 13)
    first = turn + lean + arc * (2 * np.pi - 2 * lean)
    second = turn - lean + arc * 2 * lean
    outline = [
        start + radii[0] * np.stack([np.cos(first), np.sin(first)], -1),
        end + radii[1] * np.stack([np.cos(second), np.sin(second)], -1),
    ]
    # Pixel centres are at +0.5 here and at whole numbers in OpenCV.
    points = np.round((np.concatenate(outline) - 0.5) * (1 << _SHIFT)).astype(np.int32)
    cv2.fillConvexPoly(canvas, points, colour, cv2.LINE_AA, _SHIFT)


def _draw_reference(canvas: np.ndarray, pixels: np.ndarray, shown: np.ndarray) -> None:
    import cv2

    shown = shown & (np.abs(np.nan_to_num(pixels)) < 1 << 15).all(-1)
    for joint in np.flatnonzero(shown):
        colour = _REFERENCE_JOINTS[joint % 17]
        if joint not in (13, 14):
            cv2.circle(canvas, (int(pixels[joint, 0]), int(pixels[joint, 1])), 2, colour, thickness=-1)
    half_width = int(canvas.shape[1] / 350)
    for a, b, colour in _REFERENCE_BONES:
        if shown[a] and shown[b]:
            center = (pixels[a] + pixels[b]) / 2
            x, y = pixels[b] - pixels[a]
            axes = (int(np.hypot(x, y) / 2), half_width)
            polygon = cv2.ellipse2Poly((int(center[0]), int(center[1])), axes, int(np.degrees(np.arctan2(y, x))), 0, 360, 1)
            cv2.fillConvexPoly(canvas, polygon, colour)

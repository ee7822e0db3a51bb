"""Where a body is in the pictures of cameras: its pelvis, its outline, its height."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..body.measurements import estimate_stature
from ..geometry.cameras import own_camera
from ..types import CameraRig, ImageSize, Motion
from .ellipsoids import body_ellipsoids, outline_bounds

_NEAR = 0.05  # metres: what is nearer to the camera plane is not in the picture
_PROPORTION = 0.02  # relative difference of the proportions of pictures up to which one is the other resized


def cameras_of_pictures(motion: Motion, rig: CameraRig | None, image_size: ImageSize | None) -> CameraRig:
    """The cameras of pictures of a motion: those given, else the one that filmed it, for pictures of `image_size` (H, W) where there are some.

    Raises:
        ValueError: no cameras for a motion in world axes, or pictures of other proportions than the cameras'.
    """
    rig = own_camera(motion) if rig is None else rig
    if image_size is None or rig.image_size == image_size:
        return rig
    (height, width), (rows, columns) = rig.image_size, image_size
    if abs(columns * height / (rows * width) - 1) > _PROPORTION:
        raise ValueError(
            f"the cameras see pictures of {width}x{height} pixels, these have {columns}x{rows}: give the cameras the proportions of the pictures, "
            "or the pictures that belong to them"
        )
    return rig.resized(image_size)


def pelvis_track(motion: Motion) -> tuple[Tensor, Tensor]:
    """(T, 3) metres and (T) whether it is known: the joint called pelvis or hips, else the middle between left_hip and right_hip, else the first joint."""
    names = [name.lower() for name in motion.skeleton.names]
    joints = next(([names.index(name)] for name in ("pelvis", "hips") if name in names), None)
    if joints is None:
        joints = [names.index(name) for name in ("left_hip", "right_hip")] if {"left_hip", "right_hip"} <= set(names) else [0]
    return motion.joints[:, joints].double().mean(1), motion.seen[:, joints].all(1)


def pelvis_pixels(motion: Motion, rig: CameraRig) -> tuple[Tensor, Tensor]:
    """Pelvis (V, T, 2) in the pictures, float64, on the CPU, and where it is known (V, T); elsewhere it is interpolated in time and held at the ends.

    Raises:
        ValueError: a view in which the pelvis is never known, because it is missing or behind the camera.
    """
    motion = motion.cpu()
    points, seen = pelvis_track(motion)
    pixels, depth = _in_double(rig).project(points)
    known = seen & (depth > _NEAR)
    for view in (~known.any(1)).nonzero()[:, 0].tolist():
        why = (
            f"is never in front of camera {view}: turn the camera round"
            if seen.any()
            else "is missing in all frames: bridge it with Clean Motion"
        )
        raise ValueError(f"the pelvis {why}, or leave this view out")
    frames = np.arange(motion.frames)
    for view in (~known).any(1).nonzero()[:, 0].tolist():
        there = known[view].numpy()
        for axis in (0, 1):
            line = pixels[view, :, axis].numpy()
            pixels[view, :, axis] = torch.from_numpy(np.interp(frames, frames[there], line[there]))
    return pixels, known


def body_bounds(motion: Motion, rig: CameraRig) -> Tensor:
    """(V, T, 4) pixels: left, top, right and bottom of the outline of the body, drawn as ellipsoids, with all its joints; NaN where nothing is in front of
    the camera. It is not cut at the edges of the picture."""
    motion, precise = motion.cpu(), _in_double(rig)
    body = body_ellipsoids(motion).seen_by(precise)
    intrinsics = precise.intrinsics[:, None, None] if rig.frames is None else precise.intrinsics[:, :, None]
    outlines, whole = outline_bounds(body, intrinsics)
    shown = body.present & ~whole & (body.centers[..., 2] > _NEAR)
    pixels, depth = precise.project(motion.joints.double())
    boxes = torch.cat([outlines, torch.cat([pixels, pixels], -1)], 2)
    shown = torch.cat([shown, motion.seen & (depth > _NEAR)], 2)[..., None]
    low = torch.where(shown, boxes[..., :2], torch.inf).amin(2)
    high = torch.where(shown, boxes[..., 2:], -torch.inf).amax(2)
    return torch.where(shown.any(2), torch.cat([low, high], -1), torch.nan)


def standing_height(motion: Motion, rig: CameraRig, view: int, frame: int) -> float:
    """Pixels from head to foot of the person if it stood upright where its pelvis is; where its stature cannot be told, of its outline as it is.

    Raises:
        ValueError: a body of which nothing is in front of the camera.
    """
    motion = motion.cpu()
    single, camera = motion.cut(frame, frame + 1), _in_double(rig.at(frame).take_views([view]))
    points, seen = pelvis_track(single)
    depth = float(camera.to_camera(points)[0, 0, 2])
    stature = estimate_stature(motion)
    if stature is not None and bool(seen[0]) and depth > _NEAR:
        return stature * float(camera.intrinsics[0, 1, 1]) / depth
    bounds = body_bounds(single, camera)[0, 0]
    if bounds.isnan().any():
        raise ValueError(f"nothing of the body is in front of camera {view} in frame {frame}: its height cannot be told")
    return float(bounds[3] - bounds[1])


def _in_double(rig: CameraRig) -> CameraRig:
    """The rig with float64 matrices on the CPU."""
    return replace(rig, intrinsics=rig.intrinsics.detach().cpu().double(), world_to_camera=rig.world_to_camera.detach().cpu().double())

"""Pinhole cameras: intrinsics, look-at and orbits."""

import math
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..types import CameraRig, Frame, ImageSize, Motion

MOTION_CAPTURE_FOV_DEG = 55.0  # NLF and MTVCrafter: field of view over the longer side of the picture


def focal_from_fov(fov_deg: float, side_px: float) -> float:
    """Focal length in pixels of a field of view over a side of the image."""
    if not 0 < fov_deg < 180:
        raise ValueError(f"field of view is {fov_deg} degrees, expected above 0 and below 180")
    return side_px / (2 * math.tan(math.radians(fov_deg) / 2))


def intrinsics_matrix(focal_px: float, image_size: ImageSize) -> Tensor:
    """(3, 3) with square pixels and the principal point in the middle of the image."""
    height, width = image_size
    return torch.tensor([[focal_px, 0.0, width / 2], [0.0, focal_px, height / 2], [0.0, 0.0, 1.0]])


def motion_capture_intrinsics(image_size: ImageSize) -> Tensor:
    """(3, 3) of the camera that NLF assumes when none is given: 55 degrees over the longer side."""
    return intrinsics_matrix(focal_from_fov(MOTION_CAPTURE_FOV_DEG, max(image_size)), image_size)


def resize_intrinsics(intrinsics: Tensor, old: ImageSize, new: ImageSize) -> Tensor:
    """Intrinsics (..., 3, 3) of the same view after the image is resized from `old` to `new` (H, W)."""
    scale = torch.tensor([[new[1] / old[1]], [new[0] / old[0]], [1.0]]).to(intrinsics)
    return intrinsics * scale


def look_at(eye: Tensor, target: Tensor, up: Sequence[float] = (0.0, 1.0, 0.0)) -> Tensor:
    """(V, 3, 4) world_to_camera of cameras at `eye` (V, 3) that look at `target` (3); looking straight along `up`, -Z is up instead."""
    forward = target.to(eye) - eye
    distance = forward.norm(dim=-1, keepdim=True)
    if (distance == 0).any():
        raise ValueError("a camera stands on its target: move one of them")
    z = forward / distance
    up_vector = torch.tensor(up).to(eye).expand_as(z)
    steep = (z * up_vector).sum(-1, keepdim=True).abs() > 0.999
    up_vector = torch.where(steep, torch.tensor([0.0, 0.0, -1.0]).to(eye), up_vector)
    x = torch.linalg.cross(z, up_vector)
    x = x / x.norm(dim=-1, keepdim=True)
    rotation = torch.stack([x, torch.linalg.cross(z, x), z], -2)
    return torch.cat([rotation, -rotation @ eye[..., None]], -1)


def orbit_rig(
    azimuths_deg: Sequence[float],
    *,
    elevation_deg: float = 0.0,
    radius: float,
    image_size: ImageSize,
    focal_px: float | None = None,
    vertical_fov_deg: float | None = None,
    target: Sequence[float] = (0.0, 0.0, 0.0),
) -> CameraRig:
    """Cameras on a circle around a target.

    Args:
        azimuths_deg: one for each view; 0 stands on +Z and sees the front, 90 on +X and sees the character's left side.
        elevation_deg: above the horizon. radius: metres.
        image_size: (H, W). focal_px or vertical_fov_deg: one of them; without either 40 degrees.
        target: metres.

    Returns:
        CameraRig, closed when evenly spaced azimuths go all the way round.

    Raises:
        ValueError: no azimuth, a radius of 0 or less, or both focal_px and vertical_fov_deg.
    """
    if len(azimuths_deg) == 0 or not radius > 0:
        raise ValueError(f"{len(azimuths_deg)} azimuths and radius {radius}: expected at least one view and a radius above 0")
    if len(target) != 3:
        raise ValueError(f"target is {tuple(target)}, expected x, y and z in metres")
    if focal_px is not None and vertical_fov_deg is not None:
        raise ValueError("focal_px and vertical_fov_deg are both given: give one")
    if focal_px is None:
        focal_px = focal_from_fov(40.0 if vertical_fov_deg is None else vertical_fov_deg, image_size[0])
    azimuth = torch.deg2rad(torch.tensor([float(a) for a in azimuths_deg], dtype=torch.float64))
    elevation = math.radians(elevation_deg)
    direction = torch.stack(
        [azimuth.sin() * math.cos(elevation), torch.full_like(azimuth, math.sin(elevation)), azimuth.cos() * math.cos(elevation)], -1
    )
    center = torch.tensor(target, dtype=torch.float64)
    return CameraRig(
        intrinsics=intrinsics_matrix(focal_px, image_size).expand(len(azimuth), 3, 3).clone(),
        world_to_camera=look_at(center + radius * direction, center).float(),
        image_size=image_size,
        closed=_goes_round(azimuths_deg),
    )


def _goes_round(azimuths_deg: Sequence[float]) -> bool:
    if len(azimuths_deg) < 3:
        return False
    following = [*azimuths_deg[1:], azimuths_deg[0]]
    step = 360.0 / len(azimuths_deg)
    gaps = [(b - a) % 360.0 for a, b in zip(azimuths_deg, following, strict=True)]
    return all(abs(gap - step) < 1e-3 for gap in gaps) or all(abs(gap - (360.0 - step)) < 1e-3 for gap in gaps)


def check_circle(rig: CameraRig) -> None:
    """Refuse cameras whose last one is no neighbour of the first.

    Raises:
        ValueError: between them is more than one and a half times the widest gap of the others; of cameras that move, in the first frame.
    """
    centers = rig.at(0).centers.double()
    gaps = (centers.roll(-1, 0) - centers).norm(dim=-1).tolist()
    widest = max(gaps[:-1], default=gaps[-1])
    if gaps[-1] > 1.5 * widest:
        raise ValueError(
            f"the cameras do not go round: the last of {rig.views} stands {gaps[-1]:.2f} m from the first, other neighbours at most {widest:.2f} m "
            "from each other"
        )


def own_camera(motion: Motion, image_size: ImageSize | None = None) -> CameraRig:
    """The camera that saw a camera-space motion, as a rig of one view, resized to `image_size` (H, W) if given.

    Raises:
        ValueError: the motion is in world axes, or knows no camera.
    """
    if motion.frame is not Frame.CAMERA:
        raise ValueError("the motion is in world axes and has no camera of its own: place cameras around it")
    if motion.intrinsics is None:
        raise ValueError("the motion is in camera axes but does not know its camera: load it with the size of its video")
    size = image_size or motion.image_size
    return CameraRig(
        intrinsics=resize_intrinsics(motion.intrinsics, motion.image_size, size)[None],
        world_to_camera=torch.eye(3, 4)[None],
        image_size=size,
    )


def with_camera(motion: Motion, image_size: ImageSize) -> Motion:
    """The motion with the camera that NLF assumes for a picture of `image_size` (H, W); one that knows its camera stays as it is.

    Raises:
        ValueError: the motion is in world axes.
    """
    if motion.frame is not Frame.CAMERA:
        raise ValueError("the motion is in world axes: only a motion in camera axes can be given the camera that saw it")
    if motion.intrinsics is not None:
        return motion
    note = f"camera of {MOTION_CAPTURE_FOV_DEG:g} degrees over the longer side of a {image_size[1]}x{image_size[0]} picture assumed"
    return replace(motion, intrinsics=motion_capture_intrinsics(image_size), image_size=image_size, notes=(*motion.notes, note))


def check_camera(motion: Motion, rig: CameraRig) -> None:
    """Refuse to draw a motion with cameras that cannot show it.

    Raises:
        ValueError: moving cameras and a motion of another length; the motion is in CAMERA axes and `rig` is not its camera (any image size of the same view
            is accepted, and a moving camera that never leaves the place of its own: a crop that follows the person); a view has all of the motion
            behind it.
    """
    if rig.frames is not None and rig.frames != motion.frames:
        raise ValueError(
            f"the cameras move over {rig.frames} frames, the motion has {motion.frames}: make the camera path as long as the motion, or cut the motion"
        )
    if motion.frame is Frame.CAMERA and rig.frames is not None:
        if rig.views != 1 or not torch.allclose(rig.world_to_camera, torch.eye(3, 4).to(rig.world_to_camera), atol=1e-5):
            raise ValueError(
                "the motion is in the axes of the camera that filmed it, and these cameras move away from it: "
                "convert the motion to world space with Convert Space"
            )
    elif motion.frame is Frame.CAMERA:
        own = own_camera(motion, rig.image_size)
        same = rig.views == 1 and torch.allclose(own.world_to_camera, rig.world_to_camera.to(own.world_to_camera), atol=1e-5)
        if not (same and torch.allclose(own.intrinsics, rig.intrinsics.to(own.intrinsics), rtol=1e-3)):
            raise ValueError(
                "the motion is in the axes of the camera that filmed it, and these are other cameras: use its own camera "
                "(leave the cameras unconnected, or switch keep_own_camera on)"
            )
    depth = rig.to_camera(motion.joints)[..., 2]
    blind = [view for view in range(rig.views) if motion.seen.any() and (depth[view][motion.seen] <= 0).all()]
    if blind:
        raise ValueError(
            f"view {blind[0]} looks away: all of the motion lies behind the camera; turn it round, or place cameras around the motion"
        )

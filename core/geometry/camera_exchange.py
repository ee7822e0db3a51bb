"""Cameras as arrays of other programs, and as the camera that motion capture assumes."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from ..types import CameraRig, ImageSize
from .cameras import focal_from_fov, intrinsics_matrix, motion_capture_intrinsics

CONVENTIONS = ("opencv", "opengl")
LENSES = ("keep", "field of view", "mtvcrafter")
_SKEWED = 1e-3  # by which the axes of a pose may be off a right angle or off the length 1


def rig_from_arrays(
    poses: Any,
    intrinsics: Any,
    image_size: ImageSize,
    *,
    camera_to_world: bool = False,
    convention: str = "opencv",
    metres: float = 1.0,
) -> CameraRig:
    """Cameras given one by one, for each view or for each view and frame.

    Args:
        poses: (V, 3, 4), (V, 4, 4) or with an axis T after V; world to camera, or the other way with `camera_to_world`.
        intrinsics: (3, 3) of all, (V, 3, 3), or with an axis T after V; pixels.
        image_size: (H, W).
        convention: axes of the camera: "opencv" (y down, z forward) or "opengl" (y up, z backward: Blender, glTF, ARKit, NeRF).
        metres: length of the unit of the poses.

    Raises:
        ValueError: other shapes, axes that are no rotation, an unknown convention, or what `CameraRig` refuses.
    """
    if convention not in CONVENTIONS:
        raise ValueError(f"convention is '{convention}', expected one of {', '.join(CONVENTIONS)}")
    pose = torch.as_tensor(poses).double()
    if pose.dim() not in (3, 4) or tuple(pose.shape[-2:]) not in ((3, 4), (4, 4)):
        raise ValueError(f"poses have the shape {tuple(pose.shape)}, expected (V, 3, 4), (V, 4, 4) or those with an axis T after V")
    lens = torch.as_tensor(intrinsics).double()
    while lens.dim() < pose.dim():
        lens = lens[None] if lens.dim() == 2 else lens[:, None]
    if lens.shape[-2:] != (3, 3) or any(size not in (1, wanted) for size, wanted in zip(lens.shape[:-2], pose.shape[:-2], strict=True)):
        raise ValueError(
            f"intrinsics have the shape {tuple(lens.shape)}, expected (3, 3), once or for each of the poses {tuple(pose.shape)}"
        )
    rotation, shift = pose[..., :3, :3], pose[..., :3, 3:]
    if not _are_rotations(rotation):
        raise ValueError("the axes of a pose are no rotation: they are scaled, sheared or mirrored; give rigid cameras")
    if camera_to_world:
        rotation, shift = rotation.mT, -rotation.mT @ shift
    flip = torch.tensor([1.0, 1.0, 1.0] if convention == "opencv" else [1.0, -1.0, -1.0], dtype=torch.float64)[:, None]
    return CameraRig(
        intrinsics=lens.expand(*pose.shape[:-2], 3, 3).float().contiguous(),
        world_to_camera=(flip * torch.cat([rotation, metres * shift], -1)).float(),
        image_size=image_size,
    )


def _are_rotations(rotation: Tensor) -> bool:
    """Whether matrices (..., 3, 3) are rotations; NaN are not."""
    identity = torch.eye(3, dtype=rotation.dtype)
    return bool(((rotation @ rotation.mT - identity).abs() < _SKEWED).all() and (torch.linalg.det(rotation) > 0).all())


def motion_capture_rig(rig: CameraRig, image_size: ImageSize | None = None) -> CameraRig:
    """The same places and directions through the lens that NLF and MTVCrafter assume: 55 degrees over the longer side of `image_size` (H, W).

    `body.spaces.to_camera` with a view of it gives a motion in MTVCrafter's camera space.
    """
    size = image_size or rig.image_size
    return replace(rig, intrinsics=motion_capture_intrinsics(size).to(rig.intrinsics).expand_as(rig.intrinsics).clone(), image_size=size)


def with_lens(rig: CameraRig, *, vertical_fov_deg: float, image_size: ImageSize | None = None) -> CameraRig:
    """The same places and directions through another lens, with square pixels and the principal point in the middle."""
    size = image_size or rig.image_size
    lens = intrinsics_matrix(focal_from_fov(vertical_fov_deg, size[0]), size)
    return replace(rig, intrinsics=lens.to(rig.intrinsics).expand_as(rig.intrinsics).clone(), image_size=size)


def change_lens(rig: CameraRig, lens: str, *, vertical_fov_deg: float, image_size: ImageSize) -> CameraRig:
    """One of LENSES by name, for pictures of `image_size` (H, W).

    Raises:
        ValueError: an unknown lens, or "keep" with pictures of other proportions, which would stretch what they show.
    """
    if lens not in LENSES:
        raise ValueError(f"lens is '{lens}', expected one of {', '.join(LENSES)}")
    if lens == "mtvcrafter":
        return motion_capture_rig(rig, image_size)
    if lens == "field of view":
        return with_lens(rig, vertical_fov_deg=vertical_fov_deg, image_size=image_size)
    if abs(image_size[0] * rig.image_size[1] / (image_size[1] * rig.image_size[0]) - 1) > 0.02:
        raise ValueError(
            f"the pictures are {rig.image_size[1]}x{rig.image_size[0]} and would be stretched to {image_size[1]}x{image_size[0]}: "
            "keep the proportions, or choose another lens than 'keep'"
        )
    return rig.resized(image_size)


def vertical_fovs_deg(rig: CameraRig) -> Tensor:
    """(V) or (V, T) degrees over the height of the picture."""
    return 2 * torch.rad2deg(torch.atan(rig.image_size[0] / 2 / rig.intrinsics[..., 1, 1]))


def moved_world(rig: CameraRig, turn: Tensor, shift: Sequence[float] | Tensor) -> CameraRig:
    """The cameras in a world whose points have moved: x' = turn x + shift, with a rotation (3, 3) and metres (3)."""
    turn = turn.double()
    rotation = rig.world_to_camera[..., :3].double() @ turn.mT
    moved = rig.world_to_camera[..., 3:].double() - rotation @ torch.as_tensor(shift, dtype=torch.float64)[:, None]
    return replace(rig, world_to_camera=torch.cat([rotation, moved], -1).to(rig.world_to_camera))

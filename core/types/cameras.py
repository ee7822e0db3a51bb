"""Cameras, and what they see of joints."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..shapes import check_shapes
from .checks import ImageSize, check_finite, check_image_size


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraRig:
    """V pinhole cameras that stand still, or move over T frames.

    intrinsics: (V, 3, 3) pixels. world_to_camera: (V, 3, 4), OpenCV axes, X_cam = R X_world + t. Moving cameras have an axis T after V in both.
    image_size: (H, W) of every view. closed: the views form a circle.
    """

    intrinsics: Tensor
    world_to_camera: Tensor
    image_size: ImageSize
    closed: bool = False

    def __post_init__(self):
        moving = isinstance(self.intrinsics, Tensor) and self.intrinsics.dim() == 4
        axes = "V T" if moving else "V"
        sizes = check_shapes(
            "CameraRig", intrinsics=(self.intrinsics, f"{axes} 3 3"), world_to_camera=(self.world_to_camera, f"{axes} 3 4")
        )
        if sizes["V"] == 0:
            raise ValueError("CameraRig: it has no views; expected at least 1")
        if moving and sizes["T"] == 0:
            raise ValueError("CameraRig: it moves over no frames; expected at least 1, or no axis T for cameras that stand still")
        check_finite("CameraRig", intrinsics=self.intrinsics, world_to_camera=self.world_to_camera)
        check_image_size("CameraRig", self.image_size)
        if not (self.intrinsics[..., [0, 1], [0, 1]] > 0).all():
            raise ValueError("CameraRig: focal lengths must be above 0")

    @property
    def views(self) -> int:
        """V."""
        return self.intrinsics.shape[0]

    @property
    def frames(self) -> int | None:
        """T of moving cameras, None for cameras that stand still."""
        return self.intrinsics.shape[1] if self.intrinsics.dim() == 4 else None

    @property
    def centers(self) -> Tensor:
        """(V, 3) camera centres in the world; (V, T, 3) of moving cameras."""
        rotation, translation = self.world_to_camera[..., :3], self.world_to_camera[..., 3:]
        return -(rotation.mT @ translation)[..., 0]

    def at(self, frame: int) -> "CameraRig":
        """The cameras as they stand in one frame; those that stand still as they are.

        Raises:
            ValueError: moving cameras that have no such frame.
        """
        if self.frames is None:
            return self
        if not 0 <= frame < self.frames:
            raise ValueError(f"frame is {frame}, the cameras move over {self.frames}: give 0 to {self.frames - 1}")
        return replace(self, intrinsics=self.intrinsics[:, frame], world_to_camera=self.world_to_camera[:, frame])

    def take_frames(self, frames: Sequence[int] | Tensor | slice) -> "CameraRig":
        """Moving cameras at the frames of these indices; those that stand still as they are."""
        if self.frames is None:
            return self
        return replace(self, intrinsics=self.intrinsics[:, frames], world_to_camera=self.world_to_camera[:, frames])

    def take_views(self, views: Sequence[int] | Tensor) -> "CameraRig":
        """The views of these indices, in their order; still a circle only if all of them are taken, in the order of the circle or against it.

        Raises:
            ValueError: no index, or one that the rig does not have.
        """
        chosen = [int(view) for view in views]
        if not chosen or not all(0 <= view < self.views for view in chosen):
            raise ValueError(f"views are {chosen}, the rig has {self.views}: give some of 0 to {self.views - 1}")
        steps = {(after - before) % self.views for before, after in zip(chosen, [*chosen[1:], chosen[0]], strict=True)}
        whole = len(chosen) == self.views and steps in ({1 % self.views}, {self.views - 1})
        rows = {"intrinsics": self.intrinsics[chosen], "world_to_camera": self.world_to_camera[chosen]}
        return replace(self, **rows, closed=self.closed and whole)

    def resized(self, image_size: ImageSize) -> "CameraRig":
        """The same views in pictures of another size (H, W)."""
        check_image_size("CameraRig", image_size)
        scale = torch.tensor([[image_size[1] / self.image_size[1]], [image_size[0] / self.image_size[0]], [1.0]]).to(self.intrinsics)
        return replace(self, intrinsics=self.intrinsics * scale, image_size=image_size)

    def to_camera(self, points: Tensor) -> Tensor:
        """World points (..., 3) -> (V, ..., 3) in the axes of each camera; for moving cameras (T, ..., 3) -> (V, T, ..., 3).

        Raises:
            ValueError: moving cameras and points of another number of frames.
        """
        pose = self.world_to_camera
        if self.frames is None:
            pose = pose[:, None]
        elif points.dim() < 2 or points.shape[0] != self.frames:
            raise ValueError(
                f"the cameras move over {self.frames} frames, the points {tuple(points.shape)} have {points.shape[0] if points.dim() > 1 else 'none'}: "
                "make them of equal length, or take the cameras of one frame with .at(frame)"
            )
        timed = points.reshape(1 if self.frames is None else self.frames, -1, 3).to(pose)
        return (timed @ pose[..., :3].mT + pose[..., None, :, 3]).reshape(self.views, *points.shape)

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points.

        Args:
            points: (..., 3) metres; (T, ..., 3) for moving cameras.

        Returns:
            pixels (V, ..., 2) with pixel centres at +0.5, NaN for points at or behind the camera plane; depth (V, ...), the z in front of each camera.

        Raises:
            ValueError: moving cameras and points of another number of frames.
        """
        seen = self.to_camera(points)
        depth = seen[..., 2]
        axes = "v" if self.frames is None else "vt"
        homogeneous = torch.einsum(f"{axes}ij,{axes}...j->{axes}...i", self.intrinsics.to(seen), seen)
        pixels = homogeneous[..., :2] / depth[..., None]
        return torch.where((depth > 0)[..., None], pixels, torch.nan), depth

    def plucker(self, height: int, width: int) -> Tensor:
        """Plücker rays (direction, moment = centre x direction) through the cell centres of a height x width grid over the image.

        Returns:
            (V, 6, height, width), of moving cameras (V, T, 6, height, width); directions are unit vectors in the world.
        """
        rows = (torch.arange(height).to(self.intrinsics) + 0.5) * (self.image_size[0] / height)
        columns = (torch.arange(width).to(self.intrinsics) + 0.5) * (self.image_size[1] / width)
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        pixels = torch.stack([u, v, torch.ones_like(u)])  # (3, h, w)
        rays = torch.einsum("...ij,jhw->...ihw", torch.linalg.inv(self.intrinsics), pixels)
        direction = torch.einsum("...ji,...jhw->...ihw", self.world_to_camera[..., :3], rays)
        direction = direction / direction.norm(dim=-3, keepdim=True)
        centers = self.centers[..., None, None].expand_as(direction)
        return torch.cat([direction, torch.linalg.cross(centers, direction, dim=-3)], dim=-3)


@dataclass(frozen=True, eq=False, kw_only=True)
class Keypoints:
    """Joints of one person in the pictures of V cameras over T frames.

    pixels: (V, T, J, 2), pixel centres at +0.5, NaN only where the confidence is 0. confidence: (V, T, J) in 0..1. image_size: (H, W) of every view.
    """

    pixels: Tensor
    confidence: Tensor
    image_size: ImageSize

    def __post_init__(self):
        sizes = check_shapes("Keypoints", pixels=(self.pixels, "V T J 2"), confidence=(self.confidence, "V T J"))
        if 0 in sizes.values():
            raise ValueError(f"Keypoints: {sizes['V']} views, {sizes['T']} frames and {sizes['J']} joints; expected at least 1 of each")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("Keypoints: confidence must lie in 0..1")
        if not (torch.isfinite(self.pixels).all(-1) | (self.confidence == 0)).all():
            raise ValueError("Keypoints: pixels have NaN or infinite values where the confidence is above 0")
        check_image_size("Keypoints", self.image_size)

    @property
    def seen(self) -> Tensor:
        """(V, T, J) true where a joint is present."""
        return self.confidence > 0

"""What an estimator finds in frames, and what an estimator is."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise
from typing import Protocol

import torch
from torch import Tensor

from ..shapes import check_shapes
from ..skeletons import SMPL24
from ..types import CameraRig, ImageSize, Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class FramePeople:
    """The P people of one frame, in no order that another frame keeps; P may be 0.

    joints: (P, 24, 3) metres in camera space, NaN only where the confidence is 0. confidence: (P, 24) in 0..1. boxes: (P, 4) pixels x0 y0 x1 y1.
    rotations: (P, 24, 3, 3) local, translation: (P, 3) metres and shape: (P, 10) SMPL betas, as in a Motion, where the estimator gives them.
    """

    joints: Tensor
    confidence: Tensor
    boxes: Tensor
    rotations: Tensor | None = None
    translation: Tensor | None = None
    shape: Tensor | None = None

    def __post_init__(self):
        check_shapes(
            "FramePeople", joints=(self.joints, "P 24 3"), confidence=(self.confidence, "P 24"), boxes=(self.boxes, "P 4"),
            rotations=(self.rotations, "P 24 3 3"), translation=(self.translation, "P 3"), shape=(self.shape, "P 10"),
        )  # fmt: skip
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("FramePeople: confidence must lie in 0..1")
        if not (torch.isfinite(self.joints).all(-1) | (self.confidence == 0)).all():
            raise ValueError("FramePeople: joints have NaN or infinite values where the confidence is above 0")
        for name in ("boxes", "rotations", "translation", "shape"):
            held = getattr(self, name)
            if held is not None and not torch.isfinite(held).all():
                raise ValueError(f"FramePeople: {name} has NaN or infinite values")

    @property
    def count(self) -> int:
        """P."""
        return len(self.joints)

    @classmethod
    def none(cls) -> "FramePeople":
        """A frame without people."""
        return cls(joints=torch.zeros(0, 24, 3), confidence=torch.zeros(0, 24), boxes=torch.zeros(0, 4))


@dataclass(frozen=True, eq=False, kw_only=True)
class Detections:
    """The people in each frame of a clip, not yet linked over time.

    frames: (T) evenly spaced at `fps`. image_size: (H, W). intrinsics: (3, 3) pixels of the camera whose space the joints are in.
    late: (T) seconds from the time of each frame to when its picture was shown, where pictures were placed on an even clock; None: all in time.
    shots: first frames of the shots after the first, increasing. notes: what was assumed, changed or lost on the way.
    """

    frames: tuple[FramePeople, ...]
    fps: float
    image_size: ImageSize
    intrinsics: Tensor
    shots: tuple[int, ...] = ()
    notes: tuple[str, ...] = ()
    skeleton: Skeleton = SMPL24
    late: Tensor | None = None

    def __post_init__(self):
        for name in ("frames", "shots", "notes"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not self.frames:
            raise ValueError("Detections: it has no frames; expected at least 1")
        if not (math.isfinite(self.fps) and self.fps > 0):
            raise ValueError(f"Detections: fps is {self.fps}, expected a finite number above 0")
        check_shapes(
            "Detections", intrinsics=(self.intrinsics, "3 3"), skeleton=(len(self.skeleton.names), "J"), frames=(len(self.frames), "T"), late=(self.late, "T"),
        )  # fmt: skip
        _ = self.camera  # which checks intrinsics and image_size
        bounds = (0, *self.shots, len(self.frames))
        if any(after <= before for before, after in pairwise(bounds)):
            raise ValueError(
                f"Detections: shots {self.shots} of {len(self.frames)} frames, expected increasing frame numbers after frame 0"
            )

    @property
    def camera(self) -> CameraRig:
        """The camera as a rig of one view, for projecting."""
        return CameraRig(intrinsics=self.intrinsics[None], world_to_camera=torch.eye(3, 4)[None], image_size=self.image_size)

    @property
    def counts(self) -> tuple[int, ...]:
        """(T) people in each frame."""
        return tuple(frame.count for frame in self.frames)


class Estimator(Protocol):
    """Finds people in frames, each frame on its own unless it says otherwise."""

    @property
    def name(self) -> str:
        """For reports."""

    @property
    def identity(self) -> Hashable:
        """Equal only for estimators that find the same in the same frames."""

    @property
    def memory(self) -> Hashable | None:
        """What it knows of the frames before: where it is equal, it goes on as it would have then. None: nothing, each frame is on its own."""

    def batch(self, image_size: ImageSize) -> int:
        """Frames of this size (H, W) that it takes at once, at least 1."""

    def detect(self, frames: Tensor, intrinsics: Tensor) -> list[FramePeople]:
        """The people in each of the frames (B, H, W, 3) uint8 RGB, seen by a camera (3, 3) in pixels."""

    def close(self) -> None:
        """Let go of what it holds, its memory too; it may be used again afterwards."""

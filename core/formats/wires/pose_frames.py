"""People frame by frame, as another program found them: what all wire types of detections are read into."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ...shapes import check_shapes
from ...skeletons import SMPL24
from ...types import Frame, ImageSize, Motion

UNTRACKED = "people are in the order in which each frame lists them, not tracked from frame to frame"


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseFrames:
    """The P people of each of T frames in camera space (OpenCV axes); P varies and may be 0.

    joints: (T) of (P, 24, 3) metres, NaN where missing. confidence: (T) of (P, 24), 0 where missing. boxes: (T) of (P, 4) pixels x0 y0 x1 y1, or None.
    image_size (H, W) and intrinsics (3, 3) in pixels are both known, or both None. notes: what was assumed.
    """

    joints: tuple[Tensor, ...]
    confidence: tuple[Tensor, ...]
    boxes: tuple[Tensor, ...] | None = None
    image_size: ImageSize | None = None
    intrinsics: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        for number, (joints, confidence) in enumerate(zip(self.joints, self.confidence, strict=True)):
            boxes = None if self.boxes is None else self.boxes[number]
            check_shapes(f"frame {number}", joints=(joints, "P 24 3"), confidence=(confidence, "P 24"), boxes=(boxes, "P 4"))

    @property
    def people(self) -> int:
        """The most people that one frame has."""
        return max(map(len, self.joints), default=0)

    def motion(self, person: int = 0, *, fps: float) -> Motion:
        """The person at one place of each frame's list, as a motion whose confidence is 0 where a frame is shorter.

        Raises:
            ValueError: no frame has such a person, or none of its joints are there.
        """
        if not 0 <= person < self.people:
            raise ValueError(f"there is no person {person}: the frames have at most {self.people} people, from 0")
        joints = torch.full((len(self.joints), 24, 3), torch.nan)
        confidence = torch.zeros(len(self.joints), 24)
        for frame, (points, trust) in enumerate(zip(self.joints, self.confidence, strict=True)):
            if person < len(points):
                joints[frame], confidence[frame] = points[person], trust[person]
        absent = int((confidence == 0).all(-1).sum())
        if absent == len(joints):
            raise ValueError(f"person {person} has no joints in any frame: choose another person")
        notes = self.notes + ((UNTRACKED,) if self.people > 1 else ())
        if absent:
            notes = (*notes, f"{absent} of {len(joints)} frames are without the person: their joints have confidence 0")
        if self.intrinsics is None:
            notes = (*notes, "picture size unknown: it was not given")
        return Motion(
            joints=joints, confidence=confidence, skeleton=SMPL24, fps=fps, frame=Frame.CAMERA,
            intrinsics=self.intrinsics, image_size=self.image_size, notes=notes,
        )  # fmt: skip

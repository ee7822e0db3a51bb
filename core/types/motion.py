"""Joints that move: the tree of them, and where they are."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from enum import Enum

import torch
from torch import Tensor

from ..shapes import check_shapes
from .checks import ImageSize, check_finite, check_fps, check_image_size, on_cpu


class Frame(Enum):
    """The axes of a motion: WORLD (Y up, a character at rest faces +Z) or CAMERA (OpenCV: x right, y down, z forward)."""

    WORLD = "world"
    CAMERA = "camera"


@dataclass(frozen=True, eq=False, kw_only=True)
class Skeleton:
    """A joint tree.

    names: (J) unique. parents: (J) index of the parent, -1 for a root; parents come before their children.
    mirror: (J) index of the joint on the other side (itself on the midline). rest: (J, 3) metres in WORLD axes, or None.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    rest: Tensor | None = None

    def __post_init__(self):
        for name in ("names", "parents", "mirror"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        count = len(self.names)
        if count == 0 or len(set(self.names)) != count:
            raise ValueError(f"Skeleton: {count} names, {len(set(self.names))} of them different; expected one name for each joint")
        if len(self.parents) != count or not all(-1 <= parent < joint for joint, parent in enumerate(self.parents)):
            raise ValueError(f"Skeleton: parents {self.parents} do not fit {count} joints: each is -1 or an earlier joint")
        if sorted(self.mirror) != list(range(count)) or any(self.mirror[other] != joint for joint, other in enumerate(self.mirror)):
            raise ValueError("Skeleton: mirror must pair the joints: mirror[mirror[j]] == j for each of them")
        check_shapes("Skeleton", names=(count, "J"), rest=(self.rest, "J 3"))
        check_finite("Skeleton", rest=self.rest)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every joint that has a parent."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def roots(self) -> tuple[int, ...]:
        """Joints without a parent; the first is joint 0."""
        return tuple(joint for joint, parent in enumerate(self.parents) if parent < 0)

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """(J) the joints below each joint."""
        below: list[list[int]] = [[] for _ in self.names]
        for child, parent in self.bones:
            below[parent].append(child)
        return tuple(map(tuple, below))

    @property
    def leaves(self) -> tuple[int, ...]:
        """Joints that no joint hangs on: nothing shows how they are turned."""
        carrying = set(self.parents)
        return tuple(joint for joint in range(len(self.names)) if joint not in carrying)

    def index(self, name: str) -> int:
        """Index of the joint called `name`; ValueError lists the names if there is none."""
        if name not in self.names:
            raise ValueError(f"the skeleton has no joint '{name}': it has {', '.join(self.names)}")
        return self.names.index(name)


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """Joints of one person over time.

    joints: (T, J, 3) metres, NaN only where the confidence is 0. confidence: (T, J) in 0..1.
    rotations: (T, J, 3, 3) local, relative to the parent and to the rest pose (identity = rest). translation: (T, 3) metres,
    position of the root joint. shape: (10) SMPL betas. intrinsics: (3, 3) pixels, with image_size (H, W), of the camera that saw the motion.
    notes: what was assumed where the motion was made ("30 fps assumed: the file has none").
    """

    joints: Tensor
    confidence: Tensor
    skeleton: Skeleton
    fps: float
    frame: Frame
    rotations: Tensor | None = None
    translation: Tensor | None = None
    shape: Tensor | None = None
    intrinsics: Tensor | None = None
    image_size: ImageSize | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        sizes = check_shapes(
            "Motion", joints=(self.joints, "T J 3"), confidence=(self.confidence, "T J"), rotations=(self.rotations, "T J 3 3"),
            translation=(self.translation, "T 3"), shape=(self.shape, "10"), intrinsics=(self.intrinsics, "3 3"),
        )  # fmt: skip
        if sizes["T"] == 0:
            raise ValueError("Motion: it has no frames; expected at least 1")
        if sizes["J"] != len(self.skeleton.names):
            raise ValueError(f"Motion: {sizes['J']} joints, but its skeleton has {len(self.skeleton.names)}")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("Motion: confidence must lie in 0..1")
        if not (torch.isfinite(self.joints).all(-1) | (self.confidence == 0)).all():
            raise ValueError(
                "Motion: joints have NaN or infinite values where the confidence is above 0: set it to 0 where a joint is missing"
            )
        check_finite("Motion", rotations=self.rotations, translation=self.translation, shape=self.shape, intrinsics=self.intrinsics)
        check_fps("Motion", self.fps)
        if not isinstance(self.frame, Frame):
            raise ValueError(f"Motion: frame is {self.frame!r}, expected Frame.WORLD or Frame.CAMERA")
        if (self.intrinsics is None) != (self.image_size is None):
            raise ValueError("Motion: intrinsics and image_size come together")
        if self.image_size is not None:
            check_image_size("Motion", self.image_size)

    @property
    def frames(self) -> int:
        """T."""
        return self.joints.shape[0]

    @property
    def seen(self) -> Tensor:
        """(T, J) true where a joint is present."""
        return self.confidence > 0

    def take(self, frames: Sequence[int] | Tensor | slice) -> "Motion":
        """The frames at these indices, in their order; one may come several times."""
        timed = {name: getattr(self, name) for name in ("joints", "confidence", "rotations", "translation")}
        return replace(self, **{name: None if track is None else track[frames] for name, track in timed.items()})

    def cut(self, start: int, stop: int) -> "Motion":
        """Frames `start` up to, but not including, `stop`."""
        return self.take(slice(start, stop))

    def cpu(self) -> "Motion":
        """The motion in the memory of the CPU, without gradients: what files and pictures are made of."""
        return on_cpu(self)

"""What a driving video says."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from ..shapes import check_shapes

if TYPE_CHECKING:
    from ..cues.similarity import Similarity


@dataclass(frozen=True, eq=False, kw_only=True)
class DrivingCues:
    """What a driving video says to a model, frame by frame (DirectAnimator).

    pose: (T, H, W, 3) in 0..1, the low-passed grey person on black. face: (T, h, w, 3) in 0..1, the enlarged face on black, black where there is none.
    body_location, face_location: (T, Y, X) in 0..1, where they stand in the reference picture of Y x X pixels; 0 where they do not.
    kept: (T) bool, the frames whose person mask is good. alignment: from driving to reference pixels. notes: frames that were dropped and why, what was
    assumed and filled in.
    """

    pose: Tensor
    face: Tensor
    body_location: Tensor
    face_location: Tensor
    kept: Tensor
    alignment: "Similarity"
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        sizes = check_shapes(
            "DrivingCues", pose=(self.pose, "T H W 3"), face=(self.face, "T h w 3"), body_location=(self.body_location, "T Y X"),
            face_location=(self.face_location, "T Y X"), kept=(self.kept, "T"),
        )  # fmt: skip
        if 0 in sizes.values():
            raise ValueError(f"DrivingCues: sizes {sizes}, expected at least one frame and one pixel")
        if self.kept.dtype != torch.bool:
            raise ValueError(f"DrivingCues: kept is {self.kept.dtype}, expected bool")
        for name in ("pose", "face", "body_location", "face_location"):
            values = getattr(self, name)
            once = values[..., 0] if values.stride(-1) == 0 else values  # grey as three views of one memory: torch would copy it thrice
            low, high = (float(end) for end in torch.aminmax(once))
            if not (low >= 0 and high <= 1):
                raise ValueError(f"DrivingCues: {name} reaches from {low:g} to {high:g}, expected values in 0..1")

    @property
    def frames(self) -> int:
        """T."""
        return self.pose.shape[0]

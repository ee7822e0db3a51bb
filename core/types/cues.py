"""What a driving video says."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from ..shapes import check_shapes
from .checks import ImageSize


@dataclass(frozen=True, eq=False, kw_only=True)
class Similarity:
    """x_reference = scale * x_driving + shift, in pixels (x, y) with centres at +0.5, the same for all frames of a clip.

    shift: (2) float64. by: what the scale was read from, "height", "face" or "width"; "identity" where nothing moves. used: (T) bool, the frames that the
    scale was read from, or None. notes: what was left out, assumed or limited.
    """

    scale: float
    shift: Tensor
    by: str = "identity"
    used: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "notes", tuple(self.notes))
        check_shapes("Similarity", shift=(self.shift, "2"), used=(self.used, "T"))
        if not (math.isfinite(self.scale) and self.scale > 0 and torch.isfinite(self.shift).all()):
            raise ValueError(
                f"Similarity: scale {self.scale} and shift {self.shift.tolist()}, expected a finite scale above 0 and a finite shift"
            )

    @classmethod
    def identity(cls) -> "Similarity":
        """Of a clip that stands where its reference stands: the reference was taken from it."""
        return cls(scale=1.0, shift=torch.zeros(2, dtype=torch.float64))

    def boxes(self, boxes: Tensor) -> Tensor:
        """Boxes (..., 4) x0 y0 x1 y1 of the driving video in the reference."""
        return boxes * self.scale + self.shift.to(boxes).repeat(2)

    def warp(self, pictures: Tensor, size: ImageSize) -> Tensor:
        """Masks (T, H, W) or pictures (T, H, W, C) of the driving video as the reference, of `size` (H, W), shows them: bilinear, 0 beyond the video."""
        check_shapes("warp", pictures=(pictures, "T H W" if pictures.dim() == 3 else "T H W C"))
        values = pictures if pictures.dtype in (torch.float32, torch.float64) else pictures.float()
        rows, columns = values.shape[1:3]
        if self.scale == 1 and not self.shift.any() and (rows, columns) == tuple(size):
            return values.clone()
        lines = []
        for axis, (side, old) in enumerate(((size[1], columns), (size[0], rows))):
            places = (torch.arange(side, dtype=torch.float64) + 0.5 - float(self.shift[axis])) / self.scale
            lines.append((2 * places / old - 1).to(values))
        grid = torch.stack(torch.meshgrid(lines[0], lines[1], indexing="xy"), -1)[None]  # (1, h, w, 2) for all frames
        if values.dim() == 3:
            return functional.grid_sample(values[None], grid, align_corners=False)[0]
        warped = values.new_empty(len(values), *size, values.shape[-1])
        for frame, target in zip(values, warped, strict=True):
            target.copy_(functional.grid_sample(frame.movedim(-1, 0)[None], grid, align_corners=False)[0].movedim(0, -1))
        return warped

    def report(self) -> str:
        """What the similarity is, in lines."""
        x, y = self.shift.tolist()
        return "\n".join([f"scale {self.scale:.4f} by the {self.by}, shift ({x:.1f}, {y:.1f}) pixels", *self.notes])


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
    alignment: Similarity
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

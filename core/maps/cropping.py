"""A part of a picture cut out at a given size, and put back."""

import math

import torch
from torch import Tensor

from ..types import ImageSize
from .resampling import resample

_KERNEL_REACH = 2  # pixels, or shrunken pixels, that the kernel of `resample` looks to either side


def flatten_alpha(picture: Tensor, background: Tensor) -> Tensor:
    """(..., 3) of a picture (..., 3 or 4): one with transparency over a background (3)."""
    if picture.shape[-1] == 3:
        return picture
    return torch.lerp(background.to(picture), picture[..., :3], picture[..., 3:])


def crop_picture(picture: Tensor, corner: tuple[float, float], crop_size: ImageSize, size: ImageSize, background: Tensor) -> Tensor:
    """Cut a part out of a picture (H, W, 3 or 4) that continues beyond its edges, and behind its transparency, in a background colour (3).

    Args:
        corner: (x, y) pixels of the left and upper edge of the part, with pixel centres at +0.5; it may have fractions and lie outside.
        crop_size: (H, W) of the part in the picture. size: (H, W) that it is brought to. Where they are equal and the corner has no fractions, pixels are copied.

    Returns:
        (h, w, 3) in the type of the picture.
    """
    background = background.to(picture)
    edges = [(corner[1 - axis], corner[1 - axis] + crop_size[axis]) for axis in (0, 1)]  # begin and end of the rows, then of the columns
    reach = [_KERNEL_REACH * max(crop_size[axis] / size[axis], 1.0) + 1 for axis in (0, 1)]
    copied = crop_size == size and all(float(place).is_integer() for place in corner)
    if copied:
        reach = [0.0, 0.0]
    spans = [
        (max(0, math.floor(begin - more)), min(side, math.ceil(end + more)))
        for (begin, end), more, side in zip(edges, reach, picture.shape[:2], strict=True)
    ]
    (top, bottom), (left, right) = spans
    if top >= bottom or left >= right:
        return background.expand(*size, 3).clone()
    part = flatten_alpha(picture[top:bottom, left:right], background)
    if copied:
        whole = background.repeat(*size, 1)
        row, column = top - int(corner[1]), left - int(corner[0])
        whole[row : row + bottom - top, column : column + right - left] = part
        return whole
    box = (edges[1][0] - left, edges[0][0] - top, edges[1][1] - left, edges[0][1] - top)
    return resample(part.float(), *size, box=box, outside=background.float()).to(picture)


def paste_picture(
    target: Tensor, crop: Tensor, corner: tuple[float, float], crop_size: ImageSize, *, mask: Tensor | None = None, feather: float = 0.0
) -> None:
    """Put a part back into a picture (H, W, 3), in place: the inverse of `crop_picture`, without what lay beyond the edges.

    Args:
        crop: (h, w, 3 or 4), the part at any size; its transparency lets the picture through.
        mask: (h, w) in 0..1, 1 where the part covers the picture.
        feather: pixels of the picture over which the part fades in from its edges, except where those are the picture's.
    """
    spans = [_covered(corner[1 - axis], crop_size[axis], target.shape[axis]) for axis in (0, 1)]
    (top, bottom), (left, right) = spans
    if top >= bottom or left >= right:
        return
    scale = [crop.shape[axis] / crop_size[axis] for axis in (0, 1)]
    begin = [(span[0] - corner[1 - axis]) * scale[axis] for axis, span in enumerate(spans)]
    end = [(span[1] - corner[1 - axis]) * scale[axis] for axis, span in enumerate(spans)]

    def inside(picture: Tensor) -> Tensor:
        size = bottom - top, right - left
        if scale == [1.0, 1.0] and all(place.is_integer() for place in begin):
            rows, columns = int(begin[0]), int(begin[1])
            return picture[rows : rows + size[0], columns : columns + size[1]]
        return resample(picture.float(), *size, box=(begin[1], begin[0], end[1], end[0]))

    place, part = target[top:bottom, left:right], inside(crop).to(target)
    weight = None
    if feather > 0:
        ramps = (_ramp(span, corner[1 - axis], crop_size[axis], target.shape[axis], feather) for axis, span in enumerate(spans))
        weight = torch.outer(*ramps).to(target)
    for cover in (part[..., 3] if part.shape[-1] == 4 else None, None if mask is None else inside(mask[..., None])[..., 0].to(target)):
        if cover is not None:
            weight = cover if weight is None else weight * cover
    place.copy_(part[..., :3] if weight is None else torch.lerp(place, part[..., :3], weight[..., None]))


def _covered(begin: float, length: int, side: int) -> tuple[int, int]:
    """The pixels of a line of `side` whose centres lie in a part that begins at `begin`."""
    return max(0, math.ceil(begin - 0.5)), min(side, math.ceil(begin + length - 0.5))


def _ramp(span: tuple[int, int], begin: float, length: int, side: int, feather: float) -> Tensor:
    """Weight (n) of the pixels of a part along one axis: rising over `feather` pixels from its ends that are no ends of the picture."""
    centres = torch.arange(*span, dtype=torch.float64) + 0.5
    rise = centres - begin if begin > 0 else torch.full_like(centres, torch.inf)
    fall = begin + length - centres if begin + length < side else torch.full_like(centres, torch.inf)
    return (torch.minimum(rise, fall) / feather).clamp(0, 1)

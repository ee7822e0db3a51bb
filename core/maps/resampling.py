"""Pictures brought to another size, exact where it matters: no shift, no fringes, and the same picture at the same size."""

import math

import torch
from torch import Tensor
from torch.nn import functional

_SHARPNESS = -0.5  # of the cubic kernel, as in Pillow


def resample(
    pictures: Tensor, height: int, width: int, *, box: tuple[float, float, float, float] | None = None, outside: Tensor | None = None
) -> Tensor:
    """Resample by a cubic kernel that grows as wide as a shrunken pixel (Pillow's antialiased BICUBIC).

    Args:
        pictures: (..., H, W, C) in 0..1.
        box: left, top, right, bottom of the part to show, in pixels whose centres are at +0.5; it may have fractions. None: all of it.
        outside: (C) colour of everything beyond the pictures, into which the box may then reach; None assumes nothing there.

    Returns:
        (..., height, width, C) in 0..1 (the kernel overshoots at edges, and is cut there); the same tensor where nothing is to be done.
    """
    rows, columns = pictures.shape[-3:-1]
    left, top, right, bottom = (0.0, 0.0, float(columns), float(rows)) if box is None else box
    if (height, width) == (rows, columns) and (left, top, right, bottom) == (0, 0, columns, rows):
        return pictures
    endless = outside is not None
    part = pictures if outside is None else pictures - outside
    part = _along(part, -3, *_taps(rows, height, top, bottom, endless=endless))
    part = _along(part, -2, *_taps(columns, width, left, right, endless=endless))
    return (part if outside is None else part.add_(outside)).clamp_(0, 1)


def _along(pictures: Tensor, axis: int, indices: Tensor, weights: Tensor) -> Tensor:
    """Lines of pixels along an axis as weighted sums of others: most weights of a picture's length are 0, a matrix of them would be slow."""
    lines = pictures.movedim(axis, 0)
    indices, weights = indices.to(pictures.device), weights.to(pictures)
    mixed = functional.embedding_bag(indices, lines.reshape(len(lines), -1), mode="sum", per_sample_weights=weights)
    return mixed.reshape(-1, *lines.shape[1:]).movedim(0, axis)


def _taps(size: int, count: int, begin: float, end: float, *, endless: bool) -> tuple[Tensor, Tensor]:
    """Which old pixels of a line are in each new one, and their shares, both (count, K); new pixels cover begin..end. Beyond the line nothing is assumed, or
    (endless) there are pixels whose shares are left out."""
    step = (end - begin) / count
    width = max(step, 1.0)
    reach = math.ceil(2 * width)
    centres = begin + step * (torch.arange(count, dtype=torch.float64)[:, None] + 0.5)
    indices = centres.floor().long() + torch.arange(-reach, reach + 1)
    kernel = _cubic((indices + 0.5 - centres).abs() / width)
    inside = (indices >= 0) & (indices < size)
    shares = torch.where(inside, kernel, 0.0)
    return indices.clamp(0, size - 1), (shares / (kernel if endless else shares).sum(1, keepdim=True)).float()


def _cubic(distance: Tensor) -> Tensor:
    near = (_SHARPNESS + 2) * distance**3 - (_SHARPNESS + 3) * distance**2 + 1
    far = _SHARPNESS * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    return torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))

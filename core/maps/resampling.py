"""Pictures brought to another size, exact where it matters: no shift, no fringes, and the same picture at the same size."""

import torch
from torch import Tensor

_SHARPNESS = -0.5  # of the cubic kernel, as in Pillow


def resample(pictures: Tensor, height: int, width: int, *, box: tuple[float, float, float, float] | None = None) -> Tensor:
    """Resample by a cubic kernel that grows as wide as a shrunken pixel (Pillow's antialiased BICUBIC).

    Args:
        pictures: (..., H, W, C) in 0..1.
        box: left, top, right, bottom of the part to show, in pixels whose centres are at +0.5; it may have fractions. None: all of it.

    Returns:
        (..., height, width, C) in 0..1 (the kernel overshoots at edges, and is cut there); the same tensor where nothing is to be done.
    """
    rows, columns = pictures.shape[-3:-1]
    left, top, right, bottom = (0.0, 0.0, float(columns), float(rows)) if box is None else box
    if (height, width) == (rows, columns) and (left, top, right, bottom) == (0, 0, columns, rows):
        return pictures
    down = _weights(rows, height, top, bottom).to(pictures)
    across = _weights(columns, width, left, right).to(pictures)
    return torch.einsum("ih,...hwc,jw->...ijc", down, pictures, across).clamp(0, 1)


def _weights(size: int, count: int, begin: float, end: float) -> Tensor:
    """(count, size) share of each old pixel of a line in each new one; new pixels cover begin..end, and beyond the line nothing is assumed."""
    step = (end - begin) / count
    centres = begin + step * (torch.arange(count, dtype=torch.float64) + 0.5)
    distance = (torch.arange(size, dtype=torch.float64) + 0.5 - centres[:, None]).abs() / max(step, 1.0)
    near = (_SHARPNESS + 2) * distance**3 - (_SHARPNESS + 3) * distance**2 + 1
    far = _SHARPNESS * (distance**3 - 5 * distance**2 + 8 * distance - 4)
    kernel = torch.where(distance < 1, near, torch.where(distance < 2, far, 0.0))
    return (kernel / kernel.sum(1, keepdim=True)).float()

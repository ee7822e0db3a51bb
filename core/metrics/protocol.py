"""How the published tables on TikTok dancing videos were measured.

DisCo (Wang et al., CVPR 2024) gave the script (tool/metrics/ssim_l1_lpips_psnr.py) that papers since then compare with. It differs from the textbook: its PSNR
subtracts and squares in 8 bits that wrap around, and its L1 divides by the number of pixels twice, so that it depends on the size of the pictures. Both are
here beside the right ones (`images.py`), for comparing with those tables and for nothing else.
"""

import torch
from torch import Tensor

from ..maps.resampling import resample
from .images import check_frames, check_pair, unit_values

TIKTOK_SIDE = 512
_IDENTICAL_DB = 100.0  # what the script calls an infinite ratio


def fit_square(frames: Tensor, side: int = TIKTOK_SIDE, *, name: str = "frames") -> Tensor:
    """Resize with the proportions kept, so that the shorter side becomes `side`, and take the square in the centre.

    Args:
        frames: (T, H, W, 3), floating point in 0..1 or uint8.

    Returns:
        (T, side, side, 3) float32 in 0..1; squares of that side keep their values.

    Raises:
        ValueError: a side below 1, or no frames.
    """
    check_frames(name, frames)
    if side < 1:
        raise ValueError(f"a square of {side} pixels, expected at least 1")
    height, width = frames.shape[1:3]
    shorter = min(height, width)
    left, top = (width - shorter) / 2, (height - shorter) / 2
    box = (left, top, left + shorter, top + shorter)
    squares = frames.new_empty((len(frames), side, side, 3), dtype=torch.float32)
    for square, frame in zip(squares, frames, strict=True):
        square.copy_(resample(unit_values(frame), side, side, box=box))
    return squares


def published_psnr(generated: Tensor, reference: Tensor) -> Tensor:
    """(T) decibels of differences and squares modulo 256, never below 24; 100 where that is 0 everywhere. ValueError as `images.psnr`."""
    check_pair(generated, reference)
    wrapped = torch.stack([_differences(*pair).square().remainder(256).double().mean() for pair in zip(generated, reference, strict=True)])
    return torch.where(wrapped == 0, _IDENTICAL_DB, 10 * (255**2 / wrapped).log10()).cpu()


def published_l1(generated: Tensor, reference: Tensor) -> Tensor:
    """(T) mean absolute difference of values in 0..255, divided by height x width: the tables print it in units of 1e-4. ValueError as `images.psnr`."""
    check_pair(generated, reference)
    pixels = generated.shape[1] * generated.shape[2]
    return torch.stack([_differences(*pair).double().abs().mean() / pixels for pair in zip(generated, reference, strict=True)]).cpu()


def _differences(one: Tensor, other: Tensor) -> Tensor:
    """int32 differences of two frames as 8-bit files hold them."""
    first, second = ((unit_values(frame).clamp(0, 1) * 255).round().int() for frame in (one, other))
    return first - second

"""Frames against frames: peak signal to noise ratio, structural similarity and mean absolute difference, each a number for every frame.

Frames are (T, H, W, 3), floating point in 0..1 or uint8. Nothing is resized here: `protocol.py` brings videos to one size.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from ..maps.colours import LUMINANCE

_BATCH_PIXELS = 1 << 18  # of the frames that are measured at once
_TOLERANCE = 1e-3  # beyond 0..1
_WINDOW, _SIGMA = 11, 1.5
_K1, _K2 = 0.01, 0.03


def psnr(generated: Tensor, reference: Tensor) -> Tensor:
    """(T) decibels, 10 log10(1 / mean squared difference); infinite where two frames are identical.

    Raises:
        ValueError: frames of different number, size or kind; see `check_pair`.
    """
    return over_frames(generated, reference, lambda one, other: -10 * (one - other).double().square().mean((1, 2, 3)).log10())


def l1(generated: Tensor, reference: Tensor) -> Tensor:
    """(T) mean absolute difference of the values in 0..1; ValueError as `psnr`."""
    return over_frames(generated, reference, lambda one, other: (one - other).double().abs().mean((1, 2, 3)))


def ssim(generated: Tensor, reference: Tensor, *, grey: bool = False) -> Tensor:
    """(T) mean structural similarity (Wang, Bovik, Sheikh & Simoncelli, IEEE TIP 2004): a Gaussian window of 11x11 with sigma 1.5, K1 = 0.01, K2 = 0.03, range 1.

    Only windows that lie wholly in the picture count, and variances are those of the window (not of a sample), as in the authors' code.

    Args:
        grey: of the luminance, as the authors measure; otherwise the mean over red, green and blue.

    Raises:
        ValueError: as `psnr`, or frames below 11x11 pixels.
    """
    if min(generated.shape[1:3]) < _WINDOW:
        raise ValueError(
            f"frames of {generated.shape[2]}x{generated.shape[1]} pixels, the window of SSIM needs 11x11: bring them to a larger size"
        )
    return over_frames(generated, reference, lambda one, other: similarity(_planes(one, grey), _planes(other, grey), _gaussian_means))


def check_frames(name: str, frames: Tensor) -> None:
    """Frames (T, H, W, 3), floating point in 0..1 or uint8.

    Raises:
        ValueError: another shape (transparency among them), no frames, another type, or values beyond 0..1 or none.
    """
    if frames.ndim != 4 or 0 in frames.shape or frames.shape[-1] != 3:
        remedy = ": lay pictures with transparency over a background first" if frames.ndim == 4 and frames.shape[-1] == 4 else ""
        raise ValueError(f"{name} has shape {tuple(frames.shape)}, expected frames (T, H, W, 3){remedy}")
    if frames.dtype == torch.uint8:
        return
    if not frames.is_floating_point():
        raise ValueError(f"{name} is {frames.dtype}, expected floating point in 0..1, or uint8")
    low, high = (float(edge) for edge in frames.aminmax())
    if not (low >= -_TOLERANCE and high <= 1 + _TOLERANCE):
        raise ValueError(f"{name} has values from {low:g} to {high:g}, expected 0..1: divide by 255 what is in 0..255, or give it as uint8")


def check_pair(generated: Tensor, reference: Tensor) -> None:
    """Two videos that can be compared frame by frame.

    Raises:
        ValueError: what `check_frames` refuses, or another number or size of frames.
    """
    check_frames("generated", generated)
    check_frames("reference", reference)
    if len(generated) != len(reference):
        raise ValueError(
            f"generated has {len(generated)} frames, reference has {len(reference)}: cut them to one length, frame 0 of one belongs to frame 0 of the other"
        )
    if generated.shape != reference.shape:
        (height, width), (rows, columns) = generated.shape[1:3], reference.shape[1:3]
        raise ValueError(
            f"generated is {width}x{height}, reference is {columns}x{rows}: resize one of them, or measure both by the protocol TikTok (fit_square)"
        )


def unit_values(frames: Tensor) -> Tensor:
    """float32 in 0..1 of checked frames."""
    return frames.float() / 255 if frames.dtype == torch.uint8 else frames.float()


def over_frames(generated: Tensor, reference: Tensor, measure: Callable[[Tensor, Tensor], Tensor]) -> Tensor:
    """(T) what `measure`, two batches (N, H, W, 3) in 0..1 -> (N), says of a video part by part; ValueError as `check_pair`."""
    check_pair(generated, reference)
    size = max(1, _BATCH_PIXELS // (generated.shape[1] * generated.shape[2]))
    parts = zip(generated.split(size), reference.split(size), strict=True)
    return torch.cat([measure(unit_values(one), unit_values(other)).cpu() for one, other in parts])


def _planes(frames: Tensor, grey: bool) -> Tensor:
    """(N, H, W, 3) -> (N, 1 or 3, H, W)."""
    return (frames @ frames.new_tensor(LUMINANCE))[:, None] if grey else frames.permute(0, 3, 1, 2)


def similarity(one: Tensor, other: Tensor, window_means: Callable[[Tensor], Tensor], *, sample: float = 1.0) -> Tensor:
    """(N) mean structural similarity of planes (N, C, H, W) in 0..1. In double: variances of bright flat areas are small differences of large numbers.

    Args:
        window_means: planes -> their means over windows. sample: what variances are multiplied with; N / (N - 1) makes those of a window of N those of a sample.
    """
    one, other = one.double(), other.double()
    mean_one, mean_other, square_one, square_other, product = (
        window_means(part) for part in (one, other, one.square(), other.square(), one * other)
    )
    c1, c2 = _K1**2, _K2**2
    both = mean_one * mean_other
    squares = mean_one.square() + mean_other.square()
    spread, shared = sample * (square_one + square_other - squares), sample * (product - both)
    return (((2 * both + c1) * (2 * shared + c2)) / ((squares + c1) * (spread + c2))).mean((1, 2, 3))


def _gaussian_means(planes: Tensor) -> Tensor:
    """(N, C, H, W) -> (N, C, H - 10, W - 10). By shifted sums: convolutions in double precision lay out eleven copies of the planes first."""
    weights = [math.exp(-((place - _WINDOW // 2) ** 2) / (2 * _SIGMA**2)) for place in range(_WINDOW)]
    for axis in (-2, -1):
        length = planes.shape[axis] - _WINDOW + 1
        means = planes.narrow(axis, 0, length) * (weights[0] / sum(weights))
        for place in range(1, _WINDOW):
            means.add_(planes.narrow(axis, place, length), alpha=weights[place] / sum(weights))
        planes = means
    return planes

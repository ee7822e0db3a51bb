"""How the published tables on TikTok dancing videos were measured.

DisCo (Wang et al., CVPR 2024) gave the script (tool/metrics/ssim_l1_lpips_psnr.py) that papers since then compare with. It differs from the textbook: its PSNR
subtracts and squares in 8 bits that wrap around, its L1 divides by the number of pixels twice, so that it depends on the size of the pictures, and its SSIM is
scikit-image's of the grey picture, with flat windows of 7x7. (Its LPIPS gives the VGG network pictures in 0..1, where -1..1 is meant.) They are here beside the
right ones (`images.py`), for comparing with those tables and for nothing else.
"""

from dataclasses import replace

import torch
from torch import Tensor
from torch.nn import functional

from ..maps.colours import LUMINANCE
from ..maps.resampling import resample
from ..types import ImageSize, Keypoints
from .images import check_frames, check_pair, over_frames, similarity, unit_values

TIKTOK_SIDE = 512
_WINDOW = 7
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
    left, top, shorter = _square(tuple(frames.shape[1:3]))
    box = (left, top, left + shorter, top + shorter)
    squares = frames.new_empty((len(frames), side, side, 3), dtype=torch.float32)
    for square, frame in zip(squares, frames, strict=True):
        square.copy_(resample(unit_values(frame), side, side, box=box))
    return squares


def fit_square_keypoints(keypoints: Keypoints, side: int = TIKTOK_SIDE) -> Keypoints:
    """Keypoints where `fit_square` puts what they lie on; those outside of the square stay."""
    left, top, shorter = _square(keypoints.image_size)
    pixels = (keypoints.pixels - keypoints.pixels.new_tensor([left, top])) * (side / shorter)
    return replace(keypoints, pixels=pixels, image_size=(side, side))


def fit_square_boxes(boxes: Tensor, image_size: ImageSize, side: int = TIKTOK_SIDE) -> Tensor:
    """Boxes (T, 4) of pictures (H, W), left, top, right, bottom in pixels, where `fit_square` puts them; NaN where nothing of them is left."""
    left, top, shorter = _square(image_size)
    moved = (boxes - boxes.new_tensor([left, top, left, top])) * (side / shorter)
    outside = (moved[:, :2] >= side).any(1) | (moved[:, 2:] <= 0).any(1)
    return torch.where(outside[:, None], torch.nan, moved)


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


def published_ssim(generated: Tensor, reference: Tensor) -> Tensor:
    """(T) mean structural similarity of 8-bit grey frames over flat windows of 7x7, with variances of a sample. ValueError as `images.ssim`."""
    if min(generated.shape[1:3]) < _WINDOW:
        raise ValueError(f"frames of {generated.shape[2]}x{generated.shape[1]} pixels, the window of the published SSIM needs 7x7")
    sample = _WINDOW**2 / (_WINDOW**2 - 1)

    def means(planes: Tensor) -> Tensor:
        return functional.avg_pool2d(planes, _WINDOW, 1)

    return over_frames(generated, reference, lambda one, other: similarity(_grey(one), _grey(other), means, sample=sample))


def _square(image_size: ImageSize) -> tuple[float, float, int]:
    """Left and top of the square in the centre of a picture, and its side."""
    height, width = image_size
    side = min(height, width)
    return (width - side) / 2, (height - side) / 2, side


def _grey(frames: Tensor) -> Tensor:
    """(N, H, W, 3) in 0..1 -> (N, 1, H, W) in steps of 1 / 255."""
    values = (frames.clamp(0, 1) * 255).round().double()
    return (values @ values.new_tensor(LUMINANCE)).round()[:, None] / 255


def _differences(one: Tensor, other: Tensor) -> Tensor:
    """int32 differences of two frames as 8-bit files hold them."""
    first, second = ((unit_values(frame).clamp(0, 1) * 255).round().int() for frame in (one, other))
    return first - second

"""Low-pass filters in the frequency domain, with the picture mirrored beyond its edges (DirectAnimator, the pose cue)."""

import math
from collections.abc import Callable

import torch
from torch import Tensor

SHAPES = ("gaussian", "ideal", "butterworth")
CUTOFF = 30.0  # bins of the shorter side: creases and hair go, limbs stay
_REACH = {"gaussian": 3.0, "ideal": 10.0, "butterworth": 10.0}  # mirrored border, in standard deviations of the Gaussian of the same cutoff
_LEAST_CUTOFF = 1.0  # a wave over the whole picture; below it the border would outgrow the picture
_TOGETHER = 4  # frames in one transform: what fits the caches of a CPU is fastest


def low_pass(
    gray: Tensor,
    *,
    cutoff: float = CUTOFF,
    shape: str = "gaussian",
    order: int = 2,
    batch: int = _TOGETHER,
    advance: Callable[[int], None] | None = None,
) -> Tensor:
    """Frames without their fine detail; a flat picture stays as it is.

    Args:
        gray: (T, H, W), grey values of any range.
        cutoff: rho_c in bins, that is waves over the shorter side of the picture. The gain there is exp(-1/2) = 0.61 for the Gaussian
            exp(-rho^2 / (2 rho_c^2)), 1/2 for Butterworth's 1 / (1 + (rho / rho_c)^(2 order)), and the last that is 1 for the ideal one.
        shape: of SHAPES. Behind sharp edges the ideal one leaves rings, the Gaussian none.
        order: Butterworth only.
        batch: frames transformed together; it changes nothing but the time.
        advance: called with the number of frames after each batch; what it raises ends the work.

    Returns:
        (T, H, W). The ideal and the Butterworth filter overshoot at edges: values are not clipped here.

    Raises:
        ValueError: no frames or pixels, values that are no floats, or options outside their ranges.
    """
    check_filter(cutoff=cutoff, shape=shape, order=order)
    if gray.dim() != 3 or 0 in gray.shape or not gray.is_floating_point():
        raise ValueError(
            f"the grey frames are {gray.dtype} of shape {tuple(gray.shape)}, expected floats (T, H, W) with at least one frame and pixel"
        )
    if batch < 1:
        raise ValueError(f"batch is {batch}, expected 1 frame or more")
    work = torch.float64 if gray.dtype == torch.float64 else torch.float32
    filtered = FrequencyFilter(gray.shape[1], gray.shape[2], cutoff=cutoff, shape=shape, order=order, device=gray.device, dtype=work)
    result = torch.empty_like(gray, memory_format=torch.contiguous_format)
    for part, into in zip(gray.split(batch), result.split(batch), strict=True):
        into.copy_(filtered(part.to(work)))
        if advance is not None:
            advance(len(part))
    return result


class FrequencyFilter:
    """A low-pass for pictures of one size: (n, H, W) -> (n, H, W) in its own precision."""

    def __init__(
        self,
        height: int,
        width: int,
        *,
        cutoff: float = CUTOFF,
        shape: str = "gaussian",
        order: int = 2,
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ):
        check_filter(cutoff=cutoff, shape=shape, order=order)
        density = cutoff / min(height, width)  # cycles per pixel
        border = math.ceil(_REACH[shape] / (2 * math.pi * density))
        self.size = height, width
        self.border = border
        self.padded = tuple(fast_length(side + 2 * border) for side in self.size)
        self.rows, self.columns = (_mirrored(side, border, whole).to(device) for side, whole in zip(self.size, self.padded, strict=True))
        vertical = torch.fft.fftfreq(self.padded[0], device=device, dtype=torch.float64)[:, None]
        across = torch.fft.rfftfreq(self.padded[1], device=device, dtype=torch.float64)
        self.gain = gain(torch.hypot(*torch.broadcast_tensors(vertical, across)), density, shape=shape, order=order).to(dtype)

    def __call__(self, pictures: Tensor) -> Tensor:
        waves = torch.fft.rfft2(pictures[:, self.rows][:, :, self.columns])
        smooth = torch.fft.irfft2(waves.mul_(self.gain), s=self.padded)
        height, width = self.size
        return smooth[:, self.border : self.border + height, self.border : self.border + width]


def gain(density: Tensor, cutoff: float, *, shape: str = "gaussian", order: int = 2) -> Tensor:
    """What is left of waves of `density`, for a cutoff in the same unit (cycles per pixel, or bins)."""
    ratio = density / cutoff
    if shape == "gaussian":
        return torch.exp(-0.5 * ratio.square())
    return (ratio <= 1).to(density) if shape == "ideal" else 1 / (1 + ratio ** (2 * order))


def check_filter(*, cutoff: float, shape: str, order: int) -> None:
    """ValueError for options that no filter has."""
    if shape not in SHAPES:
        raise ValueError(f"filter shape is '{shape}', expected one of {', '.join(SHAPES)}")
    if not (math.isfinite(cutoff) and cutoff >= _LEAST_CUTOFF):
        raise ValueError(
            f"cutoff is {cutoff}, expected {_LEAST_CUTOFF:g} wave over the shorter side of the picture or more: 30 keeps limbs and drops creases"
        )
    if order < 1:
        raise ValueError(f"order is {order}, expected 1 or more: 2 is usual")


def fast_length(least: int) -> int:
    """The first length from `least` on with no prime factor above 5: what Fourier transforms are quick at."""

    def rest(number: int) -> int:
        for prime in (2, 3, 5):
            while number % prime == 0:
                number //= prime
        return number

    while rest(least) != 1:
        least += 1
    return least


def _mirrored(side: int, border: int, length: int) -> Tensor:
    """(length) pixel of a line of `side` at each place of one that begins `border` earlier and is mirrored at its end pixels, as often as needed."""
    if side == 1:
        return torch.zeros(length, dtype=torch.long)
    period = 2 * (side - 1)
    place = (torch.arange(length) - border) % period
    return torch.minimum(place, period - place)

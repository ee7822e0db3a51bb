"""What frames and masks may be: checked before any work, and made floats in 0..1 a few at a time."""

import torch
from torch import Tensor

from ..maps.cropping import flatten_alpha

_BYTE = 255
_OVERSHOOT = 0.1  # resizing with sharp kernels leaves such values; 8-bit ones in floats go far beyond


def check_frames(frames: Tensor, *, name: str = "the frames") -> tuple[str, ...]:
    """Notes on frames (T, H, W, 3 or 4), uint8 or floats in 0..1.

    Raises:
        ValueError: another shape, other numbers, or a range that is not 0..1.
    """
    if frames.dim() != 4 or frames.shape[-1] not in (3, 4) or 0 in frames.shape:
        raise ValueError(
            f"{name} have shape {tuple(frames.shape)}, expected (T, H, W, 3), or 4 with transparency, and at least one frame and pixel"
        )
    notes = ["transparent frames laid over black"] if frames.shape[-1] == 4 else []
    if frames.dtype != torch.uint8:
        notes += _check_range(frames, name)
    return tuple(notes)


def check_masks(masks: Tensor, frames: Tensor, *, name: str = "the person masks") -> Tensor:
    """Masks (T, H, W) of frames (T, H, W, ...) as floats in 0..1; bool and bytes are made such.

    Raises:
        ValueError: no masks, or masks of another number or size than the frames, or a range that is not 0..1.
    """
    if masks.dim() != 3 or 0 in masks.shape:
        raise ValueError(f"{name} have shape {tuple(masks.shape)}, expected (T, H, W) and at least one frame and pixel")
    if len(masks) != len(frames):
        raise ValueError(f"{name} are {len(masks)} for {len(frames)} frames: give one for each frame, cut to the same part of the video")
    if masks.shape[1:] != frames.shape[1:3]:
        given, wanted = (f"{shape[2]}x{shape[1]}" for shape in (masks.shape, frames.shape))
        raise ValueError(f"{name} have {given} pixels, the frames {wanted}: make the masks from these frames, or resize them to {wanted}")
    return unit_masks(masks, name)


def unit_masks(masks: Tensor, name: str = "masks") -> Tensor:
    """Masks of 0..1, bool, or bytes of 0..255 (of 0..1, if they have no more) as float32 in 0..1; the overshoot that resizing leaves is cut off.

    Raises:
        ValueError: NaN, or values outside these ranges.
    """
    if masks.dtype == torch.bool or not masks.numel():
        return masks.float()
    low, high = (float(end) for end in torch.aminmax(masks))
    if not masks.is_floating_point() and low >= 0 and high <= _BYTE:
        return masks.float() / (_BYTE if high > 1 else 1)
    if _is_beyond(low, high):
        remedy = "divide by 255" if high <= _BYTE and low >= 0 else "check the node before"
        raise ValueError(f"values of {name} reach from {low:g} to {high:g}, expected values in 0..1, or bytes of 0..255: {remedy}")
    return masks.float() if low >= 0 and high <= 1 else masks.float().clamp(0, 1)


def colours(frames: Tensor) -> Tensor:
    """Some checked frames as floats (t, H, W, 3), transparent ones on black; the frames themselves where they are that already."""
    if frames.dtype == torch.uint8:
        frames = frames.float() / 255
    elif frames.dtype in (torch.float16, torch.bfloat16):
        frames = frames.float()
    return flatten_alpha(frames, torch.zeros(3))


def _is_beyond(low: float, high: float) -> bool:
    """Whether values reach farther out of 0..1 than resizing leaves them, or are no numbers."""
    return not (low >= -_OVERSHOOT and high <= 1 + _OVERSHOOT)


def _check_range(values: Tensor, name: str) -> list[str]:
    if not values.is_floating_point():
        raise ValueError(f"{name} are {values.dtype}, expected bytes (uint8) or floats in 0..1")
    low, high = (float(end) for end in torch.aminmax(values))
    if _is_beyond(low, high):
        remedy = "divide 8-bit values by 255" if low >= 0 and 1 < high <= _BYTE else "check the node before"
        raise ValueError(f"values of {name} reach from {low:g} to {high:g}, expected colours in 0..1: {remedy}")
    return [f"{name}: colours from {low:.3g} to {high:.3g} clipped to 0..1"] if low < 0 or high > 1 else []

"""Frames brought to the size and number that drawings need, and maps laid over them."""

import torch
from torch import Tensor

from ..types import ImageSize
from .drawing import overlay

_PROPORTION = 0.02  # up to this relative difference of the proportions frames are stretched, beyond it they are cut


def fit_background(frames: Tensor | None, image_size: ImageSize, count: int) -> Tensor | None:
    """Bring frames (T, H, W, 3 or 4) in 0..1 to `image_size` (H, W) and cut them to `count`; a single frame stays one, None stays None.

    Frames of other proportions fill the picture: what juts out on two sides is cut off.

    Raises:
        ValueError: fewer than `count` frames, more than one.
    """
    if frames is None:
        return None
    if len(frames) != 1 and len(frames) < count:
        raise ValueError(f"the background has {len(frames)} frames, the motion {count}: give one frame, or one for each")
    frames = frames[:count, ..., :3]
    if frames.shape[1:3] == image_size:
        return frames.float()
    import cv2

    frames = _same_proportions(frames, image_size)
    fitted = torch.empty(len(frames), *image_size, 3)
    shrinks = frames.shape[1] * frames.shape[2] > image_size[0] * image_size[1]
    for target, frame in zip(fitted, frames, strict=True):
        picture = frame.cpu().float().contiguous().numpy()
        target.copy_(torch.from_numpy(cv2.resize(picture, image_size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)))
    return fitted


def _same_proportions(frames: Tensor, image_size: ImageSize) -> Tensor:
    """The middle of frames (T, H, W, C) that has the proportions of `image_size`."""
    height, width = frames.shape[1:3]
    wanted = image_size[1] / image_size[0]
    if abs(width / height / wanted - 1) <= _PROPORTION:
        return frames
    kept_height, kept_width = min(height, max(1, round(width / wanted))), min(width, max(1, round(height * wanted)))
    top, left = (height - kept_height) // 2, (width - kept_width) // 2
    return frames[:, top : top + kept_height, left : left + kept_width]


def maps_beside(left: Tensor, right: Tensor, mask: Tensor, background: Tensor | None, *, opacity: float) -> Tensor:
    """Two pictures of the same views side by side, each over its background.

    Args:
        left, right: (V, T, H, W, 3) in 0..1. mask: (V, T, H, W), where the pictures cover the background.
        background: (T, H, W, 3), (1, H, W, 3) or None for the pictures alone. opacity: of the pictures, 0..1.

    Returns:
        (V, T, H, 2 W, 3).
    """
    if background is None:
        return torch.cat([left, right], 3)
    both = left.new_empty(*left.shape[:3], 2 * left.shape[3], 3)
    for half, picture in zip(both.chunk(2, 3), (left, right), strict=True):
        half.copy_(overlay(picture, background, mask, opacity=opacity))
    return both

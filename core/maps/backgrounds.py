"""Frames brought to the size and number that drawings need."""

import torch
from torch import Tensor

from ..types import ImageSize


def fit_background(frames: Tensor | None, image_size: ImageSize, count: int) -> Tensor | None:
    """Resize frames (T, H, W, 3 or 4) in 0..1 to `image_size` (H, W) and cut them to `count`; a single frame stays one, None stays None.

    Raises:
        ValueError: fewer than `count` frames, more than one.
    """
    if frames is None:
        return None
    if len(frames) != 1 and len(frames) < count:
        raise ValueError(f"the background has {len(frames)} frames, the motion {count}: give one frame, or one for each")
    import cv2

    fitted = torch.empty(min(count, len(frames)), *image_size, 3)
    shrinks = frames.shape[1] * frames.shape[2] > image_size[0] * image_size[1]
    for target, frame in zip(fitted, frames, strict=False):
        picture = frame[..., :3].cpu().float().numpy()
        target.copy_(torch.from_numpy(cv2.resize(picture, image_size[::-1], interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)))
    return fitted

"""The keypoints of several cameras brought together."""

from collections.abc import Sequence

import torch

from ..types import ImageSize, Keypoints


def gather_views(
    views: Sequence[Keypoints], *, image_size: ImageSize, starts: Sequence[int] = (), least_confidence: float = 0.0
) -> tuple[Keypoints, tuple[str, ...]]:
    """Keypoints of one view each as those of all, in pictures of one size and from the same moment on, and what was done to them.

    Args:
        image_size: (H, W) of the cameras; pixels of pictures of another size are scaled to it.
        starts: for each view the frame that shows the common first moment; without it frame 0 of each.
        least_confidence: a joint below it counts as not seen.

    Returns:
        Keypoints as long as the shortest view.

    Raises:
        ValueError: fewer than two views, several views in one, another number of joints, or a start beyond the end.
    """
    if len(views) < 2:
        raise ValueError(f"{len(views)} cameras have keypoints, expected at least 2: one view has no depth")
    joints = {keypoints.pixels.shape[2] for keypoints in views}
    if len(joints) > 1 or any(len(keypoints.pixels) != 1 for keypoints in views):
        raise ValueError(f"expected keypoints of one view each, all of the same joints; they have {sorted(joints)} joints")
    starts = tuple(starts) or (0,) * len(views)
    if len(starts) != len(views):
        raise ValueError(f"{len(starts)} start frames for {len(views)} cameras: give one for each, or none")
    lengths = [keypoints.pixels.shape[1] - start for keypoints, start in zip(views, starts, strict=True)]
    for view, (start, length) in enumerate(zip(starts, lengths, strict=True)):
        if start < 0 or length < 1:
            raise ValueError(f"view {view} starts in frame {start}, but has {length + start} frames: give 0 to {length + start - 1}")
    frames, notes = min(lengths), []
    if max(lengths) > frames:
        notes.append(f"cut to the {frames} frames of the shortest view; the views have {', '.join(map(str, lengths))}")
    pixels, confidence = [], []
    for view, (keypoints, start) in enumerate(zip(views, starts, strict=True)):
        scale = torch.tensor([new / old for new, old in zip(image_size, keypoints.image_size, strict=True)]).flip(0)  # x, y
        if keypoints.image_size != tuple(image_size):
            notes.append(f"view {view}: from pictures of {_size(keypoints.image_size)} to the cameras' {_size(image_size)}")
            if abs(float(scale[0] / scale[1]) - 1) > 0.01:
                notes.append(f"view {view}: the proportions differ: check that the pictures were not cropped after calibration")
        trust = keypoints.confidence[0, start : start + frames]
        confidence.append(torch.where(trust < least_confidence, 0.0, trust))
        pixels.append(keypoints.pixels[0, start : start + frames] * scale.to(keypoints.pixels))
    return Keypoints(pixels=torch.stack(pixels), confidence=torch.stack(confidence), image_size=tuple(image_size)), tuple(notes)


def _size(image_size: ImageSize) -> str:
    return f"{image_size[1]}x{image_size[0]}"

"""Videos side by side at one height: what went in, what was seen of it, and what came out."""

from collections.abc import Sequence

import torch
from torch import Tensor

from .captions import caption_bar
from .resampling import resample

_CAPTION = 18  # a caption is one of so many parts of the height


def strip(panels: Sequence[tuple[str, Tensor]], *, height: int, gap: int = 8, labels: bool = True) -> Tensor:
    """Put videos beside each other, in the order given.

    Args:
        panels: words and pictures (T_i, H_i, W_i, 3) in 0..1. All are brought to one height with their proportions kept. The strip is as long
            as the longest: a shorter one holds its last picture, so that a single picture stays all the time.
        height: of the pictures in pixels; odd heights and widths grow by one, because most video formats want even ones.
        gap: pixels between two panels, black.
        labels: write the words in a bar above the pictures.

    Returns:
        (T, H, W, 3) in 0..1 with even H and W.

    Raises:
        ValueError: no panels, one that is no video, or a height below 16.
    """
    if not panels:
        raise ValueError("there are no pictures to compare: connect at least one")
    for words, pictures in panels:
        if pictures.ndim != 4 or pictures.shape[3] != 3 or 0 in pictures.shape:
            raise ValueError(f"{words or 'a panel'} is {tuple(pictures.shape)}, expected pictures (T, H, W, 3): remove transparency first")
    if height < 16 or gap < 0:
        raise ValueError(f"a strip of height {height} with gaps of {gap}, expected 16 or more, and 0 or more")
    height, gap = _even(height), _even(gap)
    widths = [_even(max(2, round(height * pictures.shape[2] / pictures.shape[1]))) for _, pictures in panels]
    bar = _even(max(20, height // _CAPTION)) if labels else 0
    length = max(len(pictures) for _, pictures in panels)
    whole = torch.zeros(length, bar + height, sum(widths) + gap * (len(panels) - 1), 3)
    left = 0
    for (words, pictures), width in zip(panels, widths, strict=True):
        place = whole[:, :, left : left + width]
        if labels:
            place[:, :bar] = caption_bar(words, bar, width)
        for target, picture in zip(place[:, bar:], pictures, strict=False):  # one by one: a long video is large in memory
            target.copy_(resample(picture.detach().cpu().float(), height, width))
        place[len(pictures) :, bar:] = place[len(pictures) - 1, bar:].clone()
        left += width + gap
    return whole


def _even(pixels: int) -> int:
    return pixels + pixels % 2

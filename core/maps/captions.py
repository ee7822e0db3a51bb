"""Words beside pictures."""

import numpy as np
import torch
from torch import Tensor

from .plots import CARD, TEXT, plain

_LARGE = 3  # drawn at this many times the size, and reduced
_CAP = 0.042  # height of OpenCV's capitals, per pixel of the bar, that fills half of it


def caption_bar(text: str, height: int, width: int) -> Tensor:
    """(height, width, 3) in 0..1: a dark bar with words in its middle, made smaller where they are too long for it."""
    import cv2

    font, bar = cv2.FONT_HERSHEY_SIMPLEX, np.full((height * _LARGE, width * _LARGE, 3), CARD, np.uint8)
    words = plain(text)
    if words.strip():
        scale = 0.5 * height * _LARGE * _CAP
        (wide, _), _ = cv2.getTextSize(words, font, scale, _LARGE)
        scale *= min(1.0, 0.92 * bar.shape[1] / wide)
        (wide, high), _ = cv2.getTextSize(words, font, scale, _LARGE)
        place = ((bar.shape[1] - wide) // 2, (bar.shape[0] + high) // 2)
        cv2.putText(bar, words, place, font, scale, TEXT, max(1, round(scale * 1.6)), cv2.LINE_AA)
    small = cv2.resize(bar, (width, height), interpolation=cv2.INTER_AREA)
    return torch.from_numpy(small).float().div_(255)

"""Where a film goes on with another shot: hard cuts, dissolves, and fades through black or another plain colour."""

from collections import deque

import numpy as np
from torch import Tensor

_SIDE = 32  # pixels of the pictures that are compared
# All below in units of OpenCV's 8-bit LAB, mean over pixels and channels unless said otherwise.
_CUT = 8.0  # a hard cut differs at least so much from the frame before it,
_TIMES_USUAL = 3.0  # so many times as much as frames lately did,
_HALF_CHANGED = 5.0  # and in more than half of the picture: a hand before the lens changes less of it;
_BRIGHTENED = 0.9  # correlation of lightness above which only the light has changed, as in a flash or a fast fade
_MEMORY = 12  # frames
_WINDOW = 8  # frames over which a dissolve is a straight line from one picture to another
_BENT = 0.2  # of the change over a window: farther from the middle of its ends, its middle frame belongs to a movement;
_DISSOLVING = 4.0  # change over a window; both are medians over the picture, of which people move in less than half
_OTHER_PICTURE = 12.0  # change over a whole dissolve,
_ALIKE = 0.7  # after which the correlation of lightness is below this: else only the light has changed
_PLAIN = 4.0  # standard deviation of lightness in a picture that shows nothing


class ShotDetector:
    """Reads a film frame by frame and remembers the last few of them as small pictures.

    The threshold of hard cuts follows how much frames lately differed (as in PySceneDetect's AdaptiveDetector, but looking back only).
    """

    def __init__(self):
        self._begin()
        self._shown = self._plain = False

    def push(self, frame: Tensor) -> bool:
        """Whether this frame (H, W, 3) uint8 RGB begins a new shot.

        A dissolve ends with the first frame of the new shot; plain frames belong to the shot before them.
        """
        picture = _small(frame)
        plain = picture[..., 0].std() < _PLAIN
        out_of_plain = self._shown and self._plain and not plain
        if plain or self._plain:  # what comes before a plain frame is no measure for what comes after it
            self._begin()
        cut = out_of_plain or self._is_cut(picture) or self._ends_dissolve(picture)
        change = np.abs(picture - self._pictures[-1]).mean() if self._pictures else None
        if cut:
            self._begin()
        if change is not None:
            self._changes.append(change)
        self._pictures.append(picture)
        self._plain, self._shown = plain, self._shown or not plain
        return bool(cut)

    def _begin(self) -> None:
        self._pictures: deque[np.ndarray] = deque(maxlen=_WINDOW)
        self._changes: deque[float] = deque(maxlen=_MEMORY)
        self._dissolve_from: np.ndarray | None = None

    def _is_cut(self, picture: np.ndarray) -> bool:
        if not self._pictures:
            return False
        change = np.abs(picture - self._pictures[-1]).mean(-1)
        usual = np.mean(self._changes) if self._changes else 0.0
        large = change.mean() > max(_CUT, _TIMES_USUAL * usual) and np.median(change) > _HALF_CHANGED
        return large and _correlation(self._pictures[-1], picture) < _BRIGHTENED

    def _ends_dissolve(self, picture: np.ndarray) -> bool:
        if len(self._pictures) < _WINDOW:
            return False
        first, middle, last = self._pictures[0], self._pictures[_WINDOW // 2], picture
        change, bend = (np.median(np.abs(part).mean(-1)) for part in (last - first, middle - (first + last) / 2))
        if change > _DISSOLVING and bend < _BENT * change:
            if self._dissolve_from is None:
                self._dissolve_from = first
            return False
        start, self._dissolve_from = self._dissolve_from, None
        return start is not None and np.abs(last - start).mean() > _OTHER_PICTURE and _correlation(start, last) < _ALIKE


def _small(frame: Tensor) -> np.ndarray:
    """(32, 32, 3) float32 in OpenCV's 8-bit LAB."""
    import cv2

    pixels = cv2.resize(frame.cpu().numpy(), (_SIDE, _SIDE), interpolation=cv2.INTER_AREA)
    return cv2.cvtColor(pixels, cv2.COLOR_RGB2LAB).astype(np.float32)


def _correlation(a: np.ndarray, b: np.ndarray) -> float:
    """Of the lightness of two pictures."""
    return float(np.corrcoef(a[..., 0].ravel(), b[..., 0].ravel())[0, 1])

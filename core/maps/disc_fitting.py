"""Discs of known size and colour fitted to pictures: the discs are painted where they are thought to be, and moved until the picture is the same."""

from dataclasses import dataclass

import numpy as np

from .discs import disc_coverage, paint_discs, place_windows, unhidden
from .palettes import BONE

_SOFT = (4.0, 2.5, 2.0, 1.6)  # pixels over which edges fade, step after step: wide edges feel far, narrow ones are exact
_BLURS = (1.6, 2.5, 4.0, 6.0, 8.0)  # pixels over which edges may have faded in the pictures
_FARTHEST = 2.0  # pixels of a step
_SPREAD = 45.0  # levels, as in the search
_SAMPLED = 4  # pictures that tell the blur
_LEAST_SEEN = 0.03  # of a disc
_LEAST_RIGHT = 0.35  # of what should be seen of a disc has to be seen


@dataclass(frozen=True, eq=False)
class Fit:
    """places: (N, J, 2) pixels, NaN where there is no disc. shown: (N, J) share of the disc that no other covers. right: (N, J) how much of that has its colour."""

    places: np.ndarray
    shown: np.ndarray
    right: np.ndarray


class _Scene:
    """N pictures, what lies behind their discs, and buffers to paint on."""

    def __init__(self, levels: np.ndarray, label: np.ndarray, white: np.ndarray, colours: np.ndarray, radius: float):
        count, height, width, _ = levels.shape
        self.size, self.radius, self.colours = (height, width), radius, colours
        self.reach = int(np.ceil(radius + 1.5))
        self.levels, self.label, self.white = levels.reshape(-1, 3), label, white
        self.joints = colours.shape[1]
        self.bones = self._bones(label[:-1].reshape(count, height, width))
        self.canvas = np.zeros((len(self.levels) + 1, 3), np.float32)
        self.shade = np.ones(len(self.levels) + 1, np.float32)

    def _bones(self, label: np.ndarray) -> np.ndarray:
        """(N H W + 1) bool: bones, without the seams of colours that mix to grey, and on under the edges of discs."""
        import cv2

        found = np.zeros(label.size + 1, bool)
        for picture, into in zip(label, found[:-1].reshape(label.shape), strict=True):
            bone = cv2.morphologyEx((picture == self.joints).view(np.uint8), cv2.MORPH_OPEN, np.ones((3, 3), np.uint8))
            into[:] = bone | (cv2.dilate(bone, np.ones((5, 5), np.uint8)) & (picture < self.joints))
        return found

    def ground(self, index: np.ndarray) -> np.ndarray:
        """Colours behind all discs at pixels (N, J, P): white, or the grey of bones."""
        white = self.white[:, None, None]
        return np.where(self.bones[index][..., None], white * np.float32(BONE[0] / 255), white)

    def seen(self, index: np.ndarray) -> np.ndarray:
        return np.take(self.levels, index, axis=0, mode="clip").astype(np.float32)


def fit_discs(levels: np.ndarray, label: np.ndarray, white: np.ndarray, colours: np.ndarray, places: np.ndarray, radius: float) -> Fit:
    """Move discs to where they explain the pictures best, by Gauss-Newton on the colours in their windows.

    Which of two discs covers the other is read from the colour where they overlap.

    Args:
        levels: (N, H, W, 3) uint8. label: (N H W + 1) uint8 joint, J for bones, above for the rest. white: (N, 3) level of the background.
        colours: (N, J, 3) levels. places: (N, J, 2) first guesses, NaN for none.
    """
    scene = _Scene(levels, label, white.astype(np.float32), colours.astype(np.float32), radius)
    places = places.astype(np.float64)
    blur = _SOFT[-1]
    for number, softness in enumerate(_SOFT):
        if number == 2:
            blur = _blur(scene, places)
        move, shown, right = _step(scene, places, max(softness, blur))
        if number == 1:
            places[(shown * right < _LEAST_SEEN) | (right < 0.5 * _LEAST_RIGHT)] = np.nan
        places = places + move
    _, shown, right = _step(scene, places, blur)
    gone = (shown * right < _LEAST_SEEN) | (right < _LEAST_RIGHT) | ~np.isfinite(places).all(-1)
    return Fit(np.where(gone[..., None], np.nan, places), shown, right)


def _step(scene: _Scene, places: np.ndarray, softness: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Moves (N, J, 2), and the shares `shown` and `right` of `Fit` before them."""
    index, x, y = place_windows(places, scene.size, scene.reach)
    distance = np.hypot(x, y)
    coverage = disc_coverage(distance, scene.radius, softness)
    coverage[index == len(scene.levels)] = 0
    order = painting_order(places, scene.label[index], x, y, distance, scene.radius)
    scene.canvas[index] = scene.ground(index)
    contrast = np.empty((*coverage.shape, 3), np.float32)
    paint_discs(scene.canvas, index, coverage, scene.colours, order, contrast)
    free = unhidden(scene.shade, index, coverage, order)
    seen = scene.seen(index)
    contrast *= free[..., None]
    strength = np.einsum("njpc,njpc->njp", contrast, contrast)
    off = seen - scene.canvas[index]
    misfit = np.einsum("njpc,njpc->njp", contrast, off)
    slope = ((coverage > 0) & (coverage < 1)) / (softness * np.maximum(distance, 0.5))
    right, down = slope * x, slope * y
    pull = np.stack([(misfit * right).sum(-1), (misfit * down).sum(-1)], -1)
    xx, yy, xy = ((strength * a * b).sum(-1) for a, b in ((right, right), (down, down), (right, down)))
    damping = 0.01 * (xx + yy) + 255.0**2 * 0.02
    xx, yy = xx + damping, yy + damping
    move = np.stack([yy * pull[..., 0] - xy * pull[..., 1], xx * pull[..., 1] - xy * pull[..., 0]], -1) / (xx * yy - xy * xy)[..., None]
    length = np.linalg.norm(move, axis=-1, keepdims=True)
    move *= np.minimum(1, _FARTHEST / np.maximum(length, 1e-9))
    return move, *_evidence(scene, off, coverage * free)


def _evidence(scene: _Scene, off: np.ndarray, visible: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    match = np.exp(np.einsum("njpc,njpc->njp", off, off) * np.float32(-0.5 / _SPREAD**2))
    expected = visible.sum(-1)
    weight = visible * visible  # edges look alike whatever they are of
    return expected / (np.pi * scene.radius**2), (weight * match).sum(-1) / np.maximum(weight.sum(-1), 1e-6)


def _blur(scene: _Scene, places: np.ndarray) -> float:
    """Pixels over which the edges of discs fade in these pictures: the one of _BLURS that suits the discs without neighbours best."""
    some = slice(None, None, max(1, len(places) // _SAMPLED))
    points = places[some]
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1) + np.where(np.eye(points.shape[1], dtype=bool), np.inf, 0)
    alone = ~(apart < 3 * scene.radius).any(-1) & np.isfinite(points).all(-1)
    if not alone.any():
        return _BLURS[0]
    index, x, y = place_windows(places, scene.size, scene.reach)
    index, x, y, colours = index[some][alone], x[some][alone], y[some][alone], scene.colours[some][alone]
    white = np.broadcast_to(scene.white[some][:, None], scene.colours[some].shape)[alone]
    change = (colours - white)[:, None]
    share = ((scene.seen(index) - white[:, None]) * change).sum(-1) / (change**2).sum(-1)
    share[index == len(scene.levels)] = np.nan
    distance = np.hypot(x, y)
    misfits = [np.nanmedian(np.nanmean(np.abs(disc_coverage(distance, scene.radius, blur) - share), -1)) for blur in _BLURS]
    return _BLURS[int(np.argmin(misfits))]


def painting_order(places: np.ndarray, label: np.ndarray, x: np.ndarray, y: np.ndarray, distance: np.ndarray, radius: float) -> np.ndarray:
    """(N, J) discs from the rearmost to the foremost, from the colours (N, J, P) where two overlap."""
    count, joints = places.shape[:2]
    points = np.where(np.isfinite(places), places, 1e6 * np.arange(1, joints + 1)[:, None])
    apart = np.linalg.norm(points[:, :, None] - points[:, None], axis=-1)
    picture, one, other = np.nonzero(np.triu(apart < 2 * radius - 0.5, 1))
    if len(picture) == 0:
        return np.broadcast_to(np.arange(joints), (count, joints))
    shift = (points[picture, one] - points[picture, other]).astype(np.float32)
    there = label[picture, one]
    both = distance[picture, one] < radius
    both &= np.hypot(x[picture, one] + shift[:, :1], y[picture, one] + shift[:, 1:]) < radius
    lead = (both & (there == one[:, None])).sum(-1) - (both & (there == other[:, None])).sum(-1)
    decided = lead != 0
    over, under = (np.where(lead > 0, *pair)[decided] for pair in ((one, other), (other, one)))
    picture = picture[decided]
    level = np.zeros((count, joints), np.int32)
    for _ in range(min(joints, 16)):  # a disc lies one above the highest of those that it covers
        raised = level.copy()
        np.maximum.at(raised, (picture, over), level[picture, under] + 1)
        if (raised == level).all():
            break
        level = raised
    return np.argsort(level, -1, kind="stable")

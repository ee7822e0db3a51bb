"""Where in a pose map the colour of a joint gathers: the first look, to about a pixel."""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from .palettes import BACKGROUND, BONE

CANDIDATES = 3
_FOREGROUND = 26  # levels below the background in one channel
_SPREAD = 45.0  # levels: how far a colour may be from a joint's to speak for it
_STEPS = 32  # of each channel in the table of colours
_PURE = (1.0, 0.85, 0.7)  # how much of a colour blur leaves of small discs, the rest is background
_CORE = 0.6  # of the radius: the part of a disc whose pixels are counted
_FADED = 100.0  # levels that a colour counts as farther off where all of it were background


@dataclass(frozen=True, eq=False)
class Sighting:
    """Pixels of N pictures by the colour they are nearest to, and where each colour gathers.

    pixel: (P) in N H W. label: (P) uint8 joint, J for bones. places: (N, J, K, 2) pixels, NaN for none; score: (N, J, K) pixels that speak for it, over those of a disc.
    white: (N, 3) level of the background.
    """

    pixel: np.ndarray
    label: np.ndarray
    places: np.ndarray
    score: np.ndarray
    white: np.ndarray


@lru_cache(maxsize=16)
def _colour_table(palette: bytes) -> tuple[np.ndarray, np.ndarray]:
    """Nearest class and how much it is meant, of each colour in steps of 8 levels: (32768) uint8 joints, J bones, J + 1 background; (32768) 0..1."""
    joints = np.frombuffer(palette, np.uint8).reshape(-1, 3)
    plain = np.concatenate([joints, [BONE, BACKGROUND]]).astype(np.float32)
    classes = np.concatenate([BACKGROUND + pure * (plain - BACKGROUND) for pure in _PURE]).astype(np.float32)
    late = np.repeat([(_FADED * (1 - pure)) ** 2 for pure in _PURE], len(plain)).astype(np.float32)
    level = (np.arange(_STEPS, dtype=np.float32) + 0.5) * (256 / _STEPS)
    red, green, blue = np.meshgrid(level, level, level, indexing="ij")
    colours = np.stack([red, green, blue], -1).reshape(-1, 3)
    square = (colours**2).sum(-1)[:, None] - 2 * colours @ classes.T + (classes**2).sum(-1) + late
    nearest = square.argmin(1) % len(plain)
    return nearest.astype(np.uint8), np.exp(-square.min(1).clip(0) / (2 * _SPREAD**2)).astype(np.float32)


def to_levels(pictures: np.ndarray) -> np.ndarray:
    """(N, H, W, 3) in 0..1, cut off beyond, or uint8 already -> uint8."""
    import cv2

    if pictures.dtype == np.uint8:
        return pictures
    count, height, width, _ = pictures.shape
    flat = np.ascontiguousarray(pictures, np.float32).reshape(count * height, width * 3)
    return cv2.multiply(flat, 255.0, dtype=cv2.CV_8U).reshape(pictures.shape)


def white_levels(levels: np.ndarray) -> np.ndarray:
    """(N, 3) float: the level of the background, the upper median of a grid of pixels."""
    sample = levels[:, ::8, ::8].reshape(len(levels), -1, 3)
    return np.quantile(sample, 0.6, axis=1, method="nearest").astype(np.float32)


def search(levels: np.ndarray, palette: np.ndarray, radius: float) -> Sighting:
    """Look for the joints of a palette (J, 3) uint8 in pictures (N, H, W, 3) uint8."""
    count, height, width, _ = levels.shape
    joints = len(palette)
    white = white_levels(levels)
    pixel, colour = _foreground(levels, white)
    frame = pixel // (height * width)
    gain = 255 / np.maximum(white, 64)
    table, meant = _colour_table(palette.tobytes())
    step = np.minimum(colour * gain[frame], 255).astype(np.int32) >> 3
    code = (step[:, 0] << 10) | (step[:, 1] << 5) | step[:, 2]
    label, weight = table[code], meant[code]
    there = label <= joints
    pixel, label, weight, frame = pixel[there], label[there], weight[there], frame[there]
    of_joint = np.flatnonzero(label < joints)
    places, score = _gather(pixel[of_joint], label[of_joint], weight[of_joint], frame[of_joint], (count, height, width), joints, radius)
    return Sighting(pixel, label, places, score, white)


def _foreground(levels: np.ndarray, white: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Pixels (P) in N H W that are darker than the background in a channel, and their colours (P, 3)."""
    import cv2

    floor = np.clip(white - _FOREGROUND, 0, 255)
    plain = [cv2.inRange(picture, tuple(map(float, low)), (255.0, 255.0, 255.0)) for picture, low in zip(levels, floor, strict=True)]
    pixel = np.flatnonzero(np.stack(plain).ravel() == 0)
    return pixel, levels.reshape(-1, 3)[pixel]


def _gather(
    pixel: np.ndarray, label: np.ndarray, weight: np.ndarray, frame: np.ndarray, size: tuple[int, int, int], joints: int, radius: float
) -> tuple[np.ndarray, np.ndarray]:
    """The places (N, J, K, 2) around which most pixels of one label lie, and how many (N, J, K), over those of a whole disc."""
    count, height, width = size
    margin = int(np.ceil(radius))
    labels = np.full(count * height * width + 2 * margin * (width + 1), 255, np.uint8)
    start = margin * (width + 1)
    labels[pixel + start] = label
    reach = np.arange(-margin, margin + 1)
    near = [(y, x) for y in reach for x in reach if np.hypot(x, y) <= 0.8 * radius and (x + y) % 2 == 0]
    votes = np.zeros(len(pixel), np.int32)
    for y, x in near:
        votes += labels[pixel + (start + y * width + x)] == label
    group = frame * joints + label
    rest = pixel - frame * (height * width)
    x, y = (rest % width).astype(np.float32) + 0.5, (rest // width).astype(np.float32) + 0.5
    places = np.full((count * joints, CANDIDATES, 2), np.nan, np.float32)
    score = np.zeros((count * joints, CANDIDATES), np.float32)
    rank = (votes.astype(np.int64) << 40) | np.arange(len(votes))
    for candidate in range(CANDIDATES):
        best = np.full(count * joints, -1, np.int64)
        np.maximum.at(best, group, rank)
        found = np.flatnonzero(best >= 0)
        top = best[found] & ((1 << 40) - 1)
        centre = np.full((count * joints, 2), np.inf, np.float32)
        centre[found] = np.stack([x[top], y[top]], 1)
        away = np.hypot(x - centre[group, 0], y - centre[group, 1])
        close = away <= 1.5 * radius
        mass = np.bincount(group[close], weight[close], count * joints)
        for axis, along in enumerate((x, y)):
            mean = np.bincount(group[close], (weight * along)[close], count * joints) / np.maximum(mass, 1e-9)
            places[found, candidate, axis] = mean[found]
        middle = places[group, candidate]
        core = np.hypot(x - middle[:, 0], y - middle[:, 1]) <= _CORE * radius  # seams of other colours are long and thin
        score[found, candidate] = np.bincount(group[core], weight[core], count * joints)[found] / (np.pi * (_CORE * radius) ** 2)
        keep = away > 2.5 * radius
        if not keep.any():
            break
        group, rank, x, y, weight = group[keep], rank[keep], x[keep], y[keep], weight[keep]
        rank = (rank >> 40 << 40) | np.arange(len(rank))
    return places.reshape(count, joints, CANDIDATES, 2), score.reshape(count, joints, CANDIDATES)

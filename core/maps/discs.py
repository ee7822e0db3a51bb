"""Discs and bones painted into pictures, with edges as soft as the part of a pixel that they cover."""

import numpy as np


def place_windows(centres: np.ndarray, size: tuple[int, int], reach: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The pixels of square windows of 2 reach + 1 pixels a side around points.

    Args:
        centres: (N, J, 2) pixels, centres of pixels at +0.5; NaN for none. size: (H, W) of the N pictures.

    Returns:
        index (N, J, P) in N H W, which is N H W itself for pixels outside; x and y (N, J, P) float32 of the pixels' centres relative to the points.
    """
    height, width = size
    side = np.arange(-reach, reach + 1, dtype=np.int32)
    down, right = (axis.ravel() for axis in np.meshgrid(side, side, indexing="ij"))
    there = np.isfinite(centres).all(-1) & (np.abs(centres) < 1e6).all(-1)
    points = np.where(there[..., None], centres, -1e4)
    cells = np.floor(points).astype(np.int32)
    columns, rows = cells[..., :1] + right, cells[..., 1:] + down
    inside = (columns >= 0) & (columns < width) & (rows >= 0) & (rows < height)
    start = (np.arange(len(centres)) * (height * width))[:, None, None]
    index = np.where(inside, start + rows.astype(np.int64) * width + columns, len(centres) * height * width)
    shift = (cells + 0.5 - points).astype(np.float32)
    return index, shift[..., :1] + right, shift[..., 1:] + down


def disc_coverage(distance: np.ndarray, radius: float, softness: float = 1.0) -> np.ndarray:
    """Share of a pixel that lies in a disc, from the distance between their centres; the edge fades over `softness` pixels."""
    return np.clip((radius - distance) * np.float32(1 / softness) + np.float32(0.5), 0.0, 1.0)


def paint_discs(
    canvas: np.ndarray, index: np.ndarray, coverage: np.ndarray, colours: np.ndarray, order: np.ndarray, contrast: np.ndarray | None = None
) -> None:
    """Paint J discs into each of N pictures, one over the other.

    Args:
        canvas: (N H W + 1, 3), changed in place; the last row takes what lies outside. index, coverage: (N, J, P) of `place_windows` and `disc_coverage`.
        colours: (N, J, 3). order: (N, J) the joints from the first painted, at the back, to the last.
        contrast: (N, J, P, 3), filled with what each disc changes where it covers a pixel whole: its colour less that behind it.
    """
    rows = np.arange(len(index))
    for joints in order.T:
        at = index[rows, joints]
        behind = canvas[at]
        change = colours[rows, joints][:, None] - behind
        if contrast is not None:
            contrast[rows, joints] = change
        canvas[at] = behind + coverage[rows, joints][..., None] * change


def unhidden(shade: np.ndarray, index: np.ndarray, coverage: np.ndarray, order: np.ndarray) -> np.ndarray:
    """(N, J, P) how much of each pixel of a disc's window is free of the discs painted after it.

    shade: (N H W + 1) of ones, changed in place and given back as it was. The others as in `paint_discs`.
    """
    free = np.empty_like(coverage)
    rows = np.arange(len(index))
    for joints in order.T[::-1]:
        at = index[rows, joints]
        left = shade[at]
        free[rows, joints] = left
        shade[at] = left * (1 - coverage[rows, joints])
    shade[index] = 1
    return free


def paint_bones(plane: np.ndarray, starts: np.ndarray, ends: np.ndarray, width: float, grey: float) -> None:
    """Paint round-ended lines of one grey into a brighter picture (H, W); starts and ends: (B, 2) pixels. Where lines meet, the darker counts."""
    height, breadth = plane.shape
    half = width / 2
    bounds = np.array([breadth, height])
    low = np.floor(np.clip(np.minimum(starts, ends) - half - 1, 0, bounds)).astype(int)
    high = np.ceil(np.clip(np.maximum(starts, ends) + half + 1, 0, bounds)).astype(int)
    along = ends - starts
    square = np.maximum((along**2).sum(-1), 1e-12)
    for bone in np.flatnonzero((high > low).all(-1)):
        (left, top), (right, bottom) = low[bone], high[bone]
        x = np.arange(left, right, dtype=np.float32) + np.float32(0.5 - starts[bone, 0])
        y = (np.arange(top, bottom, dtype=np.float32) + np.float32(0.5 - starts[bone, 1]))[:, None]
        dx, dy = along[bone].astype(np.float32)
        part = np.clip((x * dx + y * dy) * np.float32(1 / square[bone]), 0, 1)
        cover = np.clip(np.float32(half + 0.5) - np.hypot(x - part * dx, y - part * dy), 0, 1)
        box = plane[top:bottom, left:right]
        np.minimum(box, 1 - np.float32(1 - grey) * cover, out=box)

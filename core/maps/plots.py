"""Curves, histograms and grids as pictures (H, W, 3) in 0..1, drawn large and reduced, so that a node can show them without a plotting library."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..types import ImageSize

_LARGE = 3  # drawn at this many times the size
CARD, _FIELD, _GRID, _AXIS = (24, 26, 35), (30, 33, 44), (52, 56, 72), (120, 126, 148)
TEXT, _FAINT = (228, 230, 238), (168, 173, 190)
_COLOURS = (
    (255, 138, 92),
    (64, 196, 232),
    (250, 208, 90),
    (126, 217, 142),
    (186, 148, 255),
    (255, 120, 170),
    (150, 170, 190),
    (220, 180, 140),
)


def plot_lines(
    series: Mapping[str, Tensor], *, title: str = "", x_label: str = "", y_label: str = "", size: ImageSize = (360, 768)
) -> Tensor:
    """Draw curves over their index.

    Args:
        series: name -> (T) values; NaN and infinite values leave a gap, a value between two gaps is a dot. Lengths may differ.
        size: (H, W) pixels.

    Raises:
        ValueError: no series, a series that is not one row, or a size below 120x160.
    """
    if not series:
        raise ValueError("there are no series to plot: give at least one")
    curves = {name: _row(name, values) for name, values in series.items()}
    finite = np.concatenate([values[np.isfinite(values)] for values in curves.values()])
    low, high = (float(finite.min()), float(finite.max())) if len(finite) else (0.0, 1.0)
    if low >= 0 and low < 0.5 * high:
        low = 0.0
    x_ticks = _ticks(0, max(1, max(len(values) for values in curves.values()) - 1), 8, whole=True)
    y_ticks = _ticks(low, high, max(2, size[0] // 60))
    edge = max(1, max(len(values) for values in curves.values()) - 1)
    chart = _Chart.framed(size, title, x_label, y_label, (0, edge), (y_ticks[0], y_ticks[-1]), [t for t in x_ticks if t <= edge], y_ticks)
    for values, colour in zip(curves.values(), _colours(len(curves)), strict=True):
        chart.curve(values, colour)
    if len(curves) > 1:
        chart.legend(list(curves), chart.field[0] + _width(title, 0.55) + _width(y_label, 0.42) + 36)
    return chart.picture()


def plot_histogram(
    counts: Tensor, edges: Tensor, *, title: str = "", x_label: str = "", y_label: str = "", size: ImageSize = (360, 768)
) -> Tensor:
    """Draw bars of `counts` (N) between `edges` (N + 1), which ascend.

    Raises:
        ValueError: lengths that do not fit, negative or missing counts, edges that do not ascend, or a size below 120x160.
    """
    heights, borders = _row("counts", counts), _row("edges", edges)
    if len(borders) != len(heights) + 1 or len(heights) == 0:
        raise ValueError(f"{len(heights)} counts and {len(borders)} edges: expected one edge more than counts, and at least one count")
    if not (np.isfinite(heights).all() and (heights >= 0).all()):
        raise ValueError("counts must be finite and 0 or more")
    if not (np.diff(borders) > 0).all():
        raise ValueError("edges must ascend")
    y_ticks = _ticks(0, float(heights.max()) or 1.0, max(2, size[0] // 60))
    reach = (float(borders[0]), float(borders[-1]))
    x_ticks = [t for t in _ticks(*reach, 8) if reach[0] - 1e-9 <= t <= reach[1] + 1e-9]
    chart = _Chart.framed(size, title, x_label, y_label, reach, (0, y_ticks[-1]), x_ticks, y_ticks)
    for left, right, height in zip(borders, borders[1:], heights, strict=False):
        chart.bar(left, right, height, _COLOURS[1])
    return chart.picture()


def plot_grid(cells: Tensor, *, title: str = "", x_label: str = "frame", y_label: str = "view", size: ImageSize = (240, 768)) -> Tensor:
    """Draw a grid of values from 0, brighter where there is more, or of colours, with the first row at the bottom.

    Args:
        cells: (R, N) values, finite and 0 or more, or (R, N, 3) colours in 0..1.

    Raises:
        ValueError: another shape or other values, or a size below 120x160.
    """
    import cv2

    if cells.ndim not in (2, 3) or 0 in cells.shape or (cells.ndim == 3 and cells.shape[2] != 3):
        raise ValueError(f"cells have shape {tuple(cells.shape)}, expected rows and columns of values or of three colours")
    shown = cells.detach().cpu().double().numpy()
    if not (np.isfinite(shown).all() and (shown >= 0).all()):
        raise ValueError("cells must be finite and 0 or more")
    if cells.ndim == 2:
        highest = float(shown.max())
        y_label = f"{y_label}, bright is {highest:.3g}"
        levels = (shown / (highest or 1.0) * 255).round().astype(np.uint8)
        pixels = cv2.applyColorMap(levels, cv2.COLORMAP_INFERNO)[..., ::-1]
    else:
        pixels = (shown.clip(0, 1) * 255).round().astype(np.uint8)
    rows, columns = shown.shape[:2]
    ticks = [
        [tick for tick in _ticks(0, max(1, count - 1), most, whole=True) if tick < count] for count, most in ((columns, 12), (rows, 4))
    ]
    reach = (-0.5, columns - 0.5), (-0.5, rows - 0.5)
    chart = _Chart.framed(size, title, x_label, y_label, *reach, ticks[0], ticks[1] if rows > 1 else [0, 1])
    left, top, right, bottom = (round(edge * _LARGE) for edge in chart.field)
    chart.canvas[top:bottom, left:right] = cv2.resize(pixels[::-1], (right - left, bottom - top), interpolation=cv2.INTER_NEAREST)
    return chart.picture()


def _row(name: str, values: Tensor) -> np.ndarray:
    if values.dim() != 1:
        raise ValueError(f"{name} has shape {tuple(values.shape)}, expected one row of values")
    return values.detach().cpu().double().numpy()


def _ticks(low: float, high: float, count: int, *, whole: bool = False) -> list[float]:
    """Round numbers (1, 2 or 5 times a power of ten) from at or below `low` to at or above `high`, about `count` of them."""
    if high - low < 1e-12 * max(1.0, abs(high)):
        low, high = (low - 0.5, high + 0.5) if not whole else (low, low + 1)
    rough = (high - low) / count
    power = 10.0 ** math.floor(math.log10(rough))
    step = next(factor * power for factor in (1, 2, 5, 10) if factor * power >= rough * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return [number * step for number in range(first, last + 1)]


def _label(value: float, step: float) -> str:
    for limit, unit in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if abs(value) >= limit:
            return f"{value / (1e3 if unit == 'k' else limit):g}{unit}"
    digits = max(0, -math.floor(math.log10(step) + 1e-9))
    return f"{value:.{digits}f}" if digits <= 4 else f"{value:g}"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Chart:
    """A canvas at `_LARGE` times the size, with the field (left, top, right, bottom) that shows x_range by y_range."""

    canvas: np.ndarray
    size: ImageSize
    field: tuple[int, int, int, int]
    x_range: tuple[float, float]
    y_range: tuple[float, float]

    @classmethod
    def framed(cls, size, title, x_label, y_label, x_range, y_range, x_ticks, y_ticks) -> "_Chart":
        """An empty chart with its title, axes and grid."""
        if size[0] < 120 or size[1] < 160:
            raise ValueError(f"a plot of {size[0]}x{size[1]} pixels is too small to read: use at least 120x160")
        canvas = np.full((size[0] * _LARGE, size[1] * _LARGE, 3), CARD, np.uint8)
        y_labels = [_label(tick, abs(y_ticks[1] - y_ticks[0])) for tick in y_ticks]
        margin = 16 + max(_width(text, 0.40) for text in y_labels)
        top = 40
        field = (margin, top, size[1] - 18, size[0] - (46 if x_label else 30))
        chart = cls(canvas=canvas, size=size, field=field, x_range=x_range, y_range=y_range)
        chart._rectangle(field[:2], field[2:], _FIELD)
        for tick, text in zip(y_ticks, y_labels, strict=True):
            y = chart.place(x_range[0], tick)[1]
            chart._line((field[0], y), (field[2], y), _GRID, 1)
            chart._write(text, (field[0] - 7 - _width(text, 0.40), y + 4), 0.40, _FAINT)
        for tick in x_ticks:
            text = _label(tick, abs(x_ticks[1] - x_ticks[0]) if len(x_ticks) > 1 else 1)
            x = chart.place(tick, y_range[0])[0]
            chart._line((x, field[1]), (x, field[3]), _GRID, 1)
            chart._write(text, (min(x - _width(text, 0.40) / 2, size[1] - 4 - _width(text, 0.40)), field[3] + 16), 0.40, _FAINT)
        chart._line((field[0], field[3]), (field[2], field[3]), _AXIS, 1)
        chart._write(title, (field[0], 24), 0.55, TEXT)
        chart._write(y_label, (field[0] + (_width(title, 0.55) + 14 if title else 0), 24), 0.42, _FAINT)
        chart._write(x_label, ((field[0] + field[2] - _width(x_label, 0.42)) / 2, size[0] - 10), 0.42, _FAINT)
        return chart

    def place(self, x: float, y: float) -> tuple[float, float]:
        """Pixel of a value."""
        left, top, right, bottom = self.field
        across = (x - self.x_range[0]) / (self.x_range[1] - self.x_range[0])
        return left + across * (right - left), bottom - (y - self.y_range[0]) / (self.y_range[1] - self.y_range[0]) * (bottom - top)

    def curve(self, values: np.ndarray, colour: tuple[int, int, int]) -> None:
        """A line through the finite values."""
        import cv2

        present = np.flatnonzero(np.isfinite(values))
        for run in np.split(present, np.flatnonzero(np.diff(present) > 1) + 1):
            points = np.array([self.place(index, values[index]) for index in run])
            if len(run) > 1:
                fixed = np.round(points * _LARGE * 16).astype(np.int32)
                cv2.polylines(self.canvas, [fixed[:, None]], False, colour, round(1.8 * _LARGE), cv2.LINE_AA, 4)
            elif len(run) == 1:
                cv2.circle(self.canvas, self._fixed(points[0]), 2 * _LARGE * 16, colour, -1, cv2.LINE_AA, 4)

    def bar(self, left: float, right: float, height: float, colour: tuple[int, int, int]) -> None:
        """A bar from the axis up, with a hair of space beside it where there is room."""
        (x0, y0), (x1, y1) = self.place(left, height), self.place(right, 0)
        gap = 0.5 if x1 - x0 > 4 else 0.0
        if height > 0:
            self._rectangle((x0 + gap, min(y0, y1 - 1)), (x1 - gap, y1), colour)

    def legend(self, names: list[str], start: float) -> None:
        """Names of the curves beside the title, right of `start`; those without room are counted."""
        shown = len(names)
        while shown and self._legend_width(names, shown) > self.field[2] - start:
            shown -= 1
        x = self.field[2] - self._legend_width(names, shown)
        for name, colour in zip(names[:shown], _colours(len(names)), strict=False):
            self._line((x, 20), (x + 14, 20), colour, 2.2)
            self._write(name, (x + 20, 24), 0.40, TEXT)
            x += 36 + _width(name, 0.40)
        if shown < len(names):
            self._write(f"+{len(names) - shown}", (x, 24), 0.40, _FAINT)

    @staticmethod
    def _legend_width(names: list[str], shown: int) -> float:
        return sum(36 + _width(name, 0.40) for name in names[:shown]) - 16 + (34 if shown < len(names) else 0)

    def picture(self) -> Tensor:
        """(H, W, 3) in 0..1."""
        import cv2

        small = cv2.resize(self.canvas, self.size[::-1], interpolation=cv2.INTER_AREA)
        return torch.from_numpy(small).float().div_(255)

    @staticmethod
    def _fixed(point) -> tuple[int, int]:
        return round(point[0] * _LARGE * 16), round(point[1] * _LARGE * 16)

    def _line(self, start, end, colour, width: float) -> None:
        import cv2

        cv2.line(self.canvas, self._fixed(start), self._fixed(end), colour, round(width * _LARGE), cv2.LINE_AA, 4)

    def _rectangle(self, start, end, colour) -> None:
        import cv2

        cv2.rectangle(self.canvas, self._fixed(start), self._fixed(end), colour, -1, cv2.LINE_AA, 4)

    def _write(self, text: str, at, scale: float, colour) -> None:
        import cv2

        place = (round(at[0] * _LARGE), round(at[1] * _LARGE))
        cv2.putText(self.canvas, plain(text), place, cv2.FONT_HERSHEY_SIMPLEX, scale * _LARGE, colour, _LARGE, cv2.LINE_AA)


def _colours(count: int) -> list[tuple[int, int, int]]:
    return [_COLOURS[number % len(_COLOURS)] for number in range(count)]


def plain(text: str) -> str:
    """OpenCV's letters are ASCII."""
    return text.encode("ascii", "replace").decode()


def _width(text: str, scale: float) -> float:
    """Pixels a text takes in the finished picture."""
    import cv2

    return cv2.getTextSize(plain(text), cv2.FONT_HERSHEY_SIMPLEX, scale * _LARGE, _LARGE)[0][0] / _LARGE

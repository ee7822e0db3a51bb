"""Videos, read lazily and exactly by frame."""

from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from .video_decoding import Cursor, Timeline, explained, scan, sound_between
from .video_writer import write_video

_BT709, _BT601, _BT2020 = 1, 5, 9  # colour matrices of swscale
_MATRICES = {1: _BT709, 4: 4, 7: 7, 9: _BT2020, 10: _BT2020}  # from those of video tags
_LIMITED, _FULL = 1, 2

__all__ = ["VideoReader", "read_video", "write_video"]


def read_video(path: str | Path, *, start: int = 0, stop: int | None = None, max_side: int | None = None) -> "VideoReader":
    """Open a video; frames are decoded when they are asked for.

    Args:
        start, stop: the frames start..stop - 1, as in a slice: a stop beyond the end means the end.
        max_side: frames are made smaller, in proportion, where their longer side is above it.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no video, damaged or empty, or has no frame `start`; it names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if start < 0 or (stop is not None and stop <= start):
        raise ValueError(f"{path.name}: frames {start}..{stop} were asked for, expected 0 <= start < stop")
    if max_side is not None and max_side < 1:
        raise ValueError(f"{path.name}: max_side is {max_side}, expected at least 1")
    with explained(path):
        timeline = scan(path)
    count = len(timeline.times)
    if start >= count:
        raise ValueError(f"{path.name}: frame {start} was asked for, it has {count}")
    return VideoReader(path, timeline, range(start, count if stop is None else min(stop, count)), max_side)


class VideoReader:
    """The frames of a video as a sequence: len(), [i] and iteration give (H, W, 3) uint8, upright as a player shows them.

    [i] equals what decoding from the start gives. Memory does not grow with the length. `fps` is the average rate of the whole file;
    `variable_rate` and `notes` tell where frames are not evenly spaced. `image_size` (H, W) is that of the frames given out, `source_size` that
    of the upright video before `max_side`.
    """

    def __init__(self, path: Path, timeline: Timeline, chosen: range, max_side: int | None):
        self.path, self._timeline, self._chosen = path, timeline, chosen
        self.fps = timeline.fps
        self.variable_rate = timeline.variable_rate
        self.notes = (f"{path.name} has a variable frame rate, {self.fps:.3f} fps on average",) if self.variable_rate else ()
        self.source_size = timeline.size[::-1] if timeline.turns % 2 else timeline.size
        scale = min(1.0, (max_side or max(self.source_size)) / max(self.source_size))
        self.image_size = tuple(max(1, round(side * scale)) for side in self.source_size)

    @property
    def times(self) -> list[float]:
        """Seconds at which each frame is shown, as the file stamps them."""
        return [self._timeline.times[number] * self._timeline.unit for number in self._chosen]

    def __len__(self) -> int:
        return len(self._chosen)

    def __getitem__(self, number: int) -> Tensor:
        return self._picture(self._cursor.frame(self._chosen[number]), "rgb24")

    def __iter__(self) -> Iterator[Tensor]:
        with Cursor(self.path, self._timeline) as cursor:
            for number in self._chosen:
                yield self._picture(cursor.frame(number), "rgb24")

    def __enter__(self) -> "VideoReader":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; the next access opens it again."""
        if "_cursor" in self.__dict__:
            self.__dict__.pop("_cursor").close()

    @cached_property
    def _cursor(self) -> Cursor:
        return Cursor(self.path, self._timeline)

    def _picture(self, frame, layout: str) -> Tensor:
        height, width = self.image_size[::-1] if self._timeline.turns % 2 else self.image_size
        with explained(self.path):
            scaling = {"width": width, "height": height, "interpolation": "AREA" if width < frame.width else "BILINEAR"}
            pixels = frame.to_ndarray(format=layout, **scaling, **_colors(frame, layout))
        return torch.from_numpy(np.ascontiguousarray(np.rot90(pixels, self._timeline.turns)))

    def frames(self, indices: Iterable[int] | None = None) -> Tensor:
        """Frames (T, H, W, 3) float32 in 0..1, all of them by default."""
        indices = range(len(self)) if indices is None else list(indices)
        pictures = torch.empty(len(indices), *self.image_size, 3)
        for row, number in enumerate(indices):
            torch.div(self[number], 255, out=pictures[row])
        return pictures

    def gray16(self, indices: Iterable[int] | None = None) -> Tensor:
        """Frames (T, H, W) uint16 of a 16-bit gray video, the very numbers that `write_video(..., depth=True)` was given."""
        if self._timeline.layout != "gray16le" or self.image_size != self.source_size:
            raise ValueError(f"{self.path.name}: its pixels are {self._timeline.layout} at {self.image_size}, expected unscaled gray16le")
        chosen = range(len(self)) if indices is None else indices
        return torch.stack([self._picture(self._cursor.frame(self._chosen[number]), "gray16le") for number in chosen])

    def audio(self) -> tuple[Tensor, int] | None:
        """The sound of the chosen frames: waveform (1, C, N) float32, and samples per second; None without sound."""
        times, unit = self._timeline.times, self._timeline.unit
        first, last = self._chosen[0], self._chosen[-1] + 1
        end = times[last] * unit if last < len(times) else times[-1] * unit + 1 / self.fps
        with explained(self.path):
            return sound_between(self.path, times[first] * unit, end)


def _colors(frame, layout: str) -> dict[str, int]:
    """What the numbers of a frame mean, spelled out: PyAV 14 does not look at its tags. Untagged video is BT.601, as players take it."""
    if layout != "rgb24" or frame.format.is_rgb:
        return {}
    full = frame.color_range == _FULL or frame.format.name.startswith("yuvj")
    return {
        "src_colorspace": _MATRICES.get(frame.colorspace, _BT601),
        "dst_colorspace": _BT709,
        "src_color_range": _FULL if full else _LIMITED,
        "dst_color_range": _FULL,
    }

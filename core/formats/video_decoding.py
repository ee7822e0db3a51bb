"""Where the frames of a video lie in time, and the decoder that goes to each of them."""

from bisect import bisect_right
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from itertools import chain, pairwise
from pathlib import Path
from statistics import median

import numpy as np
import torch
from torch import Tensor

_MAX_PIXELS = 1 << 26  # of one frame
_MAX_BOXES = 100_000
# Playlists and other lists of files would make the demuxer open what they name, so they are not among these.
_CONTAINERS = "mov,mp4,matroska,webm,avi,gif,apng,mpegts,mpeg,flv,ogg,asf,ivf,nut,mxf"
# One packet, one frame. Other codecs have packets that show nothing, so that their frames are counted by decoding.
_ONE_TO_ONE = {"h264", "hevc", "vp9", "av1", "ffv1", "prores", "mjpeg", "png", "rawvideo", "dnxhd"}


@dataclass(frozen=True)
class Timeline:
    """times: (N) increasing, in `unit` seconds, what the decoder stamps each frame with. keyframes: times at which decoding may begin, empty
    where it has to begin at the first frame. turns: quarter turns counterclockwise that put a frame upright. size: (H, W) before them."""

    times: list[int]
    keyframes: list[int]
    unit: float
    fps: float
    variable_rate: bool
    size: tuple[int, int]
    turns: int
    layout: str

    @cached_property
    def numbers(self) -> dict[int, int]:
        return {time: number for number, time in enumerate(self.times)}


@contextmanager
def explained(path: Path) -> Iterator[None]:
    """Whatever FFmpeg raises becomes a ValueError that names the file."""
    import av

    try:
        yield
    except (av.error.FFmpegError, OSError, EOFError, OverflowError, MemoryError) as error:
        reason = getattr(error, "strerror", None) or type(error).__name__
        raise ValueError(f"{path.name}: it cannot be read as a video ({reason}): it is damaged or of another kind") from None


@contextmanager
def _opened(path: Path) -> Iterator:
    """(container, video stream)."""
    import av

    options = {"format_whitelist": _CONTAINERS, "protocol_whitelist": "file"}
    with av.open(str(path.resolve()), container_options=options, metadata_errors="replace") as container:
        if not container.streams.video:
            raise ValueError(f"{path.name}: it has no video, only {', '.join(stream.type for stream in container.streams) or 'nothing'}")
        stream = container.streams.video[0]
        if stream.codec_context is None:
            raise ValueError(f"{path.name}: PyAV has no decoder for its video: pip install -U av, or convert it to h264")
        if stream.codec_context.width * stream.codec_context.height > _MAX_PIXELS:
            raise ValueError(f"{path.name}: its frames have more than {_MAX_PIXELS} pixels: make them smaller")
        stream.thread_type = "AUTO"
        yield container, stream


def scan(path: Path) -> Timeline:
    """Find every frame: by the packets where these are the frames, which takes no decoding, otherwise by decoding the file once."""
    _check_boxes(path)
    with _opened(path) as (container, stream):
        # Packets are let go at once: together they are the whole file.
        packets = [(p.pts, p.is_keyframe, p.is_discard, p.is_corrupt) for p in container.demux(stream) if p.size]
        stamps = [pts for pts, _, discard, _ in packets if not discard]
        keyframes = sorted({pts for pts, key, _, _ in packets if key and pts is not None})
        intact = not any(corrupt or pts is None for pts, _, _, corrupt in packets) and len(set(stamps)) == len(stamps)
        listed = intact and stream.codec_context.name in _ONE_TO_ONE and stream.frames in (0, len(packets))
        unit, rate = float(stream.time_base or 1), stream.average_rate
    with _opened(path) as (container, stream):
        first = next(container.decode(stream), None)
        if first is None:
            raise ValueError(f"{path.name}: it has no frames")
        size, layout, turns = (first.height, first.width), first.format.name, round(first.rotation / 90) % 4
    times = sorted(stamps) if listed and first.pts == min(stamps, default=None) else _decoded_times(path)
    if any(time is None for time in times) or any(after <= before for before, after in pairwise(times)):
        times, keyframes, unit = list(range(len(times))), [], 1 / float(rate or 25)
    fps, variable = _average_rate(times, unit, rate)
    return Timeline(times, [time for time in keyframes if time >= times[0]], unit, fps, variable, size, turns, layout)


def _decoded_times(path: Path) -> list[int | None]:
    with _opened(path) as (container, stream):
        return [frame.pts for frame in container.decode(stream)]


def _check_boxes(path: Path) -> None:
    """An MP4 that was cut off says so in its outermost boxes; FFmpeg would show what is left without a word."""
    length = path.stat().st_size
    with path.open("rb") as file:
        at = 0
        for _ in range(_MAX_BOXES):
            if at + 8 > length:
                return
            file.seek(at)
            head = file.read(16)
            size, kind = int.from_bytes(head[:4], "big"), head[4:8]
            if at == 0 and kind not in (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip"):
                return
            if size == 1:
                size = int.from_bytes(head[8:], "big")
            if kind in (b"mdat", b"moov", b"moof") and at + size > length:
                raise ValueError(f"{path.name}: it is cut off: {at + size - length} bytes are missing at its end")
            if size < 8:
                return
            at += size


def _average_rate(times: list[int], unit: float, declared) -> tuple[float, bool]:
    """(average frames per second, whether frames are unevenly spaced)."""
    steps = [after - before for before, after in pairwise(times)]
    if not steps:
        return float(declared or 25), False
    fps = len(steps) / ((times[-1] - times[0]) * unit)
    usual = median(steps)
    # Coarse clocks round each step up or down by one.
    variable = max(steps) > 1.5 * usual + 1 or min(steps) < 0.5 * usual - 1
    if declared and not variable and abs(float(declared) * (times[-1] - times[0]) * unit - len(steps)) < 0.5:
        fps = float(declared)
    return fps, variable


# --- decoding


class Cursor:
    """An open file that remembers where its decoder stands."""

    def __init__(self, path: Path, timeline: Timeline):
        self._path, self._timeline = path, timeline
        self._opened = self._container = self._stream = self._run = self._current = None
        self._number = -1  # of the current frame

    def __enter__(self) -> "Cursor":
        return self

    def __exit__(self, *_) -> None:
        self.close()

    def close(self) -> None:
        """Close the file."""
        if self._opened is not None:
            self._opened.__exit__(None, None, None)
        self._opened = self._run = self._current = None
        self._number = -1

    def frame(self, number: int):
        """Frame `number` of the file; decodes on from the current one unless a keyframe lies closer."""
        try:
            with explained(self._path):
                found = number == self._number or self._reach(number)
        except BaseException:
            self.close()
            raise
        if not found:
            self.close()
            raise ValueError(f"{self._path.name}: frame {number} cannot be decoded: the file is damaged there, encode it again")
        return self._current

    def _reach(self, number: int) -> bool:
        keyframe = self._keyframe(number)
        if self._run is not None and self._number < number and keyframe <= self._keyframe(self._number + 1) and self._advance(number):
            return True
        return any(self._seek(begin) and self._advance(number) for begin in dict.fromkeys((keyframe, max(keyframe - 1, -1), -1)))

    def _keyframe(self, number: int) -> int:
        """Index of the last keyframe at or before a frame, -1 for the beginning of the file."""
        return bisect_right(self._timeline.keyframes, self._timeline.times[number]) - 1

    def _seek(self, keyframe: int) -> bool:
        """Begin to decode at a keyframe; False where the container does not lead there."""
        if self._opened is None or keyframe < 0:
            self.close()
            self._opened = _opened(self._path)
            self._container, self._stream = self._opened.__enter__()
        self._number = -1
        if keyframe < 0:
            self._run = self._decode(self._container.demux(self._stream))
            return True
        time = self._timeline.keyframes[keyframe]
        self._container.seek(time, stream=self._stream)
        packets = self._container.demux(self._stream)
        first = next(packets, None)
        self._run = None if first is None else self._decode(packets, first)
        # Past the keyframe, frames shown before it may come out without what they refer to.
        return first is not None and first.pts is not None and first.pts <= time

    def _decode(self, packets: Iterator, *first) -> Iterator:
        """(number, frame) of every frame of the timeline that comes out."""
        count = 0
        for packet in chain(first, packets):
            for frame in packet.decode():
                number = self._timeline.numbers.get(frame.pts, -1) if self._timeline.keyframes else count
                count += 1
                if number >= 0:
                    yield number, frame

    def _advance(self, number: int) -> bool:
        """Decode on to a frame; False where it does not come out."""
        for at, frame in self._run:
            self._number, self._current = at, frame
            if at >= number:
                return at == number
        return False


def sound_between(path: Path, begin: float, end: float) -> tuple[Tensor, int] | None:
    """Waveform (1, C, N) and sample rate between two times in seconds of the first sound stream; silence before it begins."""
    import av

    with _opened(path) as (container, _):
        if not container.streams.audio or container.streams.audio[0].codec_context is None:
            return None
        stream = container.streams.audio[0]
        rate, layout = stream.codec_context.sample_rate, stream.codec_context.layout.name
        resampler = av.AudioResampler(format="fltp", layout=layout, rate=rate)
        parts, starts = [], []
        for frame in container.decode(stream):
            starts.append(frame.time)
            parts += [part.to_ndarray() for part in resampler.resample(frame)]
    if not parts:
        return None
    wave = torch.from_numpy(np.concatenate(parts, axis=1))
    skip, length = round((begin - (starts[0] or 0.0)) * rate), round((end - begin) * rate)
    wave = torch.nn.functional.pad(wave, (max(-skip, 0), 0))[:, max(skip, 0) :]
    return wave[None, :, :length].contiguous(), rate

"""VIDEO and IMAGE as films: frames one by one, with their times, and the sound beside them."""

import io as streams
import tempfile
from bisect import bisect_left
from collections.abc import Callable, Hashable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

import torch
from comfy_api.latest import InputImpl
from torch import Tensor

from ..core.estimators.extraction import EvenFrames
from ..core.formats.video import VideoReader, read_video
from ..core.maps.resampling import resample
from ..core.types import ImageSize

ASSUMED_FPS = 30.0  # of an IMAGE


class Pictures:
    """IMAGE (T, H, W, 3 or 4) in 0..1 as frames (H, W, 3) uint8, made when they are asked for."""

    def __init__(self, images: Tensor):
        self._images = images

    def __len__(self) -> int:
        return len(self._images)

    def __iter__(self) -> Iterator[Tensor]:
        for picture in self._images:
            yield (picture[..., :3].detach().cpu() * 255).round().clamp(0, 255).byte()

    def digest(self) -> str:
        """Of what they show."""
        with ThreadPoolExecutor() as pool:
            parts = pool.map(lambda picture: sha256(picture.detach().cpu().contiguous().numpy()).digest(), self._images)
            return sha256(b"".join(parts)).hexdigest()


@dataclass(frozen=True)
class Film:
    """frames: (H, W, 3) uint8 each, upright, of `image_size` (H, W), read in their order. times: seconds of each, or None where they are even at `fps`.
    audio: AUDIO of films that hold theirs. notes: what was assumed. passing: the file that is read is there for this once only."""

    frames: Sequence[Tensor]
    fps: float
    image_size: ImageSize
    times: Sequence[float] | None = None
    audio: dict[str, Any] | None = None
    notes: tuple[str, ...] = ()
    passing: bool = False

    def identity(self) -> Hashable:
        """Equal for films of the same file as it is now and of the same frames of it, or for the same pictures."""
        if not isinstance(self.frames, VideoReader):
            return (self.frames.digest(), len(self.frames), self.image_size)
        path = self.frames.path
        state = path.stat()
        if not self.passing:
            return (str(path.resolve()), state.st_mtime_ns, state.st_size, *self.times)
        with path.open("rb") as file:
            return (file_digest(file, "sha256").hexdigest(), *self.times)

    def sound(self) -> tuple[dict[str, Any] | None, tuple[str, ...]]:
        """AUDIO or None, and a note where the film has sound that cannot be read."""
        if not isinstance(self.frames, VideoReader):
            return self.audio, ()
        try:
            found = self.frames.audio()
        except ValueError as error:
            return None, (f"the sound is left out: {error}",)
        return (None if found is None else {"waveform": found[0], "sample_rate": found[1]}), ()


@contextmanager
def opened_film(video: Any, fps: float) -> Iterator[Film]:
    """Open a VIDEO, of which one made from a file is read from there frame by frame, or an IMAGE, which is given `fps`, or 30 where that is 0."""
    if isinstance(video, Tensor):
        notes = () if fps else (f"{ASSUMED_FPS:g} fps assumed: pictures have none",)
        yield Film(Pictures(video), fps or ASSUMED_FPS, tuple(video.shape[1:3]), notes=notes)
    elif isinstance(video, InputImpl.VideoFromFile):
        source = video.get_stream_source()
        with _path(source) as path, _read(path, video) as reader:
            yield Film(reader, reader.fps, reader.image_size, reader.times, passing=isinstance(source, streams.BytesIO))
    else:
        parts = video.get_components()
        yield Film(Pictures(parts.images), float(parts.frame_rate), tuple(parts.images.shape[1:3]), audio=parts.audio)


def taken_frames(film: Film, fps: float, *, max_side: int, progress: Callable[[int], Any]) -> tuple[Tensor, str]:
    """IMAGE (T, H, W, 3) of the frames that Extract Motion looks at, none of whose sides is above `max_side`, and a report.

    Args:
        fps: as there, 0 for the film's own. progress: makes a bar of so many frames.

    Raises:
        ValueError: not even the first frame can be read.
    """
    even = EvenFrames(film.frames, source_fps=film.fps, times=film.times, fps=fps or None)
    scale = min(1.0, max_side / max(film.image_size))
    height, width = (max(1, round(side * scale)) for side in film.image_size)
    images, bar, notes = torch.empty(len(even), height, width, 3), progress(len(even)), [*film.notes, *even.notes]
    count = 0
    try:
        for count, frame in enumerate(even, start=1):
            images[count - 1] = resample(frame.float() / 255, height, width)
            bar.advance()
    except (ValueError, OSError) as error:
        if count == 0:
            raise
        notes.append(f"the film ends after {count} frames, where reading failed: {error}")
    return images[:count], "\n".join([f"{count} frames of {width}x{height} at {even.fps:.6g} fps", *notes])


@contextmanager
def _path(source: str | streams.BytesIO) -> Iterator[Path]:
    """A video in memory is written to a file for as long as it is read."""
    if not isinstance(source, streams.BytesIO):
        yield Path(source)
        return
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "video.mp4"
        path.write_bytes(source.getbuffer())
        yield path


def _read(path: Path, video: Any) -> VideoReader:
    """The part of a file that the VIDEO is cut to, where its program can cut."""
    whole = read_video(path)
    start, length = getattr(video, "get_active_trim_window", lambda: (0.0, 0.0))()
    if not start and not length:
        return whole
    times = [time - whole.times[0] for time in whole.times]
    first = min(bisect_left(times, start), len(times) - 1)
    return read_video(path, start=first, stop=max(first + 1, bisect_left(times, start + length)) if length else None)

"""From frames to detections, frame by frame: however long the film is, a few of its frames are held at a time."""

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from itertools import islice

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import motion_capture_intrinsics
from ..types import ImageSize
from .people import Detections, Estimator, FramePeople
from .shots import ShotDetector

_EPSILON = 1e-6  # frames, of rounding in times


class EvenFrames:
    """The frames of a film at an even rate: at every tick of the clock the frame whose time is nearest.

    A reader of files says when its frames are shown; where they are unevenly spaced, or another rate is wanted, some come twice and others never.
    `late` (N) seconds from each tick to when its frame is shown; None where each frame has its own tick.
    """

    def __init__(self, frames: Sequence[Tensor], *, source_fps: float, times: Sequence[float] | None = None, fps: float | None = None):
        """Place the frames on the clock.

        Args:
            frames: read in their order, each at most once.
            times: seconds at which each is shown, increasing; None: evenly spaced at `source_fps`.
            source_fps: how long the last frame is shown, and the rate of the result where `fps` is None.

        Raises:
            ValueError: no frames, a rate that is not above 0, or other than one time for each frame.
        """
        for name, rate in (("source_fps", source_fps), ("fps", source_fps if fps is None else fps)):
            if not (math.isfinite(rate) and rate > 0):
                raise ValueError(f"{name} is {rate}, expected a finite number above 0")
        count = len(frames)
        if count == 0 or (times is not None and len(times) != count):
            raise ValueError(
                f"{count} frames and {count if times is None else len(times)} times, expected one time for each of at least 1 frame"
            )
        self._frames, self.fps = frames, float(source_fps if fps is None else fps)
        seconds = np.arange(count) / source_fps if times is None else np.asarray(times, float) - times[0]
        ticks = max(1, math.ceil((seconds[-1] + 1 / source_fps) * self.fps - _EPSILON))
        between = (seconds[1:] + seconds[:-1]) / 2  # from there on the later one is nearer
        self.picks = np.searchsorted(between * self.fps, np.arange(ticks) + _EPSILON)
        self.notes = self._told(source_fps, bool(np.abs(np.diff(seconds) * source_fps - 1).max(initial=0) > 0.5))
        self.late = torch.from_numpy(seconds[self.picks] - np.arange(ticks) / self.fps) if self.notes else None

    def _told(self, source_fps: float, uneven: bool) -> tuple[str, ...]:
        shown = np.bincount(self.picks, minlength=len(self._frames))
        if not uneven and (shown == 1).all():
            return ()
        kind = "a variable frame rate" if uneven else f"{source_fps:.6g} fps"
        return (
            f"the film has {kind}: its {len(shown)} frames were placed on an even clock of {self.fps:.6g} fps by their times, "
            f"{int((shown == 0).sum())} left out and {int((shown[shown > 0] - 1).sum())} repeated",
        )

    def __len__(self) -> int:
        return len(self.picks)

    def __iter__(self) -> Iterator[Tensor]:
        shown = np.bincount(self.picks, minlength=len(self._frames))
        for frame, times in zip(self._frames, shown.tolist(), strict=True):
            yield from (frame for _ in range(times))


def extract(
    frames: Iterable[Tensor],
    estimator: Estimator,
    *,
    fps: float,
    image_size: ImageSize,
    intrinsics: Tensor | None = None,
    batch: int | None = None,
    advance: Callable[[int], None] | None = None,
    cuts: bool = True,
    late: Tensor | None = None,
) -> Detections:
    """Find the people in every frame.

    Args:
        frames: (H, W, 3) uint8 RGB each, of `image_size`, evenly spaced at `fps`; they are let go of once looked at.
        intrinsics: (3, 3) pixels; None: 55 degrees over the longer side.
        batch: frames looked at together; None: what the estimator says.
        advance: called with 1 after each frame; what it raises ends the work.
        cuts: look for the beginnings of shots too.
        late: (T) seconds by which each frame is off its time, as of `EvenFrames`; motions are read at the even times between them.

    Returns:
        Detections. If the frames break off with an error, those before it, and a note that says where and why.

    Raises:
        ValueError: nobody is seen in any frame, a frame of another size, or not even the first frame can be read.
    """
    reader, detector = _Reader(frames, image_size), ShotDetector() if cuts else None
    intrinsics = motion_capture_intrinsics(image_size) if intrinsics is None else intrinsics.float()
    size = max(1, estimator.batch(image_size) if batch is None else batch)
    found: list[FramePeople] = []
    shots: list[int] = []
    try:
        while pictures := list(islice(reader, size)):
            if detector is not None:
                shots += [len(found) + number for number, picture in enumerate(pictures) if detector.push(picture)]
            found += _detected(estimator, torch.stack(pictures), intrinsics)
            for _ in pictures if advance is not None else ():
                advance(1)
    finally:
        estimator.close()
    if not found:
        raise reader.failure or ValueError("there are no frames, expected at least 1")
    if not any(people.count for people in found):
        raise ValueError(
            f"{estimator.name} sees nobody in any of the {len(found)} frames: is a person in view, upright, and at least a tenth of the picture high?"
        )
    notes = (f"estimated by {estimator.name}", *reader.notes(len(found)), *_emptiness(found))
    late = None if late is None else late[: len(found)]
    return Detections(frames=found, fps=fps, image_size=image_size, intrinsics=intrinsics, shots=shots, notes=notes, late=late)


class _Reader:
    """Frames up to where reading fails."""

    def __init__(self, frames: Iterable[Tensor], image_size: ImageSize):
        self._frames, self._image_size = iter(frames), image_size
        self.failure: Exception | None = None

    def __iter__(self) -> "_Reader":
        return self

    def __next__(self) -> Tensor:
        if self.failure is not None:
            raise StopIteration
        try:
            frame = next(self._frames)
        except (ValueError, OSError) as error:
            self.failure = error
            raise StopIteration from None
        if frame.shape != (*self._image_size, 3) or frame.dtype != torch.uint8:
            raise ValueError(f"a frame is {tuple(frame.shape)} {frame.dtype}, expected {(*self._image_size, 3)} torch.uint8")
        return frame

    def notes(self, count: int) -> tuple[str, ...]:
        return () if self.failure is None else (f"the film ends after {count} frames, where reading failed: {self.failure}",)


def _detected(estimator: Estimator, pictures: Tensor, intrinsics: Tensor) -> list[FramePeople]:
    people = estimator.detect(pictures, intrinsics)
    if len(people) != len(pictures):
        raise ValueError(
            f"{estimator.name} returned {len(people)} frames of people for {len(pictures)} frames: it does not keep to the protocol"
        )
    return people


def _emptiness(found: list[FramePeople]) -> tuple[str, ...]:
    """A note that lists the frames without people, as ranges."""
    empty = np.flatnonzero([people.count == 0 for people in found])
    if empty.size == 0:
        return ()
    runs = np.split(empty, np.flatnonzero(np.diff(empty) > 1) + 1)
    told = ", ".join(str(run[0]) if len(run) == 1 else f"{run[0]}-{run[-1]}" for run in runs[:20])
    return (f"nobody is seen in {empty.size} of {len(found)} frames: {told}{', ...' if len(runs) > 20 else ''}",)

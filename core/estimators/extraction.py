"""From frames to detections, frame by frame: however long the film is, a few of its frames are held at a time."""

import math
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice, repeat

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import motion_capture_intrinsics
from ..types import ImageSize
from .people import Detections, Estimator, FramePeople
from .shots import ShotDetector
from .unfinished import Stretch, Unfinished

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
        for frame, times in zip(self.once(), self.shown, strict=True):
            yield from repeat(frame, times)

    @property
    def shown(self) -> list[int]:
        """At how many ticks each frame of `once` is shown."""
        return np.unique(self.picks, return_counts=True)[1].tolist()

    def once(self, start: int = 0) -> Iterator[Tensor]:
        """Each frame that is shown at all, once, from number `start` of them on; a film whose frames can be asked for by number is not read up to there."""
        wanted = np.unique(self.picks).tolist()
        first = wanted[start - 1] + 1 if start else 0
        if start and hasattr(self._frames, "__getitem__"):
            # One after another, though not all are wanted: where one cannot be read, the film ends here as it does when read as a whole.
            rest = (self._frames[number] for number in range(first, len(self._frames)))
        else:
            rest = islice(self._frames, first, None)
        shown = set(wanted)
        yield from (frame for number, frame in enumerate(rest, first) if number in shown)


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
    film: Hashable = None,
    unfinished: Unfinished | None = None,
) -> Detections:
    """Find the people in every frame.

    Args:
        frames: (H, W, 3) uint8 RGB each, of `image_size`, evenly spaced at `fps`; they are let go of once looked at. Those that `EvenFrames` repeats are
            looked at once.
        intrinsics: (3, 3) pixels; None: 55 degrees over the longer side.
        batch: pictures looked at together; None: what the estimator says.
        advance: called with 1 after each frame, and before the first with the number of those that were found earlier; what it raises ends the work.
        cuts: look for the beginnings of shots too.
        late: (T) seconds by which each frame is off its time, as of `EvenFrames`; motions are read at the even times between them.
        film: what the frames are, equal only for equal frames; needed with `unfinished`.
        unfinished: where the work is kept if it ends with an error or is interrupted, and taken up if it was, with the same film, estimator and options:
            what comes out is what would have without the interruption. The batch may differ.

    Returns:
        Detections. If the frames break off with an error, those before it, and a note that says where and why.

    Raises:
        ValueError: nobody is seen in any frame, a frame of another size, not even the first frame can be read, or `unfinished` without a film.
    """
    if unfinished is not None and film is None:
        raise ValueError("film is None, expected what tells this film from others: unfinished work cannot be kept without it")
    intrinsics = motion_capture_intrinsics(image_size) if intrinsics is None else intrinsics.float()
    shown = frames.shown if isinstance(frames, EvenFrames) else None
    key = (
        film,
        estimator.identity,
        fps,
        tuple(image_size),
        tuple(intrinsics.flatten().tolist()),
        cuts,
        None if shown is None else tuple(shown),
    )
    held = None if unfinished is None else unfinished.take(key, estimator.memory)
    if held is None and estimator.memory is not None:
        estimator.close()
    begun = held or Stretch(people=[], detector=ShotDetector() if cuts else None)
    reader = _Reader(frames.once(begun.looked_at) if shown else islice(frames, begun.looked_at, None), image_size)
    keep = None if unfinished is None else partial(unfinished.keep, key)
    end = _looked_through(reader, estimator, begun, intrinsics, shown=shown, batch=batch, advance=advance, keep=keep)
    found = [people for people, times in zip(end.people, shown or repeat(1), strict=False) for _ in range(times)]
    if not found:
        raise reader.failure or ValueError("there are no frames, expected at least 1")
    if not any(people.count for people in found):
        raise ValueError(
            f"{estimator.name} sees nobody in any of the {len(found)} frames: is a person in view, upright, and at least a tenth of the picture high?"
        )
    notes = (f"estimated by {estimator.name}", *_continued(begun), *reader.notes(len(found)), *_emptiness(found))
    late = None if late is None else late[: len(found)]
    return Detections(frames=found, fps=fps, image_size=image_size, intrinsics=intrinsics, shots=end.shots, notes=notes, late=late)


def _looked_through(
    reader: "_Reader",
    estimator: Estimator,
    stretch: Stretch,
    intrinsics: Tensor,
    *,
    shown: Sequence[int] | None,
    batch: int | None,
    advance: Callable[[int], None] | None,
    keep: Callable[[Stretch, Hashable | None], bool] | None,
) -> Stretch:
    """The stretch with all that the reader still gives, batch by batch; handed to `keep` where that fails."""
    advance, kept = advance or (lambda steps: None), False
    try:
        size = max(1, estimator.batch(reader.image_size) if batch is None else batch)
        if stretch.ticks:
            advance(stretch.ticks)
        room = torch.empty(size, *reader.image_size, 3, dtype=torch.uint8)  # the same for all batches: new room for each breaks up the heap
        while count := reader.fill(room):
            pictures = room[:count]
            found, first = _detected(estimator, pictures, intrinsics), stretch.looked_at
            times = [1] * len(found) if shown is None else shown[first : first + len(found)]
            stretch = stretch.after(pictures, found, times, estimator.memory)
            for _ in range(sum(times)):
                advance(1)
    except BaseException:
        kept = keep is not None and keep(stretch, estimator.memory)
        raise
    finally:
        if not kept or estimator.memory is None:
            estimator.close()
    return stretch


def _continued(begun: Stretch) -> tuple[str, ...]:
    return (f"continued at frame {begun.ticks}: the frames before it are those of a run that did not end",) if begun.ticks else ()


class _Reader:
    """Frames up to where reading fails."""

    def __init__(self, frames: Iterable[Tensor], image_size: ImageSize):
        self._frames, self.image_size = iter(frames), image_size
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
        if frame.shape != (*self.image_size, 3) or frame.dtype != torch.uint8:
            raise ValueError(f"a frame is {tuple(frame.shape)} {frame.dtype}, expected {(*self.image_size, 3)} torch.uint8")
        return frame

    def fill(self, room: Tensor) -> int:
        """How many frames there were for `room` (N, H, W, 3)."""
        count = 0
        for count, frame in enumerate(islice(self, len(room)), 1):
            room[count - 1] = frame
        return count

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

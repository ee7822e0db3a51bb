"""What an extraction that did not come to its end had found, so that the next one of the same goes on from there."""

from collections.abc import Hashable, Sequence
from copy import deepcopy
from dataclasses import dataclass, replace

from torch import Tensor

from .people import FramePeople
from .shots import ShotDetector

_MOST = 250_000  # people, who take about 4 KB each


@dataclass(frozen=True, eq=False, kw_only=True)
class Stretch:
    """The beginning of a film as far as it has been looked at, and all that has to be known to go on.

    people: of its pictures, at least `looked_at` of them. ticks: frames of the result that these fill. shots: first frames of the shots after the first among
    them. detector: of shots, None where none are looked for. memory: of the estimator, after the last of them.
    """

    people: list[FramePeople]
    looked_at: int = 0
    ticks: int = 0
    shots: tuple[int, ...] = ()
    detector: ShotDetector | None
    memory: Hashable | None = None

    def after(self, pictures: Sequence[Tensor], found: Sequence[FramePeople], shown: Sequence[int], memory: Hashable | None) -> "Stretch":
        """With pictures (H, W, 3) uint8 that follow, the people in them, and in how many frames of the result each is shown.

        The list of people is grown in place: what an addition that was broken off has left at its end does not count.
        """
        detector, ticks, shots = deepcopy(self.detector), self.ticks, list(self.shots)
        for picture, times in zip(pictures, shown, strict=True):
            if detector is not None:
                shots += [ticks + repeat for repeat in range(times) if detector.push(picture)]
            ticks += times
        self.people[self.looked_at :] = found
        return replace(self, looked_at=self.looked_at + len(found), ticks=ticks, shots=tuple(shots), detector=detector, memory=memory)


class Unfinished:
    """Keeps the last extraction that did not end, and only that one, for as long as the program runs."""

    def __init__(self, *, most: int = _MOST):
        """`most`: people; what has found more of them is not kept, so that memory stays bounded."""
        self._most = most
        self._kept: tuple[Hashable, Stretch] | None = None

    def keep(self, key: Hashable, stretch: Stretch, memory: Hashable | None) -> bool:
        """Put by what was found, in place of what was; False where it cannot be gone on with.

        Args:
            key: equal only for extractions of which one finds what the other finds.
            memory: that of the estimator as it is now. One that follows people from frame to frame and has failed since is somewhere else.
        """
        people = stretch.people[: stretch.looked_at]
        if not people or stretch.memory != memory or sum(max(1, frame.count) for frame in people) > self._most:
            return False
        self._kept = (key, stretch)
        return True

    def take(self, key: Hashable, memory: Hashable | None) -> Stretch | None:
        """What was found by an extraction with an equal key, which is kept no longer; None without one, or where the estimator was used otherwise since."""
        if self._kept is None or self._kept[0] != key:
            return None
        (_, stretch), self._kept = self._kept, None
        return stretch if stretch.memory == memory else None

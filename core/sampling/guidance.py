"""Classifier-free guidance, along one axis or two, for a part of the sampling."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

Branch = Literal["positive", "negative", "still"]


@dataclass(frozen=True)
class Guidance:
    """How predictions under several conditions become one.

    scale: of the positive condition against the negative; 1 runs the positive alone and 0 the negative alone. motion: of the positive with
    its motion against the positive without; 1 leaves that axis out. start, end: the part of the schedule, 0 at noise and 1 at the video, in
    which guidance acts; outside of it the positive runs alone.
    """

    scale: float = 1.0
    motion: float = 1.0
    start: float = 0.0
    end: float = 1.0

    def __post_init__(self):
        if not (abs(self.scale) < float("inf") and abs(self.motion) < float("inf")):
            raise ValueError(f"guidance is {self.scale} and {self.motion} for motion, expected finite numbers: 1 samples without guidance")
        if not 0 <= self.start <= self.end <= 1:
            raise ValueError(f"guidance acts from {self.start} to {self.end}, expected 0 <= start <= end <= 1")

    def needs(self, progress: float) -> tuple[bool, bool, bool]:
        """Whether the positive, the negative and the positive without motion have to be predicted at a point of the schedule."""
        if not self.start <= progress <= self.end:
            return True, False, False
        return self.scale + self.motion != 1, self.scale != 1, self.motion != 1

    def combine(self, positive: Tensor | None, negative: Tensor | None, still: Tensor | None) -> Tensor:
        """One prediction of those that `needs` asked for, None for the others: p + (scale - 1) (p - n) + (motion - 1) (p - s)."""
        if positive is None:  # it cancels out
            parts = [(1 - factor) * part for factor, part in ((self.scale, negative), (self.motion, still)) if part is not None]
            return sum(parts[1:], start=parts[0])
        if negative is not None and still is None:
            return negative + self.scale * (positive - negative)  # in the order of the release, whose rounding it keeps
        guided = positive
        if negative is not None:
            guided = guided + (self.scale - 1) * (positive - negative)
        if still is not None:
            guided = guided + (self.motion - 1) * (positive - still)
        return guided

    def guided(self, predict: Callable[[Branch], Tensor], progress: float) -> Tensor:
        """The prediction at a point of the schedule; `predict` is called once for each branch that is needed, the negative first."""
        positive, negative, still = self.needs(progress)
        of_negative = predict("negative") if negative else None
        of_positive = predict("positive") if positive else None
        return self.combine(of_positive, of_negative, predict("still") if still else None)

"""How the passes over time and views share the steps of a sampling, and where in it a step is."""

from dataclasses import dataclass
from typing import Literal

from torch import Tensor


@dataclass(frozen=True)
class Balance:
    """The share of the pass over time in the blend; the pass over views has the rest.

    kind: "constant" is `start` at every step. "alternate" is 1 at even steps and 0 at odd ones, which halves the cost. "ramp" goes from
    `start` at noise to `end` at the finished video in a straight line. end: None for 1 - start.
    """

    kind: Literal["constant", "alternate", "ramp"] = "constant"
    start: float = 0.5
    end: float | None = None

    def __post_init__(self):
        if self.kind not in ("constant", "alternate", "ramp"):
            raise ValueError(f"balance is {self.kind!r}, expected constant, alternate or ramp")
        if not all(0 <= share <= 1 for share in (self.start, self.last)):
            raise ValueError(f"balance goes from {self.start} to {self.last}, expected shares of the pass over time from 0 to 1")

    @property
    def last(self) -> float:
        """The share at the finished video."""
        return 1 - self.start if self.end is None else self.end

    def at(self, step: int, progress: float) -> float:
        """The share at a step, counted from 0, and a point of the schedule, 0 noise and 1 video."""
        if self.kind == "alternate":
            return float(step % 2 == 0)
        if self.kind == "ramp":
            return self.start + (self.last - self.start) * min(max(progress, 0.0), 1.0)
        return self.start


class StepCount:
    """Steps and progress of a sampling of which only the timesteps are seen: they fall from step to step, and rise where another run starts."""

    def __init__(self):
        self._step, self._first, self._last = 0, 0.0, None

    def at(self, timestep: Tensor | float) -> tuple[int, float]:
        """The step, from 0, and the progress, 0 at the first timestep of the run and 1 at timestep 0."""
        now = float(timestep)
        if self._last is None or now > self._last:
            self._step, self._first = 0, now
        elif now < self._last:
            self._step += 1
        self._last = now
        return self._step, 1 - now / self._first if self._first > 0 else 0.0

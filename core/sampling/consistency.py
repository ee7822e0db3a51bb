"""Whether windows can be seen in what was sampled: differences between neighbours inside windows and across their borders."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from .progressive import ViewTimePlan
from .windows import WindowPlan


@dataclass(frozen=True, eq=False)
class Seams:
    """Neighbours along one axis of the grid.

    differences: (V, n) mean absolute difference of each place to the next along the axis, over time n = F - 1; over views (n, F) with n = V on
    a circle, else V - 1. borders: bool (n), between which of them a window begins or ends; tiles: bool (o, n), likewise of the tiles of windows
    along the other axis, for each of the o places where they begin in turn.
    """

    axis: str
    differences: Tensor
    borders: Tensor
    tiles: Tensor

    def mean(self, where: Tensor) -> float:
        """Mean difference of the chosen neighbours (n); NaN of none."""
        return float(self.differences.index_select(0 if self.axis == "views" else 1, torch.nonzero(where).flatten()).mean())

    @property
    def inside(self) -> float:
        """Mean difference of neighbours with no border between them; of tiles that move, in the turn where it is the least."""
        found = [self.mean(~(self.borders | tiles)) for tiles in self.tiles]
        return min([mean for mean in found if not math.isnan(mean)], default=math.nan)

    @property
    def across_tiles(self) -> float:
        """Mean difference across borders of tiles; of tiles that move, in the turn where it is the greatest."""
        found = [self.mean(tiles) for tiles in self.tiles]
        return max([mean for mean in found if not math.isnan(mean)], default=math.nan)

    @property
    def ratio(self) -> float:
        """Mean difference across borders of windows over that inside: near 1 where they cannot be seen; NaN without borders or inside."""
        return self.mean(self.borders) / max(self.inside, 1e-12)

    @property
    def tile_ratio(self) -> float:
        """The same across borders of tiles."""
        return self.across_tiles / max(self.inside, 1e-12)

    def text(self) -> str:
        """One line."""
        found = ["none inside windows" if math.isnan(self.inside) else f"inside windows {self.inside:.4g}"]
        given = (
            ("windows", self.borders[None], self.mean(self.borders), self.ratio),
            ("tiles", self.tiles, self.across_tiles, self.tile_ratio),
        )
        for name, where, mean, ratio in given:
            if where.any():
                factor = "" if math.isnan(ratio) else f" (x{ratio:.2f})"
                found.append(f"across {int(where.sum(1).max())} borders of {name} {mean:.4g}{factor}")
        return f"neighbouring {self.axis}: {', '.join(found)}"


@dataclass(frozen=True, eq=False)
class Consistency:
    """Differences between neighbours of a sampled grid. time, views: None where the grid has one frame, or one view."""

    shape: tuple[int, int]
    time: Seams | None
    views: Seams | None

    @classmethod
    def of(cls, grid: Tensor, plan: ViewTimePlan, *, closed: bool | None = None) -> "Consistency":
        """Measure latents or pictures (V, F, ...) that were sampled by a plan.

        Args:
            closed: whether the last view and the first are neighbours; None as planned.

        Raises:
            ValueError: a grid of other views and frames than planned, or values that are no numbers.
        """
        if grid.ndim < 3 or tuple(grid.shape[:2]) != plan.shape:
            views, frames = plan.shape
            raise ValueError(
                f"the grid has shape {tuple(grid.shape)}, the windows cover ({views}, {frames}, ...) views and frames: plan them for it"
            )
        if not grid.isfinite().all():
            raise ValueError("the grid has values that are no numbers: its sampling went wrong before the windows matter")
        views, frames = plan.shape
        closed = (plan.goes_round if closed is None else closed) and views > 2
        time = _differences([(grid[:, frame], grid[:, frame + 1]) for frame in range(frames - 1)])
        around = _differences([(grid[view], grid[(view + 1) % views]) for view in range(views if closed else views - 1)])
        return cls(
            (views, frames),
            None if time is None else Seams("frames", time.T, *_borders(plan, "time", frames - 1)),
            None if around is None else Seams("views", around, *_borders(plan, "views", len(around))),
        )

    @property
    def seams(self) -> float:
        """The greater of both axes' ratios, over windows and tiles; 1 where there are no borders, or nothing inside to hold them against."""
        ratios = [ratio for one in (self.time, self.views) if one is not None for ratio in (one.ratio, one.tile_ratio)]
        return max([ratio for ratio in ratios if not math.isnan(ratio)], default=1.0)

    def heat(self) -> Tensor:
        """(V, F): the mean difference of each place to all of its neighbours; 0 where it has none."""
        total, count = torch.zeros(self.shape), torch.zeros(self.shape)
        for seams, axis in ((self.time, 1), (self.views, 0)):
            if seams is None:
                continue
            for place in range(seams.differences.shape[axis]):
                for at in (place, (place + 1) % self.shape[axis]):
                    total.select(axis, at).add_(seams.differences.select(axis, place))
                    count.select(axis, at).add_(1)
        return total / count.clamp(min=1)

    def text(self) -> str:
        """A line for each axis, and how to read it."""
        lines = [
            f"mean absolute difference over {self.shape[0]} views and {self.shape[1]} frames; windows cannot be seen where factors are near 1"
        ]
        return "\n".join([*lines, *(seams.text() for seams in (self.time, self.views) if seams is not None)])


def latent_grid(latents: Tensor) -> Tensor:
    """Latents (V, C, F, h, w), or (V, C, h, w) of one frame -> (V, F, C, h, w), the same memory.

    Raises:
        ValueError: another number of axes.
    """
    if latents.ndim not in (4, 5):
        raise ValueError(f"latents have shape {tuple(latents.shape)}, expected (V, C, F, h, w): connect the latent of all views")
    return latents[:, None] if latents.ndim == 4 else latents.transpose(1, 2)


def picture_grid(images: Tensor, views: int, frames_per_latent: int = 1) -> Tensor:
    """Pictures (V T, H, W, C), view after view -> (V, F, H, W, C), the first of each view and then the last of each latent frame.

    Raises:
        ValueError: a number of pictures that is no multiple of the views, or more than whole latent frames.
    """
    if len(images) == 0 or len(images) % views:
        raise ValueError(f"{len(images)} images are not the frames of {views} views: set views to how many there are")
    each = len(images) // views
    if (each - 1) % frames_per_latent:
        raise ValueError(
            f"each view has {each} frames, which is not 1 + a multiple of {frames_per_latent}: set frames_per_latent to 1 for frames that were not "
            "decoded by a video VAE"
        )
    return images.unflatten(0, (views, each))[:, ::frames_per_latent]


def _differences(pairs: Sequence[tuple[Tensor, Tensor]]) -> Tensor | None:
    """(n, m) float32 on the CPU: of n pairs of (m, ...) the mean absolute difference over all but the first axis; one pair at a time."""
    found = [(one.float() - other.float()).abs().flatten(1).mean(1).cpu() for one, other in pairs]
    return torch.stack(found) if found else None


def _borders(plan: ViewTimePlan, along: Literal["time", "views"], count: int) -> tuple[Tensor, Tensor]:
    """Between which neighbours of an axis a window along it begins or ends, bool (count), and a tile of one along the other, bool (o, count)."""
    shares = [
        plan.time_share(step, progress) for step, progress in ((0, 0.0), (1, 1.0))
    ]  # in one of these, every pass that is used has some
    used = {"time": max(shares) > 0, "views": min(shares) < 1}
    held, other = (plan.frames, "views") if along == "time" else (plan.views, "time")
    none = torch.zeros(count, dtype=torch.bool)
    tiles = [_ends(tiles, count) for tiles in plan.tiles[other]] if used[other] else [none]
    return _ends(held, count) if used[along] else none, torch.stack(tiles)


def _ends(windows: WindowPlan, count: int) -> Tensor:
    """After which of the first `count` positions a window begins or ends: bool (count)."""
    found = torch.zeros(count, dtype=torch.bool)
    for indices, weights in zip(windows.indices, windows.weights, strict=True):
        held = torch.zeros(windows.length, dtype=torch.bool)
        held[indices[weights > 0]] = True
        found |= held[:count] != held.roll(-1)[:count]
    return found

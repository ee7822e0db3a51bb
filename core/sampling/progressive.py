"""Progressive sampling over views and time: at every step the grid of views and frames goes through the model in overlapping pieces.

A pass over time takes windows of frames, a few views at a time; a pass over views takes windows of views, a few frames at a time. Their
predictions are blended with weights that sum to one, after HVG (progressive spatio-temporal sampling) and MultiDiffusion. A long video of one
view is the case of the pass over time alone, a still picture that is turned around that of the pass over views alone.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import torch
from torch import Tensor

from ..shapes import check_shapes
from .balance import Balance, StepCount
from .windows import WindowPlan, plan_tiles, plan_windows, tile_origins

ViewsAs = Literal["frames", "batch"]


@dataclass(frozen=True, eq=False)
class Window:
    """A piece of the grid that goes through the model together. One object stands for one piece: caches recognise it by identity.

    views: int64 (v,). frames: int64 (f,), latent frames. along: the axis on which it overlaps others, and along which it is one clip.
    conditional: whether the condition applies (read by what `progressive_denoiser` calls).
    """

    views: Tensor
    frames: Tensor
    along: Literal["time", "views"] = "time"
    conditional: bool = True


# denoise(part (rows, C, n, h, w) as `cut` gives it, timestep (), window) -> prediction of the part
PieceDenoise = Callable[[Tensor, Tensor, Window], Tensor]


@dataclass(frozen=True, eq=False)
class ViewTimePlan:
    """How a grid of views and frames is cut into pieces, and how those are blended.

    frames, views: windows over either axis. tile_views: views that a window of frames takes at a time; tile_frames: frames that a window of
    views takes at a time. balance: of both passes; with one view or one frame there is one pass.
    views_as: whether a window of views reaches the model as one clip for each instant, whose frames are the views, or as a batch of its views.
    anchor_first: windows without the first frame (the first view) see it before their own, with no weight in the blend.
    closed: whether the views form a circle; None where windows go round one.
    tile_origins: places at which tiles begin in turn, so that no border between them is there at every step; 1 for tiles that stay.
    tile_overlap: the part of a tile that neighbours share and blend, at a cost of 1 / (1 - tile_overlap).
    """

    frames: WindowPlan
    views: WindowPlan
    tile_views: int = 3
    tile_frames: int = 12
    balance: Balance = field(default_factory=Balance)
    views_as: ViewsAs = "frames"
    anchor_first: bool = False
    closed: bool | None = None
    tile_origins: int = 4
    tile_overlap: float = 0.0

    def __post_init__(self):
        if self.views_as not in ("frames", "batch"):
            raise ValueError(f"views_as is {self.views_as!r}, expected frames or batch")
        if self.tile_views < 1 or self.tile_frames < 1:
            raise ValueError(f"tiles of {self.tile_views} views and {self.tile_frames} frames, expected at least 1 of both")
        if self.tile_origins < 1:
            raise ValueError(f"tiles begin at {self.tile_origins} places in turn, expected 1, where they stay, or more")
        if not 0 <= self.tile_overlap <= 0.5:
            raise ValueError(f"tiles share {self.tile_overlap} of their size, expected 0 to 0.5")

    @property
    def shape(self) -> tuple[int, int]:
        """(views, frames) of the grid."""
        return self.views.length, self.frames.length

    @property
    def goes_round(self) -> bool:
        """Whether the last view is beside the first."""
        return self.views.closed if self.closed is None else self.closed

    def time_share(self, step: int, progress: float) -> float:
        """The share of the pass over time: 1 of one view, 0 of one frame, else as `balance` has it."""
        views, frames = self.shape
        if views == 1 or frames == 1:
            return float(views == 1)
        return self.balance.at(step, progress)

    def pieces(self, step: int = 0, progress: float = 0.0) -> list[tuple[Window, Tensor]]:
        """The pieces of a step and their weights (v, f), which sum to one over all pieces at every place of the grid.

        Pieces without weight are left out. Tiles move from step to step; where they are again as before, the windows are the same objects.
        """
        share = self.time_share(step, progress)
        found = [(window, share * time + (1 - share) * views) for window, time, views in self._pieces(self._turn(step))]
        return [(window, weights.float()) for window, weights in found if weights.any()]

    @cached_property
    def tiles(self) -> dict[str, list[WindowPlan]]:
        """The tiles of the passes "time" (over views) and "views" (over frames), one plan for each place where they begin in turn."""
        views, frames = self.shape
        return {"time": self._tiles(views, self.tile_views, self.goes_round), "views": self._tiles(frames, self.tile_frames, False)}

    def _tiles(self, length: int, size: int, closed: bool) -> list[WindowPlan]:
        size = min(size, length)
        overlap = min(round(self.tile_overlap * size), size - 1)
        origins = tile_origins(size - overlap, self.tile_origins) if size < length else [0]
        # Rows of a batch do not know each other where views are frames: a piece may hold those at both ends, and there is no tile more.
        closed = closed or self.views_as == "frames"
        return [plan_tiles(length, size, closed=closed, origin=origin, overlap=overlap) for origin in origins]

    def _turn(self, step: int) -> tuple[int, int]:
        """Which of the tiles of either pass a step takes."""
        turn = step // 2 if self.balance.kind == "alternate" else step
        return turn % len(self.tiles["time"]), turn % len(self.tiles["views"])

    def _pieces(self, turn: tuple[int, int]) -> list[tuple[Window, Tensor, Tensor]]:
        """Every window of a turn with its weights (v, f) float64 in the pass over time and in that over views."""
        if turn in self._planned:
            return self._planned[turn]
        found: dict[tuple, tuple[Window, Tensor, Tensor]] = {}
        for window, blend in (*self._pass("time", turn[0]), *self._pass("views", turn[1])):
            none = torch.zeros_like(blend)
            # As a batch, a piece that both passes share goes through the model once.
            key = (tuple(window.views.tolist()), tuple(window.frames.tolist()), window.along if self.views_as == "frames" else None)
            known, time, sideways = found.get(key, (window, none, none))
            found[key] = (known, time + blend, sideways) if window.along == "time" else (known, time, sideways + blend)
        return self._planned.setdefault(turn, list(found.values()))

    @cached_property
    def _planned(self) -> dict[tuple[int, int], list[tuple[Window, Tensor, Tensor]]]:
        return {}

    def _pass(self, along: Literal["time", "views"], turn: int) -> list[tuple[Window, Tensor]]:
        """The windows of one pass with its weights (v, f) float64, the same at every call."""
        if (along, turn) in self._passes:
            return self._passes[along, turn]
        held, tiles, made = self.frames if along == "time" else self.views, self.tiles[along][turn], []
        for indices, weights in zip(held.indices, held.weights, strict=True):
            seen, ramp = self._anchored(indices, weights.double())
            for tile, share in zip(tiles.indices, tiles.weights, strict=True):
                blend = torch.outer(share.double(), ramp)
                made.append((Window(tile, seen), blend) if along == "time" else (Window(seen, tile, "views"), blend.T))
        return self._passes.setdefault((along, turn), made)

    @cached_property
    def _passes(self) -> dict[tuple[str, int], list[tuple[Window, Tensor]]]:
        return {}

    def _anchored(self, indices: Tensor, weights: Tensor) -> tuple[Tensor, Tensor]:
        if not self.anchor_first or bool((indices == 0).any()):
            return indices, weights
        return torch.cat([indices.new_zeros(1), indices]), torch.cat([weights.new_zeros(1), weights])


def plan_grid(
    views: int, frames: int, *, view_window: int = 6, view_overlap: int = 2, closed: bool = True, frame_window: int = 24, frame_overlap: int = 6,
    tile_views: int = 3, tile_frames: int = 12, balance: Balance | float = 0.5, views_as: ViewsAs = "frames", anchor_first: bool = False,
    tile_origins: int = 4, tile_overlap: float = 0.0,
) -> ViewTimePlan:  # fmt: skip
    """A plan for a number of views and frames; the defaults are HVG's, 72 pictures at a time.

    Args:
        closed: the views go round a circle, and so do their windows. balance: a number is the constant share of the pass over time.

    Raises:
        ValueError: as `plan_windows`, naming the axis; as `ViewTimePlan`.
    """
    return ViewTimePlan(
        _planned("frames", frames, frame_window, frame_overlap),
        _planned("views", views, view_window, view_overlap, closed=closed),
        tile_views,
        tile_frames,
        balance if isinstance(balance, Balance) else Balance(start=balance),
        views_as,
        anchor_first,
        closed,
        tile_origins,
        tile_overlap,
    )


def over_time(windows: WindowPlan, rows: int = 1) -> ViewTimePlan:
    """Windows over time alone, each with all rows of a batch: a long video."""
    return ViewTimePlan(windows, plan_windows(rows, rows, 0), tile_views=rows, balance=Balance(start=1.0), views_as="batch")


def cut(latents: Tensor, window: Window, views_as: ViewsAs = "frames") -> Tensor:
    """The part of latents (V, C, F, h, w) that a window holds, as a model takes it: (rows, C, n, h, w).

    Along time a row is a view and n are frames. Along views a row is an instant and n are views, or with views_as "batch" as along time.
    """
    axes = sorted(((0, window.views), (2, window.frames)), key=lambda one: len(_runs(one[1])))  # what needs no copy first
    part = taken(taken(latents, *axes[0]), *axes[1])
    return (part.transpose(0, 2) if is_turned(window, views_as) else part).contiguous()


def add_piece(total: Tensor, part: Tensor, window: Window, weights: Tensor, views_as: ViewsAs = "frames") -> None:
    """Add a weighted part, as `cut` gives it, to the total (V, C, F, h, w) in place. weights: (v, f)."""
    part = (part.transpose(0, 2) if is_turned(window, views_as) else part).to(total)
    if part.shape[0] != len(window.views) or part.shape[2] != len(window.frames):
        views, frames = len(window.views), len(window.frames)
        raise ValueError(
            f"the part has {part.shape[0]} views and {part.shape[2]} frames, its window {views} and {frames}: cut it by this window"
        )
    blend = weights.to(total)[:, None, :, None, None]
    for at_view, row, views in _runs(window.views):
        for at_frame, column, frames in _runs(window.frames):
            place = total.narrow(0, at_view, views).narrow(2, at_frame, frames)
            place.addcmul_(part.narrow(0, row, views).narrow(2, column, frames), blend.narrow(0, row, views).narrow(2, column, frames))


def fuse(denoise: PieceDenoise, plan: ViewTimePlan) -> Callable[..., Tensor]:
    """Denoise each piece of a plan alone and blend the predictions, which weights that sum to one make whole.

    Returns:
        A function of latents (V, C, F, h, w) and timestep, with the step, counted from 0, and the progress, 0 noise and 1 video, by name. Its
        predictions have the dtype of `denoise`. Beside latents and result it holds one part.
    """

    def fused(latents: Tensor, timestep: Tensor, *, step: int = 0, progress: float = 0.0) -> Tensor:
        check_grid(plan, latents)
        total, dtype = None, latents.dtype
        for window, weights in plan.pieces(step, progress):
            part = denoise(cut(latents, window, plan.views_as), timestep, window)
            if total is None:
                dtype = part.dtype
                total = torch.zeros(latents.shape, dtype=torch.promote_types(dtype, torch.float32), device=part.device)
            add_piece(total, part, window, weights, plan.views_as)
            del part  # before the next is cut
        return total.to(dtype)

    return fused


def progressive_denoiser(
    denoise: Callable[[Tensor, Tensor, Window], Tensor], frames: WindowPlan, views: WindowPlan, *, tile_views: int = 3, tile_frames: int = 12,
    balance: Balance | float = 0.5,
) -> Callable[..., Tensor]:  # fmt: skip
    """A denoiser of a whole grid of views and frames from one of its pieces, for `loop.sample`.

    Args:
        denoise: called with a part (v, f, C, h, w), the timestep and the window, whose `conditional` says whether the condition applies.
        frames, views: windows over either axis; tile_views, tile_frames, balance: as of `ViewTimePlan` and `plan_grid`.

    Returns:
        A function of latents (V, F, C, h, w), timestep and whether the condition applies. It counts steps by changes of the timestep, from
        the start whenever that rises, and progress from the first timestep to 0.
    """
    balance = balance if isinstance(balance, Balance) else Balance(start=balance)
    plan, steps = ViewTimePlan(frames, views, tile_views, tile_frames, balance, "batch"), StepCount()
    twins: dict[Window, Window] = {}

    def fused(latents: Tensor, timestep: Tensor, conditional: bool = True) -> Tensor:
        check_shapes("progressive_denoiser", latents=(latents, "V F C h w"))

        def of_piece(part: Tensor, timestep: Tensor, window: Window) -> Tensor:
            if not conditional:
                window = twins.setdefault(window, replace(window, conditional=False))
            return denoise(part.transpose(1, 2), timestep, window).transpose(1, 2)

        step, progress = steps.at(timestep)
        return fuse(of_piece, plan)(latents.transpose(1, 2), timestep, step=step, progress=progress).transpose(1, 2)

    return fused


def check_grid(plan: ViewTimePlan, latents: Tensor) -> None:
    """ValueError where latents (V, C, F, h, w) are not of the views and frames that are planned."""
    sizes = check_shapes("windows over views and time", latents=(latents, "V C F h w"))
    if sizes["F"] != plan.frames.length:
        raise ValueError(f"the windows cover {plan.frames.length} latent frames, the latents have {sizes['F']}: plan them for this length")
    if sizes["V"] != plan.views.length:
        raise ValueError(f"the windows cover {plan.views.length} views, the latents have {sizes['V']}: plan them for these views")


def _planned(axis: str, length: int, size: int, overlap: int, *, closed: bool = False) -> WindowPlan:
    try:
        return plan_windows(length, size, overlap, closed=closed)
    except ValueError as error:
        raise ValueError(f"{axis}: {error}") from error


def is_turned(window: Window, views_as: ViewsAs) -> bool:
    """Whether a piece reaches the model with its views as the frames of a clip."""
    return window.along == "views" and views_as == "frames"


def taken(tensor: Tensor, axis: int, indices: Tensor) -> Tensor:
    """Some positions of an axis, in the order given; the same memory where they follow each other."""
    runs = _runs(indices)
    if len(runs) == 1:
        return tensor.narrow(axis, runs[0][0], runs[0][2])
    return tensor.index_select(axis, indices.to(tensor.device))


def _runs(indices: Tensor) -> Sequence[tuple[int, int, int]]:
    """(first position, place of it in `indices`, length) of each run of positions that follow each other."""
    starts = [0, *(torch.nonzero(indices.diff() != 1).flatten() + 1).tolist()]
    return [(int(indices[start]), start, end - start) for start, end in zip(starts, [*starts[1:], len(indices)], strict=True)]

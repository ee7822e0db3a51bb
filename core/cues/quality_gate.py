"""Which masks of a driving video are good enough to be cut out with, and why the others are not (DirectAnimator, the pose cue)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from ..body.gaps import runs
from ..shapes import check_shapes
from .similarity import PERSON

POLICIES = ("zero", "hold", "neighbour")
_FEW = 0.5  # share of kept frames below which the cue says little
_LONG_GAP = 2.0  # seconds


@dataclass(frozen=True, kw_only=True)
class GateLimits:
    """What a good mask is.

    score: least confidence of the segmenter. area: how many times larger or smaller than the median of the frames around it a mask may be.
    window: frames to either side of that median, and how long something else must last to be no slip of the segmenter. component: least share of the mask
    that is in one piece. overlap: least intersection over union with the nearest good mask, once both have their middles in one place.
    """

    score: float = 0.5
    area: float = 2.0
    window: int = 12
    component: float = 0.8
    overlap: float = 0.4

    def __post_init__(self):
        for name, low, high in (("score", 0, 1), ("area", 1, math.inf), ("component", 0, 1), ("overlap", 0, 1)):
            value = getattr(self, name)
            if not low <= value <= high:
                raise ValueError(f"{name} is {value}, expected {low} or more" + (f" up to {high}" if high < math.inf else ""))
        if self.window < 1:
            raise ValueError(f"window is {self.window}, expected 1 frame or more to either side")

    @classmethod
    def open(cls) -> "GateLimits":
        """Lets every mask pass that is not empty."""
        return cls(score=0.0, area=math.inf, component=0.0, overlap=0.0)


@dataclass(frozen=True, eq=False, kw_only=True)
class Gate:
    """Which frames have a good mask.

    kept: (T) bool. present: (T) bool, false where the mask is empty: nobody is there, or the segmenter found nobody. reasons: of every frame that is not
    kept, by its number. notes: warnings.
    """

    kept: Tensor
    present: Tensor
    reasons: dict[int, str]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        check_shapes("Gate", kept=(self.kept, "T"), present=(self.present, "T"))

    def sources(self, missing: str) -> Tensor:
        """(T) the frame that each frame of a cue shows, -1 for none.

        Args:
            missing: what stands in for a mask that is not good: "zero" nothing, "hold" the last good frame (the first one before there is any),
                "neighbour" the nearest good frame, the earlier of two. Frames of an empty mask show nobody and stay empty.
        """
        if missing not in POLICIES:
            raise ValueError(f"missing is '{missing}', expected one of {', '.join(POLICIES)}")
        frames = torch.arange(len(self.kept))
        if missing == "zero":
            return torch.where(self.kept, frames, -1)
        good = frames[self.kept]
        if missing == "hold":
            place = torch.searchsorted(good, frames, right=True) - 1
            stand_in = good[place.clamp(min=0)]
        else:
            stand_in = good[(frames[:, None] - good).abs().argmin(1)]
        return torch.where(self.present, stand_in, -1)

    def filled(self, masks: Tensor) -> Tensor:
        """Masks (T, H, W) with the nearest good one in place of each bad one; empty ones stay empty."""
        sources = self.sources("neighbour").to(masks.device)
        return masks[sources.clamp(min=0)] * (sources >= 0)[:, None, None]

    def report(self) -> str:
        """What was kept, and each dropped frame with its reason, in lines."""
        lines = [f"{int(self.kept.sum())} of {len(self.kept)} frames have a good mask"]
        return "\n".join([*lines, *(f"frame {frame} dropped: {reason}" for frame, reason in sorted(self.reasons.items())), *self.notes])


@dataclass(frozen=True, eq=False)
class _Shape:
    """One mask: pixels, the share of the largest piece, and its bits from `corner` (row, column) on, with their middle (row, column)."""

    area: int
    component: float
    corner: tuple[int, int]
    middle: np.ndarray
    bits: np.ndarray


def gate_masks(
    masks: Tensor,
    *,
    scores: Tensor | None = None,
    limits: GateLimits | None = None,
    fps: float | None = None,
    advance: Callable[[int], None] | None = None,
) -> Gate:
    """Tell good masks from bad ones: the segmenter's score, the area beside the frames around, holes and pieces, and jumps.

    A jump is a mask unlike the good ones before and after; what lasts longer than the window, as after a cut, is none.

    Args:
        masks: (T, H, W), above 0.5 on the person. scores: (T) in 0..1, or None: the segmenter told none.
        fps: for the warning of gaps of more than 2 seconds; None: no such warning.
        advance: called with 1 after each mask; what it raises ends the work.

    Raises:
        ValueError: scores that do not fit, or no good mask at all; the reasons are told.
    """
    limits = limits or GateLimits()
    _check_scores(masks, scores)
    shapes: list[_Shape | None] = []
    for mask in masks:
        shapes.append(_measure(mask))
        if advance is not None:
            advance(1)
    present = torch.tensor([shape is not None for shape in shapes])
    reasons = {frame: "the mask is empty" for frame in (~present).nonzero()[:, 0].tolist()}
    if scores is not None:
        for frame in (present & (scores.cpu() < limits.score)).nonzero()[:, 0].tolist():
            reasons[frame] = f"score {float(scores[frame]):.2f} below {limits.score:g}"
    reasons |= _odd_shapes(shapes, reasons, limits)
    reasons |= _jumps(shapes, reasons, limits)
    kept = torch.tensor([frame not in reasons for frame in range(len(shapes))])
    if not kept.any():
        raise ValueError(_nothing_left(present, reasons))
    notes = _warnings(kept, fps)
    if all(shape is not None and shape.area == mask.numel() for shape, mask in zip(shapes, masks, strict=True)):
        notes = (
            "warning: the masks are all of every picture: nothing is cut out (a mask that was never made, or the other way round?)",
            *notes,
        )
    return Gate(kept=kept, present=present, reasons=reasons, notes=notes)


def _check_scores(masks: Tensor, scores: Tensor | None) -> None:
    check_shapes("gate_masks", masks=(masks, "T H W"), scores=(scores, "T"))
    if scores is not None and not ((scores >= 0) & (scores <= 1)).all():
        raise ValueError(f"scores reach from {float(scores.min()):g} to {float(scores.max()):g}, expected 0..1, the segmenter's confidence")


def _measure(mask: Tensor) -> _Shape | None:
    """Area, pieces and outline of a mask (H, W); None where it is empty."""
    import cv2

    bits = (mask > PERSON).cpu().numpy()
    if not bits.any():
        return None
    sizes = cv2.connectedComponentsWithStats(bits.view(np.uint8), connectivity=8)[2][1:, cv2.CC_STAT_AREA]
    rows, columns = (np.flatnonzero(bits.any(axis)) for axis in (1, 0))
    corner = int(rows[0]), int(columns[0])
    bits = bits[corner[0] : rows[-1] + 1, corner[1] : columns[-1] + 1]
    area = int(sizes.sum())
    middle = np.array([bits.sum(1 - axis) @ (np.arange(bits.shape[axis]) + corner[axis]) for axis in (0, 1)]) / area
    return _Shape(area, float(sizes.max()) / area, corner, middle, bits.copy())


def _odd_shapes(shapes: list[_Shape | None], out: dict[int, str], limits: GateLimits) -> dict[int, str]:
    """Reasons of masks that are too large, too small or in pieces, beside those that are `out` already."""
    areas = np.array([shape.area if shape is not None and frame not in out else np.nan for frame, shape in enumerate(shapes)])
    reasons = {}
    for frame, shape in enumerate(shapes):
        if shape is None or frame in out:
            continue
        typical = float(np.nanmedian(areas[max(0, frame - limits.window) : frame + limits.window + 1]))
        if not typical / limits.area <= shape.area <= typical * limits.area:
            reasons[frame] = (
                f"area {shape.area / typical:.2f} times the median of the frames around, allowed are {1 / limits.area:.2g} to {limits.area:g}"
            )
        elif shape.component < limits.component:
            reasons[frame] = f"component: {shape.component:.0%} of the mask is in one piece, below {limits.component:.0%}"
    return reasons


def _jumps(shapes: list[_Shape | None], out: dict[int, str], limits: GateLimits) -> dict[int, str]:
    """Reasons of masks unlike the nearest good ones. Runs of masks that are alike are taken from the longest on."""
    if limits.overlap <= 0:
        return {}
    stretches: list[list[int]] = []
    for frame in (frame for frame in range(len(shapes)) if frame not in out):
        if stretches and _overlap(shapes[stretches[-1][-1]], shapes[frame]) >= limits.overlap:
            stretches[-1].append(frame)
        else:
            stretches.append([frame])
    good: list[int] = []
    reasons: dict[int, str] = {}
    for run in sorted(stretches, key=len, reverse=True):
        found = 1.0
        if good and len(run) <= limits.window:
            first, other = min(((frame, other) for frame in (run[0], run[-1]) for other in good), key=lambda pair: abs(pair[0] - pair[1]))
            found = _overlap(shapes[first], shapes[other])
        if found >= limits.overlap:
            good += run
        else:
            reasons |= {
                frame: f"jump: overlaps the nearest good mask, frame {other}, by {found:.2f}, below {limits.overlap:g}" for frame in run
            }
    return reasons


def _overlap(one: _Shape, other: _Shape) -> float:
    """Intersection over union of two masks whose middles were brought together, to the pixel."""
    shift = np.rint(one.middle - other.middle).astype(int)  # moves `other`
    begin = [max(one.corner[axis], other.corner[axis] + shift[axis]) for axis in (0, 1)]
    end = [min(one.corner[axis] + one.bits.shape[axis], other.corner[axis] + shift[axis] + other.bits.shape[axis]) for axis in (0, 1)]
    if begin[0] >= end[0] or begin[1] >= end[1]:
        return 0.0
    parts = [
        shape.bits[tuple(slice(begin[axis] - corner[axis], end[axis] - corner[axis]) for axis in (0, 1))]
        for shape, corner in ((one, one.corner), (other, np.add(other.corner, shift)))
    ]
    common = int(np.count_nonzero(parts[0] & parts[1]))
    return common / (one.area + other.area - common)


def _nothing_left(present: Tensor, reasons: dict[int, str]) -> str:
    if not present.any():
        return "the person masks are empty in all frames: expected values above 0.5 on the person; check the segmenter, or an inverted mask"
    first = next(frame for frame in sorted(reasons) if present[frame])
    return (
        f"none of the {len(present)} person masks is good: {int((~present).sum())} are empty, and of the others for example frame {first}: {reasons[first]}; "
        "loosen that limit, or give masks of one person"
    )


def _warnings(kept: Tensor, fps: float | None) -> tuple[str, ...]:
    notes = []
    dropped = ~kept
    if kept.float().mean() < _FEW:
        notes.append(f"warning: {int(dropped.sum())} of {len(kept)} frames were dropped: the cue says little")
    for start, stop in runs(dropped) if fps is not None else ():
        if (stop - start) / fps > _LONG_GAP:
            notes.append(f"warning: {(stop - start) / fps:.1f} seconds without a good mask, frames {start}-{stop - 1}")
    return tuple(notes)

"""A captured motion made fit for use: gaps filled, trembling smoothed, feet held on the floor, with numbers before and after."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..types import Motion
from .contacts import detect_contacts, foot_slide, legs_of
from .cuts import find_cuts, shots
from .foot_lock import lock_feet
from .gaps import fill_gaps
from .measurements import joint_speed
from .smoothing import smooth

_HANDS = ("left_wrist", "right_wrist")


def frame_jitter(motion: Motion, *, cuts: Sequence[int] = ()) -> Tensor:
    """(T) mm/frame^2: mean over joints of how far each is from going on at the speed of the two frames before; NaN where no joint has three frames, none of
    which is the first frame of another shot."""
    if motion.frames < 3:
        return torch.full((motion.frames,), torch.nan)
    jump = torch.where(_in_three(motion, cuts), motion.joints.diff(n=2, dim=0).norm(dim=-1) * 1000, torch.nan).nanmean(1)
    return torch.cat([torch.full((2,), torch.nan), jump.cpu().float()])


def jitter(motion: Motion, *, cuts: Sequence[int] = ()) -> float:
    """mm/frame^2: mean norm of the second difference over time of all joints, in each shot; NaN below three frames.

    It depends on the frame rate, as the same motion has smaller steps at a higher one; times fps^2 / 1000 it is an acceleration in m/s^2, which does not.
    """
    if motion.frames < 3:
        return math.nan
    return 1000 * float(motion.joints.double().diff(n=2, dim=0).norm(dim=-1)[_in_three(motion, cuts)].mean())


def _in_three(motion: Motion, cuts: Sequence[int]) -> Tensor:
    """(T - 2, J) whether a joint is seen in three frames running of one shot."""
    seen = motion.seen[2:] & motion.seen[1:-1] & motion.seen[:-2]
    for cut in cuts:
        seen[max(cut - 2, 0) : cut] = False
    return seen


@dataclass(frozen=True, kw_only=True)
class CleaningReport:
    """Pairs of values before and after.

    jitter: mm/frame^2. slide: cm that planted feet travel over the clip, or None where the skeleton has no feet to tell. peak: m/s of the fastest
    wrist (of the fastest joint without wrists). fps: of the clip. planted: frames in which a foot stands. notes: what was done.
    """

    jitter: tuple[float, float]
    slide: tuple[float, float] | None
    peak: tuple[float, float]
    fps: float
    planted: int
    notes: tuple[str, ...]

    def text(self) -> str:
        """The report in lines."""
        before, after = self.jitter
        rate = self.fps**2 / 1000
        told = f"{before:.2f} -> {after:.2f} mm/frame^2 at {self.fps:g} fps ({before * rate:.2f} -> {after * rate:.2f} m/s^2)"
        lines = ["jitter: " + ("no joint is seen in three frames running" if math.isnan(before) else told)]
        if not math.isnan(self.peak[0]):
            lines.append(f"fastest wrist: {self.peak[0]:.2f} -> {self.peak[1]:.2f} m/s")
        if self.slide is not None:
            lines.append(f"foot slide: {self.slide[0]:.1f} -> {self.slide[1]:.1f} cm over {self.planted} frames with a planted foot")
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


@dataclass(frozen=True, eq=False)
class CleanedMotion:
    """The motion, what the cleaning did to it, and the first frames of its shots after the first."""

    motion: Motion
    report: CleaningReport
    cuts: tuple[int, ...]


def clean_motion(
    motion: Motion,
    *,
    gap_seconds: float = 0.5,
    smooth_seconds: float = 0.25,
    adaptive: bool = True,
    chains: Mapping[str, float] | None = None,
    foot_lock: bool = True,
    hip_give: float = 0.5,
    cuts: Sequence[int] | None = None,
) -> CleanedMotion:
    """Fill gaps, smooth, and hold planted feet, in this order; see `fill_gaps`, `smooth` and `lock_feet` for the arguments.

    Feet are found on the smoothed motion; their slide before is that of the filled one in the same contacts.

    Args:
        cuts: first frames of the shots after the first, each of which is cleaned and measured for itself; None: those that `find_cuts` finds.

    Raises:
        ValueError: nobody is seen, or an argument out of range.
    """
    if not motion.seen.any():
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to clean")
    if not 0 <= hip_give <= 1:
        raise ValueError(f"hip_give is {hip_give}, expected 0 to 1")
    cuts = find_cuts(motion) if cuts is None else tuple(cuts)
    known = len(motion.notes)
    if cuts:
        motion = replace(motion, notes=(*motion.notes, f"cuts at frames {', '.join(map(str, cuts))}: each shot is cleaned for itself"))
    filled = fill_gaps(motion, limit_seconds=gap_seconds, cuts=cuts)
    result = smooth(filled, seconds=smooth_seconds, adaptive=adaptive, chains=chains, cuts=cuts)
    slide, planted, notes = None, 0, ()
    try:
        legs_of(motion.skeleton)
    except ValueError as missing:
        notes = (f"feet are left as they are: {missing}",) if foot_lock else ()
    else:
        contacts = detect_contacts(result, cuts=cuts)
        planted = int(contacts.any(1).sum())
        locked = lock_feet(result, contacts, hip_give=hip_give, cuts=cuts) if foot_lock else result
        if foot_lock and planted and locked is result:
            notes = ("feet are left as they are: no frame with a planted foot shows the root and both legs",)
        result = locked
        slide = (_slide(filled, contacts, cuts), _slide(result, contacts, cuts))
    report = CleaningReport(
        jitter=(jitter(filled, cuts=cuts), jitter(result, cuts=cuts)), slide=slide, peak=(_peak(filled, cuts), _peak(result, cuts)),
        fps=motion.fps, planted=planted, notes=(*result.notes[known:], *notes),
    )  # fmt: skip
    return CleanedMotion(result, report, cuts)


def _slide(motion: Motion, contacts: Tensor, cuts: Sequence[int]) -> float:
    pieces = shots(motion, cuts)
    parts = contacts.split([shot.frames for shot in pieces])
    return sum(foot_slide(shot, part) for shot, part in zip(pieces, parts, strict=True))


def _peak(motion: Motion, cuts: Sequence[int]) -> float:
    columns = [motion.skeleton.index(name) for name in _HANDS if name in motion.skeleton.names] or slice(None)
    speeds = [joint_speed(shot)[:, columns].nan_to_num().max() for shot in shots(motion, cuts) if shot.frames > 1]
    return float(max(speeds, default=math.nan))

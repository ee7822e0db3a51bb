"""How far one motion is from another: distances of joints as they are and after an alignment, bones, and jitter."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.rotations import nearest_rotation
from ..types import Motion
from .cleaning import frame_jitter, jitter
from .editing import resample
from .measurements import bone_distances
from .rig_matching import listed, match_joints, plain_names

ALIGNMENTS = ("none", "rigid", "similarity", "each frame")
TIMINGS = ("same", "resample")
LEAST_JOINTS = 3  # that an alignment needs
_SAID = {
    "none": "as they are",
    "rigid": "after one turn and shift of the clip",
    "similarity": "after one turn, shift and scale of the clip",
    "each frame": "after a turn, shift and scale of each frame (Procrustes)",
}
_SAME_FPS = 1e-3  # relative
_NOTHING = 1e-12  # squared extent, relative to the reference's, of points that have no size


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionErrors:
    """Distances between two motions of the same joints and frames.

    distance_m: alignment -> (T, J) metres, NaN where a joint is missing in either motion, for each of ALIGNMENTS. size_m: largest extent of the reference.
    bone_mm: mean difference between the bones' lengths. bone_std_mm, jitter: of the motion and of the reference, mm and mm/frame^2; NaN where there is nothing
    to measure. jitters: the same over time, (T) each. notes: what was done to make them comparable.
    """

    distance_m: Mapping[str, Tensor]
    names: tuple[str, ...]
    fps: float
    size_m: float
    bone_mm: float
    bone_std_mm: tuple[float, float]
    jitter: tuple[float, float]
    jitters: tuple[Tensor, Tensor]
    notes: tuple[str, ...] = ()

    def mean_mm(self, alignment: str = "none") -> float:
        """Mean per joint position error (MPJPE) in millimetres."""
        return 1000 * float(self.distance_m[alignment].nanmean())

    def percent(self, alignment: str = "none") -> float:
        """The same in percent of the reference's largest extent: for a person about the height."""
        return self.mean_mm(alignment) / (10 * self.size_m)

    def within(self, percent: float, alignment: str = "none") -> float:
        """Percentage of correct keypoints (PCK): joints nearer than `percent` of the reference's largest extent."""
        distance = self.distance_m[alignment]
        known = distance[distance.isfinite()]
        return 100 * float((known <= percent / 100 * self.size_m).double().mean()) if len(known) else float("nan")

    def curve_mm(self, alignment: str) -> Tensor:
        """(T) mean over the joints of each frame."""
        return 1000 * self.distance_m[alignment].nanmean(1)

    def text(self, *, alignment: str = "none", percent: float = 5.0) -> str:
        """The errors in lines, and below them a table of all joints."""
        distance = self.distance_m[alignment]
        frames, joints = distance.shape
        compared = int(distance.isfinite().sum())
        lines = [
            f"{frames} frames at {self.fps:g} fps, {joints} joints; {compared / distance.numel():.1%} of the positions are in both motions"
        ]
        lines += [f"{_SAID[kind]}: {self.mean_mm(kind):.3g} mm = {self.percent(kind):.3g} %" for kind in ALIGNMENTS]
        known = distance[distance.isfinite()]
        lines.append(
            f"percent of the largest extent of the reference, {self.size_m:.4g} m; {self.within(percent, alignment):.4g} % of the joints are within "
            f"{percent:g} % of it, 99 % within {1000 * float(known.quantile(0.99) if len(known) < 1 << 24 else known.max()):.3g} mm, {_SAID[alignment]}"
        )
        lines.append(
            f"bones: lengths differ by {self.bone_mm:.3g} mm; they vary by {self.bone_std_mm[0]:.3g} mm over time, the reference's by "
            f"{self.bone_std_mm[1]:.3g} mm"
        )
        lines.append(f"jitter: {self.jitter[0]:.3g} mm/frame^2, the reference's {self.jitter[1]:.3g}")
        return "\n".join([*lines, *self.notes, "", *self._table(distance, _SAID[alignment])])

    def _table(self, distance: Tensor, said: str) -> list[str]:
        width = max(len("joint"), *map(len, self.names))
        rows = [f"{'joint':{width}}  mean mm   worst mm   in both   ({said})"]
        for name, column in zip(self.names, 1000 * distance.T, strict=True):
            known = column[column.isfinite()]
            told = f"{known.mean():8.3g}  {known.max():9.3g}" if len(known) else f"{'-':>8}  {'-':>9}"
            rows.append(f"{name:{width}}  {told}  {len(known) / len(column):7.0%}")
        return rows


def motion_errors(motion: Motion, reference: Motion, *, timing: str = "same") -> MotionErrors:
    """Compare a motion with what it should be, joint by joint.

    Joints are matched by their names (`match_joints`); what either lacks, or a confidence of 0, leaves out. Alignments are of all joints that both have, in
    the sense of least squares (Umeyama 1991).

    Args:
        timing: "same" refuses other frame rates and lengths; "resample" reads the motion at the frame rate of the reference, both from their first frame on, and
            leaves out what only the longer one has.

    Raises:
        ValueError: other times, see above; different axes; too few joints in common; or nothing seen in both.
    """
    if timing not in TIMINGS:
        raise ValueError(f"timing is '{timing}', expected one of {', '.join(TIMINGS)}")
    motion, reference, notes = _paired(motion.cpu(), reference.cpu(), timing)
    both = motion.seen & reference.seen
    if not both.any():
        raise ValueError("no joint is seen in both motions at the same time: nothing can be compared")
    if absent := [name for name, there in zip(reference.skeleton.names, both.any(0).tolist(), strict=True) if not there]:
        notes = (*notes, f"{len(absent)} joints of the reference are not compared, they are in one motion alone: {listed(absent)}")
    ours, theirs = (torch.where(both[..., None], one.joints.double(), 0) for one in (motion, reference))
    aligned = {
        "none": ours,
        "rigid": _aligned(ours.flatten(0, 1)[None], theirs.flatten(0, 1)[None], both.flatten()[None], scaled=False).view_as(ours),
        "similarity": _aligned(ours.flatten(0, 1)[None], theirs.flatten(0, 1)[None], both.flatten()[None]).view_as(ours),
        "each frame": _aligned(ours, theirs, both),
    }
    distance = {kind: torch.where(both, (found - theirs).norm(dim=-1), torch.nan) for kind, found in aligned.items()}
    motion, reference = (replace(one, confidence=both.to(one.confidence)) for one in (motion, reference))
    lengths = [1000 * bone_distances(one).double() for one in (motion, reference)]
    return MotionErrors(
        distance_m=distance, names=reference.skeleton.names, fps=reference.fps, size_m=_size(reference), notes=notes,
        bone_mm=float((lengths[0] - lengths[1]).abs().nanmean()), bone_std_mm=tuple(_spread(one) for one in lengths),
        jitter=(jitter(motion), jitter(reference)), jitters=(frame_jitter(motion), frame_jitter(reference)),
    )  # fmt: skip


def _paired(motion: Motion, reference: Motion, timing: str) -> tuple[Motion, Motion, tuple[str, ...]]:
    """Both on the joints of the reference and on its clock, in as many frames, and what was done."""
    if motion.frame is not reference.frame:
        raise ValueError(
            f"the motion is in {motion.frame.value} space, the reference in {reference.frame.value} space: bring both into one with Convert Space"
        )
    notes, lengths = [], (motion.frames, reference.frames)
    other_rate = abs(motion.fps - reference.fps) > _SAME_FPS * reference.fps
    if timing == "same" and (other_rate or lengths[0] != lengths[1]):
        raise ValueError(
            f"the motion has {lengths[0]} frames at {motion.fps:g} fps, the reference {lengths[1]} at {reference.fps:g}: set timing to resample to compare what "
            "both have from their first frame on, or cut them with Cut Motion"
        )
    if other_rate:
        notes.append(f"the motion was resampled from {motion.fps:g} to {reference.fps:g} fps")
        motion = resample(motion, reference.fps)
    length = min(motion.frames, reference.frames)
    if motion.frames != reference.frames:
        longer, left = ("motion", motion.frames - length) if motion.frames > length else ("reference", reference.frames - length)
        notes.append(f"{left} frames at the end of the {longer} are left out: the other one is shorter")
    matched = match_joints(replace(motion, notes=()), reference.skeleton)
    confidence = matched.confidence.clone()
    names = plain_names(reference.skeleton.names)
    if "neck" in names and _is_openpose(names) != _is_openpose(plain_names(motion.skeleton.names)):
        confidence[:, names.index("neck")] = 0
        notes.append("the neck is left out: OpenPose means the middle between the shoulders, others a joint of the spine")
    return replace(matched, confidence=confidence).cut(0, length), reference.cut(0, length), tuple(notes)


def _is_openpose(names: tuple[str, ...]) -> bool:
    return "nose" in names and "head" not in names


def _aligned(points: Tensor, onto: Tensor, seen: Tensor, *, scaled: bool = True) -> Tensor:
    """Points (N, K, 3) after the turn, shift and scale of each row that brings those `seen` (N, K) nearest to `onto`; NaN where fewer than three are."""
    weight = seen.double() / seen.sum(1, keepdim=True).clamp(min=1)
    middle, center = ((weight[..., None] * one).sum(1, keepdim=True) for one in (points, onto))
    away, wanted = points - middle, onto - center
    turn = nearest_rotation(torch.einsum("nk,nki,nkj->nij", weight, wanted, away))
    turned = away @ turn.mT
    scale = torch.ones(len(points), 1, 1, dtype=points.dtype)
    if scaled:
        extent, reach = ((weight[..., None] * one.square()).sum((1, 2), keepdim=True) for one in (away, wanted))
        meeting = (weight[..., None] * turned * wanted).sum((1, 2), keepdim=True)
        scale = torch.where(extent > _NOTHING * reach, meeting / extent.clamp(min=torch.finfo(extent.dtype).tiny), 1.0).clamp(min=0)
    return torch.where((seen.sum(1) >= LEAST_JOINTS)[:, None, None], scale * turned + center, torch.nan)


def _size(reference: Motion) -> float:
    """Largest extent in metres: of the rest pose or, without one, of the joints of a frame, in the median of the frames."""
    if reference.skeleton.rest is not None:
        rest = reference.skeleton.rest.double()
        size = float((rest.amax(0) - rest.amin(0)).max())
    else:
        seen = reference.seen[..., None]
        high, low = (torch.where(seen, reference.joints.double(), sign * torch.inf).mul(-sign).amax(1) for sign in (-1, 1))
        extents = (high + low).amax(-1)
        size = float(extents[extents.isfinite()].median())
    if not size > 0:
        raise ValueError("all joints of the reference are in one place: there is no size to compare with")
    return size


def _spread(lengths: Tensor) -> float:
    """Mean over the bones of how much their length (T, J) varies over time: the standard deviation."""
    return float((lengths - lengths.nanmean(0)).square().nanmean(0).sqrt().nanmean())

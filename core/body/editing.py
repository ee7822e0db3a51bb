"""Edits of a whole motion: a part of it, another frame rate, its mirror image, a loop, two clips in one."""

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from ..types import Motion, Skeleton
from .gaps import is_posed, known_rotations, reached
from .joining import concatenate, loop

OPERATIONS = ("trim", "resample", "loop", "concatenate", "mirror")
HIGHEST_FPS = 1000.0
_SAME_TIME = 1e-6  # frames


def trim(motion: Motion, start: int, stop: int) -> Motion:
    """Frames `start` up to, but not including, `stop`.

    Raises:
        ValueError: a range outside the motion, or an empty one.
    """
    if not 0 <= start < stop <= motion.frames:
        raise ValueError(f"frames {start} to {stop} of a motion of {motion.frames}: expected 0 <= start < stop <= {motion.frames}")
    return motion.cut(start, stop)


def resample(motion: Motion, fps: float) -> Motion:
    """The same motion at another frame rate, from the same first moment to the last frame that still lies within it.

    Positions run on cubics through the frames (Catmull and Rom, 1974): straight lines would cut corners and so shorten the path and the bones. Local
    rotations run likewise in the tangent space of each frame, which is slerp wherever a joint turns steadily. Where rotations lead to the joints, the joints
    follow from them, so that the bones keep their lengths. Between a missing frame and another nothing is invented: gaps stay gaps. Frames that fall on
    one of the motion stay as they are. Nothing is smoothed first, so a tremble faster than half the new rate comes back as a slower one.

    Raises:
        ValueError: fps not above 0 or above 1000.
    """
    if not 0 < fps <= HIGHEST_FPS:
        raise ValueError(f"fps is {fps}, expected above 0 and at most {HIGHEST_FPS:g}")
    if fps == motion.fps:
        return motion
    step = motion.fps / fps
    moments = torch.arange(int((motion.frames - 1) / step + _SAME_TIME) + 1, dtype=torch.float64) * step
    changed = _read_at(motion.cpu(), torch.arange(motion.frames, dtype=torch.float64), moments)
    return replace(changed, fps=float(fps), notes=(*motion.notes, f"resampled from {motion.fps:g} to {fps:g} fps"))


def on_clock(motion: Motion, late: Tensor, *, cuts: Sequence[int] = ()) -> Motion:
    """A motion whose frames were seen somewhat before or after their time, as it is at that time.

    Where there is nothing to read between, at the edge of a gap or of a shot, frames stay as they are. A frame that comes several times, at the same moment each
    time, counts once.

    Args:
        late: (T) seconds from the time of each frame (its number / fps) to when it was seen, in the order of time. cuts: first frames of shots.
    """
    motion = motion.cpu()
    ticks = torch.arange(motion.frames, dtype=torch.float64)
    times = ticks + late.double() * motion.fps
    first = torch.cat([torch.ones(1, dtype=torch.bool), times.diff() > _SAME_TIME])
    even = _read_at(motion.take(first), times[first], ticks)
    edge = torch.zeros(motion.frames, dtype=torch.bool)
    edge[[frame for cut in cuts for frame in (cut - 1, cut)]] = True

    def kept(name: str, stays: Tensor) -> Tensor | None:
        before, after = getattr(motion, name), getattr(even, name)
        return None if before is None else torch.where(stays.reshape(*stays.shape, *[1] * (before.ndim - stays.ndim)), before, after)

    gone = edge[:, None] | ~even.seen
    held = {"joints": gone, "confidence": gone, "rotations": gone.all(1), "translation": gone.all(1)}
    return replace(motion, **{name: kept(name, stays) for name, stays in held.items()})


def _read_at(motion: Motion, times: Tensor, moments: Tensor) -> Motion:
    """The motion, whose frames are at `times` (T), at other moments (N) of the same clock; held before the first and after the last."""
    posed, moments = is_posed(motion), _Moments(times, moments)
    seen = motion.seen
    confidence = torch.where(moments.both(seen), moments.lerp(motion.confidence), 0.0)
    rotations = None if motion.rotations is None else moments.turns(motion.rotations, known_rotations(motion))
    translation = None if motion.translation is None else moments.points(motion.translation[:, None], seen[:, :1])[:, 0]
    joints = torch.where(confidence[..., None] > 0, moments.points(motion.joints, seen), torch.nan)
    changed = replace(motion, joints=joints, confidence=confidence, rotations=rotations, translation=translation)
    if posed:
        changed = replace(changed, joints=torch.where(confidence[..., None] > 0, reached(changed).to(joints), torch.nan))
    return changed


class _Moments:
    """Where new frames, at `moments` (N), lie between old ones at increasing `times` (T): after frame `before` (N), by a share `u` (N) of the step to the next."""

    def __init__(self, times: Tensor, moments: Tensor):
        self.frames = len(times)
        self.before = (torch.searchsorted(times, moments + _SAME_TIME, right=True) - 1).clamp(0, max(self.frames - 2, 0))
        four = [self.at(times, offset) for offset in (-1, 0, 1, 2)]
        self.steps = [
            (last - first).clamp(min=_SAME_TIME) for first, last in pairwise(four)
        ]  # durations of the three steps around each new frame
        u = ((moments - four[1]) / self.steps[1]).clamp(0, 1)
        self.u = torch.where(u < _SAME_TIME, 0.0, torch.where(u > 1 - _SAME_TIME, 1.0, u))

    def at(self, values: Tensor, offset: int) -> Tensor:
        """Values (T, ...) `offset` frames after `before`, held at the ends."""
        return values[(self.before + offset).clamp(0, self.frames - 1)]

    def both(self, seen: Tensor) -> Tensor:
        """(N, J) whether all that a new frame is made of is seen (T, J)."""
        u = self.u[:, None]
        return (self.at(seen, 0) | (u == 1)) & (self.at(seen, 1) | (u == 0))

    def lerp(self, values: Tensor) -> Tensor:
        """(N, J) on straight lines."""
        first, last = self.at(values, 0), self.at(values, 1)
        u = self.u[:, None].to(values)
        return torch.where(u == 0, first, torch.where(u == 1, last, torch.lerp(first, last, u)))

    def points(self, values: Tensor, known: Tensor) -> Tensor:
        """(N, J, 3) on cubics through points (T, J, 3)."""
        values = torch.where(known[..., None], values, 0.0)
        four = [self.at(values, offset).double() for offset in (-1, 0, 1, 2)]
        curve = four[1] + self._curve(four[1] - four[0], four[2] - four[1], four[3] - four[2], known)
        return self._exact(curve.to(values), values)

    def turns(self, values: Tensor, known: Tensor) -> Tensor:
        """(N, J, 3, 3) on cubics through rotations (T, J, 3, 3)."""
        four = [self.at(values, offset).double() for offset in (-1, 0, 1, 2)]
        steps = [matrix_to_rotvec(first.mT @ last) for first, last in pairwise(four)]
        return self._exact((four[1] @ rotvec_to_matrix(self._curve(*steps, known))).to(values), values)

    def _curve(self, before: Tensor, step: Tensor, after: Tensor, known: Tensor) -> Tensor:
        """(N, J, 3) how far to go from the frame before: Hermite's cubic over `step`, its speeds from the steps beside it where those are known (T, J)."""
        inside = [(self.before + offset >= 0) & (self.before + offset < self.frames) for offset in (-1, 2)]
        left, right = (
            (self.at(known, offset) & inner[:, None])[..., None] for offset, inner in zip((-1, 2), inside, strict=True)
        )  # fmt: skip
        first, own, last = (duration[:, None, None] for duration in self.steps)
        # Slopes of the parabolas through three frames each, times the duration of the step.
        leave = torch.where(left, (before / first * own**2 + step * first) / (first + own), step)
        arrive = torch.where(right, (step * last + after / last * own**2) / (own + last), step)
        # With one neighbour missing, the parabola through the three frames that are left.
        leave, arrive = torch.where(~left & right, 2 * step - arrive, leave), torch.where(left & ~right, 2 * step - leave, arrive)
        u = self.u[:, None, None]
        return step * u * u * (3 - 2 * u) + leave * u * (1 - u) ** 2 - arrive * u * u * (1 - u)

    def _exact(self, curve: Tensor, values: Tensor) -> Tensor:
        """The frames of the motion themselves where a new one falls on them."""
        u = self.u.reshape(-1, *[1] * (values.ndim - 1))
        return torch.where(u == 0, self.at(values, 0), torch.where(u == 1, self.at(values, 1), curve))


def mirror(motion: Motion) -> Motion:
    """The mirror image: left becomes right in the body, and x becomes -x in the world or before the camera, whose picture is mirrored too.

    Rotations are mirrored with the joints, so that they still lead to them; in a skeleton whose two sides are built differently they are left out, which a note
    says. Mirrored twice, a motion is what it was.
    """
    skeleton, other = motion.skeleton, list(motion.skeleton.mirror)
    flip = torch.tensor([-1.0, 1.0, 1.0])
    note, rotations, translation = "mirrored left to right", None, None
    alike = all(_mirrored_parent(skeleton, joint) == parent for joint, parent in enumerate(skeleton.parents))
    root = skeleton.roots[0]
    if motion.rotations is not None and alike:
        rotations = motion.rotations[:, other] * (flip[:, None] * flip).to(motion.rotations)
        skeleton = _mirrored_rest(skeleton)
    elif motion.rotations is not None:
        note += ": rotations left out, as the two sides of the skeleton differ"
    if motion.translation is not None and other[root] == root:
        translation = motion.translation * flip.to(motion.translation)
    elif motion.translation is not None and rotations is not None:
        translation = reached(motion)[:, other[root]].to(motion.translation) * flip.to(motion.translation)
    intrinsics = motion.intrinsics
    if intrinsics is not None:
        intrinsics = intrinsics.clone()
        intrinsics[0, 2] = motion.image_size[1] - intrinsics[0, 2]
        intrinsics[0, 1] = -intrinsics[0, 1]
    return replace(
        motion, joints=motion.joints[:, other] * flip.to(motion.joints), confidence=motion.confidence[:, other], rotations=rotations,
        translation=translation, skeleton=skeleton, intrinsics=intrinsics, notes=(*motion.notes, note),
    )  # fmt: skip


def _mirrored_parent(skeleton: Skeleton, joint: int) -> int:
    """What the parent of a joint would be if the skeleton were built from its mirror image."""
    above = skeleton.parents[skeleton.mirror[joint]]
    return above if above < 0 else skeleton.mirror[above]


def _mirrored_rest(skeleton: Skeleton) -> Skeleton:
    if skeleton.rest is None:
        return skeleton
    rest = skeleton.rest[list(skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0]).to(skeleton.rest)
    return skeleton if torch.equal(rest, skeleton.rest) else replace(skeleton, rest=rest)


def edit_motion(
    motion: Motion,
    operation: str,
    *,
    other: Motion | None = None,
    start: int = 0,
    count: int = 0,
    fps: float = 30.0,
    blend_seconds: float = 0.5,
    keep_drift: bool = False,
) -> Motion:
    """One of OPERATIONS by name: `trim` keeps `count` frames from `start` (0, or more than there are: all that follow), `concatenate` takes a second clip.

    Raises:
        ValueError: an unknown operation, no second clip where one is needed, or what the operation itself refuses.
    """
    if operation not in OPERATIONS:
        raise ValueError(f"operation is '{operation}', expected one of {', '.join(OPERATIONS)}")
    if operation == "trim":
        return trim(motion, start, min(start + count, motion.frames) if count else motion.frames)
    if operation == "resample":
        return resample(motion, fps)
    if operation == "loop":
        return loop(motion, blend_seconds=blend_seconds, keep_drift=keep_drift)
    if operation == "mirror":
        return mirror(motion)
    if other is None:
        raise ValueError("concatenate needs a second clip: connect one to `other`")
    return concatenate(motion, resample(other, motion.fps), blend_seconds=blend_seconds)

"""Gaps of a motion: which joints are missing when, and how short gaps are bridged."""

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.kinematics import forward
from ..geometry.rotations import align_vectors, matrix_to_rotvec, rotvec_to_matrix
from ..types import Animation, Motion, Skeleton
from .cuts import rejoined, shots

_LEAD, _MOMENTUM = 0.06, 0.25  # seconds
_SAME_PLACE = 1e-3  # metres between the joints of a motion and those its rotations lead to


def fill_gaps(motion: Motion, *, limit_seconds: float = math.inf, cuts: Sequence[int] = ()) -> Motion:
    """Bridge gaps of a joint, or of the whole person, that last up to `limit_seconds`; longer ones and joints that are never seen stay missing.

    Between its ends a bone turns on its parent, or on the nearest ancestor that is present, and keeps its length; the root moves through space. Both leave and
    arrive at the speed they have beside the gap, as far as the gap is short (see `_bridge`). Before the first and after the last frame that shows it, a bone is
    held as it is, within the limit. Where rotations lead to the joints, rotations are bridged and the joints follow from them. Joints that are seen
    never change.

    Filled joints get the lower confidence of the two ends of their gap; notes say in which frames they are, and which gaps were too long. On the CPU.

    Args:
        cuts: first frames of the shots after the first; nothing is bridged from one shot to the next, so that a gap there has one end for each shot.

    Raises:
        ValueError: a negative limit, or cuts that are not increasing frame numbers after frame 0.
    """
    if not limit_seconds >= 0:
        raise ValueError(f"limit_seconds is {limit_seconds}, expected 0 or more (infinity bridges every gap)")
    motion = motion.cpu()
    pieces = shots(motion, cuts)
    if motion.seen.all():
        return motion
    limit, before, posed = min(limit_seconds * motion.fps + 1e-6, motion.frames), motion.seen, is_posed(motion)
    filled = rejoined(motion, [_fill_shot(shot, limit, posed) for shot in pieces])
    wanted, notes = filled.seen & ~before, motion.notes
    if wanted.any():
        notes = (*notes, f"{int(wanted.sum())} joint positions bridged in frames {frame_ranges(wanted.any(1))}")
    if (left := ~before & ~wanted & before.any(0)).any():
        longer = f"gaps above {limit_seconds:g} s" + (", or a whole shot" if cuts else "")
        notes = (*notes, f"{int(left.sum())} joint positions stay missing in frames {frame_ranges(left.any(1))}: {longer}")
    return motion if notes == motion.notes else replace(filled, notes=notes)


def _fill_shot(motion: Motion, limit: float, posed: bool) -> Motion:
    """Gaps of up to `limit` frames filled, by rotations where they lead to the joints."""
    wanted, level = _fillable(motion.seen, motion.confidence, limit)
    motion = _fill_rotations(motion, limit)
    joints = _by_rotations(motion, wanted) if posed else _by_bones(motion, wanted)
    return replace(motion, joints=joints, confidence=torch.where(wanted, level, motion.confidence))


def frame_ranges(chosen: Tensor) -> str:
    """The frames (T) that are true in words: 3-5, 9."""
    return ", ".join(f"{start}-{stop - 1}" if stop - start > 1 else f"{start}" for start, stop in runs(chosen))


def runs(chosen: Tensor) -> list[tuple[int, int]]:
    """(start, stop) of the stretches of (T) that are true."""
    edges = torch.nn.functional.pad(chosen.cpu().int(), (1, 1)).diff()
    return list(zip((edges > 0).nonzero()[:, 0].tolist(), (edges < 0).nonzero()[:, 0].tolist(), strict=True))


def is_posed(motion: Motion) -> bool:
    """Whether the motion's rotations, translation and rest pose lead to its joints."""
    if motion.rotations is None or motion.translation is None or motion.skeleton.rest is None:
        return False
    apart = (reached(motion).to(motion.joints) - motion.joints).norm(dim=-1)[motion.seen]
    return bool(len(apart)) and bool(apart.max() < _SAME_PLACE)


def reached(motion: Motion) -> Tensor:
    """(T, J, 3) where rotations and translation of a motion lead."""
    return forward(Animation(rotations=motion.rotations, translation=motion.translation, fps=motion.fps, rig=motion.skeleton)).joints


def known_rotations(motion: Motion) -> Tensor:
    """(T, J) where a joint's rotation is known: something that it carries is seen, or, at the end of a chain, the joint itself."""
    known, children = motion.seen.clone(), motion.skeleton.children
    below = torch.zeros_like(known)
    for joint in reversed(range(known.shape[1])):
        if children[joint]:
            known[:, joint] = below[:, joint]
        if (parent := motion.skeleton.parents[joint]) >= 0:
            below[:, parent] |= below[:, joint] | motion.seen[:, joint]
    return known


def _bounded(seen: Tensor, limit: float) -> Iterator[tuple[int, int]]:
    """(start, stop) of the gaps of (T) that are not too long, none where nothing is seen."""
    if seen.any():
        yield from ((start, stop) for start, stop in runs(~seen) if stop - start <= limit)


def _fillable(seen: Tensor, confidence: Tensor, limit: float) -> tuple[Tensor, Tensor]:
    """Which (T, J) to fill, and the confidence (T, J) they get."""
    wanted, level = torch.zeros_like(seen), confidence.clone()
    for joint in (~seen).any(0).nonzero()[:, 0].tolist():
        for start, stop in _bounded(seen[:, joint], limit):
            wanted[start:stop, joint] = True
            level[start:stop, joint] = confidence[_ends(start, stop, len(seen)), joint].min()
    return wanted, level


def _ends(start: int, stop: int, frames: int) -> list[int]:
    """The frames beside a gap."""
    return [frame for frame in (start - 1, stop) if 0 <= frame < frames]


def _fill_rotations(motion: Motion, limit: float) -> Motion:
    """Rotations and translation bridged where they are unknown for up to `limit` frames."""
    if motion.rotations is None:
        return motion
    known, rotations = known_rotations(motion), motion.rotations.clone()
    for joint in (~known).any(0).nonzero()[:, 0].tolist():
        for start, stop in _bounded(known[:, joint], limit):
            rotations[start:stop, joint] = _bridge_turn(rotations[:, joint], known[:, joint], start, stop, motion.fps)
    translation = motion.translation
    if translation is not None:
        translation = translation.clone()
        for start, stop in _bounded(motion.seen[:, 0], limit):
            translation[start:stop] = _bridge(translation, motion.seen[:, 0], start, stop, motion.fps)
    return replace(motion, rotations=rotations, translation=translation)


def _bridge(values: Tensor, known: Tensor, start: int, stop: int, fps: float) -> Tensor:
    """(n, C) between the ends of a gap of (T, C): a cubic that leaves and arrives as the track does; held where one end is missing.

    The speeds are those over up to `_LEAD` beside the gap. The longer the gap, the less is known of what they lead to: beyond `_MOMENTUM` they count
    for less, and the cubic eases towards a straight line.
    """
    ends = _ends(start, stop, len(values))
    if len(ends) == 1:
        return values[ends[0]].expand(stop - start, -1)
    a, b = ends
    rise, gap = (values[b] - values[a]) / (b - a), b - a
    trust = min(1.0, _MOMENTUM * fps / gap)

    def speed(at: int, step: int) -> Tensor:
        far = at
        while abs(far - at) < max(1, round(_LEAD * fps)) and 0 <= far + step < len(values) and known[far + step]:
            far += step
        return rise if far == at else torch.lerp(rise, (values[at] - values[far]) / (at - far), trust)

    u = ((torch.arange(start, stop) - a) / gap).to(values)[:, None]
    curve = values[a] * (1 + 2 * u) * (1 - u) ** 2 + values[b] * u * u * (3 - 2 * u)
    return curve + gap * (speed(a, -1) * u * (1 - u) ** 2 - speed(b, 1) * u * u * (1 - u))


def _bridge_turn(track: Tensor, known: Tensor, start: int, stop: int, fps: float) -> Tensor:
    """(n, 3, 3) between the ends of a gap of (T, 3, 3): bridged as turns away from the first end."""
    first = track[_ends(start, stop, len(track))[0]]
    near = _near(len(track), start, stop, fps)
    turns = matrix_to_rotvec(first.mT @ track[near])
    return first @ rotvec_to_matrix(_bridge(turns, known[near], start - near.start, stop - near.start, fps))


def _bridge_bone(track: Tensor, known: Tensor, start: int, stop: int, fps: float) -> Tensor:
    """(n, 3) between the ends of a gap of bone vectors (T, 3): the direction is bridged as turns away from the first end, the length by a straight line."""
    ends = _ends(start, stop, len(track))
    first, last = track[ends[0]], track[ends[-1]]
    near = _near(len(track), start, stop, fps)
    turns = matrix_to_rotvec(align_vectors(first, track[near]))
    turned = rotvec_to_matrix(_bridge(turns, known[near], start - near.start, stop - near.start, fps)) @ first
    share = ((torch.arange(start, stop) - start + 1) / (stop - start + 1)).to(track)[:, None]
    return turned / first.norm().clamp(min=1e-9) * torch.lerp(first.norm(), last.norm(), share)


def _near(frames: int, start: int, stop: int, fps: float) -> slice:
    """A gap and the frames beside it that tell its speeds."""
    lead = max(1, round(_LEAD * fps)) + 1
    return slice(max(0, start - lead), min(frames, stop + lead))


def _by_bones(motion: Motion, wanted: Tensor) -> Tensor:
    """Joints (T, J, 3) filled where wanted, root to leaves, each on the nearest ancestor that is present through the gap and at its ends."""
    joints, present = motion.joints.clone(), motion.seen.clone()
    for joint in wanted.any(0).nonzero()[:, 0].tolist():
        seen = motion.seen[:, joint]
        for start, stop in runs(wanted[:, joint]):
            stretch = slice(max(start - 1, 0), stop + 1)
            base = _base(motion.skeleton, joint, present[stretch])
            if base is None:
                joints[start:stop, joint] = _bridge(joints[:, joint], seen, start, stop, motion.fps)
            else:
                joints[start:stop, joint] = joints[start:stop, base] + _bridge_bone(
                    joints[:, joint] - joints[:, base], seen & present[:, base], start, stop, motion.fps
                )
            present[start:stop, joint] = True
    return joints


def _base(skeleton: Skeleton, joint: int, present: Tensor) -> int | None:
    """The nearest ancestor that is in all frames of `present` (n, J); None without one."""
    above = skeleton.parents[joint]
    while above >= 0 and not present[:, above].all():
        above = skeleton.parents[above]
    return above if above >= 0 else None


def _by_rotations(motion: Motion, wanted: Tensor) -> Tensor:
    """Joints (T, J, 3) filled where wanted from the motion's rotations, each from its parent; on the ancestor that is present where the parent is not."""
    placed, joints = reached(motion).to(motion.joints), _by_bones(motion, wanted)
    there = motion.seen | wanted
    for joint in wanted.any(0).nonzero()[:, 0].tolist():
        parent = motion.skeleton.parents[joint]
        if parent >= 0:
            chosen = wanted[:, joint] & there[:, parent]
            joints[chosen, joint] = (joints[:, parent] + placed[:, joint] - placed[:, parent])[chosen]
    return joints

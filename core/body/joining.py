"""Clips joined end to start without a jump in place or speed: two clips one after the other, or a clip with its own beginning.

All frames of the clips stay. What is apart at the seam, in place and in speed, is taken half by the frames before it and half by those after it, and fades away
from it: a clip that fits already changes hardly at all.
"""

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from ..geometry.rotations import align_vectors, matrix_to_rotvec, rotvec_to_matrix
from ..geometry.similarity import transformed
from ..types import Motion
from .gaps import is_posed, known_rotations, reached

LONGEST_BLEND = 10.0  # seconds
_LOOK = 0.1  # seconds of a clip from which place and speed at its end are told
_Y = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


def concatenate(first: Motion, second: Motion, *, blend_seconds: float = 0.5) -> Motion:
    """One clip after the other: the second is turned about the vertical and shifted over the floor so that it goes on where the first ends.

    Rotations are blended as rotations, bones without them as directions, so that bones keep their lengths; feet may slide a little within the blend.

    Args:
        blend_seconds: half of it before the seam and half after it, as far as the clips are long; 0 joins without blending.

    Raises:
        ValueError: clips of other joints, axes or frame rates, rotations on bones of other lengths, a root joint that is missing at the seam, or
            blend_seconds outside 0..10.
    """
    _check_blend(blend_seconds)
    first, second = _alike(first.cpu(), second.cpu())
    end, start = _edge(first, at_start=False), _edge(second, at_start=True)
    second = _placed(second, *_continuation(end, start))
    gap = _gap(end, _edge(second, at_start=True))
    half = blend_seconds * first.fps / 2
    parts = [_bent(first, gap, _tail(first.frames, half)), _bent(second, gap, _head(second.frames, half))]
    timed = ("joints", "confidence", "rotations", "translation")
    joined = {name: torch.cat([getattr(part, name) for part in parts]) for name in timed if getattr(parts[0], name) is not None}
    other = tuple(note for note in second.notes if note not in first.notes)
    note = f"a second clip follows from frame {first.frames}, blended over {blend_seconds:g} s"
    return replace(parts[0], **joined, notes=(*first.notes, *other, note))


def loop(motion: Motion, *, blend_seconds: float = 0.5, keep_drift: bool = False) -> Motion:
    """The clip closed: its first frame follows its last like any other, in place and in speed. It stays as long as it is.

    Args:
        blend_seconds: half of it at the end and half at the beginning, as far as the clip is long.
        keep_drift: True: the way over the floor and the turn from the first frame to the last stay, and only the pose closes, as in a walk that goes on from
            where it is. False: both are taken away evenly over the clip, so that it ends where it begins; feet that walk then slide, as on a treadmill.

    Raises:
        ValueError: fewer than 4 frames, a root joint that is missing at an end, or blend_seconds outside 0..10.
    """
    _check_blend(blend_seconds)
    if motion.frames < 4:
        raise ValueError(f"the motion has {motion.frames} frames: a loop needs at least 4")
    motion = motion.cpu()
    end, start = _edge(motion, at_start=False), _edge(motion, at_start=True)
    turn, shift = _continuation(end, start)
    if not keep_drift:
        motion = _without_drift(motion, turn)
        end, start = _edge(motion, at_start=False), _edge(motion, at_start=True)
        turn, shift = torch.eye(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    half = min(blend_seconds * motion.fps, motion.frames) / 2
    ahead = _placed(motion, turn, shift)
    gap = _gap(end, _edge(ahead, at_start=True))
    begun = _placed(_bent(ahead, gap, _head(motion.frames, half)), turn.mT, -turn.mT @ shift)
    ended = _bent(motion, gap, _tail(motion.frames, half))
    middle = motion.frames // 2
    joined = {name: torch.cat([getattr(begun, name)[:middle], getattr(ended, name)[middle:]])
              for name in ("joints", "rotations", "translation") if getattr(motion, name) is not None}  # fmt: skip
    note = f"looped over {blend_seconds:g} s, " + ("way and turn kept" if keep_drift else "brought back to where it begins")
    return replace(motion, **joined, notes=(*motion.notes, note))


def _check_blend(seconds: float) -> None:
    if not 0 <= seconds <= LONGEST_BLEND:
        raise ValueError(f"blend_seconds is {seconds}, expected 0 to {LONGEST_BLEND:g}")


def _alike(first: Motion, second: Motion) -> tuple[Motion, Motion]:
    """Both clips, checked, and without rotations or translation where only one of them has any."""
    if first.skeleton.names != second.skeleton.names:
        raise ValueError(
            f"the clips have {len(first.skeleton.names)} and {len(second.skeleton.names)} joints of other names: use Convert Skeleton"
        )
    if first.frame is not second.frame:
        raise ValueError(f"the clips are in {first.frame.value} and {second.frame.value} space: use Convert Space")
    if first.fps != second.fps:
        raise ValueError(f"the clips have {first.fps:g} and {second.fps:g} frames per second: resample one of them")
    for name in ("rotations", "translation"):
        if (getattr(first, name) is None) != (getattr(second, name) is None):
            note = f"{name} left out: only one of two clips has any"
            first, second = (replace(clip, **{name: None}) for clip in (first, second))
            first = replace(first, notes=(*first.notes, note))
    if is_posed(first) and is_posed(second):
        apart = _rest_bones(first) - _rest_bones(second)
        if apart.abs().max() > 1e-3:
            raise ValueError(
                f"the bones of the clips differ by up to {1000 * float(apart.abs().max()):.0f} mm: give the second clip the bones of the first "
                "with Retarget Motion"
            )
    return first, second


def _rest_bones(motion: Motion) -> Tensor:
    rest = motion.skeleton.rest
    return rest - rest[[max(parent, 0) for parent in motion.skeleton.parents]]


@dataclass(frozen=True, eq=False)
class _Edge:
    """A clip half a frame beyond one of its ends, float64.

    joints, speeds: (J, 3) metres, and metres per frame. known: (J). rotations: (J, 3, 3) local or None; turning: (J, 3) radians per frame in the axes of
    the joint; turned: (J) where both are known. bones: (J) the parent of each joint, 0 for roots.
    """

    joints: Tensor
    speeds: Tensor
    known: Tensor
    rotations: Tensor | None
    turning: Tensor | None
    turned: Tensor | None
    parents: tuple[int, ...]


def _edge(motion: Motion, *, at_start: bool) -> _Edge:
    """Place and speed of all that is seen in the last (or first) tenth of a second, told from a parabola through it."""
    count = min(max(3, round(_LOOK * motion.fps)), motion.frames)
    chosen = torch.arange(count - 1, -1, -1) if at_start else torch.arange(motion.frames - count, motion.frames)
    near, sign = motion.take(chosen), -1.0 if at_start else 1.0
    known = near.seen.all(0)
    if not known[0]:
        raise ValueError(
            f"the joint {motion.skeleton.names[0]} is missing at the {'beginning' if at_start else 'end'} of a clip: fill it with Clean Motion, or trim the clip"
        )
    joints, speeds = _beyond(torch.where(known[:, None], near.joints, 0.0).double())
    rotations = turning = turned = None
    if near.rotations is not None:
        track = near.rotations.double()
        turns, turning = _beyond(matrix_to_rotvec(track[-1].mT @ track))
        rotations, turning, turned = track[-1] @ rotvec_to_matrix(turns), sign * turning, known_rotations(near).all(0)
    return _Edge(joints, sign * speeds, known, rotations, turning, turned, motion.skeleton.parents)


def _beyond(track: Tensor) -> tuple[Tensor, Tensor]:
    """Value and slope of (M, ...) half a frame after its last row: of the least-squares parabola, or the line, or the value there is."""
    time = torch.arange(len(track), dtype=track.dtype) - (len(track) - 1)
    powers = torch.arange(min(3, len(track)), dtype=track.dtype)
    fit = torch.linalg.pinv(time[:, None] ** powers) @ track.flatten(1)
    value = (0.5**powers) @ fit
    slope = (powers[1:] * 0.5 ** (powers[1:] - 1)) @ fit[1:] if len(powers) > 1 else torch.zeros_like(value)
    return value.reshape(track.shape[1:]), slope.reshape(track.shape[1:])


def _continuation(end: _Edge, start: _Edge) -> tuple[Tensor, Tensor]:
    """Turn (3, 3) about the vertical and shift (3) over the floor that bring the start of a clip to the end of another, its pose as close as it gets."""
    both = end.known & start.known
    p, q = (edge.joints[both] - edge.joints[0] for edge in (end, start))
    across, along = (p[:, 0] * q[:, 2] - p[:, 2] * q[:, 0]).sum(), (p[:, 0] * q[:, 0] + p[:, 2] * q[:, 2]).sum()
    turn = rotvec_to_matrix(torch.atan2(across, along) * _Y)
    shift = end.joints[0] - turn @ start.joints[0]
    return turn, shift * (1 - _Y)


def _placed(motion: Motion, turn: Tensor, shift: Tensor) -> Motion:
    return transformed(motion, turn=turn, shift=shift)


@dataclass(frozen=True, eq=False)
class _Gap:
    """What two ends are apart, and how much faster the second is (per frame).

    root: (2, 3). bones: (2, J, 3) turns of bones in the axes of the motion. rotations: (2, J, 3) turns of joints in their own axes, or None.
    """

    root: Tensor
    bones: Tensor
    rotations: Tensor | None


def _gap(end: _Edge, start: _Edge) -> _Gap:
    above = [max(parent, 0) for parent in end.parents]
    known = end.known & start.known
    known = known & known[above] & (torch.tensor(end.parents) >= 0)
    (p, p_speed), (q, q_speed) = ((edge.joints - edge.joints[above], edge.speeds - edge.speeds[above]) for edge in (end, start))
    known = known & (p.norm(dim=-1) > 1e-6) & (q.norm(dim=-1) > 1e-6)
    p, q = (torch.where(known[:, None], bone, _Y) for bone in (p, q))
    spins = [torch.linalg.cross(bone, speed) / bone.square().sum(-1, keepdim=True) for bone, speed in ((p, p_speed), (q, q_speed))]
    bones = torch.stack([matrix_to_rotvec(align_vectors(p, q)), spins[1] - spins[0]])
    rotations = None
    if end.rotations is not None:
        rotations = torch.stack([matrix_to_rotvec(end.rotations.mT @ start.rotations), start.turning - end.turning])
        rotations = torch.where((end.turned & start.turned)[:, None], rotations, 0.0)
    root = torch.stack([start.joints[0] - end.joints[0], start.speeds[0] - end.speeds[0]])
    return _Gap(root, torch.where(known[:, None], bones, 0.0), rotations)


def _tail(frames: int, half: float) -> Tensor:
    """(T, 2) shares of a gap's place and speed to add to the frames before a seam; see `_fade`."""
    place, speed = _fade(torch.arange(frames - 1, -1, -1, dtype=torch.float64) + 0.5, min(half, frames))
    return torch.stack([place, -speed], -1)


def _head(frames: int, half: float) -> Tensor:
    """(T, 2) shares of a gap's place and speed to add to the frames after a seam."""
    place, speed = _fade(torch.arange(frames, dtype=torch.float64) + 0.5, min(half, frames))
    return torch.stack([-place, -speed], -1)


def _fade(distance: Tensor, half: float) -> tuple[Tensor, Tensor]:
    """Half of a gap's place, and half of its speed times the distance (T) in frames, fading to nothing at `half` frames; level at both ends."""
    s = (distance / max(half, 1e-9)).clamp(max=1)
    return (1 - s) ** 2 * (1 + 2 * s) / 2, distance * (1 - s) ** 2 / 2


def _bent(motion: Motion, gap: _Gap, shares: Tensor) -> Motion:
    """The motion with shares (T, 2) of a gap added; frames without a share stay as they are."""
    changed = (shares != 0).any(1)
    if not changed.any():
        return motion
    posed = is_posed(motion)
    moved = (shares @ gap.root)[:, None]  # (T, 1, 3)
    rotations, translation = motion.rotations, motion.translation
    if rotations is not None:
        turns = rotvec_to_matrix(torch.einsum("ts,sjc->tjc", shares, gap.rotations))
        rotations = torch.where(changed[:, None, None, None], (rotations.double() @ turns).to(rotations), rotations)
    if translation is not None:
        translation = (translation + moved[:, 0]).to(translation)
    result = replace(motion, rotations=rotations, translation=translation)
    if posed:
        joints = reached(result).to(motion.joints)
    else:
        joints = _with_bones(motion, rotvec_to_matrix(torch.einsum("ts,sjc->tjc", shares, gap.bones)), moved)
    return replace(result, joints=torch.where(changed[:, None, None] & motion.seen[..., None], joints, motion.joints))


def _with_bones(motion: Motion, turns: Tensor, moved: Tensor) -> Tensor:
    """Joints (T, J, 3) with each bone turned (T, J, 3, 3) and the roots moved (T, 1, 3); on a missing parent a joint goes along with what carries it."""
    joints = torch.where(motion.seen[..., None], motion.joints, 0.0).double()
    away = moved.expand_as(joints).clone()
    for joint, parent in motion.skeleton.bones:
        bone = joints[:, joint] - joints[:, parent]
        both = (motion.seen[:, joint] & motion.seen[:, parent])[:, None]
        away[:, joint] = away[:, parent] + torch.where(both, (turns[:, joint] @ bone[..., None])[..., 0] - bone, 0.0)
    return (joints + away).to(motion.joints)


def _without_drift(motion: Motion, turn: Tensor) -> Motion:
    """The way over the floor and the `turn` (3, 3) from beginning to end taken away evenly over the clip."""
    frames = motion.frames
    share = torch.arange(frames, dtype=torch.float64) / frames
    back = -matrix_to_rotvec(turn) * share[:, None]
    path = _path(motion)
    steps = rotvec_to_matrix((back[1:] + back[:-1]) / 2) @ path.diff(dim=0)[..., None]
    straight = torch.cat([path[:1], path[:1] + steps[..., 0].cumsum(0)])
    motion = _carried(motion, rotvec_to_matrix(back), path, straight)
    end, start = _edge(motion, at_start=False), _edge(motion, at_start=True)
    drift = (end.joints[0] - start.joints[0]) * (1 - _Y)
    path = torch.zeros(frames, 3, dtype=torch.float64)
    return _carried(motion, torch.eye(3, dtype=torch.float64).expand(frames, 3, 3), path, -drift * share[:, None])


def _path(motion: Motion) -> Tensor:
    """(T, 3) of the first joint, float64, on straight lines through its gaps."""
    frames, known = np.arange(motion.frames), motion.seen[:, 0].numpy()
    places = motion.joints[:, 0].double().numpy()
    return torch.from_numpy(np.stack([np.interp(frames, frames[known], axis[known]) for axis in places.T], -1))


def _carried(motion: Motion, turns: Tensor, origin: Tensor, place: Tensor) -> Motion:
    """Each frame turned (T, 3, 3) about its `origin` (T, 3), which comes to its `place` (T, 3)."""

    def points(x: Tensor) -> Tensor:
        return (((x.double() - origin[:, None]) @ turns.mT) + place[:, None]).to(x)

    rotations, roots = motion.rotations, list(motion.skeleton.roots)
    if rotations is not None:
        rotations = rotations.clone()
        rotations[:, roots] = (turns[:, None] @ rotations[:, roots].double()).to(rotations)
    translation = None if motion.translation is None else points(motion.translation[:, None])[:, 0]
    return replace(motion, joints=points(motion.joints), rotations=rotations, translation=translation)

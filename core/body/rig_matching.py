"""Motions on the joints of a rig: matched by name, brought to its size, and how near its bones let it come."""

import re
from dataclasses import replace

import torch

from ..geometry.kinematics import forward
from ..geometry.similarity import transformed
from ..types import Animation, CameraRig, Motion, Skeleton
from ..wording import counted
from .animation import to_world
from .measurements import bone_lengths
from .skeleton_conversion import smpl_names

_MOST_NAMES = 12  # that a message lists
_WORST = 3  # joints that a report names


def match_joints(motion: Motion, skeleton: Skeleton) -> Motion:
    """The joints of a motion under the names, and in the order, of another skeleton.

    Names are compared as they are, then without prefixes, case and separators, then as those of SMPL where one side follows Mixamo or VRM. Joints of the skeleton
    that the motion lacks are missing (confidence 0), which a note says. Rotations are left out.

    Raises:
        ValueError: fewer than half of the motion's joints, or of a skeleton that has less, are found; it lists the names of both.
    """
    if motion.skeleton.names == skeleton.names:
        return replace(motion, skeleton=skeleton, rotations=None, translation=None)
    ways = (lambda s: s.names, lambda s: plain_names(s.names), smpl_names, lambda s: plain_names(smpl_names(s)))
    found = max((_rows(way(motion.skeleton), way(skeleton)) for way in ways), key=lambda rows: sum(row is not None for row in rows))
    count = sum(row is not None for row in found)
    if 2 * count < min(len(motion.skeleton.names), len(skeleton.names)):
        raise ValueError(
            f"only {count} of the motion's joints are joints of the rig: the motion has {listed(motion.skeleton.names)}; the rig has "
            f"{listed(skeleton.names)}. Joints go by their names: rename those of the rig, or bring the motion to its joints first"
        )
    rows = torch.tensor([-1 if row is None else row for row in found], device=motion.joints.device)
    absent = rows < 0
    joints, confidence = motion.joints[:, rows].clone(), motion.confidence[:, rows].clone()
    joints[:, absent], confidence[:, absent] = torch.nan, 0
    lacking = [name for name, row in zip(skeleton.names, found, strict=True) if row is None]
    unused = [name for row, name in enumerate(motion.skeleton.names) if row not in found]
    notes = [f"the motion lacks {len(lacking)} joints of the rig: {listed(lacking)}"] if lacking else []
    notes += [f"the rig lacks {len(unused)} joints of the motion: {listed(unused)}"] if unused else []
    return replace(
        motion, joints=joints, confidence=confidence, skeleton=skeleton, rotations=None, translation=None, notes=(*motion.notes, *notes)
    )


def plain_names(names: tuple[str, ...]) -> tuple[str, ...]:
    """Names without prefixes, case and separators; as they are where two would become the same."""
    short = tuple(re.sub(r"[^a-z0-9]", "", re.sub(r"^.*[:|]", "", name).lower()) for name in names)
    return short if len(set(short)) == len(short) else names


def _rows(names: tuple[str, ...], wanted: tuple[str, ...]) -> list[int | None]:
    known = {name: row for row, name in enumerate(names)}
    return [known.get(name) for name in wanted]


def listed(names: list[str] | tuple[str, ...]) -> str:
    """Names for a message, not too many."""
    return ", ".join(names[:_MOST_NAMES]) + (f" and {len(names) - _MOST_NAMES} more" if len(names) > _MOST_NAMES else "")


def size_ratio(motion: Motion) -> float:
    """How much larger the rest pose of a motion's skeleton is than the motion: the median over its bones; 1 where no bone tells."""
    skeleton = motion.skeleton
    bones = [joint for joint, _ in skeleton.bones]
    parents = [parent for _, parent in skeleton.bones]
    if not bones:
        return 1.0
    drawn = (skeleton.rest[bones] - skeleton.rest[parents]).norm(dim=-1).double()
    measured = bone_lengths(motion).cpu().double()[bones]
    told = (drawn > 1e-6 * drawn.max()) & (measured > 0)
    return float((drawn[told] / measured[told]).median()) if told.any() else 1.0


def motion_on(motion: Motion, skeleton: Skeleton, *, fit_size: bool) -> Motion:
    """A motion in the world on the joints of a rig; with `fit_size` it grows or shrinks, about the origin, to the size of the rig.

    Raises:
        ValueError: other joints, see `match_joints`.
    """
    motion = match_joints(to_world(motion), skeleton)
    if not fit_size:
        return motion
    ratio = size_ratio(motion)
    grown = transformed(motion, turn=torch.eye(3), scale=ratio, shift=torch.zeros(3))
    return replace(grown, notes=(*grown.notes, f"the motion was multiplied by {ratio:.4g} to the size of the rig"))


def solving_report(animation: Animation, motion: Motion, cameras: CameraRig | None = None) -> str:
    """How far the joints of an animation are from those of the motion it was solved for, in millimetres and, with the cameras, in pixels."""
    skeleton = animation.skeleton
    frames, joints = motion.confidence.shape
    size = float((skeleton.rest.amax(0) - skeleton.rest.amin(0)).max())
    lines = [f"{counted(frames, 'frame')} at {animation.fps:g} fps, {counted(joints, 'joint')}"]
    seen = motion.seen
    off = animation.residual.double()[seen]
    lines.append(
        f"distance from the joints asked for: mean {1000 * off.mean():.3g} mm, largest {1000 * off.max():.3g} mm"
        + (f" ({100 * off.mean() / size:.2g} % and {100 * off.max() / size:.2g} % of the size of the rig)" if size else "")
    )
    mean = animation.residual.nanmean(0).nan_to_num(-1.0)
    worst = mean.topk(min(_WORST, joints))
    lines.append(
        "furthest on average: "
        + ", ".join(f"{skeleton.names[j]} {1000 * m:.3g} mm" for m, j in zip(*map(torch.Tensor.tolist, worst), strict=True) if m >= 0)
    )
    if cameras is not None:
        reached = forward(animation).joints
        shift = (cameras.project(reached)[0] - cameras.project(motion.joints.to(reached))[0]).norm(dim=-1)[:, seen]
        lines.append(
            f"in the pictures of {cameras.views} cameras: mean {shift.nanmean():.3g}, largest {shift.nan_to_num().max():.3g} pixels"
        )
    if animation.placed:
        lines.append(f"moved by themselves: {listed([skeleton.names[joint] for joint in animation.placed])}")
    if not seen.all():
        lines.append(f"{int((~seen).sum())} joint positions are missing; their bones follow the joints above them")
    return "\n".join([*lines, *motion.notes])

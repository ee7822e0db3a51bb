"""Any motion as an animation of a skeleton: upright in the world, every joint in every frame, bones of the person's lengths."""

from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.ik import solve_rotations
from ..geometry.kinematics import forward
from ..geometry.similarity import HALF_TURN, transformed
from ..types import Animation, Frame, Motion, Skeleton
from .gaps import fill_gaps
from .measurements import bone_lengths

_FLOOR_QUANTILE = 0.05  # of the lowest joint over time: a single frame that dips does not move the floor
_SHORTEST = 1e-6  # metres


def to_world(motion: Motion) -> Motion:
    """A camera-space motion in world axes: turned upright with the camera level, and shifted vertically so that its lowest joints stand on y = 0.

    A world-space motion is returned as it is. Where the camera looked up or down, the world stays tilted by as much; the note says what was assumed.
    """
    if motion.frame is Frame.WORLD:
        return motion
    lowest = torch.where(motion.seen, -motion.joints[..., 1], torch.inf).amin(-1)
    lowest = lowest[torch.isfinite(lowest)]
    drop = -float(torch.quantile(lowest, _FLOOR_QUANTILE)) if len(lowest) else 0.0
    return replace(
        transformed(motion, turn=HALF_TURN, shift=torch.tensor([0.0, drop, 0.0], dtype=torch.float64)),
        frame=Frame.WORLD,
        intrinsics=None,
        image_size=None,
        notes=(*motion.notes, f"turned from camera to world axes: camera taken as level, floor {drop:.3f} m below it"),
    )


def _template(motion: Motion) -> Tensor:
    """(J, 3) rest positions to take bone directions from: the skeleton's, or the motion's own pose where most joints are seen."""
    if motion.skeleton.rest is not None:
        return motion.skeleton.rest.to(motion.joints)
    best = int(motion.seen.sum(-1).argmax())
    pose, parents = motion.joints[best].clone(), motion.skeleton.parents
    for joint, parent in enumerate(parents):
        if not motion.seen[best, joint]:
            pose[joint] = pose[parent] if parent >= 0 else 0.0
    return pose


def measured_skeleton(motion: Motion) -> Skeleton:
    """The motion's skeleton at rest with the bone lengths it has in the motion.

    Directions come from the rest pose of the skeleton (or, without one, from the frame that shows most joints); lengths are medians over time. A bone
    that is never seen is scaled like the others. The lowest joint keeps its height over the floor, in the same scale.
    """
    template, parents = _template(motion), motion.skeleton.parents
    above = torch.tensor([max(parent, 0) for parent in parents])
    offsets = template - template[above]
    drawn = offsets.norm(dim=-1)
    ratio = bone_lengths(motion) / drawn.clamp(min=_SHORTEST)
    ratio = torch.where(drawn > _SHORTEST, ratio, torch.nan)
    overall = ratio.nanmedian()
    overall = torch.ones_like(overall) if overall.isnan() else overall
    ratio = torch.where(ratio.isnan(), overall, ratio)
    rest = template * overall
    for joint, parent in enumerate(parents):
        if parent >= 0:
            rest[joint] = rest[parent] + offsets[joint] * ratio[joint]
    rest[:, 1] += template[:, 1].min() * overall - rest[:, 1].min()
    return replace(motion.skeleton, rest=rest)


def animation_of(motion: Motion) -> Animation:
    """The motion as rotations of a rest skeleton in world axes, for files that hold animations.

    Rotations, translation and rest pose that the motion already has are used as they are. Otherwise rotations are solved from the joints on a rest
    skeleton of the person's bone lengths, with gaps filled.

    Returns:
        Animation with `residual` (T, J): metres between the motion's joints and those of the animation, NaN where the motion has none (filled).

    Raises:
        ValueError: the root joint is missing in every frame.
    """
    motion = to_world(motion.cpu())
    if motion.rotations is not None and motion.translation is not None and motion.skeleton.rest is not None:
        animation = Animation(rotations=motion.rotations, translation=motion.translation, fps=motion.fps, rig=motion.skeleton)
        residual = (forward(animation).joints.to(motion.joints) - motion.joints).norm(dim=-1)
    else:
        animation = solve_rotations(fill_gaps(motion), measured_skeleton(motion))
        residual = animation.residual
    return replace(animation, residual=torch.where(motion.seen, residual, torch.nan))

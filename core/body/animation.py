"""Any motion as an animation of a skeleton: upright in the world, every joint in every frame, bones of the person's lengths."""

from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..geometry.ik import solve_rotations
from ..geometry.kinematics import forward
from ..types import Animation, Frame, Motion, Skeleton
from .measurements import bone_lengths

_CAMERA_TO_WORLD = (1.0, -1.0, -1.0)  # half turn about x: y down, z forward becomes Y up, facing the camera on +Z
_FLOOR_QUANTILE = 0.05  # of the lowest joint over time: a single frame that dips does not move the floor
_SHORTEST = 1e-6  # metres


def to_world(motion: Motion) -> Motion:
    """A camera-space motion in world axes: turned upright with the camera level, and shifted vertically so that its lowest joints stand on y = 0.

    A world-space motion is returned as it is. Where the camera looked up or down, the world stays tilted by as much; the note says what was assumed.
    """
    if motion.frame is Frame.WORLD:
        return motion
    flip = torch.tensor(_CAMERA_TO_WORLD).to(motion.joints)
    joints = motion.joints * flip
    lowest = torch.where(motion.seen, joints[..., 1], torch.inf).amin(-1)
    lowest = lowest[torch.isfinite(lowest)]
    floor = torch.quantile(lowest, _FLOOR_QUANTILE) if len(lowest) else torch.zeros(()).to(joints)
    shift = torch.stack([torch.zeros_like(floor), floor, torch.zeros_like(floor)])
    rotations = motion.rotations
    if rotations is not None:
        roots = [joint for joint, parent in enumerate(motion.skeleton.parents) if parent < 0]
        rotations = rotations.clone()
        rotations[:, roots] = torch.diag(flip).to(rotations) @ rotations[:, roots]
    return replace(
        motion,
        joints=joints - shift,
        rotations=rotations,
        translation=None if motion.translation is None else motion.translation * flip.to(motion.translation) - shift.to(motion.translation),
        frame=Frame.WORLD,
        intrinsics=None,
        image_size=None,
        notes=(*motion.notes, f"turned from camera to world axes: camera taken as level, floor {-floor.item():.3f} m below it"),
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


def fill_missing(motion: Motion) -> Motion:
    """The motion with gaps of a joint bridged by straight lines in time and held at its ends; a joint that is never seen stays missing.

    Filled joints get confidence 1: compare with `motion.seen` to know which they are.
    """
    seen = motion.seen.cpu().numpy()
    if seen.all():
        return motion
    joints, confidence = motion.joints.cpu().numpy().copy(), motion.confidence.clone()
    frames = np.arange(motion.frames)
    for joint in range(seen.shape[1]):
        known = seen[:, joint]
        if known.any() and not known.all():
            for axis in range(3):
                joints[~known, joint, axis] = np.interp(frames[~known], frames[known], joints[known, joint, axis])
            confidence[torch.from_numpy(~known).to(confidence.device), joint] = 1.0
    return replace(motion, joints=torch.from_numpy(joints).to(motion.joints), confidence=confidence)


def animation_of(motion: Motion) -> Animation:
    """The motion as rotations of a rest skeleton in world axes, for files that hold animations.

    Rotations, translation and rest pose that the motion already has are used as they are. Otherwise rotations are solved from the joints on a rest
    skeleton of the person's bone lengths, with gaps filled.

    Returns:
        Animation with `residual` (T, J): metres between the motion's joints and those of the animation, NaN where the motion has none (filled).

    Raises:
        ValueError: the root joint is missing in every frame.
    """
    motion = to_world(motion)
    if motion.rotations is not None and motion.translation is not None and motion.skeleton.rest is not None:
        animation = Animation(rotations=motion.rotations, translation=motion.translation, fps=motion.fps, rig=motion.skeleton)
    else:
        filled = fill_missing(motion)
        animation = solve_rotations(filled, measured_skeleton(motion))
    reached = forward(animation).joints.to(motion.joints)
    residual = torch.where(motion.seen, (reached - motion.joints).norm(dim=-1), torch.nan)
    return replace(animation, residual=residual)

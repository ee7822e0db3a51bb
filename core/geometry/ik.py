"""Joint rotations from joint positions, root to leaves.

Each joint turns its rest directions to its children onto the measured ones (Wahba's problem, solved by Kabsch's SVD); a prior, the parent's turn,
decides what positions cannot show. Positions are followed from where forward kinematics has arrived, so errors do not add up along a chain.
"""

import torch
from torch import Tensor

from ..types import Animation, Frame, Motion, Rig, Skeleton
from .kinematics import joint_positions, rest_pose, root_positions
from .rotations import align_vectors, nearest_rotation

_COLLINEAR = 0.02  # below this ratio of singular values the children lie on one line and the prior decides the turn about it
_ZERO_BONE = 1e-6  # metres


def _turn(rest: Tensor, target: Tensor, prior: Tensor, weight: Tensor) -> Tensor:
    """World turn (T, 3, 3) that carries the rest vectors (C, 3) onto the targets (T, C, 3), each with its weight (T, C)."""
    turned = torch.einsum("tij,cj->tci", prior, rest)
    if rest.shape[0] == 1:
        return align_vectors(turned[:, 0], torch.where(weight > 0, target[:, 0], turned[:, 0])) @ prior
    target = torch.where(weight[..., None] > 0, target, turned)
    directions = rest / rest.norm(dim=-1, keepdim=True)
    seen = target / target.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    lever = rest.norm(dim=-1)[:, None]
    spread = torch.einsum("tci,cj->tij", seen * lever, directions)
    plain = nearest_rotation(spread)
    residual = (torch.einsum("tij,cj->tci", plain, directions) - seen).square().sum(-1).mean()
    singular = torch.linalg.svdvals(torch.einsum("tci,cj->tij", seen, directions))
    # Consistent input keeps the prior's pull near zero and so stays exact; noise on collinear children would spin the joint without it.
    pull = torch.where(singular[:, 1] < _COLLINEAR * singular[:, 0], (10 * residual).clamp(max=1e-3), torch.zeros_like(singular[:, 0]))
    guarded = nearest_rotation(spread / lever.mean() + pull[:, None, None] * prior)
    return torch.where((pull > 0)[:, None, None], guarded, plain)


def solve_rotations(motion: Motion, rig_or_skeleton: Rig | Skeleton, *, twist: str = "inherit") -> Animation:
    """Rotations that bring a rest pose as close as its bone lengths allow to the joints of a world-space motion.

    Args:
        motion: joints (T, J, 3) in WORLD axes; a missing joint (confidence 0) leaves its bone as the parent carries it.
        rig_or_skeleton: J joints in the order of the motion, with rest positions.
        twist: what turns a bone about its own axis, which positions cannot show: "inherit" takes the parent's turn.

    Returns:
        Animation with `residual` (T, J): distance in metres from each joint asked for, NaN where it is missing.

    Raises:
        ValueError: other joint count, camera axes, an unknown twist, or a root joint missing in every frame.
    """
    if twist != "inherit":
        raise ValueError(f"twist is '{twist}', expected 'inherit'")
    if motion.frame is not Frame.WORLD:
        raise ValueError("the motion is in camera axes: convert it to world axes before solving rotations")
    skeleton = rig_or_skeleton.skeleton if isinstance(rig_or_skeleton, Rig) else rig_or_skeleton
    if len(skeleton.names) != len(motion.skeleton.names):
        raise ValueError(f"the motion has {len(motion.skeleton.names)} joints, the skeleton {len(skeleton.names)}")
    parents = skeleton.parents
    rest, rest_world = (part.to(motion.joints) for part in rest_pose(rig_or_skeleton))
    joints = torch.where(motion.seen[..., None], motion.joints, torch.zeros_like(motion.joints))
    translation = _hold_missing(joints[:, 0], motion.seen[:, 0])

    identity = torch.eye(3).to(joints).expand(motion.frames, 3, 3)
    turns = [identity] * len(parents)
    positions = root_positions(translation, rest, skeleton.roots)
    for joint, (parent, children) in enumerate(zip(parents, skeleton.children, strict=True)):
        prior = identity if parent < 0 else turns[parent]
        if parent >= 0:
            positions[joint] = positions[parent] + torch.einsum("tij,j->ti", turns[parent], rest[joint] - rest[parent])
        below = [child for child in children if (rest[child] - rest[joint]).norm() > _ZERO_BONE]
        turns[joint] = prior
        if below:
            target = joints[:, below] - positions[joint][:, None]
            turns[joint] = _turn(rest[below] - rest[joint], target, prior, motion.confidence[:, below].to(joints))
    delta = torch.stack(turns, 1)  # (T, J, 3, 3) world turns away from the rest pose
    world = delta @ rest_world
    local = torch.stack([world[:, j] if p < 0 else world[:, p].mT @ world[:, j] for j, p in enumerate(parents)], 1)
    reached = joint_positions(world, translation, rest, rest_world, parents)
    residual = torch.where(motion.seen, (reached - joints).norm(dim=-1), torch.nan)
    return Animation(rotations=local, translation=translation, fps=motion.fps, rig=rig_or_skeleton, residual=residual)


def _hold_missing(track: Tensor, seen: Tensor) -> Tensor:
    """Replace missing rows of (T, 3) by the nearest earlier one that is seen (the first seen one at the start)."""
    if not seen.any():
        raise ValueError("the root joint is missing in every frame")
    index = torch.where(seen, torch.arange(len(seen), device=seen.device), -1).cummax(0).values
    return track[torch.where(index < 0, int(seen.nonzero()[0]), index)]

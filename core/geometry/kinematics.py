"""Forward kinematics of a joint tree, batched by tree level."""

from dataclasses import replace
from functools import lru_cache

import torch
from torch import Tensor

from ..types import Animation, Frame, Motion, Rig, Skeleton
from .rotations import nearest_rotation


@lru_cache(maxsize=64)
def tree_levels(parents: tuple[int, ...]) -> tuple[tuple[int, ...], ...]:
    """Joints grouped by their depth in the tree, roots first."""
    depth: list[int] = []
    for parent in parents:
        depth.append(0 if parent < 0 else depth[parent] + 1)
    return tuple(tuple(joint for joint, level in enumerate(depth) if level == wanted) for wanted in range(max(depth) + 1))


def rest_pose(rig: Rig | Skeleton, dtype: torch.dtype | None = None) -> tuple[Tensor, Tensor]:
    """Rest positions (J, 3) and world rotations (J, 3, 3), in `dtype` where it is given; a plain skeleton rests with all axes along the world's.

    The axes of a joint that its nodes mirror count with the first one turned round: rotations follow them, the mirroring stays in the nodes.
    """
    if isinstance(rig, Rig):
        rest = rig.rest.to(dtype or rig.rest.dtype)
        axes = rest[:, :3, :3]
        first = torch.where(torch.linalg.det(axes / axes.norm(dim=-2, keepdim=True)) < 0, -1.0, 1.0).to(axes)[:, None, None]
        return rest[:, :3, 3], nearest_rotation(torch.cat([axes[..., :1] * first, axes[..., 1:]], -1))
    if rig.rest is None:
        raise ValueError("the skeleton has no rest positions: use SMPL24 or SMPLX55, or give it some")
    rest = rig.rest.to(dtype or rig.rest.dtype)
    return rest, torch.eye(3, dtype=rest.dtype, device=rest.device).expand(len(rig.names), 3, 3)


def world_rotations(rotations: Tensor, parents: tuple[int, ...]) -> Tensor:
    """Chain local rotations (T, J, 3, 3) from the roots to the leaves."""
    chained = torch.empty_like(rotations)
    for level, joints in enumerate(tree_levels(parents)):
        joints = list(joints)
        chained[:, joints] = rotations[:, joints] if level == 0 else chained[:, [parents[j] for j in joints]] @ rotations[:, joints]
    return chained


def root_positions(translation: Tensor, rest: Tensor, roots: tuple[int, ...]) -> dict[int, Tensor]:
    """(T, 3) of each root joint: the first is at `translation` (T, 3), further ones keep their rest distance (J, 3) from it."""
    rest = rest.to(translation)
    return {root: translation + (rest[root] - rest[roots[0]]) for root in roots}


def joint_positions(
    world: Tensor, translation: Tensor, rest: Tensor, rest_world: Tensor, parents: tuple[int, ...], *,
    placed: tuple[int, ...] = (), places: Tensor | None = None,
) -> Tensor:  # fmt: skip
    """Positions (T, J, 3) of joints whose world rotations are known.

    Args:
        world: (T, J, 3, 3) world rotations.
        translation: (T, 3) position of the first root; see `root_positions`.
        rest: (J, 3) rest positions. rest_world: (J, 3, 3) rest world rotations.
        placed: (P) joints that stand at `places` (T, P, 3), wherever their parent is; see `Animation`.
    """
    positions = torch.empty(*world.shape[:2], 3, dtype=world.dtype, device=world.device)
    rest, rest_world = rest.to(world), rest_world.to(world)
    own = {joint: places[:, row].to(world) for row, joint in enumerate(placed)}
    roots, *levels = tree_levels(parents)
    for root, track in root_positions(translation, rest, roots).items():
        positions[:, root] = own.get(root, track)
    for level in levels:
        joints, above = list(level), [parents[joint] for joint in level]
        offsets = rest_world[above].mT @ (rest[joints] - rest[above])[..., None]
        positions[:, joints] = positions[:, above] + (world[:, above] @ offsets)[..., 0]
        for joint in own.keys() & set(level):
            positions[:, joint] = own[joint]
    return positions


def forward(animation: Animation) -> Motion:
    """Joints of an animated skeleton or rig as a world-space Motion that keeps the rotations and translation.

    On a rig, or where joints are placed, the motion has joints only: its rotations would not lead to them.
    """
    rest, rest_world = rest_pose(animation.rig, animation.rotations.dtype)
    parents = animation.skeleton.parents
    world = world_rotations(animation.rotations, parents)
    joints = joint_positions(
        world, animation.translation.to(world), rest, rest_world, parents, placed=animation.placed, places=animation.places
    )
    local = animation.rotations if isinstance(animation.rig, Skeleton) and not animation.placed else None
    return Motion(
        joints=joints, confidence=torch.ones_like(joints[..., 0]), skeleton=animation.skeleton, fps=animation.fps, frame=Frame.WORLD,
        rotations=local, translation=animation.translation if local is not None else None,
    )  # fmt: skip


def root_tracks(animation: Animation) -> dict[int, Tensor]:
    """(T, 3) float64 world positions of each root joint."""
    skeleton = animation.skeleton
    tracks = root_positions(animation.translation.double(), rest_pose(animation.rig, torch.float64)[0], skeleton.roots)
    own = {joint: animation.places[:, row].double() for row, joint in enumerate(animation.placed)}
    return {root: own.get(root, track) for root, track in tracks.items()}


def placed_tracks(animation: Animation) -> dict[int, Tensor]:
    """(T, 3) float64 positions of the placed joints that are no roots, seen from their parent joint: in its axes, from where it stands."""
    parents = animation.skeleton.parents
    below = [joint for joint in animation.placed if parents[joint] >= 0]
    if not below:
        return {}
    joints = forward(replace(animation, rotations=animation.rotations.double())).joints
    world = world_rotations(animation.rotations.double(), parents)
    away = {joint: (joints[:, joint] - joints[:, parents[joint]])[:, None] for joint in below}
    return {joint: (track @ world[:, parents[joint]])[:, 0] for joint, track in away.items()}

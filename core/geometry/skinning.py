"""Linear blend skinning: the meshes of a rig as its joints carry them."""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..types import Animation, Frame, Motion, Rig, RigMesh
from .kinematics import forward, rest_pose, world_rotations


@dataclass(frozen=True, eq=False, kw_only=True)
class PosedMesh:
    """A mesh in the world over T frames. vertices: (T, N, 3) float64. normals: (T, N, 3) unit vectors, or None. faces: (M, 3) int64, counter-clockwise
    from outside, also where the pose mirrors the mesh."""

    vertices: Tensor
    normals: Tensor | None
    faces: Tensor


def rest_motion(rig: Rig, *, fps: float = 30.0) -> Motion:
    """The joints of a rig at rest, as a motion of one frame."""
    joints = rig.rest[None, :, :3, 3]
    return Motion(joints=joints, confidence=torch.ones_like(joints[..., 0]), skeleton=rig.skeleton, fps=fps, frame=Frame.WORLD)


def joint_matrices(rig: Rig, animation: Animation | None = None, frames: Sequence[int] | None = None) -> Tensor:
    """(T, J, 4, 4) float64 joint to world at some frames of an animation of the rig (all of them by default), or (1, J, 4, 4) at rest.

    What the nodes scale and mirror at rest stays as it is; rotations turn it.

    Raises:
        ValueError: the animation is of another skeleton, or has no such frame.
    """
    rest = rig.rest.double()
    if animation is None:
        if frames is not None and any(frame != 0 for frame in frames):
            raise ValueError(f"frames are {list(frames)}, the rest pose has frame 0 only: connect an animation")
        return rest[None].expand(1 if frames is None else len(frames), *rest.shape)
    if animation.skeleton.names != rig.skeleton.names or animation.skeleton.parents != rig.skeleton.parents:
        raise ValueError(
            f"the animation is of a skeleton of {len(animation.skeleton.names)} joints that is not this rig's of {len(rig.skeleton.names)}: "
            "solve the motion on this rig with Solve Skeleton"
        )
    total = len(animation.rotations)
    frames = range(total) if frames is None else frames
    if wrong := [frame for frame in frames if not 0 <= frame < total]:
        raise ValueError(f"frame is {wrong[0]}, the animation has {total}: give 0 to {total - 1}")
    rows = list(frames)
    moved = replace(
        animation, rotations=animation.rotations[rows].double(), translation=animation.translation[rows].double(), residual=None,
        places=None if animation.places is None else animation.places[rows].double(),
    )  # fmt: skip
    world = world_rotations(moved.rotations, rig.skeleton.parents)
    carried = rest_pose(rig, torch.float64)[1].mT @ rest[:, :3, :3] if isinstance(animation.rig, Rig) else rest[:, :3, :3]
    matrices = torch.zeros(len(rows), len(rest), 4, 4, dtype=torch.float64)
    matrices[..., :3, :3] = world @ carried
    matrices[..., :3, 3] = forward(moved).joints
    matrices[..., 3, 3] = 1.0
    return matrices


def pose_meshes(
    rig: Rig, meshes: Sequence[RigMesh], animation: Animation | None = None, frames: Sequence[int] | None = None
) -> tuple[PosedMesh, ...]:
    """The meshes of a rig at rest, or at some frames of an animation (all of them by default).

    Equal vertices come out equal to the last bit, so that seams of a texture stay closed.

    Raises:
        ValueError: the animation is of another skeleton, or has no such frame.
    """
    joints = joint_matrices(rig, animation, frames)
    return tuple(_posed(mesh, joints) for mesh in meshes)


def _posed(mesh: RigMesh, joints: Tensor) -> PosedMesh:
    points = mesh.vertices.double()
    if len(mesh.morphs):
        points = points + torch.einsum("p,pnc->nc", mesh.morph_weights.double(), mesh.morphs.double())
    normals = None if mesh.normals is None else mesh.normals.double()
    if mesh.weights.shape[1] == 0:
        tables = mesh.node_to_world.double()[None, None].expand(len(joints), 1, 4, 4)
        chosen, weights = torch.zeros(len(points), 1, dtype=torch.long), torch.ones(len(points), 1, dtype=torch.float64)
    else:
        tables, chosen, weights = joints @ mesh.inverse_bind.double(), mesh.joints, mesh.weights.double()
    posed, turned, mirrored = [], [], 0
    for table in tables[..., :3, :]:  # one frame at a time: the blended matrices take four times the room of what they make
        blend = sum(weights[:, k, None, None] * table[chosen[:, k]] for k in range(weights.shape[1]))
        posed.append(_apply(blend[..., :3], points) + blend[..., 3])
        x, y, z = blend[..., 0], blend[..., 1], blend[..., 2]
        cofactor = torch.stack([torch.linalg.cross(y, z), torch.linalg.cross(z, x), torch.linalg.cross(x, y)], -1)
        side = (cofactor[..., 0] * x).sum(-1).sign()
        mirrored += int((side < 0).sum()) - int((side > 0).sum())
        if normals is not None:
            turned.append(torch.nn.functional.normalize(_apply(cofactor, normals) * side[:, None], dim=-1))
    return PosedMesh(
        vertices=torch.stack(posed),
        normals=torch.stack(turned) if turned else None,
        faces=mesh.faces.flip(1) if mirrored > 0 else mesh.faces,
    )


def _apply(matrices: Tensor, vectors: Tensor) -> Tensor:
    """(N, 3, 3) @ (N, 3), one operation at a time: a matrix product rounds by the place in its batch."""
    return (matrices[..., 0] * vectors[:, :1] + matrices[..., 1] * vectors[:, 1:2]) + matrices[..., 2] * vectors[:, 2:]

"""A body as ellipsoids, one for each bone, and the ellipsoids' outlines in a picture.

An ellipsoid is a centre c and axes A (3, 3) whose columns are the principal radii: X = c + A s with s on the unit sphere. All of it in float64.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.anthropometry import HEAD_SECTION, HEAD_TOP, bone_sections, thickness_scale
from ..geometry.kinematics import world_rotations
from ..geometry.rotations import align_vectors
from ..types import CameraRig, Motion

_SHORTEST_BONE = 0.005  # metres
_OVERLAP = 0.3  # an ellipsoid reaches this part of its round radius beyond each joint, which closes the pinches there


@dataclass(frozen=True, eq=False, kw_only=True)
class Ellipsoids:
    """centers: (..., E, 3) metres. axes: (..., E, 3, 3), columns are the principal radii. present: (..., E) bool."""

    centers: Tensor
    axes: Tensor
    present: Tensor

    def seen_by(self, rig: CameraRig) -> "Ellipsoids":
        """In the axes of each camera: (V, ...) in front of every shape."""
        rotation = rig.world_to_camera[:, :, :3].double().reshape(rig.views, *(1,) * self.present.dim(), 3, 3)
        shift = rig.world_to_camera[:, :, 3].double().reshape(rig.views, *(1,) * self.present.dim(), 3)
        centers = (rotation @ self.centers[..., None])[..., 0] + shift
        return Ellipsoids(centers=centers, axes=rotation @ self.axes, present=self.present.expand(centers.shape[:-1]))


def body_ellipsoids(motion: Motion, *, virtual_leaves: bool = True) -> Ellipsoids:
    """One ellipsoid (T, E) for each bone, and for the head, which ends at its joint, one more up to the crown (`virtual_leaves`).

    Sections follow `anthropometry`: round where the motion has no rotations, else with the two radii of the table, turned with the parent joint. A bone
    shorter than 5 mm or with a missing end is not present. In the axes of the motion, on the CPU.
    """
    motion = motion.cpu()
    joints, seen = motion.joints.double(), motion.seen
    bones = motion.skeleton.bones
    child, parent = [bone[0] for bone in bones], [bone[1] for bone in bones]
    oriented = motion.rotations is not None and motion.skeleton.rest is not None
    frames = rest_bones = None
    if oriented:
        frames = world_rotations(motion.rotations.double(), motion.skeleton.parents)
        rest = motion.skeleton.rest.double()
        rest_bones = rest[child] - rest[parent]
    starts, ends, present = joints[:, parent], joints[:, child], seen[:, child] & seen[:, parent]
    scale = thickness_scale(motion)
    sections, turns = bone_sections(motion, scale=scale), frames[:, parent] if oriented else None

    leaf = _head_leaf(motion, joints, frames, scale) if virtual_leaves else None
    if leaf is not None:
        start, end, leaf_present, turn = leaf
        starts, ends = torch.cat([starts, start[:, None]], 1), torch.cat([ends, end[:, None]], 1)
        present = torch.cat([present, leaf_present[:, None]], 1)
        sections = torch.cat([sections, scale * torch.tensor([HEAD_SECTION], dtype=torch.float64)])
        if oriented:
            turns = torch.cat([turns, turn[:, None]], 1)
            rest_bones = torch.cat([rest_bones, torch.tensor([HEAD_TOP], dtype=torch.float64)])
    return _from_bones(starts, ends, present, sections, turns, rest_bones)


def _head_leaf(motion: Motion, joints: Tensor, frames: Tensor | None, scale: float) -> tuple[Tensor, Tensor, Tensor, Tensor | None] | None:
    """Start (T, 3), end (T, 3), presence (T) and turn (T, 3, 3) of the bone from the head joint to the crown; None for a skeleton without head or neck."""
    names = motion.skeleton.names
    if "head" not in names or "neck" not in names:
        return None
    head, neck = names.index("head"), names.index("neck")
    start, seen = joints[:, head], motion.seen
    offset = scale * torch.tensor(HEAD_TOP, dtype=torch.float64)
    if frames is not None:
        return start, start + frames[:, head] @ offset, seen[:, head], frames[:, head]
    along = start - joints[:, neck]
    distance = along.norm(dim=-1, keepdim=True)
    end = start + offset.norm() * along / distance.clamp(min=1e-12)
    return start, end, seen[:, head] & seen[:, neck] & (distance[:, 0] >= _SHORTEST_BONE), None


def _from_bones(
    starts: Tensor, ends: Tensor, present: Tensor, sections: Tensor, turns: Tensor | None, rest_bones: Tensor | None
) -> Ellipsoids:
    """Ellipsoids on the bones from `starts` to `ends` (T, E, 3) with `sections` (E, 3); `turns` (T, E, 3, 3) carry `rest_bones` (E, 3)."""
    up = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    along = ends - starts
    lengths = along.norm(dim=-1)
    present = present & (lengths >= _SHORTEST_BONE) & (sections[:, 0] > 0)
    along = torch.where(present[..., None], along, up)
    lengths = torch.where(present, lengths, 1.0)
    centers = torch.where(present[..., None], (starts + ends) / 2, 0.0)
    if turns is None:
        rotation = align_vectors(up, along)
        across = sections[:, [0, 0]]
    else:
        frame = turns @ align_vectors(up, rest_bones)
        # A body whose bones point elsewhere than the rest skeleton's keeps its twist; its ellipsoids stay on its bones.
        rotation = align_vectors(frame[..., 1], along) @ frame
        across = sections[:, 1:]
    radii = torch.stack([across[:, 0].expand_as(lengths), lengths / 2 + _OVERLAP * sections[:, 0], across[:, 1].expand_as(lengths)], -1)
    return Ellipsoids(centers=centers, axes=rotation * radii.clamp(min=1e-6)[..., None, :], present=present)


def outline_bounds(ellipsoids: Ellipsoids, intrinsics: Tensor) -> tuple[Tensor, Tensor]:
    """Rectangle around the outline of each ellipsoid in a picture, from its dual conic K (c c^T - A A^T) K^T (Hartley & Zisserman, section 8.3).

    Args:
        ellipsoids: (..., E) in camera axes. intrinsics: (3, 3), or broadcasting with (..., E, 3, 3).

    Returns:
        bounds (..., E, 4) pixels (left, top, right, bottom); whole (..., E) true where an ellipsoid touches the plane of the camera, so that its outline
        is no ellipse and the bounds are infinite.
    """
    centers, intrinsics = ellipsoids.centers[..., None], intrinsics.double()
    conic = intrinsics @ (centers @ centers.mT - ellipsoids.axes @ ellipsoids.axes.mT) @ intrinsics.mT
    scale = conic[..., 2, 2]
    whole = scale <= 0
    scale = torch.where(whole, 1.0, scale)
    middle = torch.stack([conic[..., 0, 2], conic[..., 1, 2]], -1) / scale[..., None]
    extent = torch.stack([conic[..., 0, 0], conic[..., 1, 1]], -1) / scale[..., None]
    half = (middle.square() - extent).clamp(min=0).sqrt()
    half = torch.where(whole[..., None], torch.inf, half)
    return torch.cat([middle - half, middle + half], -1), whole

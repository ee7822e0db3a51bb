"""A body as ellipsoids, one for each bone, and the ellipsoids' outlines in a picture.

An ellipsoid is a centre c and axes A (3, 3) whose columns are the principal radii: X = c + A s with s on the unit sphere. All of it in float64.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from ..body.anthropometry import FINGERTIP, HEAD_SECTION, HEAD_TOP, bone_sections, known_by_smpl_names, thickness_scale
from ..geometry.kinematics import world_rotations
from ..geometry.rotations import align_vectors
from ..types import CameraRig, Motion

_SHORTEST_BONE = 0.005  # metres
_LAST_FINGER_JOINTS = tuple(f"{finger}3" for finger in ("thumb", "index", "middle", "ring", "pinky"))
_OVERLAP = 0.3  # an ellipsoid reaches this part of its round radius beyond each joint, which closes the pinches there


@dataclass(frozen=True, eq=False, kw_only=True)
class Ellipsoids:
    """centers: (..., E, 3) metres. axes: (..., E, 3, 3), columns are the principal radii. present: (..., E) bool. names: (E) the joint in which each
    bone ends, or what a virtual one is."""

    centers: Tensor
    axes: Tensor
    present: Tensor
    names: tuple[str, ...] = ()

    def seen_by(self, rig: CameraRig) -> "Ellipsoids":
        """In the axes of each camera: (V, ...) in front of every shape. Moving cameras take (T, E)."""
        own = self.present.dim() if rig.frames is None else 1
        pose = rig.world_to_camera.double().reshape(*rig.world_to_camera.shape[:-2], *(1,) * own, 3, 4)
        rotation = pose[..., :3]
        centers = (rotation @ self.centers[..., None])[..., 0] + pose[..., 3]
        return Ellipsoids(centers=centers, axes=rotation @ self.axes, present=self.present.expand(centers.shape[:-1]), names=self.names)

    def holding_the_camera(self) -> Tensor:
        """(...) true where the camera, in whose axes the ellipsoids are, is inside one of them."""
        inside = torch.linalg.solve(self.axes, self.centers[..., None])[..., 0].norm(dim=-1) <= 1
        return (inside & self.present).any(-1)

    def images(self) -> "Ellipsoids":
        """(V, T, E) as (V T, E)."""
        parts = {name: getattr(self, name).flatten(0, 1) for name in ("centers", "axes", "present")}
        return Ellipsoids(**parts, names=self.names)

    def __getitem__(self, part: slice) -> "Ellipsoids":
        return Ellipsoids(centers=self.centers[part], axes=self.axes[part], present=self.present[part], names=self.names)


@dataclass(frozen=True, eq=False)
class _Leaf:
    """A bone beyond the last joint: start, end (T, 3), present (T), section (3), and, where the motion has rotations, turn (T, 3, 3) of rest (3)."""

    name: str
    start: Tensor
    end: Tensor
    present: Tensor
    section: Tensor
    turn: Tensor | None
    rest: Tensor


def body_ellipsoids(
    motion: Motion, *, virtual_leaves: bool = True, fingertips: bool = False, radii: Tensor | Mapping[str, float] | None = None
) -> Ellipsoids:
    """One ellipsoid (T, E) for each bone, and for the head, which ends at its joint, one more up to the crown (`virtual_leaves`); likewise for the last
    joint of each finger, 22 mm long (`fingertips`).

    Sections follow `anthropometry`, or `radii` as there: round where the motion has no rotations, else with the two radii of the table, turned with the
    parent joint. A bone shorter than 5 mm or with a missing end is not present. In the axes of the motion, on the CPU.
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
    sections, turns = bone_sections(motion, scale=scale, radii=radii), frames[:, parent] if oriented else None

    names = [motion.skeleton.names[joint] for joint in child]
    leaves = list(_head_leaf(motion, joints, frames, scale)) if virtual_leaves else []
    leaves += _finger_leaves(motion, joints, frames, scale, dict(zip(child, sections, strict=True))) if fingertips else []
    if leaves:
        starts, ends, present = (
            torch.cat([part, torch.stack([getattr(leaf, name) for leaf in leaves], 1)], 1)
            for part, name in ((starts, "start"), (ends, "end"), (present, "present"))
        )
        sections = torch.cat([sections, torch.stack([leaf.section for leaf in leaves])])
        if oriented:
            turns = torch.cat([turns, torch.stack([leaf.turn for leaf in leaves], 1)], 1)
            rest_bones = torch.cat([rest_bones, torch.stack([leaf.rest for leaf in leaves])])
    return _from_bones(starts, ends, present, sections, turns, rest_bones, (*names, *(leaf.name for leaf in leaves)))


def _head_leaf(motion: Motion, joints: Tensor, frames: Tensor | None, scale: float) -> Iterator[_Leaf]:
    """The bone from the head joint to the crown; none for a skeleton without head or neck."""
    names = known_by_smpl_names(motion).skeleton.names
    if "head" not in names or "neck" not in names:
        return
    head, neck = names.index("head"), names.index("neck")
    start, seen = joints[:, head], motion.seen
    rest = torch.tensor(HEAD_TOP, dtype=torch.float64)
    offset, section = scale * rest, scale * torch.tensor(HEAD_SECTION, dtype=torch.float64)
    if frames is not None:
        yield _Leaf("crown", start, start + frames[:, head] @ offset, seen[:, head], section, frames[:, head], rest)
        return
    along = start - joints[:, neck]
    distance = along.norm(dim=-1, keepdim=True)
    end = start + offset.norm() * along / distance.clamp(min=1e-12)
    yield _Leaf("crown", start, end, seen[:, head] & seen[:, neck] & (distance[:, 0] >= _SHORTEST_BONE), section, None, rest)


def _finger_leaves(motion: Motion, joints: Tensor, frames: Tensor | None, scale: float, sections: dict[int, Tensor]) -> Iterator[_Leaf]:
    """The bones beyond the last joints of the fingers, as thick as the bones before them, and straight on where there are no rotations."""
    names, seen = known_by_smpl_names(motion).skeleton.names, motion.seen
    for last, name in enumerate(names):
        above = motion.skeleton.parents[last]
        if not name.endswith(_LAST_FINGER_JOINTS) or names[above] != f"{name[:-1]}2":
            continue
        start, along = joints[:, last], joints[:, last] - joints[:, above]
        rest, turn = torch.tensor([1.0, 0.0, 0.0], dtype=torch.float64), None
        if frames is not None:
            rest = torch.nn.functional.normalize((motion.skeleton.rest[last] - motion.skeleton.rest[above]).double(), dim=0)
            turn = frames[:, last]
            direction, present = turn @ rest, seen[:, last]
        else:
            length = along.norm(dim=-1, keepdim=True)
            direction, present = along / length.clamp(min=1e-12), seen[:, last] & seen[:, above] & (length[:, 0] > 1e-6)
        yield _Leaf(f"{name[:-1]}_tip", start, start + scale * FINGERTIP * direction, present, sections[last], turn, rest)


def _from_bones(
    starts: Tensor,
    ends: Tensor,
    present: Tensor,
    sections: Tensor,
    turns: Tensor | None,
    rest_bones: Tensor | None,
    names: tuple[str, ...],
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
    return Ellipsoids(centers=centers, axes=rotation * radii.clamp(min=1e-6)[..., None, :], present=present, names=names)


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

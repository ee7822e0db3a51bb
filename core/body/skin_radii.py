"""How thick the bones of a rig are, told by the skin that follows them."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..geometry.skinning import pose_meshes, rest_motion
from ..types import Rig, RigMesh
from .anthropometry import bone_sections

_SHARES = (0.5, 0.2)  # of a vertex, above which it counts for a joint: the second where the first leaves too few, as on coarse meshes
_FEWEST = 3  # vertices that tell a radius
_BEYOND = 0.25  # part of a bone beyond its ends that still counts as beside it


def skin_radii(rig: Rig, meshes: Sequence[RigMesh]) -> Tensor:
    """Radii (B) of the bones, in the order of `skeleton.bones`, for `render_bone_maps`: the median distance from the bone of the vertices beside it.

    A vertex counts for the joint that has more than half of it, and there for the nearest of the bones that begin at this joint. A bone with fewer than
    three such vertices is judged by those of which its joint has more than a fifth, and one without them is as thick as `anthropometry.bone_sections`
    makes it; but 0 where its joint has no part of any vertex, as of helpers that begin on the floor. Everything at rest, in the rig's units.
    """
    motion = rest_motion(rig)
    bones, radii = rig.skeleton.bones, bone_sections(motion)[:, 0].clone()
    if not bones:
        return radii
    skin = _skin(rig, meshes)
    has_skin = any(len(mesh.vertices) for mesh in meshes)
    joints = motion.joints[0].double()
    begins_at = torch.tensor([parent for _, parent in bones])
    starts, ends = joints[begins_at], joints[[child for child, _ in bones]]
    for joint in begins_at.unique().tolist():
        rows = (begins_at == joint).nonzero()[:, 0]
        points, shares = skin[joint]
        if has_skin and not len(points):
            radii[rows] = 0.0
            continue
        distance, from_line, beside = _from_bones(points, starts[rows], ends[rows])
        nearest = distance.argmin(1)
        for column, row in enumerate(rows.tolist()):
            for least in _SHARES:
                own = from_line[(shares > least) & (nearest == column) & beside[:, column], column]
                if len(own) >= _FEWEST:
                    radii[row] = own.median()
                    break
    return radii


def _skin(rig: Rig, meshes: Sequence[RigMesh]) -> list[tuple[Tensor, Tensor]]:
    """For each joint the vertices (P, 3), at rest, that follow it, and the share (P) that it has of each."""
    points, keys, weights = [torch.zeros(0, 3, dtype=torch.float64)], [torch.zeros(0, dtype=torch.int64)], [torch.zeros(0)]
    joints, total = len(rig.rest), sum(len(mesh.vertices) for mesh in meshes)
    for mesh, posed in zip(meshes, pose_meshes(rig, meshes), strict=True):
        vertices = sum(map(len, points)) + torch.arange(len(mesh.vertices))
        points.append(posed.vertices[0])
        keys.append((mesh.joints * total + vertices[:, None])[mesh.weights > 0])
        weights.append(mesh.weights[mesh.weights > 0].float())
    pairs, place = torch.cat(keys).unique(return_inverse=True)  # sorted by joint; a vertex may name one twice
    shares = torch.zeros(len(pairs)).index_add_(0, place, torch.cat(weights))
    counts = torch.bincount(pairs // max(total, 1), minlength=joints).tolist()
    return list(zip(torch.cat(points)[pairs % max(total, 1)].split(counts), shares.split(counts), strict=True))


def _from_bones(points: Tensor, starts: Tensor, ends: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Of points (N, 3) and bones from starts to ends (B, 3), each (N, B): the distance from the bone, that from its line, and whether they lie beside it."""
    along = ends - starts
    square = along.square().sum(-1)
    away = points[:, None] - starts
    place = (away * along).sum(-1) / square.clamp(min=torch.finfo(points.dtype).tiny)
    distance, from_line = ((away - part[..., None] * along).norm(dim=-1) for part in (place.clamp(0, 1), place))
    return distance, from_line, (place >= -_BEYOND) & (place <= 1 + _BEYOND) & (square > 0)


def radii_text(rig: Rig, radii: Tensor) -> str:
    """Radii (B) as `anthropometry.parse_radii` reads them; names that hold a separator are left out."""
    ends = [rig.skeleton.names[child] for child, _ in rig.skeleton.bones]
    entries = [f"{name} {float(radius):.4g}" for name, radius in zip(ends, radii, strict=True) if not set(name) & set(",;\n")]
    return ", ".join(entries)

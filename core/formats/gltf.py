"""Rigged glTF 2.0 characters: the node tree and the skin of a .glb or .gltf as a `Rig`."""

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..skeletons import mirror_pairs
from ..types import Rig, Skeleton
from .gltf_accessors import check_accessors, read_accessor
from .gltf_container import entry, indices, integer, items, listing, read_container, requires, short
from .quaternions import quat_xyzw_to_matrix
from .untrusted import naming
from .vrm import humanoid_bones

__all__ = [
    "inverse_bind_matrices",
    "joint_parents",
    "load_rig",
    "local_matrix",
    "node_parents",
    "read_accessor",
    "scene_nodes",
    "world_matrices",
]

_MAX_JOINTS = 4096
_MAX_ABOVE = 20_000  # joints and the nodes above them
_LARGEST = float(np.finfo(np.float32).max)
_UNIT = 0.02  # how far the length of a rotation quaternion may be from 1
_SHEAR = 1e-3  # cosine between the axes of a matrix, above which it is no translation, rotation and scale
_FLAT = 1e-6  # determinant of the axes over the product of their lengths, below which a joint counts as flattened


def load_rig(path: str | Path, *, skin: int | None = None) -> Rig:
    """Read the joints of a .glb, .gltf or .vrm with the rest pose of its nodes.

    Joints come in the order of the skins, moved only where a parent would follow its child. A joint whose parent node is no joint hangs on the
    nearest joint above it; several roots are allowed. Names are made unique; bones of a VRM have the names of their human bones. Missing inverse bind
    matrices are identities.

    Args:
        skin: which one; without it the joints of all skins that the scene shows, each node once, with the inverse bind matrix of the first.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, compressed, is no glTF 2.0, has no skin, or has flattened or sheared joints; it names the file.
    """
    path = Path(path)
    with naming(path):
        document, binary = read_container(path)
        if requires(document, "KHR_draco_mesh_compression"):
            raise ValueError(
                "its meshes are compressed (KHR_draco_mesh_compression): export it without compression, in Blender with Compression off"
            )
        check_accessors(document, binary)
        return _rig(document, binary, skin)


def _rig(document: dict[str, Any], binary: bytes, skin: int | None) -> Rig:
    parents = node_parents(document)
    _check_references(document)
    skins = _chosen_skins(document, skin)
    rows = {number: _skin_joints(document, number, len(parents)) for number in skins}
    nodes = list(dict.fromkeys(node for joints in rows.values() for node in joints))
    if len(nodes) > _MAX_JOINTS:
        raise ValueError(f"its {len(skins)} skins have {len(nodes)} joints, expected 1..{_MAX_JOINTS}: choose one of the skins")
    order = _parents_first(nodes, parents)
    worlds = world_matrices(document, order, parents)
    rest = np.stack([worlds[node] for node in order])
    bones, notes = humanoid_bones(document)
    names = _unique_names(document, order, bones)
    mirrored = [name for name, matrix in zip(names, rest, strict=True) if _is_mirrored(name, matrix)]
    if mirrored:
        notes = (*notes, f"{len(mirrored)} joints are mirrored by negative scales, the first is '{mirrored[0]}'")
    if len(skins) > 1:
        notes = (f"joints of {len(skins)} skins together", *notes)
    binds: dict[int, Tensor] = {}
    for number, joints in rows.items():
        matrices = inverse_bind_matrices(document, binary, number)
        binds |= {node: matrix for node, matrix in zip(joints, matrices, strict=True) if node not in binds}
    rest = torch.from_numpy(rest).float()
    skeleton = Skeleton(names=names, parents=joint_parents(order, parents), mirror=mirror_pairs(names), rest=rest[:, :3, 3].contiguous())
    return Rig(
        skeleton=skeleton, rest=rest, inverse_bind=torch.stack([binds[node] for node in order]), joint_nodes=tuple(order), document=document,
        binary=binary, notes=notes,
    )  # fmt: skip


def _chosen_skins(document: Mapping[str, Any], skin: int | None) -> list[int]:
    """One skin, or those that nodes of the scene wear; all where none is worn."""
    count = len(listing(document, "skins"))
    if not count:
        raise ValueError("it has no skin, so there are no joints to move: bind the mesh to an armature and export again")
    if skin is not None:
        if not 0 <= skin < count:
            raise ValueError(f"there is no skin {skin}: it has {count}, from 0")
        return [skin]
    nodes = items(document, "nodes")
    worn = sorted({nodes[node]["skin"] for node in scene_nodes(document) if "skin" in nodes[node]})
    return worn or list(range(count))


def scene_nodes(document: Mapping[str, Any]) -> list[int]:
    """Nodes of the scene that is shown, parents first; all nodes where there is no scene."""
    nodes, scenes = items(document, "nodes"), items(document, "scenes")
    if not scenes:
        return list(range(len(nodes)))
    found = list(scenes[document.get("scene", 0)].get("nodes", []))
    for node in found:  # grows; the nodes are a forest, but a scene may name a node and its parent
        found.extend(nodes[node].get("children", []))
        if len(found) > 2 * len(nodes):
            break
    return list(dict.fromkeys(found))


def _skin_joints(document: Mapping[str, Any], number: int, nodes: int) -> list[int]:
    owner, skin = f"skin {number}", entry(document, "skins", number)
    joints = indices(owner, skin, "joints", nodes)
    if not 0 < len(joints) <= _MAX_JOINTS:
        raise ValueError(f"{owner} has {len(joints)} joints, expected 1..{_MAX_JOINTS}")
    if "skeleton" in skin:
        integer(owner, skin, "skeleton", high=nodes)
    return joints


# --- node tree


def node_parents(document: Mapping[str, Any]) -> list[int]:
    """Parent of every node, -1 for a root; ValueError where the nodes are no forest."""
    nodes = items(document, "nodes")
    parents = [-1] * len(nodes)
    for number, node in enumerate(nodes):
        for child in indices(f"node {number}", node, "children", len(nodes)):
            if parents[child] >= 0:
                raise ValueError(f"node {child} is a child of both node {parents[child]} and node {number}")
            parents[child] = number
    settled = [False] * len(nodes)
    for number in range(len(nodes)):
        trail, at = set(), number
        while at >= 0 and not settled[at]:
            if at in trail:
                raise ValueError(f"node {at} is its own ancestor")
            trail.add(at)
            at = parents[at]
        for seen in trail:
            settled[seen] = True
    return parents


def _check_references(document: Mapping[str, Any]) -> None:
    """Indices from scenes and nodes to nodes, meshes and skins exist, and the list of animations can be added to."""
    nodes = items(document, "nodes")
    counts = {key: len(listing(document, plural)) for key, plural in (("mesh", "meshes"), ("skin", "skins"), ("camera", "cameras"))}
    for number, node in enumerate(nodes):
        for key, count in counts.items():
            if key in node:
                integer(f"node {number}", node, key, high=count)
    items(document, "animations")
    for number, scene in enumerate(items(document, "scenes")):
        indices(f"scene {number}", scene, "nodes", len(nodes))
    if "scene" in document:
        integer("the document", document, "scene", high=len(listing(document, "scenes")))


def _numbers(owner: str, node: Mapping, key: str, default: Sequence[float]) -> np.ndarray:
    value = node.get(key, default)
    fits = isinstance(value, (list, tuple)) and len(value) == len(default)
    if fits and all(isinstance(number, (int, float)) and not isinstance(number, bool) and abs(number) <= _LARGEST for number in value):
        return np.array(value, float)
    raise ValueError(f"{owner}: {key} is {short(value)}, expected {len(default)} finite numbers")


def local_matrix(document: Mapping[str, Any], number: int) -> np.ndarray:
    """(4, 4) float64 node to parent, from `matrix` or from translation, rotation and scale."""
    owner, node = f"node {number}", entry(document, "nodes", number)
    if "matrix" in node:
        if any(key in node for key in ("translation", "rotation", "scale")):
            raise ValueError(f"{owner} has both a matrix and a translation, rotation or scale")
        matrix = _numbers(owner, node, "matrix", [0.0] * 16).reshape(4, 4).T
        if np.abs(matrix[3] - [0, 0, 0, 1]).max() > 1e-6:
            raise ValueError(f"{owner}: the last row of its matrix is {matrix[3].tolist()}, expected 0, 0, 0, 1")
        axes = matrix[:3, :3] / np.maximum(np.linalg.norm(matrix[:3, :3], axis=0), np.finfo(float).tiny)
        if np.abs(np.triu(axes.T @ axes, 1)).max() > _SHEAR:
            raise ValueError(
                f"{owner}: its matrix is sheared, which is no translation, rotation and scale: apply the transforms and export again"
            )
        return matrix
    matrix = np.eye(4)
    if "rotation" in node:
        rotation = _numbers(owner, node, "rotation", [0.0, 0.0, 0.0, 1.0])
        if not abs(np.linalg.norm(rotation) - 1) < _UNIT:
            raise ValueError(f"{owner}: its rotation {rotation.tolist()} is no unit quaternion")
        matrix[:3, :3] = quat_xyzw_to_matrix(torch.from_numpy(rotation)).numpy()
    matrix[:3, :3] *= _numbers(owner, node, "scale", [1.0, 1.0, 1.0])
    matrix[:3, 3] = _numbers(owner, node, "translation", [0.0, 0.0, 0.0])
    return matrix


def world_matrices(document: Mapping[str, Any], wanted: Iterable[int], parents: Sequence[int]) -> dict[int, np.ndarray]:
    """(4, 4) float64 node to world, at rest, of the wanted nodes and of everything above them; -1 stands for the world."""
    worlds = {-1: np.eye(4)}
    for node in wanted:
        chain = []
        while node not in worlds:
            chain.append(node)
            node = parents[node]
        if len(worlds) + len(chain) > _MAX_ABOVE:
            raise ValueError(f"there are more than {_MAX_ABOVE} nodes above its joints")
        for below in reversed(chain):
            with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
                worlds[below] = worlds[parents[below]] @ local_matrix(document, below)
    return worlds


# --- joints


def _joints_above(joints: Sequence[int], parents: Sequence[int]) -> dict[int, int]:
    """Nearest joint above each joint, -1 where there is none."""
    known = set(joints)
    nearest: dict[int, int] = {}  # of joints and of the nodes between them
    for node in joints:
        trail, at = [node], parents[node]
        while at >= 0 and at not in known and at not in nearest:
            trail.append(at)
            at = parents[at]
        above = nearest[at] if at in nearest and at not in known else at
        nearest.update(dict.fromkeys(trail, above))
    return {node: nearest[node] for node in joints}


def joint_parents(joint_nodes: Sequence[int], parents: Sequence[int]) -> tuple[int, ...]:
    """Index of the nearest joint above each joint, -1 for roots, from the parents of all nodes."""
    rows = {node: row for row, node in enumerate(joint_nodes)}
    return tuple(rows.get(above, -1) for above in _joints_above(joint_nodes, parents).values())


def _parents_first(nodes: list[int], parents: list[int]) -> list[int]:
    """The joints in the order of the skin, each preceded by the joints above it."""
    above = _joints_above(nodes, parents)
    placed: dict[int, None] = {}
    for node in nodes:
        chain = []
        while node >= 0 and node not in placed:
            chain.append(node)
            node = above[node]
        placed.update(dict.fromkeys(reversed(chain)))
    return list(placed)


def _unique_names(document: Mapping, order: list[int], known: Mapping[int, str]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for node in order:
        name = known.get(node, entry(document, "nodes", node).get("name"))
        name = name.encode("utf-8", "replace").decode() if isinstance(name, str) and name.strip() else f"joint_{node}"
        if name in names:
            name = f"{name}_{node}"
            while name in names:
                name += "_"
        names[name] = None
    return tuple(names)


def _is_mirrored(name: str, matrix: np.ndarray) -> bool:
    """Whether a rest matrix mirrors; ValueError where it is not finite in float32 or flattens."""
    name = short(name)
    if not (np.abs(matrix) <= _LARGEST).all():
        raise ValueError(f"joint {name} rests at infinity: its nodes have numbers that are too large")
    axes = matrix[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not (lengths > np.finfo(np.float32).tiny).all() or abs(np.linalg.det(axes / lengths)) < _FLAT:
        raise ValueError(f"joint {name} is scaled to nothing or flattened in the rest pose: give it a scale of 1")
    return bool(np.linalg.det(axes / lengths) < 0)


def inverse_bind_matrices(document: Mapping, binary: bytes, number: int) -> Tensor:
    """(joints, 4, 4) of a skin, in its own order."""
    owner, skin = f"skin {number}", entry(document, "skins", number)
    count = len(listing(skin, "joints"))
    if "inverseBindMatrices" not in skin:
        return torch.eye(4).repeat(count, 1, 1)
    index = integer(owner, skin, "inverseBindMatrices", high=len(listing(document, "accessors")))
    accessor = entry(document, "accessors", index)
    if (accessor["type"], accessor["componentType"]) != ("MAT4", 5126) or accessor["count"] < count:
        raise ValueError(f"{owner}: accessor {index} is no float MAT4 for each of its {count} joints, so it holds no inverse bind matrices")
    matrices = read_accessor(document, binary, index)[:count]
    if not torch.isfinite(matrices).all() or (matrices[:, 3] - torch.tensor([0.0, 0.0, 0.0, 1.0])).abs().max() > 1e-3:
        raise ValueError(f"{owner}: its inverse bind matrices (accessor {index}) are not finite or not affine")
    return matrices.contiguous()

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
from .gltf_container import entry, indices, integer, items, listing, read_container, short
from .quaternions import quat_xyzw_to_matrix
from .untrusted import naming

__all__ = ["joint_parents", "load_rig", "local_matrix", "node_parents", "read_accessor", "world_matrices"]

_MAX_JOINTS = 4096
_MAX_ABOVE = 20_000  # joints and the nodes above them
_LARGEST = float(np.finfo(np.float32).max)
_UNIT = 0.02  # how far the length of a rotation quaternion may be from 1
_SHEAR = 1e-3  # cosine between the axes of a matrix, above which it is no translation, rotation and scale
_FLAT = 1e-6  # determinant of the axes over the product of their lengths, below which a joint counts as flattened


def load_rig(path: str | Path) -> Rig:
    """Read the first skin of a .glb or .gltf with the rest pose of its nodes.

    Joints come in the order of the skin, moved only where a parent would follow its child. A joint whose parent node is no joint hangs on the
    nearest joint above it; several roots are allowed. Names are made unique. Missing inverse bind matrices are identities.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, is no glTF 2.0, has no skin, or has mirrored, flattened or sheared joints; it names the file.
    """
    path = Path(path)
    with naming(path):
        document, binary = read_container(path)
        check_accessors(document, binary)
        return _rig(document, binary)


def _rig(document: dict[str, Any], binary: bytes) -> Rig:
    parents = node_parents(document)
    _check_references(document)
    if not listing(document, "skins"):
        raise ValueError("it has no skin, so there are no joints to move: bind the mesh to an armature and export again")
    skin = entry(document, "skins", 0)
    nodes = indices("skin 0", skin, "joints", len(parents))
    if not 0 < len(nodes) <= _MAX_JOINTS:
        raise ValueError(f"skin 0 has {len(nodes)} joints, expected 1..{_MAX_JOINTS}")
    if "skeleton" in skin:
        integer("skin 0", skin, "skeleton", high=len(parents))
    order = _parents_first(nodes, parents)
    worlds = world_matrices(document, order, parents)
    rest = np.stack([worlds[node] for node in order])
    names = _unique_names(document, order)
    for name, matrix in zip(names, rest, strict=True):
        _check_rest(name, matrix)
    rest = torch.from_numpy(rest).float()
    rows = {node: row for row, node in enumerate(nodes)}
    inverse_bind = _inverse_bind(document, binary, skin, len(nodes))[[rows[node] for node in order]]
    skeleton = Skeleton(names=names, parents=joint_parents(order, parents), mirror=mirror_pairs(names), rest=rest[:, :3, 3].contiguous())
    return Rig(skeleton=skeleton, rest=rest, inverse_bind=inverse_bind, joint_nodes=tuple(order), document=document, binary=binary)


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


def _unique_names(document: Mapping, order: list[int]) -> tuple[str, ...]:
    names: dict[str, None] = {}
    for node in order:
        name = entry(document, "nodes", node).get("name")
        name = name.encode("utf-8", "replace").decode() if isinstance(name, str) and name.strip() else f"joint_{node}"
        if name in names:
            name = f"{name}_{node}"
            while name in names:
                name += "_"
        names[name] = None
    return tuple(names)


def _check_rest(name: str, matrix: np.ndarray) -> None:
    """A rest matrix has to be finite in float32 and neither mirrored nor flattened."""
    name = short(name)
    if not (np.abs(matrix) <= _LARGEST).all():
        raise ValueError(f"joint {name} rests at infinity: its nodes have numbers that are too large")
    axes = matrix[:3, :3]
    lengths = np.linalg.norm(axes, axis=0)
    if not (lengths > np.finfo(np.float32).tiny).all() or abs(np.linalg.det(axes / lengths)) < _FLAT:
        raise ValueError(f"joint {name} is scaled to nothing or flattened in the rest pose: give it a scale of 1")
    if np.linalg.det(axes / lengths) < 0:
        raise ValueError(
            f"joint {name} is mirrored in the rest pose (negative scale), which no rotation can follow: apply the scale and export again"
        )


def _inverse_bind(document: Mapping, binary: bytes, skin: Mapping, count: int) -> Tensor:
    if "inverseBindMatrices" not in skin:
        return torch.eye(4).repeat(count, 1, 1)
    index = integer("skin 0", skin, "inverseBindMatrices", high=len(listing(document, "accessors")))
    accessor = entry(document, "accessors", index)
    if (accessor["type"], accessor["componentType"]) != ("MAT4", 5126) or accessor["count"] < count:
        raise ValueError(f"skin 0: accessor {index} is no float MAT4 for each of its {count} joints, so it holds no inverse bind matrices")
    matrices = read_accessor(document, binary, index)[:count]
    if not torch.isfinite(matrices).all() or (matrices[:, 3] - torch.tensor([0.0, 0.0, 0.0, 1.0])).abs().max() > 1e-3:
        raise ValueError(f"skin 0: its inverse bind matrices (accessor {index}) are not finite or not affine")
    return matrices.contiguous()

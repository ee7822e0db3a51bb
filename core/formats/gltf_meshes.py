"""The triangles of a rig: geometry, skin weights and base colours of glTF meshes (specification, sections 3.7 and 3.9)."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..types import Rig, RigMesh
from .gltf import inverse_bind_matrices, node_parents, scene_nodes, world_matrices
from .gltf_accessors import read_accessor
from .gltf_container import entry, indices, integer, items, listing, short
from .gltf_materials import Materials

_MOST_NUMBERS = 1 << 26  # read from accessors for all meshes together
_SETS = 2  # JOINTS_0 and JOINTS_1, four joints each
_TRIANGLES, _STRIP, _FAN = 4, 5, 6


def load_meshes(rig: Rig) -> tuple[RigMesh, ...]:
    """The triangles that the scene of a rig shows, one mesh for each primitive and node, in the order of the nodes.

    Skinned meshes move with their joints, other meshes with the joint at or above their node, alone. A mesh of a skin that the rig was read without
    is left out where its joints are not among the rig's. Points and lines are left out. Weights are normalised; a vertex without any follows its first
    joint. Morph targets stay offsets.

    Raises:
        ValueError: indices or sizes that do not fit, more than 64 million numbers, or a picture of an unreasonable size.
    """
    source = _Source(rig)
    found = [
        mesh
        for node in sorted(scene_nodes(rig.document))
        if "mesh" in entry(rig.document, "nodes", node)
        for mesh in source.node_meshes(node)
    ]
    return tuple(found)


def skin_shares(rig: Rig, meshes: tuple[RigMesh, ...]) -> Tensor:
    """(J) vertices that follow each joint, counted by their weights; 0 for helper bones, which carry nothing themselves."""
    shares = torch.zeros(len(rig.joint_nodes), dtype=torch.float64)
    for mesh in meshes:
        shares.index_add_(0, mesh.joints.reshape(-1), mesh.weights.reshape(-1).double())
    return shares


@dataclass
class _Source:
    """A rig while its meshes are read; what several of them need is read once."""

    rig: Rig
    budget: int = _MOST_NUMBERS
    numbers: dict[int, Tensor] = field(default_factory=dict)

    def __post_init__(self):
        self.document, self.parents = self.rig.document, node_parents(self.rig.document)
        self.rows = {node: joint for joint, node in enumerate(self.rig.joint_nodes)}
        self.materials = Materials(self.rig.document, self.rig.binary)
        self.skins: dict[int, tuple[np.ndarray, Tensor]] = {}

    def spend(self, numbers: int) -> None:
        """Count what is read and made; many small entries of a file may name the same large accessor."""
        self.budget -= numbers
        if self.budget < 0:
            raise ValueError(f"its meshes have more than {_MOST_NUMBERS:,} numbers: export a simpler character")

    def read(self, owner: str, index: Any, width: int) -> Tensor:
        """(N, width) of an accessor, (N) for width 1."""
        if not isinstance(index, int) or isinstance(index, bool):
            raise ValueError(f"{owner} is {short(index)}, expected an accessor")
        if index not in self.numbers:
            accessor = entry(self.document, "accessors", index)
            size = {"SCALAR": 1, "VEC2": 2, "VEC3": 3, "VEC4": 4}.get(accessor["type"], 16)
            self.spend(accessor["count"] * size)
            self.numbers[index] = read_accessor(self.document, self.rig.binary, index)
        values = self.numbers[index]
        if values.shape[1:] != ((width,) if width > 1 else ()):
            raise ValueError(f"{owner}: accessor {index} has elements of shape {tuple(values.shape[1:])}, expected {width} numbers")
        return values

    def node_meshes(self, node: int) -> list[RigMesh]:
        """One mesh for each primitive with triangles."""
        item = entry(self.document, "nodes", node)
        number = integer(f"node {node}", item, "mesh", high=len(listing(self.document, "meshes")))
        mesh = entry(self.document, "meshes", number)
        skin = integer(f"node {node}", item, "skin", high=len(listing(self.document, "skins"))) if "skin" in item else None
        weights = item.get("weights", mesh.get("weights", []))
        self.spend(16 * len(self.rows))
        found = []
        for place, primitive in enumerate(items(mesh, "primitives")):
            owner = f"mesh {number}, primitive {place}"
            faces = self._faces(owner, primitive)
            if faces is not None and len(faces):
                self.spend(faces.numel())
                one = self._mesh(owner, primitive, faces, node, skin, weights)
                found += [] if one is None else [one]
        return found

    def _faces(self, owner: str, primitive: Mapping) -> Tensor | None:
        mode = primitive.get("mode", _TRIANGLES)
        if mode not in (_TRIANGLES, _STRIP, _FAN):
            return None
        if "indices" in primitive:
            corners = self.read(f"{owner}, indices", primitive["indices"], 1)
            if corners.is_floating_point():
                raise ValueError(f"{owner}: its indices are no whole numbers")
        else:
            corners = torch.arange(len(self.read(f"{owner}, POSITION", _attributes(owner, primitive).get("POSITION"), 3)))
        return triangles(corners, mode)

    def _mesh(self, owner: str, primitive: Mapping, faces: Tensor, node: int, skin: int | None, weights: Any) -> RigMesh | None:
        attributes = _attributes(owner, primitive)
        vertices = self.read(f"{owner}, POSITION", attributes.get("POSITION"), 3).float()
        count = len(vertices)
        self.spend(16 * count)
        if int(faces.max()) >= count or int(faces.min()) < 0:
            raise ValueError(f"{owner}: its indices reach {int(faces.max())}, it has {count} vertices")

        def optional(name: str, width: int) -> Tensor | None:
            if name not in attributes:
                return None
            values = self.read(f"{owner}, {name}", attributes[name], width)
            if len(values) != count:
                raise ValueError(f"{owner}: {name} has {len(values)} entries, POSITION {count}")
            return values

        carried = self._rigid(node, count) if skin is None else self._skinned(owner, skin, optional, count)
        if carried is None:
            return None
        look, uv = self.materials.look(owner, primitive, optional)
        normals, colors = optional("NORMAL", 3), self._colors(owner, attributes, optional)
        if not torch.isfinite(vertices).all():
            raise ValueError(f"{owner}: POSITION has NaN or infinite values")
        morphs = self._morphs(owner, primitive, count)
        name = entry(self.document, "nodes", node).get("name")
        world = world_matrices(self.document, [node], self.parents)[node]
        joints, shares, binds = carried
        return RigMesh(
            vertices=vertices, faces=faces, joints=joints, weights=shares, inverse_bind=binds, node_to_world=torch.from_numpy(world).float(),
            morphs=morphs, morph_weights=_morph_weights(weights, len(morphs)), node=node, name=name if isinstance(name, str) else f"node_{node}",
            normals=None if normals is None else normals.float(), colors=colors, uv=uv, **look,
        )  # fmt: skip

    def _colors(self, owner: str, attributes: Mapping, optional: Any) -> Tensor | None:
        if "COLOR_0" not in attributes:
            return None
        kind = entry(self.document, "accessors", integer(owner, attributes, "COLOR_0")).get("type")
        colors = optional("COLOR_0", 3 if kind == "VEC3" else 4).float().nan_to_num().clamp(0, 1)
        return torch.cat([colors, torch.ones(len(colors), 4 - colors.shape[1])], 1)

    def _morphs(self, owner: str, primitive: Mapping, count: int) -> Tensor:
        """(P, N, 3); targets that move no vertices are zeros."""
        offsets = []
        for number, target in enumerate(items(primitive, "targets")):
            self.spend(3 * count)
            offset = torch.zeros(count, 3)
            if "POSITION" in target:
                offset = self.read(f"{owner}, target {number}", target["POSITION"], 3).float()
            if len(offset) != count or not torch.isfinite(offset).all():
                raise ValueError(f"{owner}: target {number} has {len(offset)} entries, POSITION {count}; both finite")
            offsets.append(offset)
        return torch.stack(offsets) if offsets else torch.zeros(0, count, 3)

    # --- what moves a mesh

    def _rigid(self, node: int, count: int) -> tuple[Tensor, Tensor, Tensor]:
        """The joint at or above a node moves the mesh as a whole."""
        binds, above = torch.eye(4).repeat(len(self.rows), 1, 1), node
        while above >= 0 and above not in self.rows:
            above = self.parents[above]
        if above < 0:
            return torch.zeros(count, 0, dtype=torch.int64), torch.zeros(count, 0), binds
        worlds = world_matrices(self.document, [node], self.parents)
        binds[self.rows[above]] = torch.from_numpy(np.linalg.solve(worlds[above], worlds[node])).float()
        return torch.full((count, 1), self.rows[above]), torch.ones(count, 1), binds

    def _skin(self, number: int) -> tuple[np.ndarray, Tensor]:
        """For each joint of a skin its row in the rig, -1 where there is none; inverse bind matrices (J, 4, 4) of the rig's joints."""
        if number not in self.skins:
            joints = indices(f"skin {number}", entry(self.document, "skins", number), "joints", len(self.parents))
            rows = np.array([self.rows.get(node, -1) for node in joints], np.int64)
            matrices, binds = inverse_bind_matrices(self.document, self.rig.binary, number), torch.eye(4).repeat(len(self.rows), 1, 1)
            for row, matrix in zip(rows.tolist(), matrices, strict=True):
                if row >= 0:
                    binds[row] = matrix
            self.skins[number] = rows, binds
        return self.skins[number]

    def _skinned(self, owner: str, skin: int, optional: Any, count: int) -> tuple[Tensor, Tensor, Tensor] | None:
        rows, binds = self._skin(skin)
        pairs = [(optional(f"JOINTS_{n}", 4), optional(f"WEIGHTS_{n}", 4)) for n in range(_SETS)]
        pairs = [(joints, shares) for joints, shares in pairs if joints is not None and shares is not None]
        if not pairs:
            raise ValueError(f"{owner} wears skin {skin} but has no JOINTS_0 and WEIGHTS_0: bind it again, or take the skin away")
        joints, shares = torch.cat([pair[0] for pair in pairs], 1), torch.cat([pair[1].float() for pair in pairs], 1)
        if joints.is_floating_point() or not torch.isfinite(shares).all():
            raise ValueError(f"{owner}: its joints are no whole numbers, or its weights not finite")
        shares = shares.clamp(min=0)
        strongest = joints.gather(1, shares.argmax(1, keepdim=True))
        joints = torch.where(shares > 0, joints, strongest)  # fillers may point anywhere
        if not 0 <= int(joints.min()) <= int(joints.max()) < len(rows):
            raise ValueError(f"{owner}: its vertices follow joint {int(joints.max())}, skin {skin} has {len(rows)}")
        carriers = torch.from_numpy(rows)[joints]
        if (carriers < 0).any():
            return None
        total = shares.sum(1, keepdim=True)
        first = torch.zeros_like(shares)
        first[:, 0] = 1.0
        return carriers, torch.where(total > 0, shares / total.clamp(min=torch.finfo(torch.float32).tiny), first), binds


def _attributes(owner: str, primitive: Mapping) -> Mapping:
    attributes = primitive.get("attributes")
    if not isinstance(attributes, Mapping) or "POSITION" not in attributes:
        raise ValueError(f"{owner} has no POSITION")
    return attributes


def _morph_weights(weights: Any, count: int) -> Tensor:
    """(P) weights at rest, 0 where they are missing."""
    given = weights if isinstance(weights, list) else []
    fits = [float(w) if isinstance(w, (int, float)) and abs(w) < 1e6 else 0.0 for w in given[:count]]
    return torch.tensor(fits + [0.0] * (count - len(fits)))


def triangles(corners: Tensor, mode: int) -> Tensor:
    """Faces (M, 3) from the indices (N) of triangles, a strip (mode 5) or a fan (mode 6), all wound alike; what is left over is dropped."""
    if mode == _TRIANGLES:
        return corners[: len(corners) // 3 * 3].reshape(-1, 3)
    if len(corners) < 3:
        return corners.new_zeros(0, 3)
    first, second, third = corners[:-2], corners[1:-1], corners[2:]
    if mode == _FAN:
        return torch.stack([corners[:1].expand(len(second)), second, third], 1)
    odd = (torch.arange(len(first)) % 2).bool()
    return torch.stack([first, torch.where(odd, third, second), torch.where(odd, second, third)], 1)

"""Characters, their meshes and what moves them."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ..shapes import check_shapes
from .checks import check_finite, check_fps, on_cpu
from .motion import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class Rig:
    """A parsed, validated glTF character.

    skeleton: its joints with rest positions. rest: (J, 4, 4) joint to world in the rest pose of the nodes. inverse_bind: (J, 4, 4).
    joint_nodes: (J) glTF node of each joint. document: the glTF JSON. binary: the binary chunk. Both are kept as they were read.
    notes: what was assumed where the file was read.
    """

    skeleton: Skeleton
    rest: Tensor
    inverse_bind: Tensor
    joint_nodes: tuple[int, ...]
    document: Mapping[str, Any]
    binary: bytes
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        check_shapes("Rig", skeleton=(len(self.skeleton.names), "J"), rest=(self.rest, "J 4 4"), inverse_bind=(self.inverse_bind, "J 4 4"))


@dataclass(frozen=True, eq=False, kw_only=True)
class RigMesh:
    """Triangles of a rig: one primitive of one mesh, where one node shows it.

    vertices: (N, 3) in the mesh's own space. faces: (M, 3) int64, counter-clockwise from outside. normals: (N, 3) or None.
    joints, weights: (N, K) joints of the rig and their shares, which sum to 1; (N, 0) where nothing moves the mesh.
    inverse_bind: (J, 4, 4) from the mesh's space to that of each joint; those of the mesh's own skin, which may differ from the rig's.
    node_to_world: (4, 4) of the node at rest; it places meshes that nothing moves, skins ignore it.
    colors: (N, 4) linear, 0..1, or None. uv: (N, 2) from the upper left corner, or None. texture: (h, w, 4) uint8 sRGB and alpha, or None.
    base_color: (4) linear, times the others. wrap: "repeat", "clamp" or "mirror" along u and v. alpha_cutoff: alpha below which nothing is seen, None for
    opaque meshes. morphs: (P, N, 3) offsets of the vertices; morph_weights: (P) at rest.
    """

    vertices: Tensor
    faces: Tensor
    joints: Tensor
    weights: Tensor
    inverse_bind: Tensor
    node_to_world: Tensor
    base_color: Tensor
    morphs: Tensor
    morph_weights: Tensor
    node: int
    name: str
    normals: Tensor | None = None
    colors: Tensor | None = None
    uv: Tensor | None = None
    texture: Tensor | None = None
    wrap: tuple[str, str] = ("repeat", "repeat")
    alpha_cutoff: float | None = None
    double_sided: bool = False
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        sizes = check_shapes(
            "RigMesh", vertices=(self.vertices, "N 3"), faces=(self.faces, "M 3"), joints=(self.joints, "N K"), weights=(self.weights, "N K"),
            inverse_bind=(self.inverse_bind, "J 4 4"), node_to_world=(self.node_to_world, "4 4"), normals=(self.normals, "N 3"),
            colors=(self.colors, "N 4"), uv=(self.uv, "N 2"), texture=(self.texture, "h w 4"), base_color=(self.base_color, "4"),
            morphs=(self.morphs, "P N 3"), morph_weights=(self.morph_weights, "P"),
        )  # fmt: skip
        for name, most in (("faces", sizes["N"]), ("joints", sizes["J"])):
            table = getattr(self, name)
            if table.numel() and not 0 <= int(table.min()) <= int(table.max()) < most:
                raise ValueError(f"RigMesh: {name} name entries {int(table.min())} to {int(table.max())}, there are {most}")
        check_finite("RigMesh", vertices=self.vertices, weights=self.weights, morphs=self.morphs, uv=self.uv)


@dataclass(frozen=True, eq=False, kw_only=True)
class Animation:
    """Rotations that move a skeleton or a rig.

    rotations: (T, J, 3, 3) local. On a Skeleton: relative to the rest pose (identity = rest). On a Rig: in the rig's own local frames.
    translation: (T, 3) metres, position of the first root joint. residual: (T, J) metres between the joints asked for and those reached, or None.
    placed: (P) joints, other than the first root, that stand at `places` (T, P, 3) metres in the world instead of where their parent carries them: further
    roots that move by themselves, hips that bob above a root on the floor. Roots that are not among them keep their rest distance from the first.
    notes: what was left out where the animation was made.
    """

    rotations: Tensor
    translation: Tensor
    fps: float
    rig: Rig | Skeleton
    residual: Tensor | None = None
    placed: tuple[int, ...] = ()
    places: Tensor | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        object.__setattr__(self, "placed", tuple(self.placed))
        sizes = check_shapes(
            "Animation", rotations=(self.rotations, "T J 3 3"), translation=(self.translation, "T 3"), residual=(self.residual, "T J"),
            places=(self.places, "T P 3"),
        )  # fmt: skip
        if sizes["T"] == 0:
            raise ValueError("Animation: it has no frames; expected at least 1")
        if sizes["J"] != len(self.skeleton.names):
            raise ValueError(f"Animation: {sizes['J']} joints, but its skeleton has {len(self.skeleton.names)}")
        if self.skeleton.rest is None:
            raise ValueError("Animation: its skeleton has no rest positions")
        if sizes.get("P", 0) != len(self.placed):
            raise ValueError(f"Animation: {len(self.placed)} joints are placed, but there are places for {sizes.get('P', 0)}")
        if len(set(self.placed)) != len(self.placed) or not all(0 < joint < sizes["J"] for joint in self.placed):
            raise ValueError(f"Animation: placed is {self.placed}, expected different joints from 1 to {sizes['J'] - 1}")
        check_finite("Animation", rotations=self.rotations, translation=self.translation, places=self.places)
        check_fps("Animation", self.fps)

    @property
    def skeleton(self) -> Skeleton:
        """The joint tree, also of a rig."""
        return self.rig.skeleton if isinstance(self.rig, Rig) else self.rig

    def cpu(self) -> "Animation":
        """The animation in the memory of the CPU, without gradients."""
        return on_cpu(self)

"""Pictures of bodies that can be measured."""

from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import check_shapes
from .cameras import Keypoints
from .motion import Skeleton


@dataclass(frozen=True, eq=False, kw_only=True)
class EdgeSamples:
    """What S points inside a pixel see, of the N pixels where they do not all see the part that its centre sees: the soft edges of pictures.

    index: (N) pixel in (V, T, H, W) flattened, ascending. depth: (N, S) metres, 0 on the background. normal: (N, S, 3). ids: (N, S) int16, -1 on the
    background.
    """

    index: Tensor
    depth: Tensor
    normal: Tensor
    ids: Tensor

    def __post_init__(self):
        check_shapes(
            "EdgeSamples", index=(self.index, "N"), depth=(self.depth, "N S"), normal=(self.normal, "N S 3"), ids=(self.ids, "N S")
        )


@dataclass(frozen=True, eq=False, kw_only=True)
class BoneMaps:
    """Ellipsoid bodies seen by V cameras, at the centre of every pixel.

    depth: (V, T, H, W) metres from the camera centre, 0 on the background. normal: (V, T, H, W, 3) unit vectors in camera axes, 0 on the background.
    mask: (V, T, H, W) bool. root_distance: (V) metres from each camera to the root joint of frame 0, the middle of the depth encoding, or None.
    ids: (V, T, H, W) int16, the ellipsoid that is seen, -1 on the background, or None. parts: for each person the names of their ellipsoids; ids count
    through those of the first person, then of the second, and so on. edges: what pictures need for soft edges, or None for hard ones.
    notes: views that show nobody, cameras inside a body.
    """

    depth: Tensor
    normal: Tensor
    mask: Tensor
    root_distance: Tensor | None = None
    ids: Tensor | None = None
    parts: tuple[tuple[str, ...], ...] = ()
    edges: EdgeSamples | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        check_shapes(
            "BoneMaps", depth=(self.depth, "V T H W"), normal=(self.normal, "V T H W 3"), mask=(self.mask, "V T H W"),
            root_distance=(self.root_distance, "V"), ids=(self.ids, "V T H W"),
        )  # fmt: skip
        if self.mask.dtype != torch.bool:
            raise ValueError(f"BoneMaps: mask is {self.mask.dtype}, expected bool")
        if self.ids is not None and self.ids.dtype != torch.int16:
            raise ValueError(f"BoneMaps: ids are {self.ids.dtype}, expected int16")
        object.__setattr__(self, "parts", tuple(tuple(names) for names in self.parts))

    @property
    def people(self) -> int:
        """How many bodies the ids tell apart; 1 where they tell none."""
        return max(1, len(self.parts))


@dataclass(frozen=True, eq=False, kw_only=True)
class PoseMaps:
    """Joints drawn as coloured discs over grey bones, seen by V cameras.

    images: (V, T, H, W, 3) in 0..1. palette: (J, 3) uint8, the colour of each joint. keypoints: where the joints were drawn, or were read, or None.
    radius, bone_width: pixels. skeleton: whose joints they are, or None. detail: crowded joints drawn apart and larger, or None; the maps themselves leave
    these out, but for those that carry them.
    """

    images: Tensor
    palette: Tensor
    keypoints: Keypoints | None = None
    radius: float = 5.0
    bone_width: float = 5.0
    skeleton: Skeleton | None = None
    detail: "DetailMaps | None" = None

    def __post_init__(self):
        joints = None if self.skeleton is None else len(self.skeleton.names)
        check_shapes("PoseMaps", images=(self.images, "V T H W 3"), palette=(self.palette, "J 3"), skeleton=(joints, "J"))
        if self.palette.dtype != torch.uint8:
            raise ValueError(f"PoseMaps: palette is {self.palette.dtype}, expected uint8")


@dataclass(frozen=True, eq=False, kw_only=True)
class DetailMaps:
    """Groups of crowded joints, each drawn larger in a tile of its own around the joint that carries it, whose place is the middle of the tile.

    images: (V, T, H, W, 3) in 0..1, tiles in rows. joints: for each group its joints, the first the one in the middle. tiles: (rows, columns).
    palettes: for each group (K, 3) uint8. magnification: of distances between joints. radius: pixels of these pictures.
    """

    images: Tensor
    joints: tuple[tuple[int, ...], ...]
    palettes: tuple[Tensor, ...]
    tiles: tuple[int, int]
    magnification: float
    radius: float = 5.0

    def __post_init__(self):
        check_shapes("DetailMaps", images=(self.images, "V T H W 3"))
        if not self.joints or len(self.joints) != len(self.palettes) or len(self.joints) > self.tiles[0] * self.tiles[1]:
            raise ValueError(
                f"DetailMaps: {len(self.joints)} groups, {len(self.palettes)} palettes and {self.tiles} tiles; expected one of each"
            )

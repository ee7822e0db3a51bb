"""The values that travel between nodes: frozen, checked where they are made, never changed in place.

Units and axes are those of `core/__init__.py`. Two values are equal only if they are the same object.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields, replace
from enum import Enum
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from .shapes import check_shapes

if TYPE_CHECKING:
    from .cues.similarity import Similarity

ImageSize = tuple[int, int]


class Frame(Enum):
    """The axes of a motion: WORLD (Y up, a character at rest faces +Z) or CAMERA (OpenCV: x right, y down, z forward)."""

    WORLD = "world"
    CAMERA = "camera"


def _check_image_size(owner: str, image_size: ImageSize) -> None:
    if len(image_size) != 2 or not all(isinstance(side, int) and side > 0 for side in image_size):
        raise ValueError(f"{owner}: image_size is {image_size}, expected (height, width) in whole pixels above 0")


def _check_fps(owner: str, fps: float) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"{owner}: fps is {fps}, expected a finite number above 0")


def _check_finite(owner: str, **arrays: Tensor | None) -> None:
    for name, array in arrays.items():
        if array is not None and not torch.isfinite(array).all():
            raise ValueError(f"{owner}: {name} has NaN or infinite values")


def _on_cpu(value: Any) -> Any:
    """A dataclass with its own tensors on the CPU and without gradients; itself where they are."""
    tensors = {field.name: held for field in fields(value) if isinstance(held := getattr(value, field.name), Tensor)}
    if all(held.device.type == "cpu" and not held.requires_grad for held in tensors.values()):
        return value
    return replace(value, **{name: held.detach().cpu() for name, held in tensors.items()})


@dataclass(frozen=True, eq=False, kw_only=True)
class Skeleton:
    """A joint tree.

    names: (J) unique. parents: (J) index of the parent, -1 for a root; parents come before their children.
    mirror: (J) index of the joint on the other side (itself on the midline). rest: (J, 3) metres in WORLD axes, or None.
    """

    names: tuple[str, ...]
    parents: tuple[int, ...]
    mirror: tuple[int, ...]
    rest: Tensor | None = None

    def __post_init__(self):
        for name in ("names", "parents", "mirror"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        count = len(self.names)
        if count == 0 or len(set(self.names)) != count:
            raise ValueError(f"Skeleton: {count} names, {len(set(self.names))} of them different; expected one name for each joint")
        if len(self.parents) != count or not all(-1 <= parent < joint for joint, parent in enumerate(self.parents)):
            raise ValueError(f"Skeleton: parents {self.parents} do not fit {count} joints: each is -1 or an earlier joint")
        if sorted(self.mirror) != list(range(count)) or any(self.mirror[other] != joint for joint, other in enumerate(self.mirror)):
            raise ValueError("Skeleton: mirror must pair the joints: mirror[mirror[j]] == j for each of them")
        check_shapes("Skeleton", names=(count, "J"), rest=(self.rest, "J 3"))
        _check_finite("Skeleton", rest=self.rest)

    @property
    def bones(self) -> tuple[tuple[int, int], ...]:
        """(child, parent) of every joint that has a parent."""
        return tuple((child, parent) for child, parent in enumerate(self.parents) if parent >= 0)

    @property
    def roots(self) -> tuple[int, ...]:
        """Joints without a parent; the first is joint 0."""
        return tuple(joint for joint, parent in enumerate(self.parents) if parent < 0)

    @property
    def children(self) -> tuple[tuple[int, ...], ...]:
        """(J) the joints below each joint."""
        below: list[list[int]] = [[] for _ in self.names]
        for child, parent in self.bones:
            below[parent].append(child)
        return tuple(map(tuple, below))

    @property
    def leaves(self) -> tuple[int, ...]:
        """Joints that no joint hangs on: nothing shows how they are turned."""
        carrying = set(self.parents)
        return tuple(joint for joint in range(len(self.names)) if joint not in carrying)

    def index(self, name: str) -> int:
        """Index of the joint called `name`; ValueError lists the names if there is none."""
        if name not in self.names:
            raise ValueError(f"the skeleton has no joint '{name}': it has {', '.join(self.names)}")
        return self.names.index(name)


@dataclass(frozen=True, eq=False, kw_only=True)
class Motion:
    """Joints of one person over time.

    joints: (T, J, 3) metres, NaN only where the confidence is 0. confidence: (T, J) in 0..1.
    rotations: (T, J, 3, 3) local, relative to the parent and to the rest pose (identity = rest). translation: (T, 3) metres,
    position of the root joint. shape: (10) SMPL betas. intrinsics: (3, 3) pixels, with image_size (H, W), of the camera that saw the motion.
    notes: what was assumed where the motion was made ("30 fps assumed: the file has none").
    """

    joints: Tensor
    confidence: Tensor
    skeleton: Skeleton
    fps: float
    frame: Frame
    rotations: Tensor | None = None
    translation: Tensor | None = None
    shape: Tensor | None = None
    intrinsics: Tensor | None = None
    image_size: ImageSize | None = None
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        sizes = check_shapes(
            "Motion", joints=(self.joints, "T J 3"), confidence=(self.confidence, "T J"), rotations=(self.rotations, "T J 3 3"),
            translation=(self.translation, "T 3"), shape=(self.shape, "10"), intrinsics=(self.intrinsics, "3 3"),
        )  # fmt: skip
        if sizes["T"] == 0:
            raise ValueError("Motion: it has no frames; expected at least 1")
        if sizes["J"] != len(self.skeleton.names):
            raise ValueError(f"Motion: {sizes['J']} joints, but its skeleton has {len(self.skeleton.names)}")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("Motion: confidence must lie in 0..1")
        if not (torch.isfinite(self.joints).all(-1) | (self.confidence == 0)).all():
            raise ValueError(
                "Motion: joints have NaN or infinite values where the confidence is above 0: set it to 0 where a joint is missing"
            )
        _check_finite("Motion", rotations=self.rotations, translation=self.translation, shape=self.shape, intrinsics=self.intrinsics)
        _check_fps("Motion", self.fps)
        if not isinstance(self.frame, Frame):
            raise ValueError(f"Motion: frame is {self.frame!r}, expected Frame.WORLD or Frame.CAMERA")
        if (self.intrinsics is None) != (self.image_size is None):
            raise ValueError("Motion: intrinsics and image_size come together")
        if self.image_size is not None:
            _check_image_size("Motion", self.image_size)

    @property
    def frames(self) -> int:
        """T."""
        return self.joints.shape[0]

    @property
    def seen(self) -> Tensor:
        """(T, J) true where a joint is present."""
        return self.confidence > 0

    def take(self, frames: Sequence[int] | Tensor | slice) -> "Motion":
        """The frames at these indices, in their order; one may come several times."""
        timed = {name: getattr(self, name) for name in ("joints", "confidence", "rotations", "translation")}
        return replace(self, **{name: None if track is None else track[frames] for name, track in timed.items()})

    def cut(self, start: int, stop: int) -> "Motion":
        """Frames `start` up to, but not including, `stop`."""
        return self.take(slice(start, stop))

    def cpu(self) -> "Motion":
        """The motion in the memory of the CPU, without gradients: what files and pictures are made of."""
        return _on_cpu(self)


@dataclass(frozen=True, eq=False, kw_only=True)
class CameraRig:
    """V pinhole cameras that stand still, or move over T frames.

    intrinsics: (V, 3, 3) pixels. world_to_camera: (V, 3, 4), OpenCV axes, X_cam = R X_world + t. Moving cameras have an axis T after V in both.
    image_size: (H, W) of every view. closed: the views form a circle.
    """

    intrinsics: Tensor
    world_to_camera: Tensor
    image_size: ImageSize
    closed: bool = False

    def __post_init__(self):
        moving = isinstance(self.intrinsics, Tensor) and self.intrinsics.dim() == 4
        axes = "V T" if moving else "V"
        sizes = check_shapes(
            "CameraRig", intrinsics=(self.intrinsics, f"{axes} 3 3"), world_to_camera=(self.world_to_camera, f"{axes} 3 4")
        )
        if sizes["V"] == 0:
            raise ValueError("CameraRig: it has no views; expected at least 1")
        if moving and sizes["T"] == 0:
            raise ValueError("CameraRig: it moves over no frames; expected at least 1, or no axis T for cameras that stand still")
        _check_finite("CameraRig", intrinsics=self.intrinsics, world_to_camera=self.world_to_camera)
        _check_image_size("CameraRig", self.image_size)
        if not (self.intrinsics[..., [0, 1], [0, 1]] > 0).all():
            raise ValueError("CameraRig: focal lengths must be above 0")

    @property
    def views(self) -> int:
        """V."""
        return self.intrinsics.shape[0]

    @property
    def frames(self) -> int | None:
        """T of moving cameras, None for cameras that stand still."""
        return self.intrinsics.shape[1] if self.intrinsics.dim() == 4 else None

    @property
    def centers(self) -> Tensor:
        """(V, 3) camera centres in the world; (V, T, 3) of moving cameras."""
        rotation, translation = self.world_to_camera[..., :3], self.world_to_camera[..., 3:]
        return -(rotation.mT @ translation)[..., 0]

    def at(self, frame: int) -> "CameraRig":
        """The cameras as they stand in one frame; those that stand still as they are.

        Raises:
            ValueError: moving cameras that have no such frame.
        """
        if self.frames is None:
            return self
        if not 0 <= frame < self.frames:
            raise ValueError(f"frame is {frame}, the cameras move over {self.frames}: give 0 to {self.frames - 1}")
        return replace(self, intrinsics=self.intrinsics[:, frame], world_to_camera=self.world_to_camera[:, frame])

    def take_frames(self, frames: Sequence[int] | Tensor | slice) -> "CameraRig":
        """Moving cameras at the frames of these indices; those that stand still as they are."""
        if self.frames is None:
            return self
        return replace(self, intrinsics=self.intrinsics[:, frames], world_to_camera=self.world_to_camera[:, frames])

    def take_views(self, views: Sequence[int] | Tensor) -> "CameraRig":
        """The views of these indices, in their order; still a circle only if all of them are taken, in the order of the circle or against it.

        Raises:
            ValueError: no index, or one that the rig does not have.
        """
        chosen = [int(view) for view in views]
        if not chosen or not all(0 <= view < self.views for view in chosen):
            raise ValueError(f"views are {chosen}, the rig has {self.views}: give some of 0 to {self.views - 1}")
        steps = {(after - before) % self.views for before, after in zip(chosen, [*chosen[1:], chosen[0]], strict=True)}
        whole = len(chosen) == self.views and steps in ({1 % self.views}, {self.views - 1})
        rows = {"intrinsics": self.intrinsics[chosen], "world_to_camera": self.world_to_camera[chosen]}
        return replace(self, **rows, closed=self.closed and whole)

    def resized(self, image_size: ImageSize) -> "CameraRig":
        """The same views in pictures of another size (H, W)."""
        _check_image_size("CameraRig", image_size)
        scale = torch.tensor([[image_size[1] / self.image_size[1]], [image_size[0] / self.image_size[0]], [1.0]]).to(self.intrinsics)
        return replace(self, intrinsics=self.intrinsics * scale, image_size=image_size)

    def to_camera(self, points: Tensor) -> Tensor:
        """World points (..., 3) -> (V, ..., 3) in the axes of each camera; for moving cameras (T, ..., 3) -> (V, T, ..., 3).

        Raises:
            ValueError: moving cameras and points of another number of frames.
        """
        pose = self.world_to_camera
        if self.frames is None:
            pose = pose[:, None]
        elif points.dim() < 2 or points.shape[0] != self.frames:
            raise ValueError(
                f"the cameras move over {self.frames} frames, the points {tuple(points.shape)} have {points.shape[0] if points.dim() > 1 else 'none'}: "
                "make them of equal length, or take the cameras of one frame with .at(frame)"
            )
        timed = points.reshape(1 if self.frames is None else self.frames, -1, 3).to(pose)
        return (timed @ pose[..., :3].mT + pose[..., None, :, 3]).reshape(self.views, *points.shape)

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Project world points.

        Args:
            points: (..., 3) metres; (T, ..., 3) for moving cameras.

        Returns:
            pixels (V, ..., 2) with pixel centres at +0.5, NaN for points at or behind the camera plane; depth (V, ...), the z in front of each camera.

        Raises:
            ValueError: moving cameras and points of another number of frames.
        """
        seen = self.to_camera(points)
        depth = seen[..., 2]
        axes = "v" if self.frames is None else "vt"
        homogeneous = torch.einsum(f"{axes}ij,{axes}...j->{axes}...i", self.intrinsics.to(seen), seen)
        pixels = homogeneous[..., :2] / depth[..., None]
        return torch.where((depth > 0)[..., None], pixels, torch.nan), depth

    def plucker(self, height: int, width: int) -> Tensor:
        """Plücker rays (direction, moment = centre x direction) through the cell centres of a height x width grid over the image.

        Returns:
            (V, 6, height, width), of moving cameras (V, T, 6, height, width); directions are unit vectors in the world.
        """
        rows = (torch.arange(height).to(self.intrinsics) + 0.5) * (self.image_size[0] / height)
        columns = (torch.arange(width).to(self.intrinsics) + 0.5) * (self.image_size[1] / width)
        v, u = torch.meshgrid(rows, columns, indexing="ij")
        pixels = torch.stack([u, v, torch.ones_like(u)])  # (3, h, w)
        rays = torch.einsum("...ij,jhw->...ihw", torch.linalg.inv(self.intrinsics), pixels)
        direction = torch.einsum("...ji,...jhw->...ihw", self.world_to_camera[..., :3], rays)
        direction = direction / direction.norm(dim=-3, keepdim=True)
        centers = self.centers[..., None, None].expand_as(direction)
        return torch.cat([direction, torch.linalg.cross(centers, direction, dim=-3)], dim=-3)


@dataclass(frozen=True, eq=False, kw_only=True)
class Keypoints:
    """Joints of one person in the pictures of V cameras over T frames.

    pixels: (V, T, J, 2), pixel centres at +0.5, NaN only where the confidence is 0. confidence: (V, T, J) in 0..1. image_size: (H, W) of every view.
    """

    pixels: Tensor
    confidence: Tensor
    image_size: ImageSize

    def __post_init__(self):
        sizes = check_shapes("Keypoints", pixels=(self.pixels, "V T J 2"), confidence=(self.confidence, "V T J"))
        if 0 in sizes.values():
            raise ValueError(f"Keypoints: {sizes['V']} views, {sizes['T']} frames and {sizes['J']} joints; expected at least 1 of each")
        if not ((self.confidence >= 0) & (self.confidence <= 1)).all():
            raise ValueError("Keypoints: confidence must lie in 0..1")
        if not (torch.isfinite(self.pixels).all(-1) | (self.confidence == 0)).all():
            raise ValueError("Keypoints: pixels have NaN or infinite values where the confidence is above 0")
        _check_image_size("Keypoints", self.image_size)

    @property
    def seen(self) -> Tensor:
        """(V, T, J) true where a joint is present."""
        return self.confidence > 0


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


def latent_frames(frames: int) -> int:
    """Latent frames that a clip of `frames` is encoded in."""
    return (frames + 3) // 4


def decoded_frames(latents: int) -> int:
    """Frames that tokens of `latents` latent frames decode to: four for each, but of an odd number the first gives one."""
    return 4 * latents - 3 * (latents % 2)


@dataclass(frozen=True, eq=False, kw_only=True)
class DrivingCues:
    """What a driving video says to a model, frame by frame (DirectAnimator).

    pose: (T, H, W, 3) in 0..1, the low-passed grey person on black. face: (T, h, w, 3) in 0..1, the enlarged face on black, black where there is none.
    body_location, face_location: (T, Y, X) in 0..1, where they stand in the reference picture of Y x X pixels; 0 where they do not.
    kept: (T) bool, the frames whose person mask is good. alignment: from driving to reference pixels. notes: frames that were dropped and why, what was
    assumed and filled in.
    """

    pose: Tensor
    face: Tensor
    body_location: Tensor
    face_location: Tensor
    kept: Tensor
    alignment: "Similarity"
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        sizes = check_shapes(
            "DrivingCues", pose=(self.pose, "T H W 3"), face=(self.face, "T h w 3"), body_location=(self.body_location, "T Y X"),
            face_location=(self.face_location, "T Y X"), kept=(self.kept, "T"),
        )  # fmt: skip
        if 0 in sizes.values():
            raise ValueError(f"DrivingCues: sizes {sizes}, expected at least one frame and one pixel")
        if self.kept.dtype != torch.bool:
            raise ValueError(f"DrivingCues: kept is {self.kept.dtype}, expected bool")
        for name in ("pose", "face", "body_location", "face_location"):
            values = getattr(self, name)
            once = values[..., 0] if values.stride(-1) == 0 else values  # grey as three views of one memory: torch would copy it thrice
            low, high = (float(end) for end in torch.aminmax(once))
            if not (low >= 0 and high <= 1):
                raise ValueError(f"DrivingCues: {name} reaches from {low:g} to {high:g}, expected values in 0..1")

    @property
    def frames(self) -> int:
        """T."""
        return self.pose.shape[0]


@dataclass(frozen=True, eq=False, kw_only=True)
class MotionTokens:
    """4DMoT tokens of one clip.

    indices: (L) codebook rows, L = latent frames x joints, frame-major. tokens: (L, C) the quantised vectors. frames: of the clip; the tokens decode
    to at least as many.
    joints: J. spec: name of the model spec that made them. commit_loss: mean squared distance from the encoder output to its codes.
    """

    indices: Tensor
    tokens: Tensor
    frames: int
    joints: int
    spec: str
    commit_loss: float
    fps: float = 30.0

    def __post_init__(self):
        sizes = check_shapes("MotionTokens", indices=(self.indices, "L"), tokens=(self.tokens, "L C"))
        if self.joints < 1 or sizes["L"] == 0 or sizes["L"] % self.joints:
            raise ValueError(f"MotionTokens: {sizes['L']} tokens are no whole number of frames of {self.joints} joints")
        _check_fps("MotionTokens", self.fps)

    @property
    def latent_frames(self) -> int:
        """L / J."""
        return len(self.indices) // self.joints


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
        _check_finite("RigMesh", vertices=self.vertices, weights=self.weights, morphs=self.morphs, uv=self.uv)


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
        _check_finite("Animation", rotations=self.rotations, translation=self.translation, places=self.places)
        _check_fps("Animation", self.fps)

    @property
    def skeleton(self) -> Skeleton:
        """The joint tree, also of a rig."""
        return self.rig.skeleton if isinstance(self.rig, Rig) else self.rig

    def cpu(self) -> "Animation":
        """The animation in the memory of the CPU, without gradients."""
        return _on_cpu(self)

"""Rigged meshes as cameras see them: unlit colours, and depth, normals and masks of the same kind as bone maps."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.skinning import PosedMesh, joint_matrices, pose_meshes
from ..types import Animation, BoneMaps, CameraRig, EdgeSamples, Rig, RigMesh
from .bone_maps import edge_samples
from .mesh_raster import Hits, homogeneous, rasterise
from .textures import FILTERS, Texture, to_srgb

_FRAMES_AT_ONCE = 8  # posed together
_MOST_IDS = torch.iinfo(torch.int16).max


@dataclass(frozen=True, eq=False, kw_only=True)
class MeshViews:
    """rgb: (V, T, H, W, 3) sRGB in 0..1. maps: depth (metres, or units of the rig, from the camera centre), normals and mask at the centre of every
    pixel; ids are the meshes. notes: what could not be shown."""

    rgb: Tensor
    maps: BoneMaps
    notes: tuple[str, ...] = ()


def render_meshes(
    rig: Rig,
    meshes: Sequence[RigMesh],
    cameras: CameraRig,
    *,
    animation: Animation | None = None,
    frames: Sequence[int] | None = None,
    samples: int = 1,
    filtering: str = "smooth",
    background: Sequence[float] = (1.0, 1.0, 1.0),
    device: torch.device | str | None = None,
    advance: Callable[[int], None] | None = None,
) -> MeshViews:
    """Draw the meshes of a rig with each camera, at rest or in an animation, in their base colours without any light.

    A pixel shows what its centre sees. Faces of materials that are not double-sided are seen from outside only; parts whose alpha is below the cutoff are not
    seen. Meshes without normals have those of their faces. What is nearer to the plane of a camera than a ten thousandth of the way to the farthest
    vertex is not drawn.

    Args:
        cameras: still, or moving over as many frames as are drawn; the rest pose is drawn once, or for each frame of moving cameras.
        frames: of the animation; all of them by default.
        samples: 2 gives the colours soft edges, from four points inside each pixel, and edge samples to the maps, which stay as they are.
        filtering: of textures: "smooth" or "nearest".
        background: sRGB in 0..1.
        device: where the pixels are computed (the CPU in place of one without float64); the result is on the CPU.
        advance: called with 1 after each image; what it raises ends the work.

    Raises:
        ValueError: no triangles, no frames, moving cameras of another length, an animation of another skeleton, an unknown filter, or samples other than 1
            and 2.
    """
    if filtering not in FILTERS:
        raise ValueError(f"filtering is '{filtering}', expected one of {', '.join(FILTERS)}")
    if samples not in (1, 2):
        raise ValueError(f"samples is {samples}, expected 1 for hard edges or 2 for soft ones")
    if not sum(len(mesh.faces) for mesh in meshes):
        raise ValueError("the rig has no meshes with triangles: there is nothing to draw but its joints; use Draw Pose Maps")
    shown = _shown_frames(cameras, animation, frames)
    if not shown:
        raise ValueError("no frame is to be drawn: give at least one, or none to draw all of them")
    device = torch.device("cpu" if device is None or torch.device(device).type == "mps" else device)
    scene, painter = _Scene(meshes, filtering, device), _Painter(cameras, len(shown), background)
    finer = _Painter(cameras.resized(tuple(2 * side for side in cameras.image_size)), 1, background, views=1) if samples == 2 else None
    edges = []
    for at, posed in _posed(rig, meshes, animation, shown):
        scene.stand(posed)
        for view in range(cameras.views):
            painter.paint(scene, view, at, (view, at))
            if finer is not None:
                edges.append(_soften(painter, finer, scene, view, at))
            if advance is not None:
                advance(1)
    notes = tuple(dict.fromkeys(note for mesh in meshes for note in mesh.notes))
    root = joint_matrices(rig, animation, [shown[0]])[0, 0, :3, 3]
    maps = BoneMaps(
        depth=painter.depth, normal=painter.normal, mask=painter.mask, ids=painter.ids, parts=(tuple(mesh.name for mesh in meshes),),
        edges=_joined(edges), root_distance=cameras.at(0).to_camera(root).norm(dim=-1).float(), notes=_empty_views(painter.mask),
    )  # fmt: skip
    return MeshViews(rgb=painter.rgb, maps=maps, notes=(*notes, *maps.notes))


def _shown_frames(cameras: CameraRig, animation: Animation | None, frames: Sequence[int] | None) -> list[int]:
    if animation is None:
        return list(frames) if frames is not None else [0] * (cameras.frames or 1)
    shown = list(range(len(animation.rotations)) if frames is None else frames)
    if cameras.frames not in (None, len(shown)):
        raise ValueError(
            f"the cameras move over {cameras.frames} frames, {len(shown)} are drawn: make the camera path as long as the animation"
        )
    return shown


def _posed(rig: Rig, meshes: Sequence[RigMesh], animation: Animation | None, shown: list[int]) -> Iterator[tuple[int, list[PosedMesh]]]:
    """(place in the output, the meshes in one frame), a few frames at a time."""
    for first in range(0, len(shown), _FRAMES_AT_ONCE):
        part = shown[first : first + _FRAMES_AT_ONCE]
        together = pose_meshes(rig, meshes, animation, part)
        for row in range(len(part)):
            rows = slice(row, row + 1)
            yield (
                first + row,
                [replace(one, vertices=one.vertices[rows], normals=None if one.normals is None else one.normals[rows]) for one in together],
            )


class _Scene:
    """All triangles of the meshes, in one list, as they stand in one frame."""

    def __init__(self, meshes: Sequence[RigMesh], filtering: str, device: torch.device):
        self.meshes, self.device = meshes, device
        counts = torch.tensor([len(mesh.faces) for mesh in meshes])
        self.owner = torch.repeat_interleave(torch.arange(len(meshes)), counts).to(device)
        self.two_sided = torch.tensor([mesh.double_sided for mesh in meshes], device=device)[self.owner]
        self.smooth = torch.tensor([mesh.normals is not None for mesh in meshes], device=device)[self.owner]
        self.cutoff = torch.tensor([-1.0 if mesh.alpha_cutoff is None else mesh.alpha_cutoff for mesh in meshes], device=device)
        self.colors = torch.cat([_vertex_colors(mesh) for mesh in meshes]).to(device)
        self.uv = torch.cat([torch.zeros(len(mesh.vertices), 2) if mesh.uv is None else mesh.uv for mesh in meshes]).double().to(device)
        known: dict[tuple, Texture] = {}
        self.textures = [
            None if mesh.texture is None or mesh.uv is None
            else known.setdefault((id(mesh.texture), mesh.wrap), Texture(mesh.texture.to(device), mesh.wrap, filtering))
            for mesh in meshes
        ]  # fmt: skip
        sizes = torch.tensor([0 if one is None else one.levels[0][..., 0].numel() for one in self.textures], device=device)
        self.texels = sizes[self.owner]  # (M) of the picture on each face

    def stand(self, posed: Sequence[PosedMesh]) -> None:
        """Take the places of one frame."""
        first = torch.tensor([0, *(one.vertices.shape[1] for one in posed)]).cumsum(0).tolist()
        self.points = torch.cat([one.vertices[0] for one in posed]).to(self.device)
        self.faces = torch.cat([one.faces + start for one, start in zip(posed, first, strict=False)]).to(self.device)
        self.normals = torch.cat([torch.zeros_like(one.vertices[0]) if one.normals is None else one.normals[0] for one in posed])
        self.normals = self.normals.to(self.device)
        a, b, c = self.points[self.faces].unbind(1)
        self.flat = torch.nn.functional.normalize(torch.linalg.cross(b - a, c - a), dim=-1)

    def seen(self, pixels: Tensor, size: tuple[int, int]) -> Hits:
        """What the pixels see, with `pixels` of `homogeneous`."""
        clear = bool((self.cutoff >= 0).any())
        corners = pixels[:, :2] / pixels[:, 2:]
        self.spread = _areas(corners[self.faces]) if any(self.textures) else None  # pixels of the screen on each face
        return rasterise(pixels, self.faces, self.two_sided, size, keep=self._solid if clear else None)

    def _solid(self, face: Tensor, shares: Tensor) -> Tensor:
        solid, cutoff = torch.ones_like(face, dtype=torch.bool), self.cutoff[self.owner[face]]
        rows = (cutoff >= 0).nonzero()[:, 0]
        solid[rows] = self.shade(face[rows], shares[rows])[:, 3] >= cutoff[rows]
        return solid

    def shade(self, face: Tensor, shares: Tensor) -> Tensor:
        """Linear colour and alpha (P, 4)."""
        corners = self.faces[face]
        colors, owner = (self.colors[corners] * shares.float()[..., None]).sum(1), self.owner[face]
        for number, texture in enumerate(self.textures):
            if texture is not None and len(rows := (owner == number).nonzero()[:, 0]):
                inside, part = face[rows], corners[rows]
                uv = (self.uv[part] * shares[rows, :, None]).sum(1)
                texels = self.texels[inside] * _areas(self.uv[part]) / self.spread[inside].clamp(min=1e-12)
                colors[rows] = colors[rows] * texture.look_up(uv, texels)
        return colors


def _vertex_colors(mesh: RigMesh) -> Tensor:
    colors = mesh.base_color.float().expand(len(mesh.vertices), 4)
    return colors if mesh.colors is None else colors * mesh.colors.float()


def _areas(corners: Tensor) -> Tensor:
    """Twice the areas (M) of flat triangles (M, 3, 2)."""
    (ax, ay), (bx, by) = (corners[:, 1] - corners[:, 0]).unbind(1), (corners[:, 2] - corners[:, 0]).unbind(1)
    return (ax * by - ay * bx).abs()


class _Painter:
    """Pictures of V views and T frames, and how they are painted."""

    def __init__(self, cameras: CameraRig, frames: int, background: Sequence[float], *, views: int | None = None):
        self.cameras, self.size = cameras, cameras.image_size
        shape = (cameras.views if views is None else views, frames, *self.size)
        self.background = torch.tensor([float(value) for value in background])
        self.rgb = self.background.expand(*shape, 3).clone()
        self.depth, self.normal = torch.zeros(shape), torch.zeros(*shape, 3)
        self.mask, self.ids = torch.zeros(shape, dtype=torch.bool), torch.full(shape, -1, dtype=torch.int16)

    def blank(self) -> None:
        """Take away what was painted."""
        self.rgb[:], self.depth[:], self.normal[:], self.mask[:], self.ids[:] = self.background, 0.0, 0.0, False, -1

    def paint(self, scene: _Scene, view: int, frame: int, place: tuple[int, int]) -> None:
        """What camera `view` sees of the scene in frame `frame` of its path."""
        camera = self.cameras.at(frame if self.cameras.frames else 0)
        intrinsics, pose = camera.intrinsics[view].double(), camera.world_to_camera[view].double()
        hits = scene.seen(homogeneous(scene.points, intrinsics, pose), self.size)
        pixel, width = hits.pixel.cpu(), self.size[1]
        centers = torch.stack([pixel % width + 0.5, pixel // width + 0.5, torch.ones(len(pixel))], -1).double()
        rays = (centers @ torch.linalg.inv(intrinsics).mT).norm(dim=-1)  # of which z is 1
        normal = _facing_normals(scene, hits, pose.to(scene.device))
        self.rgb[place].flatten(0, 1)[pixel] = to_srgb(scene.shade(hits.face, hits.shares)[:, :3]).cpu()
        self.depth[place].flatten()[pixel] = (hits.z.cpu() * rays).float()
        self.normal[place].flatten(0, 1)[pixel] = normal.float().cpu()
        self.mask[place].flatten()[pixel] = True
        self.ids[place].flatten()[pixel] = scene.owner[hits.face].clamp(max=_MOST_IDS).to(torch.int16).cpu()


def _facing_normals(scene: _Scene, hits: Hits, pose: Tensor) -> Tensor:
    """(P, 3) in camera axes; those of faces seen from inside are turned round."""
    corners, flat, turn = scene.faces[hits.face], scene.flat[hits.face], pose[:, :3]
    point = (scene.points[corners] * hits.shares[..., None]).sum(1)
    smooth = torch.nn.functional.normalize((scene.normals[corners] * hits.shares[..., None]).sum(1), dim=-1)
    usable = scene.smooth[hits.face] & (smooth.norm(dim=-1) > 0.5)
    normal = torch.where(usable[:, None], smooth, flat)
    center = -(turn.mT @ pose[:, 3])
    inside = ((point - center) * flat).sum(-1, keepdim=True) > 0
    return torch.where(inside, -normal, normal) @ turn.mT


def _soften(painter: _Painter, finer: _Painter, scene: _Scene, view: int, at: int) -> EdgeSamples:
    """Paint one image with four points in each pixel: its mean into the colours, and the edge samples of its maps."""
    finer.blank()
    finer.paint(scene, view, at, (0, 0))
    height, width = painter.size
    painter.rgb[view, at] = finer.rgb[0, 0].reshape(height, 2, width, 2, 3).mean((1, 3))
    first = view * painter.mask.shape[1] + at
    return edge_samples(painter.ids[view, at][None], (finer.depth[0], finer.normal[0], finer.mask[0], finer.ids[0]), first)


def _joined(edges: list[EdgeSamples]) -> EdgeSamples | None:
    """All edge samples in the order of their pixels, or None."""
    if not edges:
        return None
    index = torch.cat([part.index for part in edges])
    order = index.argsort()
    return EdgeSamples(index=index[order], **{
        name: torch.cat([getattr(part, name) for part in edges])[order] for name in ("depth", "normal", "ids")
    })  # fmt: skip


def _empty_views(mask: Tensor) -> tuple[str, ...]:
    shown = mask.flatten(1).any(1)
    return tuple(
        f"view {view} shows nothing of the character: check where the camera stands" for view in range(len(mask)) if not shown[view]
    )

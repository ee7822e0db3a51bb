"""Bone maps: the body as exact ellipsoids, seen as depth, normals and the number of the bone (HVG). Their encodings as pictures are in `encodings`."""

from collections.abc import Callable, Mapping

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import BoneMaps, CameraRig, EdgeSamples, Frame, Motion
from .ellipsoids import Ellipsoids, body_ellipsoids
from .encodings import DEPTH_MODES as DEPTH_MODES
from .encodings import encode_depth as encode_depth
from .encodings import encode_normals as encode_normals
from .raster import fill_numpy, fill_torch, ray_lengths, trace_spans

ENGINES = ("auto", "numpy", "torch")
_CHUNK_PIXELS = 1 << 23  # pixels of the images drawn together: bounds the memory beyond the output


def render_bone_maps(
    motion: Motion,
    rig: CameraRig,
    *,
    virtual_leaves: bool = True,
    fingertips: bool = False,
    radii: Tensor | Mapping[str, float] | None = None,
    samples: int = 1,
    device: torch.device | str | None = None,
    engine: str = "auto",
    advance: Callable[[int], None] | None = None,
) -> BoneMaps:
    """Draw every bone of a motion as an ellipsoid, exactly, with each camera, still or moving.

    Sections follow anthropometry (`body.anthropometry`): round, or oriented where the motion has rotations. Parts nearer than 5 cm to the camera plane,
    bones with a missing end and ellipsoids that hold the camera are not drawn; notes tell of cameras inside the body and of views that show nobody.

    Args:
        virtual_leaves: also draw the head above the head joint.
        fingertips: also draw the fingers beyond their last joints.
        radii: metres of the round sections of bones, for skeletons whose thickness is known (`anthropometry.bone_sections`).
        samples: 2 also finds what four points inside each pixel see, at the edges of bones, so that pictures have soft edges; the maps stay as they are.
        device: where the pixels are computed; the maps come back on the CPU.
        engine: "numpy" (the CPU), "torch" (any device) or "auto", which takes numpy on the CPU and torch elsewhere. Both draw the same picture.
        advance: called with the number of images (views x frames) drawn since the last call; what it raises ends the work.

    Raises:
        ValueError: a motion in CAMERA axes with cameras that are not its own, moving cameras of another length, a motion that lies behind every camera,
            unfit radii, an unknown engine, or samples other than 1 and 2.
    """
    if engine not in ENGINES:
        raise ValueError(f"engine is '{engine}', expected 'auto', 'numpy' or 'torch'")
    if samples not in (1, 2):
        raise ValueError(f"samples is {samples}, expected 1 for hard edges or 2 for soft ones")
    check_camera(motion, _facing(motion, rig))
    device = torch.device("cpu" if device is None else device)
    if engine == "auto":
        engine = "numpy" if device.type == "cpu" else "torch"
    body = body_ellipsoids(motion, virtual_leaves=virtual_leaves, fingertips=fingertips, radii=radii).seen_by(rig)
    inside = body.holding_the_camera()
    painter = _Painter(rig, motion.frames, None if engine == "numpy" else device)
    outputs = painter.blank(rig.views * motion.frames)
    edges = _draw(body.images(), painter, outputs, _Painter(rig, motion.frames, painter.device, scale=2) if samples == 2 else None, advance)
    depth, normal, mask, ids = (part.unflatten(0, (rig.views, motion.frames)) for part in outputs)
    return BoneMaps(
        depth=depth, normal=normal, mask=mask, ids=ids, parts=(body.names,), edges=edges, root_distance=_root_distance(motion, rig),
        notes=_notes(mask, inside),
    )  # fmt: skip


class _Painter:
    """Draws images of a rig, whose pixels are cut in `scale` each way, on a device, or with numpy where that is None."""

    def __init__(self, rig: CameraRig, frames: int, device: torch.device | None, scale: int = 1):
        self.device, self.scale = device, scale
        self.size = tuple(scale * side for side in rig.image_size)
        intrinsics = rig.intrinsics.detach().cpu().double() * torch.tensor([[scale], [scale], [1.0]], dtype=torch.float64)
        if rig.frames is None:
            self._lenses, self._lens = intrinsics, torch.arange(rig.views).repeat_interleave(frames)
        else:
            self._lenses, self._lens = torch.unique(intrinsics.flatten(0, 1), dim=0, return_inverse=True)
        self._held, self._rays = None, None

    def blank(self, images: int, device: torch.device | str = "cpu") -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Depth, normal, mask and ids of so many empty images."""
        shape = (images, *self.size)
        kinds = (("f4", shape), ("f4", (*shape, 3)), ("?", shape))
        if torch.device(device).type == "cpu":
            # numpy leaves the background to zero pages of the system; torch would write all of it.
            return *(torch.from_numpy(np.zeros(size, kind)) for kind, size in kinds), torch.full(shape, -1, dtype=torch.int16)
        types = {"f4": torch.float32, "?": torch.bool}
        return *(torch.zeros(size, dtype=types[kind], device=device) for kind, size in kinds), torch.full(
            shape, -1, dtype=torch.int16, device=device
        )

    def paint(self, body: Ellipsoids, part: slice, targets: tuple[Tensor, ...]) -> None:
        """Draw the images `part` of `body` into blank targets."""
        lenses, row = torch.unique(self._lens[part], return_inverse=True)
        if self._held is None or not torch.equal(lenses, self._held):
            self._held, self._rays = lenses, ray_lengths(self._lenses[lenses], *self.size).flatten().to(self.device or "cpu")
        spans = trace_spans(body[part], self._lenses[self._lens[part]], row, *self.size)
        if self.device is None:
            fill_numpy(spans, self._rays.numpy(), *(target.numpy() for target in targets))
        else:
            fill_torch(spans, self._rays, *targets)


def _draw(
    body: Ellipsoids, painter: _Painter, outputs: tuple[Tensor, ...], finer: _Painter | None, advance: Callable[[int], None] | None
) -> EdgeSamples | None:
    """Draw all images chunk by chunk into `outputs`, and gather the edge samples of the finer painter."""
    images, edges = len(outputs[0]), []
    pixels = painter.size[0] * painter.size[1] * (1 if finer is None else 1 + finer.scale**2)
    step = max(1, _CHUNK_PIXELS // pixels)
    for first in range(0, images, step):
        part = slice(first, min(first + step, images))
        places = drawn = tuple(output[part] for output in outputs)
        if painter.device is not None:
            drawn = painter.blank(part.stop - first, painter.device)
        painter.paint(body, part, drawn)
        if finer is not None:
            fine = finer.blank(part.stop - first, painter.device or "cpu")
            finer.paint(body, part, fine)
            edges.append(edge_samples(drawn[3], fine, first))
        if painter.device is not None:
            for place, picture in zip(places, drawn, strict=True):
                place.copy_(picture)
        if advance is not None:
            advance(part.stop - first)
    if finer is None:
        return None
    return EdgeSamples(**{name: torch.cat([getattr(part, name) for part in edges]) for name in ("index", "depth", "normal", "ids")})


def edge_samples(ids: Tensor, fine: tuple[Tensor, ...], first: int) -> EdgeSamples:
    """Samples of the pixels of N images in which not all points see what the centre does; `first` is the number of the first image."""
    pairs, own = fine[3].view(torch.int32), torch.stack([ids, ids], -1).view(torch.int32)[..., 0]  # two neighbours compared as one number
    mixed = (pairs[:, 0::2] != own) | (pairs[:, 1::2] != own)
    index = mixed.flatten().nonzero()[:, 0]
    width = fine[3].shape[2]
    row, column = index // ids.shape[2], index % ids.shape[2]  # rows count on through the images
    corner = 2 * (row * width + column)
    points = torch.stack([corner + y * width + x for y in range(2) for x in range(2)], 1)
    depth, normal, _, parts = (picture.flatten(0, 2).index_select(0, points.flatten()).unflatten(0, points.shape).cpu() for picture in fine)
    return EdgeSamples(index=index.cpu() + first * ids[0].numel(), depth=depth, normal=normal, ids=parts)


def _facing(motion: Motion, rig: CameraRig) -> CameraRig:
    """The views of a rig that have something of the motion before them; all of them where that is none, or where the cameras cannot fit anyway."""
    if motion.frame is not Frame.WORLD or rig.frames not in (None, motion.frames):
        return rig
    before = rig.to_camera(motion.joints.detach())[..., 2] > 0
    views = (before & motion.seen).flatten(1).any(1).nonzero()[:, 0]
    return rig.take_views(views) if len(views) else rig


def _root_distance(motion: Motion, rig: CameraRig) -> Tensor | None:
    """(V) metres from each camera to the root joint in the first frame that shows it; None if there is none."""
    shown = motion.seen[:, 0].nonzero()
    if len(shown) == 0:
        return None
    frame = int(shown[0])
    return rig.at(frame).to_camera(motion.joints[frame, 0].detach()).norm(dim=-1).float().cpu()


def _notes(mask: Tensor, inside: Tensor) -> tuple[str, ...]:
    """What a user should know of views (V, T, H, W) that are empty and cameras (V, T) that stand inside the body."""
    shown, notes = mask.flatten(2).any(-1), []
    for view in range(len(mask)):
        if count := int(inside[view].sum()):
            notes.append(
                f"view {view}: the camera is inside the body in {count} of {len(inside[view])} frames, what holds it is not drawn: move it away"
            )
        if not shown[view].any():
            notes.append(f"view {view} shows nobody: turn the camera to the person, or check the place of the motion")
    return tuple(notes)

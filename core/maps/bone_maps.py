"""Bone maps: the body as exact ellipsoids, seen as depth and normals, and their encodings as pictures (HVG)."""

from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import BoneMaps, CameraRig, Motion
from .ellipsoids import Ellipsoids, body_ellipsoids
from .raster import Spans, fill_numpy, fill_torch, ray_lengths, trace_spans

DEPTH_MODES = ("root", "sequence")
_CHUNK_PIXELS = 1 << 23  # pixels of the images drawn together: bounds the memory beyond the output


def render_bone_maps(
    motion: Motion,
    rig: CameraRig,
    *,
    virtual_leaves: bool = True,
    device: torch.device | str | None = None,
    engine: str = "auto",
    advance: Callable[[int], None] | None = None,
) -> BoneMaps:
    """Draw every bone of a motion as an ellipsoid, exactly, with each camera.

    Sections follow anthropometry (`body.anthropometry`): round, or oriented where the motion has rotations. Parts nearer than 5 cm to the camera plane,
    bones with a missing end and ellipsoids that hold the camera are not drawn.

    Args:
        virtual_leaves: also draw the head above the head joint.
        device: where the pixels are computed; the maps come back on the CPU.
        engine: "numpy" (the CPU), "torch" (any device) or "auto", which takes numpy on the CPU and torch elsewhere. Both draw the same picture.
        advance: called with the number of images (views x frames) drawn since the last call; what it raises ends the work.

    Raises:
        ValueError: a motion in CAMERA axes with cameras that are not its own, or an unknown engine.
    """
    check_camera(motion, rig)
    device = torch.device("cpu" if device is None else device)
    if engine not in ("auto", "numpy", "torch"):
        raise ValueError(f"engine is '{engine}', expected 'auto', 'numpy' or 'torch'")
    if engine == "auto":
        engine = "numpy" if device.type == "cpu" else "torch"
    body = body_ellipsoids(motion, virtual_leaves=virtual_leaves).seen_by(rig)
    (height, width), shape = rig.image_size, (rig.views, motion.frames, *rig.image_size)
    # numpy leaves the background to zero pages of the system; torch would write all of it.
    depth, normal, mask = (torch.from_numpy(np.zeros(size, kind)) for size, kind in ((shape, "f4"), ((*shape, 3), "f4"), (shape, "?")))
    body = Ellipsoids(centers=body.centers.flatten(0, 1), axes=body.axes.flatten(0, 1), present=body.present.flatten(0, 1))
    intrinsics = rig.intrinsics.detach().cpu().double()
    views = torch.arange(rig.views).repeat_interleave(motion.frames)
    outputs = tuple(part.flatten(0, 1) for part in (depth, normal, mask))
    rays = ray_lengths(intrinsics, height, width)
    step = max(1, _CHUNK_PIXELS // (height * width))
    for first in range(0, len(views), step):
        part = slice(first, first + step)
        chunk = Ellipsoids(centers=body.centers[part], axes=body.axes[part], present=body.present[part])
        spans = trace_spans(chunk, intrinsics[views[part]], views[part], height, width)
        targets = tuple(output[part] for output in outputs)
        if engine == "numpy":
            fill_numpy(spans, rays.numpy().reshape(-1), *(target.numpy() for target in targets))
        else:
            _fill_on(device, spans, rays, targets)
        if advance is not None:
            advance(len(views[part]))
    return BoneMaps(depth=depth, normal=normal, mask=mask, root_distance=_root_distance(motion, rig))


def _fill_on(device: torch.device, spans: Spans, rays: Tensor, targets: tuple[Tensor, ...]) -> None:
    """Draw a chunk on a device and copy it to its place on the CPU."""
    drawn = [torch.zeros_like(target, device=device) for target in targets]
    fill_torch(spans, rays.flatten().to(device), *drawn)
    for target, picture in zip(targets, drawn, strict=True):
        target.copy_(picture)


def _root_distance(motion: Motion, rig: CameraRig) -> Tensor | None:
    """(V) metres from each camera to the root joint in the first frame that shows it; None if there is none."""
    shown = motion.seen[:, 0].nonzero()
    if len(shown) == 0:
        return None
    return rig.to_camera(motion.joints[int(shown[0]), 0].detach()).norm(dim=-1).float().cpu()


def encode_depth(maps: BoneMaps, *, span_m: float = 1.25, mode: str = "root") -> Tensor:
    """Depth as grey (V, T, H, W) in 0..1: 0.1 (far) to 1 (near) on the body, 0 on the background; one scale for all views and frames.

    Args:
        span_m: for "root", metres before and behind the root joint of frame 0 that reach the ends of the scale.
        mode: "root" centres the scale on that joint, so a body that walks towards the camera brightens; "sequence" stretches it from the nearest to the
            farthest point of all views and frames. Maps without a root distance take "sequence".

    Raises:
        ValueError: an unknown mode, or a span of 0 or less.
    """
    if mode not in DEPTH_MODES:
        raise ValueError(f"mode is '{mode}', expected one of {', '.join(DEPTH_MODES)}")
    if not span_m > 0:
        raise ValueError(f"span_m is {span_m}, expected metres above 0")
    if mode == "root" and maps.root_distance is not None:
        far, span = maps.root_distance[:, None, None, None] + span_m, 2 * span_m
    else:
        near, far = _hit_range(maps)
        span = far - near
    # 0.1 + 0.9 (far - depth) / span, clipped, in one buffer.
    grey = maps.depth * (-0.9 / span if span > 0 else 0.0)
    grey += 0.1 + 0.9 * far / span if span > 0 else 0.55
    return grey.clamp_(0.1, 1.0).mul_(maps.mask)


def _hit_range(maps: BoneMaps) -> tuple[float, float]:
    far = float(maps.depth.max()) if maps.depth.numel() else 0.0
    near = min((float(view[mask].min()) for view, mask in zip(maps.depth, maps.mask, strict=True) if mask.any()), default=far)
    return near, far


def encode_normals(maps: BoneMaps) -> Tensor:
    """Normals as colours (V, T, H, W, 3) in 0..1: x right, y up, z towards the camera, which a facing surface shows as (0.5, 0.5, 1); background 0."""
    picture = maps.normal * torch.tensor([0.5, -0.5, -0.5]).to(maps.normal)
    picture += 0.5
    return picture.mul_(maps.mask[..., None])

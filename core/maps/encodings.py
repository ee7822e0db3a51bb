"""Bone maps as pictures. Where the maps have edge samples, pictures have soft edges: there a pixel is the mean of what the points inside it show."""

import torch
from torch import Tensor

from ..types import BoneMaps

DEPTH_MODES = ("root", "sequence")


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
        near, far = depth_range(maps)
        span = far - near
    # 0.1 + 0.9 (far - depth) / span, clipped, in one buffer.
    slope, offset = (-0.9 / span, 0.1 + 0.9 * far / span) if span > 0 else (0.0, 0.55)
    grey = maps.depth * slope
    grey += offset
    grey.clamp_(0.1, 1.0).mul_(maps.mask)
    if maps.edges is not None:
        level = offset[edge_views(maps), 0, 0] if isinstance(offset, Tensor) else offset
        soften(maps, grey, (maps.edges.depth * slope + level).clamp_(0.1, 1.0).mul_(edge_hits(maps)))
    return grey


def encode_normals(maps: BoneMaps) -> Tensor:
    """Normals as colours (V, T, H, W, 3) in 0..1: x right, y up, z towards the camera, which a facing surface shows as (0.5, 0.5, 1); background 0."""
    return colour_normals(maps, (0.5, -0.5, -0.5), (0.0, 0.0, 0.0))


def colour_normals(maps: BoneMaps, signs: tuple[float, float, float], background: tuple[float, float, float]) -> Tensor:
    """(V, T, H, W, 3): 0.5 + `signs` times the normal in camera axes (x right, y down, z away from the camera) on the body, else `background`."""
    weight, behind = (torch.tensor(values).to(maps.normal) for values in (signs, background))
    picture = maps.normal * weight
    picture += 0.5
    picture.mul_(maps.mask[..., None])
    if behind.any():
        picture += behind * ~maps.mask[..., None]
    if maps.edges is not None:
        hit = edge_hits(maps)[..., None]
        soften(maps, picture, torch.where(hit, maps.edges.normal * weight + 0.5, behind))
    return picture


def soft_mask(maps: BoneMaps) -> Tensor:
    """(V, T, H, W) float: the share of each pixel that bodies cover; 0 or 1 for maps without edge samples."""
    mask = maps.mask.float()
    if maps.edges is not None:
        soften(maps, mask, edge_hits(maps).float())
    return mask


def person_masks(maps: BoneMaps) -> Tensor:
    """(P, V, T, H, W) float: where each person is seen, in the order of composition, with soft edges where the maps have them.

    Raises:
        ValueError: maps of several people without ids.
    """
    if maps.ids is None:
        if maps.people > 1:
            raise ValueError(
                f"the bone maps show {maps.people} people but have no ids that tell them apart: render them with Render Bone Maps"
            )
        return soft_mask(maps)[None]
    masks, first = [], 0
    for names in maps.parts or ((),):
        last = first + len(names) if maps.parts else torch.iinfo(torch.int16).max
        mask = ((maps.ids >= first) & (maps.ids < last)).float()
        if maps.edges is not None:
            soften(maps, mask, ((maps.edges.ids >= first) & (maps.edges.ids < last)).float())
        masks.append(mask)
        first = last
    return torch.stack(masks)


def depth_range(maps: BoneMaps) -> tuple[float, float]:
    """Nearest and farthest metres of all views and frames; twice 0 where there is nobody."""
    far = float(maps.depth.max()) if maps.depth.numel() else 0.0
    near = min((float(view[mask].min()) for view, mask in zip(maps.depth, maps.mask, strict=True) if mask.any()), default=far)
    return near, far


def soften(maps: BoneMaps, picture: Tensor, samples: Tensor) -> None:
    """Put the means of `samples` (N, S, ...) in their places of a contiguous `picture` (V, T, H, W, ...)."""
    picture.flatten(0, 3)[maps.edges.index] = samples.mean(1).to(picture)


def edge_hits(maps: BoneMaps) -> Tensor:
    """(N, S) true where a sample sees a body."""
    return maps.edges.ids >= 0


def edge_views(maps: BoneMaps) -> Tensor:
    """(N) view of each pixel with edge samples."""
    return maps.edges.index // maps.mask[0].numel()

"""Several bodies in one picture."""

from collections.abc import Sequence
from itertools import accumulate

import torch
from torch import Tensor

from ..types import BoneMaps, EdgeSamples

_MOST_PARTS = torch.iinfo(torch.int16).max + 1


def compose_bone_maps(layers: Sequence[BoneMaps]) -> BoneMaps:
    """Bone maps of several people seen by the same cameras as those of all of them: at every pixel the nearest body. The root distance is the mean of theirs.

    Where every layer has ids, so has the result: those of the second layer follow those of the first (`BoneMaps.parts`). Edges are soft where a layer has
    edge samples; at the edges of the others they stay hard.

    Raises:
        ValueError: no maps, maps of different views, frames or sizes, or more than 32768 ellipsoids.
    """
    if not layers:
        raise ValueError("there are no bone maps to compose: give at least one")
    first = layers[0]
    for number, layer in enumerate(layers):
        if layer.mask.shape != first.mask.shape:
            raise ValueError(
                f"bone maps {number} are {tuple(layer.mask.shape)}, the first {tuple(first.mask.shape)}: expected the same views, frames, height and "
                "width; render them with the same cameras and cut the motions to the same length"
            )
    parts = tuple(names for layer in layers for names in layer.parts) if all(layer.parts for layer in layers) else ()
    starts = [0, *accumulate(sum(map(len, layer.parts)) for layer in layers)]
    if starts[-1] > _MOST_PARTS:
        raise ValueError(f"the bone maps have {starts[-1]} ellipsoids, at most {_MOST_PARTS} can be told apart: compose fewer people")
    identified = bool(parts) and all(layer.ids is not None for layer in layers)
    depth, normal, mask = first.depth.clone(), first.normal.clone(), first.mask.clone()
    ids = first.ids.clone() if identified else None
    for layer, start in zip(layers[1:], starts[1:], strict=False):
        nearer = layer.mask & (~mask | (layer.depth < depth))
        depth[nearer], normal[nearer] = layer.depth[nearer], layer.normal[nearer]
        if ids is not None:
            ids[nearer] = layer.ids[nearer] + start
        mask |= layer.mask
    distances = [layer.root_distance for layer in layers if layer.root_distance is not None]
    return BoneMaps(
        depth=depth, normal=normal, mask=mask, ids=ids, parts=parts if identified else (), edges=_compose_edges(layers, starts) if identified else None,
        root_distance=torch.stack(distances).mean(0) if distances else None,
        notes=_notes(layers),
    )  # fmt: skip


def _compose_edges(layers: Sequence[BoneMaps], starts: Sequence[int]) -> EdgeSamples | None:
    """Nearest of the layers at every sample of the pixels that are an edge in one of them."""
    edged = [layer.edges for layer in layers if layer.edges is not None]
    if not edged:
        return None
    index = torch.cat([edges.index for edges in edged]).unique()
    count = edged[0].depth.shape[1]
    samples = [_samples_at(layer, index, count) for layer in layers]
    depth, normal, ids = samples[0]
    for (own_depth, own_normal, own_ids), start in zip(samples[1:], starts[1:], strict=False):
        nearer = (own_ids >= 0) & ((ids < 0) | (own_depth < depth))
        depth, normal = torch.where(nearer, own_depth, depth), torch.where(nearer[..., None], own_normal, normal)
        ids = torch.where(nearer, own_ids + start, ids)
    return EdgeSamples(index=index, depth=depth, normal=normal, ids=ids.to(torch.int16))


def _samples_at(layer: BoneMaps, index: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """Depth (N, S), normal (N, S, 3) and ids (N, S) of a layer at the pixels `index`: what its centres see where it has no samples."""
    depth, ids = (picture.flatten()[index][:, None].repeat(1, count) for picture in (layer.depth, layer.ids))
    normal = layer.normal.flatten(0, 3)[index][:, None].repeat(1, count, 1)
    if layer.edges is not None:
        row = torch.searchsorted(index, layer.edges.index)
        depth[row], normal[row], ids[row] = layer.edges.depth, layer.edges.normal, layer.edges.ids
    return depth, normal, ids


def _notes(layers: Sequence[BoneMaps]) -> tuple[str, ...]:
    if len(layers) == 1:
        return layers[0].notes
    return tuple(f"person {number}: {note}" for number, layer in enumerate(layers) for note in layer.notes)

"""Exact pictures of triangles, by edge functions in homogeneous coordinates (Olano and Greer, 1997).

With the corners q of a triangle in homogeneous pixels (K times camera axes, so that the last number is z) the three numbers e_i = (q_j x q_k) . (u, v, 1)
have one sign inside it, their shares of the sum are the perspective-correct weights of the corners, and z = det(q) / (e_0 + e_1 + e_2). Nothing has to be
clipped at the plane of the camera. Two triangles that share an edge compute its function with opposite signs to the last bit, in float64 and one
operation at a time, so that every pixel centre belongs to exactly one of them: one on the edge to the side that the edge's own numbers name.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import pairwise, starmap

import torch
from torch import Tensor

from ..types import ImageSize

NEAR = 1e-4  # part of the distance to the farthest corner before the camera; nearer than this nothing is drawn
_SLACK = 1e-6  # pixels by which bounds are wider than the test that decides
_ROUNDING = 1e-12  # parts of the terms of an edge function that rounding may change
_BLOCK = 1 << 21  # pixels of the rectangles around the triangles of one block: bounds the memory
_NO_BID = torch.iinfo(torch.int64).max

# keep(faces (P), shares (P, 3)) -> (P) bool: which hits are solid
Keep = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class Hits:
    """What P pixels see. pixel: (P) in (H, W) flattened, each once. face: (P). shares: (P, 3) of its corners. z: (P) in front of the camera."""

    pixel: Tensor
    face: Tensor
    shares: Tensor
    z: Tensor


def homogeneous(points: Tensor, intrinsics: Tensor, world_to_camera: Tensor) -> Tensor:
    """World points (N, 3) -> (N, 3) homogeneous pixels, float64; equal points give equal numbers wherever they stand in the list."""
    matrix = intrinsics.double() @ world_to_camera.double()
    x, y, z = points.double().unbind(-1)
    return torch.stack([((x * row[0] + y * row[1]) + z * row[2]) + row[3] for row in matrix.to(points.device)], -1)


def rasterise(points: Tensor, faces: Tensor, two_sided: Tensor, size: ImageSize, *, keep: Keep | None = None) -> Hits:
    """The nearest triangle at each pixel centre.

    Args:
        points: (N, 3) of `homogeneous`. faces: (M, 3), counter-clockwise as seen from outside. two_sided: (M) bool, also seen from inside.
        size: (H, W). keep: leaves out hits on what is transparent.
    """
    height, width = size
    bids = torch.full((height * width,), _NO_BID, device=points.device)
    near = NEAR * points[:, 2].max().clamp(min=0) if len(points) else points.new_zeros(())
    index, edges, area = _edges(points, faces, two_sided, near)
    bounds = _bounds(points[faces[index]], near, height, width)
    shown = (bounds[:, 2:] > bounds[:, :2]).all(1)
    index, edges, area, bounds = index[shown], edges[shown], area[shown], bounds[shown]
    for part in _blocks(bounds):
        pixel, face, z = _covered(edges[part], area[part], bounds[part], index[part], width=width, near=near, keep=keep)
        # The bits of positive floats are ordered as the floats are; among equals the first face wins.
        bids.scatter_reduce_(0, pixel, (z.float().view(torch.int32).long() << 32) | face, "amin")
    pixel = (bids != _NO_BID).nonzero()[:, 0]
    row = bids[pixel] & 0xFFFFFFFF
    if len(pixel) == 0:
        return Hits(pixel, row, points.new_zeros(0, 3), points.new_zeros(0))
    order = torch.full((len(faces),), -1, device=points.device)
    order[index] = torch.arange(len(index), device=points.device)
    shares, z = _shares(edges[order[row]], area[order[row]], pixel // width, pixel % width)
    return Hits(pixel, row, shares, z)


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """As separate operations: a fused one would round a x b and b x a differently."""
    (ax, ay, az), (bx, by, bz) = a.unbind(-1), b.unbind(-1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], -1)


def _edges(points: Tensor, faces: Tensor, two_sided: Tensor, near: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """(F) faces that can be seen, the coefficients (F, 3, 3) of their edge functions, positive inside, and |det| (F)."""
    corners = points[faces]
    edges = torch.stack([_cross(corners[:, i - 2], corners[:, i - 1]) for i in range(3)], 1)
    area = (corners[:, 0] * edges[:, 0]).sum(-1)
    # Rows of pixels run down, so that what is counter-clockwise outside has a negative determinant.
    index = ((area != 0) & ((area < 0) | two_sided) & (corners[..., 2] > near).any(1)).nonzero()[:, 0]
    return index, edges[index] * area[index].sign()[:, None, None], area[index].abs()


def _bounds(corners: Tensor, near: Tensor, height: int, width: int) -> Tensor:
    """(F, 4) first column and row, and those after the last, of the pixels that the part of each triangle beyond `near` can cover."""
    ahead = corners[..., 2] > near
    after, beyond = corners.roll(-1, 1), ahead.roll(-1, 1)
    step = (near - corners[..., 2:]) / (after[..., 2:] - corners[..., 2:])
    cut = torch.where((ahead != beyond)[..., None], corners + step * (after - corners), torch.nan)
    pixels = torch.cat([corners[..., :2] / corners[..., 2:], cut[..., :2] / near], 1)
    used = torch.cat([ahead, ahead != beyond], 1)[..., None]
    low = torch.where(used, pixels, torch.inf).amin(1) - _SLACK
    high = torch.where(used, pixels, -torch.inf).amax(1) + _SLACK
    limit = torch.tensor([width, height], device=corners.device, dtype=corners.dtype)
    low, high = (low - 0.5).ceil().clamp(min=0).minimum(limit), ((high - 0.5).floor() + 1).clamp(min=0).minimum(limit)
    return torch.cat([low, high], 1).long()


def _blocks(bounds: Tensor) -> Iterator[slice]:
    """Runs of triangles whose rectangles have about `_BLOCK` pixels together."""
    block = (bounds[:, 2:] - bounds[:, :2]).prod(1).cumsum(0) // _BLOCK
    cuts = (block.diff().nonzero()[:, 0] + 1).tolist()
    return starmap(slice, pairwise([0, *cuts, len(block)] if len(block) else []))


def _spread(counts: Tensor) -> tuple[Tensor, Tensor]:
    """For counts (R): the owner of each of their sum of items, and its number among its owner's."""
    owner = torch.repeat_interleave(torch.arange(len(counts), device=counts.device), counts)
    return owner, torch.arange(len(owner), device=counts.device) - (counts.cumsum(0) - counts)[owner]


def _covered(
    edges: Tensor, area: Tensor, bounds: Tensor, index: Tensor, *, width: int, near: Tensor, keep: Keep | None
) -> tuple[Tensor, Tensor, Tensor]:
    """(pixel, face, z) of every pixel centre inside F triangles."""
    triangle, row = _spread(bounds[:, 3] - bounds[:, 1])
    row = row + bounds[triangle, 1]
    slope, rest = edges[triangle, :, 0], _at_left(edges[triangle], row)
    # Columns between which all three functions can be positive.
    terms = edges.abs() @ torch.stack([bounds.new_tensor(width), bounds[:, 3].max(), bounds.new_tensor(1)]).to(edges)
    end = -(rest + _ROUNDING * terms[triangle]) / slope
    low, high = torch.where(slope > 0, end, -torch.inf).amax(1), torch.where(slope < 0, end, torch.inf).amin(1)
    first = (low - 0.5 - _SLACK).ceil().maximum(bounds[triangle, 0]).long()
    last = ((high - 0.5 + _SLACK).floor() + 1).minimum(bounds[triangle, 2]).long()
    line, column = _spread((last - first).clamp(min=0))
    triangle, row, column = triangle[line], row[line], column + first[line]
    values = slope[line] * (column + 0.5)[:, None] + rest[line]
    ours = (edges[..., 0] > 0) | ((edges[..., 0] == 0) & (edges[..., 1] > 0))  # of the two sides of an edge
    total = values.sum(1)
    z = area[triangle] / total
    hit = (((values > 0) | ((values == 0) & ours[triangle])).all(1) & (total > 0) & (z > near)).nonzero()[:, 0]
    if keep is not None:
        hit = hit[keep(index[triangle[hit]], values[hit] / total[hit, None])]
    return (row * width + column)[hit], index[triangle[hit]], z[hit]


def _at_left(edges: Tensor, row: Tensor) -> Tensor:
    """(P, 3) edge functions (P, 3, 3) at the left side of rows of pixels."""
    return edges[..., 1] * (row + 0.5)[:, None] + edges[..., 2]


def _shares(edges: Tensor, area: Tensor, row: Tensor, column: Tensor) -> tuple[Tensor, Tensor]:
    """(P, 3) weights of the corners, and z (P), at the centres of pixels."""
    values = edges[..., 0] * (column + 0.5)[:, None] + _at_left(edges, row)
    total = values.sum(1)
    return values / total[:, None], area / total

"""Exact pictures of ellipsoids: where each row of pixels meets each ellipsoid, then every pixel of those spans in closed form.

With w = A^-1 d and w_c = A^-1 c the ray X = l d meets the ellipsoid where |l w - w_c| = 1. The discriminant of this quadratic is
|w|^2 - |w x w_c|^2, a difference of squares of functions that are affine in the pixel and, taken from the ellipsoid's middle, small: nothing cancels,
so coefficients made in float64 are evaluated in float32. The near root is (|w_c|^2 - 1) / (w . w_c + sqrt(discriminant)).
"""

from collections.abc import Iterator
from dataclasses import dataclass, fields
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from .ellipsoids import Ellipsoids, outline_bounds

NEAR = 0.05  # metres in front of the camera
_NO_BID = torch.iinfo(torch.int64).max


@dataclass(frozen=True, eq=False, kw_only=True)
class Spans:
    """R runs of pixels inside the outline of one ellipsoid in one row, ordered so that a run of equal `rank` never meets a pixel twice.

    rank: (R) place of the ellipsoid in its image, nearest first. which: (R) int16, the ellipsoid. start: (R) first pixel in (N, H, W) flattened. ray: (R) the same in the table of
    ray lengths. count: (R) pixels. offset: (R) first pixel's column from the ellipsoid's anchor.
    root: (R, 3) discriminant and line: (R, 2) w . w_c as polynomials of the column, lowest power first, divided by (|w_c|^2 - 1)^2 and |w_c|^2 - 1.
    slope: (R, 3, 3) gradient of the quadric: at a ray, its step along the columns, at the centre.
    """

    rank: np.ndarray
    which: np.ndarray
    start: np.ndarray
    ray: np.ndarray
    count: np.ndarray
    offset: np.ndarray
    root: np.ndarray
    line: np.ndarray
    slope: np.ndarray

    def blocks(self, pixels: int) -> Iterator["Spans"]:
        """Consecutive parts of equal rank with about `pixels` pixels."""
        total = np.cumsum(self.count) - self.count
        part = total // pixels
        cuts = np.flatnonzero((np.diff(self.rank) != 0) | (np.diff(part) != 0)) + 1
        edges = [0, *cuts.tolist(), len(self.rank)]
        for first, last in pairwise(edges):
            if last > first:
                yield Spans(**{field.name: getattr(self, field.name)[first:last] for field in fields(self)})


def ray_lengths(intrinsics: Tensor, height: int, width: int) -> Tensor:
    """(V, H, W) float32 length of the ray through each pixel centre whose z is 1."""
    inverse = torch.linalg.inv(intrinsics.double())
    u = torch.arange(width, dtype=torch.float64) + 0.5
    v = torch.arange(height, dtype=torch.float64) + 0.5
    rows = inverse[:, None, :, 1] * v[:, None] + inverse[:, None, :, 2]  # (V, H, 3)
    columns = inverse[:, None, :, 0] * u[:, None]  # (V, W, 3)
    square = sum((rows[..., axis, None] + columns[:, None, :, axis]).square() for axis in range(3))
    return square.sqrt_().float()


def trace_spans(ellipsoids: Ellipsoids, intrinsics: Tensor, views: Tensor, height: int, width: int) -> Spans:
    """Find the spans of N images.

    Args:
        ellipsoids: (N, E) in camera axes. One that holds the camera or lies behind it is left out.
        intrinsics: (N, 3, 3). views: (N) row of each image in the table of ray lengths.
    """
    pair, top, rows = _visible_pairs(ellipsoids, intrinsics, height, width)
    image, which = pair[:, 0], pair[:, 1]
    table = _pair_coefficients(ellipsoids.centers[image, which], ellipsoids.axes[image, which], intrinsics[image], height, width)
    # From here on one entry for each row of pixels: (R, ...).
    owner = np.repeat(np.arange(len(rows)), rows)
    row = np.arange(len(owner)) - np.repeat(np.cumsum(rows) - rows, rows) + top[owner]
    of = {name: values[owner] for name, values in table.items()}
    dv = row + 0.5 - of["anchor"][:, 1]
    c0, c1, c2 = (
        of["root"][:, 0] + dv * (of["root"][:, 1] + dv * of["root"][:, 2]),
        of["root"][:, 3] + dv * of["root"][:, 4],
        of["root"][:, 5],
    )
    first, count = _columns(c0, c1, c2, of["anchor"][:, 0], width)
    kept = np.flatnonzero(count > 0)
    owner, row, first, count, dv = owner[kept], row[kept], first[kept], count[kept], dv[kept]
    line = of["line"][kept]
    slope = of["slope"][kept]
    slope[:, 0] += dv[:, None] * of["slope_v"][kept]
    image = image.numpy()[owner]
    pixel = row * width + first
    return Spans(
        rank=pair[:, 2].numpy()[owner],
        which=which.numpy().astype(np.int16)[owner],
        start=image.astype(np.int64) * (height * width) + pixel,
        ray=views.numpy()[image].astype(np.int64) * (height * width) + pixel,
        count=count,
        offset=(first + 0.5 - of["anchor"][kept, 0]).astype(np.float32),
        root=np.stack([c0[kept], c1[kept], c2[kept]], -1).astype(np.float32),
        line=np.stack([line[:, 0] + dv * line[:, 2], line[:, 1]], -1).astype(np.float32),
        slope=slope.astype(np.float32),
    )


def _visible_pairs(ellipsoids: Ellipsoids, intrinsics: Tensor, height: int, width: int) -> tuple[Tensor, np.ndarray, np.ndarray]:
    """Pairs (P, 3) of image, ellipsoid and rank that may be seen, ordered by rank; the top row and the number of rows (P) of each."""
    centers = ellipsoids.centers
    bounds, whole = outline_bounds(ellipsoids, intrinsics[:, None])
    distance = centers.norm(dim=-1)
    order = distance.argsort(-1)  # near ellipsoids first, so that most hidden pixels are never shaded
    reach = ellipsoids.axes[..., 2, :].norm(dim=-1)
    outside = torch.linalg.solve(ellipsoids.axes, centers[..., None])[..., 0].norm(dim=-1) > 1
    left, top, right, bottom = bounds.unbind(-1)
    visible = ellipsoids.present & outside & (centers[..., 2] + reach > NEAR)
    visible &= whole | ((right > 0) & (left < width) & (bottom > 0) & (top < height))
    first = (top - 0.5).ceil().clamp(0, height)
    rows = ((bottom - 0.5).floor() + 1).clamp(0, height) - first
    rank, image = torch.nonzero(visible.gather(1, order).T, as_tuple=True)
    which = order[image, rank]
    chosen = (image, which)
    return torch.stack([image, which, rank], -1), first[chosen].long().numpy(), rows[chosen].clamp(min=0).long().numpy()


def _pair_coefficients(centers: Tensor, axes: Tensor, intrinsics: Tensor, height: int, width: int) -> dict[str, np.ndarray]:
    """Everything about P ellipsoids that does not depend on the pixel, as polynomials in the pixel's distance (du, dv) from an anchor."""
    whiten = torch.linalg.inv(axes)
    inverse = torch.linalg.inv(intrinsics)
    # The anchor is the picture of the centre; an ellipsoid beside or over the camera takes the middle of the image instead.
    ahead = centers[:, 2] ** 2 > axes[:, 2].square().sum(-1)
    middle = (inverse @ torch.tensor([width / 2, height / 2, 1.0], dtype=torch.float64)[:, None])[..., 0]
    ray = torch.where(ahead[:, None], centers / torch.where(ahead, centers[:, 2], 1.0)[:, None], middle)
    anchor = (intrinsics @ ray[..., None])[..., :2, 0]

    def turned(vectors: Tensor) -> Tensor:
        return (whiten @ vectors[..., None])[..., 0]

    center, w, wu, wv = turned(centers), turned(ray), turned(inverse[..., 0]), turned(inverse[..., 1])
    k, ku, kv = (torch.linalg.cross(vector, center) for vector in (w, wu, wv))
    k = torch.where(ahead[:, None], 0.0, k)

    def form(a: Tensor, b: Tensor, ka: Tensor, kb: Tensor) -> Tensor:
        return (a * b - ka * kb).sum(-1)

    gamma = center.square().sum(-1) - 1
    root = [form(w, w, k, k), 2 * form(w, wv, k, kv), form(wv, wv, kv, kv), 2 * form(w, wu, k, ku), 2 * form(wu, wv, ku, kv)]
    root = torch.stack([*root, form(wu, wu, ku, ku)], -1) / gamma.square()[:, None]
    line = torch.stack([(w * center).sum(-1), (wu * center).sum(-1), (wv * center).sum(-1)], -1) / gamma[:, None]
    gradient = whiten.mT @ torch.stack([w, wu, center, wv], -1)  # (P, 3, 4)
    return {
        "anchor": anchor.numpy(),
        "root": root.numpy(),
        "line": line.numpy(),
        "slope": gradient[..., :3].mT.contiguous().numpy(),
        "slope_v": gradient[..., 3].numpy(),
    }


def _columns(c0: np.ndarray, c1: np.ndarray, c2: np.ndarray, anchor: np.ndarray, width: int) -> tuple[np.ndarray, np.ndarray]:
    """First column and number of columns where c0 + c1 x + c2 x^2 >= 0; the whole row where the outline is no ellipse (c2 >= 0)."""
    ellipse = c2 < 0
    square = c1 * c1 - 4 * c2 * c0
    half = np.sqrt(np.maximum(square, 0)) / np.where(ellipse, -2 * c2, 1)
    middle = anchor + c1 / np.where(ellipse, -2 * c2, 1)
    first = np.where(ellipse, np.clip(np.ceil(middle - half - 0.5), 0, width), 0)
    last = np.where(ellipse, np.clip(np.floor(middle + half - 0.5), -1, width - 1), width - 1)
    count = np.where(ellipse & (square < 0), 0, last - first + 1)
    return first.astype(np.int64), np.maximum(count, 0).astype(np.int64)


def fill_numpy(
    spans: Spans, rays: np.ndarray, depth: np.ndarray, normal: np.ndarray, mask: np.ndarray, ids: np.ndarray, *, pixels: int = 1 << 14
) -> None:
    """Draw the spans, in blocks that stay in the cache, into contiguous arrays that are 0, the ids -1, at the start.

    Args:
        rays: (V H W) of `ray_lengths`. depth: (N, H, W) metres. normal: (N, H, W, 3). mask: (N, H, W) bool. ids: (N, H, W) int16.
    """
    depth, mask, ids, flat = depth.reshape(-1), mask.reshape(-1), ids.reshape(-1), normal.reshape(-1)
    for block in spans.blocks(pixels):
        count = block.count
        step = np.arange(count.sum())
        step -= np.repeat(np.cumsum(count) - count, count)
        x = np.repeat(block.offset, count)
        x += step
        root = x * np.repeat(block.root[:, 2], count)
        root += np.repeat(block.root[:, 1], count)
        root *= x
        root += np.repeat(block.root[:, 0], count)
        line = x * np.repeat(block.line[:, 1], count)
        line += np.repeat(block.line[:, 0], count)
        inside = root >= 0
        np.sqrt(np.maximum(root, 0, out=root), out=root)
        root += line
        inside &= root > 0
        z = np.reciprocal(root, out=root, where=inside)
        target = np.repeat(block.start, count)
        target += step
        step += np.repeat(block.ray, count)
        near = z * rays[step]
        before = depth[target]
        inside &= z > NEAR
        inside &= (near < before) | (before == 0)
        kept = np.flatnonzero(inside)
        target = target[kept]
        depth[target] = near[kept]
        mask[target] = True
        row = np.repeat(np.arange(len(count)), count)[kept]
        ids[target] = block.which[row]
        _shade_numpy(block.slope, row, x[kept], z[kept], 3 * target, flat)


def _shade_numpy(slope: np.ndarray, row: np.ndarray, x: np.ndarray, z: np.ndarray, index: np.ndarray, flat: np.ndarray) -> None:
    """Write the unit gradient at the hit z (at_ray + x along_columns) - at_centre of each pixel."""
    parts = []
    for axis in range(3):
        part = slope[:, 1, axis].copy()[row]
        part *= x
        part += slope[:, 0, axis].copy()[row]
        part *= z
        part -= slope[:, 2, axis].copy()[row]
        parts.append(part)
    length = np.sqrt(parts[0] * parts[0] + parts[1] * parts[1] + parts[2] * parts[2])
    for part in parts:
        part /= length
        flat[index] = part
        index += 1


def fill_torch(spans: Spans, rays: Tensor, depth: Tensor, normal: Tensor, mask: Tensor, ids: Tensor, *, pixels: int = 1 << 23) -> None:
    """The same as `fill_numpy` on the device of its tensors, with few and long operations.

    Every pixel of every span bids for its target with depth and span in one integer, the bits of a positive float being in its order; the lowest bid wins,
    and only winners are shaded. Of two surfaces at the same distance the span that comes first wins, as there.
    """
    device, depth, mask, ids, normal = depth.device, depth.view(-1), mask.view(-1), ids.view(-1), normal.view(-1, 3)
    on = {field.name: torch.from_numpy(getattr(spans, field.name)).to(device) for field in fields(spans)}
    bids = torch.full(depth.shape, _NO_BID, device=device)
    ends = np.cumsum(spans.count)
    cuts = np.searchsorted(ends, np.arange(pixels, int(ends[-1]) if len(ends) else 0, pixels)).tolist()
    for first, last in pairwise([0, *cuts, len(ends)]):
        total = int(spans.count[first:last].sum())
        count = on["count"][first:last]
        span = torch.repeat_interleave(torch.arange(first, last, device=device), count, output_size=total)
        step = torch.arange(total, device=device) - (count.cumsum(0) - count)[span - first]
        z = _hits(on, span, on["offset"][span] + step)
        near = z * rays[on["ray"][span] + step]
        bid = (near.view(torch.int32).long() << 32) | span
        bids.scatter_reduce_(0, on["start"][span] + step, torch.where(z > NEAR, bid, _NO_BID), "amin")
    target = (bids != _NO_BID).nonzero()[:, 0]
    won = bids[target]
    span = won & 0xFFFFFFFF
    x = on["offset"][span] + (target - on["start"][span])
    z, slope, x = _hits(on, span, x)[:, None], on["slope"][span], x[:, None]
    depth[target] = (won >> 32).int().view(torch.float32)
    mask[target] = True
    ids[target] = on["which"][span]
    gradient = z * (slope[:, 0] + x * slope[:, 1]) - slope[:, 2]
    normal[target] = gradient / gradient.norm(dim=-1, keepdim=True)


def _hits(on: dict[str, Tensor], span: Tensor, x: Tensor) -> Tensor:
    """z of the near hits at columns `x` from the anchors of spans, 0 where they miss."""
    root, line = on["root"][span], on["line"][span]
    square = root[:, 0] + x * (root[:, 1] + x * root[:, 2])
    divisor = square.clamp(min=0).sqrt() + (line[:, 0] + x * line[:, 1])
    return torch.where((square >= 0) & (divisor > 0), 1 / divisor, 0.0)

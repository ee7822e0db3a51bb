"""Where joints stand that several cameras see: pairs of rays, the pair that most views agree with, and a refit to those."""

from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

SHARPEST_DEG, WIDEST_DEG = 15.0, 165.0  # between two rays; outside, noise along them grows without bound
_AGREEING = 0.012  # of the longer side of the picture, the distance of a view that agrees
_LOOSEST = 0.1
_FLOOR, _CEILING = 1e-4, 0.02  # of the longer side of the picture, bounds of the noise
_MOST_PAIRS = 45


@dataclass(frozen=True, eq=False, kw_only=True)
class Views:
    """What the solvers know of V cameras: pixels (V, T, J, 2) with 0 where missing, confidence (V, T, J), projections (V, 1 or T, 3, 4) to pixels.

    side: the longer side of the pictures in pixels.
    """

    projections: Tensor
    pixels: Tensor
    confidence: Tensor
    side: int

    def project(self, points: Tensor) -> tuple[Tensor, Tensor]:
        """Points (T, J, 3) to pixels (V, T, J, 2) and depth (V, T, J); behind a camera pixels are far away and never NaN."""
        seen = points @ self.projections[..., :3].mT + self.projections[..., None, :, 3]
        depth = seen[..., 2]
        return seen[..., :2] / depth.clamp(min=1e-9)[..., None], depth

    def distances(self, points: Tensor) -> Tensor:
        """(V, T, J) pixels between points and keypoints; far where the point is behind the camera or the keypoint is missing."""
        pixels, depth = self.project(points)
        distance = (pixels - self.pixels).norm(dim=-1)
        return torch.where((depth > 0) & (self.confidence > 0), distance, 1e6)

    def rays(self) -> tuple[Tensor, Tensor]:
        """Camera centres (V, 1 or T, 1, 3) and unit directions (V, T, J, 3) through the keypoints."""
        inverse = torch.linalg.inv(self.projections[..., :3])
        centers = -(inverse @ self.projections[..., 3:])[..., 0]
        homogeneous = torch.cat([self.pixels, torch.ones_like(self.pixels[..., :1])], -1)
        directions = homogeneous @ inverse.mT
        return centers[..., None, :], directions / directions.norm(dim=-1, keepdim=True)


@dataclass(frozen=True, eq=False, kw_only=True)
class Rough:
    """A first answer, frame by frame: points (T, J, 3), NaN where unresolved; agreeing (V, T, J); noise_px of one coordinate; threshold_px."""

    points: Tensor
    agreeing: Tensor
    noise_px: float
    threshold_px: float


def intersect_pairs(views: Views) -> Rough:
    """Each joint of each frame from the pair of rays that most views agree with, then from all views that agree (two refits).

    A joint is resolved by two agreeing views whose rays meet at 15 to 165 degrees. Where calibration is so rough that fewer than half of the joints with such
    rays are, the distance that counts as agreement is doubled, up to a tenth of the picture.
    """
    centers, directions = views.rays()
    threshold = _AGREEING * views.side
    while True:
        best, score, possible = _best_pair(views, centers, directions, threshold)
        points, agreeing = _refit(views, centers, directions, best, threshold)
        resolved = torch.isfinite(score) & well_placed(directions, agreeing)
        if 2 * resolved.sum() >= possible.sum() or threshold >= _LOOSEST * views.side:
            break
        threshold = min(2 * threshold, _LOOSEST * views.side)
    agreeing = agreeing & resolved
    points = torch.where(resolved[..., None], points, torch.nan)
    return Rough(points=points, agreeing=agreeing, noise_px=_noise(views, points, agreeing), threshold_px=threshold)


def _pairs(centers: Tensor) -> list[tuple[int, int]]:
    """All pairs of views; of many views those nearest to a right angle as seen from the middle of all."""
    pairs = list(combinations(range(len(centers)), 2))
    if len(pairs) <= _MOST_PAIRS:
        return pairs
    away = centers.mean((1, 2)) - centers.mean((0, 1, 2))
    away = away / away.norm(dim=-1, keepdim=True).clamp(min=1e-12)
    straight = {(a, b): float((away[a] * away[b]).sum().abs()) for a, b in pairs}
    kept: list[tuple[int, int]] = []
    for view in range(len(centers)):  # every view has its best partners
        kept += sorted((pair for pair in pairs if view in pair), key=straight.get)[: max(2, _MOST_PAIRS // len(centers))]
    return sorted(set(kept))


def _best_pair(views: Views, centers: Tensor, directions: Tensor, threshold: float) -> tuple[Tensor, Tensor, Tensor]:
    """Points (T, J, 3), their score (T, J), infinite without a pair that agrees with itself, and (T, J) where two views see at a fit angle."""
    shape = views.pixels.shape[1:3]
    best = torch.zeros(*shape, 3).to(views.pixels)
    score = torch.full(shape, torch.inf).to(views.pixels)
    possible = torch.zeros(shape, dtype=torch.bool, device=score.device)
    seen = views.confidence > 0
    for a, b in _pairs(centers):
        points, fit = _meet(centers[a], directions[a], centers[b], directions[b])
        fit = fit & seen[a] & seen[b]
        possible |= fit
        distance = views.distances(points)
        fit = fit & (distance[a] < threshold) & (distance[b] < threshold)
        cost = (views.confidence * distance.clamp(max=threshold)).sum(0)
        better = fit & (cost < score)
        best, score = torch.where(better[..., None], points, best), torch.where(better, cost, score)
    return best, score, possible


def _meet(from_a: Tensor, a: Tensor, from_b: Tensor, b: Tensor) -> tuple[Tensor, Tensor]:
    """The middle (T, J, 3) of the shortest line between two rays, and whether they meet at a fit angle."""
    cosine = (a * b).sum(-1)
    fit = _fit_angle(cosine)
    apart = from_b - from_a
    along_a, along_b = (a * apart).sum(-1), (b * apart).sum(-1)
    square = (1 - cosine**2).clamp(min=1e-9)
    at_a, at_b = (along_a - cosine * along_b) / square, (cosine * along_a - along_b) / square
    return (from_a + at_a[..., None] * a + from_b + at_b[..., None] * b) / 2, fit


def _fit_angle(cosine: Tensor) -> Tensor:
    low, high = torch.deg2rad(torch.tensor([WIDEST_DEG, SHARPEST_DEG], dtype=torch.float64)).cos().tolist()
    return (cosine > low) & (cosine < high)


def _refit(views: Views, centers: Tensor, directions: Tensor, points: Tensor, threshold: float) -> tuple[Tensor, Tensor]:
    """Points (T, J, 3) that are nearest, in pixels, to the rays of the views that agree, and those views (V, T, J)."""
    across = torch.eye(3).to(points) - directions[..., :, None] * directions[..., None, :]
    agreeing = views.distances(points) < threshold
    for _ in range(2):
        reach = (points - centers).norm(dim=-1).clamp(min=1e-9)  # a pixel is as wide as the point is far
        weight = views.confidence * agreeing / reach**2
        matrix = torch.einsum("vtj,vtjab->tjab", weight, across)
        toward = torch.einsum("vtj,vtjab,vtjb->tja", weight, across, centers.expand_as(directions))
        scale = matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True).clamp(min=1e-30)[..., None]
        ridge = 1e-12 * torch.eye(3).to(points)
        moved = torch.linalg.solve(matrix / scale + ridge, (toward / scale[..., 0] + 1e-12 * points)[..., None])[..., 0]
        points = torch.where((agreeing.sum(0) >= 2)[..., None], moved, points)
        agreeing = views.distances(points) < threshold
    return points, agreeing


def well_placed(directions: Tensor, agreeing: Tensor) -> Tensor:
    """(T, J) whether two of the agreeing views see at a fit angle."""
    placed = torch.zeros(agreeing.shape[1:], dtype=torch.bool, device=agreeing.device)
    for a, b in combinations(range(len(agreeing)), 2):
        placed |= agreeing[a] & agreeing[b] & _fit_angle((directions[a] * directions[b]).sum(-1))
    return placed


def _noise(views: Views, points: Tensor, agreeing: Tensor) -> float:
    """Pixels of one coordinate of a keypoint of full confidence: the median over all points of what their views leave, which outliers do not move."""
    square = torch.where(agreeing, views.confidence * views.distances(points.nan_to_num()) ** 2, 0.0).sum(0)
    freedom = 2.0 * agreeing.sum(0) - 3
    known = freedom > 0
    low, high = _FLOOR * views.side, _CEILING * views.side
    if not known.any():
        return low
    freedom = freedom[known]
    median = freedom * (1 - 2 / (9 * freedom)) ** 3  # of the chi-square distribution (Wilson and Hilferty)
    return min(max(float((square[known] / median).median().sqrt()), low), high)

"""Gaps in the joints of a clip: single frames that jump away, and places for what is missing."""

from itertools import product

import torch
from torch import Tensor

from ..types import Skeleton
from .rotations import nearest_rotation

_AWAY = 0.05  # of the body, the least that counts as a jump
_JUMP = 50.0  # body sizes over fps squared that count as one: those of 100 body sizes per second squared, which nobody reaches
_NEAR = 3  # frames before and after


def without_jumps(points: Tensor, known: Tensor, *, size: float, fps: float) -> Tensor:
    """The known (T, J) less those whose point (T, J, 3) lies far from every line between one of three frames before and one of three after.

    `size` is that of the body. A frame with fewer than two known on either side is kept, as is a joint of which a quarter jumps: there it is no exception.
    """
    frames, gap = len(points), torch.full_like(points[:1], torch.nan).expand(_NEAR, -1, -1)
    padded = torch.cat([gap, torch.where(known[..., None], points, torch.nan), gap])
    away, lines = torch.full_like(points[..., 0], torch.inf), torch.zeros_like(known, dtype=torch.int64)
    for before, after in product(range(1, _NEAR + 1), repeat=2):
        first, last = padded[_NEAR - before :][:frames], padded[_NEAR + after :][:frames]
        distance = (points - torch.lerp(first, last, before / (before + after))).norm(dim=-1)
        away, lines = torch.where(distance < away, distance, away), lines + torch.isfinite(distance)
    jump = known & (lines >= 4) & (away > size * max(_AWAY, _JUMP / fps**2))
    return known & ~(jump & (4 * jump.sum(0) < known.sum(0)))


def fill_gaps(points: Tensor, known: Tensor, skeleton: Skeleton) -> Tensor:
    """Points (T, J, 3) everywhere: a joint keeps the way from its parent, between the frames that show it; one that is never shown, that of the rest pose."""
    filled = points.clone()
    shown = known.any(0)
    middles = _between(torch.where(known[..., None], points, 0.0).sum(1) / known.sum(1, keepdim=True).clamp(min=1), known.any(1))
    turns = None
    for joint, parent in enumerate(skeleton.parents):
        base = filled[:, parent] if parent >= 0 else middles
        if shown[joint]:
            filled[:, joint] = base + _between(points[:, joint] - base, known[:, joint])
        elif skeleton.rest is None or parent < 0:
            filled[:, joint] = base
        else:
            turns = _body_turns(points, known, skeleton) if turns is None else turns
            rest = skeleton.rest.to(points)
            filled[:, joint] = base + turns @ (rest[joint] - rest[parent])
    return filled


def _between(track: Tensor, known: Tensor) -> Tensor:
    """A track (T, C) on a straight line between the frames (T) that are known, held before and after."""
    frames = torch.arange(len(track), device=track.device)
    there = known.nonzero()[:, 0]
    after = torch.searchsorted(there, frames).clamp(max=len(there) - 1)
    before = torch.where(there[after] > frames, after - 1, after).clamp(min=0)
    first, last = there[before], there[after]
    share = ((frames - first) / (last - first).clamp(min=1)).clamp(0, 1).to(track)[:, None]
    return torch.lerp(track[first], track[last], share)


def _body_turns(points: Tensor, known: Tensor, skeleton: Skeleton) -> Tensor:
    """(T, 3, 3) turn and scale of the rest pose to the joints of each frame (Kabsch), that of the nearest frame where fewer than three are known."""
    rest = skeleton.rest.to(points)
    enough = known.sum(1) >= 3
    if not enough.any():
        return torch.eye(3).to(points).expand(len(points), 3, 3)
    weight = known.to(points)[..., None]
    total = weight.sum(1, keepdim=True).clamp(min=1)
    there = points.nan_to_num()
    away, still = ((part - (weight * part).sum(1, keepdim=True) / total) * weight for part in (there, rest.expand_as(there)))
    turns = nearest_rotation(away.mT @ still)
    scale = (away.square().sum((1, 2)) / still.square().sum((1, 2)).clamp(min=torch.finfo(points.dtype).tiny)).sqrt()
    chosen = enough.nonzero()[:, 0]
    nearest = chosen[(torch.arange(len(points), device=points.device)[:, None] - chosen).abs().argmin(1)]
    return turns[nearest] * scale[chosen].median()

"""Windows over a length that is too long for one pass, with weights that blend them. (Over views and time, and the blending: `progressive`.)"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import check_shapes

_GOLDEN = (5**0.5 - 1) / 2


@dataclass(frozen=True, eq=False)
class WindowPlan:
    """indices: int64 (n,) of each window. weights: float32 (n,) of each; they sum to one at every position of the length."""

    indices: Sequence[Tensor]
    weights: Sequence[Tensor]

    def __post_init__(self):
        for indices, weights in zip(self.indices, self.weights, strict=True):
            check_shapes("WindowPlan", indices=(indices, "n"), weights=(weights, "n"))

    @property
    def length(self) -> int:
        """Positions that are covered."""
        return 1 + max(int(indices.max()) for indices in self.indices)

    @property
    def closed(self) -> bool:
        """Whether a window goes over the end, back to the start."""
        return any(bool((indices.diff() < 0).any()) for indices in self.indices)


def plan_windows(length: int, size: int, overlap: int, *, closed: bool = False) -> WindowPlan:
    """Windows of `size` positions that cover `length` ones, each sharing at least `overlap` with the one before.

    A length up to the size is one window. Weights rise over an overlap and fall over the next in straight lines. Open windows stay inside:
    where the length does not come out even, overlaps are widened evenly. closed: the positions form a circle, and windows go round it.

    Raises:
        ValueError: a length or size below 1, or an overlap outside 0 to size - 1.
    """
    if length < 1 or size < 1:
        raise ValueError(f"windows of {size} over a length of {length}, expected at least 1 of both")
    if not 0 <= overlap < size:
        raise ValueError(f"windows of {size} overlap by {overlap}, expected 0 to {size - 1}")
    if length <= size:
        return _blended(length, length, [0], overlap)
    stride = size - overlap
    count = -(-length // stride) if closed else -(-(length - overlap) // stride)
    last = length if closed else length - size
    return _blended(length, size, [round(number * last / (count if closed else count - 1)) for number in range(count)], overlap)


def plan_tiles(length: int, size: int, *, closed: bool = False, origin: int = 0, overlap: int = 0) -> WindowPlan:
    """Windows side by side, all of them of one size, that share `overlap` positions, none by default.

    origin: where the first one begins. Where the length does not come out even, open tiles at the ends are moved inside, and closed ones go
    on at the start; positions that are then in several tiles are their mean.

    Raises:
        ValueError: a length or size below 1, or an overlap outside 0 to size - 1.
    """
    if length < 1 or size < 1:
        raise ValueError(f"tiles of {size} over a length of {length}, expected at least 1 of both")
    if not 0 <= overlap < size:
        raise ValueError(f"tiles of {size} overlap by {overlap}, expected 0 to {size - 1}")
    if length <= size:
        return _blended(length, length, [0], 0)
    stride = size - overlap
    if closed:
        return _blended(length, size, range(origin, origin + length, stride), overlap)
    starts = range(origin % stride - (stride if origin % stride else 0), length - overlap, stride)
    return _blended(length, size, list(dict.fromkeys(min(max(start, 0), length - size) for start in starts)), overlap)


def tile_origins(stride: int, count: int) -> list[int]:
    """Up to `count` different origins of tiles, 0 first, each as far from those before as the golden ratio takes it."""
    turns = range(8 * stride)
    return list(dict.fromkeys(int(stride * (turn * _GOLDEN % 1) + 0.5) % stride for turn in turns))[:count]


def _blended(length: int, size: int, starts: Sequence[int], overlap: int) -> WindowPlan:
    """Windows from these starts, round a circle, whose weights rise over `overlap` positions and fall over as many."""
    indices = [torch.arange(start, start + size) % length for start in starts]
    rise = torch.minimum(torch.arange(1, size + 1), torch.arange(size, 0, -1)).clamp(max=max(overlap, 1)).float()
    if len(starts) == 1:
        return WindowPlan(indices, [torch.ones(size)])
    total = torch.zeros(length)
    for positions in indices:
        total[positions] += rise
    return WindowPlan(indices, [rise / total[positions] for positions in indices])

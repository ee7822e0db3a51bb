"""Windows over a length that is too long for one pass, with weights that blend them. (Over views and time, and the blending: `progressive`.)"""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import check_shapes


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


def plan_tiles(length: int, size: int, *, closed: bool = False) -> WindowPlan:
    """Windows side by side that share nothing, all of them of one size.

    Where the length does not come out even, the last one is moved back, or closed goes on at the start; positions that are then in two tiles
    are their mean.

    Raises:
        ValueError: a length or size below 1.
    """
    if length < 1 or size < 1:
        raise ValueError(f"tiles of {size} over a length of {length}, expected at least 1 of both")
    size = min(size, length)
    return _blended(length, size, [start if closed else min(start, length - size) for start in range(0, length, size)], 0)


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

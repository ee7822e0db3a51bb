"""Windows over a length that is too long for one pass, with weights that blend them."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..shapes import check_shapes

# denoise(part of the latents, timestep (), window (n,) int64) -> prediction of the part
WindowDenoise = Callable[[Tensor, Tensor, Tensor], Tensor]


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
        return WindowPlan([torch.arange(length)], [torch.ones(length)])
    stride = size - overlap
    count = -(-length // stride) if closed else -(-(length - overlap) // stride)
    last = length if closed else length - size
    starts = [round(number * last / (count if closed else count - 1)) for number in range(count)]
    indices = [torch.arange(start, start + size) % length for start in starts]
    rise = torch.minimum(torch.arange(1, size + 1), torch.arange(size, 0, -1)).clamp(max=max(overlap, 1)).float()
    total = torch.zeros(length)
    for positions in indices:
        total[positions] += rise
    return WindowPlan(indices, [rise / total[positions] for positions in indices])


def fuse_windows(denoise: WindowDenoise, plan: WindowPlan, *, axis: int = 2) -> Callable[[Tensor, Tensor], Tensor]:
    """Denoise each window of `plan` alone and blend the predictions with the plan's weights, which sum to one everywhere.

    Args:
        axis: of the latents that the plan is over; 2 is time in (B, C, F, h, w).

    Returns:
        A function of latents and timestep; its predictions have the dtype of `denoise`.
    """

    def fused(latents: Tensor, timestep: Tensor) -> Tensor:
        if latents.shape[axis] != plan.length:
            raise ValueError(f"latents have {latents.shape[axis]} positions, the windows cover {plan.length}: plan them for this length")
        blended = None
        for indices, weights in zip(plan.indices, plan.weights, strict=True):
            rows = indices.to(latents.device)
            part = denoise(latents.index_select(axis, rows), timestep, indices)
            blended = part.new_zeros(latents.shape) if blended is None else blended
            along = [-1 if one == axis % latents.ndim else 1 for one in range(latents.ndim)]
            blended.index_add_(axis, rows, part * weights.to(part).view(along))
        return blended

    return fused

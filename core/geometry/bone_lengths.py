"""How long bones are: at rest, and in a clip whose joints are only roughly known."""

import torch
from torch import Tensor

from ..types import Skeleton

_OFTEN = 0.25  # of the frames: a bone whose two ends are known that often tells its own length
_SCATTERED = 0.25  # of a bone: frames whose lengths spread farther tell none
_TEMPLATE = 8.0  # frames: what a template counts for beside those that show a bone


def rest_lengths(skeleton: Skeleton) -> Tensor:
    """(J) lengths of the bones in the rest pose, 0 of roots; ValueError for a skeleton without one."""
    if skeleton.rest is None:
        raise ValueError(f"this skeleton of {len(skeleton.names)} joints has no rest pose to take lengths from: estimate them")
    above = [joint if parent < 0 else parent for joint, parent in enumerate(skeleton.parents)]
    return (skeleton.rest - skeleton.rest[above]).norm(dim=-1)


def measured_lengths(points: Tensor, known: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor, Tensor]:
    """(J) the median length of every bone over the frames that show both of its ends, over all frames where none does; (J) how many do; (J) the median
    deviation from it.

    points: (T, J, 3), finite. known: (T, J). All are 0 for roots.
    """
    lengths, count, spread = (torch.zeros_like(points[0, :, 0]) for _ in range(3))
    for child, parent in skeleton.bones:
        length = (points[:, child] - points[:, parent]).norm(dim=-1)
        both = known[:, child] & known[:, parent]
        count[child] = both.sum()
        shown = length[both] if both.any() else length
        lengths[child] = shown.median()
        spread[child] = (shown - lengths[child]).abs().median()
    return lengths, count, spread


def expected_lengths(points: Tensor, known: Tensor, skeleton: Skeleton) -> tuple[Tensor, Tensor]:
    """(J) lengths to start from, and (J) whether a bone is seen often and alike enough to find its own.

    One that is not keeps the mean of what its frames show and of a template, which counts for eight frames: the bone at rest, in the size that the other bones
    tell (the median of their ratios); without a rest pose the bone of the other side, or at most the median bone. Frames in which it is more than twice or
    less than half of that, or never alike, show something else.

    points: (T, J, 3), finite. known: (T, J), elsewhere points are filled.
    """
    measured, count, spread = measured_lengths(points, known, skeleton)
    often = count >= max(1, _OFTEN * len(points))
    told = (often if (often & (measured > 0)).any() else count > 0) & (measured > 0) & (spread <= _SCATTERED * measured)
    template = _template(measured, told, skeleton)
    if template is None:
        return measured, often
    alike = spread <= _SCATTERED * torch.maximum(measured, template)
    count = torch.where(alike, count, 0)
    guided = (count * measured.clamp(template / 2, 2 * template) + _TEMPLATE * template) / (count + _TEMPLATE)
    return torch.where(often & alike, measured, guided), often & alike


def _template(measured: Tensor, told: Tensor, skeleton: Skeleton) -> Tensor | None:
    """(J) lengths to be expected where the bones that are told (J) have these lengths; None where nothing is."""
    if skeleton.rest is not None:
        rest = rest_lengths(skeleton).to(measured)
        told = told & (rest > 0)
        return rest * (measured[told] / rest[told]).median() if told.any() else None
    if not told.any():
        return None
    other = torch.tensor(skeleton.mirror, device=measured.device)
    return torch.where(told[other], measured[other], measured.clamp(max=measured[told].median()))

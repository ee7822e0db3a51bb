"""What can be measured on a motion: bone lengths, stature, speed."""

import torch
from torch import Tensor

from ..skeletons import REST_STATURE, SMPL24
from ..types import Motion


def bone_distances(motion: Motion) -> Tensor:
    """(T, J) metres from each joint to its parent; NaN for roots and where either end is missing."""
    parents = torch.tensor(motion.skeleton.parents)
    above = parents.clamp(min=0)
    both = motion.seen & motion.seen[:, above] & (parents >= 0).to(motion.seen.device)
    return torch.where(both, (motion.joints - motion.joints[:, above]).norm(dim=-1), torch.nan)


def bone_lengths(motion: Motion) -> Tensor:
    """(J) metres, medians over time of `bone_distances`; NaN for roots and bones that are never seen."""
    return bone_distances(motion).nanmedian(0).values


def estimate_stature(motion: Motion) -> float | None:
    """Stature in metres, from the bones against those of the rest skeleton; None where none can be compared.

    The median of the ratios, weighted by length: long bones say more, and a joint gone astray says nothing. Bones are matched to SMPL's by the names of
    their ends.
    """
    names, lengths = motion.skeleton.names, bone_lengths(motion).double().cpu()
    rest = {
        (SMPL24.names[parent], SMPL24.names[child]): float((SMPL24.rest[child] - SMPL24.rest[parent]).norm())
        for child, parent in SMPL24.bones
    }
    known = [(child, ends) for child, parent in motion.skeleton.bones if (ends := (names[parent], names[child])) in rest]
    pairs = sorted((float(lengths[child]) / rest[ends], rest[ends]) for child, ends in known if lengths[child] > 0)
    if not pairs:
        return None
    ratios, weights = (torch.tensor(part, dtype=torch.float64) for part in zip(*pairs, strict=True))
    middle = int(torch.searchsorted(weights.cumsum(0), weights.sum() / 2))
    return float(ratios[middle]) * REST_STATURE


def joint_speed(motion: Motion) -> Tensor:
    """(T - 1, J) metres per second between neighbouring frames; NaN where either frame lacks the joint."""
    both = motion.seen[1:] & motion.seen[:-1]
    speed = (motion.joints[1:] - motion.joints[:-1]).norm(dim=-1) * motion.fps
    return torch.where(both, speed, torch.nan)

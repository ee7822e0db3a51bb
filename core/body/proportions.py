"""Lengths of a body: of its bones, of its limbs, and as parts of its stature."""

from dataclasses import replace

import torch
from torch import Tensor

from ..types import Motion, Skeleton
from .measurements import bone_lengths, estimate_stature
from .skeleton_conversion import smpl_names
from .smoothing import chain_of

LIMBS = ("torso", "arms", "legs", "head")


def limb_of(skeleton: Skeleton) -> tuple[str, ...]:
    """(J) the limb that the bone above each joint belongs to, by name: hips and shoulders end the torso, whose widths they are."""
    names = smpl_names(skeleton)
    named = replace(skeleton, names=names)
    wide = {"left_hip", "right_hip", "left_shoulder", "right_shoulder"}
    chains = {"hands": "arms"}
    return tuple("torso" if name in wide else chains.get(chain, chain) for name, chain in zip(names, chain_of(named), strict=True))


def target_lengths(target: Motion | Skeleton) -> Tensor:
    """(J) metres, the bones of a person or of a rest pose, left and right alike; NaN for roots and bones that are never seen.

    Medians over time of what each frame shows, and the mean of both sides. In a single frame the longer side counts, as a limb that points at the camera is
    easily found too short.

    Raises:
        ValueError: a skeleton without rest positions.
    """
    if isinstance(target, Skeleton):
        if target.rest is None:
            raise ValueError("the target skeleton has no rest positions and so no lengths: give it some, or a motion")
        lengths, single = rest_lengths(target), False
    else:
        lengths, single = bone_lengths(target).double().cpu(), target.frames == 1
    return _symmetric(lengths, target if isinstance(target, Skeleton) else target.skeleton, longer=single)


def rest_lengths(skeleton: Skeleton) -> Tensor:
    """(J) metres of the bones of a rest pose; NaN for roots."""
    above = torch.tensor(skeleton.parents)
    rest = skeleton.rest.double().cpu()
    return torch.where(above >= 0, (rest - rest[above.clamp(min=0)]).norm(dim=-1), torch.nan)


def _symmetric(lengths: Tensor, skeleton: Skeleton, *, longer: bool = False) -> Tensor:
    """Both sides the same: their mean, or the longer one; where one is unknown, the other."""
    both = torch.stack([lengths, lengths[list(skeleton.mirror)]])
    largest = both.nan_to_num(nan=-torch.inf).amax(0)
    return torch.where(torch.isfinite(largest), largest, torch.nan) if longer else both.nanmean(0)


def proportions_of(motion: Motion) -> Tensor:
    """(J) lengths of the bones as parts of the stature, left and right alike; NaN as in `target_lengths`. Times a stature they are a target for `retarget`.

    Raises:
        ValueError: a motion whose stature cannot be told, as none of its bones is SMPL's by name.
    """
    stature = estimate_stature(motion)
    if not stature:
        raise ValueError("the stature cannot be told: no bone of SMPL is seen; give the motion SMPL's joints with Convert Skeleton")
    return target_lengths(motion) / stature


def limb_lengths(motion: Motion) -> dict[str, float]:
    """Metres of all bones of each limb together, medians over time; limbs that are never seen are left out."""
    sums: dict[str, float] = {}
    for limb, length in zip(limb_of(motion.skeleton), bone_lengths(motion).tolist(), strict=True):
        if length > 0:
            sums[limb] = sums.get(limb, 0.0) + length
    return {limb: sums[limb] for limb in (*LIMBS, *sums) if limb in sums}


def limb_ratios(before: Motion, after: Motion) -> dict[str, float]:
    """How much longer each limb became."""
    old, new = limb_lengths(before), limb_lengths(after)
    return {limb: new[limb] / old[limb] for limb in old if limb in new}


def ratio_report(before: Motion, after: Motion) -> str:
    """What retargeting did, measured on the joints: lengths and ratio of each limb, stature, and what the motion says about itself."""
    old, new = limb_lengths(before), limb_lengths(after)
    lines = [f"{limb}: {old[limb]:.3f} -> {new[limb]:.3f} m, x {ratio:.3f}" for limb, ratio in limb_ratios(before, after).items()]
    statures = [estimate_stature(motion) for motion in (before, after)]
    if None not in statures:
        lines.append(f"stature: {statures[0]:.2f} -> {statures[1]:.2f} m")
    return "\n".join([*lines, *(f"note: {note}" for note in after.notes[len(before.notes) :])])

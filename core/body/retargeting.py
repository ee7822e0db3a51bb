"""The proportions of another body for a motion: bones take the other's lengths and keep their directions, feet keep their steps."""

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from ..types import Frame, Motion, Skeleton
from .contacts import detect_contacts, ground_joints
from .gaps import is_posed, reached
from .local_fits import smooth_tracks
from .measurements import bone_lengths
from .proportions import LIMBS, limb_of, limb_ratios, proportions_of, ratio_report, rest_lengths, target_lengths
from .skeleton_conversion import convert_skeleton, smpl_names

__all__ = ["LIMBS", "convert_skeleton", "proportions_of", "ratio_report", "retarget", "target_lengths"]

CLAMP = (0.5, 2.0)
SLIDERS = (0.2, 5.0)
_OVERALL = (0.1, 10.0)  # how much larger a whole body may become
_HAND_OVER = 0.1  # seconds in which the body passes its weight from one planted foot to the other
_NOT_PLANTED = 1e-3  # weight of the lowest foot while none is planted
_LOW = 0.03  # metres over the lower foot, at which a foot counts less
_SHORTEST = 1e-6  # metres
_UP = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


def retarget(
    motion: Motion,
    target: Motion | Skeleton | Tensor | None = None,
    *,
    factors: Mapping[str, float] | None = None,
    keep_contacts: bool = True,
    keep_stature: bool = False,
    clamp: tuple[float, float] = CLAMP,
) -> Motion:
    """Give a motion the bone lengths of another body. Bones keep their directions, and rotations stay as they are.

    All bones of a limb that the target does not show grow with the limb, and limbs that it does not show with the body. In world axes the floor stays at
    y = 0. In camera axes the body grows about the point on the floor where it first stands, which so keeps its place in the picture.

    Args:
        target: whose lengths to take: a motion (one frame will do, such as a reference picture's), a rest pose, lengths (J) in metres (NaN: unknown), or
            None: the motion's own. Bones are matched by the name of their joint.
        factors: further factors on torso, arms, legs and head (0.2 to 5).
        keep_contacts: True: steps grow with the legs, and the root moves so that planted feet stay planted. False: the way over the floor stays as long
            as it was, so that feet slide.
        keep_stature: take the proportions of the target, and keep the size of the whole.
        clamp: least and greatest ratio of a bone, relative to that of the whole body, that a target may ask for: a bone measured wrong does no harm.

    Raises:
        ValueError: a motion that shows nobody, a target without a bone in common, lengths of another number or not above 0, a factor or clamp out of range.
    """
    _check(factors or {}, clamp)
    if not motion.seen.any():
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to retarget")
    motion = motion.cpu()
    ratios, held = _ratios(motion, target, keep_stature, clamp)
    limbs = limb_of(motion.skeleton)
    ratios = ratios * torch.tensor([(factors or {}).get(limb, 1.0) for limb in limbs], dtype=torch.float64)
    if torch.allclose(ratios, torch.ones_like(ratios), rtol=0, atol=1e-9):
        return motion
    grown = _grown(motion, ratios)
    grown = _standing(motion, grown, _leg_ratio(motion, ratios), keep_contacts)
    note = "bones retargeted: " + ", ".join(f"{limb} x {ratio:.2f}" for limb, ratio in limb_ratios(motion, grown).items())
    if held:
        note += f"; held within {clamp[0]:g} to {clamp[1]:g} of the body's ratio: {', '.join(held)}"
    return replace(grown, shape=None, notes=(*motion.notes, note))


def _check(factors: Mapping[str, float], clamp: tuple[float, float]) -> None:
    if unknown := sorted(set(factors) - set(LIMBS)):
        raise ValueError(f"factors has {', '.join(unknown)}: expected {', '.join(LIMBS)}")
    for limb, factor in factors.items():
        if not SLIDERS[0] <= factor <= SLIDERS[1]:
            raise ValueError(f"the factor of {limb} is {factor}, expected {SLIDERS[0]:g} to {SLIDERS[1]:g}")
    if not 0 < clamp[0] <= 1 <= clamp[1]:
        raise ValueError(f"clamp is {clamp}, expected the least ratio above 0 and up to 1, and the greatest from 1")


def _ratios(
    motion: Motion, target: Motion | Skeleton | Tensor | None, keep_stature: bool, clamp: tuple[float, float]
) -> tuple[Tensor, list[str]]:
    """(J) factor on each bone, 1 for roots, and the names of those that had to be clamped."""
    skeleton = motion.skeleton
    if target is None:
        return torch.ones(len(skeleton.names), dtype=torch.float64), []
    own = _own_lengths(motion)
    ratios = _matched(skeleton, target) / own
    known = torch.isfinite(ratios)
    if not known.any():
        raise ValueError("the target has no bone in common with the motion: convert one of them with Convert Skeleton")
    overall = _weighted_median(ratios[known], own[known])
    if not _OVERALL[0] <= overall <= _OVERALL[1]:
        raise ValueError(
            f"the target is {overall:.3g} times as large as the body of the motion: expected 0.1 to 10; are its lengths in metres?"
        )
    bounded = ratios.clamp(overall * clamp[0], overall * clamp[1])
    held = [name for name, wanted, got in zip(skeleton.names, ratios.tolist(), bounded.tolist(), strict=True) if abs(wanted - got) > 1e-9]
    limbs, result = limb_of(skeleton), bounded
    for limb in LIMBS:
        chosen = torch.tensor([own_limb == limb for own_limb in limbs])
        shown = chosen & known
        rest = overall if not shown.any() else float((bounded * own)[shown].sum() / own[shown].sum())
        result = torch.where(chosen & ~known, rest, result)
    result[list(skeleton.roots)] = 1.0
    if keep_stature:
        bones = torch.isfinite(own)
        result = result / ((result * own)[bones].sum() / own[bones].sum())
        result[list(skeleton.roots)] = 1.0
    return result, held


def _weighted_median(values: Tensor, weights: Tensor) -> float:
    order = values.argsort()
    reached = weights[order].cumsum(0)
    return float(values[order][int(torch.searchsorted(reached, reached[-1] / 2))])


def _own_lengths(motion: Motion) -> Tensor:
    """(J) metres: of the rest pose where rotations lead from it to the joints, else medians over time; NaN where there is no bone."""
    lengths = rest_lengths(motion.skeleton) if is_posed(motion) else bone_lengths(motion).double()
    return torch.where(lengths > _SHORTEST, lengths, torch.nan)


def _matched(skeleton: Skeleton, target: Motion | Skeleton | Tensor) -> Tensor:
    """(J) metres of the target for each joint of the skeleton; NaN where it has none."""
    if isinstance(target, Tensor):
        if target.shape != (len(skeleton.names),):
            raise ValueError(f"the lengths have shape {tuple(target.shape)}, expected one for each of {len(skeleton.names)} joints")
        lengths = target.double().cpu()
        if (lengths <= 0)[list(child for child, _ in skeleton.bones)].any() or torch.isinf(lengths).any():
            raise ValueError("the lengths have values that are not above 0 or not finite: give metres, NaN for bones that are not known")
        return lengths
    other, lengths = (target if isinstance(target, Skeleton) else target.skeleton), target_lengths(target)
    names, others = smpl_names(skeleton), smpl_names(other)

    def bone(joint: int) -> tuple[str, str]:
        return skeleton.names[joint], skeleton.names[skeleton.parents[joint]]

    known = {(others[child], others[parent]): float(lengths[child]) for child, parent in other.bones if lengths[child] > _SHORTEST}
    return torch.tensor(
        [known.get((names[j], names[p]), torch.nan) if p >= 0 else torch.nan for j, p in enumerate(skeleton.parents)], dtype=torch.float64
    )


def _grown(motion: Motion, ratios: Tensor) -> Motion:
    """The motion with its bones scaled (J) from the root outwards; the root stays."""
    skeleton, posed = motion.skeleton, is_posed(motion)
    if skeleton.rest is not None and motion.rotations is not None:
        rest = skeleton.rest.double()
        grown = rest.clone()
        for joint, parent in skeleton.bones:
            grown[joint] = grown[parent] + ratios[joint] * (rest[joint] - rest[parent])
        feet = rest[:, 1].argmin()
        grown[:, 1] += rest[feet, 1] * ratios[feet] - grown[feet, 1]
        skeleton = replace(skeleton, rest=grown.to(skeleton.rest))
    result = replace(motion, skeleton=skeleton)
    joints = torch.where(motion.seen[..., None], motion.joints, 0.0).double()
    if posed:
        grown_joints = reached(result).double()
    else:
        away = torch.zeros_like(joints)
        for joint, parent in skeleton.bones:
            both = (motion.seen[:, joint] & motion.seen[:, parent])[:, None]
            away[:, joint] = away[:, parent] + torch.where(both, (ratios[joint] - 1) * (joints[:, joint] - joints[:, parent]), 0.0)
        grown_joints = joints + away
    return replace(result, joints=torch.where(motion.seen[..., None], grown_joints.to(motion.joints), motion.joints))


def _leg_ratio(motion: Motion, ratios: Tensor) -> float:
    """How much longer the legs get; without legs, the whole body."""
    lengths = _own_lengths(motion)
    legs = torch.tensor([limb == "legs" for limb in limb_of(motion.skeleton)]) & torch.isfinite(lengths)
    legs = legs if legs.any() else torch.isfinite(lengths)
    return float((ratios * lengths)[legs].sum() / lengths[legs].sum())


def _standing(motion: Motion, grown: Motion, ratio: float, keep_contacts: bool) -> Motion:
    """Move the grown body to where its feet stand, each place of the motion scaled by the ratio of the legs about where the body first stands."""
    before = torch.where(motion.seen[..., None], motion.joints, 0.0).double()
    after = torch.where(motion.seen[..., None], grown.joints, 0.0).double()
    feet = _feet(motion)
    anchor = _anchor(motion, before, feet)
    way = (ratio - 1) * (before[:, 0] - anchor)  # (T, 3) of the root
    wanted = anchor + ratio * (before[:, feet] - anchor)
    give = _give(wanted - after[:, feet] - way[:, None], *_weights(motion, feet), motion.seen[:, feet] & motion.seen[:, :1])
    if not keep_contacts:
        # The body stays where it was over the floor, and its feet at their usual height.
        way, give = way * _UP.abs(), give.median(0).values * _UP.abs()
    shift = way + give
    joints = torch.where(motion.seen[..., None], (grown.joints + shift[:, None]).to(grown.joints), grown.joints)
    translation = None if grown.translation is None else (grown.translation + shift).to(grown.translation)
    return replace(grown, joints=joints, translation=translation)


def _give(apart: Tensor, planted: Tensor, lowest: Tensor, seen: Tensor) -> Tensor:
    """(T, 3) how far the root gives way beyond its own, scaled way so that feet that are `apart` (T, C, 3) from where they belong stand still.

    Up and down the lowest foot is brought to its height. Over the floor only the change counts while a foot is planted, half of it for each of two: brought to
    its very place, a foot under wider hips would pull the body over with each step.
    """
    shown = seen.any(1)
    if not shown.any():
        return torch.zeros_like(apart[:, 0])
    place = _through_gaps((lowest[..., None] * apart).sum(1), shown)
    both = (seen[1:] & seen[:-1])[..., None]
    weights = torch.minimum(planted[1:], planted[:-1])[..., None] * both
    steps = (weights * apart.diff(dim=0)).sum(1) / weights.sum(1).clamp(min=1)
    way = torch.nn.functional.pad(steps.cumsum(0), (0, 0, 1, 0))
    way = way + (place - way)[shown].median(0).values
    return torch.where(_UP > 0, place, way)


def _through_gaps(values: Tensor, known: Tensor) -> Tensor:
    """(T, 3) on straight lines where they are not known (T), held at the ends."""
    frames, there = np.arange(len(values)), known.numpy()
    columns = [np.interp(frames, frames[there], column[there]) for column in values.numpy().T]
    return torch.from_numpy(np.stack(columns, -1))


def _feet(motion: Motion) -> list[int]:
    """Joints that can touch the floor; the root, where the skeleton has no feet."""
    return list(ground_joints(motion.skeleton)) if {"left_ankle", "right_ankle"} <= set(smpl_names(motion.skeleton)) else [0]


def _weights(motion: Motion, feet: list[int]) -> tuple[Tensor, Tensor]:
    """(T, C) 0..1 how firmly each of the feet is planted, and (T, C) shares of the lowest, which sum to 1; both pass from foot to foot without a jump."""
    seen, up = motion.seen[:, feet], 1.0 if motion.frame is Frame.WORLD else -1.0
    height = torch.where(seen, up * motion.joints[:, feet, 1].double(), torch.inf)
    lowest = torch.where(seen, ((height.amin(1, keepdim=True) - height) / _LOW).exp(), 0.0).nan_to_num(nan=0.0)
    planted = detect_contacts(motion) if len(feet) > 1 else torch.zeros_like(seen)
    lowest = torch.where(planted.any(1, keepdim=True), planted * seen + _NOT_PLANTED * lowest, lowest)
    everywhere = torch.ones_like(seen)
    planted, lowest = (
        smooth_tracks(weights.double()[..., None], width=_HAND_OVER / 2, fps=motion.fps, seen=everywhere, adaptive=False)[..., 0]
        for weights in (planted, lowest)
    )
    planted, lowest = (torch.where(seen, weights.clamp(0, 1), 0.0) for weights in (planted, lowest))
    return planted, lowest / lowest.sum(1, keepdim=True).clamp(min=1e-12)


def _anchor(motion: Motion, joints: Tensor, feet: list[int]) -> Tensor:
    """(3) the point on the floor where the body first stands: between its feet; at y = 0 in world axes."""
    shown = motion.seen[:, feet].any(1)
    first = int(shown.int().argmax())
    points = joints[first, feet][motion.seen[first, feet]]
    if len(points) == 0:
        return torch.zeros(3, dtype=joints.dtype)
    anchor = points.mean(0)
    world = motion.frame is Frame.WORLD
    anchor[1] = 0.0 if world else points[:, 1].max()
    return anchor

"""Smoothing a motion: a tremble goes, a punch stays sharp, at any frame rate."""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.rotations import nearest_rotation
from ..types import Motion, Skeleton
from .cuts import rejoined, shots
from .gaps import is_posed, known_rotations, reached
from .local_fits import smooth_tracks
from .measurements import bone_distances

CHAINS = ("torso", "arms", "legs", "head", "hands")
_PARTS = (
    ("hands", "thumb|index|middle|ring|pinky|hand|finger"),
    ("legs", "hip|thigh|knee|calf|ankle|foot|toe|heel"),
    ("arms", "shoulder|elbow|wrist|arm"),
    ("head", "neck|head|jaw|eye|ear|nose"),
)
_CONSTANT = 2e-3  # of its length, that a bone may vary and count as constant
_LEAST_REACH = 0.05  # metres that a rotation moves at least


def chain_of(skeleton: Skeleton) -> tuple[str, ...]:
    """(J) the chain of each joint, by its name; what has none of the names is torso."""
    hips = {"hips", "pelvis"}

    def chain(name: str) -> str:
        if name.lower() in hips:
            return "torso"
        return next((part for part, words in _PARTS if re.search(words, name.lower())), "torso")

    return tuple(map(chain, skeleton.names))


def smooth(
    motion: Motion, *, seconds: float, adaptive: bool = True, chains: Mapping[str, float] | None = None, cuts: Sequence[int] = ()
) -> Motion:
    """Smooth a motion without delaying it; how the width follows the motion, and what it was compared with, stands in `local_fits`.

    The root is smoothed in space, all other joints relative to the smoothed root. Where rotations lead to the joints, the rotations are smoothed
    instead and the joints follow from them, so that the bones keep their lengths; without, bones whose length is constant keep it. A rotation
    counts as many metres as it moves the farthest joint that it carries; the mean is that of the matrices, made a rotation again. Nothing is smoothed across
    a gap, and what is missing stays missing.

    Args:
        seconds: reach of the widest window to either side (two standard deviations of its bell); 0 changes nothing.
        adaptive: narrow the window where the motion is fast or turns sharply; off: one width everywhere.
        chains: factors on `seconds` for torso, arms, legs, head and hands; 1 where not given.
        cuts: first frames of the shots after the first; each shot is smoothed for itself.

    Raises:
        ValueError: seconds outside 0..2, an unknown chain, a factor outside 0..10, or cuts that are not increasing frame numbers after frame 0.
    """
    factors = dict.fromkeys(CHAINS, 1.0) | dict(chains or {})
    _check(seconds, factors)
    motion = motion.cpu()
    pieces = shots(motion, cuts)
    widths = [seconds / 2 * factors[chain] for chain in chain_of(motion.skeleton)]
    if motion.frames < 3 or max(widths) == 0 or not motion.seen.any():
        return motion
    posed = is_posed(motion)
    smoothed = rejoined(motion, [_smooth_shot(shot, widths, adaptive, posed) for shot in pieces])
    note = f"smoothed over {seconds:g} s" + ("" if adaptive else ", at one width")
    return replace(smoothed, notes=(*motion.notes, note))


def _smooth_shot(motion: Motion, widths: Sequence[float], adaptive: bool, posed: bool) -> Motion:
    if motion.frames < 3 or not motion.seen.any():
        return motion
    roots = _smoothed(motion.joints[:, :1], widths[:1], motion, motion.seen[:, :1], adaptive)
    rotations = None if motion.rotations is None else _rotations(motion, widths, adaptive)
    shift = torch.where(motion.seen[:, :1], roots[:, 0] - motion.joints[:, 0], 0.0)
    translation = None if motion.translation is None else motion.translation + shift
    changed = replace(motion, rotations=rotations, translation=translation)
    joints = reached(changed).to(motion.joints) if posed else _positions(motion, shift, widths, adaptive)
    return replace(changed, joints=torch.where(motion.seen[..., None], joints, motion.joints))


def _check(seconds: float, factors: Mapping[str, float]) -> None:
    if not 0 <= seconds <= 2:
        raise ValueError(f"seconds is {seconds}, expected 0 (no smoothing) to 2")
    if unknown := sorted(set(factors) - set(CHAINS)):
        raise ValueError(f"chains has {', '.join(unknown)}: expected {', '.join(CHAINS)}")
    for chain, factor in factors.items():
        if not 0 <= factor <= 10:
            raise ValueError(f"the factor of {chain} is {factor}, expected 0 (leave as it is) to 10")


def _smoothed(values: Tensor, widths: Sequence[float], motion: Motion, seen: Tensor, adaptive: bool) -> Tensor:
    """(T, N, C) smoothed, each of the N tracks with its own width."""
    result = values.clone()
    for width in set(widths):
        tracks = [number for number, own in enumerate(widths) if own == width]
        result[:, tracks] = smooth_tracks(values[:, tracks], width=width, fps=motion.fps, seen=seen[:, tracks], adaptive=adaptive)
    return result


def _positions(motion: Motion, shift: Tensor, widths: Sequence[float], adaptive: bool) -> Tensor:
    """Joints (T, J, 3) smoothed relative to a root that has been moved by `shift` (T, 3), bones of constant length kept."""
    root = torch.where(motion.seen[:, :1], motion.joints[:, 0] + shift, 0.0)[:, None]
    relative = motion.joints - root
    # Where the root comes or goes the joints have another origin: the two sides of such a frame are apart.
    joints = motion.joints.clone()
    for with_root in (True, False):
        seen = motion.seen & (motion.seen[:, :1] == with_root)
        if seen[:, 1:].any():
            smoothed = _smoothed(relative[:, 1:], widths[1:], motion, seen[:, 1:], adaptive)
            joints[:, 1:] = torch.where(seen[:, 1:, None], smoothed + root, joints[:, 1:])
    joints[:, 0] = motion.joints[:, 0] + shift
    return _with_lengths(motion, joints)


def _with_lengths(motion: Motion, joints: Tensor) -> Tensor:
    """Joints with the bone lengths of the motion where those are constant, from the root outwards."""
    lengths = bone_distances(motion)
    low, high = (torch.where(lengths.isnan(), fill, lengths) for fill in (torch.inf, -torch.inf))
    low, high = low.amin(0), high.amax(0)
    constant = torch.isfinite(high) & (high - low < _CONSTANT * high)
    result = joints.clone()
    for joint, parent in motion.skeleton.bones:
        if constant[joint]:
            bone = joints[:, joint] - joints[:, parent]
            fixed = bone * (lengths[:, joint] / bone.norm(dim=-1).clamp(min=1e-9))[:, None]
            known = lengths[:, joint].isfinite()[:, None]
            result[:, joint] = torch.where(known, result[:, parent] + fixed, result[:, joint])
        else:
            moved = result[:, parent] - joints[:, parent]
            result[:, joint] = joints[:, joint] + torch.where(moved.isfinite(), moved, 0.0)
    return result


def _rotations(motion: Motion, widths: Sequence[float], adaptive: bool) -> Tensor:
    """(T, J, 3, 3) smoothed where they are known."""
    scale = (_reaches(motion) / math.sqrt(2)).to(motion.rotations)[:, None]  # the distance of two matrices is sqrt(2) x the angle
    known = known_rotations(motion)
    flat = motion.rotations.flatten(2) * scale
    smoothed = _smoothed(flat, widths, motion, known, adaptive) / scale
    changed = known & torch.tensor([width > 0 for width in widths])
    result = motion.rotations.clone()
    result[changed] = nearest_rotation(smoothed[changed].unflatten(-1, (3, 3)).double()).to(result)
    return result


def _reaches(motion: Motion) -> Tensor:
    """(J) metres from each joint to the farthest that it carries."""
    lengths = bone_distances(motion).nanmedian(0).values.nan_to_num(nan=_LEAST_REACH).tolist()
    reach = [_LEAST_REACH] * len(lengths)
    for joint, parent in reversed(motion.skeleton.bones):
        own = lengths[joint] + (reach[joint] if motion.skeleton.children[joint] else 0.0)
        reach[parent] = max(reach[parent], own)
    return torch.tensor(reach, dtype=torch.float64)

"""Feet that stand held still: legs bent anew so that planted feet stay where they are."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.kinematics import world_rotations
from ..geometry.rotations import align_vectors
from ..types import Motion, Skeleton
from .contacts import Leg, legs_of
from .cuts import rejoined, shots
from .gaps import runs
from .local_fits import smooth_tracks

_BLEND = 0.1  # seconds over which a foot is caught and let go
_STRAIGHT = 0.995  # of a leg's length: further than this, or than it was, no knee is stretched
_AHEAD = 0.02  # of a leg's length, by which a straight knee is thought bent forward


def lock_feet(motion: Motion, contacts: Tensor, *, hip_give: float = 0.5, cuts: Sequence[int] = ()) -> Motion:
    """Hold planted feet where they stand, and let the legs follow.

    Each contact is held at the middle of where it was; ankles are brought there by two-bone inverse kinematics in the plane in which the knee bends, and
    let go over 0.1 s. The root gives way by a share, evened out over 0.2 s, so that the knees take less; and as far as a straight leg cannot reach. What is
    still out of reach is left to slide, so that no bone is stretched. Rotations and translation turn along, where there are any.

    Args:
        contacts: (T, C) as of `detect_contacts`. hip_give: 0 (legs alone) to 1 (the root goes all the way with the feet).
        cuts: first frames of the shots after the first; no foot is held from one shot to the next.

    Raises:
        ValueError: hip_give outside 0..1, contacts of another shape, a skeleton without whole legs, or cuts that are not increasing frame numbers after frame 0.
    """
    legs = legs_of(motion.skeleton)
    expected = (motion.frames, sum(len(leg.ground) for leg in legs))
    if not 0 <= hip_give <= 1:
        raise ValueError(f"hip_give is {hip_give}, expected 0 to 1")
    if tuple(contacts.shape) != expected:
        raise ValueError(f"contacts are {tuple(contacts.shape)}, expected {expected}: detect them on this motion")
    motion = motion.cpu()
    pieces = shots(motion, cuts)
    held = contacts.cpu() & _whole(motion, legs)[:, None]
    if not held.any():
        return motion
    parts = held.split([shot.frames for shot in pieces])
    locked = rejoined(motion, [_lock_shot(shot, legs, part, hip_give) for shot, part in zip(pieces, parts, strict=True)])
    note = f"feet held where they stand in {int(held.any(1).sum())} frames"
    return replace(locked, notes=(*motion.notes, note))


def _lock_shot(motion: Motion, legs: tuple[Leg, ...], held: Tensor, hip_give: float) -> Motion:
    if not held.any():
        return motion
    whole = _whole(motion, legs)
    joints = torch.where(motion.seen[..., None], motion.joints, 0.0).double()
    moves = _moves(joints, legs, held, motion.fps)
    give = _give(motion, joints, legs, moves, hip_give, whole)
    placed = torch.where(whole[:, None, None], joints + give[:, None], joints)
    turned = {}
    for leg, move in zip(legs, moves, strict=True):
        turned |= _bend(motion, joints, placed, leg, move, whole)
    result = torch.where(motion.seen[..., None], placed.to(motion.joints), motion.joints)
    translation = None if motion.translation is None else motion.translation + torch.where(whole[:, None], give, 0.0).to(motion.translation)
    rotations = None if motion.rotations is None else _turn_along(motion, turned)
    return replace(motion, joints=result, translation=translation, rotations=rotations)


def _whole(motion: Motion, legs: tuple[Leg, ...]) -> Tensor:
    """(T) frames that show the root and both legs."""
    needed = [0, *(joint for leg in legs for joint in (leg.hip, leg.knee, *leg.ground))]
    return motion.seen[:, needed].all(1)


@dataclass(frozen=True, eq=False)
class _Move:
    """How far ankle and foot of a leg are to be moved (T, 3) metres, and how firmly the leg is planted (T) 0..1."""

    ankle: Tensor
    foot: Tensor
    weight: Tensor


def _moves(joints: Tensor, legs: tuple[Leg, ...], contacts: Tensor, fps: float) -> list[_Move]:
    found = []
    for leg, planted in zip(legs, contacts.split(len(legs[0].ground), dim=1), strict=True):
        parts = [_hold(joints[:, joint], planted[:, column], fps) for column, joint in enumerate(leg.ground)]
        (move, weight), (beside, other) = parts[0], parts[-1]
        # What is planted is brought to its place; what is not goes along with the part that is.
        ankle = weight * move + (1 - weight) * other * beside
        foot = other * beside + (1 - other) * weight * move
        found.append(_Move(ankle, foot, torch.maximum(weight, other)[:, 0]))
    return found


def _hold(track: Tensor, planted: Tensor, fps: float) -> tuple[Tensor, Tensor]:
    """Move (T, 3) of a joint to the middle of each of its contacts, and its weight (T, 1), which falls to 0 over `_BLEND` on both sides."""
    frames, blend = len(track), max(1.0, _BLEND * fps)
    moves, weights = torch.zeros_like(track), track.new_zeros(frames, 1)
    time = torch.arange(frames, dtype=track.dtype)[:, None]
    for start, stop in runs(planted):
        anchor = track[start:stop].median(0).values
        outside = torch.maximum(start - time, time - (stop - 1)).clamp(min=0) / (blend + 1)
        weight = (1 - outside).clamp(min=0)
        weight = weight * weight * (3 - 2 * weight)
        own = (anchor - track)[time[:, 0].clamp(start, stop - 1).long()]
        total = (weights + weight).clamp(min=1e-9)
        moves = torch.where(weight > 0, (weights * moves + weight * own) / total, moves)
        weights = torch.maximum(weights, weight)
    return moves, weights


def _give(motion: Motion, joints: Tensor, legs: tuple[Leg, ...], moves: list[_Move], share: float, whole: Tensor) -> Tensor:
    """(T, 3) how far the root gives way."""
    weights = torch.stack([move.weight for move in moves])
    wanted = torch.stack([move.ankle for move in moves])
    give = share * wanted.sum(0) / weights.sum(0).clamp(min=1)[:, None]
    give = _even(give, 0.1, motion.fps, whole)
    if share == 0:
        return give
    short = torch.zeros_like(give)
    for leg, move in zip(legs, moves, strict=True):
        line = joints[:, leg.ankle] + move.ankle - joints[:, leg.hip] - give
        over = (line.norm(dim=-1) - _reach(joints, leg)).clamp(min=0) * move.weight
        pull = torch.nn.functional.normalize(line, dim=-1) * over[:, None]
        short = torch.where(over[:, None] > short.norm(dim=-1, keepdim=True), pull, short)
    return give + _even(short, 0.05, motion.fps, whole)


def _even(values: Tensor, width: float, fps: float, whole: Tensor) -> Tensor:
    """Smoothed over time with a bell of `width` seconds."""
    seen = whole[:, None]
    return smooth_tracks(values[:, None], width=width / 2, fps=fps, seen=seen, adaptive=False)[:, 0]


def _reach(joints: Tensor, leg: Leg) -> Tensor:
    """(T) metres from the hip within which the ankle has to stay: a nearly straight leg, or as far as it was."""
    hip, knee, ankle = joints[:, leg.hip], joints[:, leg.knee], joints[:, leg.ankle]
    length = (knee - hip).norm(dim=-1) + (ankle - knee).norm(dim=-1)
    return torch.maximum((ankle - hip).norm(dim=-1), _STRAIGHT * length)


def _bend(motion: Motion, before: Tensor, joints: Tensor, leg: Leg, move: _Move, whole: Tensor) -> dict[int, Tensor]:
    """Bring the ankle of `joints` (T, J, 3), in place, to where it was `before` plus its move; returns the turns (T, 3, 3) of thigh, shin and foot."""
    hip, knee, ankle = (before[:, joint] for joint in (leg.hip, leg.knee, leg.ankle))
    thigh, shin = (knee - hip).norm(dim=-1, keepdim=True), (ankle - knee).norm(dim=-1, keepdim=True)
    start, line = joints[:, leg.hip].clone(), ankle - hip
    target = ankle + move.ankle - start
    distance = torch.minimum(target.norm(dim=-1), _reach(before, leg))[:, None]
    distance = torch.maximum(distance, (thigh - shin).abs() + 1e-4)
    down = torch.nn.functional.normalize(target, dim=-1)
    out = _knee_side(motion, before, leg, whole)
    out = (align_vectors(line, down) @ out[..., None])[..., 0]
    along = (thigh**2 - shin**2 + distance**2) / (2 * distance.clamp(min=1e-9))
    bent = start + along * down + (thigh**2 - along**2).clamp(min=0).sqrt() * out
    reached = start + distance * down
    changed = {leg.knee: bent, leg.ankle: reached}
    turns = {leg.hip: align_vectors(knee - hip, bent - start), leg.knee: align_vectors(ankle - knee, reached - bent)}
    if leg.foot is not None:
        sole = before[:, leg.foot] - ankle
        aim = before[:, leg.foot] + move.foot - reached
        tip = torch.nn.functional.normalize(aim, dim=-1) * sole.norm(dim=-1, keepdim=True)
        turns[leg.ankle] = align_vectors(sole, tip)
        shift = reached + tip - before[:, leg.foot]
        changed |= {joint: before[:, joint] + shift for joint in (leg.foot, *_below(motion.skeleton, leg.foot))}
    for joint, places in changed.items():
        joints[:, joint] = torch.where(whole[:, None], places, joints[:, joint])
    identity = torch.eye(3, dtype=before.dtype)
    return {joint: torch.where(whole[:, None, None], turn, identity) for joint, turn in turns.items()}


def _below(skeleton: Skeleton, joint: int) -> Iterator[int]:
    for child in skeleton.children[joint]:
        yield child
        yield from _below(skeleton, child)


def _knee_side(motion: Motion, joints: Tensor, leg: Leg, whole: Tensor) -> Tensor:
    """(T, 3) unit vectors across the line from hip to ankle, to where the knee is; a straight leg's knee is where it bends before and after."""
    hip, knee, ankle = (joints[:, joint] for joint in (leg.hip, leg.knee, leg.ankle))
    line = torch.nn.functional.normalize(ankle - hip, dim=-1)
    across = knee - hip
    across = across - (across * line).sum(-1, keepdim=True) * line
    length = (knee - hip).norm(dim=-1, keepdim=True)
    usual = _even(across, 0.3, motion.fps, whole)
    # A knee that is bent by more than the hint keeps its own side.
    hint = torch.nn.functional.normalize(usual, dim=-1) * _AHEAD * length
    side = torch.where(across.norm(dim=-1, keepdim=True) < 2 * _AHEAD * length, across + hint, across)
    side = side - (side * line).sum(-1, keepdim=True) * line
    return torch.nn.functional.normalize(side, dim=-1)


def _turn_along(motion: Motion, turned: dict[int, Tensor]) -> Tensor:
    """Local rotations (T, J, 3, 3) after some joints have turned in space; toes keep their turn on the foot."""
    parents = motion.skeleton.parents
    world = world_rotations(motion.rotations.double(), parents)
    result = motion.rotations.clone()
    after = world.clone()
    for joint, parent in enumerate(parents):
        if joint in turned:
            after[:, joint] = turned[joint] @ world[:, joint]
            result[:, joint] = (after[:, parent].mT @ after[:, joint]).to(result)
        elif parent >= 0:
            after[:, joint] = after[:, parent] @ motion.rotations[:, joint].double()
    return result

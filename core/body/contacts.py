"""Feet on the floor: when they are planted, how much they slide, and how to hold them still."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..geometry.kinematics import world_rotations
from ..geometry.rotations import align_vectors
from ..types import Frame, Motion, Skeleton
from .gaps import runs
from .local_fits import smooth_tracks

BLEND = 0.1  # seconds over which a foot is caught and let go
_EVEN = 0.035  # seconds, width of the bell under which speeds are measured
_SLOW, _FAST = 0.25, 0.4  # m/s below which a foot lands and above which it leaves
_LOW, _HIGH = 0.05, 0.08  # metres above the floor, likewise
_SHORTEST = 0.08  # seconds of contact, and of a break in it, that count
_NEARER = (1.0, 0.5, 0.25, 0.12, 0.06, 0.03, 0.03)  # metres above the plane within which places count, pass after pass
_DOUBT = 0.02  # metres^2: a tilt is believed where the feet are spread by more than the root of this
_STRAIGHT = 0.995  # of a leg's length: further than this, or than it was, no knee is stretched
_AHEAD = 0.02  # of a leg's length, by which a straight knee is thought bent forward


@dataclass(frozen=True)
class Leg:
    """Joints of one leg; `foot`, the ball or toe, is None where the skeleton ends at the ankle."""

    hip: int
    knee: int
    ankle: int
    foot: int | None

    @property
    def ground(self) -> tuple[int, ...]:
        """Joints that can touch the floor."""
        return (self.ankle,) if self.foot is None else (self.ankle, self.foot)


def legs_of(skeleton: Skeleton) -> tuple[Leg, ...]:
    """Left and right leg, found from the names of the ankles.

    Raises:
        ValueError: no joints left_ankle and right_ankle with knee and hip above them.
    """
    found = []
    for side in ("left", "right"):
        name = f"{side}_ankle"
        if name not in skeleton.names:
            raise ValueError(f"the skeleton has no joint '{name}': feet are found by the names left_ankle and right_ankle")
        ankle = skeleton.index(name)
        knee = skeleton.parents[ankle]
        hip = skeleton.parents[knee] if knee >= 0 else -1
        if hip < 0:
            raise ValueError(f"'{name}' has no knee and hip above it: feet can be held in skeletons with whole legs")
        found.append(Leg(hip, knee, ankle, next(iter(skeleton.children[ankle]), None)))
    return tuple(found)


def ground_joints(skeleton: Skeleton) -> tuple[int, ...]:
    """The joints of the columns of contacts: left ankle, left foot, right ankle, right foot, as far as the skeleton has them."""
    return tuple(joint for leg in legs_of(skeleton) for joint in leg.ground)


def detect_contacts(motion: Motion) -> Tensor:
    """When ankles and balls of the feet stand still on the floor.

    A joint lands when it is slow and low, and leaves when it is fast or high; between the two limits it goes on with what it did. Speeds in m/s and heights
    in metres, for a stature of 1.7 m. The floor is a plane under the lowest slow places, so that a tilted camera does not matter; its tilt is believed
    where the person moves about. Contacts and breaks of less than 0.08 s do not count.

    Returns:
        (T, C) bool, C joints of `ground_joints`; false where one is missing.
    """
    joints = list(ground_joints(motion.skeleton))
    seen, up = motion.seen[:, joints].cpu(), 1.0 if motion.frame is Frame.WORLD else -1.0
    places = motion.joints[:, joints].cpu().double()
    even = smooth_tracks(places, width=_EVEN, fps=motion.fps, seen=seen, adaptive=False)
    even = torch.where(seen[..., None], even, 0.0)
    speed = _speeds(even, seen, motion.fps)
    height = _heights(even * torch.tensor([1.0, up, 1.0]).double(), speed, seen)
    planted = torch.zeros_like(seen)
    land, keep = seen & (speed < _SLOW) & (height < _LOW), seen & (speed < _FAST) & (height < _HIGH)
    for column in range(len(joints)):
        for start, stop in runs(keep[:, column]):
            planted[start:stop, column] = land[start:stop, column].any()
        shortest = _SHORTEST * motion.fps
        for start, stop in runs(~planted[:, column]):
            if 0 < start and stop < len(planted) and stop - start < shortest and seen[start:stop, column].all():
                planted[start:stop, column] = keep[start:stop, column].any()
        for start, stop in runs(planted[:, column]):
            if stop - start < min(shortest, len(planted)):
                planted[start:stop, column] = False
    return planted


def _speeds(places: Tensor, seen: Tensor, fps: float) -> Tensor:
    """(T, C) m/s over the step before and the step after, whichever are seen; infinite where neither is."""
    both = seen[1:] & seen[:-1]
    step = torch.where(both, (places[1:] - places[:-1]).norm(dim=-1) * fps, torch.nan)
    edge = torch.full_like(step[:1], torch.nan) if len(step) else torch.full_like(places[:1, :, 0], torch.nan)
    around = torch.stack([torch.cat([edge, step]), torch.cat([step, edge])])
    return around.nanmean(0).nan_to_num(nan=torch.inf)


def _heights(places: Tensor, speed: Tensor, seen: Tensor) -> Tensor:
    """(T, C) metres of Y-up places over the plane on which slow joints stand; each column stands at a height of its own, left and right the same."""
    frames, columns = seen.shape
    kinds = torch.arange(columns) % (columns // 2)
    slow = seen & (speed < _SLOW)
    slow = slow if slow.any() else seen
    offsets = torch.nn.functional.one_hot(kinds, columns // 2).double().expand(frames, columns, -1)
    middle = places[slow][:, [0, 2]].mean(0) if slow.any() else torch.zeros(2, dtype=places.dtype)
    across = places[..., [0, 2]] - middle
    design = torch.cat([across, offsets], -1)
    rows, heights = design[slow], places[..., 1][slow]
    plane = torch.zeros(design.shape[-1], dtype=places.dtype)
    doubt = torch.tensor([_DOUBT * len(rows)] * 2 + [1e-6] * (columns // 2), dtype=places.dtype).diag()
    if len(rows):
        plane[2:] = torch.stack([places[..., kind :: columns // 2, 1][slow[:, kind :: columns // 2]].quantile(0.1)
                                 if slow[:, kind :: columns // 2].any() else heights.min() for kind in range(columns // 2)])  # fmt: skip
    for scale in _NEARER if len(rows) else ():
        above = heights - rows @ plane
        weight = torch.where(above < 0, 1.0, torch.exp(-((above / scale) ** 2) / 2)).clamp(min=1e-6)[:, None]
        target = (rows * weight).mT @ (heights - rows[:, 2:] @ plane[2:])
        change = torch.linalg.solve((rows * weight).mT @ rows + doubt, target)
        plane = torch.cat([change[:2], plane[2:] + change[2:]])
    return places[..., 1] - design @ plane


def foot_slide(motion: Motion, contacts: Tensor | None = None) -> float:
    """Centimetres that planted feet travel over the whole clip, both feet together.

    Where ankle and ball of a foot are both planted, the one that moves less counts: a foot that rolls does not slide.

    Args:
        contacts: (T, C) as of `detect_contacts`, which is asked where they are not given.
    """
    contacts = detect_contacts(motion) if contacts is None else contacts
    joints, total = list(ground_joints(motion.skeleton)), 0.0
    places = motion.joints[:, joints].cpu().double()
    still = contacts[1:] & contacts[:-1] & motion.seen[1:, joints].cpu() & motion.seen[:-1, joints].cpu()
    step = torch.where(still, (places[1:] - places[:-1]).norm(dim=-1), torch.inf)
    for foot in step.split(len(joints) // 2, dim=1):
        least = foot.amin(1)
        total += float(least[torch.isfinite(least)].sum())
    return 100 * total


def lock_feet(motion: Motion, contacts: Tensor, *, hip_give: float = 0.5) -> Motion:
    """Hold planted feet where they stand, and let the legs follow.

    Each contact is held at the middle of where it was; ankles are brought there by two-bone inverse kinematics in the plane in which the knee bends, and
    let go over 0.1 s. The root gives way by a share, evened out over 0.2 s, so that the knees take less; and as far as a straight leg cannot reach. What is
    still out of reach is left to slide, so that no bone is stretched. Rotations and translation turn along, where there are any.

    Args:
        contacts: (T, C) as of `detect_contacts`. hip_give: 0 (legs alone) to 1 (the root goes all the way with the feet).

    Raises:
        ValueError: hip_give outside 0..1, contacts of another shape, or a skeleton without whole legs.
    """
    legs = legs_of(motion.skeleton)
    expected = (motion.frames, sum(len(leg.ground) for leg in legs))
    if not 0 <= hip_give <= 1:
        raise ValueError(f"hip_give is {hip_give}, expected 0 to 1")
    if tuple(contacts.shape) != expected:
        raise ValueError(f"contacts are {tuple(contacts.shape)}, expected {expected}: detect them on this motion")
    motion = motion.cpu()
    whole = _whole(motion, legs)
    if not (contacts.cpu() & whole[:, None]).any():
        return motion
    joints = torch.where(motion.seen[..., None], motion.joints, 0.0).double()
    moves = _moves(joints, legs, contacts.cpu() & whole[:, None], motion.fps)
    give = _give(motion, joints, legs, moves, hip_give, whole)
    placed = torch.where(whole[:, None, None], joints + give[:, None], joints)
    turned = {}
    for leg, move in zip(legs, moves, strict=True):
        turned |= _bend(motion, joints, placed, leg, move, whole)
    result = torch.where(motion.seen[..., None], placed.to(motion.joints), motion.joints)
    translation = None if motion.translation is None else motion.translation + torch.where(whole[:, None], give, 0.0).to(motion.translation)
    rotations = None if motion.rotations is None else _turn_along(motion, turned)
    note = f"feet held where they stand in {int(contacts.any(1).sum())} frames"
    return replace(motion, joints=result, translation=translation, rotations=rotations, notes=(*motion.notes, note))


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
    """Move (T, 3) of a joint to the middle of each of its contacts, and its weight (T, 1), which falls to 0 over `BLEND` on both sides."""
    frames, blend = len(track), max(1.0, BLEND * fps)
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

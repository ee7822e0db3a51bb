"""Joint rotations from joint positions, root to leaves.

Each joint turns its rest directions to its children onto the measured ones (Wahba's problem, solved by Kabsch's SVD); a prior, the parent's turn unless
`twist` says otherwise, decides what positions cannot show. Positions are followed from where forward kinematics has arrived, so errors do not add up along
a chain. All arithmetic is done in float64 where the device has it.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..types import Animation, Frame, Motion, Rig, Skeleton
from .fabrik import fabrik
from .kinematics import rest_pose, world_rotations
from .pose_fit import Fit, fitted_turns, positions_of
from .rotations import align_vectors, nearest_rotation, orthonormal
from .twist import carried_twist, foreseen_twist, hold

TWISTS = ("inherit", "temporal", "lookahead", "optimise")
METHODS = ("direct", "fabrik")
AIMS = ("positions", "directions")

_COLLINEAR = 0.02  # below this ratio of singular values the children lie on one line and the prior decides the turn about it
_PULL = (1e-10, 1e-3)  # least and most weight of the prior there, where bones weigh 1
_NO_BONE = 1e-6  # of the extent of the rest pose
_LOOSE = 3e-3  # of the extent, by which the bone above the hips changes its length where they are moved by themselves


@dataclass(frozen=True)
class _Task:
    """What is asked of a solver: joints (T, J, 3), 0 where missing; weight (T, J), 0 where missing; rest (J, 3); children with bones to them."""

    joints: Tensor
    weight: Tensor
    rest: Tensor
    parents: tuple[int, ...]
    children: tuple[tuple[int, ...], ...]
    bones: tuple[tuple[int, ...], ...]
    placed: dict[int, Tensor]
    aim: str

    @property
    def seen(self) -> Tensor:
        return self.weight > 0


def solve_rotations(
    motion: Motion, rig_or_skeleton: Rig | Skeleton, *, twist: str = "inherit", method: str = "direct", aim: str = "positions"
) -> Animation:
    """Rotations that bring a rest pose as close as its bone lengths allow to the joints of a world-space motion.

    Every root joint stands where it is seen (a root that is never seen keeps its rest distance from the others). Where a single chain leads from a root to
    the hips, or to whatever branches first, and the motion changes the length of its bones, those joints are moved by themselves: `Animation.placed`.

    Args:
        motion: joints (T, J, 3) in WORLD axes; a missing joint (confidence 0) leaves its bone as the parent carries it, a missing root where it was.
        rig_or_skeleton: J joints in the order of the motion, with rest positions.
        twist: what turns a bone about its own axis, which positions cannot show. "inherit": the parent's turn and the smallest swing. "temporal": the
            turn of the frame before, carried on without a spin. "lookahead": what lets the next bones turn least, as hinges do. "optimise": small local turns
            that change little over time, found over the whole clip (see `pose_fit`); nowhere further from the joints than "inherit".
        method: "direct", or "fabrik" to bring the joints to the bone lengths of the rest pose first.
        aim: "positions" turns a bone from where the joints have come to, so that they end where they are asked for; "directions" copies the direction of
            each bone, which keeps the poses on a body of other proportions.

    Returns:
        Animation in the dtype of the motion with `residual` (T, J): distance in metres from each joint asked for, NaN where it is missing.

    Raises:
        ValueError: other joint count, camera axes, an unknown option, or root joints and hips missing in every frame.
    """
    for name, value, known in (("twist", twist, TWISTS), ("method", method, METHODS), ("aim", aim, AIMS)):
        if value not in known:
            raise ValueError(f"{name} is '{value}', expected {', '.join(known)}")
    if motion.frame is not Frame.WORLD:
        raise ValueError("the motion is in camera axes: convert it to world axes before solving rotations")
    skeleton = rig_or_skeleton.skeleton if isinstance(rig_or_skeleton, Rig) else rig_or_skeleton
    if len(skeleton.names) != len(motion.skeleton.names):
        raise ValueError(
            f"the motion has {len(motion.skeleton.names)} joints, the skeleton {len(skeleton.names)}: convert one to the other's joints first"
        )
    exact = torch.float32 if motion.joints.device.type == "mps" else torch.float64
    rest, rest_world = (part.to(motion.joints.device) for part in rest_pose(rig_or_skeleton, exact))
    task = _task(motion, skeleton, rest, aim)
    turns = _descend(task, twist if twist != "optimise" else "inherit")
    if method == "fabrik":
        task = _shortened(task, turns)
        turns = _descend(task, twist if twist != "optimise" else "inherit")
    if twist == "optimise":
        turns = _optimised(task, turns, motion.fps)
    world = turns @ rest_world
    local = torch.stack([world[:, j] if p < 0 else world[:, p].mT @ world[:, j] for j, p in enumerate(skeleton.parents)], 1)
    reached = positions_of(_fit(task), world_rotations(local, skeleton.parents) @ rest_world.mT)
    residual = torch.where(motion.seen, (reached - motion.joints.to(exact)).norm(dim=-1), torch.nan)
    placed = tuple(joint for joint in task.placed if joint)
    return Animation(
        rotations=local.to(motion.joints), translation=task.placed[0].to(motion.joints), fps=motion.fps, rig=rig_or_skeleton,
        residual=residual.to(motion.joints), placed=placed,
        places=torch.stack([task.placed[joint] for joint in placed], 1).to(motion.joints) if placed else None,
    )  # fmt: skip


# --- what is asked


def _task(motion: Motion, skeleton: Skeleton, rest: Tensor, aim: str) -> _Task:
    extent = float((rest.amax(0) - rest.amin(0)).max())
    far = max(extent, float(rest.abs().max()))
    length = (rest - rest[[max(parent, 0) for parent in skeleton.parents]]).norm(dim=-1).tolist()
    bones = tuple(tuple(child for child in below if length[child] > _NO_BONE * far) for below in skeleton.children)
    joints = torch.where(motion.seen[..., None], motion.joints, 0.0).to(rest)
    task = _Task(joints, motion.confidence.to(rest), rest, skeleton.parents, skeleton.children, bones, {}, aim)
    placed: dict[int, Tensor] = {}
    for root in skeleton.roots:
        placed |= _placed_chain(task, root, _LOOSE * extent)
    if not placed:
        raise ValueError(
            "the root joint is missing in every frame, and so are further roots and the hips: it has to be seen in one frame at least"
        )
    near = 0 if 0 in placed else next(iter(placed))
    for root in skeleton.roots:
        placed.setdefault(root, placed[near] + (rest[root] - rest[near]))
    return replace(task, placed=dict(sorted(placed.items())))


def _chain(task: _Task, root: int) -> list[int]:
    """From a root down to the first joint with several bones; the root alone where there is none."""
    chain = [root]
    while len(task.children[chain[-1]]) == 1:
        chain.append(task.children[chain[-1]][0])
    return chain if len(task.bones[chain[-1]]) > 1 else [root]


def _placed_chain(task: _Task, root: int, loose: float) -> dict[int, Tensor]:
    """Tracks (T, 3) of the joints of a root's chain that stand by themselves; empty where none of them is seen."""
    chain, tracks = _chain(task, root), {}
    for above, joint in zip([None, *chain], chain, strict=False):
        seen = task.seen[:, joint]
        if not seen.any():
            continue
        if not tracks:  # the root, or what stands for it
            tracks[joint] = hold(task.joints[:, joint], seen)
            for upper in chain[: chain.index(joint)]:
                tracks[upper] = tracks[joint] + (task.rest[upper] - task.rest[joint])
            continue
        while not task.seen[:, above].any() and above in chain[1:] and above not in task.bones[task.parents[above]]:
            above = task.parents[above]  # where a joint covers another in one place, either tells where both are
        both = seen & task.seen[:, above]
        change = (task.joints[:, joint] - task.joints[:, above]).norm(dim=-1) - (task.rest[joint] - task.rest[above]).norm()
        if both.any() and float(change[both].square().mean().sqrt()) > loose:
            tracks[joint] = hold(task.joints[:, joint], seen)
    return tracks


# --- root to leaves


def _descend(task: _Task, twist: str, priors: Tensor | None = None) -> Tensor:
    """World turns (T, J, 3, 3) away from the rest pose; with priors (the same) each joint starts from its own instead of its parent's."""
    frames, count = task.weight.shape
    identity = torch.eye(3).to(task.rest).expand(frames, 3, 3)
    starts = {} if priors is not None else _root_priors(task, identity)
    turns, places = [identity] * count, [task.joints[:, 0]] * count
    for joint, parent in enumerate(task.parents):
        above = identity if parent < 0 else turns[parent]
        if joint in task.placed:
            places[joint] = task.placed[joint]
        else:
            places[joint] = places[parent] + above @ (task.rest[joint] - task.rest[parent])
        prior = (
            starts.get(joint, identity) if priors is None else orthonormal(above.mT @ priors[:, joint])
        )  # or rounding doubles at each joint
        below = [child for child in task.bones[joint] if child not in task.placed]
        if not below:
            turns[joint] = above @ prior
            continue
        weight = task.weight[:, below]
        origin = places[joint]
        if task.aim == "directions":
            origin = torch.where(task.seen[:, joint, None], task.joints[:, joint], origin)
        target = (task.joints[:, below] - origin[:, None]) @ above  # in the axes of the parent
        bones = task.rest[below] - task.rest[joint]
        if twist == "temporal":
            turns[joint] = above @ _carried(bones, target, weight, prior)
        else:
            turns[joint] = above @ _turn(bones, target, weight, prior)
        if twist == "lookahead" and len(below) == 1 and task.bones[below[0]]:
            turns[joint] = _foreseen(task, turns[joint], joint, below[0])
    return torch.stack(turns, 1)


def _root_priors(task: _Task, identity: Tensor) -> dict[int, Tensor]:
    """Turns (T, 3, 3) to start from: of the chain below a root those of the joint that branches, as the chain itself cannot tell."""
    priors = {}
    for root in (joint for joint, parent in enumerate(task.parents) if parent < 0):
        chain = _chain(task, root)
        last = chain[-1]
        start = max((joint for joint in chain if joint in task.placed), default=root)
        if len(chain) > 1 and start != last:
            below = list(task.bones[last])
            weight = task.weight[:, below] * task.seen[:, [last]]
            whole = _turn(task.rest[below] - task.rest[last], task.joints[:, below] - task.joints[:, [last]], weight, identity)
            priors[start] = torch.where(((weight > 0).sum(1) > 1)[:, None, None], whole, identity)
    return priors


def _turn(bones: Tensor, target: Tensor, weight: Tensor, prior: Tensor) -> Tensor:
    """Turn (T, 3, 3) that carries rest bones (C, 3) onto targets (T, C, 3), each with its weight (T, C); the prior where nothing is seen."""
    present = weight > 0
    first = present.to(torch.uint8).argmax(1)
    bone, aim = bones[first], target.gather(1, first[:, None, None].expand(-1, 1, 3))[:, 0]
    swing = align_vectors((prior @ bone[..., None])[..., 0], aim) @ prior
    result = torch.where(present.any(1)[:, None, None], swing, prior)
    several = present.sum(1) > 1
    if several.any():
        spread, pull = _spread(bones, target[several], weight[several])
        result = result.masked_scatter(several[:, None, None], nearest_rotation(spread + pull[:, None, None] * prior[several]))
    return result


def _spread(bones: Tensor, target: Tensor, weight: Tensor) -> tuple[Tensor, Tensor]:
    """Wahba's matrices (T, 3, 3) of size 1 and the weight (T) of the prior beside them: 0 but where the seen children lie on a line.

    Noise on collinear children would spin the joint; consistent input keeps the prior's weight near zero and so stays exact.
    """
    spread = torch.einsum("tc,tci,cj->tij", weight, target, bones)
    size = torch.linalg.matrix_norm(spread)[:, None, None]
    spread = torch.where(size > 0, spread / size, 0.0)
    present = (weight > 0)[..., None]
    directions = bones / bones.norm(dim=-1, keepdim=True)
    seen = torch.where(present, target / target.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(target.dtype).tiny), 0.0)
    singular = torch.linalg.svdvals(torch.einsum("tci,cj->tij", seen, directions))
    off = (torch.einsum("tij,cj->tci", nearest_rotation(spread), directions) - seen).square().sum(-1, keepdim=True)
    residual = off[present].mean()
    weak = singular[:, 1] <= _COLLINEAR * singular[:, 0]
    return spread, torch.where(weak, (10 * residual).clamp(*_PULL), 0.0)


def _carried(bones: Tensor, target: Tensor, weight: Tensor, prior: Tensor) -> Tensor:
    """Local turns (T, 3, 3) whose twist, where the targets do not show it, is carried over from the frame before."""
    if len(bones) == 1:
        turns = _turn(bones, target, weight, prior)
        seen = weight[:, 0] > 0
        return carried_twist(hold(turns, seen), bones[0]) if seen.any() else turns
    turns = _turn(bones, target, weight, prior)
    several = (weight > 0).sum(1) > 1
    pull = torch.full_like(weight[:, 0], _PULL[1])
    spread = torch.zeros_like(turns)
    if several.any():
        spread[several], pull[several] = _spread(bones, target[several], weight[several])
    # Joints whose children lie on a line, rare enough to go through their frames one by one.
    for frame in (pull > 0).nonzero()[:, 0].tolist():
        before = turns[frame - 1] if frame else prior[0]
        if several[frame]:
            turns[frame] = nearest_rotation(spread[frame] + pull[frame] * before)
        else:
            turns[frame] = _turn(bones, target[frame, None], weight[frame, None], before[None])[0]
    return turns


def _foreseen(task: _Task, turns: Tensor, joint: int, child: int) -> Tensor:
    after = list(task.bones[child])
    seen = task.seen[:, after] & task.seen[:, [child]]
    bone, ahead = task.rest[child] - task.rest[joint], task.rest[after] - task.rest[child]
    return foreseen_twist(turns, bone, ahead, task.joints[:, after] - task.joints[:, [child]], seen)


# --- beyond one pass


def _fit(task: _Task) -> Fit:
    return Fit.of(task.joints, task.weight, task.rest, task.parents, task.placed)


def _shortened(task: _Task, turns: Tensor) -> _Task:
    """The task with joints at the rest pose's distances from each other."""
    carried = positions_of(_fit(task), turns)
    joints = torch.where(task.seen[..., None], task.joints, carried)
    joints = torch.stack([task.placed.get(joint, track) for joint, track in enumerate(joints.unbind(1))], 1)
    lengths = (task.rest - task.rest[[max(parent, 0) for parent in task.parents]]).norm(dim=-1)
    return replace(task, joints=fabrik(joints, lengths, task.parents, pinned=tuple(task.placed)))


def _optimised(task: _Task, turns: Tensor, fps: float) -> Tensor:
    """World turns (T, J, 3, 3): twist from a fit over the clip, positions as near as the bones allow, in no frame further off than `turns`."""
    fit = _fit(task)
    twisted = _descend(task, "inherit", priors=fitted_turns(fit, turns, fps=fps))
    if task.aim == "directions":
        return twisted
    polished = fitted_turns(fit, twisted, fps=fps, still=0.0, steady=0.0)
    worse = fit.misses(polished) > fit.misses(turns) + torch.finfo(turns.dtype).eps * 100
    return torch.where(worse[:, None, None, None], turns, polished)

"""Joints of a whole clip that fit all pictures, keep the lengths of bones and move without jolts: Levenberg-Marquardt on robust weights.

Every step is solved by conjugate gradients, preconditioned with the exact factor of each frame (block Jacobi over frames; a frame's block is a tree). Lengths
of bones are unknowns of their own where they are estimated. Unit of length inside: the size of the body, so that the scale of the world plays no part.
"""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .deep_trees import factor_tree
from .joint_trees import TreeOrder, apply
from .normal_equations import State, System, add_jolt, bone_vectors, conjugate_gradients, inner, second_difference
from .ray_pairs import Views

LENGTH_WEIGHT = 125.0  # 0.8 % of a bone weighs as much as the noise of one keypoint
_TIE = 1e4  # likewise 0.01 % of the body between joints in one place
ACCELERATION = 100 / 16**2  # 1 over body sizes per second squared that weigh as much
REACH = 3.0  # times the noise, where a keypoint starts to count as an outlier
_ANCHOR = 10.0  # a filled joint is held where it was filled in to a tenth of the body
_TRACE = 0.02
_BEHIND = 1e4  # what a keypoint costs whose point is behind the camera, as a gross outlier
_SHORTEST = 1e-4  # of the body; a shorter bone has no direction
_STEPS = 60
_DAMPING, _LEAST_DAMPING, _MOST_DAMPING = 1e-4, 1e-6, 1e8
_ENOUGH = 1e-4  # relative decrease of the cost that ends it


@dataclass(frozen=True, eq=False, kw_only=True)
class Problem:
    """What to fit, rows of joints in the order of `tree`, frames last.

    projections: (V, 1 or T, 3, 4). pixels: (V, J, 2, T). trust: (V, J, T) confidence over the square of the noise in pixels, 0 where missing.
    noise_px. boned: (J) joints with a bone to the parent that keeps its length. free: (J) those among them whose length is to be found. tied: (J) with a bone of
    length 0.
    acceleration: (J, 1) weights of second differences. anchors: (J, 3, T). anchored: (J, T) bool. redescending: (J, T) where outliers are let go.
    """

    tree: TreeOrder
    projections: Tensor
    pixels: Tensor
    trust: Tensor
    noise_px: float
    boned: Tensor
    free: Tensor
    tied: Tensor
    acceleration: Tensor
    anchors: Tensor
    anchored: Tensor
    redescending: Tensor


@dataclass(frozen=True, eq=False)
class _Sight:
    """One view of points: turn (3, 3, 1 or T) of its projection, depth (J, T), residual (J, 2, T) in pixels, square (J, T) in units of the noise; trust (J, T),
    0 where the keypoint is missing or the point behind the camera."""

    turn: Tensor
    depth: Tensor
    residual: Tensor
    square: Tensor
    trust: Tensor


def _sight(problem: Problem, points: Tensor, view: int) -> _Sight:
    matrix = problem.projections[view].movedim(0, -1)  # (3, 4, 1 or T)
    if matrix.shape[-1] == 1:
        homogeneous = matrix[:, :3, 0] @ points + matrix[:, 3]
    else:
        homogeneous = apply(matrix[None, :, :3], points) + matrix[:, 3]
    depth = homogeneous[:, 2]
    trust = torch.where(depth > 1e-6, problem.trust[view], 0.0)
    depth = torch.where(trust > 0, depth, 1.0)
    residual = (homogeneous[:, :2] / depth[:, None] - problem.pixels[view]) * (trust > 0)[:, None]
    square = (residual[:, 0] ** 2 + residual[:, 1] ** 2) / problem.noise_px**2
    return _Sight(matrix[:, :3], depth, residual, square, trust)


def robust(squares: Tensor, redescending: Tensor, reach: float = REACH) -> tuple[Tensor, Tensor]:
    """(cost, weight) of squared errors: Huber; where redescending Geman-McClure with a trace of Huber, which holds a joint that no keypoint agrees with."""
    away = squares.sqrt().clamp(min=1e-12)
    linear = away > reach
    cost, weight = torch.where(linear, 2 * reach * away - reach**2, squares), torch.where(linear, reach / away, 1.0)
    if not redescending.any():
        return cost, weight
    share = reach**2 / (reach**2 + squares)
    released = squares * share + _TRACE * cost, share**2 + _TRACE * weight
    return torch.where(redescending, released[0], cost), torch.where(redescending, released[1], weight)


def _strain(problem: Problem, state: State) -> tuple[Tensor, Tensor, Tensor]:
    """Bone vectors (J, 3, T), their lengths (J, T) and relative errors of length (J, T), 0 without a bone."""
    bones = bone_vectors(problem.tree, state.points)
    length = bones.norm(dim=1).clamp(min=1e-9)
    return bones, length, torch.where(problem.boned[:, None], length / _wanted(problem, state) - 1, 0.0)


def _wanted(problem: Problem, state: State) -> Tensor:
    return torch.where(problem.boned, state.lengths, 1.0)[:, None]


def frame_costs(problem: Problem, state: State) -> Tensor:
    """(T) the objective's share of each frame; second differences count for the frame in their middle."""
    total = torch.zeros_like(state.points[0, 0])
    for view in range(len(problem.pixels)):
        sight = _sight(problem, state.points, view)
        total += (sight.trust * robust(sight.square, problem.redescending)[0]).sum(0)
        total += _BEHIND * (problem.trust[view] - sight.trust).sum(0)
    bones, _, strain = _strain(problem, state)
    away = (state.points - problem.anchors).square().sum(1) * problem.anchored
    total = total * problem.noise_px**2 + LENGTH_WEIGHT**2 * (strain**2).sum(0) + _ANCHOR**2 * away.sum(0)
    total += _TIE**2 * (bones[problem.tied] ** 2).sum((0, 1))
    jolts = problem.acceleration * second_difference(state.points).norm(dim=1)
    total[1:-1] += torch.where(jolts > 1, 2 * jolts - 1, jolts**2).sum(0)
    return total


def _pictures(problem: Problem, points: Tensor) -> tuple[Tensor, Tensor]:
    """Blocks (J, 3, 3, T) and right-hand side (J, 3, T) of the keypoints."""
    blocks, right = torch.zeros(len(points), 3, *points.shape[1:]).to(points), torch.zeros_like(points)
    for view in range(len(problem.pixels)):
        sight = _sight(problem, points, view)
        weight = (sight.trust * robust(sight.square, problem.redescending)[1]) / sight.depth**2  # of slopes times depth
        for axis in (0, 1):
            pixel = sight.residual[:, axis] + problem.pixels[view][:, axis]
            slope = sight.turn[axis] - pixel[:, None] * sight.turn[2]  # (J, 3, T)
            weighted = weight[:, None] * slope
            blocks.addcmul_(weighted[:, :, None], slope[:, None])
            right.addcmul_(weighted, (sight.residual[:, axis] * sight.depth)[:, None], value=-1)
    return blocks, right


def linearise(problem: Problem, state: State) -> System:
    """The normal equations at a state, robust weights frozen."""
    points, tree = state.points, problem.tree
    blocks, right = _pictures(problem, points)
    anchor = _ANCHOR**2 * problem.anchored[:, None]
    blocks.diagonal(dim1=1, dim2=2).add_(anchor.mT)
    right -= anchor * (points - problem.anchors)

    bones, length, strain = _strain(problem, state)
    wanted = _wanted(problem, state)
    pulls = torch.where(problem.boned[:, None, None], LENGTH_WEIGHT * bones / (length * wanted)[:, None], 0.0)
    ties = torch.where(problem.tied, _TIE**2, 0.0).to(points)
    force = -LENGTH_WEIGHT * strain[:, None] * pulls - ties[:, None, None] * bones
    right += force
    tree.add_all_to_parents(right, force, factor=-1)
    lengthening = torch.where(problem.free[:, None], LENGTH_WEIGHT * length / wanted**2, 0.0)
    lengths = (lengthening * LENGTH_WEIGHT * strain).sum(-1)

    jolt = second_difference(points)
    jolts = problem.acceleration**2 / (problem.acceleration * jolt.norm(dim=1)).clamp(min=1)
    if jolts.shape[-1]:
        add_jolt(right, -jolts[:, None] * jolt)
    return System(tree=tree, blocks=blocks, pulls=pulls, ties=ties, lengthening=lengthening, jolts=jolts, right=State(right, lengths))


def minimise(problem: Problem, state: State, *, steps: int = _STEPS, enough: float = _ENOUGH, tolerance: float = 0.03) -> State:
    """The state of least cost near `state`.

    Each frame has its damping, raised where its share of the cost rose: one frame that jumps to and fro holds up no other. A step that does not lower the whole
    cost is taken back. It ends when a step gains, or promises, less than `enough` of the cost, and after `steps` at the latest, those that were taken back included.
    """
    costs = frame_costs(problem, state)
    damping, system = torch.full_like(costs, _DAMPING), None
    for _ in range(steps):
        system, current = system or linearise(problem, state), float(costs.sum())
        step = conjugate_gradients(system, damping, tolerance)
        trial = State(state.points + step.points, state.lengths + step.lengths.clamp(min=-0.5 * state.lengths))
        found = frame_costs(problem, trial)
        gain, promised = current - float(found.sum()), float(inner(system.right, step))
        rose = ~(found <= costs + 0.01 * costs.mean())
        damping = torch.where(rose, damping * 30, damping * (0.2 if gain >= 0 else 3)).clamp(min=_LEAST_DAMPING)
        if gain >= 0:
            state, costs, system = trial, found, None
        if promised <= enough * current or 0 <= gain <= enough * current or float(damping.min()) > _MOST_DAMPING:
            break
    return state


def let_go_of_outliers(problem: Problem, state: State, *, most: float = 0.05) -> tuple[Problem, State]:
    """Go on from a robust optimum with outliers counting for nothing. Joints that this would move by more than `most` of the body keep all
    their keypoints, and so do the other ends of their bones, which they would carry away otherwise."""
    everywhere = replace(problem, redescending=torch.ones_like(problem.redescending))
    moved = minimise(everywhere, state)
    steady = (moved.points - state.points).norm(dim=1) <= most
    if steady.all():
        return everywhere, moved
    partly = replace(problem, redescending=~_with_neighbours(problem.tree, ~steady))
    start = torch.where(steady.all(0), moved.points, state.points)
    return partly, minimise(partly, State(start, moved.lengths))


def _with_neighbours(tree: TreeOrder, flags: Tensor) -> Tensor:
    """Flags (J, T), raised as well for the joints at the other ends of bones."""
    count = flags.double()
    tree.add_all_to_parents(count, flags.double())
    count[tree.below] += flags[tree.bone_above]
    return count > 0


def rigid_bones(lengths: Tensor, boned: Tensor) -> tuple[Tensor, Tensor]:
    """Which bones (J) keep a length, and which have none: a bone without a length has no direction to keep it along."""
    none = boned & (lengths < _SHORTEST)
    return boned & ~none, none


def uncertainty(problem: Problem, state: State) -> Tensor:
    """(J, T) standard deviation of a point, all other frames being as they are."""
    system = linearise(problem, state)
    blocks = system.diagonal_blocks()
    floor = 1e-9 * blocks.diagonal(dim1=1, dim2=2).median()
    blocks = blocks + floor * torch.eye(3).to(blocks)[None, :, :, None]
    covariance = factor_tree(problem.tree, blocks, system.bones).covariance()
    return covariance.diagonal(dim1=1, dim2=2).sum(-1).clamp(min=0).sqrt()


def views_to_rows(views: Views, tree: TreeOrder, noise_px: float) -> tuple[Tensor, Tensor]:
    """Pixels (V, J, 2, T) and trust (V, J, T) of keypoints (V, T, J)."""
    pixels = views.pixels[:, :, tree.order].permute(0, 2, 3, 1).contiguous()
    trust = views.confidence[:, :, tree.order].mT / noise_px**2
    return pixels, trust.contiguous()

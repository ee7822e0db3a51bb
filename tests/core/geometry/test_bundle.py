"""The bundle against automatic derivatives, dense solutions and SciPy."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.geometry.bundle import LENGTH_WEIGHT, REACH, Problem, _with_neighbours, frame_costs, linearise, minimise, robust
from motion4d.core.geometry.joint_trees import TreeOrder
from motion4d.core.geometry.normal_equations import State, conjugate_gradients

PARENTS = (-1, 0, 0, 1, -1, 4)
FRAMES, VIEWS = 6, 3
JOINTS = len(PARENTS)
UNKNOWNS = JOINTS * 3 * FRAMES
UNDAMPED = torch.zeros(FRAMES, dtype=torch.float64)
BELOW = [j for j, parent in enumerate(PARENTS) if parent >= 0]


@pytest.fixture(params=["estimate", "known", "tied"])
def scene(request, generator):
    tree = TreeOrder.of(PARENTS)
    below = torch.tensor([PARENTS[j] >= 0 for j in tree.order.tolist()])
    tied = torch.zeros(JOINTS, dtype=torch.bool)
    tied[-1] = request.param == "tied"
    points = torch.randn(JOINTS, 3, 1, generator=generator, dtype=torch.float64) * 0.3
    points = points + 0.02 * torch.randn(JOINTS, 3, FRAMES, generator=generator, dtype=torch.float64)
    turn = torch.linalg.qr(torch.randn(VIEWS, 3, 3, generator=generator, dtype=torch.float64))[0]
    pose = torch.cat([turn, torch.tensor([0.0, 0.0, 4.0]).expand(VIEWS, 3).double()[..., None]], -1)
    camera = torch.tensor([[800.0, 0, 400], [0, 800, 400], [0, 0, 1]]).double()
    projections = (camera @ pose)[:, None]
    homogeneous = torch.einsum("vab,jbt->vjat", projections[:, 0, :, :3], points) + projections[:, 0, None, :, 3:]
    pixels = homogeneous[:, :, :2] / homogeneous[:, :, 2:] + 3 * torch.randn(VIEWS, JOINTS, 2, FRAMES, generator=generator)
    trust = torch.rand(VIEWS, JOINTS, FRAMES, generator=generator).double() / 4
    trust[0, 1, 2:4] = 0
    anchored = torch.zeros(JOINTS, FRAMES, dtype=torch.bool)
    anchored[1, 2:4] = True
    order = tree.order.tolist()
    above = [order.index(PARENTS[joint]) if PARENTS[joint] >= 0 else row for row, joint in enumerate(order)]
    lengths = (points - points[above]).norm(dim=1).mean(-1).clamp(min=0.1)
    if request.param == "tied":
        points[-1] = points[above[-1]]
    problem = Problem(
        tree=tree, projections=projections, pixels=pixels.double(), trust=trust, noise_px=2.0, boned=below & ~tied,
        free=below & ~tied & (request.param == "estimate"), tied=tied, acceleration=torch.full((JOINTS, 1), 30.0).double(), anchors=points, anchored=anchored,
        redescending=torch.zeros(JOINTS, FRAMES, dtype=torch.bool),
    )  # fmt: skip
    return problem, State(points + 0.01 * torch.randn(points.shape, generator=generator).double(), lengths)


def flat(state):
    return torch.cat([state.points.flatten(), state.lengths])


def unflat(vector):
    return State(vector[:UNKNOWNS].reshape(JOINTS, 3, FRAMES), vector[UNKNOWNS:])


def residuals(problem, vector, weights=None):
    """All residuals as one vector, written out anew; `weights` freezes the robust ones at a state."""
    state, at = unflat(vector), unflat(vector if weights is None else weights)
    rows = []

    def seen(points):
        h = torch.einsum("vab,jbt->vjat", problem.projections[:, 0, :, :3], points) + problem.projections[:, 0, None, :, 3:]
        return (h[:, :, :2] / h[:, :, 2:] - problem.pixels) / problem.noise_px

    confidence = problem.trust * problem.noise_px**2
    away = seen(at.points).norm(dim=2)
    weight = torch.where(away > REACH, REACH / away, 1.0)
    rows.append((seen(state.points) * (confidence * weight).sqrt()[:, :, None]).flatten())
    order = problem.tree.order.tolist()
    for row, joint in enumerate(order):
        if PARENTS[joint] < 0:
            continue
        bone = state.points[row] - state.points[order.index(PARENTS[joint])]
        if problem.tied[row]:
            rows.append(1e4 * bone.flatten())
        else:
            rows.append(LENGTH_WEIGHT * (bone.norm(dim=0) / state.lengths[row] - 1))
    jolt = [problem.acceleration[:, None] * (p[..., 2:] - 2 * p[..., 1:-1] + p[..., :-2]) for p in (state.points, at.points)]
    rows.append((jolt[0] / jolt[1].norm(dim=1, keepdim=True).clamp(min=1).sqrt()).flatten())
    rows.append(10 * (state.points - problem.anchors).movedim(1, -1)[problem.anchored].flatten())
    return torch.cat(rows)


def cost(problem, state):
    return float(frame_costs(problem, state).sum())


def dense(problem, state):
    """Gauss-Newton's matrix and right-hand side by automatic differentiation; lengths that are given are no unknowns."""
    vector = flat(state)
    slope = torch.autograd.functional.jacobian(lambda x: residuals(problem, x, vector), vector, vectorize=True)
    slope[:, UNKNOWNS:] *= problem.free
    return slope.T @ slope, -slope.T @ residuals(problem, vector, vector)


def test_the_system_is_that_of_automatic_derivatives(scene, generator):
    problem, state = scene
    matrix, right = dense(problem, state)
    system = linearise(problem, state)
    assert torch.allclose(flat(system.right), right, rtol=1e-8, atol=1e-6)
    for _ in range(3):
        direction = torch.randn(len(right), generator=generator, dtype=torch.float64)
        direction[UNKNOWNS:] *= problem.free
        wanted = matrix @ direction
        assert torch.allclose(flat(system.multiply(unflat(direction))), wanted, rtol=1e-8, atol=1e-6 * float(wanted.abs().max()))


def test_the_right_hand_side_is_half_the_downward_slope_of_the_cost(scene):
    problem, state = scene
    right, vector = flat(linearise(problem, state).right), flat(state)
    free = range(0, len(vector) if problem.free.any() else UNKNOWNS, 7)
    for index in free:
        step = torch.zeros_like(vector)
        step[index] = 1e-6
        slope = (cost(problem, unflat(vector + step)) - cost(problem, unflat(vector - step))) / 2e-6
        assert slope == pytest.approx(-2 * float(right[index]), rel=1e-3, abs=0.5)


def test_conjugate_gradients_reach_the_exact_step(scene):
    problem, state = scene
    matrix, right = dense(problem, state)
    used = matrix.diagonal() > 0
    matrix[~used, ~used] = 1
    wanted = torch.linalg.solve(matrix, right)
    found = flat(conjugate_gradients(linearise(problem, state), UNDAMPED, 1e-12, 2000))
    assert torch.allclose(found, wanted, rtol=1e-5, atol=1e-6 * float(wanted.abs().max()))


def test_without_time_and_lengths_one_iteration_is_exact(scene):
    problem, state = scene
    problem = replace(problem, free=torch.zeros_like(problem.free), acceleration=torch.zeros_like(problem.acceleration))
    one, many = (conjugate_gradients(linearise(problem, state), UNDAMPED, 1e-14, steps) for steps in (1, 500))
    assert torch.allclose(one.points, many.points, atol=1e-8 * float(many.points.abs().max()))


def test_the_optimum_is_scipy_s(scene):
    optimize = pytest.importorskip("scipy.optimize")
    problem, state = scene
    # SciPy's robust losses are per number, ours per keypoint: iterate its exact solution with the robust weights of the last one.
    vector = flat(state)
    free = UNKNOWNS + (JOINTS if problem.free.any() else 0)
    for _ in range(25):
        frozen = vector.clone()

        def fun(x, frozen=frozen):
            return residuals(problem, torch.cat([torch.from_numpy(x), frozen[free:]]), frozen).numpy()

        def jac(x, frozen=frozen):
            at = torch.cat([torch.from_numpy(x), frozen[free:]])
            return torch.autograd.functional.jacobian(lambda y: residuals(problem, y, frozen), at, vectorize=True)[:, :free].numpy()

        solved = optimize.least_squares(fun, vector[:free].numpy(), jac, max_nfev=4).x
        moved = np.abs(solved - vector[:free].numpy()).max()
        vector = torch.cat([torch.from_numpy(solved), vector[free:]])
        if moved < 1e-8:
            break
    ours = minimise(problem, state, steps=200, enough=1e-13, tolerance=1e-8)
    assert cost(problem, ours) <= cost(problem, unflat(vector)) * (1 + 1e-6)
    assert torch.allclose(ours.points, unflat(vector).points, atol=2e-4)


def test_robust_weights_are_the_slope_of_the_robust_cost():
    squares = torch.linspace(0.01, 100, 400, dtype=torch.float64)
    for released in (False, True):
        flags = torch.full_like(squares, released, dtype=torch.bool)
        up, down = robust(squares + 1e-6, flags)[0], robust(squares - 1e-6, flags)[0]
        assert torch.allclose((up - down) / 2e-6, robust(squares, flags)[1], atol=1e-5)
    far = torch.tensor([1e4], dtype=torch.float64)
    assert robust(far, torch.tensor([False]))[1] == pytest.approx(0.03)
    assert robust(far, torch.tensor([True]))[1] < 1e-3


def test_flags_spread_along_one_bone():
    tree = TreeOrder.of(PARENTS)
    for joint in range(JOINTS):
        flags = torch.zeros(JOINTS, 2, dtype=torch.bool)
        flags[tree.place[joint], 1] = True
        near = {joint, PARENTS[joint], *(child for child, parent in enumerate(PARENTS) if parent == joint)} - {-1}
        raised = _with_neighbours(tree, flags)
        assert set(tree.order[raised[:, 1]].tolist()) == near and not raised[:, 0].any()


def test_the_fit_ends_after_its_steps_whatever_the_problem(scene):
    problem, state = scene
    for points in (state.points, torch.full_like(state.points, torch.nan)):
        taken = minimise(problem, State(points, state.lengths), steps=3, enough=0.0, tolerance=0.5)
        assert taken.points.shape == points.shape
    still = minimise(problem, State(torch.full_like(state.points, torch.nan), state.lengths), enough=0.0)
    assert still.points.isnan().all()

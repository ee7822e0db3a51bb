from dataclasses import replace

import pytest
import torch
from motion4d.core.geometry.kinematics import forward, joint_positions, world_rotations
from motion4d.core.geometry.pose_fit import Fit, _energy, _relative_pull, _step, fitted_turns, positions_of
from motion4d.core.geometry.rotations import matrix_to_rotvec, rotvec_to_matrix
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Animation

REST = SMPL24.rest.double()


def smooth_turns(generator, frames=20):
    time = torch.arange(frames, dtype=torch.float64)[:, None, None] / 30
    size, phase = 0.5 * torch.randn(24, 3, generator=generator).double(), 6 * torch.rand(24, 3, generator=generator).double()
    return world_rotations(rotvec_to_matrix(size * torch.sin(4 * time + phase)), SMPL24.parents)


@pytest.fixture
def turns(generator):
    return smooth_turns(generator)


@pytest.fixture
def fit(turns, generator):
    root = torch.randn(20, 3, generator=generator, dtype=torch.float64)
    joints = joint_positions(turns, root, REST, torch.eye(3).double().expand(24, 3, 3), SMPL24.parents)
    return Fit.of(joints, torch.ones(20, 24, dtype=torch.float64), REST, SMPL24.parents, {0: root})


def test_positions_are_those_of_forward_kinematics(turns, generator):
    root, hips = (torch.randn(20, 3, generator=generator, dtype=torch.float64) for _ in range(2))
    fit = Fit.of(torch.zeros(20, 24, 3).double(), torch.ones(20, 24).double(), REST, SMPL24.parents, {0: root, 2: hips})
    local = torch.stack([turns[:, j] if p < 0 else turns[:, p].mT @ turns[:, j] for j, p in enumerate(SMPL24.parents)], 1)
    animation = Animation(rotations=local, translation=root, fps=30.0, rig=SMPL24, placed=(2,), places=hips[:, None])
    assert torch.allclose(positions_of(fit, turns), forward(animation).joints, atol=1e-12)


@pytest.mark.parametrize("weights", [(1e-3, 1e-2), (0.0, 0.0), (1e-3, 0.0)])
def test_the_gradient_is_that_of_automatic_differentiation(fit, turns, generator, weights):
    start = (rotvec_to_matrix(0.1 * torch.randn(20, 24, 3, generator=generator).double()) @ turns).transpose(0, 1).contiguous()
    step = torch.zeros(24, 20, 3, dtype=torch.float64, requires_grad=True)
    _energy(fit, rotvec_to_matrix(step) @ start, weights, False).backward()
    # A damping that swamps all else makes the step minus the gradient over it; the sum has no factor of a half.
    found = _step(fit, start, weights, torch.tensor([1e9], dtype=torch.float64), False)
    assert torch.allclose(-2e9 * found, step.grad, atol=1e-6 * float(step.grad.abs().max()))


def test_turns_relative_to_the_parent_pull_nothing_at_rest(fit):
    rest = torch.eye(3, dtype=torch.float64).expand(24, 20, 3, 3)
    assert _relative_pull(fit, rest, (1e-3, 1e-2)).abs().max() == 0


def test_a_fit_of_positions_alone_reaches_them_frame_by_frame(fit, turns, generator):
    off = rotvec_to_matrix(0.2 * torch.randn(20, 24, 3, generator=generator).double()) @ turns
    found = fitted_turns(fit, off, fps=30.0, still=0.0, steady=0.0)
    assert (fit.misses(found) <= fit.misses(off)).all()
    assert fit.misses(found).max() < 1e-6 < fit.misses(off).min()
    one = replace(fit, target=fit.target[:, 4:5], weight=fit.weight[:, 4:5], base=fit.base[:, 4:5])
    assert torch.allclose(
        positions_of(one, fitted_turns(one, off[4:5], fps=30.0, still=0.0, steady=0.0)), fit.target[:, 4:5].mT.permute(2, 0, 1), atol=2e-3
    )


def test_the_sum_falls_and_the_turns_get_smaller(fit, turns, generator):
    spin = rotvec_to_matrix(0.15 * torch.randn(20, 24, 3, generator=generator).double())
    start = spin @ turns
    found = fitted_turns(fit, start, fps=30.0)
    before, after = (float(_energy(fit, part.transpose(0, 1), (1e-3, 1e-2), False)) for part in (start, found))
    truth = float(_energy(fit, turns.transpose(0, 1), (1e-3, 1e-2), False))
    assert after < truth < before
    identity = torch.eye(3, dtype=torch.float64)
    assert torch.allclose(found @ found.mT, identity.expand_as(found), atol=1e-12)
    change = matrix_to_rotvec(found[1:] @ found[:-1].mT).norm(dim=-1).mean()
    assert change < 0.6 * matrix_to_rotvec(start[1:] @ start[:-1].mT).norm(dim=-1).mean()

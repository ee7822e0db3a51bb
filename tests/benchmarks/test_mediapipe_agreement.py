import pytest
import torch
from motion4d.benchmarks.mediapipe_agreement import aligned
from motion4d.core.geometry.rotations import rotvec_to_matrix


@pytest.mark.parametrize("scale", [False, True])
def test_alignment_undoes_a_movement_and_a_scale_only_if_asked(generator, scale):
    points = torch.randn(40, 3, generator=generator).double()
    turn = rotvec_to_matrix(torch.randn(3, generator=generator).double())
    moved = 1.7 * points @ turn.mT + torch.tensor([1.0, 2, 3])
    error = (aligned(points, moved, scale=scale) - moved).norm(dim=-1).mean()
    assert error < 1e-9 if scale else error > 0.5
    mirrored = moved * torch.tensor([1.0, 1.0, -1.0])
    assert (aligned(points, mirrored, scale=True) - mirrored).norm(dim=-1).mean() > 0.5

import math

import pytest
import torch
from motion4d.core.formats.quaternions import continuous, matrix_to_quat_xyzw, quat_xyzw_to_matrix
from motion4d.core.geometry.rotations import rotvec_to_matrix


def random_turns(generator, count=500):
    axis = torch.randn(count, 3, generator=generator, dtype=torch.float64)
    axis = axis / axis.norm(dim=-1, keepdim=True)
    angle = torch.rand(count, 1, generator=generator, dtype=torch.float64) * 2 * math.pi
    return axis, angle


def test_matrices_survive_the_round_trip_also_near_half_turns(generator):
    axis, angle = random_turns(generator)
    half_turns = math.pi + 1e-7 * torch.randn(500, 1, generator=generator, dtype=torch.float64)
    for turn in (angle, half_turns, 1e-9 * angle):
        matrix = rotvec_to_matrix(axis * turn)
        assert torch.allclose(quat_xyzw_to_matrix(matrix_to_quat_xyzw(matrix)), matrix, atol=1e-12)


def test_a_quaternion_is_sine_and_cosine_of_half_the_angle(generator):
    axis, angle = random_turns(generator)
    expected = torch.cat([axis * (angle / 2).sin(), (angle / 2).cos()], -1)
    found = matrix_to_quat_xyzw(rotvec_to_matrix(axis * angle))
    expected = torch.where(expected[:, 3:] < 0, -expected, expected)
    assert torch.allclose(found, expected, atol=1e-9)


def test_the_half_turns_about_the_axes_are_exact():
    turns = torch.stack([torch.diag(torch.tensor(signs)) for signs in ([1.0, -1, -1], [-1.0, 1, -1], [-1.0, -1, 1])])
    assert torch.equal(matrix_to_quat_xyzw(turns).abs(), torch.eye(4)[:3])


def test_float32_stays_accurate(generator):
    axis, angle = random_turns(generator)
    matrix = rotvec_to_matrix(axis * angle)
    assert (quat_xyzw_to_matrix(matrix_to_quat_xyzw(matrix.float())) - matrix.float()).abs().max() < 1e-6


@pytest.mark.parametrize("joints", [(), (3,)])
def test_continuous_tracks_never_jump_and_keep_their_rotations(joints, generator):
    time = torch.linspace(0, 6 * math.pi, 200, dtype=torch.float64).reshape(-1, *[1] * (len(joints) + 1))
    axis = torch.randn(*joints, 3, generator=generator, dtype=torch.float64)
    quats = matrix_to_quat_xyzw(rotvec_to_matrix(time * axis / axis.norm(dim=-1, keepdim=True)))
    assert ((quats[1:] * quats[:-1]).sum(-1) < 0).any()
    smooth = continuous(quats)
    assert ((smooth[1:] * smooth[:-1]).sum(-1) > 0.9).all()
    assert torch.equal(smooth[0], quats[0])
    assert torch.allclose(quat_xyzw_to_matrix(smooth), quat_xyzw_to_matrix(quats), atol=1e-12)

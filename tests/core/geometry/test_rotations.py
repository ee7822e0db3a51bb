import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motion4d.core.geometry.rotations import (
    align_vectors,
    cross_matrix,
    euler_to_matrix,
    matrix_to_euler,
    matrix_to_rotvec,
    nearest_rotation,
    rotvec_to_matrix,
)

ORDERS = ("XYZ", "XZY", "YXZ", "YZX", "ZXY", "ZYX")
UNIT = st.floats(-1, 1, allow_subnormal=False)
DIRECTION = st.tuples(UNIT, UNIT, UNIT).filter(lambda v: sum(x * x for x in v) > 1e-6)


def double(*values):
    return torch.tensor(values, dtype=torch.float64)


def is_rotation(matrix, tolerance=1e-12):
    identity = torch.eye(3, dtype=matrix.dtype)
    return torch.allclose(matrix @ matrix.mT, identity.expand_as(matrix), atol=tolerance) and bool(
        (torch.linalg.det(matrix) - 1).abs().max() < tolerance
    )


def random_rotations(count, generator):
    return nearest_rotation(torch.randn(count, 3, 3, generator=generator, dtype=torch.float64))


def test_the_cross_matrix_is_the_cross_product(generator):
    a, b = torch.randn(2, 5, 3, generator=generator, dtype=torch.float64)
    assert torch.allclose((cross_matrix(a) @ b[..., None])[..., 0], torch.linalg.cross(a, b), atol=1e-15)


@pytest.mark.parametrize("angle", [0.0, 1e-12, 1e-6, 1e-4, 1e-3, 1.0, math.pi, 5.0])
def test_a_rotation_vector_turns_by_its_length_about_its_axis(angle):
    axis = double(1.0, -2.0, 0.5) / double(1.0, -2.0, 0.5).norm()
    matrix = rotvec_to_matrix(angle * axis)
    assert is_rotation(matrix)
    assert torch.allclose(matrix, torch.matrix_exp(angle * cross_matrix(axis)), atol=1e-12)
    assert torch.allclose(matrix @ axis, axis, atol=1e-15)


def test_turns_about_one_axis_add_up():
    axis = double(0.3, 0.4, -0.866)
    assert torch.allclose(rotvec_to_matrix(0.3 * axis) @ rotvec_to_matrix(0.9 * axis), rotvec_to_matrix(1.2 * axis), atol=1e-14)


def test_the_gradient_of_a_rotation_vector_is_finite_at_zero():
    rotvec = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    rotvec_to_matrix(rotvec)[1, 0].backward()
    assert torch.allclose(rotvec.grad, double(0.0, 0.0, 1.0))


@settings(max_examples=60, deadline=None)
@given(DIRECTION, DIRECTION)
def test_aligning_brings_one_direction_onto_the_other_by_the_smallest_turn(source, target):
    source, target = double(*source), double(*target)
    matrix = align_vectors(source, target)
    u, b = source / source.norm(), target / target.norm()
    assert is_rotation(matrix)
    assert torch.allclose(matrix @ u, b, atol=1e-12)
    cosine = ((matrix.trace() - 1) / 2).clamp(-1, 1)
    assert abs(cosine - (u * b).sum().clamp(-1, 1)) < 1e-10


@pytest.mark.parametrize("source", [(0, 1, 0), (1, 0, 0), (0, 0, -1), (1, 1, 1), (0, 1, 1e-9)])
def test_aligning_opposite_directions_is_a_half_turn(source):
    source = double(*source)
    matrix = align_vectors(source, -source)
    assert is_rotation(matrix)
    assert torch.allclose(matrix @ source, -source, atol=1e-12)
    assert abs(float(matrix.trace()) + 1) < 1e-12


@pytest.mark.parametrize("gap", [1e-3, 1e-4, 1e-6, 1e-8, 1e-12, 1e-16])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_aligning_stays_exact_next_to_the_opposite_direction(gap, dtype):
    up = torch.tensor([0.0, 1.0, 0.0], dtype=dtype)
    target = torch.tensor([gap, -1.0, 0.5 * gap], dtype=dtype)
    matrix = align_vectors(up, target)
    tolerance = 100 * torch.finfo(dtype).eps
    assert is_rotation(matrix, tolerance)
    assert torch.allclose(matrix @ up, target / target.norm(), atol=tolerance)


def test_aligning_a_direction_with_itself_is_the_identity():
    source = double(0.2, -3.0, 1.0)
    assert torch.allclose(align_vectors(source, 7 * source), torch.eye(3, dtype=torch.float64), atol=1e-15)


def test_aligning_broadcasts_one_source_over_many_targets(generator):
    targets = torch.randn(4, 5, 3, generator=generator, dtype=torch.float64)
    up = double(0.0, 1.0, 0.0)
    matrices = align_vectors(up, targets)
    assert matrices.shape == (4, 5, 3, 3)
    assert torch.allclose(matrices @ up, targets / targets.norm(dim=-1, keepdim=True), atol=1e-12)


def test_the_nearest_rotation_of_a_rotation_is_itself(generator):
    matrix = random_rotations(20, generator)
    assert is_rotation(matrix)
    assert torch.allclose(nearest_rotation(matrix), matrix, atol=1e-12)


def test_the_nearest_rotation_beats_every_other(generator):
    matrix = torch.randn(10, 3, 3, generator=generator, dtype=torch.float64)
    nearest = nearest_rotation(matrix)
    best = (matrix - nearest).square().sum((-2, -1))
    for other in random_rotations(200, generator):
        assert ((matrix - other).square().sum((-2, -1)) >= best - 1e-12).all()


def test_the_nearest_rotation_of_a_mirror_is_no_mirror():
    assert torch.allclose(torch.linalg.det(nearest_rotation(torch.diag(double(1.0, 1.0, -1.0)))), double(1.0)[0])


@pytest.mark.parametrize("order", ORDERS)
def test_euler_angles_return(order, generator):
    angles = (torch.rand(200, 3, generator=generator, dtype=torch.float64) - 0.5) * double(2 * math.pi, math.pi, 2 * math.pi)
    matrix = euler_to_matrix(angles, order)
    assert is_rotation(matrix)
    assert torch.allclose(matrix_to_euler(matrix, order), angles, atol=1e-9)


@pytest.mark.parametrize("order", ORDERS)
def test_every_rotation_has_euler_angles(order, generator):
    matrix = random_rotations(200, generator)
    assert torch.allclose(euler_to_matrix(matrix_to_euler(matrix, order), order), matrix, atol=1e-12)


@pytest.mark.parametrize("order", ORDERS)
@pytest.mark.parametrize("middle", [math.pi / 2, -math.pi / 2])
@pytest.mark.parametrize("short", [0.0, 1e-10, 1e-7, 1e-5, 1e-4, 1e-3])
def test_gimbal_lock_keeps_the_rotation(order, middle, short):
    angles = double(0.7, middle * (1 - short), -1.9)
    matrix = euler_to_matrix(angles, order)
    assert torch.allclose(euler_to_matrix(matrix_to_euler(matrix, order), order), matrix, atol=1e-12)


def test_euler_order_names_the_turns_from_the_outermost():
    angles = double(0.2, -0.4, 0.9)
    z, x, y = (rotvec_to_matrix(angle * double(*axis)) for angle, axis in zip(angles, ((0, 0, 1), (1, 0, 0), (0, 1, 0)), strict=True))
    assert torch.allclose(euler_to_matrix(angles, "ZXY"), z @ x @ y, atol=1e-15)


def test_rotation_vectors_come_back_up_to_a_half_turn(generator):
    direction = torch.nn.functional.normalize(torch.randn(500, 3, generator=generator, dtype=torch.float64), dim=-1)
    rotvec = direction * torch.linspace(0, math.pi - 1e-6, 500, dtype=torch.float64)[:, None]
    assert torch.allclose(matrix_to_rotvec(rotvec_to_matrix(rotvec)), rotvec, atol=1e-9)
    assert torch.allclose(matrix_to_rotvec(rotvec_to_matrix(rotvec.float())), rotvec.float(), atol=2e-6)
    half_turns = torch.diag_embed(2 * torch.eye(3) - 1)
    assert torch.allclose(matrix_to_rotvec(half_turns).abs(), math.pi * torch.eye(3))
    assert torch.equal(matrix_to_rotvec(torch.eye(3)), torch.zeros(3))

"""Gaps in clips: jumps are found, the missing is placed, the known stays."""

import math

import pytest
import torch
from motion4d.core.geometry.joint_gaps import fill_gaps, without_jumps
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.types import Skeleton

CHAIN = Skeleton(names=("hip", "knee", "foot"), parents=(-1, 0, 1), mirror=(0, 1, 2))
RESTED = Skeleton(
    names=("hip", "a", "b", "c"),
    parents=(-1, 0, 0, 0),
    mirror=(0, 1, 2, 3),
    rest=torch.tensor([[0.0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]),
)


def swinging(frames=40, fps=30.0, hertz=1.0):
    seconds = torch.arange(frames).double() / fps
    angle = 1.2 * torch.sin(2 * math.pi * hertz * seconds)
    hip = torch.stack([seconds, 0 * seconds, 0 * seconds], -1)
    down = torch.stack([torch.sin(angle), -torch.cos(angle), 0 * angle], -1)
    return torch.stack([hip, hip + 0.5 * down, hip + 0.9 * down], 1)


def all_known(points):
    return torch.ones(points.shape[:2], dtype=torch.bool)


@pytest.mark.parametrize("fps", [15.0, 30.0, 120.0])
def test_a_swift_movement_has_no_jumps(fps):
    points = swinging(60, fps, hertz=1.5)
    assert without_jumps(points, all_known(points), size=1.7, fps=fps).all()


def test_frames_that_jump_are_not_known_and_their_neighbours_are():
    points = swinging()
    points[9, 2] += torch.tensor([0.2, 0.0, 0.1]).double()
    points[20:22, 2] += torch.tensor([0.6, 0.0, 0.4]).double()
    expected = all_known(points)
    expected[[9, 20, 21], 2] = False
    assert torch.equal(without_jumps(points, all_known(points), size=1.7, fps=30.0), expected)
    assert torch.equal(without_jumps(1000 * points, all_known(points), size=1700.0, fps=30.0), expected)


def test_what_is_missing_stays_missing_and_is_no_neighbour():
    points, known = swinging(), all_known(swinging())
    known[5:8, 1] = False
    points[~known] = torch.nan
    assert torch.equal(without_jumps(points, known, size=1.7, fps=30.0), known)


def test_a_joint_that_always_jumps_keeps_its_points(generator):
    points = swinging()
    points[:, 2] += torch.randn(40, 3, generator=generator)
    assert without_jumps(points, all_known(points), size=1.7, fps=30.0).all()


def test_the_first_and_the_last_frame_are_not_judged():
    points = swinging()
    points[[0, -1]] += 5
    assert without_jumps(points, all_known(points), size=1.7, fps=30.0).all()


def test_the_known_stays_and_a_gap_goes_along_with_the_parent():
    points, known = swinging(), all_known(swinging())
    known[10:20, 2] = False
    given = torch.where(known[..., None], points, torch.nan)
    filled = fill_gaps(given, known, CHAIN)
    assert torch.allclose(filled[known], points[known], rtol=0, atol=1e-12)
    first, last = ((points[frame, 2] - points[frame, 1]) for frame in (9, 20))
    for frame in range(10, 20):
        way = torch.lerp(first, last, torch.tensor((frame - 9) / 11).double())
        assert torch.allclose(filled[frame, 2], points[frame, 1] + way)


def test_before_the_first_and_after_the_last_frame_the_way_is_held():
    points, known = swinging(), all_known(swinging())
    known[:5, 2] = known[30:, 2] = False
    filled = fill_gaps(torch.where(known[..., None], points, torch.nan), known, CHAIN)
    assert torch.allclose(filled[:5, 2] - filled[:5, 1], (points[5, 2] - points[5, 1]).expand(5, 3))
    assert torch.allclose(filled[30:, 2] - filled[30:, 1], (points[29, 2] - points[29, 1]).expand(10, 3))


def test_a_joint_that_is_never_known_stands_as_in_the_rest_pose_turned_and_scaled(generator):
    turns = rotvec_to_matrix(torch.randn(6, 3, generator=generator).double())
    points = 2.0 * (turns @ RESTED.rest.double().mT).mT + torch.randn(6, 1, 3, generator=generator)
    known = all_known(points)
    known[:, 3] = False
    filled = fill_gaps(torch.where(known[..., None], points, torch.nan), known, RESTED)
    assert torch.allclose(filled, points, atol=1e-6)


def test_without_a_rest_pose_it_stands_on_its_parent():
    points, known = swinging(), all_known(swinging())
    known[:, 2] = False
    filled = fill_gaps(torch.where(known[..., None], points, torch.nan), known, CHAIN)
    assert torch.equal(filled[:, 2], filled[:, 1])

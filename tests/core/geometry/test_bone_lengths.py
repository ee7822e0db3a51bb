"""Lengths of bones from rough joints: those that are seen tell, those that hardly are follow the rest pose or the other side."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.geometry.bone_lengths import expected_lengths, measured_lengths, rest_lengths
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Skeleton

FRAMES = 40
WRIST, HAND = SMPL24.names.index("left_wrist"), SMPL24.names.index("left_hand")
RIGHT_HAND = SMPL24.names.index("right_hand")


@pytest.fixture
def points(generator):
    """(T, J, 3) of a body 1.2 times as large as at rest that turns about."""
    turns = rotvec_to_matrix(torch.randn(FRAMES, 3, generator=generator).double())
    return 1.2 * SMPL24.rest.double() @ turns.mT


def shown(*hidden, frames=FRAMES):
    """All joints known, but those hidden only in the last frames."""
    known = torch.ones(FRAMES, len(SMPL24.names), dtype=torch.bool)
    known[:frames, list(hidden)] = False
    return known


def test_lengths_at_rest_are_those_of_the_bones():
    lengths = rest_lengths(SMPL24)
    for child, parent in SMPL24.bones:
        assert lengths[child] == (SMPL24.rest[child] - SMPL24.rest[parent]).norm()
    assert lengths[0] == 0
    with pytest.raises(ValueError, match="estimate them"):
        rest_lengths(replace(SMPL24, rest=None))


def test_only_frames_that_show_both_ends_are_measured(points):
    points[:30, HAND] += 5.0
    lengths, count, spread = measured_lengths(points, shown(HAND, frames=30), SMPL24)
    assert torch.allclose(lengths, 1.2 * rest_lengths(SMPL24).double())
    assert count[HAND] == 10 and count[WRIST] == FRAMES and count[0] == 0
    assert spread.max() < 1e-6


def test_bones_that_are_seen_tell_their_own_length(points):
    lengths, free = expected_lengths(points, shown(), SMPL24)
    assert torch.allclose(lengths, 1.2 * rest_lengths(SMPL24).double())
    assert free[1:].all()


@pytest.mark.parametrize("frames", [FRAMES, FRAMES - 1, FRAMES - 5])
def test_a_bone_that_is_hardly_seen_follows_the_rest_pose_in_the_size_of_the_others(points, frames):
    points[:, HAND] += torch.linspace(0.3, 3.0, FRAMES)[:, None].double()  # something else, read for the hand
    lengths, free = expected_lengths(points, shown(HAND, frames=frames), SMPL24)
    wanted = 1.2 * rest_lengths(SMPL24).double()
    assert not free[HAND] and free[1:].sum() == 22
    assert wanted[HAND] * (1 - 1e-6) <= lengths[HAND] < 1.4 * wanted[HAND]


def test_what_frames_show_that_agree_outweighs_the_rest_pose(points):
    points[:, HAND] = points[:, WRIST] + 1.2 * (points[:, HAND] - points[:, WRIST])
    lengths, free = expected_lengths(points, shown(HAND, frames=FRAMES - 8), SMPL24)
    assert not free[HAND]
    assert lengths[HAND] == pytest.approx(1.2 * 1.1 * float(rest_lengths(SMPL24)[HAND]), rel=1e-4)  # eight frames count as much


def test_frames_that_disagree_tell_no_length(points, generator):
    points[:, HAND] += torch.randn(FRAMES, 3, generator=generator).double()
    lengths, free = expected_lengths(points, shown(), SMPL24)
    assert not free[HAND]
    assert lengths[HAND] == pytest.approx(1.2 * float(rest_lengths(SMPL24)[HAND]), rel=0.1)


def test_without_a_rest_pose_the_other_side_tells(points):
    bare = replace(SMPL24, rest=None)
    points[:, HAND] += 5.0
    known = shown(HAND)
    lengths, free = expected_lengths(points, known, bare)
    assert not free[HAND] and lengths[HAND] == pytest.approx(float(lengths[RIGHT_HAND]), rel=1e-9)
    known[:, RIGHT_HAND] = False
    points[:, RIGHT_HAND] += 5.0
    lengths, _ = expected_lengths(points, known, bare)
    assert lengths[HAND] <= lengths[1:22].median()


def test_lengths_follow_the_unit(points, generator):
    points[:, HAND] += torch.randn(FRAMES, 3, generator=generator).double()
    for skeleton in (SMPL24, replace(SMPL24, rest=None)):
        lengths, free = expected_lengths(points, shown(WRIST, frames=35), skeleton)
        for unit in (1e-3, 1e3):
            scaled, same = expected_lengths(unit * points, shown(WRIST, frames=35), skeleton)
            assert torch.allclose(scaled, unit * lengths, rtol=1e-9, atol=0) and torch.equal(free, same)


def test_nothing_known_and_nothing_to_measure():
    points = torch.zeros(3, 2, 3, dtype=torch.float64)
    pair = Skeleton(names=("a", "b"), parents=(-1, 0), mirror=(0, 1))
    for skeleton in (pair, replace(pair, rest=torch.tensor([[0.0, 0, 0], [0, 1, 0]]))):
        for known in (torch.zeros(3, 2, dtype=torch.bool), torch.ones(3, 2, dtype=torch.bool)):
            lengths, _ = expected_lengths(points, known, skeleton)
            assert torch.equal(lengths, torch.zeros(2).double())

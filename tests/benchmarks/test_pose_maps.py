"""Motions come back from videos of their pose maps, within the bounds that the benchmark prints, on shorter clips."""

import pytest
import torch
from motion4d.benchmarks.made_rigs import height_of, lively, mechanical, quadruped, winged
from motion4d.benchmarks.pose_maps import cameras_around, localise, round_trip, scaled
from motion4d.core.geometry.rotations import matrix_to_rotvec
from motion4d.core.skeletons import SMPL24, SMPLX55

SHORT = {"seconds": 0.5, "fps": 16}


@pytest.mark.parametrize("skeleton", [SMPL24, quadruped(), winged(), mechanical()], ids=["person", "quadruped", "winged", "mechanical"])
def test_motions_turn_every_joint_by_sixty_degrees_and_cross_half_a_height(skeleton):
    motion = lively(skeleton, seconds=4, fps=60)
    turns = matrix_to_rotvec(motion.rotations)
    axes = turns[turns.norm(dim=-1).argmax(0), range(len(skeleton.names))]
    swing = torch.rad2deg((turns * torch.nn.functional.normalize(axes, dim=-1)).sum(-1))
    assert (swing.amax(0) - swing.amin(0)).min() > 59
    root = motion.joints[:, 0]
    assert torch.cdist(root, root).max() >= 0.49 * height_of(skeleton)


@pytest.mark.parametrize(
    ("skeleton", "bound"), [(SMPL24, 0.0015), (winged(), 0.0015), (mechanical(), 0.0015)], ids=["person", "winged", "mechanical"]
)
def test_motions_come_back_from_h264(skeleton, bound):
    outcome = round_trip(lively(skeleton, **SHORT))
    assert outcome.errors.mean() < bound


def test_fingers_come_back_from_the_detail_map():
    outcome = round_trip(lively(SMPLX55, seconds=0.3, fps=16), detail=True)
    assert outcome.errors.mean() < 0.005


def test_the_size_of_the_world_plays_no_part():
    motion = lively(SMPL24, seconds=0.3, fps=16)
    here, there = round_trip(motion), round_trip(scaled(motion, 1000.0), cameras=cameras_around(scaled(motion, 1000.0)))
    off = (there.joints / 1000 - here.joints).norm(dim=-1) / height_of(SMPL24)
    assert off.mean() < 1e-4 and there.errors.mean() < 0.0015


def test_the_same_seed_moves_alike_at_every_rate():
    slow, fast = (lively(quadruped(), seconds=1, fps=fps) for fps in (16, 32))
    assert torch.allclose(slow.joints, fast.joints[::2])


def test_skeletons_are_as_far_apart_as_asked_and_the_same_for_one_seed():
    one, two = (localise(lambda levels, generator: levels, joints=20, pictures=2, seed=5) for _ in range(2))
    assert (one.errors == two.errors).all() and one.found == 1 and one.within(0.2) == 1

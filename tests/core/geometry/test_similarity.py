from dataclasses import replace

import torch
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.similarity import HALF_TURN, transformed
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Animation


def posed(generator):
    turns = rotvec_to_matrix(torch.randn(5, 24, 3, generator=generator))
    return forward(Animation(rotations=turns, translation=torch.randn(5, 3, generator=generator), fps=30.0, rig=SMPL24))


def test_rotations_lead_to_the_joints_as_before(generator):
    motion = posed(generator)
    turn = rotvec_to_matrix(torch.randn(3, generator=generator, dtype=torch.float64))
    moved = transformed(motion, turn=turn, scale=1.7, shift=torch.tensor([1.0, -2.0, 3.0]))
    again = forward(Animation(rotations=moved.rotations, translation=moved.translation, fps=30.0, rig=moved.skeleton))
    assert torch.allclose(again.joints, moved.joints, atol=1e-5)
    expected = 1.7 * motion.joints.double() @ turn.mT + torch.tensor([1.0, -2.0, 3.0])
    assert torch.allclose(moved.joints.double(), expected, atol=1e-6)


def test_the_inverse_brings_everything_back(generator):
    motion = posed(generator)
    turn, shift = rotvec_to_matrix(torch.randn(3, generator=generator, dtype=torch.float64)), torch.tensor([1.0, -2.0, 3.0]).double()
    back = transformed(transformed(motion, turn=turn, scale=2.0, shift=shift), turn=turn.mT, scale=0.5, shift=-0.5 * turn.mT @ shift)
    for name in ("joints", "translation", "rotations"):
        assert torch.allclose(getattr(back, name), getattr(motion, name), atol=1e-5), name
    assert torch.equal(back.skeleton.rest, SMPL24.rest)


def test_positions_alone_keep_their_skeleton_and_two_half_turns_are_none(generator):
    motion = replace(posed(generator), rotations=None, translation=None)
    once = transformed(motion, turn=HALF_TURN, scale=3.0, shift=torch.zeros(3))
    assert once.skeleton is SMPL24
    assert torch.equal(transformed(once, turn=HALF_TURN, shift=torch.zeros(3)).joints, once.joints * torch.tensor([1.0, -1.0, -1.0]))

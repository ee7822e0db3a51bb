"""Attention that is seen during a pass, shared out among the joints."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.sampling.attention import MotionLook

MOTION = MotionCondition(tokens=torch.zeros(2 * 3, 8), positions=torch.zeros(3, 3), frames=2)  # two latent frames of three joints
VIDEO = (5, 4, 6)


def test_shares_are_those_that_were_seen(generator):
    look = MotionLook(MOTION, [4, 1], motion_blocks=range(6), slots=None)
    seen = {number: torch.rand(2, 5 * 2 * 3, 6, generator=generator) for number in range(6)}
    for number, probabilities in seen.items():
        look(number, probabilities)
    shares = look.shares(VIDEO)
    assert shares.shape == (2, 3, 5, 2, 3)
    for row, number in enumerate((4, 1)):
        for joint in range(3):
            # Motion tokens go frame by frame; of the batch the first row counts.
            expected = (seen[number][0, :, joint] + seen[number][0, :, 3 + joint]) / 2
            torch.testing.assert_close(shares[row, joint].flatten(), expected)


def test_a_look_at_nothing_is_refused():
    with pytest.raises(ValueError, match=r"blocks \[3, 9\] have no motion attention: choose among 0, 4"):
        MotionLook(MOTION, [9, 0, 3], motion_blocks=(0, 4), slots=None)
    with pytest.raises(ValueError, match=r"blocks \[0\] have no motion attention: choose among none"):
        MotionLook(MOTION, [0], motion_blocks=(), slots=None)
    still = replace(MOTION, tokens=None)
    with pytest.raises(ValueError, match="no motion to attend to: connect motion tokens"):
        MotionLook(still, [0], motion_blocks=(0,), slots=None)
    MotionLook(still, [0], motion_blocks=(0,), slots=6)  # learned tokens can be attended to

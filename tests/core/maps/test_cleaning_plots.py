"""The curves show both motions, whatever their length and skeleton."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.maps.cleaning_plots import plot_cleaning
from motion4d.core.skeletons import OPENPOSE18
from motion4d.core.types import Frame, Motion


def test_what_has_changed_is_seen_and_what_has_not_lies_on_itself():
    motion = demo_motion("wave", seconds=2.0)
    noisy = replace(motion, joints=motion.joints + 0.01 * torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(0)))
    same, other = plot_cleaning(motion, motion), plot_cleaning(noisy, motion)
    assert same.shape == other.shape == (660, 768, 3) and 0 <= float(other.min()) and float(other.max()) <= 1
    assert not torch.equal(same[:360], other[:360]) and not torch.equal(same[360:], other[360:])


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_have_curves_too(frames):
    joints = torch.rand(frames, 18, 3, generator=torch.Generator().manual_seed(0))
    motion = Motion(joints=joints, confidence=torch.ones(frames, 18), skeleton=OPENPOSE18, fps=30, frame=Frame.WORLD)
    assert torch.isfinite(plot_cleaning(motion, motion)).all()


def test_motions_that_do_not_belong_together_are_refused():
    motion = demo_motion("wave", seconds=1.0)
    with pytest.raises(ValueError, match="30 and 3 frames"):
        plot_cleaning(motion, motion.cut(0, 3))

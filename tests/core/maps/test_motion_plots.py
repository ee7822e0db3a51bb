from dataclasses import replace

import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.maps.motion_plots import plot_motion


def test_what_moves_is_drawn_and_what_is_missing_leaves_a_gap():
    motion = demo_motion("walk", seconds=1.0)
    picture = plot_motion(motion)
    assert picture.shape == (600, 768, 3)
    confidence = motion.confidence.clone()
    confidence[10:20] = 0.0
    assert not torch.equal(plot_motion(replace(motion, confidence=confidence))[:360], picture[:360])


def test_gradients_do_not_change_the_plot():
    motion = demo_motion("walk", seconds=0.5)
    learned = replace(motion, joints=motion.joints.clone().requires_grad_())
    assert torch.equal(plot_motion(learned), plot_motion(motion))

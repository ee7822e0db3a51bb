"""Compare Motions as a node."""

import pytest
import torch
from motion4d.core.body.animation import animation_of
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.flaws import with_flaws
from motion4d.core.geometry.kinematics import forward
from motion4d.nodes.motion.comparison import CompareMotions

SETTINGS = {"alignment": "none", "timing": "same", "within": 5.0}


def test_numbers_for_other_nodes_a_report_and_a_plot():
    walk = demo_motion("walk", seconds=1.0)
    off = with_flaws(walk, tremble_m=0.02)
    error, percent, pck, rigid, procrustes, bone, jitter, report, plot = CompareMotions.execute(off, walk, **SETTINGS).result
    assert all(type(number) is float for number in (error, percent, pck, rigid, procrustes, bone, jitter))
    assert 25 < error < 40 and procrustes < rigid < error and 90 < pck <= 100 and bone > 5 and jitter > 50
    assert percent == pytest.approx(error / 15.3, rel=0.02)
    assert plot.shape == (1, 600, 768, 3) and "left_wrist" in report and f"{error:.3g} mm" in report
    by_frame = CompareMotions.execute(off, walk, **SETTINGS | {"alignment": "each frame"}).result
    assert by_frame[0] == procrustes == by_frame[4]


def test_an_animation_is_compared_by_the_joints_it_reaches():
    animation = animation_of(demo_motion("wave", seconds=0.5))
    reached = forward(animation)
    ours, theirs = (CompareMotions.execute(*pair, **SETTINGS).result for pair in ((animation, reached), (reached, animation)))
    assert ours[0] == theirs[0] == 0 and torch.equal(ours[8], theirs[8])

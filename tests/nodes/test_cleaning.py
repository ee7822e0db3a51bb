"""Clean Motion in and out."""

from dataclasses import replace

import torch
from motion4d.core.body.demo import demo_motion
from motion4d.nodes.motion.cleaning import CleanMotion

DEFAULTS = {each.id: each.default for each in CleanMotion.define_schema().inputs if each.id != "motion"}


def run(motion, **inputs):
    with torch.inference_mode():
        return CleanMotion.execute(motion=motion, **(DEFAULTS | inputs)).result


def test_a_captured_motion_comes_out_calmer():
    walk = demo_motion("walk", seconds=2.0)
    joints = walk.joints + 0.01 * torch.randn(walk.joints.shape, generator=torch.Generator().manual_seed(0))
    confidence = walk.confidence.clone()
    confidence[20:24], joints[20:24] = 0.0, torch.nan
    motion, report, plot = run(replace(walk, joints=joints, confidence=confidence, rotations=None, translation=None))
    assert motion.seen.all() and "bridged in frames 20-23" in report and "foot slide" in report
    assert plot.shape == (1, 660, 768, 3)


def test_each_input_does_something():
    walk = demo_motion("walk", seconds=2.0)
    noisy = replace(walk, joints=walk.joints + 0.01 * torch.randn(walk.joints.shape), rotations=None, translation=None)
    usual = run(noisy)[0].joints
    for change in (
        {"smoothing": 0.1}, {"adaptive": False}, {"torso": 2.0}, {"arms": 0.0}, {"legs": 2.0}, {"head": 0.0}, {"hands": 0.0}, {"foot_lock": False},
        {"hip_give": 0.0},
    ):  # fmt: skip
        assert not torch.equal(run(noisy, **change)[0].joints, usual), change
    nothing = run(noisy, smoothing=0.0, foot_lock=False, fill_gaps=0.0)[0]
    assert torch.equal(nothing.joints, noisy.joints)

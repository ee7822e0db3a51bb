"""The numbers of a cleaning are what they say, and cleaning improves them."""

import math
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.cleaning import clean_motion, frame_jitter, jitter
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_motion
from motion4d.core.skeletons import COCO17
from motion4d.core.types import Frame, Motion, Skeleton


def captured() -> Motion:
    """A walk with tremble, holes, and nobody for a moment."""
    motion = demo_motion("walk", seconds=4.0)
    generator = torch.Generator().manual_seed(0)
    joints = motion.joints + 0.01 * torch.randn(motion.joints.shape, generator=generator)
    confidence = motion.confidence.clone()
    confidence[50:54] = 0.0
    confidence[90:93, 20] = 0.0
    joints[confidence == 0] = torch.nan
    return replace(motion, joints=joints, confidence=confidence, rotations=None, translation=None)


def test_jitter_is_the_size_of_the_second_difference():
    time = torch.arange(20.0)
    joints = torch.zeros(20, 17, 3)
    joints[..., 0] = 0.001 * time[:, None] ** 2 + 5 * time[:, None]
    motion = Motion(joints=joints, confidence=torch.ones(20, 17), skeleton=COCO17, fps=30, frame=Frame.WORLD)
    assert jitter(motion) == pytest.approx(2.0, rel=1e-3)
    assert frame_jitter(motion)[:2].isnan().all() and torch.allclose(frame_jitter(motion)[2:], torch.tensor(2.0), rtol=0.05)
    assert math.isnan(jitter(motion.cut(0, 2))) and len(frame_jitter(motion.cut(0, 1))) == 1


def test_missing_joints_have_no_jitter():
    motion = captured()
    assert math.isfinite(jitter(motion)) and frame_jitter(motion)[52:54].isnan().all()


def test_cleaning_fills_smooths_and_holds():
    motion, clean = captured(), demo_motion("walk", seconds=4.0)
    cleaned = clean_motion(motion)
    report = cleaned.report
    assert cleaned.motion.seen.all()
    assert report.jitter[1] < 0.3 * report.jitter[0] and report.slide[1] < 0.25 * report.slide[0]
    error = (cleaned.motion.joints - clean.joints).norm(dim=-1)
    assert error.mean() < 0.7 * (motion.joints - clean.joints)[motion.seen].norm(dim=-1).mean()
    text = report.text()
    assert "bridged in frames 50-53, 90-92" in text and "smoothed over 0.25 s" in text and "feet held" in text
    assert f"{report.jitter[0]:.2f} -> {report.jitter[1]:.2f} mm/frame^2 at 30 fps" in text


def test_each_part_can_be_left_out():
    motion = captured()
    same = clean_motion(motion, gap_seconds=0.0, smooth_seconds=0.0, foot_lock=False)
    assert same.motion.seen.equal(motion.seen) and torch.equal(same.motion.joints[motion.seen], motion.joints[motion.seen])
    assert same.report.jitter[0] == same.report.jitter[1] and same.report.slide[0] == same.report.slide[1]


def test_a_body_without_feet_is_cleaned_all_the_same(generator):
    snake = Skeleton(names=("head", "middle", "tail"), parents=(-1, 0, 1), mirror=(0, 1, 2))
    joints = torch.randn(40, 3, 3, generator=generator) * 0.01 + torch.arange(3)[:, None]
    cleaned = clean_motion(Motion(joints=joints, confidence=torch.ones(40, 3), skeleton=snake, fps=30, frame=Frame.WORLD))
    assert cleaned.report.slide is None and "feet are left as they are" in cleaned.report.text()
    assert cleaned.report.jitter[1] < 0.5 * cleaned.report.jitter[0]


def test_a_motion_without_anybody_is_refused():
    motion = captured()
    with pytest.raises(ValueError, match="nothing to clean"):
        clean_motion(replace(motion, confidence=torch.zeros_like(motion.confidence)))
    with pytest.raises(ValueError, match="hip_give is -1"):
        clean_motion(motion, hip_give=-1.0)


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_are_cleaned(frames):
    clip = captured().cut(0, frames)
    cleaned = clean_motion(clip)
    assert cleaned.motion.frames == frames and cleaned.report.text()


def test_a_real_dance_trembles_and_slides_less_and_keeps_its_speed(reference):
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1, fps=15.0)
    report = clean_motion(motion).report
    assert report.jitter[1] < 0.85 * report.jitter[0] and report.slide[1] < 0.1 * report.slide[0]
    assert report.peak[1] > 0.95 * report.peak[0]


def test_one_frame_has_no_numbers_to_tell():
    cleaned = clean_motion(demo_motion("walk", seconds=1.0).cut(0, 1))
    text = cleaned.report.text()
    assert "nan" not in text and "no joint is seen in three frames running" in text


def test_feet_that_cannot_be_held_are_told():
    motion = demo_motion("walk", seconds=2.0)
    confidence, joints = motion.confidence.clone(), motion.joints.clone()
    confidence[:, 0], joints[:, 0] = 0.0, torch.nan
    notes = clean_motion(replace(motion, confidence=confidence, joints=joints)).report.notes
    assert any("feet are left as they are" in note and "the root" in note for note in notes)

"""Planted feet stay where they are, and no bone is stretched."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.contacts import detect_contacts, foot_slide
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.foot_lock import lock_feet
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.measurements import bone_distances
from motion4d.core.body.smoothing import smooth
from motion4d.core.formats import load_motion
from motion4d.core.skeletons import COCO17
from motion4d.core.types import Frame, Motion


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=6.0)


def sliding(motion: Motion) -> Motion:
    """The whole body drifts by centimetres under its planted feet."""
    time = torch.arange(motion.frames) / motion.fps
    drift = torch.stack([0.02 * torch.sin(2 * time), torch.zeros_like(time), 0.015 * time], -1)
    return replace(motion, joints=motion.joints + drift[:, None], translation=motion.translation + drift)


@pytest.mark.parametrize("hip_give", [0.0, 0.5, 1.0])
def test_planted_feet_are_held_and_no_bone_is_stretched(walk, hip_give):
    drifting, contacts = sliding(walk), detect_contacts(walk)
    held = lock_feet(drifting, contacts, hip_give=hip_give)
    before, after = foot_slide(drifting, contacts), foot_slide(held, contacts)
    assert after < (0.5 if hip_give == 0 else 0.25) * before
    assert torch.allclose(bone_distances(held).nan_to_num(), bone_distances(drifting).nan_to_num(), atol=2e-6)
    assert is_posed(held), "rotations and translation still lead to the joints"
    jump = held.joints.diff(n=2, dim=0).norm(dim=-1)[:, [4, 5]].max()
    assert jump < 0.12, "knees do not pop"


def test_hips_give_way_so_that_feet_come_to_stand(walk):
    drifting, contacts = sliding(walk), detect_contacts(walk)
    stiff, soft = (lock_feet(drifting, contacts, hip_give=give) for give in (0.0, 1.0))
    assert torch.equal(stiff.joints[:, 0], drifting.joints[:, 0])
    assert not torch.equal(soft.joints[:, 0], drifting.joints[:, 0])
    assert foot_slide(soft, contacts) < foot_slide(stiff, contacts)


def test_only_the_legs_change_their_pose(walk):
    drifting = sliding(walk)
    held = lock_feet(drifting, detect_contacts(walk), hip_give=0.5)
    legs = {1, 4, 7, 10, 2, 5, 8, 11}
    others = [joint for joint in range(24) if joint not in legs]
    assert torch.equal(held.rotations[:, others], drifting.rotations[:, others])
    shift = held.joints[:, others] - drifting.joints[:, others]
    assert torch.allclose(shift, shift[:, :1].expand_as(shift), atol=1e-5)


def test_feet_that_stand_still_already_stay(walk):
    standing = demo_motion("wave", seconds=2.0)
    contacts = detect_contacts(standing)
    held = lock_feet(standing, contacts)
    assert (held.joints - standing.joints).abs().max() < 1e-3
    assert lock_feet(walk, torch.zeros(walk.frames, 4, dtype=torch.bool)) is walk


def test_ankles_alone_can_be_held(generator):
    """COCO has no joint beyond the ankle and its root is the nose."""
    motion = Motion(joints=torch.zeros(30, 17, 3), confidence=torch.ones(30, 17), skeleton=COCO17, fps=30, frame=Frame.WORLD)
    pose = torch.zeros(17, 3)
    pose[0] = torch.tensor([0.0, 1.6, 0.0])
    for hip, knee, ankle, x in ((11, 13, 15, 0.1), (12, 14, 16, -0.1)):
        pose[hip], pose[knee], pose[ankle] = (torch.tensor(place) for place in ((x, 0.9, 0.0), (x, 0.5, 0.05), (x, 0.08, 0.0)))
    joints = pose + 0.01 * torch.sin(torch.arange(30) / 4.0)[:, None, None] * torch.tensor([1.0, 0.0, 0.0])
    motion = replace(motion, joints=joints.clone())
    contacts = torch.ones(30, 2, dtype=torch.bool)
    held = lock_feet(motion, contacts, hip_give=0.0)
    assert foot_slide(held, contacts) < 0.01 and foot_slide(motion, contacts) > 2.0


def test_frames_without_a_leg_stay_as_they_are(walk):
    drifting = sliding(walk)
    joints, confidence = drifting.joints.clone(), drifting.confidence.clone()
    joints[50:60, 4], confidence[50:60, 4] = torch.nan, 0.0
    gappy = replace(drifting, joints=joints, confidence=confidence)
    held = lock_feet(gappy, detect_contacts(walk))
    assert torch.equal(held.joints[50:60, 5], joints[50:60, 5]) and held.joints[50:60, 4].isnan().all()
    assert torch.isfinite(held.joints[held.seen]).all()


def test_wrong_arguments_are_refused(walk):
    contacts = torch.zeros(walk.frames, 4, dtype=torch.bool)
    with pytest.raises(ValueError, match="hip_give is 2"):
        lock_feet(walk, contacts, hip_give=2.0)
    with pytest.raises(ValueError, match=r"contacts are \(3, 4\), expected \(180, 4\)"):
        lock_feet(walk, contacts[:3])


@pytest.mark.parametrize("frames", [1, 2, 3])
def test_short_clips_are_whole(walk, frames):
    clip = walk.cut(0, frames)
    held = lock_feet(clip, detect_contacts(clip))
    assert torch.isfinite(held.joints).all()


def test_a_real_dance_slides_less(reference):
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1, fps=15.0)
    even = smooth(motion, seconds=0.25)
    contacts = detect_contacts(even)
    held = lock_feet(even, contacts)
    assert 0.2 < contacts.any(1).float().mean() < 0.95
    assert foot_slide(held, contacts) < 0.15 * foot_slide(even, contacts)
    assert (held.joints - motion.joints).norm(dim=-1).mean() < 0.02

"""Contacts are those of the gait, planted feet stay where they are, and no bone is stretched."""

import math
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.contacts import detect_contacts, foot_slide, ground_joints, lock_feet
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.measurements import bone_distances
from motion4d.core.body.smoothing import smooth
from motion4d.core.formats import load_motion
from motion4d.core.geometry.similarity import transformed
from motion4d.core.skeletons import COCO17, OPENPOSE18
from motion4d.core.types import Frame, Motion

SECONDS = 6.0


def stances(frames: int, fps: float) -> torch.Tensor:
    """(T, 2) when the demo walk stands on its left and right foot: strides of about 1.08 s, 38 % of each in the air from 5 % on, the right half a stride later."""
    stride = SECONDS / round(SECONDS / 1.08)
    phase = torch.arange(frames) / fps / stride
    return torch.stack([(phase - 0.05) % 1 >= 0.38, (phase - 0.55) % 1 >= 0.38], -1)


def score(contacts: torch.Tensor, truth: torch.Tensor) -> tuple[float, float]:
    """Precision and recall of the feet; the frame beside a landing or a lift may go either way."""
    feet = torch.stack([contacts[:, :2].any(1), contacts[:, 2:].any(1)], -1)
    steady = torch.ones_like(truth)
    change = truth[1:] != truth[:-1]
    steady[1:] &= ~change
    steady[:-1] &= ~change
    hit = float((feet & truth & steady).sum())
    return hit / float((feet & steady).sum()), hit / float((truth & steady).sum())


def noisy(motion: Motion, millimetres: float) -> Motion:
    noise = torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(0)) * millimetres / 1000
    return replace(motion, joints=motion.joints + noise, rotations=None, translation=None)


def filmed(motion: Motion, tilt_deg: float) -> Motion:
    """In the axes of a camera 4 m in front that looks down."""
    angle = math.radians(tilt_deg)
    level = torch.diag(torch.tensor([1.0, -1.0, -1.0]).double())
    tilt = torch.tensor([[1, 0, 0], [0, math.cos(angle), -math.sin(angle)], [0, math.sin(angle), math.cos(angle)]]).double()
    turn = tilt @ level
    return replace(transformed(motion, turn=turn, shift=torch.tensor([0.0, 1.5, 6.0])), frame=Frame.CAMERA)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=SECONDS)


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("millimetres", [0.0, 3.0, 8.0])
def test_contacts_are_those_of_the_gait(fps, millimetres):
    motion = demo_motion("walk", seconds=SECONDS, fps=fps)
    motion = smooth(noisy(motion, millimetres), seconds=0.25) if millimetres else motion
    precision, recall = score(detect_contacts(motion), stances(motion.frames, fps))
    assert precision >= 0.95 and recall >= 0.95


@pytest.mark.parametrize("tilt", [0.0, 8.0])
def test_a_camera_that_looks_down_does_not_matter(walk, tilt):
    precision, recall = score(detect_contacts(filmed(walk, tilt)), stances(walk.frames, 30.0))
    assert precision >= 0.95 and recall >= 0.95


def test_someone_who_stands_stands_on_both_feet():
    assert detect_contacts(demo_motion("wave", seconds=2.0)).all()


def test_a_foot_out_of_sight_is_not_planted(walk):
    confidence = walk.confidence.clone()
    confidence[:, 7] = 0
    contacts = detect_contacts(replace(walk, confidence=confidence))
    assert not contacts[:, 0].any() and contacts[:, 1].any()


def test_columns_are_the_joints_that_touch_the_floor(walk):
    assert ground_joints(walk.skeleton) == (7, 10, 8, 11) and ground_joints(COCO17) == (15, 16)
    with pytest.raises(ValueError, match="no joint"):
        ground_joints(replace(OPENPOSE18, names=tuple(f"joint{number}" for number in range(18))))


def test_slide_is_the_way_that_a_planted_foot_goes(walk):
    contacts = torch.ones(walk.frames, 4, dtype=torch.bool)
    still = replace(walk, joints=walk.joints[:1].expand(walk.frames, 24, 3).clone())
    assert foot_slide(still, contacts) == 0.0
    along = replace(still, joints=still.joints + torch.linspace(0, 1, walk.frames)[:, None, None] * torch.tensor([1.0, 0, 0]))
    assert foot_slide(along, contacts) == pytest.approx(200.0, rel=1e-4)  # both feet, a metre each
    assert foot_slide(along, torch.zeros_like(contacts)) == 0.0


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

"""Contacts are those of the gait, planted feet stay where they are, and no bone is stretched."""

import math
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.contacts import detect_contacts, foot_slide, ground_joints
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.smoothing import smooth
from motion4d.core.geometry.similarity import transformed
from motion4d.core.skeletons import COCO17, OPENPOSE18
from motion4d.core.types import Frame, Motion, Skeleton

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


@pytest.mark.parametrize("scale", [0.5, 2.0])
def test_a_body_of_another_size_has_the_same_contacts(walk, scale):
    other = transformed(walk, turn=torch.eye(3), scale=scale, shift=torch.zeros(3))
    assert (detect_contacts(other) == detect_contacts(walk)).float().mean() > 0.999


def test_feet_of_mixamo_are_feet(walk):
    """The same body under Mixamo's names has the same contacts."""
    names = ("Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase Neck LeftShoulder RightShoulder "
             "Head LeftArm RightArm LeftForeArm RightForeArm LeftHand RightHand").split()  # fmt: skip
    skeleton = Skeleton(names=[f"mixamorig:{name}" for name in names], parents=walk.skeleton.parents[:22], mirror=walk.skeleton.mirror[:22])
    other = Motion(joints=walk.joints[:, :22], confidence=walk.confidence[:, :22], skeleton=skeleton, fps=walk.fps, frame=walk.frame)
    assert ground_joints(skeleton) == (7, 10, 8, 11)
    assert torch.equal(detect_contacts(other), detect_contacts(walk))

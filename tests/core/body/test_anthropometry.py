import math

import pytest
import torch
from motion4d.core.body.anthropometry import (
    BONE_SECTIONS,
    bone_sections,
    thickness_scale,
)
from motion4d.core.body.measurements import bone_lengths, estimate_stature
from motion4d.core.skeletons import COCO17, REST_STATURE, SMPL24, SMPLX55
from motion4d.core.types import Frame, Motion, Skeleton


def resting(skeleton, *, scale=1.0, frames=3, confidence=None):
    joints = (skeleton.rest * scale).expand(frames, -1, 3).clone()
    confidence = torch.ones(joints.shape[:2]) if confidence is None else confidence
    return Motion(joints=joints, confidence=confidence, skeleton=skeleton, fps=30.0, frame=Frame.WORLD)


def test_radii_are_those_of_the_measured_circumferences():
    """Means of men and women, millimetres (ANSUR II): wrist 175.9 and 154.8, forearm 310.1 and 264.1, calf 392.3 and 373.3, ankle 229.3 and 215.7."""
    wrist, forearm, lower_thigh, ankle = (
        (a + b) / 2 / (2 * math.pi * 1000) for a, b in ((175.9, 154.8), (310.1, 264.1), (409.3, 400.7), (229.3, 215.7))
    )
    assert BONE_SECTIONS["left_elbow", "left_wrist"][0] == pytest.approx((forearm + wrist) / 2, abs=0.0005)
    assert BONE_SECTIONS["left_knee", "left_ankle"][0] == pytest.approx((lower_thigh + ankle) / 2, abs=0.0005)


@pytest.mark.parametrize("skeleton", [SMPL24, SMPLX55], ids=["smpl24", "smplx55"])
def test_every_bone_of_the_body_models_is_in_the_table(skeleton):
    for child, parent in skeleton.bones:
        assert (skeleton.names[parent], skeleton.names[child]) in BONE_SECTIONS


@pytest.mark.parametrize("skeleton", [SMPL24, SMPLX55], ids=["smpl24", "smplx55"])
def test_left_and_right_are_equally_thick(skeleton):
    sections = {child: row for (child, _), row in zip(skeleton.bones, bone_sections(resting(skeleton)), strict=True)}
    assert all(torch.equal(row, sections[skeleton.mirror[child]]) for child, row in sections.items())


@pytest.mark.parametrize("stature", [0.9, 1.5, 1.692, 2.1])
def test_the_stature_of_a_scaled_rest_pose_is_found(stature):
    assert estimate_stature(resting(SMPL24, scale=stature / REST_STATURE)) == pytest.approx(stature, rel=1e-5)
    assert estimate_stature(resting(SMPLX55, scale=stature / REST_STATURE)) == pytest.approx(stature, rel=1e-5)


def test_missing_and_wild_joints_do_not_change_the_stature():
    motion = resting(SMPL24, frames=5)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[:, 20], confidence[:, 20] = torch.nan, 0.0  # a wrist never seen
    joints[0, 4], confidence[0, 4] = torch.nan, 0.0  # a knee missing once
    joints[:, 15] += 3.0  # a head far away
    joints[2] *= 5.0  # a frame of another size
    found = Motion(joints=joints, confidence=confidence, skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    assert estimate_stature(found) == pytest.approx(REST_STATURE, rel=1e-5)
    lengths = bone_lengths(found)
    assert lengths[20].isnan() and lengths[0].isnan() and torch.isfinite(lengths[4])


def test_radii_follow_the_stature():
    small, tall = bone_sections(resting(SMPL24, scale=0.5)), bone_sections(resting(SMPL24, scale=1.2))
    assert torch.allclose(tall, small * 2.4, rtol=1e-5)
    wrist = [child for child, _ in SMPL24.bones].index(20)
    assert bone_sections(resting(SMPL24))[wrist, 0] == pytest.approx(0.036, abs=1e-6)


def test_limbs_shared_with_smpl_keep_their_radii():
    joints = torch.zeros(1, 17, 3)
    joints[0, [11, 13, 15]] = SMPL24.rest[[1, 4, 7]]
    confidence = torch.zeros(1, 17)
    confidence[0, [11, 13, 15]] = 1.0
    motion = Motion(joints=joints, confidence=confidence, skeleton=COCO17, fps=30.0, frame=Frame.WORLD)
    sections = {COCO17.names[child]: row for (child, _), row in zip(COCO17.bones, bone_sections(motion), strict=True)}
    assert sections["left_knee"][0] == pytest.approx(0.082, abs=1e-4) and sections["left_ankle"][0] == pytest.approx(0.050, abs=1e-4)
    assert (sections["left_ear"] == 0).all()  # never seen: no radius


def test_bones_of_an_unknown_skeleton_are_as_thick_as_they_are_long():
    rest = torch.tensor([[0.0, 0, 0], [0, 0.2, 0], [0, 0.5, 0], [0, 0.5, 3.0]])
    skeleton = Skeleton(names=("a", "b", "c", "d"), parents=(-1, 0, 1, 2), mirror=(0, 1, 2, 3), rest=rest)
    motion = resting(skeleton)
    assert estimate_stature(motion) is None and thickness_scale(motion) == 1.0
    expected = torch.tensor([0.16 * 0.2, 0.16 * 0.3, 0.5 * 0.3], dtype=torch.float64)
    assert torch.allclose(bone_sections(motion), expected[:, None].expand(3, 3), atol=1e-6)
    twice = bone_sections(resting(skeleton, scale=2.0))
    assert torch.allclose(twice, 2 * bone_sections(motion), atol=1e-6)


def test_a_skeleton_without_bones_has_no_sections():
    skeleton = Skeleton(names=("a",), parents=(-1,), mirror=(0,), rest=torch.zeros(1, 3))
    assert bone_sections(resting(skeleton)).shape == (0, 3)

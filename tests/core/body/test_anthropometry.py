import math

import pytest
import torch
from motion4d.core.body.anthropometry import (
    BONE_SECTIONS,
    bone_sections,
    parse_radii,
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


def test_hands_have_the_radii_of_measured_hands():
    """Fingers are an eighth of the hand's breadth (88.3 and 78.2 mm) wide; the wrist's side of each is thicker; the little finger is thinner."""
    breadth = (88.3 + 78.2) / 2 / 1000
    expected = {
        "index1": 0.0140, "index2": 0.0104, "index3": 0.0088, "middle2": 0.0104, "ring3": 0.0088, "pinky1": 0.85 * 0.0140,
        "pinky2": 0.85 * 0.0104, "pinky3": 0.85 * 0.0088, "thumb1": 0.0160, "thumb2": 0.0115, "thumb3": 0.0100,
    }  # fmt: skip
    assert expected["index2"] == pytest.approx(breadth / 8, abs=5e-5)
    sections = {SMPLX55.names[child]: row for (child, _), row in zip(SMPLX55.bones, bone_sections(resting(SMPLX55)), strict=True)}
    assert len(sections) == 54
    for side in ("left", "right"):
        for name, radius in expected.items():
            assert sections[f"{side}_{name}"].tolist() == pytest.approx([radius] * 3, rel=1e-5)
    assert sections["jaw"][0] == pytest.approx(0.045) and sections["left_eye"][0] == pytest.approx(0.012)


def mixamo(extra=0):
    """SMPL's body under Mixamo's names, with so many small joints more."""
    names = {
        "pelvis": "Hips", "spine1": "Spine", "spine2": "Spine1", "spine3": "Spine2", "neck": "Neck", "head": "Head", "collar": "Shoulder",
        "shoulder": "Arm", "elbow": "ForeArm", "wrist": "Hand", "hip": "UpLeg", "knee": "Leg", "ankle": "Foot", "foot": "ToeBase",
    }  # fmt: skip
    own = SMPL24.names[:22]
    called = [f"mixamorig:{name.split('_')[0].title() if '_' in name else ''}{names[name.split('_')[-1]]}" for name in own]
    rest = torch.cat([SMPL24.rest[:22], SMPL24.rest[20] + torch.tensor([[0.03 * (n + 1), 0.0, 0.0] for n in range(extra)]).reshape(-1, 3)])
    parents = (*SMPL24.parents[:22], *(20 if n == 0 else 21 + n for n in range(extra)))
    return Skeleton(names=(*called, *(f"bead{n}" for n in range(extra))), parents=parents, mirror=tuple(range(len(rest))), rest=rest)


def test_mixamo_skeletons_share_the_radii_of_smpl():
    motion = resting(mixamo(), scale=1.1)
    assert thickness_scale(motion) == pytest.approx(1.1, rel=1e-5)
    assert torch.allclose(bone_sections(motion), bone_sections(resting(SMPL24, scale=1.1))[:21], rtol=1e-5)


def test_many_small_bones_do_not_thin_the_large_ones():
    rest = torch.tensor([[0.0, 0.03 * n, 0.0] for n in range(10)] + [[0.0, 0.27 + 0.4 * n, 0.0] for n in range(1, 6)])
    skeleton = Skeleton(names=tuple(map(str, range(15))), parents=tuple(range(-1, 14)), mirror=tuple(range(15)), rest=rest)
    sections = bone_sections(resting(skeleton))
    assert sections[-1, 0] == pytest.approx(0.16 * 0.4, rel=1e-4) and sections[0, 0] == pytest.approx(0.16 * 0.03, rel=1e-4)


def test_radii_given_replace_those_of_the_table():
    motion = resting(SMPL24)
    plain, own = bone_sections(motion), bone_sections(motion, radii={"left_wrist": 0.05, "head": 0.0})
    rows = {SMPL24.names[child]: row for row, (child, _) in enumerate(SMPL24.bones)}
    assert own[rows["left_wrist"]].tolist() == [0.05] * 3 and own[rows["head"]].tolist() == [0.0] * 3
    others = [row for name, row in rows.items() if name not in ("left_wrist", "head")]
    assert torch.equal(own[others], plain[others])
    values = torch.linspace(0.01, 0.1, 23)
    assert torch.allclose(bone_sections(motion, radii=values), values.double()[:, None].expand(23, 3))
    assert torch.equal(bone_sections(motion, radii={}), plain)


@pytest.mark.parametrize(
    ("radii", "message"),
    [
        ({"tail": 0.1}, "'tail', in which no bone ends"),
        ({"pelvis": 0.1}, "'pelvis', in which no bone ends"),
        (torch.zeros(5), r"\(5,\), the skeleton has 23 bones"),
        ({"head": -0.1}, "0 or more"),
        ({"head": float("nan")}, "0 or more"),
    ],
)
def test_radii_that_do_not_fit_are_refused(radii, message):
    with pytest.raises(ValueError, match=message):
        bone_sections(resting(SMPL24), radii=radii)


def test_radii_are_read_from_text():
    assert parse_radii("left_wrist 0.03, tail=0.015\n mixamorig:Hips: 1e-1;") == {"left_wrist": 0.03, "tail": 0.015, "mixamorig:Hips": 0.1}
    assert parse_radii(" \n ") == {}
    for text in ("left_wrist", "0.03", "left_wrist wide", "head 1.2.3"):
        with pytest.raises(ValueError, match="no joint and radius"):
            parse_radii(text)

"""Other joints for a motion: the same ones where they share a name, derived ones where a standing body tells them, missing ones else."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.skeleton_conversion import convert_skeleton
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, OPENPOSE18, SMPL24, SMPLX55, STANDARD
from motion4d.core.types import Animation, Frame, Motion, Skeleton

MIXAMO = (
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase Neck LeftShoulder RightShoulder Head LeftArm "
    "RightArm LeftForeArm RightForeArm LeftHand RightHand"
).split()


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=1.0, fps=30.0)


@pytest.fixture
def handy(generator) -> Motion:
    """SMPL-X with all joints moving."""
    rotations = rotvec_to_matrix(torch.linspace(0, 1, 8)[:, None, None] * 0.4 * torch.randn(55, 3, generator=generator))
    return forward(Animation(rotations=rotations, translation=SMPLX55.rest[:1].expand(8, 3).clone(), fps=30.0, rig=SMPLX55))


def mixamo(prefix: str, rest: torch.Tensor) -> Skeleton:
    names = tuple(prefix + name for name in MIXAMO)
    return Skeleton(names=names, parents=SMPL24.parents[:22], mirror=SMPL24.mirror[:22], rest=rest)


@pytest.mark.parametrize("name", STANDARD)
def test_its_own_skeleton_changes_nothing(walk, name):
    motion = convert_skeleton(walk, STANDARD[name])
    assert convert_skeleton(motion, STANDARD[name]) is motion


@pytest.mark.parametrize("posed", [True, False])
def test_shared_joints_stay_where_they_are_and_come_back(walk, posed):
    motion = walk if posed else positions_only(walk)
    wide = convert_skeleton(motion, SMPLX55)
    shared = [SMPLX55.index(name) for name in SMPL24.names[:22]]
    assert torch.allclose(wide.joints[:, shared], motion.joints[:, :22], atol=1e-5) and is_posed(wide) == posed
    assert not wide.seen[:, 25:].any() and wide.seen[:, :25].all()
    assert "derived: jaw, left_eye, right_eye; missing: left_index1" in wide.notes[-1]
    back = convert_skeleton(wide, SMPL24)
    assert torch.allclose(back.joints[:, :22], motion.joints[:, :22], atol=1e-5) and is_posed(back) == posed
    if posed:
        assert torch.allclose(back.rotations[:, :22], walk.rotations[:, :22], atol=1e-5)


def test_the_face_of_smplx_sits_on_the_head(walk):
    exact, told = convert_skeleton(walk, SMPLX55), convert_skeleton(positions_only(walk), SMPLX55)
    assert (exact.joints[:, 22:25] - told.joints[:, 22:25]).norm(dim=-1).max() < 0.04
    eyes = (exact.joints[:, 23] - exact.joints[:, 24]).norm(dim=-1)
    assert torch.allclose(eyes, torch.full_like(eyes, 0.064), atol=1e-4)


@pytest.mark.parametrize("posed", [True, False])
def test_the_hand_of_smpl_lies_among_the_knuckles(handy, posed):
    narrow = convert_skeleton(handy if posed else positions_only(handy), SMPL24)
    assert narrow.seen.all()
    for side in ("left", "right"):
        hand = narrow.joints[:, SMPL24.index(f"{side}_hand")]
        knuckles = handy.joints[:, [SMPLX55.index(f"{side}_{name}1") for name in ("index", "middle", "ring", "pinky")]].mean(1)
        assert (hand - knuckles).norm(dim=-1).max() < 0.03


@pytest.mark.parametrize("posed", [True, False])
def test_coco_and_openpose_hold_the_limbs_and_a_face(walk, posed):
    motion = walk if posed else positions_only(walk)
    for skeleton in (COCO17, OPENPOSE18):
        flat = convert_skeleton(motion, skeleton)
        assert flat.seen.all() and flat.rotations is None and ("rotations left out" in flat.notes[-1]) == posed
        for name in ("left_wrist", "right_knee", "left_hip", "right_shoulder"):
            assert torch.equal(flat.joints[:, skeleton.index(name)], motion.joints[:, SMPL24.index(name)])
        nose, head, left, right = (
            flat.joints[:, 0],
            motion.joints[:, 15],
            flat.joints[:, skeleton.index("left_ear")],
            flat.joints[:, skeleton.index("right_ear")],
        )
        assert (nose[:, 2] > head[:, 2] + 0.05).all(), "the walk comes towards +z"
        assert (left[:, 0] > right[:, 0] + 0.1).all()
    neck = convert_skeleton(motion, OPENPOSE18).joints[:, 1]
    assert torch.allclose(neck, motion.joints[:, [16, 17]].mean(1), atol=1e-6), "OpenPose's neck is the middle between the shoulders"


def test_coco_openpose_and_back_is_the_same(walk):
    coco, openpose = (convert_skeleton(walk, skeleton) for skeleton in (COCO17, OPENPOSE18))
    assert torch.equal(convert_skeleton(openpose, COCO17).joints, coco.joints)
    assert torch.allclose(convert_skeleton(coco, OPENPOSE18).joints, openpose.joints, atol=1e-6)


@pytest.mark.parametrize("skeleton", [COCO17, OPENPOSE18], ids=["coco", "openpose"])
def test_the_trunk_is_told_from_hips_and_shoulders(walk, skeleton):
    back = convert_skeleton(convert_skeleton(walk, skeleton), SMPL24)
    error = (back.joints - walk.joints).norm(dim=-1)
    missing = [SMPL24.index(f"{side}_{name}") for side in ("left", "right") for name in ("foot", "hand")]
    assert not back.seen[:, missing].any() and back.joints[:, missing].isnan().all()
    there = [joint for joint in range(24) if joint not in missing]
    assert back.seen[:, there].all() and error[:, there].mean() < 0.006 and error[:, there].max() < 0.04


def test_what_is_missing_stays_missing_and_nothing_is_made_of_it(walk):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[5:9, 16], confidence[5:9, 16] = torch.nan, 0.0
    confidence[:, 17] = 0.4
    gappy = replace(positions_only(walk), joints=joints, confidence=confidence)
    coco = convert_skeleton(gappy, COCO17)
    assert not coco.seen[5:9, COCO17.index("left_shoulder")].any() and not coco.seen[5:9, 0].any() and coco.seen[:5].all()
    smpl = convert_skeleton(coco, SMPL24)
    assert not smpl.seen[5:9, 0].any() and float(smpl.confidence[0, 0]) == pytest.approx(0.4)
    assert smpl.seen[5:9, SMPL24.index("left_knee")].all()


@pytest.mark.parametrize("prefix", ["", "mixamorig:", "mixamorig1|"])
def test_mixamo_is_understood_with_its_twist(walk, generator, prefix):
    twisted = walk.rotations.clone()
    twisted[:, 18] = twisted[:, 18] @ rotvec_to_matrix(torch.tensor([0.9, 0.0, 0.0]))  # about the forearm, which positions do not show
    source = forward(Animation(rotations=twisted[:, :22], translation=walk.translation, fps=30.0, rig=mixamo(prefix, SMPL24.rest[:22])))
    result = convert_skeleton(source, SMPL24)
    assert torch.allclose(result.joints[:, :22], source.joints, atol=1e-5)
    assert torch.allclose(result.rotations[:, :22], twisted[:, :22], atol=1e-5)


def test_arms_that_rest_in_an_a_pose_are_not_bent(walk):
    drop = rotvec_to_matrix(torch.tensor([[0.0, 0.0, -0.8], [0.0, 0.0, 0.8]], dtype=torch.float64)).float()
    rest = SMPL24.rest[:22].clone()
    for side, (shoulder, below) in enumerate(((16, (18, 20)), (17, (19, 21)))):
        rest[list(below)] = rest[shoulder] + (rest[list(below)] - rest[shoulder]) @ drop[side].mT
    skeleton = mixamo("", rest)
    world = forward(Animation(rotations=walk.rotations[:, :22], translation=walk.translation, fps=30.0, rig=skeleton))
    result = convert_skeleton(world, SMPL24)
    assert torch.allclose(result.joints[:, :22], world.joints, atol=1e-4) and is_posed(result)
    reached = forward(Animation(rotations=result.rotations, translation=result.translation, fps=30.0, rig=result.skeleton))
    assert (reached.joints[:, :22] - world.joints).norm(dim=-1).max() < 1e-3


def test_the_bones_are_those_of_the_person():
    small = demo_motion("walk", seconds=0.5, stature=1.2)
    wide = convert_skeleton(small, SMPLX55)
    assert is_posed(wide)
    assert torch.allclose(wide.skeleton.rest[:22] - wide.skeleton.rest[0], (SMPLX55.rest[:22] - SMPLX55.rest[0]) * 1.2 / 1.692, atol=1e-4)


def test_strangers_are_refused(walk):
    strange = Skeleton(names=tuple(f"bone{number}" for number in range(24)), parents=SMPL24.parents, mirror=SMPL24.mirror)
    motion = Motion(joints=walk.joints, confidence=walk.confidence, skeleton=strange, fps=30.0, frame=Frame.WORLD)
    for skeleton in (SMPL24, COCO17):
        with pytest.raises(ValueError, match="0 names in common, expected at least 3"):
            convert_skeleton(motion, skeleton)

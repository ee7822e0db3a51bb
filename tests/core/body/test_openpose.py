"""OpenPose's points of SMPL's joints."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.openpose import openpose_joints
from motion4d.core.geometry.rotations import euler_to_matrix
from motion4d.core.geometry.similarity import transformed
from motion4d.core.skeletons import COCO17, OPENPOSE18, SMPL24

WALK = demo_motion("walk", seconds=0.4, fps=20.0)


def test_limbs_stay_and_the_neck_is_between_the_shoulders():
    body = openpose_joints(WALK)
    assert body.skeleton is OPENPOSE18 and body.frames == WALK.frames
    assert torch.equal(body.joints[:, OPENPOSE18.index("left_knee")], WALK.joints[:, SMPL24.index("left_knee")])
    shoulders = WALK.joints[:, [SMPL24.index("left_shoulder"), SMPL24.index("right_shoulder")]]
    assert torch.allclose(body.joints[:, OPENPOSE18.index("neck")], shoulders.mean(1))


@pytest.mark.parametrize("posed", [True, False])
def test_the_face_turns_with_the_head(posed):
    motion = WALK if posed else replace(WALK, rotations=None, translation=None)
    turn = euler_to_matrix(torch.tensor([0.3, 1.2, -0.5], dtype=torch.float64), "XYZ")
    shift = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    moved = openpose_joints(transformed(motion, turn=turn, shift=shift)).joints
    assert torch.allclose(moved, transformed(openpose_joints(motion), turn=turn, shift=shift).joints, atol=1e-5)


def test_rotations_and_positions_agree_on_where_the_face_is():
    with_turns, without = openpose_joints(WALK).joints, openpose_joints(replace(WALK, rotations=None, translation=None)).joints
    assert (with_turns - without).norm(dim=-1).max() < 0.05


def test_the_face_grows_with_the_person():
    large = replace(WALK, joints=2 * WALK.joints, rotations=None, translation=None)
    span = [float((openpose_joints(one).joints[0, 16] - openpose_joints(one).joints[0, 17]).norm()) for one in (WALK, large)]
    assert span[1] == pytest.approx(2 * span[0], rel=1e-4)


def test_missing_joints_take_what_is_made_of_them_along():
    confidence = WALK.confidence.clone()
    confidence[0, SMPL24.index("head")] = 0
    confidence[1, SMPL24.index("left_shoulder")] = 0
    seen = openpose_joints(replace(WALK, confidence=confidence)).seen
    assert [OPENPOSE18.names[j] for j in (~seen[0]).nonzero().flatten()] == ["nose", "right_eye", "left_eye", "right_ear", "left_ear"]
    assert {OPENPOSE18.names[j] for j in (~seen[1]).nonzero().flatten()} == {"neck", "left_shoulder"}
    with pytest.raises(ValueError, match="not SMPL's"):
        openpose_joints(replace(WALK, joints=WALK.joints[:, :17], confidence=WALK.confidence[:, :17], skeleton=COCO17, rotations=None))

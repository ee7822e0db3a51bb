import pytest
import torch
from motion4d.core.estimators.landmarks import LANDMARK_OF, lift, smpl_confidence, smpl_joints
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24

CAMERA = motion_capture_intrinsics((720, 1280))
UPRIGHT = torch.diag(torch.tensor([1.0, -1.0, -1.0]))  # the axes of a camera, to which a figure shows its front


def _figure():
    """The 33 landmarks (1, 33, 3) of the rest pose in camera axes, around the middle of the hips, and the joints (24, 3) that are expected."""
    rest = SMPL24.rest @ UPRIGHT
    joint = {name: rest[number] for number, name in enumerate(SMPL24.names)}
    middle = (joint["left_hip"] + joint["right_hip"]) / 2
    marks = torch.zeros(33, 3)
    for name, landmark in LANDMARK_OF.items():
        marks[landmark] = joint[name]
    for side, hip, heel, toes, little, index, ear in (("left", 23, 29, 31, 17, 19, 7), ("right", 24, 30, 32, 18, 20, 8)):
        marks[hip] = middle + (joint[f"{side}_hip"] - middle) / 0.6
        marks[heel] = joint[f"{side}_ankle"] + torch.tensor([0.0, 0.05, 0.02])
        marks[toes] = marks[heel] + (joint[f"{side}_foot"] - marks[heel]) / 0.72
        across = torch.tensor([0.0, 0.0, 0.04])
        marks[little], marks[index] = joint[f"{side}_hand"] + across, joint[f"{side}_hand"] - across
        breadth = torch.tensor([0.07 if side == "left" else -0.07, 0.0, 0.0])
        marks[ear] = joint["neck"] + (joint["head"] - joint["neck"]) / 0.67 + breadth
    return (marks - middle)[None], rest - middle


def _project(points):
    homogeneous = points @ CAMERA.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]


def test_the_rest_pose_is_found_again_joint_by_joint():
    marks, joints = _figure()
    torch.testing.assert_close(smpl_joints(marks)[0], joints, atol=1e-5, rtol=0)


def test_joints_turn_move_and_grow_with_the_landmarks(generator):
    marks, joints = _figure()
    turns = rotvec_to_matrix(torch.randn(6, 3, generator=generator))
    moved = 1.2 * marks @ turns.mT + torch.tensor([0.3, -0.2, 4.0])
    torch.testing.assert_close(smpl_joints(moved), 1.2 * joints @ turns.mT + torch.tensor([0.3, -0.2, 4.0]), atol=1e-5, rtol=0)


def test_a_mirrored_person_has_mirrored_joints():
    marks, _ = _figure()
    marks = marks + 0.05 * torch.randn(marks.shape, generator=torch.Generator().manual_seed(3))
    swap = list(range(33))
    for left, right in ((7, 8), *((number, number + 1) for number in range(11, 33, 2))):
        swap[left], swap[right] = right, left
    flip = torch.tensor([-1.0, 1.0, 1.0])
    torch.testing.assert_close(smpl_joints(marks[:, swap] * flip), smpl_joints(marks)[:, list(SMPL24.mirror)] * flip, atol=1e-5, rtol=0)


def test_an_exact_pose_is_put_back_where_it_was(generator):
    marks, _ = _figure()
    turns = rotvec_to_matrix(0.4 * torch.randn(8, 3, generator=generator))
    place = torch.randn(8, 1, 3, generator=generator) * torch.tensor([1.0, 0.5, 1.0]) + torch.tensor([0, 0, 4.0])
    there = marks @ turns.mT + place
    on_rays, body = lift(marks.expand(8, -1, -1), _project(there), torch.ones(8, 33), CAMERA)
    torch.testing.assert_close(body, there, atol=1e-3, rtol=0)
    torch.testing.assert_close(on_rays, there, atol=1e-3, rtol=0)


def test_the_rigid_body_is_the_best_there_is(generator):
    """No small turn or shift of it comes nearer to a picture that fits none exactly."""
    marks, _ = _figure()
    pixels = _project(marks + torch.tensor([0.4, 0.1, 3.0])) + 8 * torch.randn(1, 33, 2, generator=generator)
    weight = torch.rand(1, 33, generator=generator)
    _, body = lift(marks, pixels, weight, CAMERA)

    def error(points):
        return float((((_project(points) - pixels) * weight[..., None]) ** 2).sum())

    least, center = error(body), body.mean(1, keepdim=True)
    for step in torch.cat([torch.eye(6), -torch.eye(6)]) * 0.01:
        assert error((body - center) @ rotvec_to_matrix(step[:3]).mT + center + step[3:]) > least


def test_landmarks_lie_where_the_picture_shows_them(generator):
    marks, _ = _figure()
    pixels = _project(marks + torch.tensor([0.0, 0.0, 2.0])) + 15 * torch.randn(1, 33, 2, generator=generator)
    on_rays, body = lift(marks, pixels, torch.ones(1, 33), CAMERA)
    torch.testing.assert_close(_project(on_rays), pixels, atol=1e-2, rtol=0)
    torch.testing.assert_close(on_rays[..., 2], body[..., 2])


def test_a_landmark_of_no_weight_does_not_move_the_body():
    marks, _ = _figure()
    pixels, weight = _project(marks + torch.tensor([0.0, 0.0, 2.0])), torch.ones(1, 33)
    weight[:, 31] = 0
    before = lift(marks, pixels, weight, CAMERA)[1]
    pixels[:, 31] += 300
    torch.testing.assert_close(lift(marks, pixels, weight, CAMERA)[1], before, atol=1e-4, rtol=0)


def test_a_joint_is_as_sure_as_the_least_visible_landmark_of_it():
    visibility = torch.ones(1, 33)
    visibility[0, 31] = 0.2  # the toes of the left foot
    visibility[0, 23] = 0.5  # the left hip
    found = dict(zip(SMPL24.names, smpl_confidence(visibility)[0].tolist(), strict=True))
    assert found["left_foot"] == pytest.approx(0.2) and found["right_foot"] == 1 and found["left_ankle"] == 1
    assert found["pelvis"] == found["left_hip"] == found["spine2"] == 0.5 and found["neck"] == found["head"] == 1

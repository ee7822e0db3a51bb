"""POSE_KEYPOINT: OpenPose's order and sides, pixels or parts of the canvas, and what drawers need to find."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.wires import face_from_pose_keypoints, from_pose_keypoints, to_pose_keypoints
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.skeletons import OPENPOSE18, SMPL24

SIZE = (480, 640)
WALK = demo_motion("walk", seconds=0.4, fps=20.0)
RIG = orbit_rig([0.0, 90.0], radius=4.0, image_size=SIZE, target=(0.0, 0.9, 0.0))


def test_what_goes_out_comes_back_in_pixels():
    found = from_pose_keypoints(to_pose_keypoints([WALK], rig=RIG))
    assert found.pixels.shape == (1, 8, 18, 2) and found.image_size == SIZE and (found.confidence == 1).all()
    pixels = RIG.project(WALK.joints)[0][0]
    for name in ("left_wrist", "right_knee", "left_ankle", "right_shoulder"):
        assert torch.allclose(found.pixels[0, :, OPENPOSE18.index(name)], pixels[:, SMPL24.index(name)], atol=1e-3)


def test_a_camera_in_front_sees_the_right_side_on_its_left_and_the_nose_between_the_ears():
    x = from_pose_keypoints(to_pose_keypoints([WALK], rig=RIG)).pixels[0, 0, :, 0]
    assert x[OPENPOSE18.index("right_shoulder")] < x[OPENPOSE18.index("neck")] < x[OPENPOSE18.index("left_shoulder")]
    assert x[OPENPOSE18.index("right_ear")] < x[OPENPOSE18.index("nose")] < x[OPENPOSE18.index("left_ear")]


def test_the_view_from_the_side_is_another():
    front, side = (from_pose_keypoints(to_pose_keypoints([WALK], rig=RIG, view=view)) for view in (0, 1))
    width = [float(one.pixels[0, 0, [2, 5], 0].diff().abs()) for one in (front, side)]
    assert width[1] < 0.3 * width[0]
    with pytest.raises(ValueError, match="no view 2"):
        to_pose_keypoints([WALK], rig=RIG, view=2)


def test_parts_of_the_canvas_are_the_same_as_pixels():
    frames = to_pose_keypoints([WALK], rig=RIG)
    parts = [
        {**frame, "people": [{**one, "pose_keypoints_2d": scaled(one["pose_keypoints_2d"])} for one in frame["people"]]} for frame in frames
    ]
    assert torch.allclose(from_pose_keypoints(parts).pixels, from_pose_keypoints(frames).pixels, atol=1e-2)


def scaled(flat: list[float]) -> list[float]:
    return (np.array(flat).reshape(18, 3) / [SIZE[1], SIZE[0], 1]).reshape(-1).tolist()


def test_the_lists_are_as_long_as_drawers_read_them_and_a_seen_joint_counts_fully():
    half = replace(WALK, confidence=torch.full_like(WALK.confidence, 0.4))
    (person,) = to_pose_keypoints([half], rig=RIG)[0]["people"]
    lengths = {"pose_keypoints_2d": 54, "face_keypoints_2d": 210, "hand_left_keypoints_2d": 63, "hand_right_keypoints_2d": 63}
    assert {name: len(flat) for name, flat in person.items()} == lengths
    assert set(person["pose_keypoints_2d"][2::3]) == {1.0} and not any(person["face_keypoints_2d"])


def test_missing_joints_and_people_stay_missing():
    joints, confidence = WALK.joints.clone(), WALK.confidence.clone()
    joints[2], confidence[2] = torch.nan, 0
    confidence[:, SMPL24.index("left_wrist")] = 0
    frames = to_pose_keypoints([replace(WALK, joints=joints, confidence=confidence), WALK], rig=RIG)
    assert [len(frame["people"]) for frame in frames] == [2, 2, 1, 2, 2, 2, 2, 2]
    found = from_pose_keypoints(frames, person=0)
    assert not found.seen[0, 0, OPENPOSE18.index("left_wrist")] and found.pixels[0, 0, OPENPOSE18.index("left_wrist")].isnan().all()
    assert not from_pose_keypoints(frames, person=1).seen[0, 2].any()


def test_parts_that_are_none_and_a_single_frame_are_read():
    frame = to_pose_keypoints([WALK], rig=RIG)[0]
    frame["people"][0] |= {"face_keypoints_2d": None, "hand_left_keypoints_2d": None}
    nobody = {"people": [{"pose_keypoints_2d": None}], "canvas_width": 640, "canvas_height": 480}
    assert from_pose_keypoints([frame, nobody]).seen.any(-1).tolist() == [[True, False]]
    assert from_pose_keypoints(frame).pixels.shape == (1, 1, 18, 2)


@pytest.mark.parametrize("count", [68, 70])
def test_the_face_of_the_same_person_is_read(count):
    bodies = to_pose_keypoints([WALK], rig=RIG)
    assert face_from_pose_keypoints(bodies) is None  # to_pose_keypoints gives faces of confidence 0
    flat = [value for index in range(count) for value in (100.0 + index, 50.0, 0.5 if index else 0.0)]
    bodies[1]["people"][0]["face_keypoints_2d"] = flat
    for body in bodies[2:]:
        body["people"][0].pop("face_keypoints_2d")
    bodies[0]["people"][0]["face_keypoints_2d"] = None
    face = face_from_pose_keypoints(bodies)
    assert face.pixels.shape == (1, 8, count, 2) and face.image_size == SIZE
    assert face.seen.nonzero().tolist() == [[0, 1, index] for index in range(1, count)]
    assert face.pixels[0, 1, 1:, 0].tolist() == [100.0 + index for index in range(1, count)]
    assert face_from_pose_keypoints(bodies, person=1) is None
    bodies[2]["people"][0]["face_keypoints_2d"] = flat[:30]
    with pytest.raises(ValueError, match=r"face_keypoints_2d of frame 2 has shape \(30,\)"):
        face_from_pose_keypoints(bodies)


@pytest.mark.parametrize(
    ("wrong", "match"),
    [
        ([{"people": []}], "'canvas_height' is missing"),
        ([{"canvas_width": 4, "canvas_height": 4}], "'people' is missing"),
        ([{"people": [], "canvas_width": 4, "canvas_height": 4}], "no person 0"),
        ([{"people": [{"hands": []}], "canvas_width": 4, "canvas_height": 4}], "'pose_keypoints_2d' is missing"),
        ([{"people": ["person"], "canvas_width": 4, "canvas_height": 4}], "got str, expected a dictionary"),
        ([{"people": [{"pose_keypoints_2d": [1.0] * 51}], "canvas_width": 4, "canvas_height": 4}], r"shape \(51,\), expected \(54\)"),
        ([{"people": [], "canvas_width": 4, "canvas_height": 4}, {"people": [], "canvas_width": 5, "canvas_height": 4}], "one size"),
        ([{"people": [], "canvas_width": [4], "canvas_height": 4}], "one size"),
        ([], "without frames"),
        ("keypoints", "is str"),
    ],
)
def test_other_contents_are_refused_by_name(wrong, match):
    with pytest.raises(ValueError, match=match):
        from_pose_keypoints(wrong)


def test_a_world_motion_needs_cameras():
    with pytest.raises(ValueError, match="connect cameras"):
        to_pose_keypoints([WALK])
    with pytest.raises(ValueError, match="8, 3 frames"):
        to_pose_keypoints([WALK, WALK.cut(0, 3)], rig=RIG)

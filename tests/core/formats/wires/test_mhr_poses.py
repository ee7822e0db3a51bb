"""MHR_POSE_DATA and Kimodo's rig, in data made the way their writers describe it: no real sample was at hand."""

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_motion
from motion4d.core.formats.wires import from_mhr, mhr_frames, pose_data_motion
from motion4d.core.formats.wires.mhr_poses import _HEAD_SHARE, _MHR, _SOMA, keypoint_joints, rig_joints
from motion4d.core.geometry.rotations import euler_to_matrix
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame

SIZE, FOCAL = (480, 640), 700.0
SHIFT = np.array([0.2, 0.9, 3.0], np.float32)
WALK = demo_motion("walk", seconds=0.4, fps=20.0)
DOWN = WALK.joints.numpy() * np.array([1.0, -1.0, -1.0], np.float32)  # in the camera's axes, at its centre
MHR70 = (
    "nose left-eye right-eye left-ear right-ear left-shoulder right-shoulder left-elbow right-elbow left-hip right-hip left-knee right-knee left-ankle "
    "right-ankle left-big-toe-tip left-small-toe-tip left-heel right-big-toe-tip right-small-toe-tip right-heel"
).split()


def rig(joints: np.ndarray, order: dict[str, int], count: int) -> np.ndarray:
    """(24, 3) joints at their places in a rig, the other joints far away."""
    placed = np.full((count, 3), 50.0, np.float32)
    placed[[order[name] for name in SMPL24.names]] = joints
    return placed


def keypoints(joints: np.ndarray) -> np.ndarray:
    """(70, 3): the keypoints that are SMPL's joints, and ears, toes and knuckles around them."""
    points = np.full((70, 3), 50.0, np.float32)

    def at(name: str) -> np.ndarray:
        return joints[SMPL24.index(name)]

    for number, name in enumerate(MHR70):
        if name.replace("-", "_") in SMPL24.names:
            points[number] = at(name.replace("-", "_"))
    for side, first, wrist, knuckle in (("left", 15, 62, 53), ("right", 18, 41, 32)):
        points[first], points[first + 1] = at(f"{side}_foot") + (aside := np.array([0.03, 0, 0])), at(f"{side}_foot") - aside
        points[wrist], points[knuckle] = at(f"{side}_wrist"), at(f"{side}_hand")
    points[69] = at("neck")
    middle = at("neck") + (at("head") - at("neck")) / _HEAD_SHARE
    points[3], points[4] = middle + aside, middle - aside
    return points


def project(points: np.ndarray) -> np.ndarray:
    seen = points + SHIFT
    return seen[:, :2] / seen[:, 2:] * FOCAL + np.array([SIZE[1] / 2, SIZE[0] / 2])


def person(joints: np.ndarray, **changes) -> dict:
    points = keypoints(joints)
    whole = {
        "pred_joint_coords": rig(joints, _MHR, 127),
        "pred_keypoints_3d": points,
        "pred_keypoints_2d": project(points),
        "pred_cam_t": SHIFT,
        "focal_length": np.array([FOCAL], np.float32),
        "bbox": np.array([10.0, 20.0, 30.0, 40.0]),
    }
    return {key: value for key, value in (whole | changes).items() if value is not None}


def payload(**changes) -> dict:
    return {"frames": [[person(joints, **changes)] for joints in DOWN], "image_size": SIZE, "faces": None}


def test_the_rig_is_where_the_camera_sees_it():
    found = from_mhr(payload(), fps=20.0)
    assert found.frame is Frame.CAMERA and found.image_size == SIZE
    assert found.intrinsics.tolist() == [[FOCAL, 0, 320], [0, FOCAL, 240], [0, 0, 1]]
    assert np.allclose(found.joints.numpy(), DOWN + SHIFT, atol=1e-6) and (found.confidence == 1).all()
    assert any("project 0.00 px from pred_keypoints_2d" in note for note in found.notes)
    assert found.notes[0].startswith("unverified")


def test_boxes_are_handed_on_where_everybody_has_one():
    assert mhr_frames(payload(bbox=None)).boxes is None
    assert torch.equal(mhr_frames(payload()).boxes[0], torch.tensor([[10.0, 20.0, 30.0, 40.0]]))


def test_keypoints_alone_give_all_joints_with_doubt_about_the_torso():
    found = from_mhr(payload(pred_joint_coords=None), fps=20.0)
    apart = (found.joints - torch.from_numpy(DOWN + SHIFT)).norm(dim=-1)
    placed = [SMPL24.index(name) for name in ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")]
    measured = [joint for joint in range(24) if joint not in placed]
    assert apart[:, measured].max() < 1e-5 and (found.confidence[:, measured] == 1).all()
    assert apart[:, placed].mean() < 0.03 and (found.confidence[:, placed] == 0.5).all()


def test_the_placed_torso_turns_scales_and_moves_with_the_body():
    turn = euler_to_matrix(torch.tensor([0.4, -1.1, 2.0]), "XYZ")
    body = 1.3 * SMPL24.rest @ turn.T + torch.tensor([0.5, -0.2, 3.0])
    joints, confidence = keypoint_joints(torch.from_numpy(keypoints(body.numpy())))
    assert torch.allclose(joints, body, atol=1e-5) and set(confidence.tolist()) == {0.5, 1.0}


@pytest.mark.parametrize(("order", "count"), [(_MHR, 127), (_SOMA, 77)])
def test_each_joint_of_a_rig_stands_for_one_joint_and_the_sides_mirror(order, count):
    assert sorted(order) == sorted(SMPL24.names) and len(set(order.values())) == 24 and max(order.values()) < count
    # The rigs list the chains of both sides in the same way, so pairs lie one stride apart on each limb.
    for limb in (("hip", "knee", "ankle", "foot"), ("collar", "shoulder", "elbow", "wrist", "hand")):
        assert len({order[f"left_{name}"] - order[f"right_{name}"] for name in limb}) == 1
    with pytest.raises(ValueError, match="rig of 26 joints"):
        rig_joints(np.zeros((26, 3)))


def test_a_rig_of_kimodo_is_y_up_until_it_says_otherwise():
    upward = DOWN * np.array([1.0, -1.0, -1.0], np.float32)
    for joints, override in ((upward, {"parents": None}), (DOWN, {"per_frame_y_down": True})):
        data = {"frames": [[{**person(one), "pred_joint_coords": rig(one, _SOMA, 77)}] for one in joints], "image_size": SIZE}
        found = pose_data_motion(data | {"_skeleton_override": override}, fps=20.0)
        assert np.allclose(found.joints.numpy(), DOWN + SHIFT, atol=1e-6)


def test_a_file_of_kimodo_is_a_world_motion(tmp_path):
    np.savez(
        tmp_path / "k.npz",
        posed_joints=np.stack([rig(one, _SOMA, 77) for one in WALK.joints.numpy()]),
        local_rot_mats=np.zeros((8, 77, 3, 3)),
    )
    found = load_motion(tmp_path / "k.npz")
    assert found.frame is Frame.WORLD and torch.allclose(found.joints, WALK.joints) and any("unverified" in note for note in found.notes)


def test_frames_without_people_and_people_that_come_and_go():
    data = payload()
    data["frames"][1], data["frames"][3] = None, data["frames"][3] * 2
    found = from_mhr(data, fps=20.0)
    assert (~found.seen.any(-1)).nonzero().flatten().tolist() == [1]
    assert mhr_frames(data).people == 2 and [len(frame) for frame in mhr_frames(data).boxes][:4] == [1, 0, 1, 2]


@pytest.mark.parametrize("kind", [list, np.array])
def test_the_size_may_be_a_list_or_an_array(kind):
    assert mhr_frames(payload() | {"image_size": kind(SIZE)}).image_size == SIZE


def test_axes_that_are_not_as_assumed_are_warned_of():
    wrong = payload(pred_keypoints_2d=project(keypoints(DOWN[0]) * [1, -1, 1]))
    assert any(note.startswith("WARNING") for note in from_mhr(wrong, fps=20.0).notes)


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"pred_cam_t": None}, "frame 0: the key 'pred_cam_t' is missing"),
        ({"pred_joint_coords": None, "pred_keypoints_3d": None}, "'pred_keypoints_3d' is missing"),
        ({"pred_joint_coords": None, "pred_keypoints_3d": np.zeros((21, 3))}, r"has shape \(21, 3\)"),
        ({"focal_length": None}, "'focal_length' is missing"),
        ({"focal_length": np.array([-1.0])}, "pixels above 0"),
        ({"pred_joint_coords": np.zeros((30, 3))}, "rig of 30 joints"),
    ],
)
def test_what_a_person_lacks_is_named(changes, match):
    with pytest.raises(ValueError, match=match):
        from_mhr(payload(**changes), fps=20.0)


@pytest.mark.parametrize(
    ("changes", "match"), [({"image_size": None}, "image_size is None"), ({"frames": [[], []]}, "nobody"), ({"frames": 3}, "frames is int")]
)
def test_what_the_whole_lacks_is_named(changes, match):
    with pytest.raises(ValueError, match=match):
        from_mhr(payload() | changes, fps=20.0)
    with pytest.raises(ValueError, match="'frames' is missing"):
        from_mhr({}, fps=20.0)

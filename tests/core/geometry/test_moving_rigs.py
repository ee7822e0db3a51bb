"""Cameras with an axis T: each frame of a moving rig is the still rig of that frame."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.spaces import from_camera, to_camera
from motion4d.core.formats.wires import to_nlfpred, to_pose_keypoints
from motion4d.core.geometry.camera_paths import arc_path, gather_views, turning_path
from motion4d.core.geometry.cameras import check_camera, motion_capture_intrinsics, orbit_rig
from motion4d.core.maps.drawing import draw_skeleton
from motion4d.core.types import CameraRig, Frame, Motion

SIZE = (60, 80)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.35, fps=20.0)


@pytest.fixture(scope="module")
def rig(walk):
    around = {"radius": 6.0, "image_size": SIZE, "center": (0.0, 0.9, 1.0)}
    first = turning_path(walk.frames, elevation_deg=10.0, **around)
    return gather_views([first, arc_path(walk.frames, azimuth_deg=(40.0, -60.0), elevation_deg=(0.0, 50.0), **around)])


def test_each_frame_is_seen_by_the_still_cameras_of_that_frame(walk, rig):
    assert rig.frames == walk.frames and rig.views == 2 and rig.centers.shape == (2, walk.frames, 3)
    pixels, depth = rig.project(walk.joints)
    lines = rig.plucker(4, 6)
    assert lines.shape == (2, walk.frames, 6, 4, 6)
    for frame in range(walk.frames):
        still = rig.at(frame)
        assert still.frames is None
        one, near = still.project(walk.joints[frame])
        assert torch.allclose(pixels[:, frame], one, atol=1e-4) and torch.allclose(depth[:, frame], near, atol=1e-5)
        assert torch.equal(rig.centers[:, frame], still.centers)
        assert torch.allclose(lines[:, frame], still.plucker(4, 6), atol=1e-6)


def test_a_rig_that_moves_without_moving_sees_what_the_still_one_sees(walk):
    still = orbit_rig([0.0, 50.0], radius=6.0, image_size=SIZE, target=(0.0, 0.9, 1.0))
    held = CameraRig(
        intrinsics=still.intrinsics[:, None].repeat(1, walk.frames, 1, 1),
        world_to_camera=still.world_to_camera[:, None].repeat(1, walk.frames, 1, 1), image_size=SIZE,
    )  # fmt: skip
    assert torch.allclose(held.to_camera(walk.joints), still.to_camera(walk.joints), atol=1e-6)
    assert torch.equal(draw_skeleton(walk, held), draw_skeleton(walk, still))


def test_drawings_of_a_moving_rig_are_those_of_its_instants(walk, rig):
    drawn = draw_skeleton(walk, rig)
    for frame in (0, walk.frames - 1):
        assert torch.equal(drawn[:, frame], draw_skeleton(walk.cut(frame, frame + 1), rig.at(frame))[:, 0])


def test_points_of_another_length_are_refused(rig, walk):
    with pytest.raises(ValueError, match=f"over {walk.frames} frames.*have 3"):
        rig.project(torch.zeros(3, 24, 3))
    with pytest.raises(ValueError, match="have none"):
        rig.to_camera(torch.zeros(3))
    with pytest.raises(ValueError, match=f"over {walk.frames} frames, the motion has 3"):
        check_camera(walk.cut(0, 3), rig)
    check_camera(walk.cut(0, 3), rig.take_frames(slice(0, 3)))


def test_frames_and_views_are_taken_by_index(rig):
    assert torch.equal(rig.take_frames([2, 0]).world_to_camera, rig.world_to_camera[:, [2, 0]])
    assert torch.equal(rig.take_views([1]).world_to_camera, rig.world_to_camera[1:])
    for wrong in (lambda: rig.at(rig.frames), lambda: rig.at(-1), lambda: rig.take_views([2]), lambda: rig.take_views([])):
        with pytest.raises(ValueError, match="give"):
            wrong()


def test_a_circle_stays_one_only_whole_and_in_order():
    circle = orbit_rig([0, 90, 180, 270], radius=2.0, image_size=SIZE)
    assert circle.at(3) is circle and circle.take_frames([1]) is circle
    assert circle.take_views([2, 3, 0, 1]).closed and circle.take_views([1, 0, 3, 2]).closed
    assert not circle.take_views([0, 2, 1, 3]).closed and not circle.take_views([0, 1, 2]).closed


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"intrinsics": torch.eye(3).repeat(2, 1, 1)}, "world_to_camera has shape"),
        ({"world_to_camera": torch.eye(3, 4).repeat(2, 4, 1, 1)}, "world_to_camera has shape"),
        ({"intrinsics": torch.zeros(2, 5, 3, 3)}, "focal lengths"),
        ({"intrinsics": torch.zeros(2, 0, 3, 3), "world_to_camera": torch.zeros(2, 0, 3, 4)}, "over no frames"),
    ],
)
def test_a_moving_rig_that_makes_no_sense_is_refused(changes, message):
    fields = {"intrinsics": torch.eye(3).repeat(2, 5, 1, 1), "world_to_camera": torch.eye(3, 4).repeat(2, 5, 1, 1), "image_size": SIZE}
    assert CameraRig(**fields).frames == 5
    with pytest.raises(ValueError, match=message):
        CameraRig(**fields | changes)


def test_resized_pictures_show_the_same_view(walk, rig):
    large = rig.resized((120, 240))
    assert torch.allclose(large.project(walk.joints)[0], rig.project(walk.joints)[0] * torch.tensor([3.0, 2.0]), atol=1e-3)


def test_a_motion_goes_to_a_moving_camera_and_back(walk, rig):
    seen = to_camera(walk, rig, view=1)
    assert torch.allclose(seen.joints, rig.to_camera(walk.joints)[1], atol=1e-5)
    back = from_camera(seen, rig, view=1)
    assert torch.allclose(back.joints, walk.joints, atol=1e-5) and torch.allclose(back.rotations, walk.rotations, atol=1e-5)
    with pytest.raises(ValueError, match="as long as the motion"):
        to_camera(walk.cut(0, 2), rig)


def test_a_focal_length_that_changes_cannot_be_told_by_a_motion(walk, rig):
    zoomed = rig.intrinsics.clone()
    zoomed[:, 1:, :2, :2] *= 1.5
    with pytest.raises(ValueError, match="focal length"):
        to_camera(walk, CameraRig(intrinsics=zoomed, world_to_camera=rig.world_to_camera, image_size=SIZE))


def test_other_packs_get_what_the_moving_camera_sees(walk, rig):
    poses, notes = to_nlfpred([walk], rig=rig, view=1)
    seen = rig.to_camera(walk.joints)[1]
    assert torch.allclose(torch.stack(poses["joints3d_nonparam"])[:, 0], seen * 1000, atol=1e-2) and "degrees" in notes[-1]
    frames = to_pose_keypoints([walk], rig=rig, view=0)
    neck = torch.tensor([frame["people"][0]["pose_keypoints_2d"][3:5] for frame in frames])
    shoulders = rig.project((walk.joints[:, 16] + walk.joints[:, 17]) / 2)[0][0]
    assert (neck - shoulders).norm(dim=-1).max() < 5


def test_a_filmed_motion_takes_crops_of_its_own_camera_and_no_camera_that_leaves():
    joints = torch.tensor([[[0.0, 0.0, 3.0]]]).repeat(2, 24, 1)
    own = {"intrinsics": motion_capture_intrinsics(SIZE), "image_size": SIZE}
    skeleton = demo_motion("walk", seconds=0.1).skeleton
    filmed = Motion(joints=joints, confidence=torch.ones(2, 24), skeleton=skeleton, fps=30.0, frame=Frame.CAMERA, **own)
    crop = motion_capture_intrinsics(SIZE).repeat(1, 2, 1, 1)
    crop[0, 1, 0, 2] += 7.0
    pose = torch.eye(3, 4).repeat(1, 2, 1, 1)
    check_camera(filmed, CameraRig(intrinsics=crop, world_to_camera=pose, image_size=SIZE))
    pose[0, 1, 0, 3] = 0.2
    with pytest.raises(ValueError, match="move away"):
        check_camera(filmed, CameraRig(intrinsics=crop, world_to_camera=pose, image_size=SIZE))

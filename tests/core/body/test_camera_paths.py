"""Cameras that move around a motion, and what they see of it."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.camera_report import rig_report
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.framing import FOLLOWS, PATHS, follow_point, frame_path
from motion4d.core.geometry.camera_paths import gather_views
from motion4d.core.geometry.cameras import look_at, orbit_rig, own_camera, with_camera
from motion4d.core.types import CameraRig, Frame

SIZE = (120, 80)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=1.5, fps=20.0)


@pytest.mark.parametrize("follow", FOLLOWS)
@pytest.mark.parametrize("path", PATHS)
def test_every_path_holds_the_person_in_the_picture(walk, path, follow):
    rig = frame_path(walk, path, image_size=SIZE, distance=0.4, follow=follow, margin=1.3)
    report = rig_report(walk, rig)
    assert rig.views == 1 and rig.frames == walk.frames
    assert report.warnings == () and float(report.in_picture.min()) == 1.0


@pytest.mark.parametrize("path", PATHS)
def test_paths_go_where_they_say(walk, path):
    rig = frame_path(walk, path, image_size=SIZE, distance=0.4, degrees=90.0)
    moved = rig.centers[0, -1] - rig.centers[0, 0]
    if path == "arc":
        middle = (rig.centers[0, 0] * torch.tensor([1.0, 0, 0]) + rig.centers[0, -1] * torch.tensor([0, 0, 1.0]))[[0, 2]]
        away = (rig.centers[0][:, [0, 2]] - middle).norm(dim=-1)
        assert torch.allclose(away, away[0].expand_as(away), atol=1e-4)
    elif path != "turn":
        axis, sign = {"in": (2, -1), "out": (2, 1), "left": (0, -1), "right": (0, 1), "up": (1, 1), "down": (1, -1)}[path.split()[-1]]
        wanted = torch.zeros(3)
        wanted[axis] = 0.4 * sign
        assert torch.allclose(moved, wanted, atol=1e-5)


def test_a_turn_loops(walk):
    rig = frame_path(walk, "turn", image_size=SIZE)
    steps = torch.cat([rig.centers[0], rig.centers[0, :1]]).diff(dim=0).norm(dim=-1)
    assert torch.allclose(steps, steps[0].expand_as(steps), atol=1e-5)


def test_following_the_person_keeps_the_root_near_the_middle_and_the_distance(walk):
    root = walk.joints[:, :1]
    looking = frame_path(walk, "turn", image_size=SIZE, follow="look")
    pixels, _ = looking.project(root)
    assert (pixels[0, :, 0] - torch.tensor([40.0, 60.0])).norm(dim=-1).max() < 2.5
    along = frame_path(walk, "dolly left", image_size=SIZE, follow="go along", distance=0.0)
    staying = frame_path(walk, "dolly left", image_size=SIZE, distance=0.0)

    def spread(rig):
        away = (rig.centers[0] - root[:, 0]).norm(dim=-1)
        return float(away.max() - away.min())

    assert spread(along) < 0.1 < spread(staying)


def test_the_point_that_is_followed_is_the_root_bridged_and_calmed(walk):
    still = replace(walk, joints=walk.joints * 0 + torch.tensor([1.0, 2.0, 3.0]))
    assert torch.allclose(follow_point(still), torch.tensor([1.0, 2.0, 3.0]).double().expand(walk.frames, 3))
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[5:15, 0], confidence[5:15, 0] = torch.nan, 0.0
    assert (follow_point(replace(walk, joints=joints, confidence=confidence)) - follow_point(walk)).norm(dim=-1).max() < 0.05
    confidence[:, 0] = 0.0
    with pytest.raises(ValueError, match="root joint of the motion is never seen"):
        follow_point(replace(walk, confidence=confidence))


def test_paths_that_make_no_sense_are_refused(walk):
    filmed = with_camera(replace(walk, frame=Frame.CAMERA), SIZE)
    for wrong, message in (
        (lambda: frame_path(walk, "spiral", image_size=SIZE), "path is 'spiral'"), (lambda: frame_path(filmed, "arc", image_size=SIZE), "Convert Space"),
        (lambda: frame_path(walk, "arc", image_size=SIZE, follow="flee"), "follow is 'flee'"),
        (lambda: frame_path(walk, "dolly in", image_size=SIZE, distance=30.0), "would pass it"),
        (lambda: frame_path(replace(walk, confidence=0 * walk.confidence), "arc", image_size=SIZE), "nothing to look at"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            wrong()


# --- what cameras see


def test_cameras_inside_the_body_turned_away_and_aside_are_told_apart(walk):
    good = orbit_rig([0.0, 90.0], radius=8.0, image_size=SIZE, target=(0.0, 0.9, 0.5))
    chest = walk.joints[0, 9]
    pose = torch.cat([
        good.world_to_camera,
        look_at((chest + torch.tensor([0.01, 0.0, 0.05]))[None], chest + torch.tensor([0.0, 0.0, -1.0])),
        look_at(torch.tensor([[0.0, 1.0, 6.0]]), torch.tensor([0.0, 1.0, 12.0])),
        look_at(torch.tensor([[0.0, 1.0, 6.0]]), torch.tensor([6.0, 1.0, 3.0])),
    ])  # fmt: skip
    rig = CameraRig(intrinsics=good.intrinsics[:1].repeat(5, 1, 1), world_to_camera=pose, image_size=SIZE)
    report = rig_report(walk, rig)
    told = report.text()
    assert not any(f"view {view}:" in told for view in (0, 1))
    assert report.inside[2, 0] and "view 2: the camera is inside the body" in told
    assert "view 3: the person is in none of the" in told and "with its back to it" in told.split("view 3")[1].split("view 4")[0]
    assert "view 4: the person is in none of the" in told and "looks past it" in told.split("view 4")[1]


def test_the_nearest_bone_is_measured_to_its_line(walk):
    joints, confidence = torch.full((1, 24, 3), torch.nan), torch.zeros(1, 24)
    joints[0, :2], confidence[0, :2] = torch.tensor([[-1.0, 0.0, 0.0], [1.0, 0.0, 0.0]]), 1.0
    bone = replace(walk.cut(0, 1), joints=joints, confidence=confidence)
    rig = orbit_rig([0.0], radius=2.0, image_size=SIZE)
    assert float(rig_report(bone, rig).nearest) == pytest.approx(2.0, abs=1e-5)


def test_a_person_who_leaves_the_picture_is_counted_by_frames(walk):
    moving = replace(walk, joints=walk.joints + torch.linspace(0, 12, walk.frames)[:, None, None] * torch.tensor([1.0, 0, 0]))
    still = orbit_rig([0.0], radius=5.0, image_size=SIZE, target=(0.0, 0.9, 0.5))
    report = rig_report(moving, still)
    gone = int((report.in_picture == 0).sum())
    assert 0 < gone < walk.frames and f"leaves the picture in {gone} of {walk.frames} frames" in report.text()
    assert rig_report(moving, frame_path(moving, "arc", image_size=SIZE, follow="go along")).warnings == ()
    held = gather_views([frame_path(walk, "turn", image_size=SIZE)])
    with pytest.raises(ValueError, match="frames"):
        rig_report(walk.cut(0, 3), held)


def test_a_filmed_motion_is_reported_on_by_its_own_camera_alone(walk):
    joints = walk.joints * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.9, 4.0])
    filmed = with_camera(replace(walk, joints=joints, rotations=None, translation=None, frame=Frame.CAMERA), SIZE)
    assert float(rig_report(filmed, own_camera(filmed)).in_picture.mean()) > 0.9
    with pytest.raises(ValueError, match="other cameras"):
        rig_report(filmed, orbit_rig([0.0], radius=3.0, image_size=SIZE))

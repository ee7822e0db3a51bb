import math

import pytest
import torch
from motion4d.core.geometry.cameras import (
    check_camera,
    check_circle,
    focal_from_fov,
    intrinsics_matrix,
    look_at,
    motion_capture_intrinsics,
    orbit_rig,
    own_camera,
    resize_intrinsics,
    with_camera,
)
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import CameraRig, Frame, Motion

SIZE = (120, 200)


def motion_in(frame, **fields):
    joints = SMPL24.rest[None] * torch.tensor([1.0, -1.0, 1.0]) + torch.tensor([0.0, 1.0, 3.0])
    return Motion(joints=joints, confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=frame, **fields)


def camera_motion(image_size=SIZE):
    return motion_in(Frame.CAMERA, intrinsics=motion_capture_intrinsics(image_size), image_size=image_size)


def double_rig(rig):
    return CameraRig(
        intrinsics=rig.intrinsics.double(), world_to_camera=rig.world_to_camera.double(), image_size=rig.image_size, closed=rig.closed
    )


def test_a_field_of_view_fills_its_side():
    focal = focal_from_fov(55.0, 1080)
    assert math.degrees(2 * math.atan(540 / focal)) == pytest.approx(55.0, abs=1e-12)


@pytest.mark.parametrize("fov", [0.0, 180.0, -3.0, float("nan")])
def test_an_impossible_field_of_view_is_refused(fov):
    with pytest.raises(ValueError, match="field of view"):
        focal_from_fov(fov, 100)


def test_the_motion_capture_camera_sees_55_degrees_over_the_longer_side():
    for size in ((1080, 604), (604, 1080)):
        intrinsics = motion_capture_intrinsics(size)
        edge = max(size) / 2 / float(intrinsics[0, 0])
        assert math.degrees(2 * math.atan(edge)) == pytest.approx(55.0, abs=1e-5)


def test_orbit_azimuth_zero_stands_on_plus_z_and_ninety_on_plus_x():
    rig = orbit_rig([0.0, 90.0, 180.0, 270.0], radius=2.0, image_size=SIZE, target=(0.5, 1.0, -1.0))
    expected = torch.tensor([[0.5, 1.0, 1.0], [2.5, 1.0, -1.0], [0.5, 1.0, -3.0], [-1.5, 1.0, -1.0]])
    assert torch.allclose(rig.centers, expected, atol=1e-6)
    assert rig.closed


def test_orbit_cameras_look_at_the_target_upright():
    target = torch.tensor([0.5, 1.0, -1.0])
    rig = orbit_rig([10.0, 130.0, 250.0], elevation_deg=25.0, radius=3.0, image_size=SIZE, target=target.tolist())
    pixels, depth = rig.project(target)
    assert torch.allclose(pixels, torch.tensor([100.0, 60.0]).expand(3, 2), atol=1e-3)
    assert torch.allclose(depth, torch.full((3,), 3.0), atol=1e-5)
    above, _ = rig.project(target + torch.tensor([0.0, 0.3, 0.0]))
    assert (above[:, 1] < 60).all() and torch.allclose(above[:, 0], torch.full((3,), 100.0), atol=1e-3)
    assert torch.allclose(rig.centers[:, 1], torch.full((3,), 1.0 + 3.0 * math.sin(math.radians(25.0))), atol=1e-5)


def test_the_front_camera_sees_the_left_of_the_character_on_the_right():
    rig = orbit_rig([0.0], radius=3.0, image_size=SIZE)
    pixels, _ = rig.project(torch.tensor([[0.5, 0.0, 0.0], [0.0, 0.5, 0.0]]))
    assert pixels[0, 0, 0] > 100 and pixels[0, 1, 1] < 60


def test_world_to_camera_is_a_rotation_and_the_centre_its_preimage_of_zero():
    rig = double_rig(orbit_rig([33.0], elevation_deg=-40.0, radius=2.5, image_size=SIZE))
    rotation = rig.world_to_camera[0, :, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3, dtype=torch.float64), atol=1e-6)
    assert torch.linalg.det(rotation) == pytest.approx(1.0, abs=1e-6)
    assert rig.to_camera(rig.centers)[0].abs().max() < 1e-6  # the rig itself is made in float32


@pytest.mark.parametrize("elevation", [90.0, -90.0])
def test_a_camera_straight_above_or_below_still_has_axes(elevation):
    rig = orbit_rig([0.0], elevation_deg=elevation, radius=2.0, image_size=SIZE)
    rotation = rig.world_to_camera[0, :, :3]
    assert torch.allclose(rotation @ rotation.T, torch.eye(3), atol=1e-6)
    assert torch.allclose(rig.project(torch.zeros(3))[0][0], torch.tensor([100.0, 60.0]), atol=1e-3)


def test_orbits_close_only_when_they_go_round():
    def closed(*azimuths):
        return orbit_rig(azimuths, radius=1.0, image_size=SIZE).closed

    assert closed(0, 120, 240) and closed(-90, 0, 90, 180) and closed(240, 120, 0) and closed(355, 85, 175, 265)
    assert not closed(0, 180) and not closed(0, 90, 180) and not closed(0, 60, 120) and not closed(0, 240, 120, 200)


@pytest.mark.parametrize("azimuths", [(0, 90, 180, 270), (0, 80, 170, 260, 330), (270, 180, 90, 0), (0, 180), (0,)])
def test_a_circle_may_be_uneven_or_the_other_way_round(azimuths):
    check_circle(orbit_rig(azimuths, radius=2.0, image_size=SIZE))


@pytest.mark.parametrize("azimuths", [(0, 30, 60, 90), range(0, 330, 30), (0, 45, 90, 135, 180)])
def test_an_arc_is_no_circle(azimuths):
    with pytest.raises(ValueError, match=f"the last of {len(azimuths)} stands"):
        check_circle(orbit_rig(azimuths, radius=2.0, image_size=SIZE))


@pytest.mark.parametrize(
    "fields", [{"azimuths_deg": [], "radius": 1.0}, {"azimuths_deg": [0], "radius": 0.0}, {"azimuths_deg": [0], "radius": float("nan")}]
)
def test_an_orbit_without_views_or_radius_is_refused(fields):
    with pytest.raises(ValueError, match="azimuths and radius"):
        orbit_rig(fields["azimuths_deg"], radius=fields["radius"], image_size=SIZE)


def test_an_orbit_with_two_focal_lengths_is_refused():
    with pytest.raises(ValueError, match="give one"):
        orbit_rig([0], radius=1.0, image_size=SIZE, focal_px=100.0, vertical_fov_deg=30.0)


def test_a_camera_on_its_target_is_refused():
    with pytest.raises(ValueError, match="stands on its target"):
        look_at(torch.zeros(1, 3), torch.zeros(3))


def test_projecting_and_unprojecting_by_the_depth_returns_the_points(generator):
    rig = double_rig(orbit_rig([0.0, 77.0, 200.0], elevation_deg=12.0, radius=4.0, image_size=SIZE))
    points = torch.randn(50, 3, generator=generator, dtype=torch.float64)
    pixels, depth = rig.project(points)
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1) * depth[..., None]
    seen = homogeneous @ torch.linalg.inv(rig.intrinsics).mT
    rotation, translation = rig.world_to_camera[..., :3], rig.world_to_camera[..., 3]
    back = (seen - translation[:, None]) @ torch.linalg.inv(rotation).mT
    assert torch.allclose(back, points.expand_as(back), atol=1e-12)


def test_points_behind_a_camera_have_no_pixel():
    rig = orbit_rig([0.0], radius=2.0, image_size=SIZE)
    pixels, depth = rig.project(torch.tensor([[0.0, 0.0, 3.0], [0.1, 0.0, 2.0], [0.0, 0.0, 1.0]]))
    assert pixels[0, 0].isnan().all() and depth[0, 0] == -1.0
    assert pixels[0, 1].isnan().all()
    assert torch.isfinite(pixels[0, 2]).all()


def test_points_keep_their_shape():
    pixels, depth = orbit_rig([0.0, 9.0], radius=2.0, image_size=SIZE).project(torch.zeros(4, 5, 3))
    assert pixels.shape == (2, 4, 5, 2) and depth.shape == (2, 4, 5)


def test_every_point_of_a_plucker_ray_has_the_ray_s_moment(generator):
    rig = double_rig(orbit_rig([15.0, 100.0], elevation_deg=10.0, radius=3.0, image_size=SIZE, target=(0.2, 0.9, -0.1)))
    lines = rig.plucker(6, 10)
    direction, moment = lines[:, :3], lines[:, 3:]
    assert torch.allclose(direction.norm(dim=1), torch.ones(2, 6, 10, dtype=torch.float64), atol=1e-12)
    distance = 5 * torch.rand(2, 1, 6, 10, generator=generator, dtype=torch.float64)
    points = rig.centers[:, :, None, None] + distance * direction
    assert torch.allclose(torch.linalg.cross(points, direction, dim=1), moment, atol=1e-12)
    pixels, depth = rig.project(points.movedim(1, -1))
    assert (depth[[0, 1], [0, 1]] > 0).all()
    for view in range(2):
        rows, columns = torch.meshgrid(torch.arange(6) + 0.5, torch.arange(10) + 0.5, indexing="ij")
        expected = torch.stack([columns * 20, rows * 20], -1).double()  # 10 x 6 cells over 200 x 120 pixels
        assert torch.allclose(pixels[view, view], expected, atol=1e-9)


def test_resized_intrinsics_scale_the_pixels():
    intrinsics, point = motion_capture_intrinsics(SIZE), torch.tensor([0.2, -0.3, 1.7])
    before = intrinsics @ point / point[2]
    after = resize_intrinsics(intrinsics, SIZE, (60, 400)) @ point / point[2]
    assert torch.allclose(after[:2], before[:2] * torch.tensor([2.0, 0.5]), atol=1e-4)


def test_the_own_camera_of_a_motion_stands_at_the_origin():
    rig = own_camera(camera_motion(), (240, 400))
    assert torch.equal(rig.world_to_camera[0], torch.eye(3, 4)) and rig.image_size == (240, 400)
    assert torch.allclose(rig.intrinsics[0], motion_capture_intrinsics((240, 400)))


def test_a_motion_without_a_camera_has_no_own_camera():
    with pytest.raises(ValueError, match="place cameras"):
        own_camera(motion_in(Frame.WORLD))
    with pytest.raises(ValueError, match="does not know its camera"):
        own_camera(motion_in(Frame.CAMERA))


def test_a_camera_motion_is_drawn_with_its_own_camera_of_any_size():
    motion = camera_motion()
    check_camera(motion, own_camera(motion))
    check_camera(motion, own_camera(motion, (480, 800)))


@pytest.mark.parametrize("change", ["orbit", "two views", "focal", "principal point", "moved", "turned"])
def test_a_camera_motion_refuses_every_other_camera(change):
    motion, own = camera_motion(), own_camera(camera_motion())
    intrinsics, pose = own.intrinsics.clone(), own.world_to_camera.clone()
    if change == "orbit":
        rig = orbit_rig([0.0], radius=3.0, image_size=SIZE)
    elif change == "two views":
        rig = CameraRig(intrinsics=intrinsics.expand(2, 3, 3), world_to_camera=pose.expand(2, 3, 4), image_size=SIZE)
    else:
        intrinsics[0, :2, :2] *= 1.01 if change == "focal" else 1.0
        intrinsics[0, 0, 2] += 2.0 if change == "principal point" else 0.0
        pose[0, 2, 3] += 0.01 if change == "moved" else 0.0
        pose[0, 0, 0] *= -1.0 if change == "turned" else 1.0
        rig = CameraRig(intrinsics=intrinsics, world_to_camera=pose, image_size=SIZE)
    with pytest.raises(ValueError, match="other cameras"):
        check_camera(motion, rig)


def test_a_world_motion_takes_any_camera():
    check_camera(motion_in(Frame.WORLD), orbit_rig([0.0, 40.0], radius=3.0, image_size=SIZE))


def test_a_motion_is_given_the_camera_of_its_picture():
    found = with_camera(motion_in(Frame.CAMERA), (604, 1080))
    assert torch.allclose(found.intrinsics, motion_capture_intrinsics((604, 1080))) and found.image_size == (604, 1080)


def test_the_projection_of_the_reference_holds(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "draw_pose.safetensors"))
    size = (1024, 1024)
    motion = Motion(
        joints=golden["in.joints_mm"] / 1000, confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.CAMERA,
        intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip
    pixels, depth = own_camera(motion).project(motion.joints)
    assert (pixels[0].double() - golden["out.p2d_1024x1024"][..., :2]).abs().max() < 0.01
    assert torch.allclose(depth[0].double() * 1000, golden["out.p2d_1024x1024"][..., 2], rtol=1e-6)


def test_the_principal_point_is_the_middle():
    assert torch.equal(intrinsics_matrix(10.0, (6, 8)), torch.tensor([[10.0, 0, 4], [0, 10, 3], [0, 0, 1]]))

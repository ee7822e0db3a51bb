import math

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.spaces import to_camera
from motion4d.core.geometry.camera_exchange import (
    change_lens,
    motion_capture_rig,
    moved_world,
    rig_from_arrays,
    vertical_fovs_deg,
)
from motion4d.core.geometry.camera_paths import turning_path
from motion4d.core.geometry.cameras import motion_capture_intrinsics, orbit_rig
from motion4d.core.geometry.rotations import rotvec_to_matrix

SIZE = (90, 120)


@pytest.mark.parametrize("moving", [False, True])
@pytest.mark.parametrize("inverse", [False, True])
@pytest.mark.parametrize("convention", ["opencv", "opengl"])
def test_arrays_of_any_convention_give_the_rig_they_were_made_of(moving, inverse, convention):
    rig = turning_path(5, radius=3.0, image_size=SIZE) if moving else orbit_rig([0, 20, 70], radius=3.0, image_size=SIZE)
    pose = np.concatenate([rig.world_to_camera.double().numpy(), np.zeros((*rig.world_to_camera.shape[:-2], 1, 4))], -2)
    pose[..., 3, 3] = 1
    if convention == "opengl":
        pose = np.diag([1.0, -1, -1, 1]) @ pose
    if inverse:
        pose = np.linalg.inv(pose)
    pose[..., :3, 3] *= 100  # centimetres
    intrinsics = rig.intrinsics[0, 0] if moving else rig.intrinsics
    found = rig_from_arrays(pose, intrinsics, SIZE, camera_to_world=inverse, convention=convention, metres=0.01)
    assert torch.allclose(found.world_to_camera, rig.world_to_camera, atol=1e-5) and torch.equal(found.intrinsics, rig.intrinsics)


def test_arrays_that_are_no_cameras_are_refused():
    rig = orbit_rig([0, 20], radius=3.0, image_size=SIZE)
    mirrored = rig.world_to_camera * torch.tensor([-1.0, 1, 1])[:, None]
    for poses, lens, fields, message in (
        (mirrored, torch.eye(3), {}, "mirrored"), (rig.world_to_camera * 2, torch.eye(3), {}, "scaled"),
        (torch.full((1, 3, 4), math.nan), torch.eye(3), {}, "no rotation"), (torch.eye(3, 4), torch.eye(3), {}, "poses have the shape"),
        (rig.world_to_camera, torch.eye(3).repeat(3, 1, 1), {}, "intrinsics have the shape"), (rig.world_to_camera, torch.eye(3), {"convention": "unity"}, "unity"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            rig_from_arrays(poses, lens, SIZE, **fields)


@pytest.mark.parametrize("size", [(90, 120), (160, 80)])
def test_mtvcrafter_s_camera_sees_55_degrees_over_the_longer_side(size):
    walk = demo_motion("walk", seconds=0.3, fps=20.0)
    for rig in (orbit_rig([0, 30], radius=4.0, image_size=SIZE), turning_path(walk.frames, radius=4.0, image_size=SIZE)):
        lens = motion_capture_rig(rig, size)
        assert lens.image_size == size and torch.equal(lens.world_to_camera, rig.world_to_camera)
        assert torch.equal(lens.intrinsics, motion_capture_intrinsics(size).expand_as(lens.intrinsics))
        seen = to_camera(walk, lens)
        assert torch.equal(seen.intrinsics, motion_capture_intrinsics(size)) and seen.image_size == size


def test_lenses_go_by_name():
    rig = orbit_rig([0, 30], radius=4.0, image_size=SIZE)
    wide = change_lens(rig, "field of view", vertical_fov_deg=70.0, image_size=(64, 64))
    assert torch.allclose(vertical_fovs_deg(wide), torch.full((2,), 70.0), atol=1e-4) and wide.image_size == (64, 64)
    assert torch.allclose(vertical_fovs_deg(change_lens(rig, "keep", vertical_fov_deg=70.0, image_size=(45, 60))), vertical_fovs_deg(rig))
    for lens, size, message in (("keep", (64, 64), "stretched"), ("fisheye", SIZE, "fisheye")):
        with pytest.raises(ValueError, match=message):
            change_lens(rig, lens, vertical_fov_deg=70.0, image_size=size)


def test_a_world_that_moves_takes_its_cameras_along(generator):
    rig = orbit_rig([0, 30], radius=4.0, image_size=SIZE)
    turn, shift = rotvec_to_matrix(torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64)), torch.tensor([0.5, -2.0, 1.0], dtype=torch.float64)
    points = torch.randn(9, 3, generator=generator)
    moved = moved_world(rig, turn, shift).to_camera((points.double() @ turn.mT + shift).float())
    assert torch.allclose(moved, rig.to_camera(points), atol=1e-5)

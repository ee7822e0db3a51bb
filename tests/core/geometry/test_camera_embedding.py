import math

import numpy as np
import pytest
import torch
from motion4d.core.geometry.camera_embedding import relative_rotations, relative_to_first, rotation_embedding, wan_camera_embedding
from motion4d.core.geometry.camera_paths import arc_path, turntable
from motion4d.core.geometry.cameras import orbit_rig

SIZE = (32, 48)


def test_rotations_are_relative_to_the_base_view():
    rig = turntable(6, radius=3.0, image_size=SIZE, elevation_deg=20.0)
    relative = relative_rotations(rig)
    assert torch.allclose(relative[0], torch.eye(3), atol=1e-6)
    assert torch.allclose(relative @ rig.world_to_camera[0, :, :3], rig.world_to_camera[:, :, :3], atol=1e-6)
    assert torch.allclose(relative_rotations(rig, base=2)[2], torch.eye(3), atol=1e-6)
    level = relative_rotations(orbit_rig([0.0, 90.0], radius=3.0, image_size=SIZE))[1]
    assert torch.allclose(
        level @ torch.tensor([0.0, 0.0, 1.0]), torch.tensor([1.0, 0.0, 0.0]), atol=1e-6
    )  # what is ahead comes to the right
    with pytest.raises(ValueError, match="base is 6"):
        relative_rotations(rig, base=6)


def test_the_embedding_is_that_of_timesteps_for_each_entry(generator):
    embeddings = pytest.importorskip("diffusers.models.embeddings")
    rotations = torch.linalg.qr(torch.randn(4, 3, 3, generator=generator))[0]
    for scale in (1.0, 1000.0):
        found = rotation_embedding(rotations, scale=scale)
        twin = embeddings.Timesteps(32, flip_sin_to_cos=True, downscale_freq_shift=0)(scale * rotations.reshape(-1)).reshape(4, 288)
        assert found.shape == (4, 288) and (found - twin).abs().max() < (1e-6 if scale == 1 else 1e-3)


def test_moving_cameras_have_an_embedding_in_every_frame():
    path = arc_path(5, azimuth_deg=(0.0, 90.0), radius=3.0, image_size=SIZE)
    assert rotation_embedding(relative_rotations(path)).shape == (1, 5, 288)


def test_a_path_starts_at_the_origin_of_its_first_frame(generator):
    path = arc_path(5, azimuth_deg=(10.0, 90.0), radius=(3.0, 4.0), elevation_deg=20.0, image_size=SIZE)
    first = relative_to_first(path)
    assert torch.allclose(first.world_to_camera[0, 0], torch.eye(3, 4), atol=1e-6)
    points = torch.randn(5, 7, 3, generator=generator)
    there = path.at(0).to_camera(points)[0]
    assert torch.allclose(first.to_camera(there), path.to_camera(points), atol=1e-5)
    assert torch.allclose(relative_to_first(path, metres=2.0).centers, first.centers / 2, atol=1e-6)


def test_wan_s_camera_embedding_agrees_with_one_made_ray_by_ray():
    path = arc_path(11, azimuth_deg=(0.0, 40.0), elevation_deg=(0.0, 20.0), radius=3.0, image_size=SIZE)
    height, width = 32, 48
    found = wan_camera_embedding(path, height, width, metres=1.5)
    assert found.shape == (1, 24, 3, height, width)
    pose = np.concatenate([path.world_to_camera[0].double().numpy(), np.tile([[[0.0, 0, 0, 1]]], (11, 1, 1))], 1)
    for frame, row, column in ((0, 0, 0), (1, 5, 40), (4, 31, 7), (5, 16, 24), (8, 30, 47)):
        to_world = pose[0] @ np.linalg.inv(pose[frame])
        lens = path.intrinsics[0, frame].double().numpy()
        ray = to_world[:3, :3] @ [(column + 0.5 - lens[0, 2]) / lens[0, 0], (row + 0.5 - lens[1, 2]) / lens[1, 1], 1.0]
        ray = ray / np.linalg.norm(ray)
        line = np.concatenate([np.cross(to_world[:3, 3] / 1.5, ray), ray])
        places = [(0, slot) for slot in range(4)] if frame == 0 else [((frame + 3) // 4, (frame + 3) % 4)]
        for group, slot in places:
            assert np.abs(found[0, slot::4, group, row, column].double().numpy() - line).max() < 1e-5


def test_wan_s_camera_embedding_says_what_it_cannot_take():
    path = arc_path(5, azimuth_deg=(0.0, 40.0), radius=3.0, image_size=SIZE)
    for wrong, message in (
        (lambda: wan_camera_embedding(path.at(0), 32, 48), "stand still"), (lambda: wan_camera_embedding(path, 32, 64), "proportions"),
        (lambda: wan_camera_embedding(path, 30, 45), "multiples of 16"), (lambda: wan_camera_embedding(path, 32, 48, view=1), "views are"),
        (lambda: wan_camera_embedding(path, 32, 48, metres=math.nan), "metres is nan"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            wrong()

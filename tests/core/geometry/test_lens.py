"""Lens models against OpenCV, and their inverse."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.lens import CalibratedCameras, distort_pixels, undistort, undistort_pixels
from motion4d.core.types import Keypoints

CAMERA = torch.tensor([[900.0, 0.0, 640.0], [0.0, 880.0, 360.0], [0.0, 0.0, 1.0]], dtype=torch.float64)
LENSES = {
    "4": (-0.3, 0.12, 1e-3, -2e-3),
    "5": (-0.35, 0.2, 1e-3, -2e-3, -0.08),
    "8": (0.3, -0.1, 1e-3, 5e-4, 0.02, 0.6, -0.05, 0.01),
    "12": (-0.2, 0.05, 1e-3, 5e-4, 0.0, 0.1, 0.0, 0.0, 2e-3, -1e-3, 1e-3, 3e-4),
    "14": (-0.2, 0.05, 1e-3, 5e-4, 0.0, 0.1, 0.0, 0.0, 2e-3, -1e-3, 1e-3, 3e-4, 0.03, -0.02),
}
FISHEYE = (-0.02, 0.01, -0.003, 5e-4)


def padded(values):
    return torch.tensor([*values, *[0.0] * (14 - len(values))], dtype=torch.float64)


def grid():
    v, u = torch.meshgrid(torch.linspace(20, 700, 18), torch.linspace(20, 1260, 30), indexing="ij")
    return torch.stack([u, v], -1).double().reshape(-1, 2)


def rays(pixels):
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[:, :1])], -1)
    return (homogeneous @ torch.linalg.inv(CAMERA).T).numpy()


@pytest.mark.parametrize("name", LENSES)
def test_bending_is_opencv_s(name):
    cv2 = pytest.importorskip("cv2")
    wanted = cv2.projectPoints(rays(grid()), np.zeros(3), np.zeros(3), CAMERA.numpy(), np.array(LENSES[name]))[0][:, 0]
    assert np.abs(distort_pixels(grid(), CAMERA, padded(LENSES[name])).numpy() - wanted).max() < 1e-8


def test_the_fisheye_is_opencv_s():
    cv2 = pytest.importorskip("cv2")
    wanted = cv2.fisheye.projectPoints(rays(grid())[:, None], np.zeros(3), np.zeros(3), CAMERA.numpy(), np.array(FISHEYE))[0][:, 0]
    assert np.abs(distort_pixels(grid(), CAMERA, padded(FISHEYE), fisheye=True).numpy() - wanted).max() < 1e-8


@pytest.mark.parametrize("name", [*LENSES, "fisheye"])
def test_straightening_undoes_it(name):
    fisheye = name == "fisheye"
    lens = padded(FISHEYE if fisheye else LENSES[name])
    bent = distort_pixels(grid(), CAMERA, lens, fisheye=fisheye)
    assert (bent - grid()).norm(dim=-1).max() > 10
    assert (undistort_pixels(bent, CAMERA, lens, fisheye=fisheye) - grid()).abs().max() < 1e-6


def test_a_strong_barrel_is_exact_up_to_where_it_folds():
    lens = padded((-0.4,))
    fold = (1 / 1.2) ** 0.5  # 1 - 3 * 0.4 r^2 = 0
    radii = torch.linspace(0.0, 0.999 * fold, 50, dtype=torch.float64)
    points = torch.stack([640 + 900 * radii, torch.full_like(radii, 360.0)], -1)
    back = undistort_pixels(distort_pixels(points, CAMERA, lens), CAMERA, lens)
    assert (back - points).abs().max() < 1e-4  # near the fold a millionth of a pixel is much
    outside = torch.tensor([[640 + 900 * 0.7, 360.0]], dtype=torch.float64)  # more than the fold's own 2/3 fold
    assert undistort_pixels(outside, CAMERA, lens).isnan().all()


def test_a_fisheye_beyond_a_right_angle_is_no_pinhole():
    pixel = torch.tensor([[640 + 900 * 1.7, 360.0]], dtype=torch.float64)
    assert undistort_pixels(pixel, CAMERA, padded(()), fisheye=True).isnan().all()
    assert undistort_pixels(torch.tensor([[640.0, 360.0]]).double(), CAMERA, padded(()), fisheye=True).allclose(
        torch.tensor([[640.0, 360.0]]).double()
    )


def cameras_with(*lenses, fisheye=(False, False)):
    rig = orbit_rig([0.0, 90.0], radius=3.0, image_size=(720, 1280), focal_px=900.0)
    return CalibratedCameras(
        rig=rig,
        distortion=torch.stack([padded(lens) for lens in lenses]),
        fisheye=fisheye,
        image_sizes=((720, 1280),) * 2,
        names=("a", "b"),
    )


def test_keypoints_are_straightened_view_by_view():
    cameras = cameras_with((), LENSES["5"])
    pixels = grid()[None, None].expand(2, 1, -1, 2).clone()
    pixels[1] = distort_pixels(pixels[1], cameras.rig.intrinsics[1].double(), cameras.distortion[1])
    pixels[0, 0, 3] = torch.nan
    confidence = torch.ones(2, 1, pixels.shape[2]).double()
    confidence[0, 0, 3] = 0
    keypoints = Keypoints(pixels=pixels, confidence=confidence, image_size=(720, 1280))
    straight = undistort(keypoints, cameras)
    assert (straight.pixels - grid())[straight.seen].abs().max() < 1e-6
    assert torch.equal(straight.confidence, confidence)
    assert undistort(keypoints, cameras_with((), ())) is keypoints


def test_what_no_lens_shows_loses_its_confidence():
    cameras = cameras_with((-0.4,), ())
    keypoints = Keypoints(pixels=torch.full((2, 1, 1, 2), 1279.0), confidence=torch.ones(2, 1, 1), image_size=(720, 1280))
    assert undistort(keypoints, cameras).confidence.flatten().tolist() == [0, 1]


def test_other_views_and_sizes_are_refused():
    cameras = cameras_with((), LENSES["5"])
    keypoints = Keypoints(pixels=torch.zeros(2, 1, 1, 2), confidence=torch.ones(2, 1, 1), image_size=(720, 1280))
    with pytest.raises(ValueError, match="one camera for each view"):
        undistort(replace(keypoints, pixels=keypoints.pixels[:1], confidence=keypoints.confidence[:1]), cameras)
    with pytest.raises(ValueError, match="resize"):
        undistort(replace(keypoints, image_size=(100, 100)), cameras)
    assert cameras.take_views([1]).names == ("b",)
    with pytest.raises(ValueError, match="names"):
        replace(cameras, names=("a",))

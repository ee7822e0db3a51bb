"""Pairs of rays: exact where views agree, silent where they do not."""

import pytest
import torch
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.ray_pairs import Views, intersect_pairs


def views_of(azimuths, points, *, noise=0.0, generator=None):
    rig = orbit_rig(azimuths, radius=3.0, image_size=(800, 1000), focal_px=1000.0)
    projections = (rig.intrinsics.double() @ rig.world_to_camera.double())[:, None]
    views = Views(
        projections=projections,
        pixels=torch.zeros(len(azimuths), *points.shape[:2], 2).double(),
        confidence=torch.ones(len(azimuths), *points.shape[:2]).double(),
        side=1000,
    )
    pixels = views.project(points)[0]
    if noise:
        pixels = pixels + noise * torch.randn(pixels.shape, generator=generator, dtype=torch.float64)
    return Views(projections=projections, pixels=pixels, confidence=views.confidence, side=1000)


@pytest.fixture
def points(generator):
    return 0.4 * torch.randn(20, 5, 3, generator=generator, dtype=torch.float64)


def test_rays_of_agreeing_views_meet_in_the_point(points):
    rough = intersect_pairs(views_of([0.0, 70.0, 200.0], points))
    assert (rough.points - points).abs().max() < 1e-9
    assert rough.agreeing.all()
    assert rough.noise_px == pytest.approx(0.1)  # the least that is believed


def test_one_wild_view_of_four_is_left_out(points):
    views = views_of([0.0, 80.0, 170.0, 260.0], points)
    views.pixels[2, :, 1] += 90
    rough = intersect_pairs(views)
    assert (rough.points - points).abs().max() < 1e-9
    assert not rough.agreeing[2, :, 1].any() and rough.agreeing.sum() == 4 * 100 - 20


@pytest.mark.parametrize("noise", [0.5, 2.0])
def test_noise_is_estimated(noise, generator):
    points = 0.4 * torch.randn(200, 5, 3, generator=generator, dtype=torch.float64)
    rough = intersect_pairs(views_of([0.0, 80.0, 170.0, 260.0], points, noise=noise, generator=generator))
    assert rough.noise_px == pytest.approx(noise, rel=0.1)


@pytest.mark.parametrize(("apart", "resolved"), [(3.0, False), (10.0, False), (25.0, True), (90.0, True), (155.0, True), (178.0, False)])
def test_rays_that_meet_too_flat_tell_nothing(apart, resolved):
    middle = torch.zeros(1, 1, 3, dtype=torch.float64)
    rough = intersect_pairs(views_of([0.0, apart], middle))
    assert bool(torch.isfinite(rough.points).all()) is resolved


def test_two_views_that_contradict_each_other_resolve_nothing(points):
    views = views_of([0.0, 90.0], points)
    views.pixels[1, :10, :, 1] += 300
    rough = intersect_pairs(views)
    assert rough.points[:10].isnan().all() and torch.isfinite(rough.points[10:]).all()


def test_a_rough_calibration_widens_what_counts_as_agreement(points):
    views = views_of([0.0, 50.0, 110.0, 230.0], points)
    for view in range(4):
        views.pixels[view, ..., 1] += 40 * view  # a point between two rays is at least 20 px off in both
    rough = intersect_pairs(views)
    assert rough.threshold_px == 24 and torch.isfinite(rough.points).all(-1).float().mean() > 0.9


def test_agreement_is_not_widened_beyond_a_tenth_of_the_picture(points):
    views = views_of([0.0, 90.0], points)
    views.pixels[1, ..., 1] += 300
    rough = intersect_pairs(views)
    assert rough.threshold_px == 100 and rough.points.isnan().all() and not rough.agreeing.any()


def test_points_behind_a_camera_are_no_intersection():
    behind = torch.tensor([[[0.0, 0.0, 9.0]]], dtype=torch.float64)  # behind the first camera, which stands at 3
    rough = intersect_pairs(views_of([0.0, 90.0], behind))
    assert rough.points.isnan().all()


def test_many_views_use_some_of_the_pairs(points):
    rough = intersect_pairs(views_of([360.0 * view / 16 for view in range(16)], points[:2]))
    assert (rough.points - points[:2]).abs().max() < 1e-9

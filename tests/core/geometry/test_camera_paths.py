"""Paths of cameras: where they are, what they look at, and that nothing jumps."""

import math

import numpy as np
import pytest
import torch
from motion4d.core.geometry.camera_paths import (
    arc_path,
    dolly_path,
    gather_views,
    key_times,
    keyed_path,
    turning_path,
    turntable,
)
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.types import CameraRig

SIZE = (90, 120)
MIDDLE = torch.tensor([60.0, 45.0])


def double(rig):
    return CameraRig(intrinsics=rig.intrinsics.double(), world_to_camera=rig.world_to_camera.double(), image_size=rig.image_size)


def test_a_turntable_is_an_orbit_all_the_way_round():
    table = turntable(5, radius=2.0, image_size=SIZE, elevation_deg=20.0, azimuth_deg=10.0, target=(0.0, 1.0, 0.0))
    orbit = orbit_rig([10, 82, 154, 226, 298], radius=2.0, image_size=SIZE, elevation_deg=20.0, target=(0.0, 1.0, 0.0))
    assert table.closed and table.frames is None
    assert torch.equal(table.world_to_camera, orbit.world_to_camera) and torch.equal(table.intrinsics, orbit.intrinsics)


def test_a_turn_stands_where_a_turntable_of_as_many_views_stands():
    turn = turning_path(12, radius=3.0, image_size=SIZE, elevation_deg=15.0, center=(0.2, 0.9, 0.0))
    table = turntable(12, radius=3.0, image_size=SIZE, elevation_deg=15.0, target=(0.2, 0.9, 0.0))
    assert turn.views == 1 and turn.frames == 12
    assert torch.allclose(turn.world_to_camera[0], table.world_to_camera, atol=1e-6)
    twice = turning_path(12, turns=-2.0, radius=3.0, image_size=SIZE, elevation_deg=15.0, center=(0.2, 0.9, 0.0))
    assert torch.allclose(twice.world_to_camera[0, :6], table.world_to_camera[[0, 10, 8, 6, 4, 2]], atol=1e-5)


@pytest.mark.parametrize("ease", ["linear", "smooth"])
def test_an_arc_goes_from_its_first_values_to_its_last(ease):
    path = arc_path(9, azimuth_deg=(-30.0, 60.0), elevation_deg=(0.0, 40.0), radius=(2.0, 5.0), image_size=SIZE, ease=ease)
    ends = [orbit_rig([a], elevation_deg=e, radius=r, image_size=SIZE) for a, e, r in ((-30, 0, 2.0), (60, 40, 5.0))]
    for frame, end in ((0, ends[0]), (8, ends[1])):
        assert torch.allclose(path.world_to_camera[0, frame], end.world_to_camera[0], atol=1e-6)
    radius = path.centers[0].norm(dim=-1)
    assert float(radius[4]) == pytest.approx(3.5, abs=1e-5)
    steps = radius.diff()
    assert torch.allclose(steps, steps[0].expand(8), atol=1e-5) if ease == "linear" else steps[0] < 0.3 * steps[3]


def test_the_camera_looks_at_a_target_that_moves_and_goes_along_with_its_centre():
    track = torch.stack([torch.linspace(0, 3, 7), torch.full((7,), 0.9), torch.linspace(0, -1, 7)], -1)
    looking = arc_path(7, azimuth_deg=(0.0, 30.0), radius=6.0, image_size=SIZE, target=track)
    pixels, _ = double(looking).project(track[:, None])
    assert torch.allclose(pixels[0, :, 0], MIDDLE.double(), atol=1e-3)
    assert torch.allclose(looking.centers, arc_path(7, azimuth_deg=(0.0, 30.0), radius=6.0, image_size=SIZE).centers, atol=1e-5)
    along = arc_path(7, azimuth_deg=(0.0, 30.0), radius=6.0, image_size=SIZE, center=track)
    assert torch.allclose((along.centers[0] - track).norm(dim=-1), torch.full((7,), 6.0), atol=1e-5)


def test_dollies_move_in_the_axes_of_the_first_camera():
    start = {"eye": (4.0, 1.0, 0.0), "target": (0.0, 1.0, 0.0), "image_size": SIZE, "turn": False}  # looks along -X, its right is -Z
    for shift, moved in (((1, 0, 0), (0, 0, -1)), ((0, 1, 0), (0, 1, 0)), ((0, 0, 1), (-1, 0, 0)), ((0, 0, -2), (2, 0, 0))):
        path = dolly_path(5, shift=shift, **start)
        assert torch.allclose(path.centers[0, -1] - path.centers[0, 0], torch.tensor(moved, dtype=torch.float32), atol=1e-6)
        assert torch.allclose(path.world_to_camera[0, :, :, :3], path.world_to_camera[0, :1, :, :3].expand(5, 3, 3), atol=1e-7)


def test_a_dolly_zoom_keeps_the_size_at_the_target_and_changes_what_is_behind():
    target = torch.tensor([0.0, 1.0, 0.0])
    path = double(dolly_path(6, eye=(0.0, 1.0, 5.0), target=target, shift=(0, 0, 3.0), image_size=SIZE, hold_size=True))
    person = target + torch.tensor([[0.3, 0.8, 0.0], [-0.3, -0.9, 0.0]])
    pixels, _ = path.project(person.expand(6, 2, 3))
    assert (pixels - pixels[:, :1]).abs().max() < 1e-4
    wall, _ = path.project((person - torch.tensor([0.0, 0.0, 4.0])).expand(6, 2, 3))
    size = (wall[0, :, 0] - wall[0, :, 1]).norm(dim=-1)
    assert (size.diff() < -1).all()  # what is behind shrinks as the camera comes near
    focal = path.intrinsics[0, :, 0, 0]
    assert float(focal[-1] / focal[0]) == pytest.approx(2 / 5, abs=1e-6)


def test_a_camera_that_would_reach_its_target_is_refused():
    with pytest.raises(ValueError, match=r"4\.00 m before its target and moves 4 m"):
        dolly_path(5, eye=(4.0, 1.0, 0.0), target=(0.0, 1.0, 0.0), shift=(0, 0, 4.0), image_size=SIZE)
    with pytest.raises(ValueError, match="stands on its target"):
        arc_path(2, azimuth_deg=0.0, radius=1.0, image_size=SIZE, target=(0.0, 0.0, 1.0))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frames": 0}, "frames is 0"), ({"ease": "bounce"}, "ease is 'bounce'"), ({"radius": (1.0, -1.0)}, "radius"),
        ({"center": torch.zeros(4, 3)}, r"center has the shape \(4, 3\)"), ({"target": (0.0, math.nan, 0.0)}, "target has the shape"),
        ({"vertical_fov_deg": 180.0}, "field of view"),
    ],
)  # fmt: skip
def test_paths_that_make_no_sense_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        arc_path(**{"frames": 5, "azimuth_deg": 0.0, "radius": 2.0, "image_size": SIZE} | change)


# --- keys


@pytest.fixture
def keys(generator):
    """Five cameras around (0, 1, 0), rolled and with different lenses."""
    rig = double(orbit_rig([0, 50, 80, 170, 200], elevation_deg=12.0, radius=3.0, image_size=SIZE, target=(0.0, 1.0, 0.0)))
    roll = rotvec_to_matrix(torch.tensor([[0, 0, 0.1], [0, 0, 3.0], [0, 0, -3.1], [0, 0, -2.0], [0, 0, 0.0]], dtype=torch.float64))
    lens = rig.intrinsics.clone()
    lens[:, 0, 0] *= torch.tensor([1.0, 2.0, 0.5, 1.0, 3.0], dtype=torch.float64)
    lens[:, 0, 2] += torch.arange(5)
    return CameraRig(intrinsics=lens.float(), world_to_camera=(roll @ rig.world_to_camera).float(), image_size=SIZE)


@pytest.mark.parametrize("focus", [None, (0.0, 1.0, 0.0), (5.0, -2.0, 9.0)])
@pytest.mark.parametrize("interpolation", ["linear", "catmull_rom"])
def test_at_the_keys_the_path_is_the_keys(keys, interpolation, focus):
    times = [2, 5, 20, 21, 39]
    path = keyed_path(keys, times, 45, interpolation=interpolation, focus=focus)
    assert path.views == 1 and path.frames == 45
    assert (path.world_to_camera[0, times] - keys.world_to_camera).abs().max() < 2e-6
    assert torch.allclose(path.intrinsics[0, times], keys.intrinsics, rtol=1e-6, atol=1e-4)
    for held, key in ((slice(0, 2), 0), (slice(39, 45), 4)):
        assert (path.world_to_camera[0, held] - keys.world_to_camera[key]).abs().max() < 2e-6


def test_a_curve_has_no_jump_of_its_speed_and_a_straight_path_has(keys):
    fine = torch.tensor([0.0, 1.0, 4.0, 5.5, 9.0]) * 100  # frames so short that differences are speeds

    def kinks(interpolation):
        centers = keyed_path(keys, fine.tolist(), 901, interpolation=interpolation, focus=(0, 1, 0)).centers[0].double()
        speed = centers.diff(dim=0)
        turn = (speed[1:] - speed[:-1]).norm(dim=-1) / speed.norm(dim=-1).median()
        return [float(turn[int(key) - 1]) for key in fine[1:-1]]

    assert max(kinks("catmull_rom")) < 0.1 < 0.4 < min(kinks("linear"))


@pytest.mark.parametrize("interpolation", ["linear", "catmull_rom"])
def test_the_eye_agrees_with_an_independent_interpolation(keys, interpolation):
    times = np.array([0.0, 4.0, 10.0, 13.0, 30.0])
    eyes = keys.centers.double().numpy()
    path = keyed_path(keys, times.tolist(), 31, interpolation=interpolation, focus=(0, 1, 0)).centers[0].double().numpy()

    def barry_goldman(t):
        """Blends of blends over the knots, mirrored beyond the ends."""
        knots = np.concatenate([[2 * times[0] - times[1]], times, [2 * times[-1] - times[-2]]])
        points = np.concatenate([[2 * eyes[0] - eyes[1]], eyes, [2 * eyes[-1] - eyes[-2]]])
        at = min(max(np.searchsorted(knots, t, side="right") - 1, 1), len(knots) - 3)
        k, p = knots[at - 1 : at + 3], points[at - 1 : at + 3]

        def blend(a, b, x, y):
            return (b - t) / (b - a) * x + (t - a) / (b - a) * y

        a = [blend(k[i], k[i + 1], p[i], p[i + 1]) for i in range(3)]
        b = [blend(k[i], k[i + 2], a[i], a[i + 1]) for i in range(2)]
        return blend(k[1], k[2], b[0], b[1])

    for frame in range(31):
        straight = np.array([np.interp(frame, times, eyes[:, axis]) for axis in range(3)])
        wanted = straight if interpolation == "linear" else barry_goldman(float(frame))
        assert np.abs(path[frame] - wanted).max() < 2e-6


def test_level_keys_stay_level_and_lenses_go_by_their_ratio():
    ends = [
        orbit_rig([0.0], elevation_deg=5, radius=2.0, image_size=SIZE),
        orbit_rig([100.0], elevation_deg=45, radius=5.0, image_size=SIZE),
    ]
    keys = gather_views(ends)
    lens = keys.intrinsics.clone()
    lens[1, :2, :2] *= 4.0
    path = keyed_path(CameraRig(intrinsics=lens, world_to_camera=keys.world_to_camera, image_size=SIZE), [0, 10], 11)
    assert path.world_to_camera[0, :, 0, 1].abs().max() < 1e-6  # the right of the camera has no height
    assert float(path.intrinsics[0, 5, 0, 0] / lens[0, 0, 0]) == pytest.approx(2.0, rel=1e-5)


def test_one_key_stands_still_and_parallel_keys_have_a_path(keys):
    one = keyed_path(keys.take_views([3]), [7], 12)
    assert (one.world_to_camera[0] - keys.world_to_camera[3]).abs().max() < 2e-6
    side = dolly_path(2, eye=(0, 1, 4), target=(0, 1, 0), shift=(2, 0, 0), image_size=SIZE, turn=False)
    parallel = gather_views([side.at(0), side.at(1)])
    path = keyed_path(parallel, [0, 4], 5)
    assert torch.allclose(path.world_to_camera[0, 2], (parallel.world_to_camera.sum(0)) / 2, atol=1e-6)


@pytest.mark.parametrize("times", [[0, 1, 2], [0, 1, 1, 2, 3], [4, 3, 2, 1, 0], [0, 1, 2, 3, math.nan]])
def test_times_that_do_not_fit_the_keys_are_refused(keys, times):
    with pytest.raises(ValueError, match="ascending order"):
        keyed_path(keys, times, 10)


def test_other_wrong_keys_are_refused(keys):
    moving = turning_path(3, radius=2.0, image_size=SIZE)
    for wrong, message in (
        (lambda: keyed_path(moving, [0], 3), "key still cameras"), (lambda: keyed_path(keys, range(5), 9, interpolation="bezier"), "bezier"),
        (lambda: keyed_path(keys, range(5), 0), "frames is 0"), (lambda: gather_views([]), "no cameras"),
        (lambda: gather_views([keys, moving]), "still ones"), (lambda: gather_views([keys, turntable(3, radius=1.0, image_size=(90, 90))]), "proportions"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            wrong()


def test_times_are_read_from_a_text():
    assert key_times("0, 40 80", 3, 81) == (0.0, 40.0, 80.0)
    assert key_times("  ", 3, 81) == (0.0, 40.0, 80.0) and key_times("", 1, 9) == (0.0,)
    for text, keys in (("0, 40", 3), ("0, x, 80", 3), ("0, 80, 40", 3), ("0, 40, 81", 3), ("-1 3 5", 3), ("0 nan 80", 3)):
        with pytest.raises(ValueError, match="times are"):
            key_times(text, keys, 81)

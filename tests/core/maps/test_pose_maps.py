"""Pose maps: what is drawn is what was projected, and what is read is what was drawn."""

from dataclasses import replace

import pytest
import torch
from motion4d.benchmarks.made_rigs import lively, quadruped, skeleton_of
from motion4d.benchmarks.pose_maps import cameras_around, jpeg, localise, mild, strong
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.palettes import BACKGROUND, BONE, assign_palette, make_palette
from motion4d.core.maps.pose_maps import auto_radius, draw_pose_maps, read_pose_maps
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import Frame, Keypoints, Motion

SIZE = (240, 320)


def flat(points, parents=None, rest=None):
    """A motion of one frame, and a camera that sees joint j of it at points[j] = (x, y) pixels, or (x, y, depth)."""
    count = len(points)
    rows = torch.tensor([(*point, 10.0)[:3] for point in points], dtype=torch.float64)
    intrinsics = torch.tensor([[300.0, 0, 160], [0, 300.0, 120], [0, 0, 1]], dtype=torch.float64)
    homogeneous = torch.cat([rows[:, :2], torch.ones(count, 1)], 1)
    joints = (torch.linalg.inv(intrinsics) @ homogeneous.mT).mT * rows[:, 2:]
    names = [f"j{n}" for n in range(count)]
    skeleton = skeleton_of([(name, None, (0.0, 0.0, 0.0)) for name in names])
    skeleton = replace(skeleton, parents=parents or [-1] * count)
    motion = Motion(joints=joints[None], confidence=torch.ones(1, count), skeleton=skeleton, fps=30.0, frame=Frame.WORLD)
    cameras = orbit_rig([0.0], radius=1.0, image_size=SIZE, focal_px=300.0)
    pose = torch.cat([torch.eye(3), torch.zeros(3, 1)], 1)[None].double()
    return motion, replace(cameras, intrinsics=intrinsics[None], world_to_camera=pose)


def distances(found: Keypoints, wanted: Keypoints):
    return (found.pixels - wanted.pixels).norm(dim=-1)


# --- colours


@pytest.mark.parametrize(("count", "least"), [(24, 100), (55, 68), (100, 53), (200, 37)])
def test_colours_are_far_from_each_other_and_from_what_lies_behind(count, least):
    palette = make_palette(count).double()
    assert torch.equal(palette[0], torch.tensor([255.0, 0, 0]).double()) and torch.equal(palette, make_palette(200)[:count].double())
    apart = torch.cdist(palette, palette) + 1e3 * torch.eye(count)
    assert apart.min() >= least
    assert torch.cdist(palette, torch.tensor([BACKGROUND, BONE]).double()).min() >= 60 - 1e-9


def test_neighbours_in_the_tree_get_colours_farther_apart_than_they_come():
    plain = make_palette(55)
    given = assign_palette(plain, SMPLX55.parents)
    assert sorted(map(tuple, given.tolist())) == sorted(map(tuple, plain.tolist()))

    def nearest(palette):
        return min(float((palette[a].double() - palette[b].double()).norm()) for a, b in SMPLX55.bones)

    assert nearest(given) > 1.3 * nearest(plain)


@pytest.mark.parametrize("count", [0, 201])
def test_no_palette_of_none_or_of_too_many(count):
    with pytest.raises(ValueError, match="expected 1 to 200"):
        make_palette(count)


# --- drawing


def test_a_disc_covers_its_area_around_its_place():
    motion, cameras = flat([(100.3, 80.7)])
    image = draw_pose_maps(motion, cameras, radius=6, bone_width=0).images[0, 0].double()
    cover = 1 - image[..., 1]  # red: green and blue go down
    assert abs(cover.sum() - torch.pi * 36) < 0.5
    rows, columns = torch.meshgrid(torch.arange(240) + 0.5, torch.arange(320) + 0.5, indexing="ij")
    assert abs((cover * columns).sum() / cover.sum() - 100.3) < 0.01 and abs((cover * rows).sum() / cover.sum() - 80.7) < 0.01


def test_near_discs_cover_far_ones_and_bpy_covers_with_the_first():
    motion, cameras = flat([(100, 100, 10), (100, 100, 5), (200, 100, 5), (200, 100, 10)])
    by_depth = draw_pose_maps(motion, cameras, bone_width=0)
    bpy = draw_pose_maps(motion, cameras, bone_width=0, order="bpy")
    centres = [(99, 99), (99, 199)]
    shown = [[(maps.images[0, 0][at] * 255).round().byte().tolist() for at in centres] for maps in (by_depth, bpy)]
    colours = by_depth.palette.tolist()
    assert shown == [[colours[1], colours[2]], [colours[0], colours[2]]]


def test_no_bone_lies_over_a_disc():
    motion, cameras = flat([(60, 100), (100, 100), (140, 100)], parents=[-1, 0, 0])
    maps = draw_pose_maps(motion, cameras, radius=5)
    assert torch.allclose(maps.images[0, 0, 100, 100] * 255, maps.palette[1].float())  # the bone from 0 to 2 passes joint 1
    assert torch.allclose(maps.images[0, 0, 100, 80] * 255, torch.tensor(BONE).float())


def test_missing_joints_and_those_behind_the_camera_are_left_out_with_their_bones():
    motion, cameras = flat([(60, 100), (100, 100), (140, 100, -10)], parents=[-1, 0, 1])
    motion = replace(motion, confidence=torch.tensor([[0.0, 1, 1]]))
    maps = draw_pose_maps(motion, cameras)
    assert maps.keypoints.seen[0, 0].tolist() == [False, True, False]
    assert (maps.images[0, 0, :, :94] == 1).all() and (maps.images[0, 0, :, 107:] == 1).all()


def test_wrong_sizes_orders_and_palettes_are_refused():
    motion, cameras = flat([(60, 100), (100, 100)])
    for wrong, words in (
        ({"radius": 0.1}, "radius is 0.1"),
        ({"bone_width": 99}, "bone_width 99"),
        ({"order": "far"}, "expected one of depth, bpy"),
        ({"palette": make_palette(3)}, "one colour for each joint"),
    ):
        with pytest.raises(ValueError, match=words):
            draw_pose_maps(motion, cameras, **wrong)


# --- reading


def test_untouched_maps_are_read_to_a_twentieth_of_a_pixel():
    motion = lively(SMPL24, seconds=0.5, fps=16)
    cameras = cameras_around(motion)
    maps = draw_pose_maps(motion, cameras, radius=auto_radius(motion, cameras))
    found = read_pose_maps(maps.images, maps.palette, radius=maps.radius, skeleton=SMPL24)
    off = distances(found, maps.keypoints)[found.seen]
    assert off.median() < 0.05 and off.quantile(0.99) < 0.5
    assert found.seen.float().mean() > 0.93


@pytest.mark.parametrize("parts", [(0, 1), (2, 0)])
def test_bytes_are_read_as_numbers_are_and_views_do_not_speak_to_each_other(parts):
    motion = lively(quadruped(), seconds=0.4, fps=16)
    cameras = cameras_around(motion)
    maps = draw_pose_maps(motion, cameras)
    together = read_pose_maps(maps.images[list(parts)], maps.palette)
    alone = [read_pose_maps((maps.images[[part]] * 255).round().byte(), maps.palette) for part in parts]
    for number, own in enumerate(alone):
        assert torch.equal(own.confidence[0] > 0, together.confidence[number] > 0)
        assert (
            distances(own, replace(together, pixels=together.pixels[[number]], confidence=together.confidence[[number]])).nan_to_num().max()
            < 0.02
        )


def test_covered_and_missing_joints_are_flagged_and_no_place_is_made_up():
    points = [(40, 60), (100, 60), (160, 60), (160, 60, 20), (220, 60)]
    motion, cameras = flat(points)
    motion = replace(motion, confidence=torch.tensor([[1.0, 0, 1, 1, 1]]))
    maps = draw_pose_maps(motion, cameras)
    found = read_pose_maps(maps.images, maps.palette)
    assert found.seen[0, 0].tolist() == [True, False, True, False, True]
    assert torch.isnan(found.pixels[0, 0, [1, 3]]).all() and (found.confidence[0, 0, [1, 3]] == 0).all()
    assert distances(found, maps.keypoints)[found.seen].max() < 0.05


def test_half_covered_discs_keep_their_places_but_are_trusted_less():
    motion, cameras = flat([(100, 60, 5), (102.3, 61, 10), (200, 60, 10)])
    maps = draw_pose_maps(motion, cameras, bone_width=0)
    found = read_pose_maps(maps.images, maps.palette)
    assert found.seen.all() and distances(found, maps.keypoints).max() < 0.1
    assert found.confidence[0, 0, 1] < 1 and found.confidence[0, 0, 2] > 0.95


def test_a_colour_in_two_places_is_trusted_little_and_told_apart_by_its_past():
    motion, cameras = flat([(60, 60), (200, 60)])
    again, _ = flat([(60, 60), (120, 180)])
    maps, other = (draw_pose_maps(part, cameras, bone_width=0) for part in (motion, again))
    twice = torch.minimum(maps.images, other.images)
    alone = read_pose_maps(twice, maps.palette)
    assert alone.confidence[0, 0, 0] > 0.95 and alone.confidence[0, 0, 1] < 0.3
    clip = torch.cat([other.images] * 3 + [twice] + [other.images], 1)
    followed = read_pose_maps(clip, maps.palette)
    assert (followed.pixels[0, :, 1] - torch.tensor([120.0, 180])).norm(dim=-1).max() < 0.1


def test_a_place_beyond_the_reach_of_bones_is_not_taken():
    skeleton = skeleton_of([(f"j{n}", f"j{n - 1}" if n else None, (1.0 * n, 0, 0)) for n in range(14)])
    motion, cameras = flat([*((30 + 20 * n, 60) for n in range(13)), (60, 200)])
    maps = draw_pose_maps(motion, cameras, bone_width=0)
    assert read_pose_maps(maps.images, maps.palette).seen.all()
    assert read_pose_maps(maps.images, maps.palette, skeleton=skeleton).seen[0, 0].tolist() == [True] * 13 + [False]


def test_a_change_of_brightness_and_tint_does_no_harm():
    motion, cameras = flat([(40 + 50 * (n % 5), 40 + 50 * (n // 5)) for n in range(20)])
    maps = draw_pose_maps(motion, cameras)
    tinted = maps.images * torch.tensor([0.92, 0.85, 0.97])
    found = read_pose_maps(tinted, maps.palette)
    assert found.seen.all() and distances(found, maps.keypoints).max() < 0.1


@pytest.mark.parametrize(
    ("wear", "radius", "median", "share"),
    [(jpeg, 4.0, 0.25, 0.99), (jpeg, 5.0, 0.25, 0.99), (mild, 5.0, 0.25, 0.99), (strong, 5.0, 0.5, 0.97)],
)
def test_worn_pictures_of_55_joints(wear, radius, median, share):
    got = localise(wear, radius=radius, pictures=6, seed=3)
    assert float(torch.tensor(got.errors).median()) < median and got.within(3) >= share


def test_two_hundred_joints_are_told_apart():
    got = localise(lambda levels, generator: levels, joints=200, radius=5.0, pictures=2)
    assert got.found > 0.99 and got.within(1) > 0.99


@pytest.mark.parametrize(
    ("images", "palette", "more", "words"),
    [
        (torch.ones(2, 8, 8, 3), make_palette(3), {}, "expected \\(V, T, H, W, 3\\)"),
        (torch.ones(1, 0, 8, 8, 3), make_palette(3), {}, "at least one picture"),
        (torch.full((1, 1, 8, 8, 3), 255.0), make_palette(3), {}, "divide those in 0..255"),
        (torch.full((1, 1, 8, 8, 3), torch.nan), make_palette(3), {}, "expected numbers in 0..1"),
        (torch.ones(1, 1, 8, 8, 3), make_palette(3).float(), {}, "expected \\(J, 3\\) uint8"),
        (torch.ones(1, 1, 8, 8, 3), make_palette(3), {"skeleton": SMPL24}, "one colour to each joint"),
        (torch.ones(1, 1, 8, 8, 3), make_palette(3), {"radius": 0}, "expected 1 to 64"),
    ],
)
def test_what_cannot_be_read_is_refused(images, palette, more, words):
    with pytest.raises(ValueError, match=words):
        read_pose_maps(images, palette, **more)


@pytest.mark.parametrize("level", [0.0, 0.5, 1.0])
def test_empty_pictures_show_no_joints(level):
    found = read_pose_maps(torch.full((1, 2, 32, 48, 3), level), make_palette(12))
    assert not found.seen.any() and torch.isnan(found.pixels).all()

"""The reference comes to the first pose by whole pixels, and what was not in it is told."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.spaces import to_camera
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.alignment import align_views
from motion4d.core.maps.body_place import pelvis_pixels, standing_height
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.reference_placement import ReferencePerson, find_person, place_reference

SIZE = (140, 120)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.6, fps=10.0)


@pytest.fixture(scope="module")
def rig():
    return orbit_rig([0.0, 90.0], radius=4.0, image_size=SIZE, focal_px=150.0, target=(0.1, 0.8, 0.2))


@pytest.fixture
def picture(generator):
    return torch.rand(100, 90, 3, generator=generator)


def box_mask(size=(100, 90)):
    mask = torch.zeros(size)
    mask[20:81, 30:50] = 1.0
    return mask


def test_the_middle_of_the_mask_comes_to_the_pelvis_of_the_first_pose_of_the_view(walk, rig, picture):
    person = find_person(picture, mask=box_mask())
    assert person.pelvis == (40.0, 50.5) and person.height == 61.0
    for view in (0, 1):
        placed = place_reference(picture, walk, rig, person=person, view=view)
        pelvis = rig.project(walk.joints[0, 0])[0][view]
        assert (torch.tensor(person.pelvis) + torch.tensor(placed.shift) - pelvis).abs().max() <= 0.5 + 1e-4
        assert placed.picture.shape == (*SIZE, 3) and placed.frame == 0 and placed.scale == 1


@pytest.mark.parametrize("fill", ["edge", "colour"])
def test_the_shift_copies_pixels_and_fills_the_rest(walk, rig, picture, fill):
    placed = place_reference(picture, walk, rig, person=find_person(picture, point=(44, 61)), fill=fill, background=(0.1, 0.2, 0.3))
    dx, dy = placed.shift
    assert dx > 0 and dy > 0
    assert torch.equal(placed.picture[dy : dy + 100, dx : dx + 90], picture[: SIZE[0] - dy, : SIZE[1] - dx])
    padding = torch.ones(SIZE, dtype=torch.bool)
    padding[dy : dy + 100, dx : dx + 90] = False
    assert torch.equal(placed.padding, padding)
    if fill == "edge":
        assert torch.equal(placed.picture[:dy, dx : dx + 90], picture[:1, : SIZE[1] - dx].expand(dy, -1, -1))
        assert torch.equal(placed.picture[:dy, :dx], picture[0, 0].expand(dy, dx, 3))
    else:
        assert torch.equal(placed.picture[padding], torch.tensor([0.1, 0.2, 0.3]).expand(int(padding.sum()), 3))


def test_a_reference_that_stands_right_stays_as_it_is(walk, rig, generator):
    picture = torch.rand(*SIZE, 3, generator=generator)
    person = ReferencePerson(pelvis=tuple(pelvis_pixels(walk, rig)[0][1, 0].tolist()), height=None, source="a test")
    placed = place_reference(picture, walk, rig, person=person, view=1)
    assert torch.equal(placed.picture, picture) and placed.shift == (0, 0) and not placed.padding.any()


def test_the_motion_of_the_reference_tells_where_it_is_and_how_tall(walk, rig):
    away = orbit_rig([10.0], radius=6.0, image_size=(200, 160), focal_px=170.0, target=(0.4, 0.7, 0.0))
    seen = to_camera(walk.cut(2, 3), away)
    picture = render_bone_maps(walk.cut(2, 3), away).mask[0, 0, ..., None].expand(-1, -1, 3).float()
    person = find_person(picture, motion=seen)
    assert torch.allclose(torch.tensor(person.pelvis), away.project(walk.joints[2, 0])[0][0], atol=1e-3)
    assert person.height == pytest.approx(standing_height(walk, away, 0, 2), rel=1e-3)
    large = find_person(torch.zeros(400, 320, 3), motion=seen)
    assert large.pelvis == pytest.approx([2 * side for side in person.pelvis]) and large.height == pytest.approx(2 * person.height)


def test_a_body_placed_by_its_height_covers_the_pose(walk):
    """The same pose seen through another lens, at another place in the picture, comes to lie on the pose of the view."""
    still = walk.cut(0, 1)
    rig = orbit_rig([0.0], radius=6.0, image_size=(280, 240), focal_px=450.0, target=(0.1, 0.8, 0.2))
    away = orbit_rig([0.0], radius=6.5, image_size=(400, 360), focal_px=800.0, target=(0.3, 0.6, 0.2))
    picture = render_bone_maps(still, away).mask[0, 0, ..., None].expand(-1, -1, 3).float()
    person = find_person(picture, motion=to_camera(still, away))
    target = render_bone_maps(still, rig).mask[0, 0]

    def overlap(**options):
        body = place_reference(picture, walk, rig, person=person, **options).picture[..., 0] > 0.5
        return float((body & target).sum() / (body | target).sum())

    assert overlap(match_height=True) > 0.85 > 0.75 > overlap()
    placed = place_reference(picture, walk, rig, person=person, match_height=True)
    assert placed.scale == pytest.approx(standing_height(walk, rig, 0, 0) / person.height)
    assert "scaled by" in placed.report()


def test_the_pose_of_aligned_cameras_is_in_the_middle(walk, rig, picture):
    aligned = align_views(walk, rig, size=(128, 96), smoothing=1).rig(rig)
    placed = place_reference(picture, walk, aligned, person=find_person(picture, point=(45, 50)), view=1)
    assert placed.shift == (48 - 45, 64 - 50) and placed.picture.shape == (128, 96, 3)


def test_the_first_frame_that_shows_the_pelvis_counts(walk, rig, picture):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[:2, 0], confidence[:2, 0] = torch.nan, 0.0
    placed = place_reference(picture, replace(walk, joints=joints, confidence=confidence), rig, person=find_person(picture, point=(40, 50)))
    assert placed.frame == 2 and "before frame 2" in placed.report()
    pelvis = rig.project(walk.joints[2, 0])[0][0]
    assert (torch.tensor([40, 50]) + torch.tensor(placed.shift) - pelvis).abs().max() <= 0.5 + 1e-4


def test_transparency_tells_the_person_and_lies_on_the_background(walk, rig, picture):
    cut_out = torch.cat([picture, box_mask()[..., None]], -1)
    person = find_person(cut_out)
    assert person.pelvis == (40.0, 50.5)
    placed = place_reference(cut_out, walk, rig, person=person, background=(0, 0, 1), fill="colour")
    flat = torch.tensor([0.0, 0.0, 1.0]).repeat(100, 90, 1)
    flat[20:81, 30:50] = picture[20:81, 30:50]
    expected = place_reference(flat, walk, rig, person=person, background=(0, 0, 1), fill="colour")
    assert torch.equal(placed.picture, expected.picture)


def test_what_tells_nothing_is_refused(walk, picture):
    for given, message in (
        ({}, "nothing tells"),
        ({"mask": torch.zeros(100, 90)}, "the mask shows nobody"),
        ({"mask": torch.zeros(64, 64)}, "64x64 one comes from"),
        ({"point": (91, 5)}, "outside the reference of 90x100"),
        ({"motion": walk}, "world axes"),
    ):
        with pytest.raises(ValueError, match=message):
            find_person(picture, **given)
    with pytest.raises(ValueError, match="nothing tells"):
        find_person(torch.ones(8, 8, 4))
    with pytest.raises(ValueError, match="transparency of the reference shows nobody"):
        find_person(torch.zeros(8, 8, 4))
    seen = to_camera(walk, orbit_rig([0.0], radius=4.0, image_size=(100, 200), target=(0, 0.8, 0)))
    with pytest.raises(ValueError, match="pictures of 200x100 pixels, these have 90x100"):
        find_person(picture, motion=seen)


def test_places_that_there_are_not_are_refused(walk, rig, picture):
    person = find_person(picture, point=(40, 50))
    for changed, message in (
        ({"view": 2}, "view is 2, the cameras have 2"),
        ({"match_height": True}, "height of the person of the reference is unknown"),
        ({"fill": "mirror"}, "edge, colour"),
        ({"picture": picture[None]}, "one picture"),
        ({"person": replace(person, pelvis=(-400.0, 50.0))}, "nothing of the reference is left"),
    ):
        options = {"picture": picture, "person": person} | changed
        with pytest.raises(ValueError, match=message):
            place_reference(options.pop("picture"), walk, rig, **options)

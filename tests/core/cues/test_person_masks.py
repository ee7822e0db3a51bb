"""Masks of people: what each source gives, that frames and masks belong together, and that nobody is lost."""

import sys
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.framing import frame_motion
from motion4d.core.cues import mediapipe_masks as mediapipe_module
from motion4d.core.cues.mediapipe_masks import mediapipe_masks
from motion4d.core.cues.person_masks import (
    PersonMasks,
    grow_masks,
    mask_overlap,
    masks_for_frames,
    masks_of_bone_maps,
    masks_of_motion,
    masks_of_track,
)
from motion4d.core.formats import load_motion, read_video
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.composition import compose_bone_maps

SIZE = (48, 64)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.4)


@pytest.fixture(scope="module")
def rig(walk):
    return frame_motion(walk, views=1, image_size=SIZE)


def box(frames=3, size=SIZE, rows=(10, 30), columns=(20, 30)):
    masks = torch.zeros(frames, *size)
    masks[:, rows[0] : rows[1], columns[0] : columns[1]] = 1
    return masks


# --- masks of segmenters ---


def test_masks_of_the_frames_stay_as_they_are_whatever_their_kind():
    soft = torch.rand(3, *SIZE, generator=torch.Generator().manual_seed(1))
    assert torch.equal(masks_for_frames(soft, 3, SIZE)[0], soft) and masks_for_frames(soft, 3, SIZE)[1] == ()
    assert torch.equal(masks_for_frames(box()[:, None], 3, SIZE)[0], box())
    assert torch.equal(masks_for_frames(box() > 0, 3, SIZE)[0], box())
    assert torch.equal(masks_for_frames((255 * box()).byte(), 3, SIZE)[0], box())


def test_masks_of_another_size_are_resized_and_this_is_told():
    masks, notes = masks_for_frames(box(), 3, (96, 128))
    assert torch.allclose(mask_overlap(masks, box().repeat_interleave(2, 1).repeat_interleave(2, 2)), torch.ones(3))
    assert notes == ("masks of 64x48 resized to 128x96",)


@pytest.mark.parametrize(
    ("masks", "message"),
    [
        (box(frames=2), "2 masks and 3 frames"),
        (box(frames=1), "1 masks and 3 frames"),
        (box(size=(64, 48)), "masks of 48x64 do not fit frames of 64x48"),
        (box() * 255, "divide by 255"),
        (box() * torch.nan, r"expected values in 0\.\.1"),
        (box()[0], r"expected \(frames, height, width\)"),
        (box()[:, :0], r"expected \(frames, height, width\)"),
    ],
)
def test_masks_that_are_not_of_these_frames_are_refused(masks, message):
    with pytest.raises(ValueError, match=message):
        masks_for_frames(masks, 3, SIZE)


def test_nobody_at_all_is_refused_and_frames_without_anybody_are_told():
    with pytest.raises(ValueError, match="empty in all frames"):
        PersonMasks(masks=torch.zeros(1, 3, *SIZE))
    masks = box()
    masks[1] = 0
    report = PersonMasks(masks=masks[None], notes=("so",)).report()
    assert "1 person in 3 frames of 64x48" in report and "6.5 % of the picture" in report and "empty in 1 frames: 1" in report
    assert report.endswith("note: so")


def test_masks_that_tell_nothing_are_refused_and_those_of_frames_of_pictures_are_told():
    with pytest.raises(ValueError, match="cover all of every frame"):
        PersonMasks(masks=torch.ones(1, 3, *SIZE))
    disc = grow_masks(box(rows=(20, 24), columns=(20, 24))[None], 0.5) > 0.5
    told = [PersonMasks(masks=masks).report() for masks in (box()[None], disc.float(), torch.stack([box(), disc[0].float()]))]
    assert [report.count("full rectangle") for report in told] == [1, 0, 1] and "the mask of person 0 is a full" in told[2]


def test_people_are_chosen_by_area_by_number_or_together():
    small, large = box(rows=(2, 6)), box(rows=(20, 40), columns=(30, 60))
    people = PersonMasks(masks=torch.stack([small, large]))
    assert torch.equal(people.chosen(), large) and torch.equal(people.chosen("index", 0), small)
    assert torch.equal(people.chosen("all"), torch.maximum(small, large))
    with pytest.raises(ValueError, match="person 2 does not exist: there are 2, give 0 to 1"):
        people.chosen("index", 2)
    with pytest.raises(ValueError, match="person is 'tall'"):
        people.chosen("tall")


# --- SAM 3 ---


def packed(masks):
    """(T, N, H, W) bool as SAM3_TRACK_DATA."""
    bits = masks.unflatten(-1, (-1, 8)).byte() * 2 ** torch.arange(8, dtype=torch.uint8)
    return {"packed_masks": bits.sum(-1).byte(), "n_frames": len(masks), "scores": [1.0] * masks.shape[1], "orig_size": SIZE}


def test_every_object_of_a_track_is_a_person_stretched_to_the_frames():
    square = torch.stack([box(size=(64, 64)), box(size=(64, 64), columns=(40, 60))], 1) > 0
    found = masks_of_track(packed(square), 3, SIZE)
    assert found.masks.shape == (2, 3, *SIZE)
    for person, columns in zip(found.masks, ((20, 30), (40, 60)), strict=True):  # as wide, and 3/4 as high
        assert mask_overlap(person, box(rows=(8, 22), columns=columns)).min() > 0.9
    with pytest.raises(ValueError, match="track_data is of 3 frames, there are 4"):
        masks_of_track(packed(square), 4, SIZE)
    with pytest.raises(ValueError, match="of a video of 64x48, the frames have 48x64"):
        masks_of_track(packed(square), 3, (64, 48))


# --- motions and bone maps ---


def test_the_mask_of_a_motion_is_what_its_bone_maps_cover(walk, rig):
    drawn = render_bone_maps(walk, rig).mask[0].float()
    told = []
    found = masks_of_motion(walk, walk.frames, SIZE, rig=rig, growth=0.0, advance=told.append)
    assert torch.equal(found.masks[0], drawn) and sum(told) == walk.frames
    assert torch.equal(masks_of_bone_maps(render_bone_maps(walk, rig), walk.frames, SIZE, growth=0.0).masks[0], drawn)
    assert (masks_of_motion(walk, walk.frames, SIZE, rig=rig).masks >= found.masks).all()


def test_frames_that_show_nothing_of_the_motion_are_empty(walk, rig):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[2] += torch.tensor([0.0, 0.0, 100.0])  # behind the camera
    joints[4], confidence[4] = torch.nan, 0.0
    broken = replace(walk, joints=joints, confidence=confidence, rotations=None, translation=None)
    masks = masks_of_motion(broken, walk.frames, SIZE, rig=rig, growth=0.0).masks[0]
    assert (masks.flatten(1).any(1) == torch.tensor([frame not in (2, 4) for frame in range(walk.frames)])).all()


def test_who_stands_behind_somebody_is_seen_where_nobody_is_before_them(walk, rig):
    behind = replace(walk, joints=walk.joints - torch.tensor([0.15, 0.0, 0.5]), rotations=None, translation=None)
    front, back = render_bone_maps(walk, rig), render_bone_maps(behind, rig)
    found = masks_of_bone_maps(compose_bone_maps([front, back]), walk.frames, SIZE, growth=0.0).masks > 0.5
    assert torch.equal(found[0], front.mask[0] & (~back.mask[0] | (front.depth[0] <= back.depth[0])))
    assert not (found[0] & found[1]).any() and torch.equal(found.any(0), (front.mask | back.mask)[0])


def test_a_motion_that_is_not_of_these_frames_is_refused(walk, rig):
    with pytest.raises(ValueError, match=f"the motion has {walk.frames} frames, the film 3"):
        masks_of_motion(walk, 3, SIZE, rig=rig)
    with pytest.raises(ValueError, match="world axes"):
        masks_of_motion(walk, walk.frames, SIZE)
    with pytest.raises(ValueError, match="proportions"):
        masks_of_motion(walk, walk.frames, (64, 64), rig=rig)
    with pytest.raises(ValueError, match="there are 3 cameras"):
        masks_of_motion(walk, walk.frames, SIZE, rig=frame_motion(walk, views=3, image_size=SIZE))
    with pytest.raises(ValueError, match="bone_maps have 3 views"):
        masks_of_bone_maps(render_bone_maps(walk, frame_motion(walk, views=3, image_size=SIZE)), walk.frames, SIZE)


# --- growing ---


@pytest.mark.parametrize("share", [0.11, 0.3, -0.11])
def test_growing_takes_what_is_nearer_than_the_share(share):
    masks = box(frames=2)
    masks[1] = box(frames=1, rows=(15, 35), columns=(5, 9))[0]
    grown = grow_masks(masks[None], share)[0]
    reach = abs(share) * 20  # both are 20 high
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    places = torch.stack([rows, columns], -1).flatten(0, 1).float()
    for before, after in zip(masks, grown, strict=True):
        side = before.flatten() > 0.5 if share > 0 else before.flatten() < 0.5
        away = torch.cdist(places, places[side]).amin(1).reshape(SIZE)  # the naive twin
        soft = (reach + 1 - away).clamp(0, 1) if share > 0 else (away - reach).clamp(0, 1)
        assert (after - soft).abs().max() < 1e-4


def test_growing_by_nothing_and_of_nobody_changes_nothing():
    masks = torch.stack([box(), torch.zeros(3, *SIZE), torch.ones(3, *SIZE)])
    assert grow_masks(masks, 0.0) is masks
    assert torch.equal(grow_masks(masks, 0.1)[1:], masks[1:])
    with pytest.raises(ValueError, match=r"growth is 0\.6"):
        grow_masks(masks, 0.6)


def test_overlap_is_intersection_over_union():
    first, second = box(), box(columns=(25, 35))
    first[2] = second[2] = 0
    second[1] = 0
    assert mask_overlap(first, second)[:2].tolist() == pytest.approx([1 / 3, 0.0])
    assert mask_overlap(first, second)[2].isnan() and mask_overlap(first, first)[0] == 1


# --- MediaPipe and real videos ---


def test_mediapipe_says_how_it_is_installed(monkeypatch):
    monkeypatch.setitem(sys.modules, "mediapipe", None)
    with pytest.raises(ImportError, match=r"pip install mediapipe==0\.10\.14"):
        mediapipe_masks(torch.zeros(1, *SIZE, 3))
    with pytest.raises(ValueError, match="kind is 'cut'"):
        mediapipe_masks(torch.zeros(1, *SIZE, 3), kind="cut")
    assert mediapipe_module.KINDS == ("pose", "selfie")


@pytest.mark.parametrize(("name", "clip", "least"), [("dance_a.mp4", 0, 0.6), ("dance_b.mp4", 1, 0.7)])
def test_bone_maps_cover_what_a_segmenter_does(reference, name, clip, least):
    pytest.importorskip("mediapipe.python.solutions", reason="MediaPipe 0.10.14 is not installed")
    frames = read_video(reference("data", name)).frames()[::12].clone()
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=clip)
    drawn = masks_of_motion(motion.take(slice(None, None, 12)), len(frames), tuple(frames.shape[1:3])).chosen()
    seen = mediapipe_masks((frames * 255).byte(), kind="selfie")
    assert torch.nanmean(mask_overlap(drawn, seen)) > least
    inside = (drawn * seen).sum() / drawn.sum()
    assert inside > 0.75

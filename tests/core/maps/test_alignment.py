"""The pelvis comes to the middle, crops are what the aligned cameras see, and go back to where they were."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics, orbit_rig, own_camera, with_camera
from motion4d.core.maps.alignment import align_views, smooth_path
from motion4d.core.maps.alignment_preview import draw_boxes
from motion4d.core.maps.body_place import body_bounds, pelvis_pixels, standing_height
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.skeletons import COCO17, SMPL24
from motion4d.core.types import CameraRig, Frame, Motion
from scipy.ndimage import gaussian_filter1d

SIZE = (150, 130)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.8, fps=10.0)


def rig_of(views=3, size=SIZE, **changes):
    placed = {"radius": 4.0, "elevation_deg": 10.0, "target": (0.3, 0.8, 0.4)} | changes
    return orbit_rig([20.0 + 360 / views * view for view in range(views)], image_size=size, focal_px=1.2 * size[0], **placed)


def pictures_of(rig, frames, generator, channels=3):
    return torch.rand(rig.views, frames, *rig.image_size, channels, generator=generator)


def without_pelvis(motion, frames):
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[frames, 0], confidence[frames, 0] = torch.nan, 0.0
    return replace(motion, joints=joints, confidence=confidence)


@pytest.mark.parametrize("resize", [True, False])
def test_the_pelvis_projects_to_the_middle_of_the_aligned_cameras(walk, resize):
    rig = rig_of()
    aligned = align_views(walk, rig, smoothing=1, size=(192, 128), resize=resize, whole_pixels=False)
    cameras = aligned.rig(rig)
    assert (cameras.views, cameras.frames, cameras.image_size, cameras.closed) == (3, walk.frames, aligned.size, True)
    pixels, depth = cameras.project(walk.joints)
    middle = torch.tensor(aligned.size[::-1]) / 2
    assert (pixels[:, :, 0] - middle).abs().max() < 1e-3
    assert torch.allclose(depth, rig.project(walk.joints)[1], atol=1e-5)
    assert torch.equal(aligned.leftover, torch.zeros_like(aligned.leftover))


def test_projecting_with_the_aligned_cameras_is_projecting_and_moving_the_pixels(walk):
    rig = rig_of()
    aligned = align_views(walk, rig, size=(100, 160))
    expected = (rig.project(walk.joints)[0] - aligned.offsets[:, :, None]) * torch.tensor(aligned.scale)
    assert torch.allclose(aligned.rig(rig).project(walk.joints)[0], expected.float(), atol=2e-3)


def test_whole_pixels_leave_over_what_the_middle_misses(walk):
    rig = rig_of()
    aligned = align_views(walk, rig, smoothing=1, resize=False)
    assert torch.equal(aligned.offsets, aligned.offsets.round()) and aligned.size == aligned.crop_size
    assert aligned.leftover.abs().max() <= 0.5 and aligned.leftover.abs().max() > 0.1
    pelvis = aligned.rig(rig).project(walk.joints)[0][:, :, 0]
    assert (pelvis - aligned.leftover - torch.tensor(aligned.size[::-1]) / 2).abs().max() < 1e-3


def test_nobody_leaves_the_crop(walk):
    far = replace(walk, joints=walk.joints + torch.tensor([1.4, 0.3, -0.8]))  # largely out of the pictures
    rig = rig_of()
    for center in ("per_frame", "first_frame"):
        aligned = align_views(far, rig, center=center, size=(120, 120))
        bounds = body_bounds(far, aligned.rig(rig))
        assert bounds.min() > 0 and bounds.max() < 120
        inner = render_bone_maps(far, aligned.rig(rig)).mask
        assert inner.flatten(2).any(-1).all()
        assert not (inner[:, :, [0, -1]].any() or inner[..., [0, -1]].any())


def test_the_crop_is_as_tight_as_the_margin_says(walk):
    rig = rig_of()
    aligned = align_views(walk, rig, margin=1.25, smoothing=1, size=(200, 200), whole_pixels=False)
    bounds = body_bounds(walk, aligned.rig(rig))
    assert max(float(bounds.max()) - 100, 100 - float(bounds.min())) == pytest.approx(100 / 1.25, rel=0.02)


def test_the_crop_of_a_render_is_the_render_with_the_aligned_cameras(walk):
    rig = rig_of()
    aligned = align_views(walk, rig, resize=False, background=(0, 0, 0))
    whole, cut = render_bone_maps(walk, rig), render_bone_maps(walk, aligned.rig(rig))
    crops = aligned.crop(whole.normal)
    inside = aligned.crop(torch.ones(*whole.mask.shape, 3))[..., 0] > 0  # what the picture has of the crop
    assert torch.allclose(crops, cut.normal * inside[..., None], atol=2e-3)
    assert torch.equal(aligned.crop(whole.mask[..., None].expand(-1, -1, -1, -1, 3).float())[..., 0] > 0, cut.mask & inside)
    assert (whole.mask.sum() > 5000) and cut.mask.sum() >= whole.mask.sum()


def test_a_resized_crop_of_a_render_is_nearly_the_render_with_the_aligned_cameras(walk):
    rig = rig_of(size=(250, 240))
    aligned = align_views(walk, rig, size=(160, 160), background=(0, 0, 0))
    crops = aligned.crop(render_bone_maps(walk, rig).normal.add(1).div(2))
    cut = render_bone_maps(walk, aligned.rig(rig)).normal.add(1).div(2)
    inside = aligned.crop(torch.ones(3, walk.frames, 250, 240, 3)) > 0.999
    difference = (crops - cut).abs()[inside]
    assert difference.mean() < 0.01 and difference.quantile(0.98) < 0.1
    shifted = (crops[..., 1:, :] - cut[..., :-1, :]).abs()[inside[..., 1:, :]]
    assert difference.mean() < 0.5 * shifted.mean()


@pytest.mark.parametrize("feather", [0.0, 7.5])
def test_unresized_crops_go_back_to_the_bit(walk, generator, feather):
    rig = rig_of()
    images = pictures_of(rig, walk.frames, generator)
    aligned = align_views(walk, rig, resize=False)
    kept = images.clone()
    crops = aligned.crop(images)
    assert torch.equal(aligned.paste(crops, images, feather=feather), images) and torch.equal(images, kept)
    alone, inside = aligned.paste(crops), aligned.paste(torch.zeros_like(crops))[..., 0] == 0
    assert torch.equal(alone[inside], images[inside]) and (alone[~inside] == 1).all()
    assert inside.any() and not inside.all()


def test_crops_between_pixels_and_resized_crops_nearly_go_back(walk):
    walk, rig = walk.cut(0, 2), rig_of()
    y, x = torch.meshgrid(torch.arange(SIZE[0]) / 30, torch.arange(SIZE[1]) / 30, indexing="ij")
    images = torch.stack([0.5 + 0.4 * torch.sin(x + y), 0.5 + 0.4 * torch.cos(y), 0.5 + 0.3 * torch.sin(2 * x)], -1)
    images = images.expand(3, walk.frames, *SIZE, 3)
    for options in ({"size": (320, 320)}, {"size": (90, 90)}, {"resize": False, "whole_pixels": False}):
        aligned = align_views(walk, rig, **options)
        back = aligned.paste(aligned.crop(images), images)
        inside = aligned.paste(torch.zeros_like(images[:, :, :1, :1]).expand(-1, -1, *aligned.size, -1))[..., 0] == 0
        # The edge of the picture is mixed with the padding where the crop reaches beyond it.
        inside[:, :, [0, 1, -1, -2]] = inside[..., [0, 1, -1, -2]] = False
        assert inside.float().mean() > 0.2
        assert (back - images).abs()[inside].max() < 0.02


def test_crops_that_were_enlarged_go_back_to_the_same_place(walk, generator):
    rig = rig_of()
    aligned = align_views(walk, rig, resize=False)
    colours = torch.rand(3, walk.frames, 1, 1, 3, generator=generator)
    small, large = (aligned.paste(colours.expand(-1, -1, times * aligned.size[0], times * aligned.size[1], -1)) for times in (1, 2))
    assert torch.allclose(small, large, atol=1e-6)


def test_masks_and_transparency_let_the_originals_through(walk, generator):
    rig = rig_of()
    images = pictures_of(rig, walk.frames, generator)
    aligned = align_views(walk, rig, resize=False)
    new = torch.rand(*aligned.crop(images).shape, generator=generator)
    mask = (torch.rand(new.shape[:-1], generator=generator) > 0.5).float()
    masked = aligned.paste(new, images, masks=mask)
    assert torch.equal(masked, aligned.paste(torch.cat([new, mask[..., None]], -1), images))
    covered = aligned.crop(masked)
    inside = aligned.crop(torch.ones_like(images))[..., 0] * aligned.crop(torch.zeros_like(images) + 0.5)[..., 0] == 0.5
    assert torch.equal(covered[inside & (mask == 1)], new[inside & (mask == 1)])
    assert torch.equal(covered[inside & (mask == 0)], aligned.crop(images)[inside & (mask == 0)])
    assert torch.equal(aligned.paste(new, images, masks=torch.zeros(1, 1, *aligned.size)), images)


def test_feathered_edges_rise_evenly_from_the_original_but_not_at_the_edge_of_the_picture(walk):
    rig = rig_of(size=(260, 240), radius=9.0)
    aligned = align_views(walk, rig, resize=False)
    zeros, ones = torch.zeros(3, walk.frames, 260, 240, 3), torch.ones(3, walk.frames, *aligned.size, 3)
    weight = aligned.paste(ones, zeros, feather=8.0)[0, 0, ..., 0]
    left, top = aligned.offsets[0, 0].int().tolist()
    height, width = aligned.size
    assert left > 0 and top > 0 and top + height < 260
    row = weight[top + height // 2, left : left + width]
    assert torch.allclose(row[:8], (torch.arange(8) + 0.5) / 8) and torch.equal(row, row.flip(0)) and (row[8:-8] == 1).all()
    beyond = align_views(walk, rig, resize=False, margin=8.0)
    assert (beyond.offsets < 0).all()
    crops = torch.ones(3, walk.frames, *beyond.size, 3)
    assert torch.equal(beyond.paste(crops, zeros, feather=8.0), torch.ones_like(zeros))


def test_transparent_pictures_lie_on_the_background(walk, generator):
    rig = rig_of()
    images = pictures_of(rig, walk.frames, generator, channels=4)
    aligned = align_views(walk, rig, resize=False, background=(0.2, 0.4, 0.9))
    flat = torch.tensor([0.2, 0.4, 0.9]) * (1 - images[..., 3:]) + images[..., :3] * images[..., 3:]
    assert torch.allclose(aligned.crop(images), aligned.crop(flat), atol=1e-6)
    assert torch.allclose(aligned.paste(aligned.crop(images), images), flat, atol=1e-6)


def test_smoothing_is_a_gaussian_filter(generator):
    track = torch.randn(2, 30, 2, generator=generator, dtype=torch.float64).cumsum(1)
    for width in (3, 5, 9):
        padded = np.pad(track.numpy(), ((0, 0), (20, 20), (0, 0)), mode="reflect", reflect_type="odd")
        expected = gaussian_filter1d(padded, width / 5, axis=1, truncate=(width // 2 + 0.01) / (width / 5))[:, 20:-20]
        assert np.allclose(smooth_path(track, width).numpy(), expected, atol=1e-12)
    assert torch.equal(smooth_path(track, 1), track) and torch.equal(smooth_path(track[:, :1], 5), track[:, :1])
    assert smooth_path(track[:, :2], 9).shape == (2, 2, 2)


def test_smoothing_holds_back_nobody_who_moves_evenly():
    track = torch.arange(12.0, dtype=torch.float64)[None, :, None] * torch.tensor([3.0, -1.5]) + 7
    assert torch.allclose(smooth_path(track, 5), track, atol=1e-12)


def test_the_first_frame_keeps_the_motion_of_the_root(walk):
    rig = rig_of()
    aligned = align_views(walk, rig, center="first_frame", size=(144, 144))
    before, after = (cameras.project(walk.joints)[0][:, :, 0] for cameras in (rig, aligned.rig(rig)))
    assert (after[:, 0] - 72).abs().max() < 1e-3
    assert torch.allclose(after - after[:, :1], (before - before[:, :1]) * torch.tensor(aligned.scale), atol=2e-3)
    assert torch.equal(aligned.offsets, aligned.offsets[:, :1].expand_as(aligned.offsets))


def test_missing_frames_are_interpolated_and_told(walk):
    rig = rig_of()
    full, gaps = align_views(walk, rig, smoothing=1, whole_pixels=False), without_pelvis(walk, [0, 4, 5])
    part = align_views(gaps, rig, smoothing=1, whole_pixels=False)
    assert "view 1: place of the pelvis interpolated in frames 0, 4-5" in part.report()
    middle = [one.offsets + torch.tensor(one.crop_size[::-1]) / 2 for one in (full, part)]
    kept = [1, 2, 3, 6, 7]
    assert torch.allclose(middle[0][:, kept], middle[1][:, kept])
    assert torch.allclose(middle[1][:, 0], middle[0][:, 1])
    assert torch.allclose(middle[1][:, 4], middle[0][:, 3] + (middle[0][:, 6] - middle[0][:, 3]) / 3)
    first = align_views(gaps, rig, center="first_frame")
    assert "frame 1" in first.report()


def test_a_view_or_a_motion_without_the_person_is_refused(walk):
    away = CameraRig(
        intrinsics=rig_of().intrinsics, world_to_camera=rig_of().world_to_camera.clone(), image_size=SIZE
    )  # the second camera turned round
    away.world_to_camera[1] = torch.diag(torch.tensor([-1.0, 1.0, -1.0])) @ away.world_to_camera[1]
    with pytest.raises(ValueError, match="view 1 looks away"):
        align_views(walk, away)
    with pytest.raises(ValueError, match="missing in all frames"):
        align_views(without_pelvis(walk, slice(None)), rig_of())


def test_a_camera_in_the_body_is_refused(walk):
    inside = rig_of(1, radius=0.16, target=tuple(walk.joints[0, 0].tolist()))
    with pytest.raises(ValueError, match=r"touches the body|never in front"):
        align_views(walk, inside)


def test_the_pelvis_of_other_skeletons_is_the_middle_of_the_hips(generator):
    motion = Motion(
        joints=torch.rand(3, 17, 3, generator=generator), confidence=torch.ones(3, 17), skeleton=COCO17, fps=30.0, frame=Frame.WORLD
    )
    hips = [COCO17.index(name) for name in ("left_hip", "right_hip")]
    rig = rig_of()
    pixels, known = pelvis_pixels(motion, rig)
    assert known.all() and torch.allclose(pixels.float(), rig.project(motion.joints[:, hips].mean(1))[0], atol=1e-3)


def test_a_filmed_person_is_followed_by_a_moving_crop_of_its_own_camera(walk):
    size = (180, 160)
    joints = walk.joints * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.4, 0.9, 4.0])
    filmed = Motion(
        joints=joints, confidence=walk.confidence, skeleton=SMPL24, fps=10.0, frame=Frame.CAMERA,
        intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip
    rig = own_camera(filmed)
    aligned = align_views(filmed, rig, size=(96, 96), smoothing=1)
    assert (aligned.rig(rig).project(joints)[0][0, :, 0] - 48).abs().max() < 1e-3
    assert render_bone_maps(filmed, aligned.rig(rig)).mask.flatten(2).any(-1).all()


def test_moving_cameras_are_aligned_like_the_still_ones_of_each_frame(walk):
    rig = rig_of(2)
    poses = rig.world_to_camera[:, None].repeat(1, walk.frames, 1, 1)
    poses[..., 3] += 0.1 * torch.arange(walk.frames)[:, None]
    moving = CameraRig(intrinsics=rig.intrinsics[:, None].expand(2, walk.frames, 3, 3), world_to_camera=poses, image_size=SIZE)
    aligned = align_views(walk, moving, smoothing=1)
    for frame in (0, walk.frames - 1):
        assert torch.equal(body_bounds(walk, moving)[:, frame], body_bounds(walk.cut(frame, frame + 1), moving.at(frame))[:, 0])
    assert (aligned.rig(moving).project(walk.joints)[0][:, :, 0] - 288).abs().max() < 2e-3


def test_the_outline_holds_the_drawing(walk):
    rig = rig_of(size=(400, 380))
    mask, bounds = render_bone_maps(walk, rig).mask, body_bounds(walk, rig)
    for view in range(3):
        rows, columns = mask[view, 2].nonzero().unbind(1)
        drawn = [columns.min(), rows.min(), columns.max() + 1, rows.max() + 1]
        assert (torch.tensor(drawn) - bounds[view, 2]).abs().max() < 1.5


def test_a_standing_person_is_as_tall_as_its_outline():
    person = demo_motion("wave", seconds=0.2, fps=10.0)
    rig = rig_of(1, size=(600, 600), elevation_deg=0.0, target=(0.0, 0.8, 0.0), radius=5.0)
    still = person.joints.clone()
    still[:] = SMPL24.rest * (person.joints[0, :, 1].max() / SMPL24.rest[:, 1].max())
    person = replace(person, joints=still, rotations=None, translation=None)
    bounds = body_bounds(person, rig)[0, 0]
    assert standing_height(person, rig, 0, 0) == pytest.approx(float(bounds[3] - bounds[1]), rel=0.08)


def test_of_a_half_length_film_the_visible_part_counts(walk):
    rig = rig_of(1, target=(0.3, 1.4, 0.4), radius=2.0, elevation_deg=0.0)
    whole, visible = (align_views(walk, rig, extent=extent, margin=1.0, smoothing=1, size=(64, 64)) for extent in ("body", "visible"))
    bounds, (middle, _) = body_bounds(walk, rig), pelvis_pixels(walk, rig)
    assert (bounds[..., 3] > SIZE[0] + 10).all()
    clipped = torch.maximum(middle - bounds[..., :2].clamp(min=0), torch.minimum(bounds[..., 2:], torch.tensor(SIZE[::-1])) - middle)
    assert visible.crop_size[0] == pytest.approx(2 * float(clipped.max()), abs=1)
    assert whole.crop_size[0] > visible.crop_size[0] + 20
    assert align_views(walk, rig, margin=1.0, smoothing=1, size=(64, 64)).crop_size == whole.crop_size
    assert "of the crops lies beyond the pictures" in visible.report()
    with pytest.raises(ValueError, match="nothing of the body is in the pictures"):
        align_views(walk, rig_of(1, target=(0.3, 8.0, 0.4), radius=5.0, elevation_deg=0.0), extent="visible")


def test_the_report_tells_the_padding(walk):
    rig = rig_of(1)
    aligned = align_views(walk, rig, resize=False, margin=2.5)
    shares = (aligned.crop(torch.zeros(1, walk.frames, *SIZE, 3))[..., 0] == 1).float().mean((0, 2, 3))
    assert f"{shares.mean():.0%} of the crops lies beyond the pictures, {shares.max():.0%} of one at most" in aligned.report()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"extent": "legs"}, "auto, body, visible"),
        ({"center": "pelvis"}, "per_frame, first_frame"),
        ({"smoothing": 4}, "odd number"),
        ({"margin": 0.9}, "1 .* or more"),
        ({"size": (0, 8)}, "above 0"),
    ],
)
def test_options_out_of_range_are_refused(walk, options, message):
    with pytest.raises(ValueError, match=message):
        align_views(walk, rig_of(), **options)


def test_pictures_and_cameras_that_do_not_fit_are_refused(walk, generator):
    rig = rig_of()
    aligned = align_views(walk, rig, size=(64, 64))
    images = pictures_of(rig, walk.frames, generator)
    crops = torch.zeros(3, walk.frames, 64, 64, 3)
    for wrong, message in ((images[:2], "3 views x 8 frames"), (images[..., :20, :], "expected 130x150"), (images[..., :1], "1 channels")):
        with pytest.raises(ValueError, match=message):
            aligned.crop(wrong)
        with pytest.raises(ValueError, match=message):
            aligned.paste(crops, wrong)
    with pytest.raises(ValueError, match="these proportions"):
        aligned.paste(crops[:, :, :32], images)
    with pytest.raises(ValueError, match="8 frames"):
        aligned.paste(crops[:, :5], images)
    with pytest.raises(ValueError, match="masks are"):
        aligned.paste(crops, images, masks=torch.ones(3, 2, 64, 64))
    with pytest.raises(ValueError, match="feather is -1"):
        aligned.paste(crops, images, feather=-1)
    with pytest.raises(ValueError, match="the cameras that it was made with"):
        aligned.rig(rig_of(2))
    with pytest.raises(ValueError, match="3 views, 5 frames"):
        aligned.rig(align_views(walk, rig).rig(rig).take_frames(slice(5)))


def test_every_picture_is_reported_and_pictures_are_kept_as_they_are(walk, generator):
    rig, counts = rig_of(2), []
    aligned = align_views(walk, rig, size=(32, 32))
    images = pictures_of(rig, walk.frames, generator).half()
    crops = aligned.crop(images, advance=counts.append)
    aligned.paste(crops, images, advance=counts.append)
    assert sum(counts) == 4 * walk.frames and crops.dtype == torch.half


def test_a_real_dancer_is_followed_without_the_trembling_of_the_estimate(reference):
    motion = with_camera(load_motion(reference("data", "nlf_dance_motions.npz")), (1080, 604))
    rig = own_camera(motion)
    shake = []
    for smoothing in (1, 5):
        aligned = align_views(motion, rig, smoothing=smoothing, whole_pixels=False)
        shake.append(float(aligned.offsets.diff(dim=1).diff(dim=1).norm(dim=-1).mean()))
        pelvis = aligned.rig(rig).project(motion.joints)[0][0, :, 0]
        assert (pelvis - 288).norm(dim=-1).max() < (1e-3 if smoothing == 1 else 8.0)
    assert shake[1] < 0.4 * shake[0]
    assert align_views(motion, rig).crop_size[0] < 0.6 * align_views(motion, rig, extent="body").crop_size[0]


def test_boxes_are_drawn_around_the_person(walk, generator):
    rig = rig_of(size=(300, 260), radius=7.0)
    aligned = align_views(walk, rig, size=(64, 64), margin=1.2)
    grey = torch.full((3, walk.frames, 300, 260, 3), 0.5)
    kept = grey.clone()
    drawn = draw_boxes(aligned, walk, rig, grey)
    assert drawn.shape == grey.shape and torch.equal(grey, kept)
    touched = (drawn != grey).any(-1)
    left, top = (aligned.offsets[1, 3]).round().int().tolist()
    assert touched[1, 3, top + aligned.crop_size[0] // 2, left - 1 : left + 2].any()
    assert touched[1, 3, :, left + 5 : left + 9].sum() <= 24  # the upper and the lower edge
    alone = draw_boxes(aligned, walk, rig)
    assert alone.shape == (3, walk.frames, 300, 260, 3) and alone.max() > 0.9
    wide = rig_of(size=(100, 800), radius=7.0)
    assert draw_boxes(align_views(walk, wide), walk, wide).shape[2:] == (48, 384, 3)

"""The alignment of driving people to a reference: exact on bodies made of rectangles and ellipses, guarded where heights lie."""

import pytest
import torch
from motion4d.core.cues import Similarity
from motion4d.core.cues.clip_values import unit_masks
from motion4d.core.cues.similarity import align_foreground, check_boxes, mask_boxes
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import own_camera, with_camera
from motion4d.core.maps.bone_maps import render_bone_maps


def rectangles(boxes, size) -> torch.Tensor:
    """Masks (T, H, W) of boxes (x0, y0, x1, y1); None is an empty mask."""
    masks = torch.zeros(len(boxes), *size)
    for mask, box in zip(masks, boxes, strict=True):
        if box is not None:
            mask[box[1] : box[3], box[0] : box[2]] = 1
    return masks


def body(size, *, top: float, height: float, middle: float) -> torch.Tensor:
    """A figure (H, W): an ellipse of a head, one of a trunk and two legs."""
    y, x = torch.meshgrid(torch.arange(size[0]) + 0.5, torch.arange(size[1]) + 0.5, indexing="ij")
    parts = [(0, 0.1, 0.06, 0.1), (0, 0.4, 0.13, 0.25), (-0.07, 0.78, 0.05, 0.22), (0.07, 0.78, 0.05, 0.22)]
    inside = [((x - middle) / height - a).div(c).square() + ((y - top) / height - b).div(d).square() <= 1 for a, b, c, d in parts]
    return torch.stack(inside).any(0).float()


def test_boxes_are_the_edges_of_pixels_and_empty_masks_have_none():
    masks = rectangles([(3, 2, 7, 9), None, (0, 0, 1, 1)], (10, 12))
    masks[0, 5, 10] = 0.5  # not above
    assert torch.equal(mask_boxes(masks)[[0, 2]], torch.tensor([[3.0, 2, 7, 9], [0, 0, 1, 1]], dtype=torch.float64))
    assert mask_boxes(masks)[1].isnan().all()


def test_one_body_twice_as_large_elsewhere():
    found = align_foreground(rectangles([(20, 30, 60, 110)], (200, 160))[0], rectangles([(10, 5, 30, 45)] * 3, (60, 50)))
    assert found.scale == 2 and found.shift.tolist() == [0, 20] and found.by == "height" and found.used.all()


def test_the_median_of_ratios_and_the_mean_of_middles():
    boxes = [(10, 10, 20, 30), (14, 10, 24, 50), (30, 4, 40, 44), None]
    found = align_foreground(rectangles([(10, 20, 30, 60)], (80, 80))[0], rectangles(boxes, (64, 64)))
    scale = sorted([40 / 20, 40 / 40, 40 / 40])[1]
    middles = torch.tensor([[15.0, 20], [19, 30], [35, 24]], dtype=torch.float64).mean(0)
    assert found.scale == scale
    torch.testing.assert_close(found.shift, torch.tensor([20.0, 40], dtype=torch.float64) - scale * middles)
    assert "no person in frames 3" in found.report()


@pytest.mark.parametrize("scale", [0.45, 0.8, 1.0, 1.7, 2.6])
@pytest.mark.parametrize("place", [(40.0, 160.0), (61.3, 203.7)])
def test_aligned_bodies_fill_the_box_of_the_reference_to_a_pixel(scale, place):
    reference = body((600, 400), top=place[0], height=400.0, middle=place[1])
    driving = body((1000, 900), top=31.7, height=400.0 / scale, middle=450.4)[None].expand(4, -1, -1)
    found = align_foreground(reference, driving)
    boxes = mask_boxes(found.warp(driving, (600, 400)))
    assert (boxes - mask_boxes(reference[None])).abs().max() <= 1
    assert abs(found.scale / scale - 1) < 0.01


def test_warping_is_bilinear_like_a_naive_twin(generator):
    masks = torch.rand(2, 9, 7, generator=generator)
    moved = Similarity(scale=1.3, shift=torch.tensor([2.2, -1.4], dtype=torch.float64))
    warped = moved.warp(masks, (11, 12))
    for row in range(11):
        for column in range(12):
            x, y = (column + 0.5 - 2.2) / 1.3 - 0.5, (row + 0.5 + 1.4) / 1.3 - 0.5
            expected = torch.zeros(2)
            for i in range(9):
                for j in range(7):
                    expected += max(0, 1 - abs(y - i)) * max(0, 1 - abs(x - j)) * masks[:, i, j]
            assert (warped[:, row, column] - expected).abs().max() < 1e-5


def test_warping_moves_pictures_like_masks_and_boxes_like_points(generator):
    pictures = torch.rand(3, 8, 9, 3, generator=generator)
    moved = Similarity(scale=0.7, shift=torch.tensor([1.0, 2.0], dtype=torch.float64))
    assert torch.equal(moved.warp(pictures, (10, 10))[..., 1], moved.warp(pictures[..., 1], (10, 10)))
    assert torch.equal(moved.warp(pictures[:1], (10, 10)), moved.warp(pictures, (10, 10))[:1])
    assert moved.boxes(torch.tensor([0.0, 10, 20, 30])).tolist() == pytest.approx([1, 9, 15, 23])
    assert torch.equal(Similarity.identity().warp(pictures, (8, 9)), pictures)
    larger = Similarity.identity().warp(pictures, (12, 12))
    assert torch.allclose(larger[:, :8, :9], pictures, atol=1e-5) and larger[:, 8:].abs().max() == 0 == larger[:, :, 9:].abs().max()


def test_frames_that_were_not_kept_count_for_nothing():
    boxes = [(10, 10, 20, 30), (10, 10, 20, 30), (0, 0, 50, 60)]
    reference = rectangles([(10, 20, 30, 60)], (80, 80))[0]
    kept = torch.tensor([True, True, False])
    found = align_foreground(reference, rectangles(boxes, (64, 64)), kept=kept)
    alone = align_foreground(reference, rectangles(boxes[:2], (64, 64)))
    assert found.scale == alone.scale == 2 and torch.equal(found.shift, alone.shift) and not found.used[2]


def test_a_body_from_border_to_border_says_nothing_of_its_height_but_of_its_place():
    boxes = [(10, 10, 20, 30), (30, 0, 40, 64), (30, 0, 40, 64)]
    found = align_foreground(rectangles([(10, 20, 30, 60)], (80, 80))[0], rectangles(boxes, (64, 64)))
    assert (
        found.scale == 2
        and found.used.tolist() == [True, False, False]
        and "1-2 reach from the upper to the lower border" in found.report()
    )
    assert found.shift[0] == 20 - 2 * (15 + 35 + 35) / 3
    only = align_foreground(rectangles([(10, 20, 30, 60)], (80, 80))[0], rectangles(boxes[1:], (64, 64)))
    assert only.by == "width" and only.scale == 2 and "widths" in only.report()


def test_a_reference_that_is_cut_off_is_compared_by_faces():
    """Half a body against a whole one three times smaller: its face tells, the heights would be wrong by half."""
    reference = rectangles([(20, 40, 140, 200)], (200, 160))[0]
    driving = rectangles([(30, 10, 70, 110)] * 2, (120, 100))
    face, faces = torch.tensor([65.0, 45, 95, 75]), torch.tensor([[45.0, 12, 55, 22]]).repeat(2, 1)
    found = align_foreground(reference, driving, reference_face=face, driving_faces=faces)
    assert found.by == "face" and found.scale == 3
    assert found.boxes(faces[0].double()).tolist() == pytest.approx(face.tolist())
    without = align_foreground(reference, driving)
    assert without.by == "width" and without.scale == 3 and "cut off below" in without.report()
    assert without.boxes(mask_boxes(driving))[0, 1] == 40  # the tops of the boxes meet


def test_a_driving_body_that_is_cut_off_is_compared_by_faces():
    reference = rectangles([(20, 10, 60, 130)], (200, 160))[0]
    driving = rectangles([(30, 10, 70, 120)] * 2, (120, 100))
    face, faces = torch.tensor([35.0, 12, 45, 22]), torch.tensor([[40.0, 12, 60, 32], [torch.nan] * 4])
    assert align_foreground(reference, driving, reference_face=face, driving_faces=faces).scale == 0.5
    without = align_foreground(reference, driving)
    assert without.by == "height" and "may be too large" in without.report() and "give reference_face" in without.report()


def test_half_a_body_goes_to_the_head_of_somebody_who_stands_where_only_the_video_has_a_face():
    """The same figure twice, the second time three times as large and from the chest up: the heights would make half a body a whole one."""
    reference = body((600, 400), top=40.0, height=400.0, middle=180.0)
    driving = body((600, 900), top=30.0, height=1200.0, middle=450.0)[None].expand(3, -1, -1)
    faces = torch.tensor([390.0, 90, 510, 210]).repeat(3, 1)  # a tenth of the height, its middle a tenth below the top
    found = align_foreground(reference, driving, driving_faces=faces)
    assert found.by == "face" and abs(found.scale * 3 - 1) < 0.01 and "assumed at a tenth of its height" in found.report()
    moved = found.warp(driving, (600, 400))[0] > 0.5
    assert (moved[:200] == (reference[:200] > 0.5)).float().mean() > 0.995 and not moved[235:].any()
    boxes = [(10, 10, 30, 60)] * 3  # whole bodies are compared by heights
    assert (
        align_foreground(reference, rectangles(boxes, (80, 80)), driving_faces=torch.tensor([15.0, 12, 25, 22]).repeat(3, 1)).by == "height"
    )
    cut = align_foreground(body((400, 400), top=40.0, height=400.0, middle=180.0), driving, driving_faces=faces)
    assert cut.by == "width" and "give reference_face" in cut.report(), "half a reference tells nothing of its height"


def test_the_scale_is_limited():
    reference = rectangles([(20, 10, 60, 130)], (200, 160))[0]
    found = align_foreground(reference, rectangles([(4, 4, 8, 14)], (60, 60)))
    assert found.scale == 5 and "12 was limited to 5" in found.report()
    assert torch.allclose(found.shift, torch.tensor([40.0, 70], dtype=torch.float64) - 5 * torch.tensor([6.0, 9], dtype=torch.float64))


def test_ways_that_are_asked_for():
    reference, driving = rectangles([(20, 10, 60, 130)], (200, 160))[0], rectangles([(10, 10, 30, 40)], (60, 60))
    assert align_foreground(reference, driving, by="width").scale == 2
    assert align_foreground(reference, driving, by="height").scale == 4
    with pytest.raises(ValueError, match=r"faces.*give their boxes"):
        align_foreground(reference, driving, by="face")
    with pytest.raises(ValueError, match="by is 'area', expected one of auto"):
        align_foreground(reference, driving, by="area")


def test_bytes_and_bools_are_masks_too():
    reference, driving = rectangles([(20, 10, 60, 130)], (200, 160))[0], rectangles([(10, 10, 30, 40)], (60, 60))
    whole = align_foreground(reference, driving)
    for form in (lambda mask: (mask * 255).byte(), lambda mask: mask.byte(), lambda mask: mask > 0, lambda mask: mask.half()):
        found = align_foreground(form(reference), form(driving))
        assert found.scale == whole.scale and torch.equal(found.shift, whole.shift)
    assert torch.equal(unit_masks(torch.tensor([[-0.02, 1.03]])), torch.tensor([[0.0, 1.0]]))


def test_masks_that_show_nobody_or_are_none():
    reference, driving = rectangles([(20, 10, 60, 130)], (200, 160))[0], rectangles([(10, 10, 30, 40)], (60, 60))
    with pytest.raises(ValueError, match="reference mask shows nobody"):
        align_foreground(torch.zeros(20, 20), driving)
    with pytest.raises(ValueError, match="show nobody in any frame"):
        align_foreground(reference, torch.zeros(3, 20, 20))
    with pytest.raises(ValueError, match="none of the 1 frames that show a person was kept"):
        align_foreground(reference, driving, kept=torch.tensor([False]))
    with pytest.raises(ValueError, match=r"reach from 0 to 255, .*divide by 255"):
        align_foreground(reference, driving * 255)
    with pytest.raises(ValueError, match="nan"):
        align_foreground(reference, torch.full_like(driving, torch.nan))
    with pytest.raises(ValueError, match="driving_masks has shape"):
        align_foreground(reference, driving[0])
    with pytest.raises(ValueError, match="kept has shape"):
        align_foreground(reference, driving, kept=torch.ones(2, dtype=torch.bool))
    with pytest.raises(ValueError, match="at least one frame and one pixel"):
        align_foreground(reference, driving[:0])


@pytest.mark.parametrize("box", [[5.0, 5, 5, 9], [5, 9, 8, 9], [5, 5, torch.nan, 9], [5, 5, torch.inf, 9]])
def test_boxes_without_extent_are_refused_by_frame(box):
    with pytest.raises(ValueError, match=r"faces of frame 1 is .*above 0"):
        check_boxes(torch.tensor([[torch.nan] * 4, box]), "faces")


def test_a_real_dance_comes_to_the_place_of_a_reference(reference):
    """Bodies of bones of a real motion: over the clip the median height and the mean place are those of the reference."""
    motion = with_camera(load_motion(reference("data", "nlf_dance_motions.npz"), clip=1), (256, 256)).take(slice(0, 299, 23))
    masks = render_bone_maps(motion, own_camera(motion)).mask[0]
    target = rectangles([(60, 40, 130, 290)], (320, 200))[0]
    found = align_foreground(target, masks)
    boxes = mask_boxes(found.warp(masks, (320, 200)))
    driving = found.boxes(mask_boxes(masks))
    heights = (driving[:, 3] - driving[:, 1]).quantile(0.5)
    assert found.by == "height" and abs(float(heights) - 250) < 1e-6
    assert ((driving[:, :2] + driving[:, 2:]) / 2).mean(0).tolist() == pytest.approx([95, 165])
    inside = (driving[:, :2] > 1).all(1) & (driving[:, 2:] < torch.tensor([199, 319])).all(1)
    assert inside.sum() > 3 and (boxes - driving)[inside].abs().max() <= 1


def test_a_similarity_is_finite_and_grows():
    for scale, shift in ((0.0, [0.0, 0.0]), (float("nan"), [0.0, 0.0]), (1.0, [float("inf"), 0.0])):
        with pytest.raises(ValueError, match="expected a finite scale above 0"):
            Similarity(scale=scale, shift=torch.tensor(shift))


def test_a_reference_that_is_not_cut_out_is_told():
    driving = rectangles([(10, 10, 30, 40)], (60, 60))
    assert "the reference mask is all of the picture" in align_foreground(torch.ones(40, 30), driving).report()
    assert "all of the picture" not in align_foreground(rectangles([(10, 10, 30, 40)], (60, 60))[0], driving).report()

"""The face cue: one steady crop, exact where nothing is resized, black where there is no face."""

import math

import pytest
import torch
from motion4d.core.cues.face_cue import crop_path, enlarged_side, face_cue, face_masks, stable_path
from motion4d.core.maps.cropping import crop_picture

NONE = [math.nan] * 4


def boxes(*rows) -> torch.Tensor:
    return torch.tensor([NONE if row is None else row for row in rows], dtype=torch.float64)


@pytest.fixture
def frames(generator):
    return torch.rand(4, 60, 80, 3, generator=generator)


def test_the_enlarged_side_is_a_share_rounded_to_sixteen():
    assert [enlarged_side(size) for size in ((512, 512), (480, 832), (1080, 604), (64, 90), (20, 30), (8, 40))] == [
        464,
        432,
        544,
        64,
        16,
        8,
    ]
    assert enlarged_side((512, 512), 1.0) == 512


def test_the_crop_is_that_of_the_box_enlarged_in_the_middle_and_black_around(frames):
    face, mask = face_cue(frames, boxes(*[[30, 20, 50, 40]] * 4), size=(64, 96), margin=1.5)
    assert face.shape == (4, 64, 96, 3) and mask.shape == (4, 60, 80)
    side = enlarged_side((64, 96))
    top, left = (64 - side) // 2, (96 - side) // 2
    for frame, picture in enumerate(frames):
        expected = crop_picture(picture, (25.0, 15.0), (30, 30), (side, side), torch.zeros(3))
        torch.testing.assert_close(face[frame, top : top + side, left : left + side], expected, atol=1e-6, rtol=0)
    face[:, top : top + side, left : left + side] = 0
    assert face.max() == 0


def test_a_crop_as_large_as_its_place_is_copied(frames):
    side = enlarged_side((60, 80))
    assert side == 48
    face = face_cue(frames, boxes(*[[20, 10, 52, 42]] * 4), margin=1.5)[0]
    assert torch.equal(face[:, 6:54, 16:64], frames[:, 2:50, 12:60])


def test_one_size_for_the_clip_though_boxes_pulse(frames):
    """A checkerboard of known period: its period in the cue says by how much each frame was enlarged."""
    wave = (torch.sin(torch.arange(80) / 2) / 2 + 0.5)[None, None, :, None].expand(5, 60, 80, 3)
    pulsing = boxes([30, 20, 50, 40], [28, 18, 52, 42], [32, 22, 48, 38], [30, 20, 50, 40], [29, 19, 51, 41])
    face = face_cue(wave, pulsing, size=(64, 64))[0]
    torch.testing.assert_close(face, face[:1].expand_as(face))


def test_frames_without_a_face_are_black_and_their_masks_empty(frames):
    face, mask = face_cue(frames, boxes([30, 20, 50, 40], None, None, [30, 20, 50, 40]))
    assert face.flatten(1).amax(1).gt(0).tolist() == mask.flatten(1).amax(1).gt(0).tolist() == [True, False, False, True]
    assert face_cue(frames, boxes(*[None] * 4))[0].max() == 0


def test_the_mask_is_the_ellipse_or_the_box_where_the_face_is():
    found = face_masks(boxes([10, 5, 30, 15], None), (20, 40))
    y, x = torch.meshgrid(torch.arange(20) + 0.5, torch.arange(40) + 0.5, indexing="ij")
    assert torch.equal(found[0], (((x - 20) / 10).square() + ((y - 10) / 5).square() <= 1).float())
    assert found[1].max() == 0 and abs(float(found[0].sum()) / (math.pi * 50) - 1) < 0.02
    square = face_masks(boxes([10, 5, 30, 15], [-5, -5, 3, 2]), (20, 40), shape="box")
    assert square[0].sum() == 200 and square[0, 5:15, 10:30].min() == 1 and square[1].sum() == 6
    assert face_masks(boxes([50, 5, 60, 15]), (20, 40)).max() == 0


def test_in_place_the_crop_stays_as_it_was(frames):
    face = face_cue(frames, boxes([30, 20, 50, 40], [70, 50, 90, 70], None, [30, 20, 50, 40]), enlarge=False, smoothing=1, size=(99, 99))[0]
    expected = torch.zeros_like(frames)
    expected[[0, 3], 15:45, 25:55] = frames[[0, 3], 15:45, 25:55]
    expected[1, 45:, 65:] = frames[1, 45:, 65:]
    assert torch.equal(face, expected)


def test_beyond_the_edges_there_is_black():
    white = torch.ones(1, 40, 40, 3)
    face = face_cue(white, boxes([-10, -10, 10, 10]), margin=1.0)[0]
    side = enlarged_side((40, 40))
    first = (40 - side) // 2
    inner = face[0, first : first + side, first : first + side, 0]
    half = side // 2
    assert inner[: half - 3, : half - 3].max() == 0 and inner[half + 3 :, half + 3 :].min() == 1
    assert face_cue(white, boxes([-60, -60, -50, -50]))[0].max() == 0


def test_bytes_floats_and_transparency_give_one_cue(frames):
    places = boxes([30, 20, 50, 40], [33, 20, 53, 40], None, [36, 22, 56, 42])
    bytes_ = (frames * 255).round().byte()
    face, mask = face_cue(bytes_, places)
    again, same = face_cue(bytes_.float() / 255, places)
    assert torch.equal(face, again) and torch.equal(mask, same) and face.dtype == torch.float32
    clear = torch.cat([frames, torch.full((4, 60, 80, 1), 0.5)], -1)
    torch.testing.assert_close(face_cue(clear, places)[0], face_cue(frames * 0.5, places)[0], atol=1e-6, rtol=0)


def test_a_steady_path_keeps_lines_and_takes_out_jitter_and_outliers(generator):
    line = torch.stack([torch.arange(30.0) * 2, 50 - torch.arange(30.0)], 1).double()
    torch.testing.assert_close(stable_path(line), line)
    gap = line.clone()
    gap[[0, 7, 8, 29]] = torch.nan
    smooth = stable_path(gap)
    assert torch.equal(smooth.isnan(), gap.isnan())
    torch.testing.assert_close(smooth[~smooth.isnan()], line[~gap.isnan()])
    outlier = line.clone()
    outlier[12] += 40
    assert (stable_path(outlier) - line).abs().max() < 2
    noisy = line + torch.randn(30, 2, generator=generator)
    assert (stable_path(noisy).diff(n=2, dim=0)).norm() < 0.35 * noisy.diff(n=2, dim=0).norm()
    assert torch.equal(stable_path(noisy, 1), noisy)
    assert torch.equal(stable_path(noisy[:2]), noisy[:2])


def test_the_crop_holds_a_quick_face_and_does_not_follow_an_error(generator):
    middles = torch.rand(40, 2, generator=generator).double() * 30
    quick = torch.cat([middles - 10, middles + 10], 1)
    path = crop_path(quick, 30.0)
    assert (path - 15 <= quick[:, :2] + 1e-9).all() and (path + 15 >= quick[:, 2:] - 1e-9).all()
    assert path.diff(dim=0).norm() < 0.9 * middles.diff(dim=0).norm()
    still = torch.tensor([[40.0, 40, 60, 60]], dtype=torch.float64).repeat(9, 1)
    wrong = still.clone()
    wrong[4] += 80
    assert torch.equal(crop_path(wrong, 30.0), crop_path(still, 30.0))
    assert torch.equal(crop_path(quick, 30.0, 1), middles)


def test_what_does_not_go_together_is_refused_before_any_work(frames):
    good = boxes(*[[30, 20, 50, 40]] * 4)
    with pytest.raises(ValueError, match=r"boxes has shape \(3, 4\).*T=4"):
        face_cue(frames, good[:3])
    with pytest.raises(ValueError, match=r"face box of frame 2 .*height above 0"):
        face_cue(frames, boxes([30, 20, 50, 40], None, [30, 20, 50, 20], None))
    with pytest.raises(ValueError, match="divide 8-bit values by 255"):
        face_cue(frames * 255, good)
    with pytest.raises(ValueError, match="4, 60, 80"):
        face_cue(frames[..., 0], good)
    for options, said in (({"margin": 0.0}, "margin is 0.0"), ({"share": 1.5}, "share 1.5"), ({"smoothing": 4}, "smoothing is 4"), ({"size": (0, 8)}, "size is"), ({"mask_shape": "star"}, "'star'")):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            face_cue(frames, good, **options)

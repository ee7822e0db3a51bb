"""Likeness of faces whose embeddings can be told by hand."""

import math
from itertools import pairwise

import numpy as np
import pytest
import torch
from motion4d.core.metrics.faces import crop_faces, embed_faces, face_scores, has_face

NONE = [math.nan] * 4


def turned(degrees):
    angle = torch.tensor(degrees, dtype=torch.float64).deg2rad()
    return torch.stack([angle.cos(), angle.sin()], -1)


def cosine(one, other):
    return float(one @ other / math.sqrt(one @ one) / math.sqrt(other @ other))


def mean_colour(faces):
    """An embedding that needs no network."""
    return faces.mean((1, 2))


def test_cosines_by_hand():
    scores = face_scores(turned([0.0, 60.0, 60.0, 90.0]), turned(0.0))
    assert scores.identity.tolist() == pytest.approx([1, 0.5, 0.5, 0], abs=1e-12)
    assert scores.steps.tolist() == pytest.approx([0.5, 1, math.cos(math.radians(30))], abs=1e-12)
    assert scores.fis == pytest.approx(0.5) and scores.fts == pytest.approx((1.5 + math.cos(math.radians(30))) / 3)
    assert scores.missing == 0 and "FIS 0.5000" in scores.text()


def test_frames_without_a_face_are_left_out_with_both_their_steps():
    rows = turned([0.0, 0.0, 60.0, 60.0])
    rows[1] = math.nan
    scores = face_scores(rows, turned(0.0))
    assert scores.fis == pytest.approx((1 + 0.5 + 0.5) / 3) and scores.missing == 0.25
    assert scores.steps.isnan().tolist() == [True, True, False] and scores.fts == pytest.approx(1)
    assert "25.0% of 4 frames have no face" in scores.text()


def test_it_agrees_with_a_loop_and_does_not_care_for_lengths(generator):
    rows, one = torch.randn(9, 16, generator=generator, dtype=torch.float64), torch.randn(16, generator=generator, dtype=torch.float64)
    many, single = rows.numpy(), one.numpy()
    scores = face_scores(rows * torch.arange(1, 10)[:, None], 7 * one)
    assert scores.fis == pytest.approx(np.mean([cosine(row, single) for row in many]), rel=1e-12)
    assert scores.fts == pytest.approx(np.mean([cosine(*pair) for pair in pairwise(many)]), rel=1e-12)


def test_the_first_reference_with_a_face_counts():
    references = torch.stack([torch.full((2,), math.nan, dtype=torch.float64), turned(90.0), turned(0.0)])
    assert face_scores(turned([90.0]), references).fis == pytest.approx(1)
    with pytest.raises(ValueError, match="the reference has no face"):
        face_scores(turned([0.0]), references[:1])
    with pytest.raises(ValueError, match="of 2 and 3 values"):
        face_scores(turned([0.0]), torch.ones(3))


def test_a_video_without_faces_has_no_scores():
    empty = embed_faces(torch.zeros(3, 8, 8, 3), torch.tensor([NONE] * 3), mean_colour)
    scores = face_scores(empty, torch.ones(3))
    assert scores.missing == 1 and math.isnan(scores.fis) and math.isnan(scores.fts) and "FIS unknown, FTS unknown" in scores.text()


def test_crops_are_squares_around_boxes_black_beyond_the_frame():
    frames = torch.zeros(3, 40, 60, 3)
    frames[0, 10:30, 20:40, 0] = 1
    frames[2, :, :, 1] = 1
    boxes = torch.tensor([[20.0, 10, 40, 30], NONE, [-10.0, 0, 10, 20]])
    faces = crop_faces(frames, boxes, side=20)
    assert faces.shape == (2, 20, 20, 3)
    assert torch.allclose(faces[0], torch.tensor([1.0, 0, 0]).expand(20, 20, 3), atol=1e-6)
    assert torch.allclose(faces[1, :, 10:, 1], torch.ones(20, 10), atol=1e-6) and not faces[1, :, :10].any()
    wide = crop_faces(frames[:1], boxes[:1], side=40, enlarge=2.0)[0]
    assert float(wide[..., 0].sum()) == pytest.approx(400, rel=1e-3) and not wide[:8].any()
    flat = crop_faces(frames[:1], torch.tensor([[20.0, 15, 40, 25]]), side=20)[0]  # the longer side is the square's
    assert torch.allclose(flat, faces[0], atol=1e-6)


def test_embeddings_go_to_their_frames():
    frames = torch.zeros(3, 20, 20, 3)
    frames[0, ..., 0], frames[2, ..., 1] = 0.5, 0.25
    found = embed_faces(frames, torch.tensor([[2.0, 2, 12, 12], NONE, [2.0, 2, 12, 12]]), mean_colour)
    assert torch.allclose(found[[0, 2]], torch.tensor([[1.0, 0, 0], [0, 1, 0]]), atol=1e-6) and found[1].isnan().all()
    eight = embed_faces((frames * 255).round().byte(), torch.tensor([[2.0, 2, 12, 12], NONE, [2.0, 2, 12, 12]]), mean_colour)
    assert torch.allclose(eight, found, atol=1e-3, equal_nan=True)


@pytest.mark.parametrize("box", [[5.0, 5, 5, 9], [5.0, 9, 8, 9], [9.0, 5, 5, 9], [20.0, 5, 30, 9], [5.0, -9, 9, 0]])
def test_boxes_without_a_picture_in_them_are_refused(box):
    with pytest.raises(ValueError, match="the face box of frame 1"):
        has_face(torch.tensor([NONE, box]), 2, (20, 20))


def test_other_shapes_are_refused():
    with pytest.raises(ValueError, match=r"shape \(2, 4\), expected \(3, 4\)"):
        crop_faces(torch.zeros(3, 8, 8, 3), torch.zeros(2, 4))
    with pytest.raises(ValueError, match=r"shape \(1, 3, 2\), expected \(1, D\)"):
        embed_faces(torch.zeros(1, 8, 8, 3), torch.tensor([[1.0, 1, 5, 5]]), lambda faces: torch.zeros(1, 3, 2))

"""Distances of keypoints that can be told by hand, and loops as a twin."""

import math

import numpy as np
import pytest
import torch
from motion4d.core.metrics.keypoints import body_distance, face_distance
from motion4d.core.types import Keypoints

SIZE = (480, 640)


def keypoints(pixels, confidence=None, size=SIZE):
    points = torch.as_tensor(pixels, dtype=torch.float32)[None]
    trust = torch.ones(points.shape[:-1]) if confidence is None else torch.as_tensor(confidence, dtype=torch.float32)[None]
    return Keypoints(pixels=points, confidence=trust, image_size=size)


def drawn(generator, frames, joints):
    pixels = 400 * torch.rand(frames, joints, 2, generator=generator)
    return pixels, torch.rand(frames, joints, generator=generator)


def naive(made, driving, joints, unit):
    """One joint after another; `unit` of the driving frame's points and their confidence, or None."""
    found = []
    for (made_at, made_trust), (at, trust) in zip(made, driving, strict=True):
        scale = unit(at, trust)
        for joint in joints:
            if scale and made_trust[joint] > 0.3 and trust[joint] > 0.3:
                found.append(math.dist(made_at[joint], at[joint]) / scale)
    return float(np.mean(found))


def between(groups):
    def unit(at, trust):
        if any(trust[joint] <= 0.3 for group in groups for joint in group):
            return None
        return math.dist(*(np.mean([at[joint] for joint in group], axis=0) for group in groups))

    return unit


def diagonal(joints):
    def unit(at, trust):
        inside = np.array([at[joint] for joint in joints if trust[joint] > 0.3])
        return math.dist(inside.min(0), inside.max(0)) if len(inside) else None

    return unit


@pytest.mark.parametrize(("joints", "neck", "hips"), [(17, (5, 6), (11, 12)), (18, (1,), (8, 11)), (133, (5, 6), (11, 12))])
def test_a_body_moved_by_a_known_part_of_its_torso(joints, neck, hips):
    pixels = torch.full((4, joints, 2), 100.0)
    pixels[:, list(neck), 1] = 60.0
    pixels[:, list(hips), 1] = 160.0
    moved = pixels + torch.tensor([30.0, 40.0])
    found = body_distance(keypoints(moved), keypoints(pixels))
    assert found.mean == pytest.approx(0.5, abs=1e-6) and found.curve.tolist() == pytest.approx([0.5] * 4, abs=1e-6)
    assert found.unmeasured == 0 and found.unit == "torso" and "PLC 0.5000" in found.text()
    assert body_distance(keypoints(moved), keypoints(pixels), normaliser="box").mean == pytest.approx(0.5, abs=1e-6)  # the box is 0 x 100
    assert body_distance(keypoints(pixels), keypoints(pixels)).mean == 0
    other = pixels.clone()
    other[:, -1] += 1e6  # of 133, a fingertip: no part of the body
    assert (body_distance(keypoints(other), keypoints(pixels)).mean == 0) == (joints == 133)


@pytest.mark.parametrize(("joints", "eyes"), [(17, (1, 2)), (18, (14, 15)), (68, (36, 45)), (70, (36, 45)), (133, (59, 68))])
def test_a_face_moved_by_a_known_part_of_the_distance_of_its_eyes(joints, eyes):
    pixels = torch.full((2, joints, 2), 200.0)
    pixels[:, eyes[0], 0], pixels[:, eyes[1], 0] = 180.0, 220.0
    found = face_distance(keypoints(pixels + torch.tensor([0.0, 4.0])), keypoints(pixels))
    assert found.mean == pytest.approx(0.1, abs=1e-6) and found.name == "FLC"


def test_both_agree_with_loops_over_joints_of_all_confidences(generator):
    made, driving = drawn(generator, 12, 133), drawn(generator, 12, 133)
    driving[1][:9, [5, 6, 11, 12, 59, 68]] = 0.9  # so that some frames have their unit
    pairs = [[(at.tolist(), trust.tolist()) for at, trust in zip(*one, strict=True)] for one in (made, driving)]
    ours = keypoints(*made), keypoints(*driving)
    body, face = range(17), range(23, 91)
    assert body_distance(*ours).mean == pytest.approx(naive(*pairs, body, between([(5, 6), (11, 12)])), rel=1e-6)
    assert face_distance(*ours).mean == pytest.approx(naive(*pairs, face, between([(59,), (68,)])), rel=1e-6)
    assert body_distance(*ours, normaliser="box").mean == pytest.approx(naive(*pairs, body, diagonal(body)), rel=1e-6)
    assert face_distance(*ours, normaliser="box").mean == pytest.approx(naive(*pairs, face, diagonal(face)), rel=1e-6)


def test_size_and_place_of_the_picture_do_not_matter(generator):
    made, driving = drawn(generator, 6, 18), drawn(generator, 6, 18)
    whole = body_distance(keypoints(*made), keypoints(*driving))
    large = [keypoints(3 * one[0] + 20, one[1], (1440, 1920)) for one in (made, driving)]
    assert torch.allclose(body_distance(*large).distances, whole.distances, rtol=1e-4, equal_nan=True)


def test_what_is_missing_is_left_out_and_counted():
    pixels = torch.rand(4, 17, 2, generator=torch.Generator().manual_seed(1)) * 300
    trust = torch.ones(4, 17)
    trust[0, 0], trust[1], trust[2, 5] = 0.3, 0, 0  # a nose at the limit, nobody, a shoulder
    places = torch.where(trust[..., None] > 0, pixels, torch.nan)
    found = body_distance(keypoints(pixels + 5), keypoints(places, trust))
    assert found.distances.isfinite().sum(1).tolist() == [16, 0, 0, 17]
    assert (found.unmeasured, found.without_unit) == (2, 1)
    assert "2 of 4 frames left out (1 for want of torso" in found.text()
    boxed = body_distance(keypoints(pixels + 5), keypoints(places, trust), normaliser="box")
    assert boxed.distances.isfinite().sum(1).tolist() == [16, 0, 16, 17]
    made = body_distance(keypoints(places, trust), keypoints(pixels))  # now they are missing in the made video, where every unit is there
    assert made.distances.isfinite().sum(1).tolist() == [16, 0, 16, 17] and made.without_unit == 0
    nobody = body_distance(keypoints(pixels), keypoints(pixels, torch.zeros(4, 17)))
    assert math.isnan(nobody.mean) and "PLC unknown" in nobody.text() and nobody.unmeasured == 4


@pytest.mark.parametrize(
    ("made", "driving", "message"),
    [
        (torch.zeros(2, 17, 2), torch.zeros(3, 17, 2), "2 frames of 17 generated joints, 3 of 17 driving"),
        (torch.zeros(2, 17, 2), torch.zeros(2, 18, 2), "17 generated joints, 2 of 18 driving"),
        (torch.zeros(2, 24, 2), torch.zeros(2, 24, 2), "24 joints, expected one of 17, 18, 133"),
    ],
)
def test_keypoints_that_do_not_go_together_are_refused(made, driving, message):
    with pytest.raises(ValueError, match=message):
        body_distance(keypoints(made), keypoints(driving))


def test_other_pictures_views_and_units_are_refused():
    one = keypoints(torch.zeros(2, 17, 2))
    with pytest.raises(ValueError, match="640x480 and of 320x240"):
        body_distance(one, keypoints(torch.zeros(2, 17, 2), size=(240, 320)))
    with pytest.raises(ValueError, match="expected 'body' or 'box'"):
        body_distance(one, one, normaliser="head")
    two = Keypoints(pixels=torch.zeros(2, 3, 17, 2), confidence=torch.ones(2, 3, 17), image_size=SIZE)
    with pytest.raises(ValueError, match="of 2 views, expected 1"):
        body_distance(two, two)

"""All metrics of a video at once: the numbers of each by itself, told in words, numbers and curves."""

import json
import math

import pytest
import torch
from motion4d.core.metrics.evaluation import Faces, cut_to_shorter, evaluate, steps
from motion4d.core.metrics.features import frechet_of
from motion4d.core.metrics.images import l1, psnr, ssim
from motion4d.core.metrics.keypoints import body_distance, face_distance
from motion4d.core.metrics.networks import CLIPS, FACES, PAIRS, PICTURES, MetricNetwork
from motion4d.core.metrics.protocol import fit_square, fit_square_boxes, fit_square_keypoints, published_l1, published_psnr, published_ssim
from motion4d.core.types import Keypoints


@pytest.fixture
def pair(generator):
    first = torch.rand(6, 20, 24, 3, generator=generator)
    return (first + 0.1 * torch.randn(first.shape, generator=generator)).clamp(0, 1), first


def keypoints(generator, frames=6, joints=18):
    pixels = 20 * torch.rand(1, frames, joints, 2, generator=generator)
    return Keypoints(pixels=pixels, confidence=torch.ones(1, frames, joints), image_size=(20, 24))


def colours(pictures):
    return pictures.flatten(2).mean(2)


def network(measures, module=colours, name="net", **options):
    return MetricNetwork(module=module, name=name, measures=measures, values="0..1", **options)


def test_pictures_alone(pair):
    found = evaluate(*pair)
    assert found.numbers["psnr"] == pytest.approx(float(psnr(*pair).mean())) and found.numbers["l1"] == pytest.approx(
        float(l1(*pair).mean())
    )
    assert found.numbers["ssim"] == pytest.approx(float(ssim(*pair).mean()))
    assert found.numbers["ssim_grey"] == pytest.approx(float(ssim(*pair, grey=True).mean()))
    tables = {"psnr": published_psnr, "ssim": published_ssim, "l1": published_l1}
    assert found.numbers["published"] == pytest.approx({name: float(measure(*pair).mean()) for name, measure in tables.items()})
    assert (found.numbers["frames"], found.numbers["width"], found.numbers["height"]) == (6, 24, 20)
    assert torch.equal(found.curves["SSIM"]["SSIM"], ssim(*pair)) and len(found.curves) == 3
    assert f"PSNR {found.numbers['psnr']:.2f} dB, SSIM" in found.text() and "6 frames of 24x20" in found.text()
    assert json.loads(found.json()) == found.numbers
    assert found.plot().shape == (660, 768, 3)


def test_identical_frames_have_no_ratio_and_are_told(pair):
    generated, reference = pair
    found = evaluate(torch.cat([reference[:2], generated[2:]]), reference)
    assert found.numbers["identical_frames"] == 2 and "2 identical frames left out" in found.text()
    assert found.numbers["psnr"] == pytest.approx(float(psnr(generated[2:], reference[2:]).mean()))
    same = evaluate(reference, reference)
    assert same.numbers["psnr"] is None and json.loads(same.json())["psnr"] is None and "PSNR inf dB" in same.text()
    assert same.plot().isfinite().all()


def test_networks_of_every_kind(pair):
    generated, reference = pair
    box = torch.tensor([[2.0, 2, 12, 12]])
    faces = Faces(boxes=box.repeat(6, 1), identity=reference[:1], identity_boxes=box)
    faces.boxes[3] = math.nan
    networks = [
        network(PAIRS, lambda one, other: (one - other).abs().mean((1, 2, 3)), "a"),
        network(PICTURES, name="b"),
        network(CLIPS, lambda clips: clips.flatten(3).mean(3).flatten(1), "c", clip_frames=2),
        network(FACES, name="d", side=16),
    ]
    advanced = []
    found = evaluate(generated, reference, networks=networks, faces=faces, on_step=lambda: advanced.append(1))
    assert len(advanced) == steps(networks) == 5
    numbers = found.numbers
    assert numbers["lpips"]["a"] == pytest.approx(numbers["l1"], rel=1e-5)
    pictures = [video.mean((1, 2)) for video in (generated, reference)]
    assert numbers["frechet_pictures"]["b"]["distance"] == pytest.approx(frechet_of(*pictures), rel=1e-4)
    windows = [torch.cat([means[:-1, :, None], means[1:, :, None]], 2).flatten(1) for means in pictures]
    assert numbers["frechet_clips"]["c"] == {"distance": pytest.approx(frechet_of(*windows), rel=1e-4), "features": 5, "length": 6}
    assert "fewer than features are long (6)" in found.text()
    crops = [torch.nn.functional.normalize(video[:, 2:12, 2:12].mean((1, 2)), dim=-1) for video in (generated, reference[:1])]
    likeness = (crops[0] @ crops[1][0])[[0, 1, 2, 4, 5]]
    assert numbers["faces"]["d"]["fis"] == pytest.approx(float(likeness.mean()), abs=1e-3)
    assert numbers["faces"]["d"]["share_without_face"] == pytest.approx(1 / 6)
    assert {"LPIPS", "Faces (cosine)"} < set(found.curves) and found.plot().shape == (5 * 220, 768, 3)
    json.loads(found.json())


def test_keypoints_of_body_and_face(pair, generator):
    body, face = [(keypoints(generator, joints=joints), keypoints(generator, joints=joints)) for joints in (18, 68)]
    found = evaluate(*pair, body=body, face=face)
    for key, measure, points in (("plc", body_distance, body), ("flc", face_distance, face)):
        assert found.numbers[key]["mean"] == pytest.approx(measure(*points).mean)
        assert found.numbers[key]["box_diagonal"] == pytest.approx(measure(*points, normaliser="box").mean)
    assert torch.equal(found.curves["PLC (of torso)"]["PLC"], body_distance(*body).curve)
    assert "PLC" in found.text() and "FLC" in found.text() and found.text().startswith("6 frames of 24x20")
    with pytest.raises(ValueError, match="the keypoints have 5 frames, the videos 6"):
        evaluate(*pair, body=(keypoints(generator, 5), keypoints(generator, 5)))


def test_nothing_long_is_done_before_a_refusal(pair):
    def never(*_):
        raise AssertionError("a network was asked")

    box = torch.tensor([[2.0, 2, 12, 12]])
    some, none = Faces(boxes=box.repeat(6, 1), identity=pair[1][:1], identity_boxes=box), torch.full((1, 4), math.nan)
    for networks, faces, message in (
        ([network(PICTURES, never), network(FACES, never, "faces")], None, "faces measures faces: give face boxes"),
        ([network(PICTURES, never), network(CLIPS, never, "clips")], None, "6 frames, a clip needs 16"),
        ([network(PICTURES, never), network(PAIRS, never)], None, "two have the same name"),
        ([network(PICTURES, never)], some, "no network for faces"),
        (
            [network(FACES, never)],
            Faces(boxes=some.boxes[:4], identity=pair[1][:1], identity_boxes=box),
            r"shape \(4, 4\), expected \(6, 4\)",
        ),
        ([network(FACES, never)], Faces(boxes=some.boxes, identity=pair[1][:1], identity_boxes=none), "identity has no face"),
    ):
        with pytest.raises(ValueError, match=message):
            evaluate(*pair, networks=networks, faces=faces)


def test_the_shorter_video_sets_the_length(pair):
    generated, reference = cut_to_shorter(pair[0], pair[1][:4])
    assert len(generated) == len(reference) == 4 and torch.equal(generated, pair[0][:4])


def test_keypoints_and_boxes_move_with_the_pictures_into_the_square():
    """A bright square is drawn in a wide picture: its corner and box are where the square's pixels are afterwards."""
    wide = torch.zeros(1, 90, 160, 3)
    wide[:, 30:60, 70:100] = 1
    square = fit_square(wide, 45)[0, ..., 0]
    corner = Keypoints(pixels=torch.tensor([[[[70.0, 30.0], [100.0, 60.0]]]]), confidence=torch.ones(1, 1, 2), image_size=(90, 160))
    moved = fit_square_keypoints(corner, 45)
    assert moved.pixels[0, 0].tolist() == [[17.5, 15], [32.5, 30]] and moved.image_size == (45, 45)
    assert float(square.sum()) == pytest.approx(15 * 15, rel=1e-3)
    boxes = torch.tensor([[70.0, 30, 100, 60], [0.0, 0, 35, 90], [math.nan] * 4, [20.0, 0, 60, 50]])
    found = fit_square_boxes(boxes, (90, 160), 45)
    assert found[0].tolist() == [17.5, 15, 32.5, 30] and found[1:3].isnan().all() and found[3].tolist() == [-7.5, 0, 12.5, 25]
    columns = (torch.arange(45) + 0.5) * square.sum(0)
    assert float(columns.sum() / square.sum()) == pytest.approx(float(found[0, [0, 2]].mean()), abs=1e-3)

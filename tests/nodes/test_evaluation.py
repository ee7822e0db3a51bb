"""Evaluate Video and Load Metric Network in the headless host, on films, pictures and networks whose answers can be told."""

import json
import math
from dataclasses import replace
from fractions import Fraction

import pytest
import torch
from comfy_api.latest import InputImpl, Types
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.video import write_video
from motion4d.core.formats.wires import from_pose_keypoints, to_pose_keypoints
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.metrics.images import psnr
from motion4d.core.metrics.keypoints import body_distance, face_distance
from motion4d.core.metrics.networks import CLIPS, FACES, PAIRS, PICTURES
from motion4d.core.metrics.protocol import fit_square
from motion4d.nodes.loaders.metric_networks import LoadMetricNetwork
from motion4d.nodes.motion.evaluation import AS_THEY_ARE, TIKTOK, EvaluateVideo
from torch import Tensor, nn

GIVEN = {"protocol": AS_THEY_ARE, "cut_to_shorter": False, "person": 0}
LOAD = {"values": "0..1", "side": 0, "clip_frames": 2, "clip_stride": 1}


class Means(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.float().flatten(2).mean(2)


class Apart(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean((1, 2, 3))


@pytest.fixture
def pair(generator):
    first = torch.rand(5, 24, 36, 3, generator=generator)
    return (first + 0.1 * torch.randn(first.shape, generator=generator)).clamp(0, 1), first


def load(file, measures, **more):
    return LoadMetricNetwork.execute(file=file, measures=measures, **LOAD | more).result[0]


def evaluated(generated, reference, **more):
    return EvaluateVideo.execute(generated, reference, **GIVEN | more).result


def test_pictures_as_they_are(host, pair):
    report, plot, numbers, ratio, likeness, difference = evaluated(*pair)
    found = json.loads(numbers)
    assert ratio == pytest.approx(float(psnr(*pair).mean())) == found["psnr"]
    assert (likeness, difference) == (found["ssim"], found["l1"]) and plot.shape == (1, 660, 768, 3)
    assert f"PSNR {ratio:.2f} dB" in report and report.endswith("measured as they are")
    assert evaluated(pair[1], pair[1])[3] == math.inf


def test_a_film_is_measured_as_its_frames(host, pair, tmp_path):
    even = [torch.nn.functional.interpolate(video.permute(0, 3, 1, 2), (48, 72)).permute(0, 2, 3, 1) for video in pair]
    write_video(even[0], tmp_path / "made.mp4", 25.0)
    film = InputImpl.VideoFromFile(str(tmp_path / "made.mp4"))
    frames = film.get_components().images
    assert evaluated(film, even[1])[3] == pytest.approx(float(psnr(frames, even[1]).mean()), abs=0.05)
    report, *_, ratio, _, _ = evaluated(film, film)
    assert ratio == math.inf and "Take Video Frames" not in report and "Take Video Frames" in evaluated(film, even[1])[0]
    slower = InputImpl.VideoFromComponents(Types.VideoComponents(images=even[1], audio=None, frame_rate=Fraction(16)))
    with pytest.raises(ValueError, match=r"generated has 25 frames per second, reference 16: .* Take Video Frames"):
        evaluated(film, slower)


def test_videos_of_another_size_and_length_meet_in_the_square(host, pair):
    generated, reference = pair
    with pytest.raises(ValueError, match="generated is 36x24, reference is 24x24"):
        evaluated(generated, reference[:, :, 6:30])
    with pytest.raises(ValueError, match="generated has 5 frames, reference has 3"):
        evaluated(generated, reference[:3])
    report, *_, numbers, ratio, _, _ = evaluated(generated, reference[:3, :, 6:30], protocol=TIKTOK, cut_to_shorter=True)
    assert ratio == pytest.approx(float(psnr(fit_square(generated[:3]), fit_square(reference[:3, :, 6:30])).mean()), rel=1e-4)
    found = json.loads(numbers)
    assert (found["frames"], found["width"], found["height"]) == (3, 512, 512) and "TikTok" in report


def test_networks_are_loaded_and_measure(host, pair):
    folder = host.models[0] / "metrics"
    folder.mkdir()
    torch.jit.script(Means()).save(str(folder / "means.pt"))
    torch.jit.script(Apart()).save(str(folder / "apart.torchscript"))
    schema = LoadMetricNetwork.GET_SCHEMA()
    assert schema.inputs[0].options == ["apart.torchscript", "means.pt"]
    pairs, usual = load("apart.torchscript", PAIRS), load("apart.torchscript", PAIRS, values="usual", side=-1)
    assert (usual.values, usual.side, usual.name) == ("-1..1", 0, "apart.torchscript")
    boxes = [[{"x": 4, "y": 4, "width": 12, "height": 12}]] * 5
    boxes[2] = []
    found = json.loads(
        evaluated(
            *pair, network_1=pairs, network_2=load("means.pt", PICTURES, values="usual"), network_4=load("means.pt", FACES, side=16),
            network_5=usual, face_boxes=boxes, identity=pair[1][:1], identity_boxes=boxes[0][0],
        )[2]
    )  # fmt: skip
    assert found["lpips"]["apart.torchscript (0..1)"] == pytest.approx(found["l1"], rel=1e-4)
    assert found["lpips"]["apart.torchscript"] == pytest.approx(2 * found["l1"], rel=1e-4)
    assert found["frechet_pictures"]["means.pt"]["features"] == 5
    assert found["faces"]["means.pt (0..1)"]["share_without_face"] == pytest.approx(0.2)
    with pytest.raises(ValueError, match=r"apart.torchscript \(0..1\) failed on \(4, 3, 2, 24, 36\)"):
        evaluated(*pair, network_1=load("apart.torchscript", CLIPS))
    with pytest.raises(FileNotFoundError, match=r"gone\.pt is not in .*models/metrics; the help page"):
        load("gone.pt", PAIRS)


def test_boxes_move_into_the_square(host, pair):
    folder = host.models[0] / "metrics"
    folder.mkdir()
    torch.jit.script(Means()).save(str(folder / "means.pt"))
    network = load("means.pt", FACES, side=16)
    colours = torch.zeros(2, 24, 36, 3)
    colours[:, 8:16, 20:28, 0], colours[:, :, :4, 1] = 1, 1
    face, beyond = {"x": 20, "y": 8, "width": 8, "height": 8}, {"x": 0, "y": 0, "width": 4, "height": 8}
    rest = {"network_1": network, "identity": colours[:1], "identity_boxes": [face], "protocol": TIKTOK}
    found = json.loads(evaluated(colours, colours, face_boxes=[[face], [beyond]], **rest)[2])["faces"]["means.pt (0..1)"]
    assert found["fis"] == pytest.approx(1, abs=1e-3) and found["share_without_face"] == 0.5
    with pytest.raises(ValueError, match="identity_boxes is not connected"):
        evaluated(colours, colours, face_boxes=[[face], []], identity=colours[:1])


def poses(motion, shift=0.0):
    frames = to_pose_keypoints([motion], rig=orbit_rig([0.0], radius=4.0, image_size=(240, 360), target=(0.0, 0.9, 0.0)))
    for frame in frames:
        (one,) = frame["people"]
        face = [value for index in range(68) for value in (150.0 + index + shift, 60.0 + index % 7, 1.0)]
        flat = one["pose_keypoints_2d"]
        one["pose_keypoints_2d"] = [value + shift if index % 3 == 0 else value for index, value in enumerate(flat)]
        one["face_keypoints_2d"] = face
    return frames


def test_keypoints_of_bodies_and_faces(host, pair):
    motion = demo_motion("walk", seconds=0.25, fps=20.0)
    driving, made = poses(motion), poses(motion, 6.0)
    found = json.loads(evaluated(*pair, generated_keypoints=made, driving_keypoints=driving)[2])
    bodies = [from_pose_keypoints(one) for one in (made, driving)]
    assert found["plc"]["mean"] == pytest.approx(body_distance(*bodies).mean, rel=1e-6)
    assert found["flc"]["mean"] == pytest.approx(6 / math.dist((36, 36 % 7), (45, 45 % 7)), rel=1e-5)
    squared = json.loads(evaluated(*pair, generated_keypoints=made, driving_keypoints=driving, protocol=TIKTOK)[2])
    assert squared["plc"]["mean"] == pytest.approx(found["plc"]["mean"], rel=1e-4)
    plain = json.loads(evaluated(*pair, generated_keypoints=bodies[0], driving_keypoints=bodies[1])[2])
    assert plain["plc"] == found["plc"] and plain["flc"]["mean"] == pytest.approx(face_distance(*bodies).mean, rel=1e-6)
    mixed = json.loads(evaluated(*pair, generated_keypoints=made, driving_keypoints=bodies[1])[2])
    assert mixed["plc"] == found["plc"]
    shorter = json.loads(evaluated(pair[0], pair[1][:3], generated_keypoints=made, driving_keypoints=driving[:3], cut_to_shorter=True)[2])
    assert shorter["plc"]["mean"] > 0 and shorter["frames"] == 3
    with pytest.raises(ValueError, match="68 joints and of 18 joints"):
        face = replace(bodies[0], pixels=torch.zeros(1, 5, 68, 2), confidence=torch.ones(1, 5, 68))
        evaluated(*pair, generated_keypoints=face, driving_keypoints=bodies[1])
    longer = {"generated_keypoints": made, "driving_keypoints": driving}
    with pytest.raises(ValueError, match="keypoints of 5 frames, the videos have 3"):
        evaluated(pair[0][:3], pair[1][:3], **longer)
    with pytest.raises(ValueError, match="keypoints of one video only"):
        evaluated(*pair, generated_keypoints=made)


@pytest.mark.parametrize(
    ("generated", "message"),
    [(torch.zeros(5, 24, 36, 4), "generated has shape .* transparency"), (torch.full((5, 24, 36, 3), 9.0), "generated has values from 9")],
)
@pytest.mark.parametrize("protocol", [AS_THEY_ARE, TIKTOK])
def test_what_cannot_be_measured_is_refused(host, pair, generated, message, protocol):
    with pytest.raises(ValueError, match=message):
        evaluated(generated, pair[1], protocol=protocol)

"""Files of TorchScript whose answers can be told by hand."""

import pytest
import torch
from motion4d.core.metrics.networks import CLIPS, FACES, PAIRS, PICTURES, USUAL, VALUES, MetricNetwork, load_metric_network
from torch import Tensor, nn


class MeanColour(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.float().flatten(2).mean(2)


class Released(nn.Module):
    """Takes what released files take beside the pictures, and answers otherwise where it is not given."""

    def forward(self, pictures: Tensor, rescale: bool = True, resize: bool = True, return_features: bool = False) -> Tensor:
        assert return_features and not rescale and not resize
        return pictures.float().flatten(2).mean(2)


class Apart(nn.Module):
    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        return (one - other).abs().mean((1, 2, 3), keepdim=True)


@pytest.fixture
def scripted(tmp_path):
    def save(module, name="network.pt"):
        torch.jit.script(module).save(str(tmp_path / name))
        return tmp_path / name

    return save


def grey(*values, side=8):
    return torch.tensor(values)[:, None, None, None].expand(-1, side, side, 3).clone()


def features(network, frames):
    return torch.cat(list(network.features(frames)))


def test_pictures_come_in_the_values_and_size_that_were_asked_for(scripted):
    path, frames = scripted(MeanColour()), grey(0.0, 0.5, 1.0)
    expected = {
        "-1..1": [[-1] * 3, [0] * 3, [1] * 3],
        "0..1": [[0] * 3, [0.5] * 3, [1] * 3],
        "0..255 (8 bit)": [[0] * 3, [128] * 3, [255] * 3],
        "ImageNet mean and deviation": [[(v - m) / d for m, d in ((0.485, 0.229), (0.456, 0.224), (0.406, 0.225))] for v in (0, 0.5, 1)],
    }
    assert set(expected) == set(VALUES)
    for values, answer in expected.items():
        network = load_metric_network(path, measures=PICTURES, values=values)
        assert torch.allclose(features(network, frames), torch.tensor(answer).float(), atol=1e-5)
        assert torch.allclose(features(network, (frames * 255).round().byte()), torch.tensor(answer).float(), atol=0.02)
    seen = []
    network = MetricNetwork(module=lambda x: seen.append(x.shape) or x.flatten(1), name="n", measures=PICTURES, side=5)
    assert features(network, frames).shape == (3, 75) and seen == [(3, 3, 5, 5)]


def test_released_files_are_asked_for_features_and_left_alone_otherwise(scripted):
    frames = grey(0.25, 0.75)
    network = load_metric_network(scripted(Released()), measures=PICTURES, values="0..1")
    assert torch.allclose(features(network, frames), torch.tensor([[0.25] * 3, [0.75] * 3]), atol=1e-6)


def test_clips_hold_their_frames_in_order(scripted, monkeypatch):
    from motion4d.core.metrics import networks

    class Times(nn.Module):
        def forward(self, clips: Tensor) -> Tensor:
            return clips[:, 0, :, 0, 0]

    network = load_metric_network(scripted(Times()), measures=CLIPS, values="0..1", side=0, clip_frames=4, clip_stride=2)
    frames = grey(*(index / 10 for index in range(9)))
    expected = [[0.0, 0.1, 0.2, 0.3], [0.2, 0.3, 0.4, 0.5], [0.4, 0.5, 0.6, 0.7]]
    for at_once in (1 << 22, 1, 2 * 4 * 64):
        monkeypatch.setattr(networks, "_BATCH_PIXELS", at_once)
        assert torch.allclose(features(network, frames), torch.tensor(expected), atol=1e-6)
    with pytest.raises(ValueError, match="3 frames, a clip needs 4"):
        features(network, frames[:3])


def test_pairs_keep_their_partners(scripted, monkeypatch):
    from motion4d.core.metrics import networks

    network = load_metric_network(scripted(Apart()), measures=PAIRS)
    one, other = grey(0.0, 0.2, 0.4, 0.9), grey(0.1, 0.2, 0.1, 0.5)
    for at_once in (1 << 22, 1, 6 * 64):
        monkeypatch.setattr(networks, "_BATCH_PIXELS", at_once)
        assert network.distances(one, other).tolist() == pytest.approx([0.2, 0, 0.6, 0.8], abs=1e-6)
    with pytest.raises(ValueError, match="has no features"):
        features(network, one)
    with pytest.raises(ValueError, match="expected a network for pairs"):
        load_metric_network(scripted(MeanColour()), measures=FACES).distances(one, other)


def test_what_is_usual_is_taken_and_other_values_are_named(scripted):
    path = scripted(Apart())
    for measures, (values, side) in USUAL.items():
        network = load_metric_network(path, measures=measures)
        assert (network.values, network.side, network.name) == (values, side, "network.pt")
    assert load_metric_network(path, measures=PAIRS, values="0..1").name == "network.pt (0..1)"


class WithoutPooling(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures


class Two(nn.Module):
    def forward(self, pictures: Tensor) -> tuple[Tensor, Tensor]:
        return pictures, pictures


class Nothing(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return pictures.flatten(1) / 0


class TooLarge(nn.Module):
    def forward(self, pictures: Tensor) -> Tensor:
        return torch.nn.functional.conv2d(pictures, torch.ones(1, 3, 99, 99))


@pytest.mark.parametrize(
    ("module", "message"),
    [
        (WithoutPooling(), r"returned \(2, 3, 8, 8\) for \(2, 3, 8, 8\), expected \(N, D\)"),
        (Two(), "returned tuple, expected one tensor"),
        (Nothing(), "values that are no numbers"),
        (TooLarge(), r"network.pt.* failed on \(2, 3, 8, 8\).*Kernel size.*Check measures, values and side"),
        (Apart(), "network.pt.* failed on.*other"),
    ],
)
def test_networks_of_another_kind_are_refused(scripted, module, message):
    network = load_metric_network(scripted(module), measures=PICTURES, values="0..1")
    with pytest.raises(ValueError, match=message):
        features(network, grey(0.1, 0.2))


def test_files_without_their_architecture_are_refused(tmp_path, scripted):
    for name in ("a.safetensors", "a.pth", "a.onnx"):
        (tmp_path / name).write_bytes(b"1234")
        with pytest.raises(ValueError, match=rf"{name} does not say how its network is built"):
            load_metric_network(tmp_path / name, measures=PICTURES)
    torch.save({"weight": torch.zeros(2)}, tmp_path / "b.pt")
    (tmp_path / "c.pt").write_bytes(b"no archive")
    for name in ("b.pt", "c.pt"):
        with pytest.raises(ValueError, match=f"{name}: it cannot be read as TorchScript"):
            load_metric_network(tmp_path / name, measures=PICTURES)
    with pytest.raises(FileNotFoundError, match=r"nothing.pt"):
        load_metric_network(tmp_path / "nothing.pt", measures=PICTURES)
    path = scripted(MeanColour())
    for options, message in (
        ({"measures": "FID"}, "measures is 'FID', expected one of"),
        ({"measures": PICTURES, "values": "0..2"}, "values is '0..2', expected one of"),
        ({"measures": PICTURES, "side": -1}, "side is -1"),
        ({"measures": CLIPS, "clip_stride": 0}, "every 0 frames"),
    ):
        with pytest.raises(ValueError, match=message):
            load_metric_network(path, **options)


def test_bytes_for_a_network_of_floats_are_told(scripted):
    network = load_metric_network(scripted(nn.Sequential(nn.Conv2d(3, 2, 3))), measures=PICTURES)
    with pytest.raises(ValueError, match=r"torch.uint8.*8 bit gives bytes; networks that begin with floats want other values"):
        features(network, grey(0.1, 0.2))

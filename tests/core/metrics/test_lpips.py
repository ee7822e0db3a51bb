"""LPIPS against a plain walk through the layers, as the papers of its networks list them."""

import pytest
import torch
from motion4d.core.metrics.lpips import load_lpips
from safetensors.torch import save_file
from torch.nn import functional

# Convolutions with their number, channels, kernel, stride and border; "pool"; "out" where features are compared.
ALEXNET = [(0, 64, 11, 4, 2), "out", "pool", (3, 192, 5, 1, 2), "out", "pool", (6, 384, 3, 1, 1), "out", (8, 256, 3, 1, 1), "out", (10, 256, 3, 1, 1), "out"]  # fmt: skip
VGG16 = []
for _block in [((0, 2), 64), ((5, 7), 128), ((10, 12, 14), 256), ((17, 19, 21), 512), ((24, 26, 28), 512)]:
    VGG16 += [*(["pool"] if VGG16 else []), *((number, _block[1], 3, 1, 1) for number in _block[0]), "out"]
NETS = {"alex": (ALEXNET, 3), "vgg": (VGG16, 2)}


def weights(layers, generator):
    state = {"scaling_layer.shift": torch.tensor([-0.03, -0.088, -0.188]).view(1, 3, 1, 1)}
    state["scaling_layer.scale"] = torch.tensor([0.458, 0.448, 0.45]).view(1, 3, 1, 1)
    channels, stage = 3, 0
    for layer in layers:
        if layer == "out":
            state[f"lin{stage}.model.1.weight"] = torch.rand(1, channels, 1, 1, generator=generator)
            stage += 1
        elif layer != "pool":
            number, width, kernel, *_ = layer
            shape = (width, channels, kernel, kernel)
            state[f"net.slice{stage + 1}.{number}.weight"] = torch.randn(shape, generator=generator) / (channels * kernel**2) ** 0.5
            state[f"net.slice{stage + 1}.{number}.bias"] = 0.1 * torch.randn(width, generator=generator)
            channels = width
    return state


def walked(layers, pool, state, one, other):
    shift, scale = ([-0.03, -0.088, -0.188], [0.458, 0.448, 0.45])
    maps = [torch.stack([(x[:, c] - shift[c]) / scale[c] for c in range(3)], 1) for x in (one, other)]
    total, stage = torch.zeros(len(one)), 0
    for layer in layers:
        if layer == "pool":
            maps = [functional.max_pool2d(x, pool, 2) for x in maps]
        elif layer == "out":
            first, second = (functional.normalize(x, dim=1) for x in maps)
            weight = state[f"lin{stage}.model.1.weight"].flatten()
            total += torch.einsum("nchw,c->nhw", (first - second) ** 2, weight).flatten(1).mean(1)
            stage += 1
        else:
            number, _, _, stride, border = layer
            name = f"net.slice{stage + 1}.{number}"
            maps = [functional.relu(functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], stride, border)) for x in maps]
    return total


@pytest.mark.parametrize("net", NETS)
def test_it_is_the_sum_over_layers(net, generator, tmp_path):
    layers, pool = NETS[net]
    state = weights(layers, generator)
    twice = {f"lins.{number}.model.1.weight": state[f"lin{number}.model.1.weight"].clone() for number in range(5)}
    save_file(state | twice, tmp_path / "lpips.safetensors")
    network = load_lpips(tmp_path / "lpips.safetensors")
    one, other = torch.rand(2, 2, 3, 70, 65, generator=generator) * 2 - 1
    with torch.inference_mode():
        found = network(one, other)
    assert torch.allclose(found, walked(layers, pool, state, one, other), rtol=1e-4)
    assert found.min() > 0.01 and network(one, one).tolist() == [0, 0]


def test_other_weights_are_refused_by_name(generator, tmp_path):
    state = weights(ALEXNET, generator)
    path = tmp_path / "some.safetensors"
    for wrong, message in (
        ({name: value for name, value in state.items() if "lin3" not in name}, "1 missing: lin3.model.1.weight"),
        (state | {"net.slice5.10.weight": torch.zeros(3)}, "1 of another shape: net.slice5.10.weight"),
        ({"conv.weight": torch.zeros(3)}, r"unexpected: conv.weight.*save the state dict of lpips"),
    ):
        save_file(wrong, path)
        with pytest.raises(ValueError, match=rf"some.safetensors: LPIPS.*{message}"):
            load_lpips(path)
    with pytest.raises(FileNotFoundError, match=r"nothing\.safetensors"):
        load_lpips(tmp_path / "nothing.safetensors")

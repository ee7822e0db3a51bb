"""LPIPS with its two usual networks, from safetensors (Zhang et al., CVPR 2018): weights under the names that the authors' package gives them, version 0.1."""

from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..checkpoints import read_checkpoint
from ..networks.state_dicts import check_state

_SHIFT, _SCALE = (-0.030, -0.088, -0.188), (0.458, 0.448, 0.450)
_REMEDY = "save the state dict of lpips.LPIPS(net='vgg') or (net='alex'), version 0.1, as safetensors"


@dataclass(frozen=True)
class _Trunk:
    """stages: (number, channels) of the convolutions in each stage, numbered as in torchvision. kernels: of the first ones, 3 afterwards. A maximum over `pool`
    pixels, 2 apart, lies before the stages in `pooled`."""

    stages: tuple[tuple[tuple[int, int], ...], ...]
    kernels: tuple[int, ...]
    stride: int
    pool: int
    pooled: range


_ALEXNET = _Trunk((((0, 64),), ((3, 192),), ((6, 384),), ((8, 256),), ((10, 256),)), (11, 5), 4, 3, range(1, 3))
_VGG16 = _Trunk(
    (((0, 64), (2, 64)), ((5, 128), (7, 128)), ((10, 256), (12, 256), (14, 256)), ((17, 512), (19, 512), (21, 512)), ((24, 512), (26, 512), (28, 512))),
    (), 1, 2, range(1, 5),
)  # fmt: skip


class Lpips(nn.Module):
    """Two of (N, 3, h, w) in -1..1 -> (N) distance."""

    def __init__(self, trunk: _Trunk):
        super().__init__()
        self._trunk = trunk
        self.scaling_layer = nn.Module()
        self.scaling_layer.register_buffer("shift", torch.tensor(_SHIFT)[None, :, None, None])
        self.scaling_layer.register_buffer("scale", torch.tensor(_SCALE)[None, :, None, None])
        self.net = nn.Module()
        channels, kernels, stride = 3, list(trunk.kernels), trunk.stride
        for number, stage in enumerate(trunk.stages):
            layers = nn.ModuleDict()
            for name, width in stage:
                kernel = kernels.pop(0) if kernels else 3
                # AlexNet's first convolution, the only one with a stride, has a border of 2.
                layers[str(name)] = nn.Conv2d(channels, width, kernel, stride, kernel // 2 if stride == 1 else 2)
                channels, stride = width, 1
            self.net.add_module(f"slice{number + 1}", layers)
            weighted = nn.Module()
            weighted.model = nn.Sequential(nn.Identity(), nn.Conv2d(channels, 1, 1, bias=False))
            self.add_module(f"lin{number}", weighted)

    def forward(self, one: Tensor, other: Tensor) -> Tensor:
        total = one.new_zeros(len(one))
        for number in range(len(self._trunk.stages)):
            one, other = (self._stage(self._scaled(pictures) if number == 0 else pictures, number) for pictures in (one, other))
            apart = (_directions(one) - _directions(other)).square()
            total = total + self.get_submodule(f"lin{number}.model")(apart).mean((1, 2, 3))
        return total

    def _scaled(self, pictures: Tensor) -> Tensor:
        return (pictures - self.scaling_layer.shift) / self.scaling_layer.scale

    def _stage(self, maps: Tensor, number: int) -> Tensor:
        if number in self._trunk.pooled:
            maps = functional.max_pool2d(maps, self._trunk.pool, 2)
        for layer in self.net.get_submodule(f"slice{number + 1}").values():
            maps = functional.relu(layer(maps))
        return maps


def load_lpips(path: str | Path) -> Lpips:
    """LPIPS over VGG16 or AlexNet, told apart by their layers.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: names the file: malformed, or tensors of anything else.
    """
    state = {
        name: tensor.float() for name, tensor in read_checkpoint(path).items() if not name.startswith("lins.")
    }  # the same tensors once more
    network = Lpips(_VGG16 if "net.slice1.2.weight" in state else _ALEXNET)
    check_state(network.state_dict(), state, f"{Path(path).name}: LPIPS", _REMEDY)
    network.load_state_dict(state)
    return network.requires_grad_(False).eval()


def _directions(maps: Tensor) -> Tensor:
    """(N, C, h, w) of length 1 over C."""
    return maps / (maps.square().sum(1, keepdim=True).sqrt() + 1e-10)

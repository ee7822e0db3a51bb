"""Latents as a VAE gives them, and as a model takes them."""

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class LatentScale:
    """x of the VAE -> (x - mean) factor / std of the model. mean, std: one number for each channel; none: 0 and 1 for all."""

    factor: float = 1.0
    mean: tuple[float, ...] = ()
    std: tuple[float, ...] = ()

    def to_model(self, x: Tensor) -> Tensor:
        """Latents (..., C, F, h, w)."""
        if not self.mean:
            return x * self.factor
        mean, std = self._of_channels(x)
        return (x - mean) * self.factor / std

    def from_model(self, x: Tensor) -> Tensor:
        """Undo `to_model`."""
        if not self.mean:
            return x / self.factor
        mean, std = self._of_channels(x)
        return x * std / self.factor + mean

    def _of_channels(self, x: Tensor) -> tuple[Tensor, Tensor]:
        if x.ndim < 4 or x.shape[-4] != len(self.mean):
            raise ValueError(f"latents have shape {tuple(x.shape)}, expected (..., {len(self.mean)}, F, h, w): use the VAE of the model")
        mean, std = (torch.tensor(values, dtype=x.dtype, device=x.device).view(-1, 1, 1, 1) for values in (self.mean, self.std))
        return mean, std


# fmt: off
WAN_MEAN = (
    -0.7571, -0.7089, -0.9113, 0.1075, -0.1745, 0.9653, -0.1517, 1.5508, 0.4134, -0.0715, 0.5517, -0.3632, -0.1922, -0.9497, 0.2503, -0.2921,
)
WAN_STD = (
    2.8184, 1.4541, 2.3275, 2.6558, 1.2196, 1.7708, 2.6052, 2.0743, 3.2687, 2.1526, 2.8652, 1.5579, 1.6382, 1.1253, 2.8251, 1.9160,
)
# fmt: on

# By kind of model. At 7B the reference is not scaled, only what is sampled.
LATENT_SCALES = {"mvdit_7b": LatentScale(0.7), "mvdit_17b": LatentScale(1.0, WAN_MEAN, WAN_STD)}

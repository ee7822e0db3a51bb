"""What the video autoencoders of all models have in common."""

from typing import Protocol

from torch import Tensor

from ..shapes import check_shapes

SIDE = 8  # pixels of a latent's side
_CHANNELS = 3


class VideoVAE(Protocol):
    """Frames to latents and back, unscaled: what scale a model wants is the sampler's business.

    Results are float32, on the device of the weights. channels: of the latents.
    """

    channels: int

    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """(B, 3, T, H, W) in -1..1, T = 4 k + 1, sides multiples of 8 -> mean and log variance, each (B, C, k + 1, H / 8, W / 8)."""
        ...

    def decode(self, latents: Tensor) -> Tensor:
        """(B, C, F, h, w) -> (B, 3, 4 F - 3, 8 h, 8 w) in -1..1."""
        ...


def check_frames(owner: str, frames: Tensor) -> None:
    """Refuse frames that no whole number of latents stands for."""
    sizes = check_shapes(owner, frames=(frames, f"B {_CHANNELS} T H W"))
    if sizes["T"] % 4 != 1:
        below = max(1, sizes["T"] - (sizes["T"] - 1) % 4)
        raise ValueError(f"{owner}: {sizes['T']} frames, expected 4 k + 1: give {below} or {below + 4}")
    if sizes["H"] % SIDE or sizes["W"] % SIDE or not sizes["H"] * sizes["W"]:
        raise ValueError(f"{owner}: frames are {sizes['H']} x {sizes['W']}, expected multiples of {SIDE}: resize or crop them")


def check_latents(owner: str, latents: Tensor, channels: int) -> None:
    """Refuse latents of another model."""
    sizes = check_shapes(owner, latents=(latents, "B C F h w"))
    if sizes["C"] != channels:
        raise ValueError(f"{owner}: latents have {sizes['C']} channels, expected {channels}: use the VAE they were encoded with")
    if not latents.numel():
        raise ValueError(f"{owner}: latents have shape {tuple(latents.shape)}, expected at least one frame")

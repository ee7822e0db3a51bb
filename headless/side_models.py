"""The models beside a video model in a headless run: text encoder (CLIP), image encoder (CLIP_VISION), video autoencoder (VAE)."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from ..core.checkpoints import check_finite, read_checkpoint
from ..core.models import KINDS, identify
from ..core.precision import dequantise
from .devices import lent

_SPIECE = ("spiece.model", "google/umt5-xxl/spiece.model")  # the vocabulary beside a text encoder that does not hold it, as released
_SPIECE_BYTES = 64 << 20


@dataclass(frozen=True, eq=False)
class ImageTokens:
    """CLIP_VISION_OUTPUT. penultimate_hidden_states: (B, N, D), the layer that Wan2.1 reads."""

    penultimate_hidden_states: Tensor


@dataclass(frozen=True, eq=False)
class TextEncoder:
    """A CLIP."""

    module: nn.Module
    device: torch.device

    def encode(self, text: str) -> Tensor:
        """(1, L, D) float32 on the CPU, as many tokens as the text has."""
        with lent(self.module, self.device):
            return self.module.encode([text])[0][None].float().cpu()


@dataclass(frozen=True, eq=False)
class ImageEncoder:
    """A CLIP_VISION."""

    module: nn.Module
    device: torch.device

    def encode(self, images: Tensor) -> ImageTokens:
        """Pictures (B, H, W, 3) in 0..1, stretched to the square of the encoder."""
        with lent(self.module, self.device):
            return ImageTokens(self.module.encode(images[..., :3].to(self.device)).float().cpu())


@dataclass(frozen=True, eq=False)
class VAE:
    """A VAE of video. kind: "cogvideox_vae" or "wan_vae"."""

    module: nn.Module
    device: torch.device
    kind: str

    def encode(self, frames: Tensor, *, seed: int | None = None) -> Tensor:
        """Frames (T, H, W, 3) in 0..1 -> (C, F, h, w): the mean of the posterior, or with a seed a sample of it."""
        video = (frames[..., :3].movedim(-1, 0)[None] * 2 - 1).to(self.device)
        with lent(self.module, self.device):
            mean, logvar = (part[0].float().cpu() for part in self.module.posterior(video))
        if seed is None:
            return mean
        return mean + (0.5 * logvar).exp() * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))

    def decode(self, latents: Tensor) -> Tensor:
        """(C, F, h, w) -> frames (T, H, W, 3) in 0..1."""
        with lent(self.module, self.device):
            video = self.module.decode(latents[None].to(self.device))[0].float().cpu()
        return ((video.movedim(0, -1) + 1) / 2).clamp(0, 1)

    def decode_batch(self, latents: Tensor) -> Tensor:
        """Videos (B, C, F, h, w), or pictures (B, C, h, w), one after another -> (B T, H, W, 3)."""
        return torch.cat([self.decode(one) for one in (latents if latents.ndim == 5 else latents.unsqueeze(2))])


def load_text_encoder(path: Path, device: torch.device) -> TextEncoder:
    """UMT5 of a file; where the file does not hold its vocabulary, with the spiece.model beside it."""
    from ..core.networks.umt5 import load_umt5

    state, _ = _read(path, "umt5")
    vocabulary = next((file for name in _SPIECE if (file := path.parent / name).is_file()), None)
    if "spiece_model" in state or vocabulary is None:
        return TextEncoder(_named(path, load_umt5, state), device)
    if vocabulary.stat().st_size > _SPIECE_BYTES:
        raise ValueError(
            f"{vocabulary} is larger than {_SPIECE_BYTES >> 20} MiB, which no vocabulary is: take spiece.model of google/umt5-xxl"
        )
    return TextEncoder(_named(path, load_umt5, state, vocabulary.read_bytes()), device)


def load_image_encoder(path: Path, device: torch.device) -> ImageEncoder:
    """CLIP ViT-H of a file."""
    from ..core.networks.clip_vision import load_clip_vision

    state, _ = _read(path, "clip_vision")
    return ImageEncoder(_named(path, load_clip_vision, state), device)


def load_video_vae(path: Path, device: torch.device) -> VAE:
    """The VAE of CogVideoX or Wan2.1 in a file."""
    state, kind = _read(path, "cogvideox_vae", "wan_vae")
    if kind == "wan_vae":
        from ..core.networks.wan_vae import load_wan_vae as load
    else:
        from ..core.networks.cogvideox_vae import load_cogvideox_vae as load
    return VAE(_named(path, load, state), device, kind)


def _read(path: Path, *kinds: str) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file that holds one of the kinds, without fp8, and which."""
    state, kind = identified(path)
    if kind not in kinds:
        raise ValueError(f"{path} is {KINDS[kind]}, expected {' or '.join(KINDS[one] for one in kinds)}: choose another file")
    check_finite(state, str(path))
    return _named(path, dequantise, state, torch.bfloat16), kind


def identified(path: Path) -> tuple[dict[str, Tensor], str]:
    """The tensors of a file, and which of `core.models.KINDS` they are; a ValueError names the file."""
    state = read_checkpoint(path)
    return state, _named(path, identify, state)


def _named(path: Path, call: Any, *arguments: Any) -> Any:
    """Call, and let a ValueError name the file."""
    try:
        return call(*arguments)
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error

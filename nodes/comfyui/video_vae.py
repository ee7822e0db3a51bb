"""VAE of the video models: of Wan2.1 ComfyUI's own, of CogVideoX core's behind ComfyUI's interface; and what nodes do with them."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import comfy.ldm.wan.vae as comfy_wan
import comfy.sd
import torch
from comfy import model_management, model_patcher
from torch import Tensor, nn

from ...core.models import KINDS
from ...core.networks.cogvideox_vae import CogVideoXVAE, load_cogvideox_vae
from ...core.networks.state_dicts import check_state
from ...core.networks.video_vae import SIDE, check_frames
from ...core.networks.wan_vae import WanVAE, WanVAEConfig
from .side_models import read

try:
    import comfy.ldm.cogvideo.vae as comfy_cogvideox
except ImportError:
    comfy_cogvideox = None

_LEAST, _MOST = -30.0, 20.0  # of a log variance
_PIECE = 12  # frames that CogVideoX decodes at a time, at most


def load_video_vae(path: Path) -> Any:
    """See `Host.load_video_vae`. Wan2.1's is ComfyUI's own, at any width. CogVideoX's is not: what ComfyUI has of it cuts clips in another way
    than the release, which its group norms see (with random weights 3 to 10 % rms in decoded frames)."""
    state, kind = read(path, "cogvideox_vae", "wan_vae")
    if kind == "wan_vae":
        with torch.device("meta"):
            expected = WanVAE(WanVAEConfig.of(state)).state_dict()
        check_state(expected, state, str(path), f"expected the tensors of {KINDS[kind]}")
        return comfy.sd.VAE(sd=state)
    try:
        return CogVideoX(load_cogvideox_vae(state))
    except ValueError as error:
        raise ValueError(f"{path}: {error}") from error


class CogVideoX(comfy.sd.VAE):
    """Core's CogVideoX VAE, in ComfyUI's interface and under its memory management; it decodes in pieces of 8 or 12 frames."""

    def __init__(self, vae: CogVideoXVAE):
        with _silent():  # it looks for weights that it knows
            super().__init__(sd={})
        self.latent_dim, self.latent_channels = 3, vae.channels
        self.upscale_ratio = (lambda frames: max(0, frames * 4 - 3), SIDE, SIDE)
        self.downscale_ratio = (lambda frames: max(0, (frames + 3) // 4), SIDE, SIDE)
        self.upscale_index_formula = self.downscale_index_formula = (4, SIDE, SIDE)
        self.working_dtypes = [torch.bfloat16, torch.float16, torch.float32]
        # Bytes for a pixel of the frames in work, as ComfyUI counts them for this architecture.
        self.memory_used_decode = lambda shape, dtype: 2800 * min(4 * shape[2], _PIECE) * shape[3] * shape[4] * SIDE**2 * dtype.itemsize
        self.memory_used_encode = lambda shape, dtype: 1400 * min(shape[2], _PIECE) * shape[3] * shape[4] * dtype.itemsize
        self.device = model_management.vae_device()
        self.vae_dtype = model_management.vae_dtype(self.device, self.working_dtypes)
        self.output_device = model_management.intermediate_device()
        self.first_stage_model = _Stage(vae).to(self.vae_dtype).eval()
        # Its layers are torch's own, which cannot be loaded in parts.
        self.disable_offload = True
        offload = model_management.vae_offload_device()
        self.patcher = model_patcher.ModelPatcher(self.first_stage_model, load_device=self.device, offload_device=offload)
        self.model_size()


class _Stage(nn.Module):
    """What ComfyUI's VAE calls."""

    def __init__(self, vae: CogVideoXVAE):
        super().__init__()
        self.vae = vae

    @property
    def encoder(self) -> nn.Module:
        """The layers that give mean and log variance."""
        return self.vae.autoencoder.encoder

    def encode(self, x: Tensor) -> Tensor:
        """(B, 3, T, H, W) -> (B, C, F, h, w); frames that do not make a whole latent are left out, as by ComfyUI's own."""
        return self.vae.posterior(x[:, :, : (x.shape[2] - 1) // 4 * 4 + 1])[0]

    def decode(self, z: Tensor) -> Tensor:
        """(B, C, F, h, w) -> (B, 3, T, H, W)."""
        return self.vae.decode(z)


# Classes of ComfyUI's and ours by the kind of VAE; older versions of ComfyUI have none for CogVideoX.
_STAGES = {
    "cogvideox_vae": (_Stage, *((comfy_cogvideox.AutoencoderKLCogVideoX,) if comfy_cogvideox else ())),
    "wan_vae": (comfy_wan.WanVAE,),
}


@contextmanager
def _silent() -> Iterator[None]:
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        yield
    finally:
        logging.disable(before)


def vae_kind(vae: Any) -> str | None:
    """See `Host.vae_kind`."""
    stage = getattr(vae, "first_stage_model", None)
    return next((kind for kind, classes in _STAGES.items() if isinstance(stage, classes)), None)


def encode_video(vae: Any, frames: Tensor, seed: int | None) -> Tensor:
    """See `Host.encode_video`."""
    check_frames("encode_video", frames[..., :3].movedim(-1, 0)[None])
    if seed is None:
        return vae.encode(frames)[0].float().cpu()
    with _watched(vae) as pieces:
        mean = vae.encode(frames)[0].float().cpu()
    moments = torch.cat(pieces, 2)[0].float().cpu() if pieces else mean
    if moments.shape != (2 * mean.shape[0], *mean.shape[1:]):
        raise ValueError("the video was encoded in tiles for lack of memory, and tiles give no posterior to sample: take the mean")
    deviation = (0.5 * moments.chunk(2)[1].clamp(_LEAST, _MOST)).exp()
    return mean + deviation * torch.randn(mean.shape, generator=torch.Generator().manual_seed(seed))


@contextmanager
def _watched(vae: Any) -> Iterator[list[Tensor]]:
    """Collects mean and log variance (B, 2 C, F, h, w), piece by piece over time, of which ComfyUI's VAE gives the mean alone."""
    stage, pieces = vae.first_stage_model, []
    # Wan's come out of a last convolution for the whole clip, CogVideoX's out of its encoder for each piece, with what it keeps.
    layer = getattr(stage, "conv1", None) or getattr(stage, "encoder", None)
    if layer is None or vae.latent_dim != 3:
        raise ValueError(f"the VAE ({type(stage).__name__}) has no posterior that can be sampled: take the mean, or use Load Video VAE")

    def keep(_: nn.Module, __: Any, output: Any) -> None:
        pieces.append(output[0] if isinstance(output, tuple) else output)

    hook = layer.register_forward_hook(keep)
    try:
        yield pieces
    finally:
        hook.remove()


def decode_video(vae: Any, latents: Tensor) -> Tensor:
    """See `Host.decode_video`."""
    return vae.decode(latents[None])[0].float().cpu()

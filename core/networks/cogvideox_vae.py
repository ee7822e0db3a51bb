"""The video autoencoder of CogVideoX (arXiv 2408.06072, section 2.1), by diffusers.

Its group norms run over a piece of 8 or 9 frames, so that the numbers depend on where a clip is cut: the release cuts as diffusers does.
What lies before a clip is taken for a copy of its first frame: a clip that stands still has the posterior of its picture in every frame.
"""

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor, nn

from .state_dicts import count, filled, size
from .video_vae import check_frames, check_latents

TITLE = "CogVideoX VAE"


class CogVideoXVAE(nn.Module):
    """A `VideoVAE` around diffusers' AutoencoderKLCogVideoX, computing in the dtype of the weights.

    The log variance is held within -30..20, as diffusers samples by it.

    tiled: run in overlapping tiles of 240 x 360 pixels, blended. The release does, also at 512 x 512, and gets slightly other numbers than
        from the whole picture.
    """

    def __init__(self, autoencoder: nn.Module, *, tiled: bool = False):
        super().__init__()
        self.autoencoder = autoencoder
        self.channels = autoencoder.config.latent_channels
        autoencoder.enable_slicing()  # one clip of a batch after the other
        self.tiled = tiled

    @property
    def tiled(self) -> bool:
        """Whether pictures larger than a tile are cut into tiles."""
        return self.autoencoder.use_tiling

    @tiled.setter
    def tiled(self, value: bool) -> None:
        (self.autoencoder.enable_tiling if value else self.autoencoder.disable_tiling)()

    @torch.no_grad()
    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See `VideoVAE.posterior`."""
        check_frames(TITLE, frames)
        distribution = self.autoencoder.encode(self._as_weights(frames)).latent_dist
        return distribution.mean.float(), distribution.logvar.float()

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """See `VideoVAE.decode`. Of an even number of latents the first stands for 4 frames, of which the last is kept."""
        check_latents(TITLE, latents, self.channels)
        frames = self.autoencoder.decode(self._as_weights(latents)).sample
        return frames[:, :, -(4 * latents.shape[2] - 3) :].float().clamp_(-1, 1)

    def _as_weights(self, x: Tensor) -> Tensor:
        return x.to(self.autoencoder.encoder.conv_in.conv.weight)


def autoencoder(widths: Sequence[int], *, layers: int, channels: int) -> nn.Module:
    """diffusers' AutoencoderKLCogVideoX with 32 norm groups and 4 frames a latent.

    Args:
        widths: channels at each resolution, the finest first. layers: residual blocks at each. channels: of the latents.
    """
    from diffusers import AutoencoderKLCogVideoX

    return AutoencoderKLCogVideoX(
        down_block_types=("CogVideoXDownBlock3D",) * len(widths),
        up_block_types=("CogVideoXUpBlock3D",) * len(widths),
        block_out_channels=tuple(widths),
        layers_per_block=layers,
        latent_channels=channels,
    )


def load_cogvideox_vae(state: Mapping[str, Tensor], *, tiled: bool = False) -> CogVideoXVAE:
    """The VAE of CogVideoX-5b in diffusers' keys, as the file lies in the folder vae of the repository.

    Widths and layers are those of the tensors; norm groups and frames of a latent, which no tensor tells, are the same for all CogVideoX.

    Raises:
        ValueError: another model's checkpoint, with the counts and first names of missing and unknown keys.
    """
    levels = count(state, r"encoder\.down_blocks\.(\d+)\.")
    widths = [size(state, f"encoder.down_blocks.{level}.resnets.0.conv1.conv.weight", 0, TITLE) for level in range(max(levels, 1))]
    if levels != 4 or any(width % 32 for width in widths):
        raise ValueError(f"{TITLE}: widths {widths}, expected 4 multiples of 32: use the VAE of CogVideoX-5b")
    layers = count(state, r"encoder\.down_blocks\.0\.resnets\.(\d+)\.")
    channels = size(state, "encoder.conv_out.conv.weight", 0, TITLE) // 2
    remedy = "use diffusion_pytorch_model.safetensors of the folder vae of CogVideoX-5b"
    return CogVideoXVAE(
        filled(lambda: autoencoder(widths, layers=layers, channels=channels), state, title=TITLE, remedy=remedy), tiled=tiled
    )

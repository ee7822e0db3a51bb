"""The video autoencoder of Wan2.1 (arXiv 2503.20314, section 4.1), under the key names of its original checkpoint.

Every layer looks back in time only, and norms and attention know one frame at a time. A clip can so be run in pieces of any length, each
layer keeping the last frames it saw: the numbers are the same, and memory does not grow with the clip.
"""

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .state_dicts import filled, size
from .video_vae import SIDE, check_frames, check_latents

TITLE = "Wan VAE"
_FRAMES = 4  # frames of a latent, except the first one, which has a frame alone

Past = dict[nn.Module, Tensor | None]  # what layers keep between the pieces of one clip


@dataclass(frozen=True)
class WanVAEConfig:
    """Sizes; the defaults are the released ones.

    widths: channels at each resolution, the finest first. blocks: residual blocks at each of them in the encoder, one more in the decoder.
    in_time: at which of the steps between resolutions time is halved too. channels: of the latents.
    """

    widths: tuple[int, ...] = (96, 192, 384, 384)
    blocks: int = 2
    in_time: tuple[bool, ...] = (False, True, True)
    channels: int = 16

    @classmethod
    def of(cls, state: Mapping[str, Tensor]) -> "WanVAEConfig":
        """The sizes of a checkpoint."""
        widths, in_time, blocks = [size(state, "encoder.conv1.weight", 0, TITLE)], [], 0
        for index in itertools.count():
            prefix = f"encoder.downsamples.{index}"
            if f"{prefix}.residual.6.weight" in state:
                widths[-1] = size(state, f"{prefix}.residual.6.weight", 0, TITLE)
                blocks += not in_time
            elif f"{prefix}.resample.1.weight" in state:
                in_time.append(f"{prefix}.time_conv.weight" in state)
                widths.append(0)
            else:
                break
        if min(widths) < 1 or in_time.count(True) != 2 or 2 ** len(in_time) != SIDE:
            raise ValueError(
                f"{TITLE}: widths {widths}, time halved {in_time}: expected the Wan2.1 VAE, 4 frames and 8 x 8 pixels a latent"
            )
        return cls(tuple(widths), blocks, tuple(in_time), size(state, "conv2.weight", 0, TITLE))


class _Norm(nn.Module):
    """Each pixel's channels over their root mean square, in float32."""

    def __init__(self, channels: int, axes: int):
        super().__init__()
        self.gamma = nn.Parameter(torch.ones(channels, *[1] * axes))

    def forward(self, x: Tensor) -> Tensor:
        wide = functional.normalize(x.float(), dim=1)
        return (wide * (x.shape[1] ** 0.5 * self.gamma.float())).to(x.dtype)


class _CausalConv(nn.Conv3d):
    """Convolution over the frames seen so far, zeros before the first."""

    def __init__(self, inputs: int, outputs: int, kernel: tuple[int, int, int]):
        super().__init__(inputs, outputs, kernel, padding=(0, kernel[1] // 2, kernel[2] // 2))

    def forward(self, x: Tensor, past: Past) -> Tensor:
        look = self.kernel_size[0] - 1
        if look:
            seen = past.get(self)
            if seen is None:
                seen = x.new_zeros(*x.shape[:2], look, *x.shape[3:])
            x = torch.cat([seen, x], 2)
            past[self] = x[:, :, -look:].clone()  # a view would keep all of x
        return super().forward(x)


class _Residual(nn.Module):
    def __init__(self, inputs: int, outputs: int):
        super().__init__()
        convs = _CausalConv(inputs, outputs, (3, 3, 3)), _CausalConv(outputs, outputs, (3, 3, 3))
        self.residual = nn.ModuleDict({"0": _Norm(inputs, 3), "2": convs[0], "3": _Norm(outputs, 3), "6": convs[1]})
        if inputs != outputs:
            self.shortcut = _CausalConv(inputs, outputs, (1, 1, 1))
        self.same = inputs == outputs

    def forward(self, x: Tensor, past: Past) -> Tensor:
        part = self.residual
        y = part["2"](functional.silu(part["0"](x)), past)
        y = part["6"](functional.silu(part["3"](y)), past)
        return y + (x if self.same else self.shortcut(x, past))


class _Attention(nn.Module):
    """Attention of the pixels of a frame to each other, one head."""

    def __init__(self, channels: int):
        super().__init__()
        self.norm = _Norm(channels, 2)
        self.to_qkv = nn.Conv2d(channels, 3 * channels, 1)
        self.proj = nn.Conv2d(channels, channels, 1)

    def forward(self, x: Tensor, past: Past) -> Tensor:
        frames = x.transpose(1, 2).flatten(0, 1)  # (B T, C, h, w)
        parts = self.to_qkv(self.norm(frames)).flatten(2).transpose(1, 2).unsqueeze(1).chunk(3, dim=-1)  # three of (B T, 1, h w, C)
        y = functional.scaled_dot_product_attention(*parts).squeeze(1).transpose(1, 2).unflatten(2, frames.shape[2:])
        return x + self.proj(y).unflatten(0, (len(x), -1)).transpose(1, 2)


class _Resample(nn.Module):
    """The 2-d convolution of a change of resolution, frame by frame; with its padding or enlargement before it."""

    def __init__(self, channels: int, outputs: int, *, stride: int):
        super().__init__()
        self.resample = nn.ModuleDict({"1": nn.Conv2d(channels, outputs, 3, stride=stride, padding=1 if stride == 1 else 0)})

    def in_space(self, x: Tensor) -> Tensor:
        frames = x.transpose(1, 2).flatten(0, 1)
        conv = self.resample["1"]
        if conv.stride[0] == 1:
            frames = functional.interpolate(frames, scale_factor=2.0, mode="nearest-exact")
        else:
            frames = functional.pad(frames, (0, 1, 0, 1))
        return conv(frames).unflatten(0, (len(x), -1)).transpose(1, 2)


class _Downsample(_Resample):
    """Half the resolution, and half the frames where `in_time`; the first frame of a clip stays alone."""

    def __init__(self, channels: int, *, in_time: bool):
        super().__init__(channels, channels, stride=2)
        if in_time:
            self.time_conv = nn.Conv3d(channels, channels, (3, 1, 1), stride=(2, 1, 1))
        self.in_time = in_time

    def forward(self, x: Tensor, past: Past) -> Tensor:
        x = self.in_space(x)
        if not self.in_time:
            return x
        before = past.get(self)
        past[self] = x[:, :, -1:].clone()
        return x if before is None else self.time_conv(torch.cat([before, x], 2))


class _Upsample(_Resample):
    """Twice the resolution with half the channels, and twice the frames where `in_time`; the first latent of a clip gives one frame."""

    def __init__(self, channels: int, *, in_time: bool):
        super().__init__(channels, channels // 2, stride=1)
        if in_time:
            self.time_conv = _CausalConv(channels, 2 * channels, (3, 1, 1))
        self.in_time = in_time

    def forward(self, x: Tensor, past: Past) -> Tensor:
        if self.in_time and self in past:
            x = self.time_conv(x, past).unflatten(1, (2, -1)).permute(0, 2, 3, 1, 4, 5).flatten(2, 3)  # (B, C, 2 T, h, w)
        past[self] = None
        return self.in_space(x)


class _Coder(nn.Module):
    """What encoder and decoder share: a first convolution, stages and a middle in the order of `flow`, and a head."""

    flow: tuple[str, str]

    def __init__(self, inputs: int, first: int, middle: int, last: int, outputs: int):
        super().__init__()
        self.conv1 = _CausalConv(inputs, first, (3, 3, 3))
        self.middle = nn.ModuleList([_Residual(middle, middle), _Attention(middle), _Residual(middle, middle)])
        self.head = nn.ModuleDict({"0": _Norm(last, 3), "2": _CausalConv(last, outputs, (3, 3, 3))})

    def forward(self, x: Tensor, past: Past) -> Tensor:
        """The next piece of a clip (B, C, T, H, W); `past` is empty at the first one, which has one frame."""
        x = self.conv1(x, past)
        for name in self.flow:
            for layer in getattr(self, name):
                x = layer(x, past)
        return self.head["2"](functional.silu(self.head["0"](x)), past)


class _Encoder(_Coder):
    flow = ("downsamples", "middle")

    def __init__(self, config: WanVAEConfig):
        widths = config.widths
        super().__init__(3, widths[0], widths[-1], widths[-1], 2 * config.channels)
        layers, before = [], widths[0]
        for level, width in enumerate(widths):
            layers += [_Residual(before if index == 0 else width, width) for index in range(config.blocks)]
            before = width
            if level < len(config.in_time):
                layers.append(_Downsample(width, in_time=config.in_time[level]))
        self.downsamples = nn.ModuleList(layers)


class _Decoder(_Coder):
    flow = ("middle", "upsamples")

    def __init__(self, config: WanVAEConfig):
        widths, in_time = config.widths[::-1], config.in_time[::-1]
        super().__init__(config.channels, widths[0], widths[0], widths[-1], 3)
        layers, before = [], widths[0]
        for level, width in enumerate(widths):
            layers += [_Residual(before if index == 0 else width, width) for index in range(config.blocks + 1)]
            before = width // 2
            if level < len(in_time):
                layers.append(_Upsample(width, in_time=in_time[level]))
        self.upsamples = nn.ModuleList(layers)


class WanVAE(nn.Module):
    """A `VideoVAE`. The mean it gives is the autoencoder's own: the release goes on to (mean - m) / s with the numbers of the latent space.

    Weights may have any dtype, which is computed in; norms are in float32.
    """

    def __init__(self, config: WanVAEConfig):
        super().__init__()
        self.channels = config.channels
        self.encoder, self.decoder = _Encoder(config), _Decoder(config)
        self.conv1 = nn.Conv3d(2 * config.channels, 2 * config.channels, 1)
        self.conv2 = nn.Conv3d(config.channels, config.channels, 1)

    @torch.no_grad()
    def posterior(self, frames: Tensor) -> tuple[Tensor, Tensor]:
        """See `VideoVAE.posterior`."""
        check_frames(TITLE, frames)
        clips = [torch.cat([*self._encoded(clip)], 2) for clip in frames.split(1)]
        return torch.cat(clips).float().chunk(2, dim=1)

    def _encoded(self, clip: Tensor) -> Iterator[Tensor]:
        past: Past = {}
        for piece in (clip[:, :, :1], *clip[:, :, 1:].split(_FRAMES, dim=2)):
            if piece.shape[2]:
                yield self.conv1(self.encoder(piece.to(self.conv1.weight), past))

    @torch.no_grad()
    def decode(self, latents: Tensor) -> Tensor:
        """See `VideoVAE.decode`."""
        check_latents(TITLE, latents, self.channels)
        batch, _, count, height, width = latents.shape
        shape = batch, 3, _FRAMES * (count - 1) + 1, SIDE * height, SIDE * width
        frames = torch.empty(shape, dtype=torch.float32, device=self.conv2.weight.device)
        for clip, result in zip(latents.split(1), frames.split(1), strict=True):
            past: Past = {}
            done = 0
            for latent in clip.split(1, dim=2):
                piece = self.decoder(self.conv2(latent.to(self.conv2.weight)), past)
                result[:, :, done : done + piece.shape[2]] = piece
                done += piece.shape[2]
        return frames.clamp_(-1, 1)


def load_wan_vae(state: Mapping[str, Tensor]) -> WanVAE:
    """The VAE of Wan2.1_VAE.pth, or of ComfyUI's wan_2.1_vae.safetensors, which has the same keys.

    Raises:
        ValueError: another model's checkpoint, with the counts and first names of missing and unknown keys.
    """
    config = WanVAEConfig.of(state)
    return filled(lambda: WanVAE(config), state, title=TITLE, remedy="use Wan2.1_VAE.pth or wan_2.1_vae.safetensors")

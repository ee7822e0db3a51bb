"""4DMoT, the tokenizer of 3D joints over time (MTVCrafter, arXiv 2505.10238, section 3.2), with the key layout of the released checkpoint.

A clip is cut into windows, and each passes alone through the encoder or the decoder, whose group norms see one window at a time. Windows of
equal length are therefore independent images and run together as a batch; only a clip whose length is no multiple of 8 has one first window
of another length.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..types import decoded_frames, latent_frames

GROUPS = 32
WINDOW_FRAMES = 8
WINDOW_LATENTS = 2
WINDOWS_AT_ONCE = 32  # bounds the working memory; more gain little
ROWS_AT_ONCE = 1024  # of the table of distances to all codes


@dataclass(frozen=True)
class MotionTokenizerConfig:
    """widths: channels of the two encoder stages, multiples of 32. code_dim: channels of a token. codebook_size: number of codes."""

    widths: tuple[int, int] = (128, 512)
    code_dim: int = 3072
    codebook_size: int = 8192

    def __post_init__(self):
        if len(self.widths) != 2 or any(width <= 0 or width % GROUPS for width in self.widths):
            raise ValueError(f"MotionTokenizerConfig: widths are {self.widths}, expected two multiples of {GROUPS}")
        if min(self.code_dim, self.codebook_size) < 1:
            raise ValueError(f"MotionTokenizerConfig: {self.codebook_size} codes of {self.code_dim} channels, expected at least 1 of each")


@dataclass(frozen=True, eq=False)
class MotionCodes:
    """What encoding gives.

    tokens: (B, L, C) rows of the codebook, L = latent frames x joints, frame-major. indices: (B, L) which rows. commit_loss: () mean
    squared difference between encoder output and tokens. distance: (B, L) squared distance of each encoder output from its code. margin:
    (B, L) how much farther, squared, the second nearest code is (infinite if there is one code only).
    """

    tokens: Tensor
    indices: Tensor
    commit_loss: Tensor
    distance: Tensor
    margin: Tensor


class _ResBlock(nn.Module):
    def __init__(self, channels_in: int, channels_out: int, ops):
        super().__init__()
        dilation = max(1, 512 // channels_out - 1)
        self.block = nn.Sequential(
            ops.GroupNorm(GROUPS, channels_in, eps=1e-6),
            nn.SiLU(),
            ops.Conv2d(channels_in, channels_out, 3, padding=dilation, dilation=dilation),
            ops.GroupNorm(GROUPS, channels_out, eps=1e-6),
            nn.SiLU(),
            ops.Conv2d(channels_out, channels_out, 1),
        )
        self.conv_short = ops.Conv2d(channels_in, channels_out, 1) if channels_in != channels_out else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return self.conv_short(x) + self.block(x)


def _over_joints(conv: nn.Module, x: Tensor) -> Tensor:
    """Apply a Conv1d along the joints of each frame of (B, C, f, J)."""
    rows = x.transpose(1, 2).flatten(0, 1)  # (B f, C, J)
    return conv(rows).unflatten(0, (x.shape[0], x.shape[2])).transpose(1, 2)


class _Downsample(nn.Module):
    def __init__(self, channels: int, ops):
        super().__init__()
        self.joint_downsample = ops.Conv1d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Halve the frames of (B, C, f, J) by averaging pairs; of an odd number the first frame stays as it is."""
        odd = x.shape[2] % 2
        pairs = x[:, :, odd:].unflatten(2, (-1, 2)).mean(3)
        return _over_joints(self.joint_downsample, torch.cat([x[:, :, :odd], pairs], 2))


class _Upsample(nn.Module):
    def __init__(self, channels: int, ops):
        super().__init__()
        self.upsampler = ops.Conv1d(channels, channels, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Double the frames of (B, C, f, J), the ends staying where they are; of an odd number the first frame stays one."""
        odd = x.shape[2] % 2
        rest = x[:, :, odd:]
        size = (2 * rest.shape[2], rest.shape[3])
        rest = functional.interpolate(rest, size=size, mode="bilinear", align_corners=True)
        return _over_joints(self.upsampler, torch.cat([x[:, :, :odd], rest], 2))


class _Encoder(nn.Module):
    def __init__(self, config: MotionTokenizerConfig, ops):
        super().__init__()
        narrow, wide = config.widths
        self.conv_in = ops.Conv2d(3, narrow, 3, padding=1)
        self.resnet1 = nn.Sequential(*(_ResBlock(narrow, narrow, ops) for _ in range(3)))
        self.downsample1 = _Downsample(narrow, ops)
        self.resnet2 = _ResBlock(narrow, wide, ops)
        self.resnet3 = nn.Sequential(*(_ResBlock(wide, wide, ops) for _ in range(3)))
        self.downsample2 = _Downsample(wide, ops)
        self.conv_out = ops.Conv2d(wide, config.code_dim, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Windows (N, 3, f, J) -> (N, C, (f + 3) // 4, J)."""
        x = self.downsample1(self.resnet1(self.conv_in(x)))
        return self.conv_out(self.downsample2(self.resnet3(self.resnet2(x))))


class _Decoder(nn.Module):
    def __init__(self, config: MotionTokenizerConfig, ops):
        super().__init__()
        narrow, wide = config.widths
        self.conv_in = ops.Conv2d(config.code_dim, wide, 3, padding=1)
        self.resnet1 = nn.Sequential(*(_ResBlock(wide, wide, ops) for _ in range(3)))
        self.upsample1 = _Upsample(wide, ops)
        self.resnet2 = _ResBlock(wide, narrow, ops)
        self.resnet3 = nn.Sequential(*(_ResBlock(narrow, narrow, ops) for _ in range(3)))
        self.upsample2 = _Upsample(narrow, ops)
        self.conv_out = ops.Conv2d(narrow, 3, 3, padding=1)

    def forward(self, x: Tensor) -> Tensor:
        """Windows (N, C, f, J) -> (N, 3, 4 f, J), 4 f - 3 for odd f."""
        x = self.upsample1(self.resnet1(self.conv_in(x)))
        return self.conv_out(self.upsample2(self.resnet3(self.resnet2(x))))


class _Quantizer(nn.Module):
    def __init__(self, config: MotionTokenizerConfig):
        super().__init__()
        self.register_buffer("codebook", torch.zeros(config.codebook_size, config.code_dim))


Advance = Callable[[int], None]


class MotionTokenizer(nn.Module):
    """Joints to codes and back.

    `ops` is the namespace the layers come from (torch.nn, or a host's own layers for offloading). Encoding and decoding keep no gradients.
    """

    def __init__(self, config: MotionTokenizerConfig, *, ops=nn):
        super().__init__()
        self.config = config
        self.encoder = _Encoder(config, ops)
        self.vq = _Quantizer(config)
        self.decoder = _Decoder(config, ops)

    @torch.no_grad()
    def latents(self, joints: Tensor, *, advance: Advance | None = None) -> Tensor:
        """Encoder output before quantisation: (B, T, J, 3) normalised -> (B, latent frames, J, C), latent frames = (T + 3) // 4."""
        batch, frames, count, axes = joints.shape if joints.ndim == 4 else (0, 0, 0, 0)
        if axes != 3 or batch == 0 or count == 0:
            raise ValueError(f"joints have shape {tuple(joints.shape)}, expected (B, T, J, 3)")
        if frames < WINDOW_FRAMES:
            raise ValueError(
                f"the clip has {frames} frames, the tokenizer needs at least {WINDOW_FRAMES}: pad it by holding its last frame"
            )
        if not torch.isfinite(joints).all():
            raise ValueError("joints have NaN or infinite values: fill the missing joints before encoding")
        result = joints.new_empty(batch, latent_frames(frames), count, self.config.code_dim, dtype=torch.float32)
        _window_by_window(self.encoder, joints, result, WINDOW_FRAMES, WINDOW_LATENTS, advance)
        return result

    @torch.no_grad()
    def quantise(self, latents: Tensor) -> MotionCodes:
        """Replace each vector of (B, L, C) by the nearest code, the first one of equals, with all distances in float32."""
        return self._quantise(latents.to(torch.float32, copy=True))

    def encode(self, joints: Tensor, *, advance: Advance | None = None) -> MotionCodes:
        """Tokenize clips.

        Args:
            joints: (B, T, J, 3) normalised, T at least 8. A length of 8 k or 8 k + 1 decodes to the same length, any other to a neighbour.
            advance: called with the number of windows done, `windows(T)` for each clip in all.

        Raises:
            ValueError: another shape, fewer than 8 frames, or NaN and infinite values.
        """
        return self._quantise(self.latents(joints, advance=advance).flatten(1, 2))

    @torch.no_grad()
    def decode(self, tokens: Tensor, *, joints: int = 24, advance: Advance | None = None) -> Tensor:
        """Joints of tokens.

        Args:
            tokens: (B, L, C), frame-major; vectors between codes are accepted.
            joints: J. advance: called with the number of windows done, latent frames // 2 for each clip in all.

        Returns:
            (B, T, J, 3) normalised, T = 4 f for an even number f of latent frames and 4 f - 3 for an odd one.

        Raises:
            ValueError: another width, no whole number of frames, fewer than 2 latent frames, or NaN and infinite values.
        """
        if tokens.ndim != 3 or tokens.shape[0] == 0 or tokens.shape[2] != self.config.code_dim:
            raise ValueError(f"tokens have shape {tuple(tokens.shape)}, this tokenizer expects (B, L, {self.config.code_dim})")
        if joints < 1 or tokens.shape[1] % joints:
            raise ValueError(f"{tokens.shape[1]} tokens are no whole number of frames of {joints} joints")
        latents = tokens.unflatten(1, (-1, joints))  # (B, f, J, C)
        frames = latents.shape[1]
        if frames < WINDOW_LATENTS:
            raise ValueError(f"the tokens span {frames} latent frames, decoding needs at least {WINDOW_LATENTS}: keep more of the clip")
        if not torch.isfinite(tokens).all():
            raise ValueError("tokens have NaN or infinite values: encode the motion again")
        result = tokens.new_empty(tokens.shape[0], decoded_frames(frames), joints, 3, dtype=torch.float32)
        _window_by_window(self.decoder, latents, result, WINDOW_LATENTS, WINDOW_FRAMES, advance)
        return result

    @torch.no_grad()
    def _quantise(self, vectors: Tensor) -> MotionCodes:
        """Quantise float32 vectors (B, L, C) in place: their memory becomes the tokens."""
        if vectors.ndim != 3 or vectors.shape[2] != self.config.code_dim:
            raise ValueError(f"vectors have shape {tuple(vectors.shape)}, this tokenizer expects (B, L, {self.config.code_dim})")
        codebook = self.vq.codebook.to(vectors)
        rows = vectors.view(-1, self.config.code_dim)
        indices = torch.empty(len(rows), dtype=torch.long, device=rows.device)
        distance, margin = (torch.empty(len(rows), device=rows.device) for _ in range(2))
        with torch.autocast(rows.device.type, enabled=False):
            lengths = codebook.square().sum(1)
            for start in range(0, len(rows), ROWS_AT_ONCE):
                part = slice(start, start + ROWS_AT_ONCE)
                chosen = rows[part]
                # |x - c|^2 without |x|^2, which all codes share.
                table = torch.addmm(lengths, chosen, codebook.T, alpha=-2)
                nearest, index = table.min(1)
                table.scatter_(1, index[:, None], torch.inf)
                margin[part] = table.amin(1) - nearest
                codes = codebook[index]
                distance[part] = (chosen - codes).square().sum(1)
                indices[part] = index
                chosen.copy_(codes)
        shape = vectors.shape[:2]
        loss = distance.cpu().double().mean().float() / self.config.code_dim
        return MotionCodes(vectors, indices.view(shape), loss, distance.view(shape), margin.view(shape))


def windows(frames: int) -> int:
    """Number of windows that a clip of `frames` is encoded in, and that its tokens are decoded in."""
    return max(1, frames // WINDOW_FRAMES)


def _window_by_window(module: nn.Module, x: Tensor, result: Tensor, size: int, result_size: int, advance: Advance | None) -> None:
    """Run each window of x (B, F, J, C) alone through `module` and write what comes out into `result` (B, F', J, C').

    There are F // size windows; the first takes the remainder of the division as well, and so does its result.
    """
    count = x.shape[1] // size
    extra, result_extra = x.shape[1] - count * size, result.shape[1] - count * result_size
    first = [(clip, 0) for clip in range(len(x))] if extra else []
    others = [(clip, window) for clip in range(len(x)) for window in range(1 if extra else 0, count)]
    for group, length, result_length in ((first, size + extra, result_size + result_extra), (others, size, result_size)):
        for start in range(0, len(group), WINDOWS_AT_ONCE):
            batch = group[start : start + WINDOWS_AT_ONCE]
            begins = [window * size + extra if window else 0 for _, window in batch]
            frames = torch.stack([x[clip, begin : begin + length] for (clip, _), begin in zip(batch, begins, strict=True)])
            done = module(frames.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)  # (N, f', J, C')
            for (clip, window), part in zip(batch, done, strict=True):
                begin = window * result_size + result_extra if window else 0
                result[clip, begin : begin + result_length] = part
            if advance is not None:
                advance(len(batch))

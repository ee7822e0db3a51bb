"""MV-DiT on CogVideoX, the 7B model of MTVCrafter (arXiv 2505.10238, section 3.3), with the key layout of the released checkpoint.

A CogVideoX video transformer without its text stream. Every block attends to the motion tokens right after its self-attention: queries from
the unnormalised video tokens, keys and values from the motion tokens, added without a gate. The reference picture enters as extra channels.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import Attention, KeysValues, dot_product_attention, merge_heads, split_heads
from .rope import THETA, RotaryTable, rotate

NORM_EPS = 1e-5
HEAD_NORM_EPS = 1e-6


@dataclass(frozen=True)
class MVDiTCogVideoXConfig:
    """Sizes, as released.

    in_channels: noisy and reference latents together. text_dim: of a projection that the checkpoint carries and nothing uses.
    patch: side of a square of latent pixels that makes one token. motion_slots: tokens of the learned unconditional motion.
    """

    heads: int = 48
    head_dim: int = 64
    in_channels: int = 32
    out_channels: int = 16
    layers: int = 42
    time_dim: int = 512
    text_dim: int = 4096
    patch: int = 2
    motion_slots: int = 312

    def __post_init__(self):
        for field in fields(self):
            if getattr(self, field.name) < 1:
                raise ValueError(f"MVDiTCogVideoXConfig: {field.name} is {getattr(self, field.name)}, expected at least 1")
        if self.head_dim % 2:
            raise ValueError(f"MVDiTCogVideoXConfig: head_dim is {self.head_dim}, expected an even number: channels turn in pairs")

    @property
    def width(self) -> int:
        """Channels of a token."""
        return self.heads * self.head_dim


class _PatchEmbed(nn.Module):
    def __init__(self, config: MVDiTCogVideoXConfig, ops):
        super().__init__()
        self.proj = ops.Conv2d(config.in_channels, config.width, config.patch, stride=config.patch)
        self.text_proj = ops.Linear(config.text_dim, config.width)  # in the checkpoint, never used

    def forward(self, latents: Tensor) -> Tensor:
        """(B, F, C, H, W) -> (B, F h w, D)."""
        patches = self.proj(latents.flatten(0, 1))  # (B F, D, h, w)
        return patches.flatten(2).transpose(1, 2).unflatten(0, latents.shape[:2]).flatten(1, 2)


class _TimeEmbedding(nn.Module):
    def __init__(self, config: MVDiTCogVideoXConfig, ops):
        super().__init__()
        self.linear_1 = ops.Linear(config.width, config.time_dim)
        self.linear_2 = ops.Linear(config.time_dim, config.time_dim)

    def forward(self, waves: Tensor) -> Tensor:
        return self.linear_2(functional.silu(self.linear_1(waves)))


def _waves(timestep: Tensor, width: int) -> Tensor:
    """(B,) -> (B, width) float32, cosines before sines."""
    half = width // 2
    exponents = torch.arange(half, dtype=torch.float32, device=timestep.device) * -math.log(THETA) / half
    angles = timestep[:, None].float() * exponents.exp()
    return torch.cat([angles.cos(), angles.sin()], 1)


class _AdaNorm(nn.Module):
    """Layer norm, shifted and scaled by the time; with the gate for what follows it."""

    def __init__(self, config: MVDiTCogVideoXConfig, ops):
        super().__init__()
        self.linear = ops.Linear(config.time_dim, 6 * config.width)
        self.norm = ops.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        # The second half of the six was for text tokens.
        shift, scale, gate = self.linear(functional.silu(time))[:, None].chunk(6, -1)[:3]
        return self.norm(x) * (1 + scale) + shift, gate


class _AdaNormOut(nn.Module):
    def __init__(self, config: MVDiTCogVideoXConfig, ops):
        super().__init__()
        self.linear = ops.Linear(config.time_dim, 2 * config.width)
        self.norm = ops.LayerNorm(config.width, eps=NORM_EPS)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        shift, scale = self.linear(functional.silu(time))[:, None].chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class _Attention(nn.Module):
    """Attention with queries and keys normalised in each head, then turned by their own tables."""

    def __init__(self, config: MVDiTCogVideoXConfig, ops, attention: Attention):
        super().__init__()
        self.heads, self.attention = config.heads, attention
        self.norm_q = ops.LayerNorm(config.head_dim, eps=HEAD_NORM_EPS)
        self.norm_k = ops.LayerNorm(config.head_dim, eps=HEAD_NORM_EPS)
        self.to_q = ops.Linear(config.width, config.width)
        self.to_k = ops.Linear(config.width, config.width)
        self.to_v = ops.Linear(config.width, config.width)
        self.to_out = nn.ModuleList([ops.Linear(config.width, config.width)])

    def keys_values(self, source: Tensor, table: RotaryTable) -> KeysValues:
        """Of tokens (B, L, D)."""
        keys = rotate(self.norm_k(split_heads(self.to_k(source), self.heads)), table)
        return KeysValues(keys, split_heads(self.to_v(source), self.heads))

    def forward(self, x: Tensor, table: RotaryTable, attended: KeysValues) -> Tensor:
        q = rotate(self.norm_q(split_heads(self.to_q(x), self.heads)), table)
        return self.to_out[0](merge_heads(self.attention(q, attended.keys, attended.values)))


class _Gelu(nn.Module):
    def __init__(self, width: int, ops):
        super().__init__()
        self.proj = ops.Linear(width, 4 * width)

    def forward(self, x: Tensor) -> Tensor:
        return functional.gelu(self.proj(x), approximate="tanh")


class _FeedForward(nn.Module):
    def __init__(self, width: int, ops):
        super().__init__()
        # The middle one stands where training had a dropout: the keys count it.
        self.net = nn.Sequential(_Gelu(width, ops), nn.Identity(), ops.Linear(4 * width, width))

    def forward(self, x: Tensor) -> Tensor:
        return self.net(x)


class _Block(nn.Module):
    def __init__(self, config: MVDiTCogVideoXConfig, ops, attention: Attention):
        super().__init__()
        self.attn0 = _Attention(config, ops, attention)  # to the motion
        self.norm1 = _AdaNorm(config, ops)
        self.attn1 = _Attention(config, ops, attention)  # to the video itself
        self.norm2 = _AdaNorm(config, ops)
        self.ff = _FeedForward(config.width, ops)

    def forward(self, x: Tensor, time: Tensor, vision: RotaryTable, motion: KeysValues) -> Tensor:
        normed, gate = self.norm1(x, time)
        x = x + gate * self.attn1(normed, vision, self.attn1.keys_values(normed, vision))
        x = x + self.attn0(x, vision, motion)
        normed, gate = self.norm2(x, time)
        return x + gate * self.ff(normed)


class MVDiTCogVideoX(nn.Module):
    """Predicts the velocity of video latents from motion tokens and reference latents.

    `ops` is the namespace the layers come from (torch.nn, or a host's own layers for offloading), `attention` the product of queries, keys
    and values (see `attention.Attention`; None takes torch's). Computes in the dtype of the latents.
    """

    def __init__(self, config: MVDiTCogVideoXConfig, *, ops=nn, attention: Attention | None = None):
        super().__init__()
        self.config = config
        self.unconditional_motion_token = nn.Parameter(torch.zeros(config.motion_slots, config.width))
        self.patch_embed = _PatchEmbed(config, ops)
        self.time_embedding = _TimeEmbedding(config, ops)
        self.transformer_blocks = nn.ModuleList(_Block(config, ops, attention or dot_product_attention) for _ in range(config.layers))
        self.norm_final = ops.LayerNorm(config.width, eps=NORM_EPS)
        self.norm_out = _AdaNormOut(config, ops)
        self.proj_out = ops.Linear(config.width, config.out_channels * config.patch**2)

    @torch.no_grad()
    def motion_keys_values(self, motion: Tensor, motion_rope: RotaryTable) -> list[KeysValues]:
        """What every block attends to in the motion; it is the same at all steps, and `forward` takes it in place of the tokens.

        Args:
            motion: (B, L, heads * head_dim), in the device and dtype the model computes in. motion_rope: of L rows.

        Returns:
            One for each block: with the released sizes 155 MiB for each row of the batch in bfloat16.
        """
        self._check_motion(motion, motion_rope)
        table = motion_rope.to(motion.device)
        return [block.attn0.keys_values(motion, table) for block in self.transformer_blocks]

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        motion: Tensor | Sequence[KeysValues],
        vision_rope: RotaryTable,
        motion_rope: RotaryTable | None = None,
    ) -> Tensor:
        """Predict.

        Args:
            latents: (B, F, C, H, W), noisy channels before those of the reference.
            timestep: (B,), 0 to 999.
            motion: (B, L, heads * head_dim) tokens, or what `motion_keys_values` gave for them.
            vision_rope: of F * H / patch * W / patch rows. motion_rope: of L rows; not needed with keys and values.

        Returns:
            (B, F, out_channels, H, W).

        Raises:
            ValueError: sizes that do not fit the model or each other.
        """
        self._check_latents(latents, timestep, vision_rope)
        vision = vision_rope.to(latents.device)
        tokens = isinstance(motion, Tensor)
        if tokens:
            self._check_motion(motion, motion_rope)
            motion, motion_table = motion.to(latents), motion_rope.to(latents.device)
        elif len(motion) != self.config.layers:
            raise ValueError(f"keys and values of {len(motion)} blocks, this model has {self.config.layers}: make them with this model")
        rows = len(motion) if tokens else len(motion[0].keys)
        if rows != len(latents):
            raise ValueError(f"motion has a batch of {rows}, the latents of {len(latents)}: repeat one of them")
        time = self.time_embedding(_waves(timestep, self.config.width).to(latents))
        x = self.patch_embed(latents)
        for number, block in enumerate(self.transformer_blocks):
            attended = block.attn0.keys_values(motion, motion_table) if tokens else motion[number]
            x = block(x, time, vision, attended)
        x = self.proj_out(self.norm_out(self.norm_final(x), time))
        return self._unpatch(x, latents.shape)

    def _unpatch(self, x: Tensor, shape: torch.Size) -> Tensor:
        """(B, F h w, C p p) -> (B, F, C, H, W): inside a token the channel is slowest, then row, then column."""
        patch = self.config.patch
        grid = (shape[1], shape[3] // patch, shape[4] // patch)
        x = x.unflatten(1, grid).unflatten(-1, (self.config.out_channels, patch, patch))  # (B, F, h, w, C, p, p)
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)

    def _check_latents(self, latents: Tensor, timestep: Tensor, table: RotaryTable) -> None:
        channels, patch = self.config.in_channels, self.config.patch
        if latents.ndim != 5 or latents.shape[2] != channels or 0 in latents.shape:
            raise ValueError(f"latents have shape {tuple(latents.shape)}, this model expects (B, F, {channels}, H, W)")
        batch, frames, _, height, width = latents.shape
        if height % patch or width % patch:
            raise ValueError(f"latents are {height} x {width}, this model expects multiples of {patch}: change the size of the video")
        if timestep.shape != (batch,):
            raise ValueError(f"timestep has shape {tuple(timestep.shape)}, expected ({batch},): one for each row of the batch")
        expected = (frames * (height // patch) * (width // patch), self.config.head_dim)
        if table.cos.shape != expected:
            raise ValueError(f"the vision table has shape {tuple(table.cos.shape)}, these latents need {expected}")

    def _check_motion(self, motion: Tensor, table: RotaryTable | None) -> None:
        if motion.ndim != 3 or motion.shape[2] != self.config.width:
            raise ValueError(
                f"motion has shape {tuple(motion.shape)}, this model expects (B, L, {self.config.width}): use the tokenizer it was trained with"
            )
        if table is None:
            raise ValueError("motion tokens need their rotary table: pass motion_rope")
        if table.cos.shape != (motion.shape[1], self.config.head_dim):
            raise ValueError(
                f"the motion table has shape {tuple(table.cos.shape)}, these tokens need {(motion.shape[1], self.config.head_dim)}"
            )

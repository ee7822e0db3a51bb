"""MV-DiT on CogVideoX, the 7B model of MTVCrafter (arXiv 2505.10238, section 3.3), with the key layout of the released checkpoint.

A CogVideoX video transformer without its text stream. Every block attends to the motion tokens right after its self-attention: queries from
the unnormalised video tokens, keys and values from the motion tokens, added without a gate. The reference picture enters as extra channels.
"""

import math
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, fields
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..conditions import MotionCondition
from .attention import Attention, KeysValues, dot_product_attention
from .cogvideox_blocks import NORM_EPS, AdaNormOut, CogVideoXBlock
from .motion_attention import Kept, MotionReading, Observe, ReadsMotion
from .residual_cache import ResidualCache
from .rope import THETA, RotaryTable, motion_rope, vision_rope

VISION_SPLIT = (16, 24, 24)  # channels of a head that turn with frame, row, column
MOTION_SPLIT = (16, 16, 16, 16)  # with time, x, y, z


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


class MVDiTCogVideoX(ReadsMotion):
    """Predicts the velocity of video latents from motion tokens and reference latents.

    `ops` is the namespace the layers come from (torch.nn, or a host's own layers for offloading), `attention` the product of queries, keys
    and values (see `attention.Attention`; None takes torch's). Computes in the dtype of the latents.
    """

    def __init__(self, config: MVDiTCogVideoXConfig, *, ops=nn, attention: Attention | None = None):
        super().__init__(config.width)
        self.config = config
        self.unconditional_motion_token = nn.Parameter(torch.zeros(config.motion_slots, config.width))
        self.patch_embed = _PatchEmbed(config, ops)
        self.time_embedding = _TimeEmbedding(config, ops)
        self.transformer_blocks = nn.ModuleList(
            CogVideoXBlock(config.heads, config.head_dim, config.time_dim, ops, attention or dot_product_attention)
            for _ in range(config.layers)
        )
        self.norm_final = ops.LayerNorm(config.width, eps=NORM_EPS)
        self.norm_out = AdaNormOut(config.width, config.time_dim, ops)
        self.proj_out = ops.Linear(config.width, config.out_channels * config.patch**2)

    @torch.no_grad()
    def read_clip(self, condition: MotionCondition, *, like: Tensor) -> Mapping[int, KeysValues]:
        """As `ReadsMotion`, with the rotary table rounded to the dtype of `like`, as in training. Without tokens it is the learned unconditional motion.

        Raises:
            ValueError: the unconditional motion is of another length.
        """
        tokens, slots, joints = condition.tokens, self.config.motion_slots, len(condition.positions)
        if tokens is None:
            if condition.frames * joints != slots:
                learned = f"the learned unconditional motion is for {slots / joints:g} latent frames of {joints} joints"
                remedy = f"sample without guidance (cfg 1) or use windows of {slots / joints:g}"
                raise ValueError(f"{learned}, this video has {condition.frames}: {remedy}")
            tokens = self.unconditional_motion_token
        self._check_bands()
        table = motion_rope(condition.positions, condition.frames, split=MOTION_SPLIT).to(like.device, like.dtype)
        motion = tokens[None].to(like)
        return {number: block.attn0.keys_values(motion, table) for number, block in enumerate(self.transformer_blocks)}

    def read_vision(self, grid: tuple[int, int, int], *, like: Tensor, kept: Kept | None = None) -> RotaryTable:
        """The table of a grid of patches (frames, rows, columns), rounded to the dtype of `like`, as in training."""
        self._check_bands()
        kept = Kept(0) if kept is None else kept
        key = ("vision", type(self), *grid, like.dtype, like.device)
        return kept.keep(key, lambda: vision_rope(*grid, split=VISION_SPLIT).to(like.device, like.dtype))

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        motion: Tensor | MotionReading,
        vision_rope: RotaryTable | None = None,
        motion_rope: RotaryTable | None = None,
        *,
        strength: float = 1.0,
        observe: Observe | None = None,
        cache: ResidualCache | None = None,
        branch: Hashable = None,
    ) -> Tensor:
        """Predict.

        Args:
            latents: (B, F, C, H, W), noisy channels before those of the reference.
            timestep: (B,), 0 to 999.
            motion: what `read_motion` gave, which serves all steps; or (B, L, heads * head_dim) tokens.
            vision_rope: of F * H / patch * W / patch rows; None makes it. motion_rope: of L rows, with tokens alone.
            strength: of the motion attention; 1 as trained, 0 is the backbone. observe: called in every block with its probabilities.
            cache: leaves out the blocks at some steps, see `residual_cache`; `branch` tells the branches of guidance apart in it.

        Returns:
            (B, F, out_channels, H, W).

        Raises:
            ValueError: sizes that do not fit the model or each other.
        """
        self._check_latents(latents, timestep)
        grid = latents.shape[1], latents.shape[3] // self.config.patch, latents.shape[4] // self.config.patch
        vision = (vision_rope or self.read_vision(grid, like=latents)).to(latents.device)
        if vision.cos.shape != (math.prod(grid), self.config.head_dim):
            expected = (math.prod(grid), self.config.head_dim)
            raise ValueError(f"the vision table has shape {tuple(vision.cos.shape)}, these latents need {expected}")
        attended = self._attended(motion, motion_rope, latents)
        time = self.time_embedding(_waves(timestep, self.config.width).to(latents))

        def blocks(x: Tensor) -> Tensor:
            for number, block in enumerate(self.transformer_blocks):
                see = None if observe is None else partial(observe, number)
                x = block(x, time, vision, attended(number), strength=strength, observe=see)
            return x

        x = self.patch_embed(latents)
        if cache is None or observe is not None:
            x = blocks(x)
        else:
            x = cache.through((branch, strength), x, self.transformer_blocks[0].norm1.modulation(time), blocks)
        x = self.proj_out(self.norm_out(self.norm_final(x), time))
        return self._unpatch(x, latents.shape)

    def _attended(self, motion: Tensor | MotionReading, table: RotaryTable | None, latents: Tensor) -> Callable[[int], KeysValues]:
        """What a block attends to, by its number, if the motion fits the latents."""
        if isinstance(motion, MotionReading):
            motion.check(len(latents), latents.shape[1])
            return motion.of
        self._check_motion(motion, table)
        if len(motion) != len(latents):
            raise ValueError(f"motion has a batch of {len(motion)}, the latents of {len(latents)}: repeat one of them")
        motion, table = motion.to(latents), table.to(latents.device)
        return lambda number: self.transformer_blocks[number].attn0.keys_values(motion, table)

    def _unpatch(self, x: Tensor, shape: torch.Size) -> Tensor:
        """(B, F h w, C p p) -> (B, F, C, H, W): inside a token the channel is slowest, then row, then column."""
        patch = self.config.patch
        grid = (shape[1], shape[3] // patch, shape[4] // patch)
        x = x.unflatten(1, grid).unflatten(-1, (self.config.out_channels, patch, patch))  # (B, F, h, w, C, p, p)
        return x.permute(0, 1, 4, 2, 5, 3, 6).flatten(5, 6).flatten(3, 4)

    def _check_bands(self) -> None:
        if self.config.head_dim != sum(MOTION_SPLIT):
            given = self.config.head_dim
            raise ValueError(f"heads of {given} channels have no rotary bands of their own, expected {sum(MOTION_SPLIT)}: pass the tables")

    def _check_latents(self, latents: Tensor, timestep: Tensor) -> None:
        channels, patch = self.config.in_channels, self.config.patch
        if latents.ndim != 5 or latents.shape[2] != channels or 0 in latents.shape:
            raise ValueError(f"latents have shape {tuple(latents.shape)}, this model expects (B, F, {channels}, H, W)")
        batch, _, _, height, width = latents.shape
        if height % patch or width % patch:
            raise ValueError(f"latents are {height} x {width}, this model expects multiples of {patch}: change the size of the video")
        if timestep.shape != (batch,):
            raise ValueError(f"timestep has shape {tuple(timestep.shape)}, expected ({batch},): one for each row of the batch")

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

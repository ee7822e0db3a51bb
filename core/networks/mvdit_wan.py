"""MV-DiT 17B: Wan2.1's image-to-video transformer with motion attention in every fourth block, as MTVCrafter released it.

The module is complete and our own: it takes the original key names, any text length and a host's layers. Every attention is in `wan_blocks`.
"""

from collections.abc import Callable, Hashable, Mapping, Sequence
from functools import partial

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..shapes import check_shapes
from .attention import Attention, KeysValues
from .motion_adapter import WanMotion
from .motion_attention import MotionReading, Observe
from .residual_cache import ResidualCache
from .rope import THETA, RotaryTable
from .state_dicts import filled
from .wan_blocks import BlockContext, WanBlock, modulated
from .wan_config import MVDiTWanConfig as MVDiTWanConfig

PATCH = 2  # rows and columns of latent pixels in a token


class _ImageEmbedding(nn.Module):
    def __init__(self, config: MVDiTWanConfig, ops):
        super().__init__()
        width, dim = config.image_dim, config.dim
        layers = ops.LayerNorm(width), ops.Linear(width, width), nn.GELU(), ops.Linear(width, dim), ops.LayerNorm(dim)
        self.proj = nn.Sequential(*layers)

    def forward(self, image: Tensor) -> Tensor:
        return self.proj(image)


class _Head(nn.Module):
    def __init__(self, config: MVDiTWanConfig, ops):
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, 2, config.dim) / config.dim**0.5)
        self.head = ops.Linear(config.dim, PATCH * PATCH * config.out_channels)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """Tokens (B, N, dim) and time (B, dim) -> (B, N, values of a patch)."""
        shift, scale = (self.modulation.to(time) + time[:, None]).chunk(2, dim=1)  # two of (B, 1, dim)
        return self.head(modulated(x, shift, scale))


def time_sinusoid(timestep: Tensor, channels: int) -> Tensor:
    """(B,) timesteps 0..1000 -> (B, channels) float32, cosines first, with the angles in float64."""
    if timestep.device.type == "mps":  # has no float64
        timestep = timestep.cpu()
    half = channels // 2
    frequencies = THETA ** (-torch.arange(half, dtype=torch.float64, device=timestep.device) / half)
    angles = torch.outer(timestep.to(torch.float64), frequencies)
    return torch.cat([angles.cos(), angles.sin()], 1).to(torch.float32)


def _in_dtype_of_input(layers: nn.Sequential, x: Tensor) -> Tensor:
    """Run layers in the dtype of `x`, wider than their weights. Layers with a forward of their own (a host's, those of scaled fp8) cast
    their weights themselves."""
    for layer in layers:
        if type(layer).forward is nn.Linear.forward:
            x = functional.linear(x, layer.weight.to(x.dtype), layer.bias.to(x.dtype))
        else:
            x = layer(x)
    return x


class MVDiTWan(WanMotion):
    """The transformer with the key names of the original Wan checkpoints, plus `blocks.{i}.norm4` and `blocks.{i}.motion_attn`.

    Without motion attention (`motion_every` 0) it is Wan2.1's own image-to-video model.

    It has no buffers: tables are functions of the sizes, so that a model built on the meta device misses nothing once it is loaded.

    Args:
        ops: the namespace the layers come from (torch.nn, or a host's own layers for offloading).
        attention: what every attention uses in place of torch's own product, see `attention.Attention`.
    """

    def __init__(self, config: MVDiTWanConfig, *, ops=nn, attention: Attention | None = None):
        super().__init__(config)
        dim = config.dim
        patch = (1, PATCH, PATCH)
        self.patch_embedding = ops.Conv3d(config.in_channels, dim, patch, stride=patch)
        self.text_embedding = nn.Sequential(ops.Linear(config.text_dim, dim), nn.GELU("tanh"), ops.Linear(dim, dim))
        self.time_embedding = nn.Sequential(ops.Linear(config.freq_dim, dim), nn.SiLU(), ops.Linear(dim, dim))
        self.time_projection = nn.Sequential(nn.SiLU(), ops.Linear(dim, 6 * dim))
        self.img_emb = _ImageEmbedding(config, ops)
        shared = {"key_layout": config.key_layout, "ops": ops, "attention": attention}
        self.blocks = nn.ModuleList(
            WanBlock(dim, config.heads, config.ffn_dim, motion=index in config.motion_blocks, **shared) for index in range(config.layers)
        )
        self.head = _Head(config, ops)

    @classmethod
    def from_released(
        cls, state_dict: Mapping[str, Tensor], config: MVDiTWanConfig, *, ops=nn, attention: Attention | None = None
    ) -> "MVDiTWan":
        """Build the model around the tensors of a checkpoint, which it takes as they are: dtype, device, memory mapping; without
        gradients.

        A base and an adapter file make one checkpoint: `from_released({**base, **adapter}, config)`.

        Raises:
            ValueError: keys are missing or too many, or a tensor has another shape than `config` asks for.
        """
        remedy = "use a Wan2.1 image-to-video checkpoint with motion attention in its original key names"
        return filled(lambda: cls(config, ops=ops, attention=attention), state_dict, title=cls.__name__, remedy=remedy)

    def embed_time(self, timestep: Tensor, like: Tensor) -> tuple[Tensor, Tensor]:
        """(B,) timesteps -> time (B, dim) for the head, and (B, 6, dim) for the blocks, in the dtype and on the device of `like`.

        The arithmetic is in float32 for any dtype of weights, as the release does it on a GPU.
        """
        wide = torch.promote_types(like.dtype, torch.float32)
        time = _in_dtype_of_input(self.time_embedding, time_sinusoid(timestep, self.config.freq_dim).to(like.device, wide))
        projected = _in_dtype_of_input(self.time_projection, time).unflatten(1, (6, -1))
        return time.to(like.dtype), projected.to(like.dtype)

    def prepare(self, text: Sequence[Tensor], image: Tensor) -> tuple[BlockContext, ...]:
        """Keys and values of text and image, the same at every step and in all windows, for `forward(context=...)`; valid until a weight
        changes.

        Args: as of `forward`; either may have one row for a whole batch.

        Returns:
            What each block reads, in their order.
        """
        config = self.config
        for index, row in enumerate(text):
            if row.ndim != 2 or row.shape[1] != config.text_dim or row.shape[0] > config.text_len:
                expected = f"(L, {config.text_dim}) with L up to {config.text_len}"
                raise ValueError(f"MVDiTWan: text {index} has shape {tuple(row.shape)}, expected {expected}: use the text encoder of Wan")
        check_shapes("MVDiTWan", image=(image, f"B N {config.image_dim}"))
        if not len(text):
            raise ValueError("MVDiTWan: text is empty, expected one tensor for each row, or one for all")
        # Texts are filled with zeros before the embedding, and the filling is attended to.
        padded = torch.stack([functional.pad(row, (0, 0, 0, config.text_len - len(row))) for row in text])
        text_tokens, image_tokens = self.text_embedding(padded), self.img_emb(image)
        return tuple(block.prepare(text_tokens, image_tokens) for block in self.blocks)

    def forward(
        self,
        latents: Tensor,
        timestep: Tensor,
        text: Sequence[Tensor] | None = None,
        image: Tensor | None = None,
        condition: Tensor | None = None,
        motion: Tensor | MotionReading | None = None,
        motion_rope: RotaryTable | None = None,
        *,
        vision_rope: RotaryTable | None = None,
        context: Sequence[BlockContext] | None = None,
        strength: float = 1.0,
        observe: Observe | None = None,
        cache: ResidualCache | None = None,
        branch: Hashable = None,
    ) -> Tensor:
        """Predict the flow, all tensors in the dtype the model computes in.

        Args:
            latents: (B, C, F, H, W) noisy, H and W even. timestep: (B,) 0..1000.
            text: B tensors (L, text_dim), L up to text_len. image: (B, N, image_dim) tokens of the image encoder.
            condition: (B, in_channels - C, F, H, W) mask and masked video.
            motion: what `read_motion` gave, which serves all steps; or (B, L, motion_dim) tokens, frame-major, with one row for each of the
                batch or one for all; None leaves the backbone alone. Released weights know
                L = 312 only, see `wan_blocks.MotionAttention`.
            motion_rope: table of L rows, of `motion_rope(..., split=config.motion_split)`, with tokens alone.
            vision_rope: table of the patches; None for that of a whole clip, `read_vision`.
            context: of `prepare`, in place of text and image.
            strength: of the motion attention; 1 as trained, 0 is the backbone. observe: called in each block that has it.
            cache: leaves out the blocks at some steps, see `residual_cache`; `branch` tells the branches of guidance apart in it.

        Returns:
            (B, out_channels, F, H, W).

        Raises:
            ValueError: shapes that do not fit, or text or image beside a context.
        """
        batch, _, frames, height, width = self._check_video(latents, timestep, condition)
        if context is None:
            if text is None or image is None:
                raise ValueError("MVDiTWan: text or image is missing, expected both, or a context in their place")
            context = self.prepare(text, image)
        elif text is not None or image is not None:
            raise ValueError("MVDiTWan: text or image beside a context, which holds them already: give one or the other")
        self._check_context(context, batch)
        attended = self._attended(motion, motion_rope, latents)
        rows = motion.rows if isinstance(motion, MotionReading) else None
        x = self.patch_embedding(torch.cat([latents, condition], 1)).flatten(2).transpose(1, 2)  # (B, N, dim)
        grid = frames, height // PATCH, width // PATCH
        vision = (vision_rope or self.read_vision(grid, like=latents)).to(x.device)
        time, projected = self.embed_time(timestep, x)

        def blocks(x: Tensor) -> Tensor:
            for number, (block, part) in enumerate(zip(self.blocks, context, strict=True)):
                see = None if observe is None else partial(observe, number)
                read = attended(number) if block.has_motion else None
                x = block(x, projected, vision, part, read, strength=strength, rows=rows, observe=see)
            return x

        if cache is None or observe is not None:
            x = blocks(x)
        else:
            x = cache.through((branch, strength), x, projected, blocks)
        patches = self.head(x, time).view(batch, *grid, PATCH, PATCH, self.config.out_channels)
        return patches.permute(0, 6, 1, 2, 4, 3, 5).reshape(batch, self.config.out_channels, frames, height, width)

    def _attended(
        self, motion: Tensor | MotionReading | None, table: RotaryTable | None, latents: Tensor
    ) -> Callable[[int], KeysValues | None]:
        """What a block with motion attention attends to, by its number, if the motion fits the latents."""
        if motion is None:
            return lambda number: None
        if isinstance(motion, MotionReading):
            motion.check(len(latents), latents.shape[2])
            return motion.of
        self.check_attention()
        check_shapes("MVDiTWan", motion=(motion, f"B L {self.config.motion_dim}"))
        places = (motion.shape[1], self.config.head_dim)
        if table is None or table.cos.shape != places:
            given = "none" if table is None else tuple(table.cos.shape)
            raise ValueError(f"MVDiTWan: the rotary table of the motion is {given}, expected {places}: one row for each motion token")
        if len(motion) not in (1, len(latents)):
            raise ValueError(f"MVDiTWan: motion has {len(motion)} rows, expected {len(latents)} as the latents have, or 1 for all")
        padded, table = self.pad_motion(motion), table.to(motion.device)
        return lambda number: self.blocks[number].motion_attn.keys_values(padded, table)

    def _check_video(self, latents: Tensor, timestep: Tensor, condition: Tensor | None) -> tuple[int, ...]:
        """The shape of the latents, if it fits."""
        check_shapes("MVDiTWan", latents=(latents, "B C F H W"), timestep=(timestep, "B"), condition=(condition, "B Cc F H W"))
        channels = latents.shape[1], 0 if condition is None else condition.shape[1]
        if condition is None or sum(channels) != self.config.in_channels:
            expected = f"expected {self.config.in_channels} together"
            raise ValueError(f"MVDiTWan: latents have {channels[0]} channels and the condition {channels[1]}, {expected}")
        if latents.shape[3] % PATCH or latents.shape[4] % PATCH:
            size = f"{latents.shape[3]} x {latents.shape[4]}"
            raise ValueError(f"MVDiTWan: latents are {size}, expected even numbers: make the sides of the video multiples of 16 pixels")
        return tuple(latents.shape)

    def _check_context(self, context: Sequence[BlockContext], batch: int) -> None:
        if len(context) != len(self.blocks):
            raise ValueError(f"MVDiTWan: the context is for {len(context)} blocks, the model has {len(self.blocks)}: prepare it again")
        for name in ("text", "image"):
            part = getattr(context[0], name)
            if len(part.keys) not in (1, batch):
                raise ValueError(f"MVDiTWan: {name} has {len(part.keys)} rows, expected {batch} as the latents have, or 1 for all")

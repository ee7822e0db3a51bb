"""The layers of Wan2.1's image-to-video transformer (arXiv 2503.20314, section 4.2) and the motion attention that MTVCrafter adds to it.

Names of the parts are those of the original checkpoints. Keys and values of text, image and motion depend on neither the noise nor the
timestep: they are made once (`WanBlock.prepare`, `MotionAttention.keys_values`), and read at every step.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional

from .attention import Attention, KeysValues, dot_product_attention, merge_heads, split_heads
from .motion_attention import add_motion
from .rope import THETA, RotaryTable, rotate

KEY_LAYOUTS = ("released", "transposed")
EPSILON = 1e-6


def vision_split(head_dim: int) -> tuple[int, int, int]:
    """Channels of a head that turn with frame, row and column: two sixths each for row and column, the rest for the frame."""
    return head_dim - 4 * (head_dim // 6), 2 * (head_dim // 6), 2 * (head_dim // 6)


def wan_rope(frames: int, height: int, width: int, *, head_dim: int = 128, dtype: torch.dtype = torch.float32) -> RotaryTable:
    """Table of Wan's patch grid, rows in the order frame, row, column, with all angles in float64.

    Args:
        frames, height, width: size of the patch grid.
        dtype: of the finished table. With float64, `rotate` gives the numbers of Wan's complex128 multiplication.

    Returns:
        RotaryTable of frames * height * width rows, on the CPU.
    """
    if min(frames, height, width) < 1:
        raise ValueError(f"the patch grid is {frames} x {height} x {width}, expected at least 1 each way")
    bands = []
    # The device is named because models are built inside torch.device("meta"), where a table would have no numbers.
    sizes = [torch.arange(size, dtype=torch.float64, device="cpu") for size in (frames, height, width)]
    for positions, channels in zip(torch.meshgrid(*sizes, indexing="ij"), vision_split(head_dim), strict=True):
        frequencies = THETA ** (-torch.arange(0, channels, 2, dtype=torch.float64, device="cpu") / channels)
        bands.append(torch.outer(positions.flatten(), frequencies))
    angles = torch.cat(bands, 1).repeat_interleave(2, dim=1)  # (N, head_dim)
    return RotaryTable(angles.cos().to(dtype), angles.sin().to(dtype))


@dataclass(frozen=True, eq=False)
class BlockContext:
    """What one block reads of text and image; a single row stands for all of a batch."""

    text: KeysValues
    image: KeysValues


class _Attention(nn.Module):
    """What the three attentions share: projections, and a root-mean-square norm of queries and keys over all heads together."""

    def __init__(self, dim: int, heads: int, *, ops=nn, attention: Attention | None = None):
        super().__init__()
        self.heads = heads
        self.attention = attention or dot_product_attention
        self.q, self.k, self.v, self.o = (ops.Linear(dim, dim) for _ in range(4))
        self.norm_q, self.norm_k = (ops.RMSNorm(dim, eps=EPSILON) for _ in range(2))

    def queries(self, x: Tensor) -> Tensor:
        """(B, N, dim) -> (B, heads, N, D)."""
        return split_heads(self.norm_q(self.q(x)), self.heads)

    def attend(self, queries: Tensor, attended: KeysValues) -> Tensor:
        """(B, heads, N, D) -> (B, N, dim), before the output projection."""
        attended = attended.expand(len(queries))
        return merge_heads(self.attention(queries, attended.keys, attended.values))


class SelfAttention(_Attention):
    """Attention of all video tokens to all, queries and keys turned by their place."""

    def forward(self, x: Tensor, table: RotaryTable) -> Tensor:
        keys = split_heads(self.norm_k(self.k(x)), self.heads)
        attended = KeysValues(rotate(keys, table), split_heads(self.v(x), self.heads))
        return self.o(self.attend(rotate(self.queries(x), table), attended))


class CrossAttention(_Attention):
    """Attention to the text and, separately, to the image; both are added before the one output projection."""

    def __init__(self, dim: int, heads: int, *, ops=nn, attention: Attention | None = None):
        super().__init__(dim, heads, ops=ops, attention=attention)
        self.k_img, self.v_img = (ops.Linear(dim, dim) for _ in range(2))
        self.norm_k_img = ops.RMSNorm(dim, eps=EPSILON)

    def keys_values(self, text: Tensor, image: Tensor) -> tuple[KeysValues, KeysValues]:
        """Keys and values of text (B, Lt, dim) and image (B, Li, dim)."""
        of_text = KeysValues(split_heads(self.norm_k(self.k(text)), self.heads), split_heads(self.v(text), self.heads))
        of_image = KeysValues(split_heads(self.norm_k_img(self.k_img(image)), self.heads), split_heads(self.v_img(image), self.heads))
        return of_text, of_image

    def forward(self, x: Tensor, text: KeysValues, image: KeysValues) -> Tensor:
        queries = self.queries(x)
        return self.o(self.attend(queries, text) + self.attend(queries, image))


class MotionAttention(_Attention):
    """Attention of video tokens to motion tokens, an injection after the cross-attention of a block (MTVCrafter, section 3.3):

        x = add_motion(x, motion_attn, vision_table, motion_attn.keys_values(motion, motion_table), norm=norm4)

    The output projection starts at zero, so that an untrained injection leaves its host as it is.

    Args:
        key_layout: "released" or "transposed". The released 17B weights were trained with keys (B, L, heads * D) that were viewed as
            (B, heads, L, D) in memory order, without the transposition that queries and values get: slot l of head h holds chunk c of
            token j, where h * L + l = j * heads + c, and yet turns by the place of token l. Each head so sees the keys of L / heads
            neighbouring tokens under the values of all. The weights have learned this, and only for the one L they were trained with,
            312. "transposed" is for models trained without it.
    """

    def __init__(self, dim: int, heads: int, *, key_layout: str = "released", ops=nn, attention: Attention | None = None):
        if key_layout not in KEY_LAYOUTS:
            raise ValueError(f"key_layout is {key_layout!r}, expected one of {', '.join(KEY_LAYOUTS)}")
        super().__init__(dim, heads, ops=ops, attention=attention)
        self.key_layout = key_layout
        for parameter in self.o.parameters():
            nn.init.zeros_(parameter)

    def keys_values(self, motion: Tensor, table: RotaryTable) -> KeysValues:
        """Keys and values of motion tokens (B, L, dim), whose places are the L rows of `table`."""
        keys = self.norm_k(self.k(motion))
        if self.key_layout == "released":
            keys = keys.reshape(len(keys), self.heads, motion.shape[1], -1)
        else:
            keys = split_heads(keys, self.heads)
        return KeysValues(rotate(keys, table), split_heads(self.v(motion), self.heads))

    def turned_queries(self, x: Tensor, table: RotaryTable) -> Tensor:
        """(B, N, dim) -> (B, heads, N, D)."""
        return rotate(self.queries(x), table)

    def forward(self, x: Tensor, table: RotaryTable, attended: KeysValues) -> Tensor:
        """Video tokens (B, N, dim), already normalised, whose places are the N rows of `table` -> (B, N, dim) to be added to them."""
        return self.o(self.attend(self.turned_queries(x, table), attended))


def modulated(x: Tensor, shift: Tensor, scale: Tensor) -> Tensor:
    """Layer norm without weights, then scale and shift (B, 1, dim)."""
    return functional.layer_norm(x, x.shape[-1:], eps=EPSILON) * (1 + scale) + shift


class WanBlock(nn.Module):
    """Self-attention, cross-attention, motion attention where the block has one, feed-forward; the first and last are gated by time."""

    def __init__(
        self, dim: int, heads: int, ffn_dim: int, *, motion: bool, key_layout: str = "released", ops=nn, attention: Attention | None = None
    ):
        super().__init__()
        self.modulation = nn.Parameter(torch.randn(1, 6, dim) / dim**0.5)
        self.self_attn = SelfAttention(dim, heads, ops=ops, attention=attention)
        self.norm3 = ops.LayerNorm(dim, eps=EPSILON)
        self.cross_attn = CrossAttention(dim, heads, ops=ops, attention=attention)
        if motion:
            self.norm4 = ops.LayerNorm(dim, eps=EPSILON)
            self.motion_attn = MotionAttention(dim, heads, key_layout=key_layout, ops=ops, attention=attention)
        self.ffn = nn.Sequential(ops.Linear(dim, ffn_dim), nn.GELU("tanh"), ops.Linear(ffn_dim, dim))
        self.has_motion = motion

    def prepare(self, text: Tensor, image: Tensor) -> BlockContext:
        """Keys and values of text (B, Lt, dim) and image (B, Li, dim)."""
        return BlockContext(*self.cross_attn.keys_values(text, image))

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        rope: RotaryTable,
        context: BlockContext,
        motion: KeysValues | None = None,
        *,
        strength: float = 1.0,
        rows: tuple[int, ...] | None = None,
        observe: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Video tokens (B, N, dim) and the projected time (B, 6, dim) -> (B, N, dim); motion, strength, rows and observe as of `add_motion`."""
        parts = (self.modulation.to(time) + time).unsqueeze(2).unbind(1)  # six of (B, 1, dim)
        shift, scale, gate, ffn_shift, ffn_scale, ffn_gate = parts
        x = x + gate * self.self_attn(modulated(x, shift, scale), rope)
        x = x + self.cross_attn(self.norm3(x), context.text, context.image)
        if self.has_motion:
            injected = {"norm": self.norm4, "strength": strength, "rows": rows, "observe": observe}
            x = add_motion(x, self.motion_attn, rope, motion, **injected)
        return x + ffn_gate * self.ffn(modulated(x, ffn_shift, ffn_scale))

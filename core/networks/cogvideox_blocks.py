"""The layers of CogVideoX's transformer (arXiv 2408.06072) without its text stream, as MTVCrafter's 7B model uses them.

Names of the parts are those of the checkpoints.
"""

from collections.abc import Callable

from torch import Tensor, nn
from torch.nn import functional

from .attention import Attention, KeysValues, merge_heads, split_heads
from .motion_attention import add_motion
from .rope import RotaryTable, rotate

NORM_EPS = 1e-5
HEAD_NORM_EPS = 1e-6


class AdaNorm(nn.Module):
    """Layer norm, shifted and scaled by the time; with the gate for what follows it."""

    def __init__(self, width: int, time_dim: int, ops):
        super().__init__()
        self.linear = ops.Linear(time_dim, 6 * width)
        self.norm = ops.LayerNorm(width, eps=NORM_EPS)

    def modulation(self, time: Tensor) -> Tensor:
        """(B, time_dim) -> (B, 3 * width): shift, scale, gate. The second half of the linear layer was for text tokens."""
        return self.linear(functional.silu(time)).chunk(2, -1)[0]

    def forward(self, x: Tensor, time: Tensor) -> tuple[Tensor, Tensor]:
        """(B, N, width), (B, time_dim) -> (B, N, width) and the gate (B, 1, width)."""
        shift, scale, gate = self.modulation(time)[:, None].chunk(3, -1)
        return self.norm(x) * (1 + scale) + shift, gate


class AdaNormOut(nn.Module):
    """The last norm, shifted and scaled by the time."""

    def __init__(self, width: int, time_dim: int, ops):
        super().__init__()
        self.linear = ops.Linear(time_dim, 2 * width)
        self.norm = ops.LayerNorm(width, eps=NORM_EPS)

    def forward(self, x: Tensor, time: Tensor) -> Tensor:
        """(B, N, width), (B, time_dim) -> (B, N, width)."""
        shift, scale = self.linear(functional.silu(time))[:, None].chunk(2, -1)
        return self.norm(x) * (1 + scale) + shift


class HeadNormAttention(nn.Module):
    """Attention with queries and keys normalised in each head, then turned by their own tables."""

    def __init__(self, heads: int, head_dim: int, ops, attention: Attention):
        super().__init__()
        self.heads, self.attention = heads, attention
        width = heads * head_dim
        self.norm_q = ops.LayerNorm(head_dim, eps=HEAD_NORM_EPS)
        self.norm_k = ops.LayerNorm(head_dim, eps=HEAD_NORM_EPS)
        self.to_q = ops.Linear(width, width)
        self.to_k = ops.Linear(width, width)
        self.to_v = ops.Linear(width, width)
        self.to_out = nn.ModuleList([ops.Linear(width, width)])

    def keys_values(self, source: Tensor, table: RotaryTable) -> KeysValues:
        """Of tokens (B, L, D)."""
        keys = rotate(self.norm_k(split_heads(self.to_k(source), self.heads)), table)
        return KeysValues(keys, split_heads(self.to_v(source), self.heads))

    def turned_queries(self, x: Tensor, table: RotaryTable) -> Tensor:
        """(B, N, D) -> (B, heads, N, d)."""
        return rotate(self.norm_q(split_heads(self.to_q(x), self.heads)), table)

    def forward(self, x: Tensor, table: RotaryTable, attended: KeysValues) -> Tensor:
        """(B, N, D) -> (B, N, D)."""
        attended = attended.expand(len(x))
        return self.to_out[0](merge_heads(self.attention(self.turned_queries(x, table), attended.keys, attended.values)))


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


class CogVideoXBlock(nn.Module):
    """Self-attention, motion attention, feed-forward; the first and last are gated by time, motion is added to what stands after the first."""

    def __init__(self, heads: int, head_dim: int, time_dim: int, ops, attention: Attention):
        super().__init__()
        width = heads * head_dim
        self.attn0 = HeadNormAttention(heads, head_dim, ops, attention)  # to the motion
        self.norm1 = AdaNorm(width, time_dim, ops)
        self.attn1 = HeadNormAttention(heads, head_dim, ops, attention)  # to the video itself
        self.norm2 = AdaNorm(width, time_dim, ops)
        self.ff = _FeedForward(width, ops)

    def forward(
        self,
        x: Tensor,
        time: Tensor,
        vision: RotaryTable,
        motion: KeysValues | None,
        *,
        strength: float = 1.0,
        rows: tuple[int, ...] | None = None,
        observe: Callable[[Tensor], None] | None = None,
    ) -> Tensor:
        """Video tokens (B, N, width) and the time (B, time_dim) -> (B, N, width); the rest as of `add_motion`."""
        normed, gate = self.norm1(x, time)
        x = x + gate * self.attn1(normed, vision, self.attn1.keys_values(normed, vision))
        x = add_motion(x, self.attn0, vision, motion, strength=strength, rows=rows, observe=observe)
        normed, gate = self.norm2(x, time)
        return x + gate * self.ff(normed)

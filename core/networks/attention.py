"""What the attention layers of all networks share: the layout of heads, and the product itself, which a host may replace by its own."""

from collections.abc import Callable
from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

# (q (B, heads, N, d), k (B, heads, L, d), v (B, heads, L, d)) -> (B, heads, N, d): softmax(q k^T / sqrt(d)) v, without mask or dropout.
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class KeysValues:
    """keys, values: (B, heads, L, d), ready for the product. What is attended to often outlives a step: these can be kept."""

    keys: Tensor
    values: Tensor


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch's own product, for networks that are given no other."""
    return functional.scaled_dot_product_attention(q, k, v)


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, heads * d) -> (B, heads, L, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, L, d) -> (B, L, heads * d)."""
    return x.transpose(1, 2).flatten(2)

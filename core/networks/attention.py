"""What the attention layers of all networks share: the layout of heads, and the product itself, which a host may replace by its own."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

# (q (B, heads, N, d), k (B, heads, L, d), v (B, heads, L, d)) -> (B, heads, N, d): softmax(q k^T / sqrt(d)) v, without mask or dropout.
Attention = Callable[[Tensor, Tensor, Tensor], Tensor]


@dataclass(frozen=True, eq=False)
class KeysValues:
    """keys, values: (B, heads, L, d), ready for the product. What is attended to often outlives a step: these can be kept."""

    keys: Tensor
    values: Tensor

    def expand(self, rows: int) -> "KeysValues":
        """As many rows as asked for, without a copy, where there is one; what has them already stays as it is."""
        return KeysValues(self.keys.expand(rows, -1, -1, -1), self.values.expand(rows, -1, -1, -1))


def dot_product_attention(q: Tensor, k: Tensor, v: Tensor) -> Tensor:
    """torch's own product, for networks that are given no other."""
    return functional.scaled_dot_product_attention(q, k, v)


def mean_probabilities(queries: Tensor, keys: Tensor) -> Tensor:
    """What the product weighs the values by, mean over heads: (B, heads, N, d), (B or 1, heads, L, d) -> (B, N, L) float32.

    Head by head, so that (B, heads, N, L) is never in memory.
    """
    heads, size = queries.shape[1], queries.shape[3]
    total = torch.zeros(1, device=queries.device)
    for head in range(heads):
        scores = queries[:, head].float() @ keys[:, head].float().mT / size**0.5
        total = total + scores.softmax(-1)
    return total / heads


def split_heads(x: Tensor, heads: int) -> Tensor:
    """(B, L, heads * d) -> (B, heads, L, d)."""
    return x.unflatten(-1, (heads, -1)).transpose(1, 2)


def merge_heads(x: Tensor) -> Tensor:
    """(B, heads, L, d) -> (B, L, heads * d)."""
    return x.transpose(1, 2).flatten(2)

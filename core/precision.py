"""The numbers that weights are kept in: one dtype for a model, or fp8 with a scale for each weight."""

from collections import Counter
from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor, nn

from .checkpoints import DTYPES, FP8, PRECISIONS, SCALE, in_dtype, is_scaled, scale_of, unify_scales

BESIDE_FP8 = torch.bfloat16  # what everything that is not fp8 becomes in a model with fp8 weights


class Quantise(Protocol):
    """See `networks.scaled_fp8.quantise`."""

    def __call__(self, weight: Tensor) -> tuple[Tensor, Tensor]:
        """A weight -> the same in fp8, and its scale () in float32."""


def check_precision(precision: str) -> None:
    """ValueError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")


def stays_scaled(state: Mapping[str, Tensor], precision: str) -> bool:
    """Whether a checkpoint in that precision has fp8 weights."""
    return precision == "fp8 scaled" or (precision == "as stored" and is_scaled(state))


def stored_dtype(state: Mapping[str, Tensor]) -> torch.dtype:
    """The dtype of most numbers of a checkpoint that are not fp8; float32 where it has none."""
    counts: Counter[torch.dtype] = Counter()
    for value in state.values():
        if value.is_floating_point() and value.dtype not in FP8:
            counts[value.dtype] += value.numel()
    return counts.most_common(1)[0][0] if counts else torch.float32


def plain(state: dict[str, Tensor], precision: str) -> dict[str, Tensor]:
    """The checkpoint in one dtype without fp8; empties `state` on the way, so that no tensor is held twice.

    Args:
        precision: a dtype, or "as stored" for a checkpoint without fp8 weights.
    """
    state, unified = unify_scales(state), state
    unified.clear()
    dtype = DTYPES.get(precision) or stored_dtype(state)
    scales = {key: state.pop(key) for key in [key for key in state if key.endswith(SCALE)]}
    for key in list(state):
        scale = scales.get(scale_of(key))
        state[key] = in_dtype(state.pop(key), dtype, scale)
    return state


def scaled(state: dict[str, Tensor], linears: Mapping[str, nn.Module], quantise: Quantise) -> dict[str, Tensor]:
    """The checkpoint for a model whose linear layers hold a weight and its scale: empties `state` on the way.

    Args:
        linears: the layers by name. Their weights that are fp8 stay as they are. Of the others those of blocks become fp8, and the few
            outside of the blocks, which speak for the whole model, stay wide with a scale of one.
    """
    state, unified = unify_scales(state), state
    unified.clear()
    for key in [key for key in state if not key.endswith(SCALE)]:
        value, layer = state.pop(key), key.removesuffix(".weight")
        if key.endswith(".weight") and layer in linears:
            if value.dtype in FP8:
                scale = state.pop(layer + SCALE, torch.ones(()))
            elif "blocks." in layer:
                value, scale = quantise(value)
            else:
                value, scale = value.to(BESIDE_FP8), torch.ones(())
            state[layer + SCALE] = scale
        else:
            value = in_dtype(value, BESIDE_FP8, state.pop(scale_of(key), None))
        state[key] = value
    return state

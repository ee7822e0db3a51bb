"""The numbers that weights are kept in: one dtype for a model, or fp8 with a scale for each weight."""

from collections import Counter
from collections.abc import Collection, Mapping

import torch
from torch import Tensor

from .checkpoints import DTYPES, FP8, PRECISIONS, SCALE, in_dtype, is_scaled, scale_of, unify_scales
from .networks.scaled_fp8 import quantise

BESIDE_FP8 = torch.bfloat16  # what everything that is not fp8 becomes in a model with fp8 weights


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


def scaled(state: dict[str, Tensor], linears: Collection[str], precision: str) -> dict[str, Tensor]:
    """The checkpoint for a model of `scaled_fp8.ScaledOps`; empties `state` on the way.

    Args:
        linears: names of the weights of linear layers. Those that are fp8 stay as they are.
        precision: with "fp8 scaled" the others see `becomes_fp8`, with "as stored" they become BESIDE_FP8 like everything else.
    """
    state, unified = unify_scales(state), state
    unified.clear()
    for key in [key for key in state if not key.endswith(SCALE)]:
        value = state.pop(key)
        if key in linears and value.dtype in FP8:
            state[key] = value
        elif key in linears and precision == "fp8 scaled" and becomes_fp8(key, value):
            state |= quantise({key: value}, [key])
        else:
            state[key] = in_dtype(value, BESIDE_FP8, state.pop(scale_of(key), None))
    return state


def becomes_fp8(key: str, value: Tensor) -> bool:
    """Whether a tensor of a video model is a matrix whose errors average out: the few outside of the blocks, and those that turn the time
    into scales and shifts of everything, stay wide."""
    return key.endswith(".weight") and value.ndim == 2 and "blocks." in key and ".norm" not in key

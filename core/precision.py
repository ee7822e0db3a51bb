"""The numbers that weights are kept in: one dtype for a model, or fp8 with a scale for each weight, in any of the spellings that ComfyUI has
had for that."""

import json
from collections import Counter
from collections.abc import Callable, Collection, Mapping

import torch
from torch import Tensor

from .networks.scaled_fp8 import FP8, SCALE, quantise, scale_of
from .networks.state_dicts import shortly

PRECISIONS = ("as stored", "bfloat16", "float16", "float32", "fp8 scaled")
DTYPES = {name: getattr(torch, name) for name in PRECISIONS[1:4]}
BESIDE_FP8 = torch.bfloat16  # what everything that is not fp8 becomes in a model with fp8 weights

_SCALES = (SCALE, ".weight_scale")
_INPUT_SCALES = (".scale_input", ".input_scale")
_MARKS = ("scaled_fp8", ".comfy_quant")


def check_precision(precision: str) -> None:
    """ValueError unless it is one of PRECISIONS."""
    if precision not in PRECISIONS:
        raise ValueError(f"precision is {precision!r}, expected one of {', '.join(PRECISIONS)}")


def is_scaled(state: Mapping[str, Tensor]) -> bool:
    """Whether weights of a checkpoint are in fp8."""
    return any(value.dtype in FP8 for key, value in state.items() if not key.endswith(_MARKS))


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


def becomes_fp8(key: str, value: Tensor) -> bool:
    """Whether a tensor of a video model is a matrix whose errors average out: the few outside of the blocks, and those that turn the time
    into scales and shifts of everything, stay wide."""
    return key.endswith(".weight") and value.ndim == 2 and "blocks." in key and ".norm" not in key


# Each of these empties `state` on the way, so that no tensor is held twice, and raises ValueError as `unify_scales`.


def plain(state: dict[str, Tensor], precision: str) -> dict[str, Tensor]:
    """The checkpoint in one dtype without fp8.

    Args:
        precision: a dtype, or "as stored" for a checkpoint without fp8 weights.
    """
    dtype = DTYPES.get(precision) or stored_dtype(state)
    return _unscaled(state, lambda _: dtype)


def dequantise(state: dict[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    """The checkpoint without fp8: such weights become `dtype`, everything else stays as it is."""
    return _unscaled(state, lambda stored: dtype if stored in FP8 else stored)


def scaled(state: dict[str, Tensor], linears: Collection[str], precision: str) -> dict[str, Tensor]:
    """The checkpoint for a model of `scaled_fp8.ScaledOps`.

    Args:
        linears: names of the weights of linear layers. Those that are fp8 stay as they are.
        precision: with "fp8 scaled" the others see `becomes_fp8`, with "as stored" they become BESIDE_FP8 like everything else.
    """
    unified = unify_scales(state)
    state.clear()
    for key in [key for key in unified if not key.endswith(SCALE)]:
        value = unified.pop(key)
        if key in linears and value.dtype in FP8:
            unified[key] = value
        elif key in linears and precision == "fp8 scaled" and becomes_fp8(key, value):
            unified |= quantise({key: value}, [key])
        else:
            unified[key] = in_dtype(value, BESIDE_FP8, unified.pop(scale_of(key), None))
    return unified


def _unscaled(state: dict[str, Tensor], becomes: Callable[[torch.dtype], torch.dtype]) -> dict[str, Tensor]:
    unified = unify_scales(state)
    state.clear()
    scales = {key: unified.pop(key) for key in list(unified) if key.endswith(SCALE)}
    for key, value in unified.items():
        unified[key] = in_dtype(value, becomes(value.dtype), scales.get(scale_of(key)))
    return unified


def in_dtype(value: Tensor, dtype: torch.dtype, scale: Tensor | None = None) -> Tensor:
    """A tensor in another dtype, multiplied by its scale; one of whole numbers as it is."""
    if not value.is_floating_point():
        return value
    return value.to(dtype) if scale is None else (value.float() * scale).to(dtype)


# --- spellings ---


def unify_scales(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The same checkpoint with the scales of its fp8 weights under one spelling, X.scale_weight in float32, and without other marks.

    Raises:
        ValueError: weights in another packed form than fp8 with one scale.
    """
    unified = {}
    for key, value in state.items():
        if key.endswith(".comfy_quant"):
            _check_form(key, value)
        elif key.endswith(_SCALES):
            unified[key.rpartition(".")[0] + SCALE] = _scale(key, value)
        elif not key.endswith((*_INPUT_SCALES, *_MARKS)):
            unified[key] = value
    lone = [
        key for key in unified if key.endswith(SCALE) and unified.get(key.removesuffix(SCALE) + ".weight", torch.empty(0)).dtype not in FP8
    ]
    if lone:
        raise ValueError(f"the checkpoint has {shortly(lone)}, but no fp8 weights that go with them: use a bf16, fp16 or fp8 file")
    return unified


def _scale(key: str, value: Tensor) -> Tensor:
    if value.numel() != 1:
        raise ValueError(f"{key} has {value.numel()} scales for one weight, expected 1: use a bf16, fp16 or fp8 (tensor-wise scaled) file")
    return value.reshape(()).float()


def _check_form(key: str, value: Tensor) -> None:
    try:
        form = json.loads(bytes(value.to(torch.uint8).tolist()))["format"]
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{key} cannot be read ({error}): download the file again") from error
    if form not in {str(dtype).removeprefix("torch.") for dtype in FP8}:
        raise ValueError(f"{key} says that its weight is packed as {form}, which is not read here: use a bf16, fp16 or fp8 file")

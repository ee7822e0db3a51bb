"""Precisions of checkpoints as ComfyUI keeps them in memory: it casts, offloads and dequantises by its own rules."""

import json
from collections.abc import Mapping
from typing import Any

import comfy.utils
import torch
from torch import Tensor

from ...core.checkpoints import check_finite
from ...core.networks.scaled_fp8 import quantise
from ...core.precision import BESIDE_FP8, DTYPES, becomes_fp8, check_precision, dequantise, is_scaled

_LAYERS = "_quantization_metadata"  # where a file of ComfyUI's lists the layers it has quantised


def prepared(
    state: dict[str, Tensor], metadata: Mapping[str, str], precision: str, title: str
) -> tuple[dict[str, Tensor], dict[str, str], dict[str, Any]]:
    """Tensors, metadata and model_options for ComfyUI's loaders, and for ours after their example.

    Args:
        state: is emptied where another copy takes its place. precision: of PRECISIONS; "as stored" leaves the choice to ComfyUI.
        title: names the file where a value is NaN or infinite.
    """
    check_precision(precision)
    check_finite(state, title)
    told = dict(metadata)
    if precision == "fp8 scaled" and not _is_packed(state, told):
        state = _in_fp8(state)
    elif precision in DTYPES and is_scaled(state):
        state = dequantise(state, DTYPES[precision])
        told.pop(_LAYERS, None)
    return state, told, {"dtype": DTYPES[precision]} if precision in DTYPES else {}


def without_layers(metadata: Mapping[str, str], layers: str) -> dict[str, str]:
    """Metadata without the quantised layers whose names contain `layers`, whose tensors are gone."""
    told = dict(metadata)
    if _LAYERS in told:
        table = json.loads(told[_LAYERS])
        table["layers"] = {name: form for name, form in table.get("layers", {}).items() if layers not in name}
        told[_LAYERS] = json.dumps(table)
    return told


def _is_packed(state: Mapping[str, Tensor], metadata: Mapping[str, str]) -> bool:
    return is_scaled(state) or _LAYERS in metadata or any(key.endswith(".comfy_quant") for key in state)


def _in_fp8(state: dict[str, Tensor]) -> dict[str, Tensor]:
    """The matrices of the blocks in fp8 with a scale, in the layout that all versions of ComfyUI read; empties `state`."""
    result: dict[str, Tensor] = {}
    for key in list(state):
        value = state.pop(key)
        if becomes_fp8(key, value):
            result |= quantise({key: value}, [key])
        else:
            result[key] = value.to(BESIDE_FP8) if value.is_floating_point() else value
    # Two numbers here say that products are taken in the dtype of the input; one number, in fp8.
    return result | {"scaled_fp8": torch.zeros(2, dtype=torch.float8_e4m3fn)}


def unpacked(state: dict[str, Tensor], metadata: dict[str, str]) -> tuple[dict[str, Tensor], bool]:
    """The tensors in the layout that ComfyUI's quantised layers load, and whether there are any."""
    state, _ = comfy.utils.convert_old_quants(state, "", metadata=metadata)
    return state, bool(comfy.utils.detect_layer_quantization(state, ""))

"""Low-rank additions merged into the weights of a model (LoRA, arXiv 2106.09685): W + strength * alpha / rank * up @ down."""

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from .scaled_fp8 import ScaledLinear
from .state_dicts import shortly

PREFIXES = ("diffusion_model.", "transformer.", "")
# Ending of a key -> what it holds. Two vocabularies for the same pair, and additions of full size.
ENDINGS = {
    ".lora_down.weight": "down",
    ".lora_up.weight": "up",
    ".lora_A.weight": "down",
    ".lora_B.weight": "up",
    ".alpha": "alpha",
    ".diff": "diff",
    ".diff_b": "diff_b",
}
UNREAD = (".dora_scale", ".lora_mid.weight")  # beside a pair, they change what it means


def merge_lora(module: nn.Module, state: Mapping[str, Tensor], strength: float = 1.0) -> int:
    """Add a LoRA to the weights of a model, in float32, and put the results in place of the weights.

    No tensor that was there is written to, mapped files stay as they are: loading the model again undoes it exactly. An fp8 weight with a
    scale is made wide, added to, and quantised again with a new scale; each merge rounds it once more.

    Args:
        state: keys `NAME.lora_down.weight` and `NAME.lora_up.weight` (or `lora_A`, `lora_B`), with `NAME.alpha` (without it the factor is 1),
            `NAME.diff` for a weight, `NAME.diff_b` for a bias; NAME is a layer of the model, alone or after one of PREFIXES. Names of layers
            that the model does not have are left out: LoRAs of related models fit in part.
        strength: factor of all of it.

    Returns:
        How many tensors of the model have changed.

    Raises:
        ValueError: no name fits, half of a pair is missing, a shape does not fit, or it is of another kind than a pair of matrices for each
            layer; nothing has changed then.
    """
    if not abs(strength) < float("inf"):
        raise ValueError(f"the strength of the LoRA is {strength}, expected a finite number: 1 as trained")
    if other := [key for key in state if key.endswith(UNREAD)]:
        raise ValueError(f"the LoRA has {shortly(other)}, which is not merged here: use a LoRA without, or load it in ComfyUI")
    changes = _changes(module, state)
    if not changes:
        named = f"{len(state)} tensors ({shortly(list(state))})"
        raise ValueError(f"none of {named} fits {type(module).__name__}: choose a LoRA of this model")
    for name, sources in changes.items():
        _check(module, name, sources, state)
    for name, sources in changes.items():
        layer, _, leaf = name.rpartition(".")
        _add(module.get_submodule(layer), leaf, _difference(sources, state) * strength)
    return len(changes)


def _changes(module: nn.Module, state: Mapping[str, Tensor]) -> dict[str, dict[str, str]]:
    """For each parameter of the module that the state adds to, the keys of what is added, by what they hold."""
    parameters = dict(module.named_parameters())
    changes: dict[str, dict[str, str]] = {}
    for key in state:
        ending = next((ending for ending in ENDINGS if key.endswith(ending)), None)
        if ending is None:
            continue
        leaf = "bias" if ENDINGS[ending] == "diff_b" else "weight"
        layers = (key.removesuffix(ending).removeprefix(prefix) for prefix in PREFIXES)
        name = next((f"{layer}.{leaf}" for layer in layers if f"{layer}.{leaf}" in parameters), None)
        if name is not None:
            changes.setdefault(name, {})[ENDINGS[ending]] = key
    # A factor alone changes nothing.
    return {name: sources for name, sources in changes.items() if sources.keys() - {"alpha"}}


def _check(module: nn.Module, name: str, sources: Mapping[str, str], state: Mapping[str, Tensor]) -> None:
    parameter = module.get_parameter(name)
    shape = tuple(parameter.shape)
    if parameter.dtype.itemsize == 1 and not isinstance(module.get_submodule(name.rpartition(".")[0]), ScaledLinear):
        raise ValueError(f"{name} is {parameter.dtype} without a scale: load the model with precision fp8 scaled, or bfloat16")
    if ("down" in sources) != ("up" in sources):
        present, missing = ("down", "up") if "down" in sources else ("up", "down")
        raise ValueError(f"{sources[present]} has no partner that leads {missing}, expected both: download the LoRA again")
    for kind in ("diff", "diff_b"):
        if kind in sources and tuple(state[sources[kind]].shape) != shape:
            given = tuple(state[sources[kind]].shape)
            raise ValueError(f"{sources[kind]} has shape {given}, {name} {shape}: choose a LoRA of this model")
    if "down" in sources:
        up, down = state[sources["up"]], state[sources["down"]]
        rank, size = down.shape[0] if down.ndim else 0, torch.Size(shape).numel()
        fits = rank > 0 and up.numel() == shape[0] * rank and up.shape[:2] == (shape[0], rank)
        if not fits or down.numel() // rank * shape[0] != size:
            given = f"{tuple(up.shape)} x {tuple(down.shape)}"
            raise ValueError(f"{sources['up']} and its partner have shapes {given}, {name} {shape}: choose a LoRA of this model")


def _difference(sources: Mapping[str, str], state: Mapping[str, Tensor]) -> Tensor:
    """What is added at strength 1, float32, of any shape with the right numbers in their order."""
    total = torch.zeros(())
    if "down" in sources:
        up, down = (state[sources[kind]].float().flatten(1) for kind in ("up", "down"))
        factor = float(state[sources["alpha"]]) / len(down) if "alpha" in sources else 1.0
        total = total + factor * (up @ down)
    for kind in ("diff", "diff_b"):
        if kind in sources:
            full = state[sources[kind]].float()
            total = total.reshape(full.shape) + full if total.ndim else full
    return total


def _add(layer: nn.Module, leaf: str, difference: Tensor) -> None:
    parameter = getattr(layer, leaf)
    difference = difference.to(parameter.device).reshape(parameter.shape)
    if parameter.dtype.itemsize == 1:
        layer.requantise(layer.dequantised(torch.float32) + difference)
    else:
        parameter.data = (parameter.detach().float() + difference).to(parameter.dtype)

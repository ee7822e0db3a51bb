"""Checkpoints of the models beside the transformer: sizes read off the tensors, scaled 8 bit weights made plain, strict filling of a module."""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import TypeVar

import torch
from torch import Tensor, nn

FLOAT8 = (torch.float8_e4m3fn, torch.float8_e5m2)
_NAMED = 3  # keys that an error lists

M = TypeVar("M", bound=nn.Module)


def size(state: Mapping[str, Tensor], key: str, axis: int, title: str) -> int:
    """One side of a tensor; a ValueError where the tensor is missing or has too few axes."""
    if key not in state or state[key].ndim <= axis:
        found = "is missing" if key not in state else f"has shape {tuple(state[key].shape)}"
        first = ", ".join(sorted(state)[:_NAMED]) or "nothing"
        raise ValueError(f"{title}: {key} {found} in a checkpoint of {len(state)} tensors ({first}): expected another file")
    return state[key].shape[axis]


def count(state: Iterable[str], pattern: str) -> int:
    """How many different texts the one group of `pattern` matches at the beginning of keys."""
    return len({match[1] for key in state if (match := re.match(pattern, key))})


def renamed(state: Mapping[str, Tensor], rules: Iterable[tuple[str, str]]) -> dict[str, Tensor]:
    """The same tensors under other names: the first rule (pattern, replacement) that matches the beginning of a key changes it."""
    result = {}
    for key, tensor in state.items():
        for pattern, replacement in rules:
            other, changed = re.subn(f"^{pattern}", replacement, key)
            if changed:
                break
        else:
            other = key
        result[other] = tensor
    return result


def plain_weights(state: Mapping[str, Tensor], dtype: torch.dtype = torch.bfloat16) -> dict[str, Tensor]:
    """Turn 8 bit weights into `dtype`, times their scale where they have one.

    Reads the scaled layout of ComfyUI: `X.weight` float8 beside `X.scale_weight`, and the marker `scaled_fp8`. The product is rounded once,
    from float32. Scales of activations (`X.scale_input`) are for 8 bit arithmetic and are left out. Other tensors are passed on as they are.
    """
    result = {}
    for key, tensor in state.items():
        if key == "scaled_fp8" or key.endswith((".scale_weight", ".scale_input")):
            continue
        if tensor.dtype in FLOAT8:
            scale = state.get(key.removesuffix("weight") + "scale_weight")
            tensor = tensor.to(dtype) if scale is None else (tensor.float() * scale.float()).to(dtype)
        result[key] = tensor
    return result


def filled(build: Callable[[], M], state: Mapping[str, Tensor], *, title: str, remedy: str) -> M:
    """Build a module without memory and give it the tensors of a checkpoint as they are: dtype, device, memory mapping.

    Args:
        build: makes the module; its parameters only exist on the meta device until they are filled.
        title, remedy: what the checkpoint should be, and what to do where it is not, for the message.

    Raises:
        ValueError: keys are missing or too many (their counts and first names), or a tensor has another shape.
    """
    from accelerate import init_empty_weights

    with init_empty_weights():  # unlike torch.device("meta"), it leaves buffers with their numbers
        module = build()
    expected = module.state_dict()
    missing, unknown = (sorted(one.keys() - other.keys()) for one, other in ((expected, state), (state, expected)))
    if missing or unknown:
        lists = [f"{len(keys)} {kind} ({', '.join(keys[:_NAMED])})" for kind, keys in (("missing", missing), ("unknown", unknown)) if keys]
        raise ValueError(f"{title}: the checkpoint has {' and '.join(lists)} of {len(expected)} tensors: {remedy}")
    for key, tensor in expected.items():
        if state[key].shape != tensor.shape:
            raise ValueError(f"{title}: {key} is {tuple(state[key].shape)}, expected {tuple(tensor.shape)}: {remedy}")
    module.load_state_dict(dict(state), strict=True, assign=True)
    return module.requires_grad_(False).eval()

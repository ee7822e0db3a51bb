"""What the tensors of a checkpoint tell of a model, and filling a module with them strictly."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TypeVar

from torch import Tensor, nn

from .scaled_fp8 import scales_of

_NAMED = 3  # keys that an error lists

M = TypeVar("M", bound=nn.Module)


def size(state: Mapping[str, Tensor], key: str, axis: int, title: str) -> int:
    """One side of a tensor; a ValueError where the tensor is missing or has too few axes."""
    if key not in state or state[key].ndim <= axis:
        found = "is missing" if key not in state else f"has shape {tuple(state[key].shape)}"
        first = shortly(sorted(state)) or "nothing"
        raise ValueError(f"{title}: {key} {found} in a checkpoint of {len(state)} tensors ({first}): expected another file")
    return state[key].shape[axis]


def count(state: Iterable[str], pattern: str) -> int:
    """How many different texts the one group of `pattern` matches at the beginning of keys; no number in a name can ask for more blocks
    than the file has."""
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


def shortly(names: Sequence[str]) -> str:
    """The first names of a list, and how many follow."""
    return ", ".join(names[:_NAMED]) + (f" and {len(names) - _NAMED} more" if len(names) > _NAMED else "")


def check_state(expected: Mapping[str, Tensor], state: Mapping[str, Tensor], title: str, remedy: str) -> None:
    """Compare names and shapes with those of a module's state dict.

    Raises:
        ValueError: begins with `title`, ends with `remedy`, and counts and names what is missing, unexpected or of another shape.
    """
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    misshapen = [
        f"{key} {tuple(state[key].shape)} instead of {tuple(value.shape)}"
        for key, value in expected.items()
        if key in state and state[key].shape != value.shape
    ]
    parts = [(missing, "missing"), (unexpected, "unexpected"), (misshapen, "of another shape")]
    if problems := "; ".join(f"{len(keys)} {kind}: {shortly(keys)}" for keys, kind in parts if keys):
        raise ValueError(f"{title} does not fit ({problems}; {len(expected)} tensors expected): {remedy}")


def filled(build: Callable[[], M], state: Mapping[str, Tensor], *, title: str, remedy: str) -> M:
    """A module around the tensors of a checkpoint, which it takes as they are (dtype, device, memory mapping), without gradients.

    Args:
        build: makes the module; its parameters only exist on the meta device until they are filled.
        title, remedy: as of `check_state`. Scales of fp8 weights may be there or not.

    Raises:
        ValueError: as `check_state`.
    """
    from accelerate import init_empty_weights

    with init_empty_weights():  # unlike torch.device("meta"), it leaves buffers with their numbers
        module = build()
    scales = scales_of(module, state)
    check_state(module.state_dict(), {key: tensor for key, tensor in state.items() if key not in scales}, title, remedy)
    module.load_state_dict(dict(state), strict=True, assign=True)
    return module.requires_grad_(False).eval()

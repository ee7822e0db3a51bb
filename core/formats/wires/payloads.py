"""Values of dictionaries that other programs made: taken by key, checked before use, never trusted to be what their type says."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from torch import Tensor


def entry(payload: Any, key: str, *, kind: str) -> Any:
    """One value of a dictionary; ValueError names the key, what kind of value this was to be, and the keys that are there.

    Args:
        kind: the type of the whole, for the message ("NLFPRED").
    """
    if not isinstance(payload, Mapping):
        raise ValueError(f"{kind}: got {type(payload).__name__}, expected a dictionary with the key '{key}'")
    if key not in payload:
        raise ValueError(f"{kind}: the key '{key}' is missing; it has {', '.join(map(str, list(payload)[:20])) or 'no keys'}")
    return payload[key]


def numbers(value: Any, name: str, shape: tuple[int | None, ...], *, leave_empty: bool = False) -> np.ndarray:
    """A tensor, array or list as float32.

    Args:
        name: for the message. shape: None stands for any size, also 0 where `leave_empty`.

    Raises:
        ValueError: no numbers, or another shape.
    """
    if isinstance(value, Tensor):
        array = value.detach().cpu().float().numpy()
    else:
        try:
            array = np.asarray(value)
        except ValueError as error:
            raise ValueError(f"{name} is a ragged list, expected {_shape(shape)}") from error
    if array.dtype.kind not in "fiu":
        raise ValueError(f"{name} holds {array.dtype} ({type(value).__name__}), expected numbers {_shape(shape)}")
    fits = len(array.shape) == len(shape) and all(want in (None, size) for size, want in zip(array.shape, shape, strict=True))
    if not fits or (array.size == 0 and not leave_empty):
        raise ValueError(f"{name} has shape {array.shape}, expected {_shape(shape)}")
    return array.astype(np.float32)


def frame_list(value: Any, name: str) -> list:
    """A list of frames; ValueError unless it has at least one."""
    if not isinstance(value, (list, tuple)) or not value:
        raise ValueError(
            f"{name} is {type(value).__name__}{' without frames' if not value else ''}, expected a list with one entry for each frame"
        )
    return list(value)


def _shape(shape: tuple[int | None, ...]) -> str:
    return "(" + ", ".join("any" if size is None else str(size) for size in shape) + ")"


class PayloadTable:
    """Arrays of a dictionary by name, asked for like those of an npz file (`smpl_params.Table`)."""

    def __init__(self, values: Mapping):
        self._values = values

    def _array(self, name: str) -> np.ndarray:
        value = self._values[name]
        if isinstance(value, Tensor):
            return value.detach().cpu().double().numpy()  # numpy has no bfloat16
        try:
            return np.asarray(value)
        except ValueError as error:
            raise ValueError(f"SMPL_PARAMS: '{name}' is a ragged list, expected an array") from error

    def __contains__(self, name: str) -> bool:
        return self._values.get(name) is not None and not isinstance(self._values[name], (str, Mapping))

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, () where there is none of that name."""
        return self._array(name).shape if name in self else ()

    def read(self, name: str) -> np.ndarray:
        """One array; ValueError where there is none of that name."""
        if name not in self:
            raise ValueError(f"SMPL_PARAMS: the key '{name}' is missing; it has {', '.join(map(str, list(self._values)[:20]))}")
        return self._array(name)

    def value(self, name: str) -> Any:
        """A single number, or None where there is none of that name."""
        return self._array(name).reshape(-1)[0].item() if name in self and self._array(name).size == 1 else None

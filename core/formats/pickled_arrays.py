"""Arrays as pickles spell them: numpy, torch, chumpy and scipy.sparse constructors re-made from their arguments, each checked before it allocates."""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import numpy as np
import torch

from .npz import plain_dtype

Spend = Callable[[int], None]  # takes bytes from the budget of the file, or raises ValueError

_EXPANDED = 1 << 22  # elements that a tensor may have beyond its storage (expanded tensors repeat their elements)
_TORCH_TYPES = {
    "torch.FloatStorage": torch.float32, "torch.DoubleStorage": torch.float64, "torch.HalfStorage": torch.float16,
    "torch.BFloat16Storage": torch.bfloat16, "torch.LongStorage": torch.int64, "torch.IntStorage": torch.int32,
    "torch.ShortStorage": torch.int16, "torch.CharStorage": torch.int8, "torch.ByteStorage": torch.uint8, "torch.BoolStorage": torch.bool,
}  # fmt: skip


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 48


def _is_shape(value: Any) -> bool:
    return isinstance(value, tuple) and len(value) <= 32 and all(_is_size(size) for size in value)


class Pickled:
    """An array of a pickle. `array()` makes it; `shape` is known before."""

    shape: tuple[int, ...] = ()

    def array(self) -> np.ndarray:
        """The numbers.

        Raises:
            ValueError: the pickle never gave it any.
        """
        raise ValueError("the pickle has an array without contents")


class _NumpyType:
    """A dtype while the pickle spells it: code and byte order come in two steps."""

    def __init__(self, code: Any):
        if not isinstance(code, str) or plain_dtype(code) is None:
            raise ValueError(
                f"the pickle has an array of type {code[:40] if isinstance(code, str) else type(code).__name__}: only numbers and text are read, no objects and no records"
            )
        self.dtype = np.dtype(code)

    def set_state(self, state: Any, spend: Spend) -> None:
        if not (isinstance(state, tuple) and 5 <= len(state) <= 9 and state[1] in ("<", ">", "|", "=") and not any(state[2:5])):
            raise ValueError("the pickle has an array type with parts of its own: only plain numbers and text are read")
        if state[1] in "<>":
            self.dtype = self.dtype.newbyteorder(state[1])


class _NumpyArray(Pickled):
    def __init__(self):
        self._array: np.ndarray | None = None

    def set_state(self, state: Any, spend: Spend) -> None:
        _, shape, dtype, fortran, data = state if isinstance(state, tuple) and len(state) == 5 else (0, *((None,) * 4))
        self._array = _numpy(data, dtype, shape, "F" if fortran else "C", spend)
        self.shape = self._array.shape

    def array(self) -> np.ndarray:
        return super().array() if self._array is None else self._array


def _numpy(data: Any, dtype: Any, shape: Any, order: str, spend: Spend) -> np.ndarray:
    if isinstance(data, str):
        spend(len(data))
        data = data.encode("latin-1")  # bytes of Python 2
    if not (isinstance(dtype, _NumpyType) and _is_shape(shape) and isinstance(data, (bytes, bytearray))):
        raise ValueError("the pickle has a numpy array in an unknown form: only plain numbers and text are read")
    if math.prod(shape) * dtype.dtype.itemsize != len(data):
        raise ValueError(f"the pickle has an array of shape {shape} {dtype.dtype} with {len(data):,} bytes, which do not fit")
    return np.frombuffer(data, dtype.dtype, count=math.prod(shape)).reshape(shape, order=order)


class Storage:
    """The bytes behind torch tensors."""

    def __init__(self, dtype: torch.dtype, key: str, count: int):
        self.dtype, self.key, self.count = dtype, key, count
        self.size = count * dtype.itemsize
        self._data: torch.Tensor | None = None

    @classmethod
    def from_identity(cls, identity: Any) -> "Storage":
        """From what torch writes: ("storage", type, key, device, elements, view); the device is where it was, and does not matter."""
        if not (isinstance(identity, tuple) and len(identity) in (5, 6) and identity[0] == "storage" and not any(identity[5:])):
            raise ValueError("the torch file has a tensor in an unknown form")
        kind, key, count = getattr(identity[1], "path", None), identity[2], identity[4]
        if kind not in _TORCH_TYPES or not isinstance(key, str) or not _is_size(count):
            raise ValueError(f"the torch file has a tensor of type {kind}, expected one of {', '.join(_TORCH_TYPES)}")
        return cls(_TORCH_TYPES[kind], key, count)

    def fill(self, data: bytes) -> None:
        """Give the storage its bytes; ValueError if they are not as many as it claims."""
        if len(data) != self.size:
            raise ValueError(f"the torch file is cut short: a tensor claims {self.size:,} bytes and has {len(data):,}")
        self._data = torch.frombuffer(bytearray(data), dtype=self.dtype) if data else torch.empty(0, dtype=self.dtype)

    @property
    def data(self) -> torch.Tensor:
        """(count) elements."""
        if self._data is None:
            raise ValueError("the torch file has a tensor without contents")
        return self._data


class _TorchTensor(Pickled):
    def __init__(self, storage: Storage, offset: int, shape: tuple[int, ...], stride: tuple[int, ...]):
        elements = math.prod(shape)
        last = offset + sum((size - 1) * step for size, step in zip(shape, stride, strict=True)) if elements else 0
        if last >= max(storage.count, 1) or elements > max(storage.count, _EXPANDED):
            raise ValueError(f"the torch file has a tensor of shape {shape} that reaches beyond its {storage.count:,} elements")
        self.shape = shape
        self._storage, self._offset, self._stride = storage, offset, stride

    def array(self) -> np.ndarray:
        if not math.prod(self.shape):
            return np.empty(self.shape, np.float32)
        view = self._storage.data.as_strided(self.shape, self._stride, self._offset)
        return (view.float() if view.dtype is torch.bfloat16 else view).numpy()


class _Chumpy(Pickled):
    """A chumpy array (the parameters of older SMPL tools): its value is the array `x` of its state."""

    def __init__(self):
        self._value: Pickled | None = None

    def set_state(self, state: Any, spend: Spend) -> None:
        value = state.get("x") if isinstance(state, dict) else None
        if not isinstance(value, _NumpyArray):
            raise ValueError("the pickle has a chumpy array that is an expression, expected plain numbers: save it as a numpy array")
        self._value, self.shape = value, value.shape

    def array(self) -> np.ndarray:
        return super().array() if self._value is None else self._value.array()


class _ChumpySelection(Pickled):
    """A part of a chumpy array (the shape directions of some SMPL files): elements `idxs` of `a`, in the shape `preferred_shape`."""

    def __init__(self):
        self._value: np.ndarray | None = None

    def set_state(self, state: Any, spend: Spend) -> None:
        source, chosen, shape = (state.get(key) if isinstance(state, dict) else None for key in ("a", "idxs", "preferred_shape"))
        if not (isinstance(source, _Chumpy) and isinstance(chosen, _NumpyArray) and _is_shape(shape)):
            raise ValueError("the pickle has a part of a chumpy array in an unknown form: save it as a numpy array")
        values, indices = source.array().reshape(-1), chosen.array().reshape(-1)
        if indices.dtype.kind not in "iu" or math.prod(shape) != len(indices):
            raise ValueError(f"the pickle has a part of a chumpy array of shape {shape} with {len(indices):,} indices, which do not fit")
        if len(indices) and not (indices.min() >= 0 and indices.max() < len(values)):
            raise ValueError("the pickle has a part of a chumpy array that reaches beyond it")
        spend(len(indices) * values.dtype.itemsize)
        self._value, self.shape = values[indices].reshape(shape), shape

    def array(self) -> np.ndarray:
        return super().array() if self._value is None else self._value


class _Sparse(Pickled):
    """A compressed sparse matrix of scipy (the joint regressor of SMPL files); `array()` is dense."""

    def __init__(self, by_columns: bool):
        self._by_columns, self._value = by_columns, None

    def set_state(self, state: Any, spend: Spend) -> None:
        shape = state.get("_shape", state.get("shape")) if isinstance(state, dict) else None
        parts = [state.get(key) for key in ("data", "indices", "indptr")] if isinstance(state, dict) else []
        if not (_is_shape(shape) and len(shape) == 2 and all(isinstance(part, _NumpyArray) for part in parts)):
            raise ValueError("the pickle has a sparse matrix in an unknown form: save it as a numpy array")
        data, inner, starts = (part.array().reshape(-1) for part in parts)
        rows, columns = shape
        outer, limit = (columns, rows) if self._by_columns else (rows, columns)
        fits = (
            data.dtype.kind in "fiu"
            and inner.dtype.kind in "iu"
            and starts.dtype.kind in "iu"
            and len(starts) == outer + 1
            and len(inner) == len(data)
        )
        if not (fits and starts[0] == 0 and starts[-1] == len(data) and (np.diff(starts.astype(np.int64)) >= 0).all()):
            raise ValueError(f"the pickle has a sparse matrix {shape} whose parts do not fit together: it is damaged")
        if len(inner) and not (inner.min() >= 0 and inner.max() < limit):
            raise ValueError(f"the pickle has a sparse matrix {shape} with an index outside it: it is damaged")
        spend(rows * columns * data.dtype.itemsize)
        dense = np.zeros((outer, limit), data.dtype)
        np.add.at(dense, (np.repeat(np.arange(outer), np.diff(starts.astype(np.int64))), inner), data)
        self._value, self.shape = dense.T if self._by_columns else dense, shape

    def array(self) -> np.ndarray:
        return super().array() if self._value is None else self._value


_CLASSES: dict[str, Callable[[], Pickled]] = {
    "chumpy.ch.Ch": _Chumpy,
    "chumpy.reordering.Select": _ChumpySelection,
    **{f"scipy.sparse.{module}.{kind}_matrix": partial(_Sparse, kind == "csc") for kind in ("csc", "csr") for module in (kind, f"_{kind}")},
}


def _encoded(arguments: tuple, spend: Spend) -> bytes:
    text, encoding = arguments if len(arguments) == 2 else (None, None)
    if not isinstance(text, str) or encoding not in ("latin1", "latin-1"):
        raise ValueError("the pickle encodes something other than bytes")
    spend(len(text))
    return text.encode("latin-1")


def _scalar(arguments: tuple, spend: Spend) -> Any:
    dtype, data = arguments if len(arguments) == 2 else (None, None)
    array = _numpy(data, dtype, (), "C", spend)
    spend(array.nbytes)
    return array.item()


def _tensor(arguments: tuple) -> _TorchTensor:
    storage, offset, shape, stride = arguments[:4] if len(arguments) >= 4 else (None,) * 4
    if isinstance(storage, Storage) and _is_size(offset) and _is_shape(shape) and _is_shape(stride) and len(shape) == len(stride):
        return _TorchTensor(storage, offset, shape, stride)
    raise ValueError("the torch file has a tensor in an unknown form")


def _dictionary(arguments: tuple, spend: Spend) -> dict:
    pairs = arguments[0] if arguments else []
    if len(arguments) > 1 or not isinstance(pairs, list):
        raise ValueError("the pickle has a dictionary in an unknown form")
    spend(len(pairs))
    if not all(isinstance(pair, (list, tuple)) and len(pair) == 2 and isinstance(pair[0], (str, int)) for pair in pairs):
        raise ValueError("the pickle has a dictionary in an unknown form")
    return {key: value for key, value in pairs}


def construct(path: str, arguments: tuple, spend: Spend) -> Any:
    """What the constructor called `path` makes of its arguments (globals among them come as their paths).

    Raises:
        ValueError: the constructor is not one of arrays, or its arguments do not fit.
    """
    match path.replace("numpy._core.", "numpy.core.").replace("copyreg.", "copy_reg."):
        case "numpy.core.multiarray._reconstruct":
            return _NumpyArray()
        case "numpy.dtype":
            return _NumpyType(arguments[0] if arguments else None)
        case "numpy.core.numeric._frombuffer":
            array = _NumpyArray()
            data, dtype, shape, order = arguments[:4] if len(arguments) >= 4 else (None,) * 4
            array.set_state((1, shape, dtype, order == "F", data), spend)
            return array
        case "numpy.core.multiarray.scalar":
            return _scalar(arguments, spend)
        case "torch._utils._rebuild_tensor_v2":
            return _tensor(arguments)
        case "_codecs.encode":
            return _encoded(arguments, spend)
        case "__builtin__.bytes" | "builtins.bytes" if not arguments:
            return b""
        case "collections.OrderedDict":
            return _dictionary(arguments, spend)
        case "copy_reg._reconstructor" if arguments and isinstance(arguments[0], str) and arguments[0] in _CLASSES:
            return _CLASSES[arguments[0]]()
        case plain if plain in _CLASSES:
            return _CLASSES[plain]()
    raise ValueError(
        f"the pickle asks for {path}: a motion file needs numpy arrays and torch tensors only. It was not run; do not trust this file, "
        "or save its arrays as npz"
    )


def apply_state(target: Any, state: Any, spend: Spend) -> None:
    """Second step of a constructor: contents of an array, byte order of a type; the attributes of a dictionary do not matter."""
    if isinstance(target, dict):
        return
    if not hasattr(target, "set_state"):
        raise ValueError("the pickle sets the state of a value that has none: it is damaged")
    target.set_state(state, spend)


class PickledTable:
    """Arrays of a pickled dictionary by name, asked for like those of an `NpzFile`."""

    def __init__(self, values: dict):
        self._values = values

    def __contains__(self, name: str) -> bool:
        return isinstance(self._values.get(name), Pickled)

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, () where there is none of that name."""
        return self._values[name].shape if name in self else ()

    def read(self, name: str) -> np.ndarray:
        """One array; ValueError where there is none of that name."""
        if name not in self:
            raise ValueError(f"the file has no array '{name}'")
        return self._values[name].array()

    def value(self, name: str) -> Any:
        """A single number or text, or None where there is none of that name."""
        value = self._values.get(name)
        if isinstance(value, Pickled):
            return value.array().reshape(-1)[0].item() if math.prod(value.shape) == 1 else None
        return value if isinstance(value, (int, float, str)) else None

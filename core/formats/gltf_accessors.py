"""The numbers inside a glTF document: buffer views and accessors (glTF 2.0 specification, sections 3.6.1.1 and 3.6.2).

Offsets, strides and counts are checked against the bytes that are really there before anything is allocated.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .gltf_container import entry, integer, listing, short

_COMPONENTS = {
    5120: np.dtype("<i1"), 5121: np.dtype("<u1"), 5122: np.dtype("<i2"), 5123: np.dtype("<u2"), 5125: np.dtype("<u4"), 5126: np.dtype("<f4"),
}  # fmt: skip
_SHAPES = {
    "SCALAR": (1, 1),
    "VEC2": (1, 2),
    "VEC3": (1, 3),
    "VEC4": (1, 4),
    "MAT2": (2, 2),
    "MAT3": (3, 3),
    "MAT4": (4, 4),
}  # columns, rows
_MAX_ZEROS = 1 << 24  # numbers of an accessor that has no bytes behind it


@dataclass(frozen=True)
class _Block:
    """A strided run of elements in the binary chunk; start None stands for zeros."""

    dtype: np.dtype
    columns: int
    rows: int
    count: int
    start: int | None
    stride: int

    @property
    def column_stride(self) -> int:
        """Columns of matrices begin at multiples of 4 bytes."""
        width = self.rows * self.dtype.itemsize
        return width + (-width % 4 if self.columns > 1 else 0)

    def read(self, binary: bytes) -> np.ndarray:
        """(count, columns, rows), a view where there are bytes."""
        shape = (self.count, self.columns, self.rows)
        if self.start is None:
            return np.zeros(shape, self.dtype)
        return np.ndarray(shape, self.dtype, binary, self.start, (self.stride, self.column_stride, self.dtype.itemsize))


def check_accessors(document: Mapping[str, Any], binary: bytes) -> None:
    """Check every buffer view and accessor of a document; ValueError names the first that does not fit the binary chunk."""
    for number in range(len(listing(document, "bufferViews"))):
        _view(document, binary, number)
    for number in range(len(listing(document, "accessors"))):
        _blocks(document, binary, number)


def read_accessor(document: Mapping[str, Any], binary: bytes, index: int) -> Tensor:
    """Read one accessor, sparse values included.

    Returns:
        (N) for SCALAR, (N, n) for VECn, (N, n, n) for MATn, which act on column vectors; float32 for floats and normalized integers, else int64.

    Raises:
        ValueError: there is no such accessor, or it does not fit the binary chunk.
    """
    accessor = entry(document, "accessors", index)
    block, sparse = _blocks(document, binary, index)
    if block.start is None and block.count * block.columns * block.rows > _MAX_ZEROS:
        raise ValueError(f"accessor {index} asks for {block.count} elements without bytes behind them")
    values = block.read(binary)
    if sparse is not None:
        places, changed = (part.read(binary) for part in sparse)
        places = places.reshape(-1).astype(np.int64)
        if places[-1] >= block.count or (np.diff(places) <= 0).any():
            raise ValueError(f"accessor {index}: its sparse indices do not increase below {block.count}")
        values = values.copy()
        values[places] = changed
    if block.dtype.kind == "f":
        values = values.astype(np.float32)
    elif accessor.get("normalized") is True:
        values = np.maximum(values.astype(np.float32) / np.iinfo(block.dtype).max, -1.0)
    else:
        values = values.astype(np.int64)
    tensor = torch.from_numpy(values).mT.contiguous()  # (N, rows, columns)
    shape = {"S": (), "V": (block.rows,), "M": (block.rows, block.columns)}[accessor["type"][0]]
    return tensor.reshape(block.count, *shape)


def buffer_view_range(document: Mapping[str, Any], binary: bytes, number: int) -> tuple[int, int]:
    """(start, length) of a buffer view in the binary chunk, checked."""
    return _view(document, binary, number)[:2]


def _view(document: Mapping, binary: bytes, number: int) -> tuple[int, int, int | None]:
    """(start, length, stride or None) of a buffer view."""
    owner, view = f"bufferView {number}", entry(document, "bufferViews", number)
    buffer = integer(owner, view, "buffer", high=1)
    size = integer("buffer 0", entry(document, "buffers", buffer), "byteLength", low=1)
    start, length = integer(owner, view, "byteOffset", default=0), integer(owner, view, "byteLength", low=1)
    if start + length > min(size, len(binary)):
        raise ValueError(f"{owner} ends at byte {start + length}, its buffer has {min(size, len(binary))}")
    stride = integer(owner, view, "byteStride", low=4, high=253) if "byteStride" in view else None
    if stride is not None and stride % 4:
        raise ValueError(f"{owner}: byteStride is {stride}, expected a multiple of 4")
    return start, length, stride


def _block(document: Mapping, binary: bytes, owner: str, part: Mapping, kind: tuple[np.dtype, int, int], count: int) -> _Block:
    """`count` elements at the bufferView and byteOffset of `part`, checked."""
    dtype, columns, rows = kind
    packed = _Block(dtype, columns, rows, count, None, 0)
    size = packed.column_stride * (columns - 1) + rows * dtype.itemsize  # the last column is not padded
    start, length, stride = _view(document, binary, integer(owner, part, "bufferView", high=len(listing(document, "bufferViews"))))
    offset = integer(owner, part, "byteOffset", default=0)
    stride = stride or packed.column_stride * columns
    if stride < size:
        raise ValueError(f"{owner}: elements of {size} bytes do not fit the byteStride {stride}")
    if offset % dtype.itemsize or (start + offset) % dtype.itemsize:
        raise ValueError(f"{owner} begins at byte {start + offset}, which is not aligned to its {dtype.itemsize}-byte numbers")
    if offset + stride * (count - 1) + size > length:
        raise ValueError(f"{owner}: {count} elements from byte {offset} do not fit the {length} bytes of its bufferView")
    return _Block(dtype, columns, rows, count, start + offset, stride)


def _blocks(document: Mapping, binary: bytes, number: int) -> tuple[_Block, tuple[_Block, _Block] | None]:
    """The elements of an accessor, and the indices and values of its sparse part."""
    owner, accessor = f"accessor {number}", entry(document, "accessors", number)
    component, shape, count = accessor.get("componentType"), accessor.get("type"), integer(owner, accessor, "count", low=1)
    if not isinstance(component, int) or component not in _COMPONENTS or not isinstance(shape, str) or shape not in _SHAPES:
        raise ValueError(f"{owner}: componentType {short(component)} and type {short(shape)} are not those of glTF 2.0")
    if accessor.get("normalized") is True and component in (5125, 5126):
        raise ValueError(f"{owner}: only 8 and 16 bit integers can be normalized")
    kind = (_COMPONENTS[component], *_SHAPES[shape])
    block = _block(document, binary, owner, accessor, kind, count) if "bufferView" in accessor else _Block(*kind, count, None, 0)
    sparse = accessor.get("sparse")
    if sparse is None:
        return block, None
    parts = [sparse.get(key) if isinstance(sparse, dict) else None for key in ("indices", "values")]
    if not all(isinstance(part, dict) for part in parts):
        raise ValueError(f"{owner}: its sparse part has no indices or no values")
    changed = integer(f"{owner}, sparse", sparse, "count", low=1, high=count + 1)
    places = parts[0].get("componentType")
    if not isinstance(places, int) or places not in (5121, 5123, 5125):
        raise ValueError(f"{owner}: sparse indices have componentType {short(places)}, expected an unsigned one")
    index_block = _block(document, binary, f"{owner}, sparse indices", parts[0], (_COMPONENTS[places], 1, 1), changed)
    return block, (index_block, _block(document, binary, f"{owner}, sparse values", parts[1], kind, changed))

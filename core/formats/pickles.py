"""Pickles of plain values, numpy arrays, torch tensors and chumpy arrays, read without running anything in them.

`pickletools` decodes the opcodes and a small stack machine here builds the values; Python's own unpickler is never called and no name in the file
is ever imported. Names stand for the few constructors below, which check their arguments before they allocate. Steps, bytes and nesting of torch
streams are bounded; the memo is a dictionary, so a huge index costs nothing. Values may share parts: whoever walks them follows known keys only.
"""

import io
import pickletools
import struct
from collections.abc import Callable
from typing import Any

from .pickled_arrays import Storage, apply_state, construct
from .untrusted import Archive

MAX_STEPS = 3_000_000
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_MARK = object()
_NAME_LIMIT = 200
_ARGUMENT_LIMIT = 16

_VALUES = frozenset(
    "INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)
_CONSTANTS: dict[str, Callable[[], Any]] = {
    "NONE": lambda: None, "NEWTRUE": lambda: True, "NEWFALSE": lambda: False, "EMPTY_LIST": list, "EMPTY_TUPLE": tuple, "EMPTY_DICT": dict,
}  # fmt: skip
_TUPLES = {"TUPLE1": 1, "TUPLE2": 2, "TUPLE3": 3}


class Budget:
    """Steps and bytes that one file may still cost."""

    def __init__(self, size: int):
        self.steps = MAX_STEPS
        self.bytes = 4 * size + (1 << 20)

    def spend(self, count: int) -> None:
        """Take `count` bytes away; ValueError when the file asks for more than it can honestly hold."""
        self.bytes -= count
        if self.bytes < 0:
            raise ValueError("the pickle unfolds to far more bytes than it holds: it is damaged or malicious")


class _Name:
    """A global of the pickle: never imported, only compared."""

    def __init__(self, module: Any, name: Any):
        if not (isinstance(module, str) and isinstance(name, str)):
            raise ValueError("the pickle names a global by something other than text")
        self.path = f"{module[:_NAME_LIMIT]}.{name[:_NAME_LIMIT]}"


class _Machine:
    """Runs the opcodes of one pickle on a stack of plain values."""

    def __init__(self, stream: io.BytesIO, budget: Budget, storages: Callable[[Any], Storage] | None, nested: bool):
        self._stream, self._budget, self._storages, self._nested = stream, budget, storages, nested
        self._size = len(stream.getbuffer())
        self._stack: list[Any] = []
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value of the pickle; the stream stands behind its STOP afterwards."""
        try:
            self._run()
        except (IndexError, KeyError, struct.error) as error:
            raise ValueError(f"the pickle is damaged or cut short ({type(error).__name__})") from error
        value = self._pop()
        if self._stack:
            raise ValueError("the pickle leaves values behind: it is damaged")
        return value

    def _run(self) -> None:
        for opcode, argument, _ in pickletools.genops(self._stream):
            self._budget.steps -= 1
            if self._budget.steps < 0:
                raise ValueError(f"the pickle has more than {MAX_STEPS:,} steps: split the clip, or save it as npz")
            if opcode.name in _VALUES:
                self._stack.append(argument)
            elif opcode.name == "STOP":
                break
            else:
                self._step(opcode.name, argument)

    def _step(self, name: str, argument: Any) -> None:
        stack = self._stack
        if name in _CONSTANTS:
            stack.append(_CONSTANTS[name]())
        elif name in _TUPLES:
            stack[-_TUPLES[name] :] = [tuple(self._last(_TUPLES[name]))]
        elif name in ("BINPUT", "LONG_BINPUT", "PUT", "MEMOIZE"):
            self._remember(len(self._memo) if name == "MEMOIZE" else argument)
        elif name in ("BINGET", "LONG_BINGET", "GET"):
            stack.append(self._memo[argument])
        elif name == "MARK":
            stack.append(_MARK)
        elif name == "PROTO":
            if argument > 5:
                raise ValueError(f"pickle protocol {argument}, expected 0 to 5")
        elif name == "FRAME":
            if argument > self._size - self._stream.tell():
                raise ValueError(f"a pickle frame claims {argument:,} bytes, more than the file has left: it is cut short")
        elif name in ("GLOBAL", "STACK_GLOBAL"):
            parts = argument.split(" ", 1) if name == "GLOBAL" else [self._pop(), self._pop()][::-1]
            stack.append(_Name(*parts))
        elif name in ("BINPERSID", "PERSID"):
            if self._storages is None:
                raise ValueError("the pickle refers to tensors that are stored elsewhere: save it with torch.save")
            stack.append(self._storages(argument if name == "PERSID" else self._pop()))
        elif name in ("REDUCE", "NEWOBJ"):
            arguments, target = self._pop(), self._pop()
            stack.append(self._call(target, arguments))
        elif name == "BUILD":
            state = self._pop()
            apply_state(self._last(1)[0], state, self._budget.spend)
        else:
            self._collect(name)

    def _collect(self, name: str) -> None:
        """Opcodes that put values into lists, tuples and dictionaries."""
        if name in ("LIST", "TUPLE"):
            items = self._to_mark()
            self._stack.append(items if name == "LIST" else tuple(items))
        elif name == "DICT":
            items = self._to_mark()
            self._stack.append({})
            self._fill(items)
        elif name in ("SETITEM", "SETITEMS"):
            self._fill([self._pop(), self._pop()][::-1] if name == "SETITEM" else self._to_mark())
        elif name in ("APPEND", "APPENDS"):
            items = [self._pop()] if name == "APPEND" else self._to_mark()
            if not isinstance(self._last(1)[0], list):
                raise ValueError("the pickle appends to something other than a list: it is damaged")
            self._stack[-1].extend(items)
        elif name == "POP":
            self._stack.pop()
        elif name == "POP_MARK":
            self._to_mark()
        else:
            raise ValueError(f"the pickle uses the step {name}, which a file of arrays does not need: save it as npz")

    def _last(self, count: int) -> list[Any]:
        items = self._stack[-count:]
        if len(items) < count or any(item is _MARK for item in items):
            raise ValueError("the pickle takes more values than it has: it is damaged")
        return items

    def _pop(self) -> Any:
        value = self._last(1)[0]
        del self._stack[-1]
        return value

    def _to_mark(self) -> list[Any]:
        items = []
        while (value := self._stack.pop()) is not _MARK:
            items.append(value)
        return items[::-1]

    def _remember(self, index: int) -> None:
        if not 0 <= index <= self._size:
            raise ValueError(f"the pickle numbers a value {index:,}, more than it has bytes: it is damaged or malicious")
        self._memo[index] = self._last(1)[0]

    def _fill(self, items: list[Any]) -> None:
        target = self._last(1)[0]
        # Other keys would be hashed, and the hash of a tuple that shares its parts can take forever.
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, (str, int, bytes)) for key in items[::2]):
            raise ValueError("the pickle fills a dictionary by keys other than text and numbers")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _call(self, target: Any, arguments: Any) -> Any:
        if not (isinstance(target, _Name) and isinstance(arguments, tuple) and len(arguments) <= _ARGUMENT_LIMIT):
            raise ValueError("the pickle calls something that is no constructor: it is damaged or malicious")
        if target.path == "torch.storage._load_from_bytes":
            if self._nested or len(arguments) != 1 or not isinstance(arguments[0], bytes):
                raise ValueError("the pickle holds a torch tensor in an unknown form")
            self._budget.spend(len(arguments[0]))
            return _torch_stream(io.BytesIO(arguments[0]), self._budget, nested=True)
        named = tuple(argument.path if isinstance(argument, _Name) else argument for argument in arguments)
        return construct(target.path, named, self._budget.spend)


def _torch_stream(stream: io.BytesIO, budget: Budget, *, nested: bool) -> Any:
    """The older stream of torch.save: magic, version, system, value, keys, then the bytes of each storage."""
    storages: dict[str, Storage] = {}

    def find(identity: Any) -> Storage:
        found = Storage.from_identity(identity)
        return storages.setdefault(found.key, found)

    magic, _, system = (_Machine(stream, budget, None, True).run() for _ in range(3))
    if magic != _TORCH_MAGIC or not isinstance(system, dict) or system.get("little_endian") is not True:
        raise ValueError("not a torch file of little-endian numbers")
    value = _Machine(stream, budget, find, nested).run()
    for key in _Machine(stream, budget, None, True).run():
        if not isinstance(key, str) or key not in storages:
            raise ValueError("the torch file lists a tensor that it does not have")
        storage = storages[key]
        if int.from_bytes(stream.read(8), "little") != storage.count:
            raise ValueError("the torch file holds a tensor of another size than it claims")
        storage.fill(stream.read(storage.size))
    return value


def _torch_archive(data: bytes) -> Any:
    """The zip of torch.save: FOLDER/data.pkl and one member FOLDER/data/KEY for each storage."""
    archive = Archive(data)
    value = next((name for name in archive.names if name.endswith("data.pkl")), None)
    if value is None:
        raise ValueError("the archive is neither an npz nor a torch file")
    folder = value.removesuffix("data.pkl")
    if f"{folder}byteorder" in archive.names and archive.read(f"{folder}byteorder") != b"little":
        raise ValueError("not a torch file of little-endian numbers")
    storages: dict[str, Storage] = {}

    def find(identity: Any) -> Storage:
        found = Storage.from_identity(identity)
        if found.key not in storages:
            member = f"{folder}data/{found.key}"
            if member in archive.names and archive.size(member) != found.size:
                raise ValueError(f"the torch file holds a tensor of {archive.size(member):,} bytes and claims {found.size:,}")
            found.fill(archive.read(member))
            storages[found.key] = found
        return storages[found.key]

    return _Machine(io.BytesIO(archive.read(value)), Budget(len(data)), find, False).run()


def read_pickle(data: bytes) -> Any:
    """The value of a pickle, or of a file of torch.save in its old or new form.

    Returns:
        Plain values; arrays and tensors (CUDA ones too) as `pickled_arrays.Pickled`, whose `array()` is a numpy array.

    Raises:
        ValueError: any other content; a global that is not on the list is named.
    """
    if data[:4] == b"PK\x03\x04":
        return _torch_archive(data)
    stream, budget = io.BytesIO(data), Budget(len(data))
    value = _Machine(stream, budget, None, False).run()
    if value == _TORCH_MAGIC and isinstance(value, int):
        stream.seek(0)
        return _torch_stream(stream, budget, nested=False)
    return value

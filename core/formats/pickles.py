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

MAX_STEPS = 1_500_000
_TORCH_MAGIC = 0x1950A86A20F9469CFC6C
_NAME_LIMIT = 200
_ARGUMENT_LIMIT = 16

_VALUES = frozenset(
    "INT LONG BININT BININT1 BININT2 LONG1 LONG4 FLOAT BINFLOAT STRING BINSTRING SHORT_BINSTRING UNICODE BINUNICODE SHORT_BINUNICODE "
    "BINUNICODE8 BINBYTES SHORT_BINBYTES BINBYTES8 BYTEARRAY8".split()
)


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
        self._below: list[list[Any]] = []  # the stacks below each open mark
        self._memo: dict[int, Any] = {}

    def run(self) -> Any:
        """The value of the pickle; the stream stands behind its STOP afterwards."""
        try:
            self._run()
            value = self._stack.pop()
        except (IndexError, KeyError, struct.error) as error:
            raise ValueError(f"the pickle is damaged or cut short ({type(error).__name__})") from error
        if self._stack or self._below:
            raise ValueError("the pickle leaves values behind: it is damaged")
        return value

    def _run(self) -> None:
        steps = _STEPS
        for opcode, argument, _ in pickletools.genops(self._stream):
            self._budget.steps -= 1
            if self._budget.steps < 0:
                raise ValueError(f"the pickle has more than {MAX_STEPS:,} steps: split the clip, or save it as npz")
            name = opcode.name
            if name in _VALUES:
                self._stack.append(argument)
            elif name in steps:
                steps[name](self, argument)
            elif name == "STOP":
                return
            else:
                raise ValueError(f"the pickle uses the step {name}, which a file of arrays does not need: save it as npz")

    def _protocol(self, version: int) -> None:
        if version > 5:
            raise ValueError(f"pickle protocol {version}, expected 0 to 5")

    def _frame(self, length: int) -> None:
        if length > self._size - self._stream.tell():
            raise ValueError(f"a pickle frame claims {length:,} bytes, more than the file has left: it is cut short")

    def _mark(self, _: Any = None) -> None:
        self._below.append(self._stack)
        self._stack = []

    def _to_mark(self, _: Any = None) -> list[Any]:
        items, self._stack = self._stack, self._below.pop()
        return items

    def _drop(self, _: Any) -> None:
        if self._stack:
            self._stack.pop()
        else:
            self._to_mark()

    def _remember(self, index: int | None) -> None:
        index = len(self._memo) if index is None else index
        if not 0 <= index <= self._size:
            raise ValueError(f"the pickle numbers a value {index:,}, more than it has bytes: it is damaged or malicious")
        self._memo[index] = self._stack[-1]

    def _recall(self, index: int) -> None:
        self._stack.append(self._memo[index])

    def _tuple(self, count: int) -> None:
        items = self._stack[-count:]
        if len(items) < count:
            raise IndexError
        self._stack[-count:] = [tuple(items)]

    def _append(self, items: list[Any]) -> None:
        target = self._stack[-1]
        if not isinstance(target, list):
            raise ValueError("the pickle appends to something other than a list: it is damaged")
        target += items

    def _fill(self, items: list[Any]) -> None:
        target = self._stack[-1]
        # Other keys would be hashed, and the hash of a tuple that shares its parts can take forever.
        if not isinstance(target, dict) or len(items) % 2 or not all(isinstance(key, (str, int, bytes)) for key in items[::2]):
            raise ValueError("the pickle fills a dictionary by keys other than text and numbers")
        target.update(zip(items[::2], items[1::2], strict=True))

    def _fill_new(self, _: Any) -> None:
        items = self._to_mark()
        self._stack.append({})
        self._fill(items)

    def _two(self) -> list[Any]:
        second = self._stack.pop()
        return [self._stack.pop(), second]

    def _global(self, names: str | None) -> None:
        self._stack.append(_Name(*(self._two() if names is None else names.split(" ", 1))))

    def _stored(self, identity: Any) -> None:
        if self._storages is None:
            raise ValueError("the pickle refers to tensors that are stored elsewhere: save it with torch.save")
        self._stack.append(self._storages(self._stack.pop() if identity is None else identity))

    def _build(self, _: Any) -> None:
        target, state = self._two()
        apply_state(target, state, self._budget.spend)
        self._stack.append(target)

    def _call(self, _: Any) -> None:
        target, arguments = self._two()
        if not (isinstance(target, _Name) and isinstance(arguments, tuple) and len(arguments) <= _ARGUMENT_LIMIT):
            raise ValueError("the pickle calls something that is no constructor: it is damaged or malicious")
        if target.path == "torch.storage._load_from_bytes":
            self._stack.append(self._torch_bytes(*arguments[:1]))
            return
        named = tuple(argument.path if isinstance(argument, _Name) else argument for argument in arguments)
        self._stack.append(construct(target.path, named, self._budget.spend))

    def _torch_bytes(self, data: Any = None) -> Any:
        if self._nested or not isinstance(data, bytes):
            raise ValueError("the pickle holds a torch tensor in an unknown form")
        self._budget.spend(len(data))
        return _torch_stream(io.BytesIO(data), self._budget, nested=True)


_STEPS: dict[str, Callable[[_Machine, Any], Any]] = {
    "PROTO": _Machine._protocol, "FRAME": _Machine._frame, "MARK": _Machine._mark, "POP": _Machine._drop, "POP_MARK": _Machine._to_mark,
    "NONE": lambda machine, _: machine._stack.append(None),
    "NEWTRUE": lambda machine, _: machine._stack.append(True),
    "NEWFALSE": lambda machine, _: machine._stack.append(False),
    "EMPTY_LIST": lambda machine, _: machine._stack.append([]),
    "EMPTY_TUPLE": lambda machine, _: machine._stack.append(()),
    "EMPTY_DICT": lambda machine, _: machine._stack.append({}),
    "TUPLE1": lambda machine, _: machine._tuple(1),
    "TUPLE2": lambda machine, _: machine._tuple(2),
    "TUPLE3": lambda machine, _: machine._tuple(3),
    # The items are taken first: taking them changes which stack is on top.
    "TUPLE": lambda machine, _: (items := machine._to_mark(), machine._stack.append(tuple(items))),
    "LIST": lambda machine, _: (items := machine._to_mark(), machine._stack.append(items)),
    "DICT": _Machine._fill_new,
    "APPEND": lambda machine, _: machine._append([machine._stack.pop()]),
    "APPENDS": lambda machine, _: machine._append(machine._to_mark()),
    "SETITEM": lambda machine, _: machine._fill(machine._two()),
    "SETITEMS": lambda machine, _: machine._fill(machine._to_mark()),
    "MEMOIZE": _Machine._remember, "BINPUT": _Machine._remember, "LONG_BINPUT": _Machine._remember, "PUT": _Machine._remember,
    "BINGET": _Machine._recall, "LONG_BINGET": _Machine._recall, "GET": _Machine._recall,
    "GLOBAL": _Machine._global, "STACK_GLOBAL": _Machine._global,
    "REDUCE": _Machine._call, "NEWOBJ": _Machine._call, "BUILD": _Machine._build,
    "BINPERSID": _Machine._stored, "PERSID": _Machine._stored,
}  # fmt: skip


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

"""Reading what nobody vouches for: sizes are checked before anything is allocated, and every failure names the file."""

import io
import json
import os
import zipfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path, PureWindowsPath
from typing import Any

MAX_FILE_BYTES = 1 << 29
MAX_MEMBERS = 50_000
_UNPACKED_BYTES = 64 << 20  # always allowed; beyond it an archive may unpack to _UNPACKED_RATIO times its size
_UNPACKED_RATIO = 20
_LONGEST_MESSAGE = 600


@contextmanager
def naming(path: Path) -> Iterator[None]:
    """Turn whatever goes wrong inside into a ValueError that begins with the file's name; FileNotFoundError passes."""
    try:
        yield
    except FileNotFoundError:
        raise
    except ValueError as error:
        raise ValueError(f"{path}: {str(error)[:_LONGEST_MESSAGE]}") from error
    except Exception as error:  # MemoryError and RecursionError among them
        reason = f"{type(error).__name__}: {error}"[:_LONGEST_MESSAGE]
        raise ValueError(f"{path}: the file is damaged or not of the kind it claims to be ({reason})") from error


def confined(folder: Path, name: str, *, links: bool = False) -> Path:
    """`folder / name`, refused with ValueError where it leads out of the folder.

    A name with a drive, a host or a root is refused unseen: to look where it leads would contact the host.

    links: links in the folder are its owner's, and may lead anywhere (models on shared storage).
    """
    real = os.path.abspath if links else os.path.realpath
    path = None if PureWindowsPath(name).anchor else Path(real(folder / name))
    if path is None or not path.is_relative_to(real(folder)):
        raise ValueError(f"'{name}' leads out of the folder {folder}: choose a file inside it")
    return path


def read_bytes(path: Path, *, limit: int = MAX_FILE_BYTES) -> bytes:
    """All bytes of a file.

    Raises:
        FileNotFoundError: nothing is there.
        ValueError: a folder, an empty file, or more than `limit` bytes.
    """
    if not path.exists():
        raise FileNotFoundError(f"there is no file {path}")
    if not path.is_file():
        raise ValueError("this is a folder, expected a file")
    size = path.stat().st_size
    if size == 0:
        raise ValueError("the file is empty: save or download it again")
    if size > limit:
        raise ValueError(f"the file has {size:,} bytes, at most {limit:,} are read: split it")
    return path.read_bytes()


def parse_json(text: bytes) -> Any:
    """A JSON document; ValueError where it is not in UTF-8, does not parse, is nested too deeply, or has NaN or infinities."""

    def refuse(name: str):
        raise ValueError(f"its JSON has {name}, which is no JSON number")

    try:
        return json.loads(text.decode("utf-8-sig"), parse_constant=refuse)
    except UnicodeDecodeError as error:
        raise ValueError(f"its JSON is not UTF-8: {error.reason} at byte {error.start}") from None
    except RecursionError:
        raise ValueError("its JSON is nested too deeply") from None
    except json.JSONDecodeError as error:
        raise ValueError(f"its JSON does not parse: {error}") from None


class Archive:
    """A zip held in memory. Members are unpacked one by one, within a budget for all of them together."""

    def __init__(self, data: bytes):
        """Raises ValueError for a damaged directory, too many members, a name twice, or a name that leads elsewhere."""
        if data.count(b"PK\x01\x02") > MAX_MEMBERS:
            raise ValueError(f"the archive has more than {MAX_MEMBERS:,} members")
        try:
            self._zip = zipfile.ZipFile(io.BytesIO(data))
        except (zipfile.BadZipFile, NotImplementedError) as error:
            raise ValueError(f"the archive is damaged or cut short ({error}): save or download it again") from error
        self._members: dict[str, zipfile.ZipInfo] = {}
        for member in self._zip.infolist():
            name = member.filename
            if name in self._members:
                raise ValueError(f"the archive has the member '{name}' twice")
            if name.startswith(("/", "\\")) or ":" in name or ".." in name.replace("\\", "/").split("/"):
                raise ValueError(f"the archive has a member '{name}' that leads out of it")
            self._members[name] = member
        self._budget = max(_UNPACKED_BYTES, _UNPACKED_RATIO * len(data))

    @property
    def names(self) -> tuple[str, ...]:
        """Members, in the order of the directory."""
        return tuple(self._members)

    def size(self, name: str) -> int:
        """Unpacked bytes of a member, as its entry claims."""
        return self._members[name].file_size

    def read(self, name: str, count: int | None = None) -> bytes:
        """The first `count` bytes of a member, or all of them with their checksum verified.

        Raises:
            ValueError: no such member, more bytes than the budget, an unusual compression, or damaged contents.
        """
        if name not in self._members:
            raise ValueError(f"the archive has no member '{name}'")
        member = self._members[name]
        wanted = member.file_size if count is None else min(count, member.file_size)
        if wanted > self._budget:
            raise ValueError(f"'{name}' unpacks to {member.file_size:,} bytes, far more than this archive can honestly hold")
        # The other methods of the format may claim gigabytes for their dictionaries before the first byte is out.
        if member.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            raise ValueError(f"'{name}' is compressed by method {member.compress_type}, expected none or deflate")
        self._budget -= wanted
        try:
            with self._zip.open(member) as stream:
                data = stream.read(wanted)
        except (zipfile.BadZipFile, zlib.error, EOFError, RuntimeError, NotImplementedError) as error:
            raise ValueError(f"'{name}' is damaged or cut short ({error}): save or download the file again") from error
        if len(data) != wanted:
            raise ValueError(f"'{name}' holds {len(data):,} bytes where {wanted:,} are claimed: the file is cut short")
        return data

"""glTF 2.0 files as one JSON document and one binary chunk.

Every length is checked against the bytes that are really there before anything is allocated. The rules are those of the Khronos glTF 2.0
specification, sections 2.8 (URIs), 3.6.1 (buffers) and 4 (GLB).
"""

import base64
import binascii
import struct
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote

from .untrusted import MAX_FILE_BYTES, confined, naming, parse_json, read_bytes

_MAX_JSON = 1 << 26  # bytes
_MAX_VALUES = 1_000_000  # in the JSON: a value takes up to 24 times its bytes in memory
_MAX_ITEMS = 100_000  # in one list of the document

_HEADER = struct.Struct("<III")
_CHUNK = struct.Struct("<II")
_MAGIC, _JSON, _BIN = 0x46546C67, 0x4E4F534A, 0x004E4942
_PACKED_BUFFERS = ("EXT_meshopt_compression", "KHR_meshopt_compression")
_IMAGE_HEADS = ((b"\x89PNG", "image/png"), (b"\xff\xd8", "image/jpeg"), (b"RIFF", "image/webp"))


# --- typed access to JSON that somebody else wrote


def short(value: Any) -> str:
    """`value` for a message, of bounded length."""
    if isinstance(value, (list, dict)):
        return f"a {type(value).__name__} of {len(value)}"
    if isinstance(value, int) and value.bit_length() > 200:
        return "a huge number"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def integer(owner: str, item: Mapping, key: str, *, default: int | None = None, low: int = 0, high: int | None = None) -> int:
    """item[key] as a whole number in low..high - 1; `default` stands in for a missing key, and None makes it required."""
    value = item.get(key, default)
    if not isinstance(value, int) or isinstance(value, bool) or value < low or (high is not None and value >= high):
        limit = f"at least {low}" if high is None else f"in {low}..{high - 1}"
        raise ValueError(f"{owner}: {key} is {short(value)}, expected a whole number {limit}")
    return value


def listing(document: Mapping, key: str) -> list:
    """The list document[key], empty where it is missing; its entries are not looked at."""
    value = document.get(key, [])
    if not isinstance(value, list):
        raise ValueError(f"'{key}' is {short(value)}, expected a list")
    if len(value) > _MAX_ITEMS:
        raise ValueError(f"'{key}' has {len(value)} entries, at most {_MAX_ITEMS} are read")
    return value


def entry(document: Mapping, key: str, number: int) -> dict:
    """The object document[key][number]."""
    entries = listing(document, key)
    if not 0 <= number < len(entries):
        raise ValueError(f"there is no entry {number} in '{key}': it has {len(entries)}")
    if not isinstance(entries[number], dict):
        raise ValueError(f"'{key}' entry {number} is {short(entries[number])}, expected an object")
    return entries[number]


def items(document: Mapping, key: str) -> list[dict]:
    """The list of objects document[key], empty where it is missing."""
    return [entry(document, key, number) for number in range(len(listing(document, key)))]


def indices(owner: str, item: Mapping, key: str, count: int) -> list[int]:
    """The list of different indices below `count` at item[key], empty where it is missing."""
    value = item.get(key, [])
    if not isinstance(value, list) or not all(
        isinstance(entry, int) and not isinstance(entry, bool) and 0 <= entry < count for entry in value
    ):
        raise ValueError(f"{owner}: {key} is {short(value)}, expected a list of indices below {count}")
    if len(set(value)) != len(value):
        raise ValueError(f"{owner}: {key} names the same entry twice")
    return value


def requires(document: Mapping, extension: str) -> bool:
    """Whether a document cannot be read without an extension."""
    required = document.get("extensionsRequired")
    return isinstance(required, list) and extension in required


# --- container


def read_container(path: Path) -> tuple[dict[str, Any], bytes]:
    """Read a .glb, or a .gltf whose buffers are base64 data or files beside it.

    A GLB that needs no other file comes back as it was read. Otherwise buffers and the PNG, JPEG and WebP images beside it become one binary chunk and
    the document is changed to match, so that the pair can always be written as a GLB.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: what is wrong with it (without the name of the file).
    """
    data = read_bytes(path)
    if data[:4] == b"glTF":
        document, binary = _split_glb(data)
    elif path.suffix.lower() == ".gltf":
        document, binary = _parse(data), None
    else:
        raise ValueError(f"it starts with {data[:4]!r}, not with b'glTF': it is no binary glTF file; choose a .glb, .gltf or .vrm")
    buffers = items(document, "buffers")
    for extension in _PACKED_BUFFERS:
        fallbacks = (buffer.get("extensions") for buffer in buffers)
        if requires(document, extension) or any(isinstance(found, Mapping) and extension in found for found in fallbacks):
            raise ValueError(f"its buffers are compressed ({extension}): export it without compression, as with gltfpack without -c")
    images = _images_beside(document, path.parent)
    if len(buffers) == 1 and "uri" not in buffers[0] and binary is not None and not images:
        _check_buffer_size(0, buffers[0], binary)
        return document, binary
    if not buffers:
        return document, b""
    return _merge_buffers(document, binary, images, path.parent)


def _split_glb(data: bytes) -> tuple[dict[str, Any], bytes | None]:
    if len(data) < _HEADER.size + _CHUNK.size:
        raise ValueError(f"it ends after {len(data)} bytes, before its first chunk: the file is cut off")
    _, version, length = _HEADER.unpack_from(data)
    if version != 2:
        raise ValueError(f"it is version {version} of the container, expected 2: export it as glTF 2.0")
    if length != len(data):
        raise ValueError(f"its header says {length} bytes, the file has {len(data)}: it is cut off or damaged")
    chunks: list[tuple[int, bytes]] = []
    at = _HEADER.size
    while at < len(data):
        if len(data) - at < _CHUNK.size:
            raise ValueError(f"{len(data) - at} stray bytes follow the last chunk")
        size, kind = _CHUNK.unpack_from(data, at)
        at += _CHUNK.size
        if size % 4 or size > len(data) - at:
            raise ValueError(f"chunk {len(chunks)} says {size} bytes, expected a multiple of 4 of the {len(data) - at} that are left")
        if kind in (_JSON, _BIN) and (len(chunks) != (kind == _BIN)):
            raise ValueError("its chunks are out of order: expected JSON first, then at most one BIN")
        chunks.append((kind, data[at : at + size] if kind in (_JSON, _BIN) else b""))
        at += size
        if len(chunks) > 64:
            raise ValueError("it has more than 64 chunks")
    if chunks[0][0] != _JSON:
        raise ValueError("its first chunk is not JSON")
    return _parse(chunks[0][1]), chunks[1][1] if len(chunks) > 1 and chunks[1][0] == _BIN else None


def _parse(text: bytes) -> dict[str, Any]:
    if len(text) > _MAX_JSON:
        raise ValueError(f"its JSON has {len(text)} bytes, at most {_MAX_JSON} are read: export it as .glb")
    values = sum(text.count(mark) for mark in (b",", b"{", b"["))
    if values > _MAX_VALUES:
        raise ValueError(f"its JSON has some {values} values, at most {_MAX_VALUES} are read")
    document = parse_json(text)
    asset = document.get("asset") if isinstance(document, dict) else None
    version = asset.get("version") if isinstance(asset, dict) else None
    if not isinstance(version, str) or not version.startswith("2."):
        raise ValueError(f"its asset version is {short(version)}, expected 2.0: export it as glTF 2.0")
    return document


def _check_buffer_size(number: int, buffer: Mapping, data: bytes) -> int:
    size = integer(f"buffer {number}", buffer, "byteLength", low=1)
    if size > len(data):
        raise ValueError(f"buffer {number} says {size} bytes, there are {len(data)}: the file is cut off or damaged")
    return size


def _uri_bytes(owner: str, uri: Any, folder: Path) -> bytes:
    """Bytes of a base64 data URI or of a file in or below `folder`."""
    if not isinstance(uri, str):
        raise ValueError(f"{owner} has no data: its uri is {short(uri)}")
    embedded = data_bytes(owner, uri)
    if embedded is not None:
        return embedded
    data = _bytes_beside(uri, folder)
    if data is None:
        raise ValueError(f"{owner}: there is no file {short(uri)} beside this one, and nothing else is opened: add it, or export as .glb")
    return data


def data_bytes(owner: str, uri: Any) -> bytes | None:
    """Bytes of a base64 data URI, None for anything else."""
    if not isinstance(uri, str) or not uri.startswith("data:"):
        return None
    head, found, payload = uri.partition(",")
    if not found or not head.endswith(";base64"):
        raise ValueError(f"{owner}: only base64 data URIs are read")
    try:
        return base64.b64decode(payload, validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"{owner}: its base64 data is damaged ({error})") from None


def _bytes_beside(uri: str, folder: Path) -> bytes | None:
    """Bytes of the file that a relative URI names in or below `folder`, None where there is none."""
    try:
        path = confined(folder, unquote(uri))
        if not path.is_file():
            return None
    except (ValueError, OSError):
        return None
    with naming(path):
        return read_bytes(path)


def _images_beside(document: Mapping, folder: Path) -> dict[int, tuple[bytes, str]]:
    """Bytes and MIME type of the images that are files in or below `folder`, by their number."""
    found: dict[int, tuple[bytes, str]] = {}
    total = 0
    for number, image in enumerate(items(document, "images")):
        uri = image.get("uri")
        outside = isinstance(uri, str) and not uri.startswith("data:") and "bufferView" not in image
        data = _bytes_beside(uri, folder) if outside else None
        kind = next((kind for head, kind in _IMAGE_HEADS if data is not None and data.startswith(head)), None)
        if kind is not None:
            found[number] = data, kind
            total += len(data)
            _check_total(total)
    return found


def _merge_buffers(
    document: dict[str, Any], binary: bytes | None, images: Mapping[int, tuple[bytes, str]], folder: Path
) -> tuple[dict[str, Any], bytes]:
    """One buffer out of many; views move by the offset of their buffer, image files become views of their own."""
    merged, offsets, sizes = bytearray(), [], []
    for number, buffer in enumerate(items(document, "buffers")):
        own = number == 0 and "uri" not in buffer and binary is not None
        data = binary if own else _uri_bytes(f"buffer {number}", buffer.get("uri"), folder)
        sizes.append(_check_buffer_size(number, buffer, data))
        offsets.append(_append(merged, data))
    views = []
    for number, view in enumerate(items(document, "bufferViews")):
        buffer = integer(f"bufferView {number}", view, "buffer", high=len(offsets))
        start = integer(f"bufferView {number}", view, "byteOffset", default=0)
        if start + integer(f"bufferView {number}", view, "byteLength", low=1) > sizes[buffer]:
            raise ValueError(f"bufferView {number} reaches beyond the {sizes[buffer]} bytes of buffer {buffer}")
        views.append({**view, "buffer": 0, "byteOffset": offsets[buffer] + start})
    pictures = items(document, "images")
    for number, (data, kind) in images.items():
        views.append({"buffer": 0, "byteOffset": _append(merged, data), "byteLength": len(data)})
        kept = {key: value for key, value in pictures[number].items() if key != "uri"}
        pictures[number] = {**kept, "bufferView": len(views) - 1, "mimeType": kind}
    document = {**document, "buffers": [{"byteLength": len(merged)}]}
    for key, value in (("bufferViews", views), ("images", pictures)):
        if value:
            document[key] = value
    return document, bytes(merged)


def _check_total(size: int) -> None:
    if size > MAX_FILE_BYTES:
        raise ValueError(f"its buffers and images have more than {MAX_FILE_BYTES:,} bytes")


def _append(binary: bytearray, data: bytes) -> int:
    """Add data at the next multiple of 4 and return where it starts."""
    _check_total(len(binary) + len(data))
    binary.extend(bytes(-len(binary) % 4))
    binary.extend(data)
    return len(binary) - len(data)

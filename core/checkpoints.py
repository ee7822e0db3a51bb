"""Reading the files of checkpoints: without running anything in them, and without a copy of them in memory.

A checkpoint is a mapping from names to tensors on the CPU that stay mapped to their file until somebody uses them. It may be one file or
several (shards).
"""

import json
import re
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .formats.untrusted import confined, read_bytes
from .networks.scaled_fp8 import FP8
from .networks.state_dicts import shortly

CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")
INDEX_SUFFIX = ".safetensors.index.json"

_PREFIXES = ("model.diffusion_model.", "diffusion_model.")
_LORA = re.compile(r"\.(lora_(down|up|A|B)\b|diff(_b)?$)")
_SHARD = re.compile(r"(.+-)(\d{5})-of-(\d{5})(\.safetensors)")
_HEADER_BYTES = 100_000_000  # as the format's own reader allows
_INDEX_BYTES = 64 << 20
_CHUNK = 1 << 20  # numbers looked at in one go


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a checkpoint; those under "module" if that is where they are (DeepSpeed), without the prefix of a diffusion model.

    Args:
        path: .safetensors, or .pt and .pth in torch's zip format; for a checkpoint in several files the index (.safetensors.index.json),
            any of the files, or their folder. The names of a LoRA keep their prefix, which belongs to them.

    Raises:
        FileNotFoundError: no such file, or a shard is missing (named).
        ValueError: names the file: malformed, unsafe, or not a mapping from names to tensors.
    """
    state: dict[str, Tensor] = {}
    for file in checkpoint_files(path):
        part = _read_file(file)
        if twice := state.keys() & part.keys():
            raise ValueError(f"{file} has {shortly(sorted(twice))}, which another file of the checkpoint has as well: download it again")
        state |= part
    return _without_prefix(state)


def checkpoint_files(path: Path | str) -> list[Path]:
    """The files that make up the checkpoint at `path`, all of them there.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`.
    """
    path = Path(path)
    if path.is_dir():
        path = _entry(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.name.lower().endswith(INDEX_SUFFIX):
        names = _indexed(path)
    elif path.suffix.lower() in CHECKPOINT_SUFFIXES:
        names = shard_names(path.name)
    else:
        raise ValueError(f"{path} is no checkpoint: expected a file that ends in {', '.join((*CHECKPOINT_SUFFIXES, INDEX_SUFFIX))}")
    files = [confined(path.parent, name) for name in names]
    if lacking := [file.name for file in files if not file.is_file()]:
        raise FileNotFoundError(
            f"{path} is one of {len(files)} files, and {shortly(lacking)} is not in {path.parent}: download what is missing into that folder"
        )
    return files


def shard_names(name: str) -> list[str]:
    """Names of all files of a checkpoint, of which `name` is one: its own, or with "-00001-of-00003" in it those of all three.

    Raises:
        ValueError: a number beyond the count.
    """
    if not (shard := _SHARD.fullmatch(name)):
        return [name]
    number, count = int(shard[2]), int(shard[3])
    if not 1 <= number <= count:
        raise ValueError(f"{name} counts itself as file {number} of {count}: download it again under its own name")
    return [f"{shard[1]}{one:05}-of-{shard[3]}{shard[4]}" for one in range(1, count + 1)]


def _entry(folder: Path) -> Path:
    """The file of a folder that stands for its checkpoint."""
    names = sorted(file.name for file in folder.iterdir() if file.is_file())
    indices = [name for name in names if name.lower().endswith(INDEX_SUFFIX)]
    single = [name for name in names if Path(name).suffix.lower() in CHECKPOINT_SUFFIXES]
    shards = {_SHARD.sub(r"\1\3", name): name for name in single if _SHARD.fullmatch(name)}
    found = indices or ([*shards.values()] if len(shards) and all(map(_SHARD.fullmatch, single)) else single)
    if len(found) != 1:
        there = shortly(found) if found else "none"
        raise ValueError(f"{folder} holds {len(found)} checkpoints ({there}), expected one: give the file that is meant")
    return folder / found[0]


def _indexed(path: Path) -> list[str]:
    """Names of the files that an index lists."""
    try:
        table = json.loads(read_bytes(path, limit=_INDEX_BYTES))
        names = list(dict.fromkeys(table["weight_map"].values()))
        if not names or not all(isinstance(name, str) and name.lower().endswith(".safetensors") for name in names):
            raise ValueError("its weight_map names no .safetensors files")
    except (KeyError, TypeError, AttributeError, ValueError, RecursionError) as error:
        raise ValueError(f"{path} is no index of a checkpoint ({error or type(error).__name__}): download it again") from error
    return names


def _read_file(path: Path) -> dict[str, Tensor]:
    read = _read_safetensors if path.suffix.lower() == ".safetensors" else _read_torch
    try:
        content = read(path)
    except Exception as error:  # the parsers raise many types on malformed input, MemoryError and RecursionError among them
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({reason[0] if reason else type(error).__name__}): download it again"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("module"), dict):
        content = content["module"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(key, str) and isinstance(v, Tensor) for key, v in content.items())
    ):
        raise ValueError(f"{path} is no checkpoint of a model: expected tensors by name, or such a table under 'module'")
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_torch(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise ValueError("not in the zip format that torch.save has written since 1.6")
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("its entries are compressed, which torch.save never does")
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries claim more bytes than the file has")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def _without_prefix(state: dict[str, Tensor]) -> dict[str, Tensor]:
    if any(_LORA.search(key) for key in state):
        return state
    for prefix in _PREFIXES:
        if all(key.startswith(prefix) for key in state):
            return {key.removeprefix(prefix): value for key, value in state.items()}
    return state


def read_metadata(path: Path | str) -> dict[str, str]:
    """What a .safetensors file says of itself beside its tensors, of several files together; empty for .pt and .pth.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`.
    """
    told: dict[str, str] = {}
    for file in checkpoint_files(path):
        if file.suffix.lower() == ".safetensors":
            told |= _metadata(file)
    return told


def _metadata(path: Path) -> dict[str, str]:
    try:
        with open(path, "rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if length > min(_HEADER_BYTES, path.stat().st_size):
                raise ValueError("its header is longer than the file")
            table = json.loads(file.read(length))
        told = table.get("__metadata__", {})
        return {str(key): str(value) for key, value in told.items()}
    except (ValueError, AttributeError, RecursionError) as error:
        raise ValueError(f"{path} cannot be read as a checkpoint ({error}): download it again") from error


def check_finite(state: Mapping[str, Tensor], title: str) -> None:
    """Read through all tensors once, in chunks.

    Raises:
        ValueError: names the tensors with NaN or infinite values, and `title` as what they are in.
    """
    if broken := [key for key, value in state.items() if not _finite(value)]:
        raise ValueError(f"{title} has NaN or infinite values in {shortly(broken)}: download it again")


def _finite(value: Tensor) -> bool:
    if not value.numel() or not value.is_floating_point():
        return True
    if value.dtype in FP8:
        bits = value.reshape(-1).view(torch.uint8)
        # Without the sign: e4m3fn has one NaN and no infinity, in e5m2 an exponent of ones is either.
        least = 0xFE if value.dtype == torch.float8_e4m3fn else 0xF8
        return all(int((chunk << 1).max()) < least for chunk in bits.split(_CHUNK))
    # Both ends of the range are NaN where any value is.
    return all(bool(torch.isfinite(torch.stack(chunk.aminmax())).all()) for chunk in value.reshape(-1).split(_CHUNK))

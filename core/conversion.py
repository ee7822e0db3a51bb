"""One .safetensors file from a checkpoint in any other form, written tensor by tensor."""

import json
import math
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .checkpoints import check_finite, read_checkpoint, read_metadata
from .formats.atomic import replacing
from .models import KINDS, identify, motion_adapter_config, motion_only, mvdit_7b_config, mvdit_17b_config
from .networks.scaled_fp8 import FP8, SCALE, quantise, scale_of
from .precision import BESIDE_FP8, DTYPES, becomes_fp8, check_precision, in_dtype, unify_scales

# The format's names of dtypes.
_NAMES = {
    torch.float64: "F64",
    torch.float32: "F32",
    torch.float16: "F16",
    torch.bfloat16: "BF16",
    torch.float8_e4m3fn: "F8_E4M3",
    torch.float8_e5m2: "F8_E5M2",
    torch.int64: "I64",
    torch.int32: "I32",
    torch.int16: "I16",
    torch.int8: "I8",
    torch.uint8: "U8",
    torch.bool: "BOOL",
}
_SPECS = {
    "4dmot": "4dmot",
    "mvdit_7b": "mvdit_7b",
    "mvdit_17b": "mvdit_17b",
    "motion_adapter": "mvdit_17b_adapter",
    "wan_i2v": "wan_i2v_14b",
    "cogvideox_vae": "cogvideox_vae",
    "wan_vae": "wan_vae",
    "umt5": "umt5_xxl",
    "clip_vision": "clip_vision_h",
}
_QUANTISATION = "_quantization_metadata"  # where newer versions of ComfyUI list the layers with scales
_ALIGNMENT = 8
_CHUNK = 1 << 24  # bytes written in one go
_SPARE = 64 << 20  # bytes of the disk that are left alone


def convert(
    source: Path | str,
    target: Path | str,
    *,
    precision: str = "as stored",
    adapter_only: bool = False,
    advance: Callable[[int], None] | None = None,
) -> Path:
    """Write a checkpoint as one .safetensors file that says what it is.

    Args:
        source: as `read_checkpoint` takes it. precision: of PRECISIONS; "as stored" changes no number, "fp8 scaled" makes the matrices of
            the blocks fp8 and everything else bfloat16. adapter_only: the motion attention of a 17B alone.
        advance: told how many more bytes are written.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`; a target that exists or ends otherwise, a model that is not one of this
            pack's, NaN. Nothing is left of an unfinished file.
        OSError: the disk is too full; said before anything is written.
    """
    check_precision(precision)
    target = Path(target)
    if target.suffix.lower() != ".safetensors" or target.exists():
        problem = "exists: choose another name" if target.exists() else "is no name for the result: let it end in .safetensors"
        raise ValueError(f"{target} {problem}")
    state, told = read_checkpoint(source), read_metadata(source)
    try:
        kind = identify(state)
        if adapter_only:
            if kind != "mvdit_17b":
                raise ValueError(f"this is {KINDS[kind]}, expected {KINDS['mvdit_17b']} to take the motion attention from")
            state, kind = motion_only(state), "motion_adapter"
        if adapter_only or precision != "as stored":
            told.pop(_QUANTISATION, None)
        metadata = told | _description(state, kind, told) | {"motion4d.source": Path(source).name, "motion4d.precision": precision}
        pieces = _pieces(state, kind, precision)
    except ValueError as error:
        raise ValueError(f"{source}: {error}") from error
    size = sum(piece.size for piece in pieces)
    _check_space(target, size)
    with replacing(target) as temporary:
        write_safetensors(temporary, pieces, {"format": "pt"} | metadata, title=str(source), advance=advance)
    return target


def _description(state: Mapping[str, Tensor], kind: str, told: Mapping[str, str]) -> dict[str, str]:
    if kind not in _SPECS:
        raise ValueError(f"this is {KINDS[kind]}, which nothing here uses: convert one that MTVCrafter needs")
    found = {"motion4d.spec": _SPECS[kind]}
    if kind in ("mvdit_17b", "motion_adapter"):
        config = (mvdit_17b_config if kind == "mvdit_17b" else motion_adapter_config)(state, told)
        found |= {
            "motion4d.motion_dim": str(config.motion_dim),
            "motion4d.key_layout": config.key_layout,
            "motion4d.heads": str(config.heads),
        }
    elif kind == "mvdit_7b":
        found["motion4d.motion_dim"] = str(mvdit_7b_config(state).width)
    elif kind == "4dmot":
        found["motion4d.motion_dim"] = str(state["vq.codebook"].shape[-1])
    return found


@dataclass(frozen=True, eq=False)
class Piece:
    """A tensor that is to be written: its name, what it will be, and how it is made when its turn comes, with those that come along.

    make: gives this tensor first, then those of `along`, in their order.
    """

    name: str
    dtype: torch.dtype
    shape: tuple[int, ...]
    make: Callable[[], tuple[Tensor, ...]]
    along: tuple["Piece", ...] = ()

    @property
    def size(self) -> int:
        """Bytes, with those that come along."""
        return self.dtype.itemsize * math.prod(self.shape) + sum(piece.size for piece in self.along)


def _pieces(state: Mapping[str, Tensor], kind: str, precision: str) -> list[Piece]:
    """What the file will hold."""
    if precision == "as stored":
        return [_kept(key, value) for key, value in state.items()]
    unified = unify_scales(state)
    if precision == "fp8 scaled" and kind not in ("mvdit_7b", "mvdit_17b", "motion_adapter", "wan_i2v"):
        raise ValueError(f"this is {KINDS[kind]}, fp8 is for video models: choose bfloat16, float16 or float32")
    scales = {key: value for key, value in unified.items() if key.endswith(SCALE)}
    tensors = {key: value for key, value in unified.items() if key not in scales}
    if precision == "fp8 scaled":
        # The mark by which ComfyUI knows the scales; two numbers ask for matrix products in the wide dtype.
        mark = Piece("scaled_fp8", torch.float8_e4m3fn, (2,), lambda: (torch.zeros(2, dtype=torch.float8_e4m3fn),))
        return [mark, *(_quantised(key, value, scales.get(scale_of(key))) for key, value in tensors.items())]
    return [_cast(key, value, DTYPES[precision], scales.get(scale_of(key))) for key, value in tensors.items()]


def _kept(key: str, value: Tensor) -> Piece:
    return Piece(key, value.dtype, tuple(value.shape), lambda: (value,))


def _cast(key: str, value: Tensor, dtype: torch.dtype, scale: Tensor | None) -> Piece:
    result = dtype if value.is_floating_point() else value.dtype
    return Piece(key, result, tuple(value.shape), lambda: (in_dtype(value, dtype, scale),))


def _quantised(key: str, value: Tensor, scale: Tensor | None) -> Piece:
    if not becomes_fp8(key, value):
        return _cast(key, value, BESIDE_FP8, scale)
    beside, shape = (Piece(scale_of(key), torch.float32, (), tuple),), tuple(value.shape)
    if value.dtype in FP8:
        return Piece(key, value.dtype, shape, lambda: (value, torch.ones(()) if scale is None else scale), beside)
    return Piece(key, torch.float8_e4m3fn, shape, lambda: tuple(quantise({key: value}, [key]).values()), beside)


def write_safetensors(
    path: Path, pieces: Sequence[Piece], metadata: Mapping[str, str], *, title: str, advance: Callable[[int], None] | None = None
) -> None:
    """Write the format of safetensors with no more than one tensor in memory; ValueError if one has NaN, naming `title` as where it is from.

    The format: eight bytes with the length of the header, the header in JSON, and the tensors at the offsets that it gives.
    """
    everything = [piece for first in pieces for piece in (first, *first.along)]
    # Wide numbers first, so that each tensor begins where its dtype can be read in place.
    everything.sort(key=lambda piece: -piece.dtype.itemsize)
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offsets, end = {}, 0
    for piece in everything:
        begin, end = end, end + piece.dtype.itemsize * math.prod(piece.shape)
        offsets[piece.name] = begin
        header[piece.name] = {"dtype": _NAMES[piece.dtype], "shape": list(piece.shape), "data_offsets": [begin, end]}
    text = json.dumps(header, separators=(",", ":"), ensure_ascii=False).encode()
    text += b" " * (-len(text) % _ALIGNMENT)
    with open(path, "wb") as file:
        file.write(len(text).to_bytes(8, "little") + text)
        for piece in pieces:
            for part, tensor in zip((piece, *piece.along), piece.make(), strict=True):
                check_finite({part.name: tensor}, title)
                file.seek(8 + len(text) + offsets[part.name])
                for chunk in tensor.contiguous().reshape(-1).view(torch.uint8).split(_CHUNK):
                    file.write(memoryview(chunk.numpy()))
                    if advance:
                        advance(len(chunk))


def _check_space(target: Path, size: int) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(target.parent).free
    if size + _SPARE > free:
        needed = f"{size / 1e9:.2f} GB, {target.parent} has {free / 1e9:.2f} GB free"
        raise OSError(f"the disk is too full for {target.name}: it needs {needed}: make room or choose another folder")

"""npz archives: a reader that runs nothing in them and allocates nothing on their word, and Motion4D's own layout.

Own layout, version 1 (plain numpy arrays, `numpy.load(path, allow_pickle=False)` reads them):
    motion4d_version        ()  int
    joints                  (T, J, 3) metres; NaN where missing
    confidence              (T, J)
    fps                     ()  float64
    frame                   ()  "world" (Y up) or "camera" (OpenCV axes)
    names, parents, mirror  (J)
    rest                    (J, 3) metres, optional
    rotations               (T, J, 3, 3) local, relative to the rest pose, optional
    translation             (T, 3) metres, optional
    shape                   (10) SMPL betas, optional
    intrinsics, image_size  (3, 3) pixels and (H, W), optional, together
    notes                   (N) what was assumed where the motion was made
Every array comes back with the type it had.
"""

import math
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..skeletons import STANDARD
from ..types import Frame, Motion, Skeleton
from .atomic import replacing
from .clips import Clip, ClipInfo, check_frames, chosen_rate
from .untrusted import Archive

VERSION = 1
_MAX_ARRAYS = 2000
_MAX_HEADER = 4096
_HEADER = re.compile(
    r"\s*\{\s*'descr':\s*'([^']{1,64})',\s*'fortran_order':\s*(True|False),\s*'shape':\s*"
    r"\(((?:\d{1,18}L?(?:,\s*\d{1,18}L?){0,31},?)?)\),?\s*\}\s*"
)
_NUMBERS = re.compile(r"[<>|=]?(f[248]|[iu][1248]|b1|[US]\d{1,6})")
_OPTIONAL = ("rotations", "translation", "shape", "intrinsics")


class ArrayHeader(NamedTuple):
    """The head of an npy array. dtype is None where the array is of a kind that is not read (objects, records)."""

    shape: tuple[int, ...]
    dtype: np.dtype | None
    fortran: bool
    length: int


def plain_dtype(code: str) -> np.dtype | None:
    """The numpy type of a code such as "<f4": numbers, truth values and text; None for all others."""
    return np.dtype(code) if _NUMBERS.fullmatch(code) else None


def parse_header(data: bytes) -> ArrayHeader:
    """Read the head of an npy array (NEP 1) without evaluating anything; `data` needs to hold its first bytes only."""
    if data[:6] != b"\x93NUMPY" or len(data) < 10:
        raise ValueError("not a numpy array")
    width = {1: 2, 2: 4, 3: 4}.get(data[6])
    if width is None:
        raise ValueError(f"numpy array of format version {data[6]}, expected 1 to 3")
    length = int.from_bytes(data[8 : 8 + width], "little")
    start = 8 + width
    if length > _MAX_HEADER or len(data) < start + length:
        raise ValueError(f"numpy array with a head of {length:,} bytes, expected at most {_MAX_HEADER:,}: the file is damaged")
    text = data[start : start + length].decode("utf-8" if data[6] == 3 else "latin-1")
    match = _HEADER.fullmatch(text)
    if match is None:
        # Records and other exotic heads are left to whoever asks for that array.
        return ArrayHeader((), None, False, start + length)
    code, fortran, shape = match.groups()
    sizes = tuple(int(size.rstrip("L")) for size in re.split(r"[,\s]+", shape) if size)
    return ArrayHeader(sizes, plain_dtype(code), fortran == "True", start + length)


def read_array(header: ArrayHeader, data: bytes) -> np.ndarray:
    """The array behind `header`; `data` is the whole npy file, whose length must fit exactly."""
    if header.dtype is None:
        raise ValueError("it holds Python objects or records, which are not read: save plain numeric arrays")
    expected = math.prod(header.shape) * header.dtype.itemsize
    if expected != len(data) - header.length:
        raise ValueError(f"it claims {header.shape} {header.dtype} = {expected:,} bytes, but holds {len(data) - header.length:,}")
    flat = np.frombuffer(data, header.dtype, offset=header.length, count=math.prod(header.shape))
    return flat.reshape(header.shape, order="F" if header.fortran else "C")


class NpzFile:
    """Arrays of an npz by name; heads are read at once, contents when asked for."""

    def __init__(self, data: bytes):
        self._archive = Archive(data)
        if len(self._archive.names) > _MAX_ARRAYS:
            raise ValueError(f"the archive has {len(self._archive.names):,} arrays, at most {_MAX_ARRAYS:,} are read")
        self.headers: dict[str, ArrayHeader] = {}
        for member in self._archive.names:
            if "/" in member or "\\" in member or not member.endswith(".npy"):
                raise ValueError(f"the archive has a member '{member}', expected only NAME.npy: this is no npz of arrays")
            name = member.removesuffix(".npy")
            try:
                self.headers[name] = parse_header(self._archive.read(member, _MAX_HEADER + 12))
            except ValueError as error:
                raise ValueError(f"array '{name}': {error}") from error

    def __contains__(self, name: str) -> bool:
        return name in self.headers

    def shape(self, name: str) -> tuple[int, ...]:
        """Shape of an array, () where there is none of that name."""
        return self.headers[name].shape if name in self.headers else ()

    def read(self, name: str) -> np.ndarray:
        """One array.

        Raises:
            ValueError: it is absent, holds objects, or its length does not fit its shape.
        """
        if name not in self.headers:
            raise ValueError(f"the file has no array '{name}': it has {', '.join(list(self.headers)[:20]) or 'none'}")
        header, member = self.headers[name], f"{name}.npy"
        claimed = math.prod(header.shape) * (header.dtype.itemsize if header.dtype else 0)
        try:
            if header.dtype is not None and claimed != self._archive.size(member) - header.length:
                raise ValueError(f"it claims the shape {header.shape}, which does not fit its {self._archive.size(member):,} bytes")
            return read_array(header, b"" if header.dtype is None else self._archive.read(member))
        except ValueError as error:
            raise ValueError(f"array '{name}': {error}") from error

    def value(self, name: str):
        """A single number or text, or None where there is none of that name."""
        if name not in self.headers or self.headers[name].dtype is None:
            return None
        array = self.read(name)
        return array.reshape(-1)[0].item() if array.size == 1 else None


def save_npz(motion: Motion, path: Path) -> None:
    """Write everything a Motion holds; see the layout above."""
    motion, skeleton = motion.cpu(), motion.skeleton
    arrays = {
        "motion4d_version": np.int64(VERSION),
        "joints": motion.joints,
        "confidence": motion.confidence,
        "fps": np.float64(motion.fps),
        "frame": np.str_(motion.frame.value),
        "names": np.array(skeleton.names, np.str_),
        "parents": np.array(skeleton.parents, np.int64),
        "mirror": np.array(skeleton.mirror, np.int64),
        "notes": np.array(motion.notes, np.str_),
        "rest": skeleton.rest,
        "image_size": None if motion.image_size is None else np.array(motion.image_size, np.int64),
        **{name: getattr(motion, name) for name in _OPTIONAL},
    }
    plain = {name: array.numpy() if isinstance(array, torch.Tensor) else array for name, array in arrays.items() if array is not None}
    with replacing(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **plain)


def _same(one: torch.Tensor | None, other: torch.Tensor | None) -> bool:
    if one is None or other is None:
        return one is other
    return one.dtype == other.dtype and torch.equal(one, other)


def _skeleton(file: NpzFile) -> Skeleton:
    rest = torch.from_numpy(file.read("rest").copy()) if "rest" in file else None
    names, parents, mirror = (tuple(file.read(name).reshape(-1).tolist()) for name in ("names", "parents", "mirror"))
    if not all(isinstance(name, str) for name in names) or not all(isinstance(number, int) for number in (*parents, *mirror)):
        raise ValueError("names must be text, parents and mirror whole numbers")
    for standard in STANDARD.values():
        if (names, parents, mirror) == (standard.names, standard.parents, standard.mirror) and _same(rest, standard.rest):
            return standard
    return Skeleton(names=names, parents=parents, mirror=mirror, rest=rest)


def own_clips(file: NpzFile) -> list[Clip]:
    """The clip of an npz in Motion4D's own layout."""
    version = file.value("motion4d_version")
    if version != VERSION:
        raise ValueError(f"the file is of layout version {version}, this program reads version {VERSION}: update Motion4D")
    shape = file.shape("joints")
    if len(shape) != 3:
        raise ValueError(f"joints has shape {shape}, expected (frames, joints, 3)")
    check_frames(shape[0])
    size = file.read("image_size").tolist() if "image_size" in file else None
    if size is not None and not (isinstance(size, list) and all(isinstance(side, int) for side in size)):
        raise ValueError(f"image_size is {size}, expected two whole numbers")
    size = None if size is None else tuple(size)
    stored = file.value("fps")
    rate = float(stored) if isinstance(stored, (int, float)) else None

    def build(person: int, fps: float | None) -> Motion:
        def tensor(name: str) -> torch.Tensor | None:
            array = file.read(name) if name in file else None
            if array is None:
                return None
            if array.dtype.kind != "f":
                raise ValueError(f"array '{name}' holds {array.dtype}, expected floating-point numbers")
            return torch.from_numpy(array.astype(array.dtype.newbyteorder("=")))

        used, assumed = chosen_rate(fps, rate)
        return Motion(
            joints=tensor("joints"), confidence=tensor("confidence"), skeleton=_skeleton(file), fps=used,
            frame=Frame(file.value("frame")), image_size=size, notes=(*map(str, file.read("notes").reshape(-1).tolist()), *assumed),
            **{name: tensor(name) for name in _OPTIONAL},
        )  # fmt: skip

    return [Clip(ClipInfo("motion", shape[0], 1, shape[1], rate, size, "motion4d"), build)]

"""The base colour of glTF materials: factors, pictures and where they lie on a mesh (specification, section 3.9; KHR_texture_transform)."""

import struct
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .gltf_accessors import buffer_view_range
from .gltf_container import data_bytes, entry, integer, listing

_MOST_PIXELS = 1 << 26  # of one picture
_MOST_TOGETHER = 1 << 27
_CUTOFF = 0.5
_WRAP = {10497: "repeat", 33071: "clamp", 33648: "mirror"}
Optional = Callable[[str, int], Tensor | None]


class Materials:
    """The materials of a document; every picture is decoded once."""

    def __init__(self, document: Mapping[str, Any], binary: bytes):
        self.document, self.binary, self.left = document, binary, _MOST_TOGETHER
        self.pictures: dict[int, Tensor | str] = {}

    def look(self, owner: str, primitive: Mapping, optional: Optional) -> tuple[dict[str, Any], Tensor | None]:
        """The fields of a RigMesh that its material decides, and uv (N, 2).

        optional: reads an attribute of the primitive, (name, width) -> (N, width) or None.
        """
        material = {}
        if "material" in primitive:
            material = entry(
                self.document, "materials", integer(owner, primitive, "material", high=len(listing(self.document, "materials")))
            )
        factor, info = _base(material)
        mode = material.get("alphaMode", "OPAQUE")
        cutoff = None if mode not in ("MASK", "BLEND") else _number(material.get("alphaCutoff"), _CUTOFF) if mode == "MASK" else _CUTOFF
        look: dict[str, Any] = {
            "base_color": torch.tensor(factor),
            "alpha_cutoff": cutoff,
            "double_sided": material.get("doubleSided") is True,
        }
        own = _extension(info, "KHR_texture_transform")
        uv_set = own.get("texCoord", info.get("texCoord", 0))
        uv = optional(f"TEXCOORD_{uv_set if isinstance(uv_set, int) and not isinstance(uv_set, bool) and 0 <= uv_set < 16 else 0}", 2)
        uv = None if uv is None else _placed(uv.float().nan_to_num(), own)
        if info and uv is not None:
            found, look["wrap"] = self._texture(owner, info)
            if isinstance(found, str):
                look["notes"] = (found,)
            else:
                look["texture"] = found
        return look, uv

    def _texture(self, owner: str, info: Mapping) -> tuple[Tensor | str, tuple[str, str]]:
        texture = entry(
            self.document, "textures", integer(f"{owner}, its texture", info, "index", high=len(listing(self.document, "textures")))
        )
        wrap = ("repeat", "repeat")
        if "sampler" in texture:
            sampler = entry(self.document, "samplers", integer("texture", texture, "sampler", high=len(listing(self.document, "samplers"))))
            wrap = tuple(
                _WRAP.get(sampler.get(key, 10497), "repeat") if isinstance(sampler.get(key, 0), int) else "repeat"
                for key in ("wrapS", "wrapT")
            )
        source = _extension(texture, "EXT_texture_webp").get("source", texture.get("source"))
        if not isinstance(source, int):
            return "its texture is in a format that is not read (KTX2 or another extension): its base colour stands alone", wrap
        if source not in self.pictures:
            self.pictures[source] = self._picture(
                integer("texture", {"source": source}, "source", high=len(listing(self.document, "images")))
            )
        return self.pictures[source], wrap

    def _picture(self, number: int) -> Tensor | str:
        """(h, w, 4) uint8, or why there is none."""
        image = entry(self.document, "images", number)
        if "bufferView" in image:
            start, length = buffer_view_range(self.document, self.binary, integer(f"image {number}", image, "bufferView"))
            data = self.binary[start : start + length]
        else:
            data = data_bytes(f"image {number}", image.get("uri"))
        if data is None:
            return f"image {number} is no PNG, JPEG or WebP file beside this one: its base colour stands alone"
        size = picture_size(data)
        if size is None:
            return f"image {number} is no PNG, JPEG or WebP: its base colour stands alone"
        self.left -= size[0] * size[1]
        if size[0] * size[1] > _MOST_PIXELS or self.left < 0:
            raise ValueError(f"image {number} has {size[1]} x {size[0]} pixels, which is more than is read: export smaller textures")
        import cv2

        picture = cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED | cv2.IMREAD_IGNORE_ORIENTATION)
        if picture is None:
            return f"image {number} is damaged: its base colour stands alone"
        if picture.dtype != np.uint8:
            picture = (picture / np.iinfo(picture.dtype).max * 255).round().astype(np.uint8)
        channels = 1 if picture.ndim == 2 else picture.shape[2]
        to_rgba = {1: cv2.COLOR_GRAY2RGBA, 3: cv2.COLOR_BGR2RGBA, 4: cv2.COLOR_BGRA2RGBA}
        if channels not in to_rgba:
            return f"image {number} has {channels} channels: its base colour stands alone"
        return torch.from_numpy(cv2.cvtColor(picture, to_rgba[channels]))


def _extension(item: Mapping, name: str) -> Mapping:
    extensions = item.get("extensions")
    found = extensions.get(name) if isinstance(extensions, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def _number(value: Any, default: float) -> float:
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) and abs(value) < 1e6 else default


def _numbers(value: Any, default: tuple[float, ...]) -> tuple[float, ...]:
    given = value if isinstance(value, list) and len(value) == len(default) else default
    return tuple(_number(one, other) for one, other in zip(given, default, strict=True))


def _base(material: Mapping) -> tuple[tuple[float, ...], Mapping]:
    """Linear base colour (4) and the texture info, {} where there is none; of the older specular-glossiness materials their diffuse colour."""
    older = _extension(material, "KHR_materials_pbrSpecularGlossiness")
    part = older or material.get("pbrMetallicRoughness")
    part = part if isinstance(part, Mapping) else {}
    color, picture = ("diffuseFactor", "diffuseTexture") if older else ("baseColorFactor", "baseColorTexture")
    info = part.get(picture)
    return _numbers(part.get(color), (1.0, 1.0, 1.0, 1.0)), info if isinstance(info, Mapping) else {}


def _placed(uv: Tensor, transform: Mapping) -> Tensor:
    """Texture coordinates after KHR_texture_transform: scaled, turned, moved."""
    turn, scale, offset = (
        _number(transform.get("rotation"), 0.0),
        _numbers(transform.get("scale"), (1.0, 1.0)),
        _numbers(transform.get("offset"), (0.0, 0.0)),
    )
    if not turn and scale == (1.0, 1.0) and offset == (0.0, 0.0):
        return uv
    u, v = (uv * torch.tensor(scale)).unbind(1)
    sine, cosine = np.sin(turn), np.cos(turn)
    return torch.stack([cosine * u + sine * v + offset[0], cosine * v - sine * u + offset[1]], 1)


def picture_size(data: bytes) -> tuple[int, int] | None:
    """(height, width) that the head of a PNG, JPEG or WebP claims, None for anything else."""
    if data[:8] == b"\x89PNG\r\n\x1a\n" and len(data) >= 24:
        width, height = struct.unpack_from(">II", data, 16)
        return height, width
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP" and len(data) >= 30:
        return _webp_size(data)
    if data[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 <= len(data) and data[at] == 0xFF:
        kind = data[at + 1]
        if 0xC0 <= kind <= 0xCF and kind not in (0xC4, 0xC8, 0xCC):  # a start of frame
            height, width = struct.unpack_from(">HH", data, at + 5)
            return height, width
        at += 1 if kind == 0xFF else 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    return None


def _webp_size(data: bytes) -> tuple[int, int] | None:
    kind = data[12:16]
    if kind == b"VP8X":
        return int.from_bytes(data[27:30], "little") + 1, int.from_bytes(data[24:27], "little") + 1
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return (bits >> 14 & 0x3FFF) + 1, (bits & 0x3FFF) + 1
    if kind == b"VP8 ":
        width, height = struct.unpack_from("<HH", data, 26)
        return height & 0x3FFF, width & 0x3FFF
    return None

"""A glTF 2.0 document and its binary chunk, built up and packed as a GLB."""

import json
import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from .quaternions import continuous, matrix_to_quat_xyzw

VERTICES, TRIANGLES = 34962, 34963  # bufferView targets
ANIMATION = "Motion4D"
_COMPONENTS = {np.dtype("u1"): 5121, np.dtype("<u2"): 5123, np.dtype("<u4"): 5125, np.dtype("<f4"): 5126}


def free_name(document: Mapping[str, Any], wanted: str = ANIMATION) -> str:
    """`wanted`, with a number behind it where an animation of the document has that name."""
    taken = {item.get("name") for item in document.get("animations", [])}
    return next(name for name in (wanted, *(f"{wanted} {number}" for number in range(2, len(taken) + 3))) if name not in taken)


class GlbBuilder:
    """A document and its binary chunk, both of which only grow."""

    def __init__(self, document: dict[str, Any], binary: bytes):
        self.document, self.binary = document, bytearray(binary)

    def append(self, key: str, item: dict) -> int:
        """Add to a list of the document (a new list, so that a document read from a file stays as it is)."""
        self.document[key] = [*self.document.get(key, []), item]
        return len(self.document[key]) - 1

    def accessor(self, values: np.ndarray, kind: str, *, target: int | None = None, bounds: bool = False, normalized: bool = False) -> int:
        """Add (N) or (N, n) numbers."""
        self.binary.extend(bytes(-len(self.binary) % 4))
        view = {"buffer": 0, "byteOffset": len(self.binary), "byteLength": values.nbytes}
        if target is not None:
            view["target"] = target
        self.binary.extend(np.ascontiguousarray(values).tobytes())
        accessor = {
            "bufferView": self.append("bufferViews", view),
            "componentType": _COMPONENTS[values.dtype],
            "count": len(values),
            "type": kind,
        }
        if normalized:
            accessor["normalized"] = True
        if bounds:
            columns = values.reshape(len(values), -1)
            accessor |= {"min": columns.min(0).tolist(), "max": columns.max(0).tolist()}
        return self.append("accessors", accessor)

    def animate(
        self,
        rotations: dict[int, Tensor],
        translations: dict[int, Tensor],
        fps: float,
        *,
        kept: Mapping[tuple[int, str], np.ndarray] | None = None,
        name: str = ANIMATION,
    ) -> None:
        """Add an animation: node -> (T, 3, 3) local rotations, node -> (T, 3) local translations.

        kept: (node, "rotation" or "translation") -> frames that get a key; all frames without it.
        """
        every, times = np.arange(len(next(iter(rotations.values())))), {}
        samplers, channels = [], []
        quats = continuous(matrix_to_quat_xyzw(torch.stack(list(rotations.values()), 1)))
        tracks = [(node, "rotation", quats[:, row], "VEC4") for row, node in enumerate(rotations)]
        tracks += [(node, "translation", track, "VEC3") for node, track in translations.items()]
        for node, path, track, kind in tracks:
            frames = (kept or {}).get((node, path), every)
            clock = frames.tobytes()
            if clock not in times:
                times[clock] = self.accessor((frames / fps).astype("<f4"), "SCALAR", bounds=True)
            output = self.accessor(track.numpy()[frames].astype("<f4"), kind)
            channels.append({"sampler": len(samplers), "target": {"node": node, "path": path}})
            samplers.append({"input": times[clock], "interpolation": "LINEAR", "output": output})
        self.append("animations", {"name": free_name(self.document, name), "samplers": samplers, "channels": channels})

    def pack(self) -> bytes:
        """Container with both chunks, or with the document alone where there are no bytes."""
        self.binary.extend(bytes(-len(self.binary) % 4))
        if self.binary:  # a buffer without bytes is no buffer
            self.document["buffers"] = [{**(self.document.get("buffers") or [{}])[0], "byteLength": len(self.binary)}]
        try:
            text = json.dumps(self.document, separators=(",", ":"), allow_nan=False).encode()
        except (ValueError, RecursionError) as error:
            raise ValueError(f"the JSON cannot be written again: {error}") from None
        text += b" " * (-len(text) % 4)
        chunks = struct.pack("<II", len(self.binary), 0x004E4942) if self.binary else b""
        size = 12 + 8 + len(text) + len(chunks) + len(self.binary)
        if size >= 1 << 32:
            raise ValueError(f"the file would have {size} bytes, a GLB has at most 4 GiB: write fewer frames")
        header = struct.pack("<III", 0x46546C67, 2, size) + struct.pack("<II", len(text), 0x4E4F534A)
        return b"".join((header, text, chunks, self.binary))

"""Picture files: reading with their transparency, and writing as ComfyUI does."""

import torch
from torch import Tensor

from .atomic import replacing

PICTURE_SUFFIXES = (".png", ".jpg", ".jpeg", ".webp", ".bmp", ".tif", ".tiff")


def read_picture(path) -> tuple[Tensor, Tensor | None]:
    """A picture file -> (H, W, 3) in 0..1, and (H, W) alpha in 0..1 where it has one; ValueError if it is none."""
    import cv2
    import numpy as np

    data = np.fromfile(path, dtype=np.uint8)
    colour, raw = (
        cv2.imdecode(data, flag) if data.size else None for flag in (cv2.IMREAD_COLOR | cv2.IMREAD_ANYDEPTH, cv2.IMREAD_UNCHANGED)
    )
    if colour is None or raw is None:
        raise ValueError(f"{path} is not a picture that can be read: use PNG, JPEG, WebP, BMP or TIFF")
    top = float(np.iinfo(colour.dtype).max) if colour.dtype.kind == "u" else 1.0
    picture = torch.from_numpy(np.ascontiguousarray(colour[..., ::-1]).astype(np.float32) / top)
    has_alpha = raw.ndim == 3 and raw.shape[2] == 4 and raw.shape[:2] == colour.shape[:2]
    return picture, torch.from_numpy(raw[..., 3].astype(np.float32) / top) if has_alpha else None


def write_picture(picture: Tensor, path) -> None:
    """(H, W, 3 or 4) in 0..1 -> a picture file of 8 bits, rounded down as ComfyUI does."""
    import cv2

    pixels = (picture.detach().cpu().float() * 255).clamp(0, 255).byte().numpy()
    order = [2, 1, 0, 3][: pixels.shape[-1]]
    done, data = cv2.imencode(path.suffix, pixels[..., order])
    if not done:
        raise ValueError(f"{path} cannot be written as {path.suffix}")
    with replacing(path) as temporary:
        temporary.write_bytes(data.tobytes())

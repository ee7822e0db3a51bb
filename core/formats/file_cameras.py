"""A camera of a calibration file, checked."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..geometry.lens import FISHEYE_COUNT, RADIAL_COUNTS
from ..geometry.rotations import nearest_rotation, rotvec_to_matrix
from ..types import ImageSize

MOST_CAMERAS = 256
_SKEWED = 1e-2


@dataclass(frozen=True, eq=False, kw_only=True)
class FileCamera:
    """A camera of a file: intrinsics (3, 3), distortion (up to 14), size (H, W) or None, rotation (3, 3) and translation (3)."""

    name: str
    intrinsics: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    size: ImageSize | None
    rotation: np.ndarray
    translation: np.ndarray


def file_camera(
    name: str,
    *,
    intrinsics: Any,
    distortion: Any,
    fisheye: bool,
    size: ImageSize | None,
    rotation: Any,
    translation: Any,
    centers: float = 0.5,
) -> FileCamera:
    """Check what a file says of a camera: numbers in any nesting. rotation: a matrix or a rotation vector. centers: what to add to the principal point."""
    matrix, lens, turn, shift = (_numbers(name, what) for what in (intrinsics, distortion, rotation, translation))
    if matrix.size != 9:
        raise ValueError(f"camera {name}: its matrix has {matrix.size} numbers, expected 9")
    matrix, lens = matrix.reshape(3, 3).copy(), lens.reshape(-1)
    matrix[:2, 2] += centers
    expected = (0, FISHEYE_COUNT) if fisheye else RADIAL_COUNTS
    if len(lens) not in expected:
        raise ValueError(f"camera {name}: {len(lens)} distortion coefficients, expected {', '.join(map(str, expected))}")
    if turn.size not in (3, 9) or shift.size != 3:
        raise ValueError(f"camera {name}: rotation of {turn.size} and translation of {shift.size} numbers, expected 9 or 3, and 3")
    if np.abs(turn).max() > 1e3 or np.abs(shift).max() > 1e9:
        raise ValueError(f"camera {name}: its rotation or translation is beyond all bounds")
    found = torch.from_numpy(turn)
    found = rotvec_to_matrix(found.reshape(3)) if turn.size == 3 else found.reshape(3, 3)
    rigid = nearest_rotation(found)
    if (rigid - found).abs().max() > _SKEWED:
        raise ValueError(f"camera {name}: its rotation is none: it is scaled, sheared or mirrored")
    return FileCamera(
        name=name, intrinsics=matrix, distortion=lens, fisheye=fisheye, size=size, rotation=rigid.numpy(), translation=shift.reshape(3)
    )


def _numbers(name: str, value: Any) -> np.ndarray:
    try:
        array = np.array(value, dtype=np.float64)
    except (TypeError, ValueError, OverflowError):
        raise ValueError(f"camera {name}: expected numbers, got {str(value)[:60]}") from None
    if array.size > 64 or not np.isfinite(array).all():
        raise ValueError(f"camera {name}: expected a few finite numbers, got {array.size} with NaN or infinite ones, or too many")
    return array

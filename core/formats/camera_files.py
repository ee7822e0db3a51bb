"""Calibrated cameras of other programs: OpenCV (yaml, xml, npz), Pose2Sim and anipose (toml), COLMAP (text and binary).

Read: X_cam = R X_world + t with OpenCV's axes; R as a matrix or a rotation vector.
- toml: a table for each camera with name, size [width, height], matrix, distortions, rotation, translation and, optionally, fisheye.
- yaml, xml: camera_matrix (K, M), distortion_coefficients (dist, D), R (Rot, rvec), T (tvec), or extrinsics (3, 4), image_width and image_height, each with
  _NAME or a number behind for several cameras (EasyMocap's intri.yml and extri.yml; either finds the other). K1, D1, K2, D2 with one R and T are a stereo pair
  whose first camera is the world.
- npz: the same names, stacked (V, ...) or numbered; names (V) and image_size (2) or (V, 2), height first.
- COLMAP: cameras.txt or images.txt, or the .bin files; the other one lies beside it.
OpenCV counts pixels from the middle of the first, so that half a pixel is added to the principal points of all but COLMAP.
"""

import tomllib
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import resize_intrinsics
from ..geometry.lens import CalibratedCameras
from ..types import CameraRig, ImageSize
from .camera_tables import keyed_cameras, toml_cameras, unstacked
from .clips import usable_size
from .colmap import model_cameras
from .file_cameras import MOST_CAMERAS, FileCamera
from .npz import NpzFile
from .opencv_storage import read_storage
from .untrusted import naming, read_bytes

SUFFIXES = (".toml", ".yml", ".yaml", ".xml", ".npz", ".txt", ".bin")
UPS = ("auto", "y", "-y", "z", "-z", "x", "-x")
_USUAL = (  # pictures (H, W) of cameras, and of the same turned
    (480, 640), (600, 800), (720, 1280), (768, 1024), (960, 1280), (1024, 1280), (1080, 1440), (1080, 1920), (1200, 1600), (1440, 2560), (1536, 2048), (2160, 3840),
    (2160, 4096), (512, 512), (1024, 1024), (1080, 1080), (2048, 2048),
)  # fmt: skip
_BESIDE = 0.04  # how far twice the principal point may be from them
_LARGEST = {".toml": 1 << 20, ".npz": 16 << 20}
_PARTNERS = (("intri", "extri"), ("extri", "intri"), ("intrinsics", "extrinsics"), ("extrinsics", "intrinsics"))
_OPENCV = "half a pixel added to the principal points: OpenCV counts from the middle of the first pixel"


def load_cameras(path: str | Path, *, image_size: ImageSize | None = None, metres: float = 1.0, up: str = "y") -> CalibratedCameras:
    """Read calibrated cameras, in the order of the file (of COLMAP, of the names of the images).

    Args:
        path: see above. image_size: (H, W) of the pictures where the file does not tell; without it twice the principal point is assumed and noted.
        metres: length of the file's unit. up: the axis of the file's world that points up and becomes Y ("y" leaves the world as it is); "auto" takes the one
            that the cameras agree on, if they are held upright.

    Raises:
        FileNotFoundError: there is no such file, or not the one that belongs to it.
        ValueError: the file is damaged, of another kind, or lacks intrinsics or poses; it names the file.
    """
    path = Path(path)
    if not (np.isfinite(metres) and metres > 0):
        raise ValueError(f"metres is {metres}, expected the length of the file's unit, above 0")
    if up not in UPS:
        raise ValueError(f"up is '{up}', expected one of {', '.join(UPS)}")
    with naming(path):
        suffix = path.suffix.lower()
        if suffix not in SUFFIXES:
            raise ValueError(f"files of kind '{suffix}' hold no calibration that is read: expected {', '.join(SUFFIXES)}")
        found, notes = _read(path, suffix)
        if not 1 <= len(found) <= MOST_CAMERAS:
            raise ValueError(f"it has {len(found)} cameras, expected 1 to {MOST_CAMERAS}")
        return _calibrated(found, notes, image_size, metres, up)


def _read(path: Path, suffix: str) -> tuple[list[FileCamera], list[str]]:
    if suffix in (".txt", ".bin"):
        return model_cameras(path), []
    data = read_bytes(path, limit=_LARGEST.get(suffix, 4 << 20))
    if suffix == ".toml":
        return toml_cameras(tomllib.loads(data.decode("utf-8"))), [_OPENCV]
    if suffix == ".npz":
        found, notes = keyed_cameras(*unstacked(NpzFile(data)))
        return found, [_OPENCV, *notes]
    entries = read_storage(data, xml=suffix == ".xml")
    for own, other in _PARTNERS:
        beside = path.with_name(path.name.replace(own, other))
        if path.stem.startswith(own) and beside.is_file():
            entries = {**read_storage(read_bytes(beside, limit=4 << 20), xml=suffix == ".xml"), **entries}
            break
    found, notes = keyed_cameras(entries, {})
    return found, [_OPENCV, *notes]


def _calibrated(found: Sequence[FileCamera], notes: list[str], image_size: ImageSize | None, metres: float, up: str) -> CalibratedCameras:
    sizes = []
    for camera in found:
        size = camera.size or image_size
        if size is None:
            size = _likely_size(*(2 * float(side) for side in (camera.intrinsics[1, 2], camera.intrinsics[0, 2])))
            notes.append(
                f"{camera.name}: pictures of {size and size[1]}x{size and size[0]} assumed from the principal point: the file names no size; "
                "if that is wrong, give width and height"
            )
        if size is None:
            raise ValueError(f"camera {camera.name}: the size of its pictures is unknown: give it")
        sizes.append(size)
    intrinsics = [_intrinsics(camera) for camera in found]
    intrinsics = torch.stack([resize_intrinsics(one, size, sizes[0]) for one, size in zip(intrinsics, sizes, strict=True)])
    if len(set(sizes)) > 1:
        notes.append(f"pictures of different size: all are brought to {sizes[0][1]}x{sizes[0][0]}")
    rotation = torch.stack([torch.from_numpy(camera.rotation) for camera in found])
    axis = _upright(rotation) if up == "auto" else up
    if axis != "y":
        notes.append(f"the world was turned: its {axis} axis points up and became Y")
    turn = _to_y_up(axis)
    translation = torch.stack([torch.from_numpy(camera.translation) for camera in found]) * metres
    distortion = torch.zeros(len(found), 14, dtype=torch.float64)
    for row, camera in zip(distortion, found, strict=True):
        row[: len(camera.distortion)] = torch.from_numpy(camera.distortion)
    rig = CameraRig(
        intrinsics=intrinsics.float(),
        world_to_camera=torch.cat([rotation @ turn.mT, translation[..., None]], -1).float(),
        image_size=sizes[0],
    )
    return CalibratedCameras(
        rig=rig,
        distortion=distortion,
        fisheye=tuple(camera.fisheye for camera in found),
        image_sizes=tuple(sizes),
        names=tuple(camera.name for camera in found),
        notes=tuple(notes),
    )


def _likely_size(height: float, width: float) -> ImageSize | None:
    """A usual (H, W) near twice the principal point, which lies beside the middle of a real picture; else that itself."""

    def off(size: ImageSize) -> float:
        return max(abs(side / usual - 1) for side, usual in zip((height, width), size, strict=True))

    nearest = min((size for usual in _USUAL for size in (usual, usual[::-1])), key=off)
    return nearest if off(nearest) < _BESIDE else usable_size(max(1, round(height)), max(1, round(width)))


def _intrinsics(camera: FileCamera) -> Tensor:
    matrix = camera.intrinsics
    plain = np.isfinite(matrix).all() and np.allclose(matrix[2], (0, 0, 1)) and abs(matrix[1, 0]) < 1e-9 and np.abs(matrix).max() < 1e7
    if not (plain and matrix[0, 0] > 0 and matrix[1, 1] > 0):
        raise ValueError(f"camera {camera.name}: its matrix is no camera matrix: expected [[fx, 0, cx], [0, fy, cy], [0, 0, 1]] in pixels")
    return torch.from_numpy(matrix)


def _upright(rotation: Tensor) -> str:
    """The world axis that is nearest to the cameras' mean upward direction, their -y."""
    upward = -rotation[:, 1].mean(0)
    axis = int(upward.abs().argmax())
    return ("" if upward[axis] > 0 else "-") + "xyz"[axis]


def _to_y_up(axis: str) -> Tensor:
    """(3, 3) the turn that brings an axis to +Y, the other two moving as little as possible."""
    index, sign = "xyz".index(axis[-1]), -1.0 if axis.startswith("-") else 1.0
    turn = torch.eye(3, dtype=torch.float64)
    if index == 1:
        return turn if sign > 0 else torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    turn[1, 1] = turn[index, index] = 0.0
    turn[1, index], turn[index, 1] = sign, -sign
    return turn

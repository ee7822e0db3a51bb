"""Sparse models of COLMAP: cameras and images, as text or binary. A world point X is seen at R X + t; pixel centres are at +0.5 as here."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from ..geometry.lens import FISHEYE_COUNT
from .clips import usable_size
from .file_cameras import MOST_CAMERAS, FileCamera, file_camera
from .quaternions import quat_xyzw_to_matrix
from .untrusted import read_bytes

# Model: number in binary files, name, how many focal lengths, places of the distortion coefficients in OpenCV's order, fisheye.
_MODELS = {
    0: ("SIMPLE_PINHOLE", 1, (), False),
    1: ("PINHOLE", 2, (), False),
    2: ("SIMPLE_RADIAL", 1, (0,), False),
    3: ("RADIAL", 1, (0, 1), False),
    4: ("OPENCV", 2, (0, 1, 2, 3), False),
    5: ("OPENCV_FISHEYE", 2, (0, 1, 2, 3), True),
    6: ("FULL_OPENCV", 2, (0, 1, 2, 3, 4, 5, 6, 7), False),
    8: ("SIMPLE_RADIAL_FISHEYE", 1, (0,), True),
    9: ("RADIAL_FISHEYE", 1, (0, 1), True),
}
_NUMBERS = {name: number for number, (name, *_) in _MODELS.items()}
_MOST = 100_000


class ColmapCamera(NamedTuple):
    """intrinsics (3, 3); distortion of OpenCV; size (H, W)."""

    intrinsics: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    size: tuple[int, int]


class ColmapImage(NamedTuple):
    """quat_wxyz and translation of the world seen by a camera."""

    name: str
    quat_wxyz: np.ndarray
    translation: np.ndarray
    camera: int


def model_cameras(path: Path) -> list[FileCamera]:
    """A camera for each registered image of the model that cameras.txt or images.txt, or either .bin file, belongs to.

    Raises:
        FileNotFoundError: one of the two files is missing. ValueError: other names, damaged files, or too many images.
    """
    suffix, binary = path.suffix, path.suffix.lower() == ".bin"
    if path.stem.lower() not in ("cameras", "images"):
        raise ValueError(f"expected cameras{suffix} or images{suffix} of COLMAP")
    cameras = read_cameras(read_bytes(path.with_name(f"cameras{suffix}")), binary=binary)
    images = read_images(read_bytes(path.with_name(f"images{suffix}")), binary=binary)
    if len(images) > MOST_CAMERAS:
        raise ValueError(f"it has {len(images)} images, each of which counts as a camera, at most {MOST_CAMERAS}: keep those of the rig")
    return [_placed(image, cameras, suffix) for image in images]


def _placed(image: ColmapImage, cameras: dict[int, ColmapCamera], suffix: str) -> FileCamera:
    if image.camera not in cameras:
        raise ValueError(f"image {image.name} was taken by camera {image.camera}, which is not in cameras{suffix}")
    lens, quat = cameras[image.camera], torch.from_numpy(np.roll(image.quat_wxyz, -1))
    if not (torch.isfinite(quat).all() and quat.norm() > 1e-6):
        raise ValueError(f"image {image.name} has no rotation: its quaternion is {image.quat_wxyz.tolist()}")
    return file_camera(
        image.name[:80],
        intrinsics=lens.intrinsics,
        distortion=lens.distortion[:FISHEYE_COUNT] if lens.fisheye else lens.distortion,
        fisheye=lens.fisheye,
        size=usable_size(*lens.size),
        rotation=quat_xyzw_to_matrix(quat).numpy(),
        translation=image.translation,
        centers=0.0,
    )


def read_cameras(data: bytes, *, binary: bool) -> dict[int, ColmapCamera]:
    """Cameras by number; ValueError for a model of lens that is not read, or a damaged file."""
    rows = _binary_cameras(data) if binary else _text_cameras(data)
    return {number: _camera(number, model, width, height, params) for number, model, width, height, params in rows}


def read_images(data: bytes, *, binary: bool) -> list[ColmapImage]:
    """Registered images in the order of their names; the points that they see are skipped."""
    images = list(_binary_images(data) if binary else _text_images(data))
    if not images:
        raise ValueError("it has no registered images")
    return sorted(images, key=lambda image: image.name)


def _camera(number: int, model: int, width: int, height: int, params: tuple[float, ...]) -> ColmapCamera:
    if model not in _MODELS:
        raise ValueError(
            f"camera {number} has a lens of kind {model}, expected one of {', '.join(_NUMBERS)}: undistort the images in COLMAP"
        )
    name, focals, places, fisheye = _MODELS[model]
    if len(params) != focals + 2 + len(places):
        raise ValueError(f"camera {number} has {len(params)} parameters, {name} has {focals + 2 + len(places)}")
    intrinsics = np.eye(3)
    intrinsics[0, 0], intrinsics[1, 1] = params[0], params[focals - 1]
    intrinsics[:2, 2] = params[focals : focals + 2]
    distortion = np.zeros(14)
    distortion[list(places)] = params[focals + 2 :]
    return ColmapCamera(intrinsics, distortion, fisheye, (height, width))


# --- text


def _lines(data: bytes) -> Iterator[str]:
    for line in data.decode("utf-8-sig").splitlines():
        if not line.startswith("#"):
            yield line.strip()


def _text_cameras(data: bytes) -> Iterator[tuple]:
    for line in filter(None, _lines(data)):
        words = line.split()
        if len(words) < 5 or words[1] not in _NUMBERS:
            raise ValueError(f"'{line[:80]}' is no camera with a lens that is read: {', '.join(_NUMBERS)}")
        yield int(words[0]), _NUMBERS[words[1]], int(words[2]), int(words[3]), tuple(map(float, words[4:]))


def _text_images(data: bytes) -> Iterator[ColmapImage]:
    expects_points = False
    for line in _lines(data):
        if not line or (
            expects_points and _lists_points(line)
        ):  # an image's second line lists the points it sees; it may be empty, or left out by hand
            expects_points = False
            continue
        words = line.split(maxsplit=9)
        if len(words) != 10:
            raise ValueError(f"'{line[:80]}' is no image: expected its number, rotation, translation, camera and name")
        numbers = np.array(list(map(float, words[1:8])))
        yield ColmapImage(words[9], numbers[:4], numbers[4:], int(words[8]))
        expects_points = True


def _lists_points(line: str) -> bool:
    """Whether a line is x, y and the number of a point, again and again, and no image, which has nine numbers and a name."""
    if len(line) > 1024:  # no image has so long a name
        return True
    words = line.split()
    return len(words) % 3 == 0 and words[-1].removeprefix("-").isdigit()


# --- binary (little endian)


class _Reader:
    def __init__(self, data: bytes):
        self._data, self._at = data, 0

    def take(self, layout: str) -> tuple:
        size = struct.calcsize("<" + layout)
        self.skip(size)
        return struct.unpack_from("<" + layout, self._data, self._at - size)

    def skip(self, size: int) -> None:
        if size > len(self._data) - self._at:
            raise ValueError("the file is cut short")
        self._at += size

    def text(self) -> str:
        end = self._data.find(b"\0", self._at, self._at + 4096)
        if end < 0:
            raise ValueError("an image's name has no end: the file is damaged")
        found, self._at = self._data[self._at : end].decode(), end + 1
        return found

    def count(self) -> int:
        (count,) = self.take("Q")
        if count > _MOST:
            raise ValueError(f"it claims {count:,} entries, at most {_MOST:,} are read")
        return count


def _binary_cameras(data: bytes) -> Iterator[tuple]:
    reader = _Reader(data)
    for _ in range(reader.count()):
        number, model, width, height = reader.take("iiQQ")
        if model not in _MODELS:
            raise ValueError(
                f"camera {number} has a lens of kind {model}, expected one of {', '.join(_NUMBERS)}: undistort the images in COLMAP"
            )
        _, focals, places, _ = _MODELS[model]
        yield number, model, width, height, reader.take(f"{focals + 2 + len(places)}d")


def _binary_images(data: bytes) -> Iterator[ColmapImage]:
    reader = _Reader(data)
    for _ in range(reader.count()):
        _, *pose, camera = reader.take("i7di")
        name = reader.text()
        (points,) = reader.take("Q")
        reader.skip(24 * points)
        yield ColmapImage(name, np.array(pose[:4]), np.array(pose[4:]), camera)

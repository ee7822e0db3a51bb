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

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import resize_intrinsics
from ..geometry.lens import FISHEYE_COUNT, RADIAL_COUNTS, CalibratedCameras
from ..geometry.rotations import nearest_rotation, rotvec_to_matrix
from ..types import CameraRig, ImageSize
from .clips import usable_size
from .colmap import read_cameras, read_images
from .npz import NpzFile
from .opencv_storage import Entries, read_storage
from .quaternions import quat_xyzw_to_matrix
from .untrusted import naming, read_bytes

SUFFIXES = (".toml", ".yml", ".yaml", ".xml", ".npz", ".txt", ".bin")
UPS = ("auto", "y", "-y", "z", "-z", "x", "-x")
_MOST_CAMERAS = 256
_LARGEST = {".toml": 1 << 20, ".npz": 16 << 20}
_SKEWED = 1e-2
_PARTNERS = (("intri", "extri"), ("extri", "intri"), ("intrinsics", "extrinsics"), ("extrinsics", "intrinsics"))
_ROLES = {  # the longest first: what lies behind a name and its underscore is taken for the camera's
    "intrinsics": r"camera_?matrix|intrinsic_?matrix|intrinsics?|mtx|k|m",
    "distortion": r"distortion_?coeff(?:icient)?s?|distortions?|dist_?coeff(?:icient)?s?|dist|d",
    "rotation": r"rotation_?(?:matrix|vector)|rotation|rot|rvecs?|rmat|r",
    "translation": r"translation_?vector|translation|tvecs?|t",
    "extrinsics": r"extrinsic_?matrix|extrinsics?|world_?to_?camera|rt|pose",
    "width": r"image_?width|width|w",
    "height": r"image_?height|height|h",
    "image_size": r"image_?size",
    "fisheye": r"fisheye",
}
_KEYS = {role: re.compile(rf"(?:{names})(?:_(\w{{1,64}})|(\d{{1,4}}))?", re.IGNORECASE) for role, names in _ROLES.items()}
_OPENCV = "half a pixel added to the principal points: OpenCV counts from the middle of the first pixel"


@dataclass(frozen=True, eq=False, kw_only=True)
class _Camera:
    """A camera of a file: intrinsics (3, 3), distortion (up to 14), size (H, W) or None, rotation (3, 3) and translation (3)."""

    name: str
    intrinsics: np.ndarray
    distortion: np.ndarray
    fisheye: bool
    size: ImageSize | None
    rotation: np.ndarray
    translation: np.ndarray


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
        if not 1 <= len(found) <= _MOST_CAMERAS:
            raise ValueError(f"it has {len(found)} cameras, expected 1 to {_MOST_CAMERAS}")
        return _calibrated(found, list(notes), image_size, metres, up)


def _read(path: Path, suffix: str) -> tuple[list[_Camera], tuple[str, ...]]:
    if suffix in (".txt", ".bin"):
        return _colmap(path, binary=suffix == ".bin"), ()
    data = read_bytes(path, limit=_LARGEST.get(suffix, 4 << 20))
    if suffix == ".toml":
        return _toml(tomllib.loads(data.decode("utf-8"))), (_OPENCV,)
    if suffix == ".npz":
        entries, names = _unstacked(NpzFile(data))
        return _keyed(entries, names), (_OPENCV, *_left_out(entries))
    entries = read_storage(data, xml=suffix == ".xml")
    for own, other in _PARTNERS:
        beside = path.with_name(path.name.replace(own, other))
        if path.stem.startswith(own) and beside.is_file():
            entries = {**read_storage(read_bytes(beside, limit=4 << 20), xml=suffix == ".xml"), **entries}
            break
    return _keyed(entries, {}), (_OPENCV, *_left_out(entries))


def _calibrated(found: Sequence[_Camera], notes: list[str], image_size: ImageSize | None, metres: float, up: str) -> CalibratedCameras:
    sizes = []
    for camera in found:
        size = camera.size or image_size
        if size is None:
            size = usable_size(*(max(1, round(2 * side)) for side in (camera.intrinsics[1, 2], camera.intrinsics[0, 2])))
            notes.append(
                f"{camera.name}: pictures of {size and size[1]}x{size and size[0]} assumed from the principal point: the file names no size"
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


def _intrinsics(camera: _Camera) -> Tensor:
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


def _camera(
    name: str,
    *,
    intrinsics: Any,
    distortion: Any,
    fisheye: bool,
    size: ImageSize | None,
    rotation: Any,
    translation: Any,
    centers: float = 0.5,
) -> _Camera:
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
    return _Camera(
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


# --- one reader for each kind of file


def _toml(document: Mapping[str, Any]) -> list[_Camera]:
    tables = {key: table for key, table in document.items() if isinstance(table, Mapping) and "matrix" in table}
    if not tables:
        raise ValueError(
            "it has no cameras: expected tables with matrix, distortions, rotation and translation, as anipose and Pose2Sim write them"
        )
    found = []
    for key, table in tables.items():
        if missing := [part for part in ("rotation", "translation") if part not in table]:
            raise ValueError(f"camera {key} lacks {' and '.join(missing)}: calibrate the extrinsics, too")
        size = table.get("size")
        size = usable_size(size[1], size[0]) if isinstance(size, Sequence) and len(size) == 2 else None
        found.append(
            _camera(
                str(table.get("name", key))[:80],
                intrinsics=table["matrix"],
                distortion=table.get("distortions", []),
                fisheye=table.get("fisheye") is True,
                size=size,
                rotation=table["rotation"],
                translation=table["translation"],
            )
        )
    return found


def _grouped(entries: Mapping[str, np.ndarray]) -> dict[str, dict[str, np.ndarray]]:
    """What each camera has, by the ending of its keys ("" without one)."""
    groups: dict[str, dict[str, np.ndarray]] = {}
    for key, value in entries.items():
        for role, pattern in _KEYS.items():
            if match := pattern.fullmatch(key):
                groups.setdefault(match[1] or match[2] or "", {}).setdefault(role, value)
                break
    return groups


def _left_out(entries: Mapping[str, np.ndarray]) -> list[str]:
    """Notes on lenses that belong to no camera: a lens that is left out silently bends the result."""
    groups = _grouped(entries)
    alone = [ending[:40] for ending, group in groups.items() if ending and "distortion" in group and "intrinsics" not in group]
    return [f"the distortion of '{ending}' is not used: no camera matrix has the same ending" for ending in alone[:8]]


def _keyed(entries: Mapping[str, np.ndarray], names: Mapping[str, str]) -> list[_Camera]:
    groups = _grouped(entries)
    shared = groups.get("", {})
    cameras = {ending: group for ending, group in groups.items() if "intrinsics" in group}
    if not cameras:
        raise ValueError(f"it has no camera matrix: found {', '.join(list(entries)[:12])}; expected camera_matrix (K, M) for each camera")
    if set(cameras) == {"1", "2"} and {"rotation", "translation"} <= set(shared):
        still = {"rotation": np.eye(3), "translation": np.zeros(3)}  # R1 and R2 of stereo files rectify, they do not place
        poses = {"1": still, "2": {part: shared[part] for part in still}}
        cameras = {ending: {**group, **poses[ending]} for ending, group in cameras.items()}
    return [_keyed_camera(names.get(ending, ending or "camera"), group, shared) for ending, group in cameras.items()]


def _keyed_camera(name: str, group: Mapping[str, np.ndarray], shared: Mapping[str, np.ndarray]) -> _Camera:
    if "extrinsics" in group and group["extrinsics"].shape in ((3, 4), (4, 4)):
        pose = group["extrinsics"]
        group = {**group, "rotation": pose[:3, :3], "translation": pose[:3, 3]}
    if missing := [part for part in ("rotation", "translation") if part not in group]:
        raise ValueError(f"camera {name} lacks {' and '.join(missing)}: calibrate the extrinsics, too, and keep them in the same file")
    sides = {part: group.get(part, shared.get(part)) for part in ("height", "width", "image_size")}
    size = None
    if sides["image_size"] is not None and sides["image_size"].size == 2:
        size = usable_size(*sides["image_size"].reshape(-1))
    elif sides["height"] is not None and sides["width"] is not None and sides["height"].size == sides["width"].size == 1:
        size = usable_size(sides["height"].item(), sides["width"].item())
    fisheye = group.get("fisheye", shared.get("fisheye"))
    return _camera(
        name,
        intrinsics=group["intrinsics"],
        distortion=group.get("distortion", shared.get("distortion", np.zeros(0))),
        fisheye=fisheye is not None and bool(fisheye.any()),
        size=size,
        rotation=group["rotation"],
        translation=group["translation"],
    )


def _unstacked(file: NpzFile) -> tuple[Entries, dict[str, str]]:
    """The arrays of an npz with a key for each camera; names by ending."""
    arrays: Entries = {}
    names: list[str] = []
    for name in list(file.headers)[:200]:
        shape = file.shape(name)
        if len(shape) > 3 or any(side > 4096 for side in shape):
            continue
        array = file.read(name) if file.headers[name].dtype is not None else None
        if array is not None and name.lower() == "names" and array.dtype.kind in "US":
            names = [str(one)[:80] for one in array.reshape(-1)]
        elif array is not None and array.dtype.kind in "fiub":
            arrays[name] = array.astype(np.float64)
    stacks = _grouped(arrays).get("", {})
    count = len(stacks["intrinsics"]) if "intrinsics" in stacks and stacks["intrinsics"].ndim == 3 else 0
    if not count:
        return arrays, {}
    if count > _MOST_CAMERAS:
        raise ValueError(f"it has {count} cameras, at most {_MOST_CAMERAS} are read")
    spread: Entries = {}
    for role, array in stacks.items():
        alone = array.size == 1 or (role == "image_size" and array.ndim == 1)
        if not alone and len(array) != count:
            raise ValueError(f"{role} has the shape {array.shape}, but there are {count} camera matrices: expected one for each")
        for view in range(count):
            spread[f"{role}_{view}"] = array if alone else np.asarray(array[view])
    return spread, {str(view): name for view, name in enumerate(names)} if len(names) == count else {}


def _colmap(path: Path, *, binary: bool) -> list[_Camera]:
    suffix = path.suffix
    if path.stem.lower() not in ("cameras", "images"):
        raise ValueError(f"expected cameras{suffix} or images{suffix} of COLMAP")
    cameras = read_cameras(read_bytes(path.with_name(f"cameras{suffix}")), binary=binary)
    found = []
    for image in read_images(read_bytes(path.with_name(f"images{suffix}")), binary=binary):
        if image.camera not in cameras:
            raise ValueError(f"image {image.name} was taken by camera {image.camera}, which is not in cameras{suffix}")
        lens, quat = cameras[image.camera], torch.from_numpy(np.roll(image.quat_wxyz, -1))
        if not (torch.isfinite(quat).all() and quat.norm() > 1e-6):
            raise ValueError(f"image {image.name} has no rotation: its quaternion is {image.quat_wxyz.tolist()}")
        found.append(
            _camera(
                image.name[:80],
                intrinsics=lens.intrinsics,
                distortion=lens.distortion[:FISHEYE_COUNT] if lens.fisheye else lens.distortion,
                fisheye=lens.fisheye,
                size=usable_size(*lens.size),
                rotation=quat_xyzw_to_matrix(quat).numpy(),
                translation=image.translation,
                centers=0.0,
            )
        )
        if len(found) > _MOST_CAMERAS:
            raise ValueError(f"it has more than {_MOST_CAMERAS} images, each of which counts as a camera: keep those of the rig")
    return found

"""Cameras in tables: keys of toml, yaml, xml and npz files, brought to one camera after the other."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from .clips import usable_size
from .file_cameras import MOST_CAMERAS, FileCamera, file_camera
from .npz import NpzFile
from .opencv_storage import Entries

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


def toml_cameras(document: Mapping[str, Any]) -> list[FileCamera]:
    """A camera for each table with a matrix."""
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
            file_camera(
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


def keyed_cameras(entries: Mapping[str, np.ndarray], names: Mapping[str, str]) -> tuple[list[FileCamera], list[str]]:
    """Cameras whose keys have the same ending, and notes. names: by ending, where the file tells better ones."""
    groups = _grouped(entries)
    shared = groups.get("", {})
    cameras = {ending: group for ending, group in groups.items() if "intrinsics" in group}
    if not cameras:
        raise ValueError(f"it has no camera matrix: found {', '.join(list(entries)[:12])}; expected camera_matrix (K, M) for each camera")
    if set(cameras) == {"1", "2"} and {"rotation", "translation"} <= set(shared):
        still = {"rotation": np.eye(3), "translation": np.zeros(3)}  # R1 and R2 of stereo files rectify, they do not place
        poses = {"1": still, "2": {part: shared[part] for part in still}}
        cameras = {ending: {**group, **poses[ending]} for ending, group in cameras.items()}
    found = [_keyed_camera(names.get(ending, ending or "camera"), group, shared) for ending, group in cameras.items()]
    return found, _left_out(groups)


def _left_out(groups: Mapping[str, Mapping[str, np.ndarray]]) -> list[str]:
    """Notes on lenses that belong to no camera: a lens that is left out silently bends the result."""
    alone = [ending[:40] for ending, group in groups.items() if ending and "distortion" in group and "intrinsics" not in group]
    return [f"the distortion of '{ending}' is not used: no camera matrix has the same ending" for ending in alone[:8]]


def _keyed_camera(name: str, group: Mapping[str, np.ndarray], shared: Mapping[str, np.ndarray]) -> FileCamera:
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
    return file_camera(
        name,
        intrinsics=group["intrinsics"],
        distortion=group.get("distortion", shared.get("distortion", np.zeros(0))),
        fisheye=fisheye is not None and bool(fisheye.any()),
        size=size,
        rotation=group["rotation"],
        translation=group["translation"],
    )


def unstacked(file: NpzFile) -> tuple[Entries, dict[str, str]]:
    """The arrays of an npz with a key for each camera, and names by ending."""
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
    if count > MOST_CAMERAS:
        raise ValueError(f"it has {count} cameras, at most {MOST_CAMERAS} are read")
    spread: Entries = {}
    for role, array in stacks.items():
        alone = array.size == 1 or (role == "image_size" and array.ndim == 1)
        if not alone and len(array) != count:
            raise ValueError(f"{role} has the shape {array.shape}, but there are {count} camera matrices: expected one for each")
        for view in range(count):
            spread[f"{role}_{view}"] = array if alone else np.asarray(array[view])
    return spread, {str(view): name for view, name in enumerate(names)} if len(names) == count else {}

"""Depth of bone maps as 16-bit pictures, with a JSON file that says what a grey level means."""

import json
import secrets
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..maps.encodings import depth_range
from ..maps.raster import ray_lengths
from ..types import BoneMaps, CameraRig
from .atomic import replacing

UNITS = ("millimetres", "stretched")
_WHITE = 65535


def save_depth_maps(
    maps: BoneMaps,
    path: str | Path,
    *,
    unit: str = "millimetres",
    rig: CameraRig | None = None,
    advance: Callable[[int], None] | None = None,
) -> None:
    """Write a 16-bit PNG for each view and frame, and after them the JSON file `path` that describes them; the pictures lie in a folder of its name.

    metres = offset_m + metres_per_unit * grey; grey 0 is the background. One picture is in memory at a time, and neither the folder nor the JSON file
    appears before it is complete.

    Args:
        unit: "millimetres", or "stretched", the finest scale that holds all views and frames: 1 is nearest, 65535 farthest.
        rig: the cameras of the maps, for depth along their view axes (z), as other programs have it; None: the distance from the camera centre.
        advance: called with 1 after each picture; what it raises ends the work.

    Raises:
        ValueError: an unknown unit, cameras of other views, frames or sizes than the maps, depths that millimetres cannot hold, or a folder that exists.
    """
    path = Path(path)
    views, frames, height, width = maps.mask.shape
    if unit not in UNITS:
        raise ValueError(f"unit is '{unit}', expected one of {', '.join(UNITS)}")
    if rig is not None and ((rig.views, rig.image_size) != (views, (height, width)) or rig.frames not in (None, frames)):
        raise ValueError(
            f"the cameras are {rig.views} of {rig.image_size[1]}x{rig.image_size[0]} pixels over {rig.frames or 'any'} frames, the bone maps {views} of "
            f"{width}x{height} over {frames}: give the cameras that rendered them"
        )
    folder = path.with_suffix("")
    if folder.exists():
        raise ValueError(f"{folder} exists already: choose another name")
    offset, step = _scale(maps, unit, rig)
    names = [[f"view_{view:02}_frame_{frame:05}.png" for frame in range(frames)] for view in range(views)]
    with _new_folder(folder) as temporary:
        for view, frame, depth in _pictures(maps, rig):
            grey = torch.where(depth > 0, ((depth - offset) / step).round(), 0.0)
            _write_png(grey.numpy().astype(np.uint16), temporary / names[view][frame])
            if advance is not None:
                advance(1)
    told = {
        "format": "motion4d depth maps", "version": 1, "meaning": "distance from the camera centre" if rig is None else "z along the view axis",
        "offset_m": offset, "metres_per_unit": step, "background": 0, "views": views, "frames": frames, "width": width, "height": height,
        "folder": folder.name, "pictures": names,
    }  # fmt: skip
    if rig is not None:
        told |= {"intrinsics": rig.intrinsics.tolist(), "world_to_camera": rig.world_to_camera.tolist()}
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(told, indent=1), encoding="utf-8")


def _scale(maps: BoneMaps, unit: str, rig: CameraRig | None) -> tuple[float, float]:
    """Metres of grey 0, and of one step."""
    near, far = depth_range(maps)
    if unit == "millimetres":
        if far > _WHITE / 1000:
            raise ValueError(f"the farthest point is {far:.1f} m away, 16 bits of millimetres end at {_WHITE / 1000} m: choose stretched")
        return 0.0, 0.001
    if rig is not None:  # z is shorter than the distance
        ends = [(float(depth[depth > 0].min()), float(depth.max())) for _, _, depth in _pictures(maps, rig) if depth.any()]
        near, far = min((near for near, _ in ends), default=0.0), max((far for _, far in ends), default=0.0)
    step = max((far - near) / (_WHITE - 1), 1e-7)
    return near - step, step


def _pictures(maps: BoneMaps, rig: CameraRig | None) -> Iterator[tuple[int, int, Tensor]]:
    """View, frame and depth (H, W) in float64 of each picture."""
    lens = rays = None
    for view in range(len(maps.depth)):
        for frame, distance in enumerate(maps.depth[view]):
            depth = distance.double()
            if rig is not None:
                own = rig.at(frame).intrinsics[view]
                if lens is None or not torch.equal(own, lens):
                    lens, rays = own, ray_lengths(own[None].detach().cpu(), *rig.image_size)[0].double()
                depth = depth / rays
            yield view, frame, depth


def _write_png(grey: np.ndarray, path: Path) -> None:
    import cv2

    done, data = cv2.imencode(".png", grey)
    if not done:
        raise ValueError(f"{path.name} cannot be written as a 16-bit PNG")
    path.write_bytes(data.tobytes())


@contextmanager
def _new_folder(folder: Path) -> Iterator[Path]:
    """A temporary folder beside `folder` that takes its name when the block ends well, and is deleted when it raises."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = folder.with_name(f".{secrets.token_hex(8)}")
    temporary.mkdir()
    try:
        yield temporary
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)

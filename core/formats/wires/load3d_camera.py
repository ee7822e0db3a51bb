"""LOAD3D_CAMERA, the camera of ComfyUI's 3D viewports.

A dictionary {position, target, zoom, cameraType, quaternion?, fov?, aspect?, ...} in a right-handed space with Y up, the camera looking down its -Z; fov is
vertical, in degrees, and zoom multiplies the focal length. Viewports send all of it, and take position, target and zoom of a camera that comes in: they keep
a field of view of their own, 35 degrees unless it is changed, and stay level. (comfy_api/latest/_io.py; the frontend's camera manager.)
"""

import math
from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from ...geometry.cameras import focal_from_fov, intrinsics_matrix, look_at
from ...types import CameraRig, ImageSize
from ..quaternions import matrix_to_quat_xyzw, quat_xyzw_to_matrix

VIEWPORT_FOV_DEG = 35.0
_FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))  # between y up, z backward and y down, z forward


def rig_from_load3d(camera: Mapping[str, Any], image_size: ImageSize, *, vertical_fov_deg: float | None = None) -> CameraRig:
    """One view from LOAD3D_CAMERA.

    Args:
        camera: position and target are {x, y, z}; a quaternion, where there is one, tells the direction and the roll.
        image_size: (H, W). vertical_fov_deg: used when the camera has no fov.

    Raises:
        ValueError: position or target is missing or not a number, or the camera is orthographic.
    """
    if not isinstance(camera, Mapping):
        raise ValueError(f"the 3D camera is {type(camera).__name__}, expected the camera_info of Load 3D or Preview 3D")
    if camera.get("cameraType", "perspective") != "perspective":
        raise ValueError(f"the camera is {camera['cameraType']}: switch the 3D view to a perspective camera")
    try:
        eye, target = (_numbers(camera[key], "xyz") for key in ("position", "target"))
        turn = _numbers(camera["quaternion"], "xyzw") if camera.get("quaternion") else None
        zoom = float(camera.get("zoom", 1.0) or 1.0)
        fov = float(camera.get("fov") or vertical_fov_deg or 40.0)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"the 3D camera has no usable position and target ({error!r}): connect a Load 3D or Preview 3D camera") from None
    pose = look_at(eye[None], target)
    if turn is not None and float(turn.norm()) > 1e-6:
        rotation = _FLIP @ quat_xyzw_to_matrix(turn).mT
        pose = torch.cat([rotation, -(rotation @ eye)[:, None]], -1)[None]
    focal = focal_from_fov(fov, image_size[0]) * zoom
    return CameraRig(intrinsics=intrinsics_matrix(focal, image_size)[None], world_to_camera=pose.float(), image_size=image_size)


def _numbers(entry: Mapping[str, Any], axes: str) -> Tensor:
    values = torch.tensor([float(entry[axis]) for axis in axes], dtype=torch.float64)
    if not torch.isfinite(values).all():
        raise ValueError(f"{dict(entry)} has a value that is not finite")
    return values


def load3d_from_rig(rig: CameraRig, *, view: int = 0, frame: int = 0, focus: Tensor | None = None) -> dict[str, Any]:
    """One view of a rig as LOAD3D_CAMERA, for viewports and nodes that take a camera.

    fov is that of a viewport and zoom brings it to the lens of the view, so that the picture is the same where fov is read and where it is kept. A
    principal point off the middle cannot be told, and viewports drop a roll.

    Args:
        frame: of moving cameras. focus: (3) what the camera turns about in the viewport, as far along its axis; 3 m ahead without it.

    Raises:
        ValueError: a view or a frame that the rig does not have.
    """
    one = rig.at(frame).take_views([view])
    pose, eye = one.world_to_camera[0].double(), one.centers[0].double()
    axis = pose[2, :3]
    ahead = 3.0 if focus is None else max(float((focus.double() - eye) @ axis), 0.1)
    fov = 2 * math.atan(rig.image_size[0] / 2 / float(one.intrinsics[0, 1, 1]))
    quat = matrix_to_quat_xyzw(pose[:, :3].mT @ _FLIP)
    return {
        "position": dict(zip("xyz", eye.tolist(), strict=True)),
        "target": dict(zip("xyz", (eye + ahead * axis).tolist(), strict=True)),
        "zoom": math.tan(math.radians(VIEWPORT_FOV_DEG) / 2) / math.tan(fov / 2),
        "cameraType": "perspective",
        "quaternion": dict(zip("xyzw", quat.tolist(), strict=True)),
        "fov": VIEWPORT_FOV_DEG,
        "aspect": rig.image_size[1] / rig.image_size[0],
    }

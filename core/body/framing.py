"""Where to put cameras so that a whole motion is in the picture."""

import math

import torch

from ..geometry.cameras import orbit_rig, own_camera
from ..types import CameraRig, Frame, ImageSize, Motion

_BODY_RADIUS = 0.15  # metres of flesh around the joints that the picture has to hold


def frame_motion(
    motion: Motion,
    *,
    views: int,
    image_size: ImageSize,
    azimuth_deg: float = 0.0,
    arc_deg: float = 360.0,
    elevation_deg: float = 0.0,
    vertical_fov_deg: float = 40.0,
    margin: float = 1.15,
    keep_own_camera: bool = False,
) -> CameraRig:
    """Orbit cameras that see every joint of every frame, or the camera that filmed a camera-space motion.

    Args:
        views: evenly spaced from azimuth_deg over arc_deg (the last one stands at the end of the arc unless it is the full circle).
        image_size: (H, W). For an own camera only its longer side counts: the proportions are those of the video, in steps of 8 pixels.
        margin: 1 fits the motion exactly.
        keep_own_camera: what to do with a camera-space motion: True takes its own camera, False refuses.

    Raises:
        ValueError: a camera-space motion with keep_own_camera off, or a motion without any joint.
    """
    if motion.frame is Frame.CAMERA:
        if not keep_own_camera:
            raise ValueError(
                "the motion is in the axes of the camera that filmed it and cannot be orbited: switch keep_own_camera on, "
                "or convert it to world axes first"
            )
        return own_camera(motion, _fit_size(motion.image_size, max(image_size))) if motion.image_size else own_camera(motion)
    joints = motion.joints[motion.seen]
    if len(joints) == 0:
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to look at")
    low, high = joints.min(0).values, joints.max(0).values
    center = (low + high) / 2
    height = float(high[1] - low[1]) / 2 + _BODY_RADIUS
    around = float((joints - center)[:, [0, 2]].norm(dim=-1).max()) + _BODY_RADIUS
    half_vertical = math.radians(vertical_fov_deg) / 2
    half_horizontal = math.atan(math.tan(half_vertical) * image_size[1] / image_size[0])
    # The body turns within a cylinder: its near side must fit too, hence the extra radius.
    radius = margin * max(height / math.tan(half_vertical), around / math.tan(half_horizontal)) + around
    step = arc_deg / views if arc_deg >= 360 else arc_deg / max(views - 1, 1)
    return orbit_rig(
        [azimuth_deg + step * view for view in range(views)],
        elevation_deg=elevation_deg,
        radius=radius,
        image_size=image_size,
        vertical_fov_deg=vertical_fov_deg,
        target=tuple(torch.as_tensor(center).tolist()),
    )


def _fit_size(size: ImageSize, longer_side: int) -> ImageSize:
    scale = longer_side / max(size)
    return tuple(max(8, round(side * scale / 8) * 8) for side in size)

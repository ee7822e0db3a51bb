"""Where to put cameras so that a whole motion is in the picture."""

import torch
from torch import Tensor

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
        margin: 1 fits the motion exactly; cameras stand that many times as far away.
        keep_own_camera: what to do with a camera-space motion: True takes its own camera, False refuses.

    Raises:
        ValueError: a camera-space motion with keep_own_camera off, or a motion without any joint.
    """
    if motion.frame is Frame.CAMERA:
        if not keep_own_camera:
            raise ValueError("the motion is in the axes of the camera that filmed it and cannot be orbited: switch keep_own_camera on")
        return own_camera(motion, _fit_size(motion.image_size, max(image_size))) if motion.image_size else own_camera(motion)
    joints = motion.joints[motion.seen]
    if len(joints) == 0:
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to look at")
    center = ((joints.min(0).values + joints.max(0).values) / 2).double()
    step = arc_deg / views if arc_deg >= 360 else arc_deg / max(views - 1, 1)
    placed = {"elevation_deg": elevation_deg, "image_size": image_size, "vertical_fov_deg": vertical_fov_deg, "target": center.tolist()}
    azimuths = [azimuth_deg + step * view for view in range(views)]
    return orbit_rig(azimuths, radius=margin * _fitting_radius(joints, orbit_rig(azimuths, radius=1.0, **placed)), **placed)


def _fitting_radius(joints: Tensor, rig: CameraRig) -> float:
    """Smallest distance from the target at which all cameras of a rig of radius 1 see all joints (N, 3) with flesh around them."""
    x, y, z = rig.to_camera(joints).unbind(-1)
    half_height, half_width = (side / 2 / float(rig.intrinsics[0, 1, 1]) for side in rig.image_size)  # tangents of half the view
    # At radius r a joint is r - 1 + z in front of its camera, which has to hold its offset from the axis.
    needed = torch.maximum((x.abs() + _BODY_RADIUS) / half_width, (y.abs() + _BODY_RADIUS) / half_height) - (z - 1)
    return float(needed.max())


def _fit_size(size: ImageSize, longer_side: int) -> ImageSize:
    scale = longer_side / max(size)
    return tuple(max(8, round(side * scale / 8) * 8) for side in size)

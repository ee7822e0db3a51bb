"""Where to put cameras, and how to move them, so that a whole motion is in the picture."""

import numpy as np
import torch
from torch import Tensor

from ..geometry.camera_paths import arc_path, dolly_path, turning_path
from ..geometry.cameras import orbit_rig, own_camera
from ..types import CameraRig, Frame, ImageSize, Motion
from .local_fits import smooth_tracks

PATHS = ("turn", "arc", "dolly in", "dolly out", "dolly left", "dolly right", "crane up", "crane down", "dolly zoom in", "dolly zoom out")
FOLLOWS = ("stay", "look", "go along")
BODY_RADIUS = 0.15  # metres of flesh around the joints that the picture has to hold
_CALM = 0.4  # seconds, width of the bell that calms the point which a camera follows
_SHIFTS = {
    "in": (0.0, 0.0, 1.0),
    "out": (0.0, 0.0, -1.0),
    "left": (-1.0, 0.0, 0.0),
    "right": (1.0, 0.0, 0.0),
    "up": (0.0, 1.0, 0.0),
    "down": (0.0, -1.0, 0.0),
}


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
    joints = _seen_joints(motion)
    center = _middle(joints)
    step = arc_deg / max(views, 1) if arc_deg >= 360 else arc_deg / max(views - 1, 1)
    placed = {"elevation_deg": elevation_deg, "image_size": image_size, "vertical_fov_deg": vertical_fov_deg, "target": center.tolist()}
    azimuths = [azimuth_deg + step * view for view in range(views)]
    return orbit_rig(azimuths, radius=margin * _fitting_radius(joints, orbit_rig(azimuths, radius=1.0, **placed)), **placed)


def follow_point(motion: Motion, *, seconds: float = _CALM) -> Tensor:
    """(T, 3) metres: where the root joint is, bridged where it is missing and calmed by a bell of that standard deviation, float64.

    Raises:
        ValueError: the root joint is never seen.
    """
    seen = motion.seen[:, 0].cpu()
    if not seen.any():
        raise ValueError(
            "the root joint of the motion is never seen, and a camera follows it: let the camera stay, or fill the gaps with Clean Motion"
        )
    root = motion.joints[:, 0].detach().cpu().double()
    here = np.flatnonzero(seen.numpy())
    bridged = np.stack([np.interp(np.arange(motion.frames), here, root[here, axis].numpy()) for axis in range(3)], -1)
    track = torch.from_numpy(bridged)[:, None]
    return smooth_tracks(track, width=seconds, fps=motion.fps, seen=torch.ones(motion.frames, 1, dtype=torch.bool), adaptive=False)[:, 0]


def frame_path(
    motion: Motion,
    path: str,
    *,
    image_size: ImageSize,
    azimuth_deg: float = 0.0,
    elevation_deg: float = 0.0,
    degrees: float = 360.0,
    distance: float = 1.0,
    vertical_fov_deg: float = 40.0,
    margin: float = 1.15,
    follow: str = "stay",
    ease: str = "linear",
) -> CameraRig:
    """One camera that moves around a motion, as long as the motion, from a distance at which all of it is in the picture.

    Args:
        path: one of PATHS. "turn" and "arc" go round by `degrees` (a turn of 360 loops, an arc ends at its last degree); dollies and cranes move by `distance`
            metres from the place at `azimuth_deg`; a dolly zoom lets the focal length keep the size of the person.
        margin: 1 fits the motion exactly, at the place where a dolly starts.
        follow: "stay" looks at the middle of the motion, "look" turns after the person, "go along" keeps the person's distance too.
        ease: "linear" or "smooth".

    Raises:
        ValueError: a camera-space motion, one without joints, an unknown choice, or a dolly that reaches the person.
    """
    for name, value, known in (("path", path, PATHS), ("follow", follow, FOLLOWS)):
        if value not in known:
            raise ValueError(f"{name} is '{value}', expected one of {', '.join(known)}")
    if motion.frame is Frame.CAMERA:
        raise ValueError(
            "the motion is in the axes of the camera that filmed it, and no other camera can see it: convert it with Convert Space first"
        )
    joints, shift = _seen_joints(motion), torch.zeros(motion.frames, 3, dtype=torch.float64)
    if follow == "go along":
        shift = follow_point(motion)
        joints = (motion.joints.double().cpu() - shift[:, None])[motion.seen.cpu()]
    center = _middle(joints)
    placed = {"elevation_deg": elevation_deg, "image_size": image_size, "vertical_fov_deg": vertical_fov_deg}
    round_it = path in ("turn", "arc")
    stands = [azimuth_deg + degrees * step / 24 for step in range(25)] if round_it else [azimuth_deg]
    one = orbit_rig(stands, radius=1.0, target=center.tolist(), **placed)
    radius = margin * _fitting_radius(joints.float(), one)
    middle = center + shift
    target = follow_point(motion) if follow == "look" else middle
    if round_it:
        arc = {**placed, "radius": radius, "center": middle, "target": target, "ease": ease}
        if path == "turn":
            return turning_path(motion.frames, azimuth_deg=azimuth_deg, turns=degrees / 360, **arc)
        return arc_path(motion.frames, azimuth_deg=(azimuth_deg, azimuth_deg + degrees), **arc)
    eye = shift + orbit_rig([azimuth_deg], radius=radius, target=center.tolist(), **placed).centers[0].double()
    return dolly_path(
        motion.frames, eye=eye, target=target, shift=[distance * part for part in _SHIFTS[path.split()[-1]]], image_size=image_size,
        vertical_fov_deg=vertical_fov_deg, turn=follow != "stay" or "dolly" not in path, hold_size="zoom" in path, ease=ease,
    )  # fmt: skip


def _seen_joints(motion: Motion) -> Tensor:
    """(N, 3) all joints of all frames."""
    joints = motion.joints[motion.seen]
    if len(joints) == 0:
        raise ValueError("the motion has no joint with a confidence above 0: there is nothing to look at")
    return joints


def motion_middle(motion: Motion) -> Tensor:
    """(3) metres, the middle of the box around a motion, float64."""
    return _middle(_seen_joints(motion))


def _middle(joints: Tensor) -> Tensor:
    """(3) float64, on the CPU."""
    return ((joints.min(0).values + joints.max(0).values) / 2).double().cpu()


def _fitting_radius(joints: Tensor, rig: CameraRig) -> float:
    """Smallest distance from the target at which all cameras of a rig of radius 1 see all joints (N, 3) with flesh around them."""
    x, y, z = rig.to_camera(joints).unbind(-1)
    half_height, half_width = (side / 2 / float(rig.intrinsics[0, 1, 1]) for side in rig.image_size)  # tangents of half the view
    # At radius r a joint is r - 1 + z in front of its camera, which has to hold its offset from the axis.
    needed = torch.maximum((x.abs() + BODY_RADIUS) / half_width, (y.abs() + BODY_RADIUS) / half_height) - (z - 1)
    return float(needed.max())


def _fit_size(size: ImageSize, longer_side: int) -> ImageSize:
    scale = longer_side / max(size)
    return tuple(max(8, round(side * scale / 8) * 8) for side in size)

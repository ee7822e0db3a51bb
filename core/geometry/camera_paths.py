"""Cameras that move, and turntables of cameras that stand still."""

import math
from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise

import torch
from torch import Tensor

from ..types import CameraRig, ImageSize
from .cameras import focal_from_fov, intrinsics_matrix, look_at, orbit_rig

EASES = ("linear", "smooth")
INTERPOLATIONS = ("linear", "catmull_rom")

Point = Sequence[float] | Tensor  # (3), or (T, 3) where it moves
Span = float | tuple[float, float]  # a value, or its first and its last one
_UNAIMED = 3.0  # metres to the target of a camera when nothing tells what it looks at
_NEAREST = 0.1  # of the distance to the focus, that the target is at least away


def turntable(
    views: int,
    *,
    radius: float,
    image_size: ImageSize,
    azimuth_deg: float = 0.0,
    elevation_deg: float = 0.0,
    vertical_fov_deg: float = 40.0,
    target: Sequence[float] = (0.0, 0.0, 0.0),
) -> CameraRig:
    """V cameras that stand still, evenly spaced all the way round a target; a closed circle from three views on.

    Raises:
        ValueError: no view, or a radius of 0 or less.
    """
    azimuths = [azimuth_deg + 360.0 / max(views, 1) * view for view in range(views)]
    placed = {"elevation_deg": elevation_deg, "vertical_fov_deg": vertical_fov_deg, "target": target}
    return orbit_rig(azimuths, radius=radius, image_size=image_size, **placed)


def aimed_rig(eyes: Tensor, targets: Tensor, *, image_size: ImageSize, focal_px: float | Tensor) -> CameraRig:
    """One camera that stands at `eyes` (T, 3) and looks at `targets` (T, 3) or (3), upright; focal_px: one, or (T).

    Raises:
        ValueError: the camera meets its target, or a focal length that is not above 0.
    """
    frames = len(eyes)
    focal = torch.as_tensor(focal_px, dtype=torch.float64).expand(frames)
    intrinsics = intrinsics_matrix(1.0, image_size).double().repeat(frames, 1, 1)
    intrinsics[:, [0, 1], [0, 1]] = focal[:, None]
    pose = look_at(eyes.double(), targets.double())
    return CameraRig(intrinsics=intrinsics.float()[None], world_to_camera=pose.float()[None], image_size=image_size)


def arc_path(
    frames: int,
    *,
    azimuth_deg: Span,
    elevation_deg: Span = 0.0,
    radius: Span,
    image_size: ImageSize,
    vertical_fov_deg: float = 40.0,
    center: Point = (0.0, 0.0, 0.0),
    target: Point | None = None,
    ease: str = "linear",
) -> CameraRig:
    """One camera that goes along an arc, from the first value of each pair to its second, in T frames.

    Args:
        azimuth_deg: 0 in front, 90 at the character's left; more than 360 degrees go round again.
        center: of the arc in metres; (T, 3) takes the arc along. target: what the camera looks at, the centre unless given.
        ease: "linear", or "smooth", which starts and ends at rest.

    Raises:
        ValueError: no frame, a radius of 0 or less, points of another length, or an unknown ease.
    """
    at = _progress(frames, ease)
    azimuth, elevation, distance = (_along(value, at) for value in (azimuth_deg, elevation_deg, radius))
    if not (distance > 0).all():
        raise ValueError(f"radius is {radius}, expected metres above 0")
    azimuth, elevation = azimuth.deg2rad(), elevation.deg2rad()
    out = torch.stack([azimuth.sin() * elevation.cos(), elevation.sin(), azimuth.cos() * elevation.cos()], -1)
    middle = _points("center", center, frames)
    aim = middle if target is None else _points("target", target, frames)
    focal = focal_from_fov(vertical_fov_deg, image_size[0])
    return aimed_rig(middle + distance[:, None] * out, aim, image_size=image_size, focal_px=focal)


def turning_path(frames: int, *, azimuth_deg: float = 0.0, turns: float = 1.0, **arc) -> CameraRig:
    """One camera that goes round in T frames and, after whole turns, would be back in the frame after the last, so that the clip loops.

    turns: below 0 the other way round. The other arguments are those of `arc_path`.
    """
    last = azimuth_deg + 360.0 * turns * (frames - 1) / max(frames, 1)
    return arc_path(frames, azimuth_deg=(azimuth_deg, last), **arc)


def dolly_path(
    frames: int,
    *,
    eye: Point,
    target: Point,
    shift: Sequence[float],
    image_size: ImageSize,
    vertical_fov_deg: float = 40.0,
    turn: bool = True,
    hold_size: bool = False,
    ease: str = "linear",
) -> CameraRig:
    """One camera that rolls away from where it stands in the first frame.

    Args:
        eye, target: metres; (T, 3) where they move by themselves, as with a person who is followed.
        shift: metres to the right, up and towards the target of the first frame, that the camera has moved by in the last frame.
        turn: keep looking at the target; False keeps the direction of the first frame.
        hold_size: let the focal length follow the distance, so that what stands at the target keeps its size (dolly zoom).

    Raises:
        ValueError: no frame, points of another length, an unknown ease, or a move that meets or passes the target.
    """
    at = _progress(frames, ease)
    start, aim = _points("eye", eye, frames), _points("target", target, frames)
    level = look_at(start[:1], aim[0])[0, :, :3]
    steps = torch.tensor([shift[0], -shift[1], shift[2]], dtype=torch.float64) @ level  # camera axes: y down
    eyes = start + at[:, None] * steps
    ahead = ((aim - eyes) * level[2]).sum(-1)
    if not (ahead > 0).all():
        raise ValueError(
            f"the camera stands {float(ahead[0]):.2f} m before its target and moves {shift[2]:g} m towards it: it would pass it; move it less"
        )
    focal = torch.full((frames,), focal_from_fov(vertical_fov_deg, image_size[0]), dtype=torch.float64)
    distance = (aim - eyes).norm(dim=-1) if turn else ahead
    rig = aimed_rig(eyes, aim, image_size=image_size, focal_px=focal * distance / distance[0] if hold_size else focal)
    if turn:
        return rig
    pose = torch.cat([level.expand(frames, 3, 3), -(level @ eyes[..., None])], -1)
    return replace(rig, world_to_camera=pose.float()[None])


def gather_views(rigs: Sequence[CameraRig]) -> CameraRig:
    """The views of several rigs as one rig, all of them still or all over the same frames; pictures take the size of the first.

    Raises:
        ValueError: no rig, still and moving ones together, or pictures of other proportions.
    """
    if not rigs:
        raise ValueError("no cameras are given, expected at least one rig")
    first = rigs[0]
    for rig in rigs:
        if rig.frames != first.frames:
            raise ValueError(f"cameras of {first.frames or 1} and {rig.frames or 1} frames: gather still ones, or paths of one length")
        if (
            abs(rig.image_size[1] * first.image_size[0] - rig.image_size[0] * first.image_size[1])
            > 1e-2 * rig.image_size[0] * first.image_size[0]
        ):
            raise ValueError(
                f"cameras of {rig.image_size} and {first.image_size} (height, width): give all of them pictures of the same proportions"
            )
    same = [rig.resized(first.image_size) for rig in rigs]
    return CameraRig(
        intrinsics=torch.cat([rig.intrinsics for rig in same]), world_to_camera=torch.cat([rig.world_to_camera for rig in same]),
        image_size=first.image_size,
    )  # fmt: skip


def keyed_path(
    keys: CameraRig, times: Sequence[float], frames: int, *, interpolation: str = "linear", focus: Sequence[float] | None = None
) -> CameraRig:
    """One camera that is at each key at its time, and between them on the way.

    Eye, target, roll, the logarithm of the focal length and the principal point are interpolated, and the camera looks at the target: keys that are level stay
    level on the way. "catmull_rom" takes the times as the knots of the curve (it is neither the uniform nor the centripetal one, but equal to the
    uniform one where keys are evenly spaced in time), so that the speed has no jump at a key. Before the first key and after the last the camera
    stands still.

    Args:
        keys: K still views. times: (K) frames, ascending. frames: T.
        focus: a point that the keys look towards, such as the middle of a person: the target of each key is that far away. Without one, the point nearest to the axes
            of all keys, or 3 m where those are parallel.

    Raises:
        ValueError: moving keys, times that do not fit them or do not ascend, no frame, an unknown interpolation, or a path through its target.
    """
    if keys.frames is not None:
        raise ValueError(f"the keys are cameras that move over {keys.frames} frames: key still cameras, as of one frame")
    if interpolation not in INTERPOLATIONS:
        raise ValueError(f"interpolation is '{interpolation}', expected one of {', '.join(INTERPOLATIONS)}")
    knots = torch.tensor([float(time) for time in times], dtype=torch.float64)
    if len(knots) != keys.views or not torch.isfinite(knots).all() or not (knots.diff() > 0).all():
        raise ValueError(f"times are {list(times)} for {keys.views} keys: give one frame for each key, in ascending order")
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1")
    at = torch.arange(frames, dtype=torch.float64)
    eyes, axes = keys.centers.double(), keys.world_to_camera[..., 2, :3].double()
    targets = eyes + axes * _target_distances(eyes, axes, focus)[:, None]
    level = look_at(eyes, targets)[..., :3]
    tilt = keys.world_to_camera[..., :3].double() @ level.mT  # about the axis of the camera
    roll = _unwrapped(torch.atan2(tilt[:, 1, 0], tilt[:, 0, 0]))
    lens = keys.intrinsics.double()
    logs = lens[:, [0, 1], [0, 1]].log()
    rows = _interpolate(torch.cat([eyes, targets, roll[:, None], logs, lens[:, :2, 2], lens[:, 0, 1:2]], -1), knots, at, interpolation)
    eye, target, roll, logs, center, skew = rows.split((3, 3, 1, 2, 2, 1), -1)
    pose = look_at(eye, target)
    turn = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    turn[:, :2, :2] = torch.stack([roll.cos(), -roll.sin(), roll.sin(), roll.cos()], -1).reshape(frames, 2, 2)
    intrinsics = torch.eye(3, dtype=torch.float64).repeat(frames, 1, 1)
    intrinsics[:, [0, 1], [0, 1]], intrinsics[:, :2, 2], intrinsics[:, 0, 1] = logs.exp(), center, skew[:, 0]
    return CameraRig(intrinsics=intrinsics.float()[None], world_to_camera=(turn @ pose).float()[None], image_size=keys.image_size)


def _progress(frames: int, ease: str) -> Tensor:
    """(T) from 0 to 1."""
    if frames < 1:
        raise ValueError(f"frames is {frames}, expected at least 1")
    if ease not in EASES:
        raise ValueError(f"ease is '{ease}', expected one of {', '.join(EASES)}")
    at = torch.arange(frames, dtype=torch.float64) / max(frames - 1, 1)
    return at if ease == "linear" else at * at * (3 - 2 * at)


def _along(value: Span, at: Tensor) -> Tensor:
    first, last = value if isinstance(value, (tuple, list)) else (value, value)
    return first + (last - first) * at


def _points(name: str, point: Point, frames: int) -> Tensor:
    """(T, 3) float64."""
    points = torch.as_tensor(point, dtype=torch.float64)
    if tuple(points.shape) not in ((3,), (frames, 3)) or not torch.isfinite(points).all():
        raise ValueError(f"{name} has the shape {tuple(points.shape)}, expected x, y and z in metres, once or for each of {frames} frames")
    return points.expand(frames, 3)


def _target_distances(eyes: Tensor, axes: Tensor, focus: Sequence[float] | None) -> Tensor:
    """(K) metres along each axis (K, 3) to its target."""
    if focus is None:
        across = torch.eye(3, dtype=torch.float64) - axes[:, :, None] * axes[:, None, :]  # (K, 3, 3)
        normal = across.sum(0)
        if torch.linalg.eigvalsh(normal)[0] < 1e-3 * len(eyes):
            return torch.full((len(eyes),), _UNAIMED, dtype=torch.float64)
        point = torch.linalg.solve(normal, (across @ eyes[..., None]).sum(0)[:, 0])
    else:
        point = torch.tensor([float(value) for value in focus], dtype=torch.float64)
    away = point - eyes
    return torch.maximum((away * axes).sum(-1), _NEAREST * away.norm(dim=-1)).clamp(min=1e-2)


def _unwrapped(angles: Tensor) -> Tensor:
    """Angles (K), each within half a turn of the one before."""
    steps = torch.remainder(angles.diff() + math.pi, 2 * math.pi) - math.pi
    return torch.cat([angles[:1], angles[:1] + steps.cumsum(0)])


def _interpolate(values: Tensor, knots: Tensor, at: Tensor, interpolation: str) -> Tensor:
    """Rows (T, n) through the keys (K, n) at their knots (K); constant outside.

    The curve is the cubic Hermite one with the tangents of Catmull and Rom over uneven knots (Barry and Goldman 1988), one-sided at the ends.
    """
    if len(knots) == 1:
        return values.expand(len(at), -1)
    at = at.clamp(knots[0], knots[-1])
    piece = (torch.searchsorted(knots, at, right=True) - 1).clamp(0, len(knots) - 2)
    gaps = knots.diff()[:, None]
    slopes = values.diff(dim=0) / gaps
    u = ((at - knots[piece]) / gaps[piece, 0])[:, None]
    first, second = values[piece], values[piece + 1]
    if interpolation == "linear":
        return first * (1 - u) + second * u
    inner = (slopes[:-1] * gaps[1:] + slopes[1:] * gaps[:-1]) / (gaps[1:] + gaps[:-1])
    tangents = torch.cat([slopes[:1], inner, slopes[-1:]])
    bend = (u * (1 - u) ** 2 * tangents[piece] - u**2 * (1 - u) * tangents[piece + 1]) * gaps[piece]
    return first * (1 + 2 * u) * (1 - u) ** 2 + second * u**2 * (3 - 2 * u) + bend


def key_times(text: str, keys: int, frames: int) -> tuple[float, ...]:
    """Frames of the keys from a text such as "0, 40, 80"; evenly spaced from the first frame to the last where it is empty.

    Raises:
        ValueError: no number, another count than there are keys, or frames that do not ascend within 0..frames - 1.
    """
    words = text.replace(",", " ").split()
    if not words:
        return tuple((frames - 1) * key / max(keys - 1, 1) for key in range(keys))
    try:
        times = tuple(float(word) for word in words)
    except ValueError:
        raise ValueError(f"times are '{text[:100]}', expected frames such as 0, 40, 80") from None
    ascending = all(before < after for before, after in pairwise(times))
    if len(times) != keys or not ascending or not (0 <= times[0] and times[-1] <= frames - 1):
        raise ValueError(
            f"times are '{text[:100]}' for {keys} keys: give {keys} ascending frames from 0 to {frames - 1}, or none to space them evenly"
        )
    return times

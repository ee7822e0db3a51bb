"""Lenses that bend straight lines: the models of OpenCV, their exact inverse, and keypoints as a pinhole camera would have seen them."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from ..shapes import check_shapes
from ..types import CameraRig, ImageSize, Keypoints
from .rotations import rotvec_to_matrix

RADIAL_COUNTS = (0, 1, 2, 4, 5, 8, 12, 14)  # k1 k2 p1 p2 k3 k4 k5 k6 s1 s2 s3 s4 tx ty; the rest is 0
FISHEYE_COUNT = 4
_ITERATIONS = 60
_CLOSE_PX = 1e-6
_STEEPEST = 1.56  # radians off the axis of a fisheye; no pinhole camera sees further


@dataclass(frozen=True, eq=False, kw_only=True)
class CalibratedCameras:
    """Cameras as they were calibrated.

    rig: V pinhole cameras for pictures of one size. distortion: (V, 14) of OpenCV, 0 where a lens has fewer coefficients; of a fisheye the first 4 are its k1
    to k4. fisheye: (V). image_sizes: (V) sizes (H, W) of the pictures that were calibrated. names: (V). notes: what was assumed.
    """

    rig: CameraRig
    distortion: Tensor
    fisheye: tuple[bool, ...]
    image_sizes: tuple[ImageSize, ...]
    names: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        views = self.rig.views
        check_shapes("CalibratedCameras", rig=(views, "V"), distortion=(self.distortion, "V 14"))
        for name in ("fisheye", "image_sizes", "names"):
            if len(getattr(self, name)) != views:
                raise ValueError(f"CalibratedCameras: {len(getattr(self, name))} {name} for {views} cameras")
        if not torch.isfinite(self.distortion).all():
            raise ValueError("CalibratedCameras: distortion has NaN or infinite values")
        if self.rig.frames is not None:
            raise ValueError("CalibratedCameras: expected cameras that stand still")

    @property
    def straight(self) -> bool:
        """Whether no lens bends anything."""
        return not bool(self.distortion.any()) and not any(self.fisheye)

    def text(self) -> str:
        """A line for each camera, and the notes."""
        lines = []
        for view, (name, center) in enumerate(zip(self.names, self.rig.centers.tolist(), strict=True)):
            height, width = self.image_sizes[view]
            bends = "fisheye" if self.fisheye[view] else "distortion" if self.distortion[view].any() else "no distortion"
            place = ", ".join(f"{coordinate + 0.0:.3g}" for coordinate in center)
            lines.append(f"{view}: {name}, {width}x{height}, at ({place}) m, {bends}")
        return "\n".join([*lines, *self.notes])

    def take_views(self, views: list[int]) -> "CalibratedCameras":
        """The views of these indices, in their order; ValueError as `CameraRig.take_views`."""
        rig = self.rig.take_views(views)
        rows = {name: tuple(getattr(self, name)[view] for view in views) for name in ("fisheye", "image_sizes", "names")}
        return replace(self, rig=rig, distortion=self.distortion[views], **rows)


def undistort(keypoints: Keypoints, cameras: CalibratedCameras) -> Keypoints:
    """Keypoints as pinhole cameras would have seen them; one that the lens cannot have seen there loses its confidence.

    Raises:
        ValueError: another number of views, or pictures of another size than the rig's.
    """
    if len(keypoints.pixels) != cameras.rig.views:
        raise ValueError(f"{len(keypoints.pixels)} views of keypoints, but {cameras.rig.views} cameras: give one camera for each view")
    if keypoints.image_size != cameras.rig.image_size:
        raise ValueError(
            f"the keypoints are in pictures of {keypoints.image_size} (height, width), the cameras of {cameras.rig.image_size}: resize the keypoints"
        )
    if cameras.straight:
        return keypoints
    pixels = torch.stack(
        [
            undistort_pixels(points.double(), cameras.rig.intrinsics[view], cameras.distortion[view], fisheye=cameras.fisheye[view])
            for view, points in enumerate(keypoints.pixels)
        ]
    )
    lost = keypoints.seen & ~torch.isfinite(pixels).all(-1)
    confidence = torch.where(lost, 0.0, keypoints.confidence)
    return replace(keypoints, pixels=pixels.to(keypoints.pixels.dtype), confidence=confidence)


def undistort_pixels(pixels: Tensor, intrinsics: Tensor, distortion: Tensor, *, fisheye: bool = False) -> Tensor:
    """Pixels (..., 2) without the distortion (14) of a lens with intrinsics (3, 3), to 1e-6 px; NaN where no ray of the lens arrives."""
    intrinsics, distortion = intrinsics.to(pixels), distortion.to(pixels)
    bent = _unproject(pixels, intrinsics)
    straight = _unbend_fisheye(bent, distortion) if fisheye else _unbend(bent, distortion)
    back = (_bend_fisheye if fisheye else _bend)(straight, distortion)
    focal = intrinsics[[0, 1], [0, 1]].abs().max()
    arrived = ((back - bent).norm(dim=-1) * focal < _CLOSE_PX).unsqueeze(-1)
    return torch.where(arrived, _reproject(straight, intrinsics), torch.nan)


def distort_pixels(pixels: Tensor, intrinsics: Tensor, distortion: Tensor, *, fisheye: bool = False) -> Tensor:
    """Where a lens with intrinsics (3, 3) and distortion (14) shows pixels (..., 2) of a pinhole camera."""
    intrinsics, distortion = intrinsics.to(pixels), distortion.to(pixels)
    return _reproject((_bend_fisheye if fisheye else _bend)(_unproject(pixels, intrinsics), distortion), intrinsics)


def _unproject(pixels: Tensor, intrinsics: Tensor) -> Tensor:
    homogeneous = torch.cat([pixels, torch.ones_like(pixels[..., :1])], -1) @ torch.linalg.inv(intrinsics).mT
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _reproject(points: Tensor, intrinsics: Tensor) -> Tensor:
    return points @ intrinsics[:2, :2].mT + intrinsics[:2, 2]


# --- radial, tangential, thin prism and tilt (OpenCV, calib3d)


def _polynomials(square: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """The radial factor of r^2, and its slope over r^2."""
    above = 1 + square * (k[0] + square * (k[1] + square * k[4]))
    below = 1 + square * (k[5] + square * (k[6] + square * k[7]))
    slope_above = k[0] + square * (2 * k[1] + 3 * square * k[4])
    slope_below = k[5] + square * (2 * k[6] + 3 * square * k[7])
    return above / below, (slope_above * below - above * slope_below) / below**2


def _bend_flat(points: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    """Bent points (..., 2) and the slopes (..., 2, 2), before the tilt."""
    x, y = points.unbind(-1)
    square = x * x + y * y
    factor, slope = _polynomials(square, k)
    prism_x, prism_y = square * (k[8] + square * k[9]), square * (k[10] + square * k[11])
    slope_x, slope_y = 2 * (k[8] + 2 * square * k[9]), 2 * (k[10] + 2 * square * k[11])
    bent = torch.stack(
        [
            x * factor + 2 * k[2] * x * y + k[3] * (square + 2 * x * x) + prism_x,
            y * factor + k[2] * (square + 2 * y * y) + 2 * k[3] * x * y + prism_y,
        ],
        -1,
    )
    mixed = 2 * x * y * slope + 2 * (k[2] * x + k[3] * y)
    slopes = [
        factor + 2 * x * x * slope + 2 * k[2] * y + 6 * k[3] * x + x * slope_x,
        mixed + y * slope_x,
        mixed + x * slope_y,
        factor + 2 * y * y * slope + 6 * k[2] * y + 2 * k[3] * x + y * slope_y,
    ]
    return bent, torch.stack(slopes, -1).unflatten(-1, (2, 2))


def _tilt(k: Tensor) -> Tensor:
    """(3, 3) homography of a sensor that is tilted by tx and ty (OpenCV, Scheimpflug)."""
    zero = torch.zeros_like(k[12])
    turn = rotvec_to_matrix(torch.stack([zero, -k[13], zero])) @ rotvec_to_matrix(torch.stack([-k[12], zero, zero]))
    level = torch.eye(3).to(k)
    level[0, 0] = level[1, 1] = turn[2, 2]
    level[0, 2], level[1, 2] = -turn[0, 2], -turn[1, 2]
    return level @ turn


def _bend(points: Tensor, k: Tensor) -> Tensor:
    return _mapped(_bend_flat(points, k)[0], _tilt(k))


def _mapped(points: Tensor, homography: Tensor) -> Tensor:
    homogeneous = torch.cat([points, torch.ones_like(points[..., :1])], -1) @ homography.mT
    return homogeneous[..., :2] / homogeneous[..., 2:]


def _unbend(bent: Tensor, k: Tensor) -> Tensor:
    """Newton's method from the bent point; where the picture folds over, beyond the part that the lens can show, NaN."""
    flat = _mapped(bent, torch.linalg.inv(_tilt(k)))
    points = flat.clone()
    for _ in range(_ITERATIONS):
        found, slopes = _bend_flat(points, k)
        rest = found - flat
        a, b, c, d = slopes.flatten(-2).unbind(-1)
        whole = a * d - b * c
        step = torch.stack([d * rest[..., 0] - b * rest[..., 1], a * rest[..., 1] - c * rest[..., 0]], -1)
        step = step / torch.where(whole.abs() > 1e-12, whole, torch.nan)[..., None]
        longest = 0.3 * (1 + points.norm(dim=-1, keepdim=True))  # a longer step could land on the far side of the fold
        points = points - step * (longest / step.norm(dim=-1, keepdim=True).clamp(min=1e-12)).clamp(max=1)
        if not (step.nan_to_num().abs() > 1e-13).any():
            break
    return torch.where((torch.linalg.det(_bend_flat(points, k)[1]) > 0)[..., None], points, torch.nan)


# --- fisheye (OpenCV, fisheye; Kannala and Brandt)


def _bend_angle(angle: Tensor, k: Tensor) -> tuple[Tensor, Tensor]:
    square = angle**2
    bent = angle * (1 + square * (k[0] + square * (k[1] + square * (k[2] + square * k[3]))))
    return bent, 1 + square * (3 * k[0] + square * (5 * k[1] + square * (7 * k[2] + square * 9 * k[3])))


def _bend_fisheye(points: Tensor, k: Tensor) -> Tensor:
    radius = points.norm(dim=-1, keepdim=True)
    bent = _bend_angle(radius.atan(), k)[0]
    return torch.where(radius > 1e-9, bent / radius.clamp(min=1e-9), 1.0) * points


def _unbend_fisheye(bent: Tensor, k: Tensor) -> Tensor:
    wanted = bent.norm(dim=-1, keepdim=True)
    angle = wanted.clamp(max=_STEEPEST)
    for _ in range(_ITERATIONS):
        found, slope = _bend_angle(angle, k)
        angle = angle - ((found - wanted) / torch.where(slope.abs() > 1e-12, slope, torch.nan)).clamp(-0.3, 0.3)
    fit = (angle >= 0) & (angle < _STEEPEST) & (_bend_angle(angle, k)[1] > 0)
    return torch.where(fit, torch.where(wanted > 1e-9, angle.tan() / wanted.clamp(min=1e-9), 1.0) * bent, torch.nan)

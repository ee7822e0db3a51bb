"""Cameras around a rig, as AnimaX places them around the unit cube that it scales a character into."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry.cameras import orbit_rig
from ..geometry.skinning import joint_matrices, pose_meshes
from ..types import Animation, CameraRig, ImageSize, Rig, RigMesh

AZIMUTHS = (0.0, 90.0, 180.0, 270.0)
LITERAL_AZIMUTHS = (0.0, 90.0, 190.0, 270.0)  # as printed in the paper, most likely by mistake
RADIUS = 2.7  # sides of the cube
LENS = 35 / 32  # focal length over the width of the sensor
MARGIN = 0.8  # of the cube that a rest pose fills, which leaves room for the motion
_FRAMES_AT_ONCE = 16  # posed together
_FARTHEST = 1e30  # units; cameras are placed in float32


@dataclass(frozen=True, eq=False, kw_only=True)
class UnitCube:
    """The similarity that brings a character into the unit cube around the origin: scale * (point - center).

    center: (3) in units of the rig. scale: cube per unit.
    """

    center: Tensor
    scale: float

    def __str__(self) -> str:
        x, y, z = self.center.tolist()
        return f"cube = {self.scale:.6g} * (point - ({x:.6g}, {y:.6g}, {z:.6g}))"

    def apply(self, points: Tensor) -> Tensor:
        """World points (..., 3) of the rig -> the cube."""
        return (points - self.center.to(points)) * self.scale

    def undo(self, points: Tensor) -> Tensor:
        """Points (..., 3) of the cube -> the world of the rig."""
        return points / self.scale + self.center.to(points)


def fit_cube(rig: Rig, meshes: Sequence[RigMesh], animation: Animation | None = None, *, margin: float = MARGIN) -> UnitCube:
    """The cube whose side is 1 / `margin` times the longest side of the box around the meshes, at rest or over all frames of an animation.

    Without meshes the box is that of the joints.

    Raises:
        ValueError: a margin of 0 or less, an animation of another skeleton, or a character without extent or of one beyond all bounds.
    """
    if not margin > 0:
        raise ValueError(f"margin is {margin}, expected a number above 0: 1 fills the cube")
    frames = range(1 if animation is None else len(animation.rotations))
    parts = [frames[first : first + _FRAMES_AT_ONCE] for first in range(0, len(frames), _FRAMES_AT_ONCE)]
    boxes = torch.stack([_box(rig, meshes, animation, part) for part in parts])
    low, high = boxes[:, 0].amin(0), boxes[:, 1].amax(0)
    side = float((high - low).max())
    if not side > 0:
        raise ValueError("the character has no extent: all of its points are in one place; cameras cannot be placed around it")
    if not max(side, float(low.abs().max())) < _FARTHEST:
        raise ValueError(
            f"the character is {side:.3g} units large or that far away, expected less than {_FARTHEST:g}: its vertices are damaged"
        )
    return UnitCube(center=(low + high) / 2, scale=margin / side)


def _box(rig: Rig, meshes: Sequence[RigMesh], animation: Animation | None, frames: Sequence[int]) -> Tensor:
    """(2, 3) lowest and highest corner in some frames."""
    points = [mesh.vertices for mesh in pose_meshes(rig, meshes, animation, frames) if mesh.vertices.shape[1]]
    points = points or [joint_matrices(rig, animation, frames)[..., :3, 3]]
    return torch.stack([torch.cat(points, 1).amin((0, 1)), torch.cat(points, 1).amax((0, 1))])


def place_rig_cameras(
    cube: UnitCube,
    *,
    image_size: ImageSize,
    azimuths_deg: Sequence[float] = AZIMUTHS,
    elevation_deg: float = 0.0,
    radius: float = RADIUS,
    lens: float = LENS,
) -> CameraRig:
    """Orbit cameras in the world of the rig that see it just as cameras at `radius` see the unit cube: what they show needs no similarity undone.

    Args:
        image_size: (H, W). azimuths_deg, elevation_deg: as in `orbit_rig`. radius: sides of the cube. lens: focal length over the width of the sensor.

    Raises:
        ValueError: no azimuth, or a radius or lens of 0 or less.
    """
    if not lens > 0:
        raise ValueError(f"lens is {lens}, expected focal length over sensor width above 0, such as 35 mm / 32 mm")
    return orbit_rig(
        azimuths_deg, elevation_deg=elevation_deg, radius=radius / cube.scale, image_size=image_size, focal_px=lens * image_size[1],
        target=cube.center.tolist(),
    )  # fmt: skip

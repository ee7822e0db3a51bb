"""A motion in the axes of the world or of a camera, and a floor that is level."""

import math
from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.rotations import align_vectors
from ..geometry.similarity import transformed
from ..skeletons import REST_STATURE, SMPL24
from ..types import CameraRig, Frame, Motion
from .animation import to_world
from .contacts import ground_joints
from .gaps import runs
from .local_fits import smooth_tracks
from .measurements import estimate_stature

SPACES = ("world", "camera", "ground")
_STILL = 0.25  # m/s below which a foot may stand
_SHORTEST = 0.1  # seconds that a foothold lasts
_EVEN = 0.05  # seconds, width of the bell under which speeds are measured: a tremble is no step
_NOISE, _TILT = (
    0.02,
    0.2,
)  # metres that footholds scatter about the floor; radians that a camera is off the level, both as standard deviations
_ODD = 0.04  # metres above the floor from where a still foot counts little, as it stands on something or is held in the air


def to_camera(motion: Motion, rig: CameraRig, *, view: int = 0) -> Motion:
    """A world-space motion in the axes of one camera of a rig, which it then knows as its own.

    Raises:
        ValueError: a camera-space motion, a view that the rig does not have, moving cameras of another length or with a focal length that changes.
    """
    if motion.frame is Frame.CAMERA:
        raise ValueError("the motion is in the axes of a camera already: convert it to world axes first")
    turn, shift, intrinsics = _camera(rig, view, motion.frames)
    moved = transformed(motion, turn=turn, shift=shift)
    return replace(moved, frame=Frame.CAMERA, intrinsics=intrinsics, image_size=rig.image_size)


def from_camera(motion: Motion, rig: CameraRig, *, view: int = 0) -> Motion:
    """A motion seen by one camera of a rig in the world of the rig: the inverse of `to_camera`.

    Raises:
        ValueError: a world-space motion, a view that the rig does not have, or moving cameras of another length or with a focal length that changes.
    """
    if motion.frame is Frame.WORLD:
        raise ValueError("the motion is in world axes already: leave the cameras unconnected, or convert it to camera axes")
    turn, shift, _ = _camera(rig, view, motion.frames)
    return replace(
        transformed(motion, turn=turn.mT, shift=-(turn.mT @ shift[..., None])[..., 0]), frame=Frame.WORLD, intrinsics=None, image_size=None
    )


def _camera(rig: CameraRig, view: int, frames: int) -> tuple[Tensor, Tensor, Tensor]:
    """Turn (3, 3) and shift (3) into one camera, (T, 3, 3) and (T, 3) where it moves, and its intrinsics (3, 3)."""
    if not 0 <= view < rig.views:
        raise ValueError(f"view is {view}, the rig has {rig.views}: give 0 to {rig.views - 1}")
    world_to_camera = rig.world_to_camera[view].double().cpu()
    intrinsics = rig.intrinsics[view].cpu()
    if rig.frames is not None:
        if rig.frames != frames:
            raise ValueError(
                f"the cameras move over {rig.frames} frames, the motion has {frames}: make the camera path as long as the motion"
            )
        if not torch.allclose(intrinsics, intrinsics[:1], rtol=1e-4):
            raise ValueError(
                "the focal length or the centre of the camera changes over time, and a motion knows one camera: use a path that keeps them"
            )
        intrinsics = intrinsics[0]
    return world_to_camera[..., :3], world_to_camera[..., 3], intrinsics


def ground(motion: Motion) -> Motion:
    """The motion in world axes with a level floor at y = 0, told from where the feet stand.

    A plane is fitted to the places where ankles and feet stay still, each as high over the floor as in a standing body; still feet far above it count little.
    Without any tilt in sight, as in a dance on the spot, the plane stays as level as the camera is taken to be: the tilt must lead over more than the scatter of
    the footholds. The body is turned about the middle of its footholds. A note says by how much, and from how many.

    Raises:
        ValueError: a skeleton without ankles.
    """
    columns = ground_joints(motion.skeleton)
    motion = to_world(motion.cpu())
    footholds = _footholds(motion, columns)
    if len(footholds) == 0:
        return replace(motion, notes=(*motion.notes, "no foot ever stands still: tilt and floor left as they are"))
    middle = footholds.mean(0)
    normal, height = _floor(footholds - middle)
    turn = align_vectors(normal, torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64))
    point = middle + torch.tensor([0.0, height, 0.0], dtype=torch.float64)
    shift = (
        point * torch.tensor([1.0, 0.0, 1.0]).double() - turn @ point
    )  # the floor under the middle comes to y = 0 and stays where it is in x and z
    angle = math.degrees(math.acos(min(1.0, float(normal[1]))))
    note = f"levelled from {len(footholds)} footholds: turned by {angle:.1f} degrees, floor moved by {-float(point[1]):+.3f} m"
    return replace(transformed(motion, turn=turn, shift=shift), notes=(*motion.notes, note))


def _footholds(motion: Motion, columns: tuple[int, ...]) -> Tensor:
    """(N, 3) points of the floor under feet that stand still, float64."""
    size, found = (estimate_stature(motion) or REST_STATURE) / REST_STATURE, []
    places, presence = motion.joints[:, list(columns)].double(), motion.seen[:, list(columns)]
    places = smooth_tracks(places, width=_EVEN, fps=motion.fps, seen=presence, adaptive=False)
    for column, joint in enumerate(columns):
        track, seen = places[:, column], presence[:, column]
        step = (track[1:] - track[:-1]).norm(dim=-1) * motion.fps
        still = torch.nn.functional.pad(seen[1:] & seen[:-1] & (step < _STILL), (1, 0))
        sole = size * _height_in_rest(motion.skeleton.names[joint])
        for start, stop in runs(still):
            if stop - start >= _SHORTEST * motion.fps:
                found.append(track[start - 1 : stop].median(0).values - torch.tensor([0.0, sole, 0.0]).double())
    return torch.stack(found) if found else torch.empty(0, 3, dtype=torch.float64)


def _height_in_rest(name: str) -> float:
    """Metres of a joint over the floor in a standing body of REST_STATURE; of the foot where the name is unknown."""
    return float(SMPL24.rest[SMPL24.index(name if name in SMPL24.names else "left_foot"), 1])


def _floor(points: Tensor) -> tuple[Tensor, float]:
    """Unit normal (3) of the plane y = height + a x + b z under points (N, 3), and its height over the origin."""
    design = torch.cat([points[:, [0, 2]], torch.ones(len(points), 1, dtype=points.dtype)], 1)
    prior = torch.tensor([(_NOISE / _TILT) ** 2] * 2 + [0.0], dtype=points.dtype).diag()
    plane, reach = torch.zeros(3, dtype=points.dtype), torch.ones(len(points), dtype=points.dtype)
    for scale in (None, *[4.0] * 4, *[2.0] * 4, *[1.0] * 12):
        if scale is not None:
            above = points[:, 1] - design @ plane
            reach = 1 / (1 + (above / (scale * _ODD)) ** 2) ** 2
        rows = design * reach[:, None]
        plane = torch.linalg.solve(rows.mT @ design + prior, rows.mT @ points[:, 1])
    a, b, height = plane.tolist()
    normal = torch.tensor([-a, 1.0, -b], dtype=points.dtype)
    return normal / normal.norm(), height


def convert_space(motion: Motion, space: str, *, rig: CameraRig | None = None, view: int = 0) -> Motion:
    """One of SPACES by name: `world` (through a camera whose place is known, or with the camera taken as level), `camera` of a rig, or `ground`.

    A motion that is in the space asked for stays as it is.

    Raises:
        ValueError: an unknown space, `camera` without a rig, or what the conversion itself refuses.
    """
    if space not in SPACES:
        raise ValueError(f"space is '{space}', expected one of {', '.join(SPACES)}")
    if space == "camera":
        if rig is None:
            raise ValueError("camera space needs a camera: connect `cameras`, as from Place Orbit Cameras")
        return to_camera(motion, rig, view=view)
    if motion.frame is Frame.CAMERA and rig is not None:
        motion = from_camera(motion, rig, view=view)
    return ground(motion) if space == "ground" else to_world(motion)

"""A rig to look at: a frustum for every view, the path of cameras that move, and the person they see, as a GLB."""

import colorsys

import numpy as np
import torch
from torch import Tensor

from ..body.animation import animation_of, to_world
from ..geometry.camera_exchange import moved_world
from ..geometry.similarity import HALF_TURN
from ..types import CameraRig, Frame, Motion
from .glb_builder import TRIANGLES, VERTICES, GlbBuilder
from .glb_writer import figure_builder

_INSTANTS = 5  # frusta along the path of a moving camera
_REACH = 0.16  # depth of a frustum as a part of the distance to the middle of the scene
_THICK = 0.012  # radius of its edges as a part of its depth
_EDGES = (
    (0, 1),
    (0, 2),
    (0, 3),
    (0, 4),
    (1, 2),
    (2, 3),
    (3, 4),
    (4, 1),
    (1, 5),
    (2, 5),
)  # apex, corners from the upper left, tip of the roof
_GAMMA = 2.2
_FADED = 0.45  # brightness of the first frustum of a path; the last has all of it


def view_colours(views: int) -> np.ndarray:
    """(V, 3) in 0..1, around the circle of hues."""
    return np.array([colorsys.hsv_to_rgb(view / views, 0.75, 1.0) for view in range(views)])


def cameras_preview_glb(rig: CameraRig, *, motion: Motion | None = None) -> bytes:
    """A rig as the bytes of a GLB for 3D viewers: frusta coloured by view with a roof on their upper side, a line along each path.

    Cameras that move have a frustum at five instants, brighter towards the end. With a motion, its animated stick figure stands among them.

    Raises:
        ValueError: a motion that cannot be written as a figure, or one in camera space with cameras that are not its own.
    """
    rig, motion = _upright(rig, motion)
    if motion is None:
        builder = GlbBuilder(
            {"asset": {"version": "2.0", "generator": "Motion4D"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": []}, b""
        )
    else:
        animation = animation_of(motion.cpu())
        builder = figure_builder(animation, animation.skeleton)
    material = builder.append("materials", {"name": "camera", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.9}})
    depth = _REACH * _scene_size(rig, motion)
    nodes = []
    for view, colour in enumerate(view_colours(rig.views)):
        starts, ends, shades = _lines(rig, view, depth)
        positions, normals, triangles = tubes(starts, ends, _THICK * depth)
        colours = np.repeat(shades[:, None] * colour, len(positions) // len(starts), axis=0) ** _GAMMA
        rgba = np.pad(np.round(255 * colours).astype("u1"), ((0, 0), (0, 1)), constant_values=255)
        attributes = {
            "POSITION": builder.accessor(positions.astype("<f4"), "VEC3", target=VERTICES, bounds=True),
            "NORMAL": builder.accessor(normals.astype("<f4"), "VEC3", target=VERTICES),
            "COLOR_0": builder.accessor(rgba, "VEC4", target=VERTICES, normalized=True),
        }
        faces = builder.accessor(triangles.reshape(-1).astype("<u4"), "SCALAR", target=TRIANGLES)
        primitive = {"attributes": attributes, "indices": faces, "material": material}
        mesh = builder.append("meshes", {"name": f"view {view}", "primitives": [primitive]})
        nodes.append(builder.append("nodes", {"name": f"view {view}", "mesh": mesh}))
    scene = builder.document["scenes"][0]
    builder.document["scenes"] = [{**scene, "nodes": [*scene["nodes"], *nodes]}]
    return builder.pack()


def _upright(rig: CameraRig, motion: Motion | None) -> tuple[CameraRig, Motion | None]:
    """Both in world axes: a motion in camera axes is stood upright, and its camera with it."""
    if motion is None or motion.frame is Frame.WORLD:
        return rig, motion
    if (rig.world_to_camera[..., :3] - torch.eye(3)).abs().max() > 1e-5:
        raise ValueError(
            "the motion is in the axes of the camera that filmed it, and these are other cameras: convert it with Convert Space first"
        )
    stood = to_world(motion.cpu())
    frame, joint = (int(part[0]) for part in motion.seen.cpu().nonzero(as_tuple=True)) if motion.seen.any() else (0, 0)
    shift = stood.joints[frame, joint].double() - HALF_TURN @ motion.joints[frame, joint].detach().cpu().double()
    return moved_world(rig, HALF_TURN, shift.nan_to_num()), stood


def _scene_size(rig: CameraRig, motion: Motion | None) -> float:
    """Metres from the cameras to the middle of the motion, or of themselves, at the median."""
    centers = rig.centers.reshape(-1, 3).cpu()
    middle = centers.mean(0) if motion is None or not motion.seen.any() else motion.joints.cpu()[motion.seen.cpu()].mean(0)
    size = float((centers - middle).norm(dim=-1).median())
    return size if size > 0.05 else 2.0


def _lines(rig: CameraRig, view: int, depth: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Starts and ends (S, 3) of the lines that draw one view, and the brightness (S) of each."""
    frames = rig.frames or 1
    shown = np.unique(np.linspace(0, frames - 1, min(_INSTANTS, frames)).round().astype(int))
    starts, ends, shades = [], [], []
    for order, frame in enumerate(shown):
        corners = _frustum(rig.at(int(frame)), view, depth)
        starts.append(corners[[a for a, _ in _EDGES]])
        ends.append(corners[[b for _, b in _EDGES]])
        shades += [_FADED + (1 - _FADED) * (order + 1) / len(shown)] * len(_EDGES)
    if rig.frames is not None:
        track = rig.centers[view].double().cpu().numpy()
        moving = np.linalg.norm(np.diff(track, axis=0), axis=1) > 1e-6
        starts.append(track[:-1][moving])
        ends.append(track[1:][moving])
        shades += [1.0] * int(moving.sum())
    return np.concatenate(starts), np.concatenate(ends), np.array(shades)


def _frustum(rig: CameraRig, view: int, depth: float) -> np.ndarray:
    """(6, 3) in the world: the apex, the corners of the picture at `depth` from the upper left clockwise, the tip of a roof over it."""
    height, width = rig.image_size
    pixels = torch.tensor(
        [[0, 0, 1], [width, 0, 1], [width, height, 1], [0, height, 1], [width / 2, -0.3 * height, 1]], dtype=torch.float64
    )
    pose = rig.world_to_camera[view].double().cpu()
    rays = pixels @ torch.linalg.inv(rig.intrinsics[view].double().cpu()).mT * depth
    seen: Tensor = torch.cat([torch.zeros(1, 3, dtype=torch.float64), rays])
    return ((seen - pose[:, 3]) @ pose[:, :3]).numpy()


def tubes(starts: np.ndarray, ends: np.ndarray, radius: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Square rods along lines (S, 3): points (8 S, 3), normals (8 S, 3), triangles (8 S, 3) counterclockwise; no length gives no rod to see."""
    along = ends - starts
    along = along / np.maximum(np.linalg.norm(along, axis=1, keepdims=True), 1e-12)
    across = np.cross(along, np.eye(3)[np.abs(along).argmin(1)])
    across /= np.maximum(np.linalg.norm(across, axis=1, keepdims=True), 1e-12)
    other = np.cross(along, across)
    sides = np.stack([across, other, -across, -other], 1)  # (S, 4, 3), counterclockwise about the line
    points = np.stack([starts[:, None] + radius * sides, ends[:, None] + radius * sides], 1)  # (S, 2, 4, 3)
    normals = np.stack([sides, sides], 1)
    side = np.arange(4)
    after = (side + 1) % 4
    faces = np.concatenate([np.stack([side, after, 4 + after], 1), np.stack([side, 4 + after, 4 + side], 1)])
    triangles = faces[None] + 8 * np.arange(len(starts))[:, None, None]
    return points.reshape(-1, 3), normals.reshape(-1, 3), triangles.reshape(-1, 3)

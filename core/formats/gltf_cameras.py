"""The cameras of glTF 2.0 scenes, still or animated, to and from rigs (specification, sections 3.10 and 3.11)."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..geometry.cameras import focal_from_fov, intrinsics_matrix
from ..geometry.rotations import nearest_rotation
from ..types import CameraRig, ImageSize
from .atomic import replacing
from .glb_builder import GlbBuilder
from .gltf import local_matrix, node_parents, world_matrices
from .gltf_accessors import check_accessors
from .gltf_animations import animated_nodes, duration, node_track
from .gltf_container import entry, integer, items, read_container, short
from .quaternions import matrix_to_quat_xyzw
from .untrusted import naming

_MOST_CAMERAS = 256
_MOST_PICTURES = 50_000  # cameras x frames
_DEEPEST = 256  # nodes above an animated camera
_FLIP = np.diag([1.0, -1.0, -1.0])  # between y up, z backward and y down, z forward


@dataclass(frozen=True, eq=False, kw_only=True)
class SceneCameras:
    """The cameras of a scene as a rig, their names, and what was assumed or left out."""

    rig: CameraRig
    names: tuple[str, ...]
    notes: tuple[str, ...]


def load_cameras(
    path: str | Path, *, image_size: ImageSize | None = None, frames: int | None = None, fps: float = 30.0, animation: int | None = None
) -> SceneCameras:
    """Read the perspective cameras of a .glb or .gltf, in the order of its nodes.

    Args:
        image_size: (H, W) of the pictures; without it 768 pixels over the longer side in the proportions of the first camera. The field of view over
            the height is kept, with square pixels.
        frames: of moving cameras; without it as many as the animation lasts. Still cameras stay still.
        animation: which one; without it the first that moves a camera.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: the file is damaged, has no perspective camera, or a mirrored or flattened one; it names the file.
    """
    path = Path(path)
    with naming(path):
        document, binary = read_container(path)
        check_accessors(document, binary)
        return _scene(document, binary, image_size, frames, fps, animation)


def _scene(
    document: dict, binary: bytes, image_size: ImageSize | None, frames: int | None, fps: float, animation: int | None
) -> SceneCameras:
    if not 0 < fps < 1e5:
        raise ValueError(f"fps is {fps}, expected frames per second above 0")
    parents = node_parents(document)
    nodes, lenses, notes = _camera_nodes(document)
    if image_size is None:
        aspect = lenses[0][1] or 1.0
        image_size = (768, max(8, round(96 * aspect) * 8)) if aspect <= 1 else (max(8, round(96 / aspect) * 8), 768)
    chains = [_chain(node, parents) for node in nodes]
    chosen, moved = _chosen_animation(document, set().union(*chains), animation)
    focal = torch.tensor([focal_from_fov(math.degrees(yfov), image_size[0]) for yfov, _ in lenses])
    intrinsics = intrinsics_matrix(1.0, image_size).repeat(len(nodes), 1, 1)
    intrinsics[:, [0, 1], [0, 1]] = focal[:, None]
    if not moved:
        worlds = world_matrices(document, nodes, parents)
        poses = np.stack([_pose(document, node, worlds[node][None])[0] for node in nodes])
    else:
        seconds = duration(document, binary, chosen)
        count = frames or round(seconds * fps) + 1
        if not 0 < count * len(nodes) <= _MOST_PICTURES:
            raise ValueError(
                f"the animation has {seconds:.6g} s, {count} frames at {fps:g} fps of {len(nodes)} cameras, at most {_MOST_PICTURES} pictures are read: "
                "give the number of frames"
            )
        times = np.arange(count) / fps
        tracks = {node: node_track(document, binary, chosen, node, times) for node in moved}
        poses = np.stack(
            [_pose(document, node, _moving_world(document, chain, tracks, count)) for node, chain in zip(nodes, chains, strict=True)]
        )
        intrinsics = intrinsics[:, None].repeat(1, count, 1, 1)
        notes.append(f"animation {chosen}: {seconds:.2f} s, {count} frames at {fps:g} fps")
    rig = CameraRig(intrinsics=intrinsics, world_to_camera=torch.from_numpy(poses).float(), image_size=image_size)
    names = tuple(
        name if isinstance(name := entry(document, "nodes", node).get("name"), str) and name else f"camera_{node}" for node in nodes
    )
    return SceneCameras(rig=rig, names=names, notes=tuple(notes))


def _camera_nodes(document: Mapping[str, Any]) -> tuple[list[int], list[tuple[float, float | None]], list[str]]:
    """Nodes with a perspective camera, (yfov in radians, aspect or None) of each, and what was left out."""
    cameras, nodes, lenses, flat = items(document, "cameras"), [], [], 0
    for number, node in enumerate(items(document, "nodes")):
        if "camera" not in node:
            continue
        index = integer(f"node {number}", node, "camera", high=len(cameras))
        if cameras[index].get("type") != "perspective":
            flat += 1
            continue
        nodes.append(number)
        lenses.append(_lens(index, cameras[index].get("perspective")))
    if not nodes:
        raise ValueError(
            "it has no perspective camera" + (f", only {flat} orthographic" if flat else "") + ": export the scene with its cameras"
        )
    if len(nodes) > _MOST_CAMERAS:
        raise ValueError(f"it has {len(nodes)} cameras, at most {_MOST_CAMERAS} are read")
    return nodes, lenses, [f"{flat} orthographic cameras left out"] if flat else []


def _lens(index: int, lens: Any) -> tuple[float, float | None]:
    values = [lens.get("yfov"), lens.get("aspectRatio", 1.0)] if isinstance(lens, Mapping) else [None, None]
    if (
        not all(isinstance(value, (int, float)) and not isinstance(value, bool) and 0 < value < 1e6 for value in values)
        or values[0] >= math.pi
    ):
        raise ValueError(
            f"camera {index}: its yfov is {short(values[0])} and its aspectRatio {short(values[1])}, expected 0..pi and above 0"
        )
    return float(values[0]), min(max(float(values[1]), 1 / 16), 16.0) if "aspectRatio" in lens else None


def _chain(node: int, parents: Sequence[int]) -> tuple[int, ...]:
    """The node and everything above it, from below."""
    chain = []
    while node >= 0:
        chain.append(node)
        if len(chain) > _DEEPEST:
            raise ValueError(f"there are more than {_DEEPEST} nodes above a camera")
        node = parents[node]
    return tuple(chain)


def _chosen_animation(document: Mapping[str, Any], above: set[int], animation: int | None) -> tuple[int, set[int]]:
    """The animation to play, and the nodes in `above` that it moves."""
    count = len(items(document, "animations"))
    if animation is not None and not 0 <= animation < count:
        raise ValueError(f"there is no animation {animation}: it has {count}")
    for number in range(count) if animation is None else [animation]:
        if moved := animated_nodes(document, number) & above:
            return number, moved
    return -1, set()


def _moving_world(document: Mapping, chain: tuple[int, ...], tracks: Mapping[int, np.ndarray], frames: int) -> np.ndarray:
    """(T, 4, 4) node to world."""
    world = np.broadcast_to(np.eye(4), (frames, 4, 4))
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
        for node in reversed(chain):
            world = world @ (tracks[node] if node in tracks else local_matrix(document, node))
    return world


def _pose(document: Mapping, node: int, world: np.ndarray) -> np.ndarray:
    """(T, 3, 4) world to camera of a node (T, 4, 4), its scale taken out."""
    axes = world[:, :3, :3]
    lengths = np.linalg.norm(axes, axis=1, keepdims=True)
    if not np.isfinite(world).all() or not (lengths > 1e-12).all():
        raise ValueError(f"node {node}: the camera has no direction or no place: its scale is 0 or too large")
    axes = axes / lengths
    if not (np.linalg.det(axes) > 1e-3).all():
        raise ValueError(
            f"node {node}: the camera lies below a mirrored or flattened node (negative or uneven scale): apply the scale and export again"
        )
    rotation = _FLIP @ nearest_rotation(torch.from_numpy(axes)).numpy().transpose(0, 2, 1)
    return np.concatenate([rotation, -rotation @ world[:, :3, 3:]], 2)


# --- writing


def save_cameras(rig: CameraRig, path: str | Path, *, fps: float = 30.0) -> tuple[str, ...]:
    """Write a rig as .glb with one camera node for each view, animated where it moves; the file appears when it is complete.

    Returns:
        what glTF cannot hold: a focal length that changes over time, a principal point off the middle.
    """
    data = cameras_glb(rig, fps=fps)
    with replacing(path) as temporary:
        temporary.write_bytes(data)
    lost = []
    lens = rig.intrinsics.reshape(rig.views, -1, 3, 3)
    if not torch.allclose(lens, lens[:, :1], rtol=1e-4):
        lost.append("the focal length changes over time, which glTF cameras cannot: the one of the first frame is written")
    middle = torch.tensor([rig.image_size[1] / 2, rig.image_size[0] / 2])
    if (lens[:, :, :2, 2].cpu() - middle).abs().max() > 0.5:
        lost.append("a principal point is off the middle of the picture, which glTF cameras cannot hold: it is written as the middle")
    return tuple(lost)


def cameras_glb(rig: CameraRig, *, fps: float = 30.0) -> bytes:
    """A rig as the bytes of a GLB; see `save_cameras`."""
    builder = GlbBuilder({"asset": {"version": "2.0", "generator": "Motion4D"}, "scene": 0, "scenes": [{"nodes": []}], "nodes": []}, b"")
    turns, places = camera_nodes(rig)
    first = rig.at(0).intrinsics
    height, width = rig.image_size
    rotations, translations = {}, {}
    for view in range(rig.views):
        fx, fy = first[view, [0, 1], [0, 1]].double().tolist()
        lens = {"yfov": 2 * math.atan(height / 2 / fy), "aspectRatio": width / fx * fy / height, "znear": 0.01}
        camera = builder.append("cameras", {"name": f"view {view}", "type": "perspective", "perspective": lens})
        turn, place = turns[view], places[view]
        own = {"translation": place[0].tolist(), "rotation": matrix_to_quat_xyzw(turn[0]).tolist()}
        node = builder.append("nodes", {"name": f"view {view}", "camera": camera, **own})
        rotations[node], translations[node] = turn, place
    builder.document["scenes"] = [{"nodes": list(rotations)}]
    if rig.frames is not None:
        builder.animate(rotations, translations, fps)
    return builder.pack()


def camera_nodes(rig: CameraRig) -> tuple[Tensor, Tensor]:
    """Rotations (V, T, 3, 3) and translations (V, T, 3) of the nodes of cameras that look down their -Z, float64; T is 1 where they stand still."""
    pose = rig.world_to_camera.detach().cpu().double().reshape(rig.views, -1, 3, 4)
    return pose[..., :3].mT @ torch.from_numpy(_FLIP), -(pose[..., :3].mT @ pose[..., 3:])[..., 0]

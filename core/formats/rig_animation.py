"""Animations of rigs: those a file brings along, sampled frame by frame, and any of them as files for other programs."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from ..geometry.kinematics import forward, rest_pose
from ..geometry.rotations import nearest_rotation
from ..types import Animation, Rig
from .bvh import save_bvh
from .glb_writer import save_animated_glb
from .gltf import load_rig, node_parents, world_matrices
from .gltf_animations import animated_nodes, animated_scales, duration, key_times, node_tracks
from .gltf_container import items
from .key_reduction import KeyTolerance
from .npz import save_npz
from .untrusted import naming

ANIMATION_SUFFIXES = (".glb", ".bvh", ".npz")
_RATES = (24, 25, 30, 12, 15, 48, 50, 60, 120)
_ON_GRID = 0.02  # frames that a key may lie off the grid of a frame rate
_FALLBACK_FPS = 30.0
_MOST_FRAMES = 100_000
_MOST_MATRICES = 1 << 21  # frames x nodes
_CARRIED = 1e-5  # of the size of the rig: joints that stay this close to where their parent carries them are not placed
_ROTATION = 1e-6


@dataclass(frozen=True)
class AnimationInfo:
    """An animation in a file. joints: of the rig that it moves, by themselves or by nodes above them."""

    name: str
    seconds: float
    joints: int

    def __str__(self) -> str:
        return f"{self.name}: {self.seconds:.2f} s, moves {self.joints} joints"


def list_animations(rig: Rig) -> tuple[AnimationInfo, ...]:
    """What animations the file of a rig holds.

    Raises:
        ValueError: keys or targets that are damaged.
    """
    found, carriers = [], _carriers(rig)
    for number, item in enumerate(items(rig.document, "animations")):
        name = item.get("name")
        moved = animated_nodes(rig.document, number)
        joints = sum(not moved.isdisjoint(carriers[node]) for node in rig.joint_nodes) if moved else 0
        found.append(
            AnimationInfo(
                name if isinstance(name, str) and name else f"animation {number}", duration(rig.document, rig.binary, number), joints
            )
        )
    return tuple(found)


def load_animation(source: Rig | str | Path, clip: int = 0, *, fps: float | None = None) -> Animation:
    """One animation of the file of a rig, sampled from 0 to its last key.

    Joints that translations lead away from where their parent carries them are placed. Scales that change and morph targets are left out, which the
    notes say; `residual` is what that costs in metres.

    Args:
        source: a rig, or a file as `load_rig` reads it.
        clip: which one, from 0; `list_animations` tells.
        fps: without it the frame rate that all keys lie on, of 24, 25, 30 and other usual ones; where there is none, 30.

    Raises:
        ValueError: no such animation, one that moves no joint, one that is damaged, or too many frames; FileNotFoundError: no such file.
    """
    if isinstance(source, Rig):
        return _animation(source, clip, fps)
    rig = load_rig(source)
    with naming(Path(source)):
        return _animation(rig, clip, fps)


def rest_animation(rig: Rig, *, fps: float = _FALLBACK_FPS) -> Animation:
    """The rest pose as an animation of one frame."""
    positions, world = rest_pose(rig, torch.float64)
    local = [world[joint] if parent < 0 else world[parent].mT @ world[joint] for joint, parent in enumerate(rig.skeleton.parents)]
    return Animation(
        rotations=torch.stack(local)[None].float(), translation=positions[:1].float(), fps=fps, rig=rig, notes=("the rest pose",)
    )


def rig_animation(rig: Rig, clip: int = 0, *, fps: float | None = None) -> Animation:
    """One animation of a rig as `load_animation` samples it, or the rest pose where its file has none that moves a joint."""
    if not any(info.joints for info in list_animations(rig)):
        return rest_animation(rig, fps=fps or _FALLBACK_FPS)
    return load_animation(rig, clip, fps=fps)


def on_skeleton(animation: Animation) -> Animation:
    """An animation of a rig as one of its plain skeleton, whose joints rest with all axes along the world's."""
    if not isinstance(animation.rig, Rig):
        return animation
    _, world = rest_pose(animation.rig, torch.float64)
    above = torch.stack([torch.eye(3, dtype=world.dtype) if parent < 0 else world[parent] for parent in animation.skeleton.parents])
    local = above @ animation.rotations.cpu().double() @ world.mT
    plain = animation.cpu()
    return Animation(
        rotations=local.to(plain.rotations), translation=plain.translation, fps=plain.fps, rig=plain.skeleton, residual=plain.residual,
        placed=plain.placed, places=plain.places, notes=plain.notes,
    )  # fmt: skip


def save_animation(animation: Animation, path: str | Path, *, tolerance: KeyTolerance | None = None) -> None:
    """Write an animation by the suffix of `path`; the file appears when it is complete.

    glb: the character of the rig with one animation more, or a stick figure. bvh: the joints as a plain skeleton, in centimetres. npz: joints, rotations
    and rest pose as a motion. tolerance: of GLB, see `animated_glb`.

    Raises:
        ValueError: another suffix, or what the format cannot hold.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".glb":
            save_animated_glb(animation, path, tolerance=tolerance)
        case ".bvh":
            save_bvh(on_skeleton(animation), path)
        case ".npz":
            save_npz(forward(on_skeleton(animation)), path)
        case suffix:
            raise ValueError(f"{path}: animations are not written as '{suffix}', choose one of {', '.join(ANIMATION_SUFFIXES)}")


# --- sampling


def _carriers(rig: Rig) -> dict[int, set[int]]:
    """For each joint node the nodes that carry it, itself among them."""
    parents, found = node_parents(rig.document), {}
    for node in rig.joint_nodes:
        chain, at = set(), node
        while at >= 0 and at not in found:
            chain.add(at)
            at = parents[at]
        found[node] = chain | found.get(at, set())
    return found


def _animation(rig: Rig, clip: int, fps: float | None) -> Animation:
    document, binary = rig.document, rig.binary
    count = len(items(document, "animations"))
    if not 0 <= clip < count:
        raise ValueError(f"there is no animation {clip}: the file has {count}, from 0")
    parents = node_parents(document)
    nodes = [node for node in world_matrices(document, rig.joint_nodes, parents) if node >= 0]  # parents first
    moved = animated_nodes(document, clip) & set(nodes)
    scaled = animated_scales(document, clip) & set(nodes)
    if not moved:
        raise ValueError(f"animation {clip} moves no joint of the rig: choose another one of the {count}")
    keys = key_times(document, binary, clip, moved)
    rate, notes = (fps, ()) if fps is not None else _rate(keys)
    times = _times(float(keys[-1]), rate, len(nodes))
    tracks = node_tracks(document, binary, clip, nodes, times, scales=False)
    if scaled:
        notes = (*notes, f"scales of {len(scaled)} nodes change, which is left out: they keep the scale of the rest pose")
    worlds: dict[int, np.ndarray] = {-1: np.eye(4)}
    with np.errstate(over="ignore", invalid="ignore"):  # the result is checked
        for node in nodes:
            worlds[node] = worlds[parents[node]] @ tracks[node]
    joints = np.stack([np.broadcast_to(worlds[node], (len(times), 4, 4)) for node in rig.joint_nodes], 1)  # (T, J, 4, 4)
    if not np.abs(joints).max() < np.finfo(np.float32).max:
        raise ValueError(f"animation {clip} leads joints to infinity: its keys have numbers that are too large")
    return _fitted(rig, torch.from_numpy(joints), rate, notes)


def _rate(keys: np.ndarray) -> tuple[float, tuple[str, ...]]:
    """The frame rate that all keys (K) lie on, and a note."""
    if len(keys) < 2:
        return _FALLBACK_FPS, (f"{_FALLBACK_FPS:g} fps assumed: there is one key",)
    own = round(1 / float(np.median(np.diff(keys)))) if np.median(np.diff(keys)) > 1e-4 else 0
    for rate in ([own] if 12 <= own <= 240 else []) + list(_RATES):
        places = keys * rate
        if np.abs(places - places.round()).max() < _ON_GRID:
            return float(rate), (f"{rate} fps: all keys lie on its frames",)
    return _FALLBACK_FPS, (f"{_FALLBACK_FPS:g} fps assumed: the keys lie on the frames of no usual rate",)


def _times(last: float, fps: float, nodes: int) -> np.ndarray:
    if not 0 < fps < 1e5:
        raise ValueError(f"fps is {fps}, expected frames per second above 0")
    if not last * fps < _MOST_FRAMES or (round(last * fps) + 1) * nodes > _MOST_MATRICES:
        raise ValueError(
            f"the animation has {last:.6g} s, which at {fps:g} fps and {nodes} nodes is more than {_MOST_FRAMES} frames or "
            f"{_MOST_MATRICES} matrices: give a lower frame rate"
        )
    return np.arange(round(last * fps) + 1) / fps


def _fitted(rig: Rig, matrices: Tensor, fps: float, notes: tuple[str, ...]) -> Animation:
    """Joint matrices (T, J, 4, 4) in the world as an animation of the rig."""
    parents, roots = rig.skeleton.parents, rig.skeleton.roots
    rest, rest_world = rest_pose(rig, torch.float64)
    turn = matrices[..., :3, :3] @ torch.linalg.inv(rig.rest[:, :3, :3].double())
    if not torch.isfinite(turn).all():
        raise ValueError("a joint has no direction: its nodes are scaled to nothing")
    away = (turn @ turn.mT - torch.eye(3, dtype=turn.dtype)).abs().amax((0, 2, 3)) > _ROTATION  # sheared: by uneven scales above
    turn[:, away] = nearest_rotation(turn[:, away])
    world = turn @ rest_world
    local = torch.stack([world[:, j] if parent < 0 else world[:, parent].mT @ world[:, j] for j, parent in enumerate(parents)], 1)
    places = matrices[..., :3, 3]
    limit = _CARRIED * float((rest.amax(0) - rest.amin(0)).norm() + places.abs().mean())
    placed = []
    for joint, parent in enumerate(parents):
        if joint == roots[0]:
            continue
        if parent < 0:
            carried = places[:, roots[0]] + rest[joint] - rest[roots[0]]
        else:
            carried = places[:, parent] + (turn[:, parent] @ (rest[joint] - rest[parent])[:, None])[..., 0]
        if (carried - places[:, joint]).norm(dim=-1).max() > limit:
            placed.append(joint)
    if placed:
        notes = (*notes, f"{len(placed)} joints move away from where their parent carries them, and are placed")
    animation = Animation(
        rotations=local.float(), translation=places[:, roots[0]].float(), fps=fps, rig=rig, placed=tuple(placed),
        places=places[:, placed].float() if placed else None, notes=notes,
    )  # fmt: skip
    residual = (forward(animation).joints - places.float()).norm(dim=-1)
    return Animation(**{name: getattr(animation, name) for name in animation.__dataclass_fields__} | {"residual": residual})

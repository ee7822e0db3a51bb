"""The animations of glTF 2.0 nodes, sampled at given times (specification, section 3.11 and appendix C)."""

from collections.abc import Container, Iterable, Mapping
from typing import Any

import numpy as np
import torch

from .gltf import local_matrix
from .gltf_accessors import read_accessor
from .gltf_container import entry, integer, items, short
from .quaternions import quat_xyzw_to_matrix

_PATHS = {"translation": 3, "rotation": 4, "scale": 3}
_MODES = ("LINEAR", "STEP", "CUBICSPLINE")
_MOST_KEYS = 1_000_000


def animated_nodes(document: Mapping[str, Any], animation: int) -> set[int]:
    """Nodes whose translation, rotation or scale an animation changes."""
    return {node for node, path, _ in _channels(document, animation) if path in _PATHS}


def _channels(document: Mapping[str, Any], animation: int) -> list[tuple[int, str, int]]:
    """(node, path, sampler) of each channel that has a node."""
    item, found = entry(document, "animations", animation), []
    samplers, nodes = items(item, "samplers"), len(items(document, "nodes"))
    for number, channel in enumerate(items(item, "channels")):
        owner, target = f"animation {animation}, channel {number}", channel.get("target")
        if not isinstance(target, Mapping):
            raise ValueError(f"{owner}: its target is {short(target)}, expected an object")
        if "node" in target:
            node = integer(owner, target, "node", high=nodes)
            found.append((node, str(target.get("path"))[:20], integer(owner, channel, "sampler", high=len(samplers))))
    return found


def duration(document: Mapping[str, Any], binary: bytes, animation: int) -> float:
    """Seconds from 0 to the last key of an animation."""
    item, last = entry(document, "animations", animation), 0.0
    for _, path, sampler in _channels(document, animation):
        if path in _PATHS:
            last = max(last, float(_keys(document, binary, entry(item, "samplers", sampler), f"animation {animation}")[0][-1]))
    return last


def node_track(document: Mapping[str, Any], binary: bytes, animation: int, node: int, times: np.ndarray) -> np.ndarray:
    """(T, 4, 4) local matrices of one node at `times` (T) seconds; see `node_tracks`."""
    return node_tracks(document, binary, animation, [node], times)[node]


def node_tracks(
    document: Mapping[str, Any], binary: bytes, animation: int, nodes: Iterable[int], times: np.ndarray, *, scales: bool = True
) -> dict[int, np.ndarray]:
    """(T, 4, 4) local matrices of nodes at `times` (T) seconds; held before the first and after the last key.

    Args:
        scales: whether animated scales are followed; otherwise nodes keep the scale they rest with.

    Raises:
        ValueError: a sampler that does not fit its path, keys that do not ascend, or an animated node with a matrix.
    """
    item, moved = entry(document, "animations", animation), {node: {} for node in nodes}
    for node, path, sampler in _channels(document, animation):
        if node in moved and path in _PATHS and (scales or path != "scale"):
            owner = f"animation {animation}, {path} of node {node}"
            moved[node][path] = _sample(document, binary, entry(item, "samplers", sampler), path, times, owner)
    return {node: _local_track(document, node, parts, len(times)) for node, parts in moved.items()}


def _local_track(document: Mapping[str, Any], node: int, moved: Mapping[str, np.ndarray], frames: int) -> np.ndarray:
    rest = local_matrix(document, node)
    if not moved:
        return np.broadcast_to(rest, (frames, 4, 4))
    if "matrix" in entry(document, "nodes", node):
        raise ValueError(f"node {node} is animated and has a matrix: export it with translation, rotation and scale")
    scale = np.asarray(entry(document, "nodes", node).get("scale", [1.0, 1.0, 1.0]), float)  # checked by local_matrix
    turn = rest[:3, :3] / np.where(scale == 0, 1.0, scale)
    if "rotation" in moved:
        turn = quat_xyzw_to_matrix(torch.from_numpy(moved["rotation"])).numpy()
    local = np.broadcast_to(np.eye(4), (frames, 4, 4)).copy()
    local[:, :3, :3] = turn * np.broadcast_to(moved.get("scale", scale), (frames, 3))[:, None]
    local[:, :3, 3] = moved.get("translation", rest[:3, 3])
    return local


def animated_scales(document: Mapping[str, Any], animation: int) -> set[int]:
    """Nodes whose scale an animation changes."""
    return {node for node, path, _ in _channels(document, animation) if path == "scale"}


def key_times(document: Mapping[str, Any], binary: bytes, animation: int, nodes: Container[int]) -> np.ndarray:
    """(K) seconds at which an animation has a key for one of the nodes, ascending.

    Raises:
        ValueError: keys that do not ascend from 0 or later, or too many of them.
    """
    item, found = entry(document, "animations", animation), {}
    for node, path, number in _channels(document, animation):
        sampler = entry(item, "samplers", number)
        source = sampler.get("input")
        if node in nodes and path in _PATHS and (not isinstance(source, int) or source not in found):
            found[source] = _keys(document, binary, sampler, f"animation {animation}")[0]
            if sum(map(len, found.values())) > _MOST_KEYS:
                raise ValueError(f"animation {animation} has more than {_MOST_KEYS} keys")
    return np.unique(np.concatenate(list(found.values()))) if found else np.zeros(0)


def _keys(document: Mapping, binary: bytes, sampler: Mapping[str, Any], owner: str) -> tuple[np.ndarray, str]:
    mode = sampler.get("interpolation", "LINEAR")
    if mode not in _MODES:
        raise ValueError(f"{owner}: its interpolation is {short(mode)}, expected one of {', '.join(_MODES)}")
    source = integer(owner, sampler, "input")
    if integer(owner, entry(document, "accessors", source), "count", low=1) > _MOST_KEYS:
        raise ValueError(f"{owner}: it has more than {_MOST_KEYS} keys")
    times = read_accessor(document, binary, source).double().numpy()
    if times.ndim != 1 or not np.isfinite(times).all() or times[0] < 0 or not (np.diff(times) > 0).all():
        raise ValueError(f"{owner}: the times of its keys do not ascend from 0 or later")
    return times, mode


def _sample(document: Mapping, binary: bytes, sampler: Mapping[str, Any], path: str, times: np.ndarray, owner: str) -> np.ndarray:
    """(T, n) values of a path; unit quaternions for rotations."""
    keys, mode = _keys(document, binary, sampler, owner)
    values = read_accessor(document, binary, integer(owner, sampler, "output")).double().numpy()
    wanted = len(keys) * (3 if mode == "CUBICSPLINE" else 1)
    if values.shape != (wanted, _PATHS[path]) or not np.isfinite(values).all():
        raise ValueError(f"{owner}: its values have the shape {values.shape}, expected ({wanted}, {_PATHS[path]}), finite")
    at = np.clip(times, keys[0], keys[-1])
    left = np.clip(np.searchsorted(keys, at, side="right") - 1, 0, max(len(keys) - 2, 0))
    right = np.minimum(left + 1, len(keys) - 1)
    gap = np.where(right > left, keys[right] - keys[left], 1.0)[:, None]
    u = (at - keys[left])[:, None] / gap
    if mode == "CUBICSPLINE":
        into, points, out = values.reshape(len(keys), 3, -1).transpose(1, 0, 2)
        first, second = points[left], points[right]
        slopes = gap * (u * (1 - u) ** 2 * out[left] - u**2 * (1 - u) * into[right])
        result = first * (1 + 2 * u) * (1 - u) ** 2 + second * u**2 * (3 - 2 * u) + slopes
    elif mode == "STEP":
        result = np.where(u >= 1, values[right], values[left])
    elif path == "rotation":
        result = _slerp(values[left], values[right], u)
    else:
        result = values[left] * (1 - u) + values[right] * u
    if path == "rotation":
        length = np.linalg.norm(result, axis=1, keepdims=True)
        if not (length > 1e-6).all():
            raise ValueError(f"{owner}: a rotation has no direction, expected unit quaternions")
        result = result / length
    return result


def _slerp(first: np.ndarray, second: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Along the shorter arc between quaternions (T, 4)."""
    first, second = (part / np.maximum(np.linalg.norm(part, axis=1, keepdims=True), 1e-12) for part in (first, second))
    cosine = (first * second).sum(1, keepdims=True)
    second, cosine = np.where(cosine < 0, -second, second), np.abs(cosine).clip(0, 1)
    angle = np.arccos(cosine)
    near = angle < 1e-4
    sine = np.where(near, 1.0, np.sin(angle))
    weights = (np.where(near, 1 - u, np.sin((1 - u) * angle) / sine), np.where(near, u, np.sin(u * angle) / sine))
    return weights[0] * first + weights[1] * second

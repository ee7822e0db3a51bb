"""Fewer keys for the same curves: a key is left out where interpolating its neighbours stays within a bound at every frame.

The split is Ramer (1972) and Douglas and Peucker (1973), with the error measured at the same time instead of across the curve, on the sphere of
quaternions for rotations.
"""

from collections.abc import Callable, Container
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from ..geometry.kinematics import placed_tracks, rest_pose, root_tracks, world_rotations
from ..types import Animation
from .quaternions import continuous, matrix_to_quat_xyzw, quat_xyzw_to_matrix

_ROUNDS = 12
# error(first, last) -> deviation at the frames between two keys, if those between them are left out
Error = Callable[[int, int], np.ndarray]


@dataclass(frozen=True, kw_only=True)
class KeyTolerance:
    """How far reduced keys may lead from every frame. degrees: of each joint's own rotation. metres: of each joint in the world."""

    degrees: float = 0.1
    metres: float = 0.001

    def __post_init__(self):
        for name in ("degrees", "metres"):
            if not 0 < getattr(self, name) < 1e6:
                raise ValueError(
                    f"KeyTolerance: {name} is {getattr(self, name)}, expected a number above 0: leave the tolerance away to keep all keys"
                )


@dataclass(frozen=True, eq=False)
class ReducedKeys:
    """Frames that are kept. rotations: for each joint. translations: joint -> frames, of the roots and the placed joints."""

    rotations: tuple[np.ndarray, ...]
    translations: dict[int, np.ndarray]

    @property
    def count(self) -> int:
        """Keys of all tracks."""
        return sum(map(len, (*self.rotations, *self.translations.values())))


def reduce_keys(animation: Animation, tolerance: KeyTolerance) -> ReducedKeys:
    """Frames whose keys lead an animation within `tolerance` at all frames, interpolated linearly and along the shorter arc.

    Rotations are reduced within the degrees; where turns add up along a chain so far that a joint leaves its place by more than the metres, they are
    reduced again within less. The first root keeps its first and last key, so that a clip keeps its length.
    """
    animation = animation.cpu()
    quats = continuous(matrix_to_quat_xyzw(animation.rotations.double())).numpy().astype(np.float32).astype(float)
    tracks = {joint: track.numpy() for joint, track in (root_tracks(animation) | placed_tracks(animation)).items()}
    joints, first = _reached(animation, quats, tracks, None), animation.skeleton.roots[0]
    # Half of the metres go to what translates, shared along the chain on which most joints do; the turns have to do with the rest.
    degrees, metres = tolerance.degrees, tolerance.metres / 2 / _most_along_a_chain(tracks.keys(), animation.skeleton.parents)
    for _ in range(_ROUNDS):
        rotations = tuple(kept_frames(_turn_error(quats[:, joint]), len(quats), degrees) for joint in range(quats.shape[1]))
        translations = {joint: kept_frames(_step_error(track), len(track), metres) for joint, track in tracks.items()}
        translations[first] = np.union1d(translations[first], [0, len(quats) - 1])
        keys = ReducedKeys(rotations, translations)
        moved = (_reached(animation, quats, tracks, keys) - joints).norm(dim=-1).max()
        if moved <= tolerance.metres:
            return keys
        degrees *= min(0.7, max(0.05, tolerance.metres / float(moved)))  # errors go with the bound
    every = np.arange(len(quats))
    return ReducedKeys((every,) * quats.shape[1], dict.fromkeys(tracks, every))


def _most_along_a_chain(chosen: Container[int], parents: tuple[int, ...]) -> int:
    count: list[int] = []
    for joint, parent in enumerate(parents):
        count.append((count[parent] if parent >= 0 else 0) + (joint in chosen))
    return max(count)


def _reached(animation: Animation, quats: np.ndarray, tracks: dict[int, np.ndarray], keys: ReducedKeys | None) -> Tensor:
    """Joints (T, J, 3) that a player reaches between the kept keys; at all keys without `keys`."""
    frames, parents = np.arange(len(quats)), animation.skeleton.parents
    if keys is not None:
        quats = np.stack([_slerp_keys(quats[:, joint], kept) for joint, kept in enumerate(keys.rotations)], 1)
        tracks = {
            joint: np.stack([np.interp(frames, kept, tracks[joint][kept, axis]) for axis in range(3)], 1)
            for joint, kept in keys.translations.items()
        }
    world = world_rotations(quat_xyzw_to_matrix(torch.from_numpy(quats)), parents)
    rest, rest_world = rest_pose(animation.rig, torch.float64)
    joints: list[Tensor] = []
    for joint, parent in enumerate(parents):
        if parent < 0:
            joints.append(torch.from_numpy(tracks[joint]))
            continue
        offset = torch.from_numpy(tracks[joint]) if joint in tracks else rest_world[parent].mT @ (rest[joint] - rest[parent])
        joints.append(joints[parent] + (world[:, parent] @ offset.expand(len(quats), 3)[..., None])[..., 0])
    return torch.stack(joints, 1)


def kept_frames(error: Error, frames: int, bound: float) -> np.ndarray:
    """Frames to keep of a track, ascending; only the first of a track that stays within the bound of it."""
    if frames == 1 or error(0, 0).max() <= bound:
        return np.zeros(1, int)
    kept, waiting = {0, frames - 1}, [(0, frames - 1)]
    while waiting:
        first, last = waiting.pop()
        if last - first < 2:
            continue
        deviation = error(first, last)
        worst = int(deviation.argmax())
        if deviation[worst] > bound:
            middle = first + 1 + worst
            kept.add(middle)
            waiting += [(first, middle), (middle, last)]
    return np.array(sorted(kept))


def _step_error(track: np.ndarray) -> Error:
    """Distances of a track (T, 3) from the straight line between two keys, or from one key."""

    def error(first: int, last: int) -> np.ndarray:
        if first == last:
            return np.linalg.norm(track - track[first], axis=1)
        u = np.arange(1, last - first)[:, None] / (last - first)
        return np.linalg.norm(track[first + 1 : last] - (track[first] * (1 - u) + track[last] * u), axis=1)

    return error


def _turn_error(quats: np.ndarray) -> Error:
    """Degrees between unit quaternions (T, 4) and the arc between two keys, or one key."""
    quats = quats / np.linalg.norm(quats, axis=1, keepdims=True)

    def error(first: int, last: int) -> np.ndarray:
        if first == last:
            return _degrees(quats, quats[first])
        u = np.arange(1, last - first) / (last - first)
        return _degrees(quats[first + 1 : last], slerp(quats[first], quats[last], u))

    return error


def _degrees(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """Angles between rotations; by the chord, which keeps small angles exact."""
    chord = np.minimum(np.linalg.norm(one - other, axis=-1), np.linalg.norm(one + other, axis=-1))
    return np.degrees(4 * np.arcsin(np.clip(chord / 2, 0, 1)))


def slerp(first: np.ndarray, second: np.ndarray, u: np.ndarray) -> np.ndarray:
    """Quaternions (N, 4) along the shorter arc from one to another (4) at u (N) in 0..1."""
    cosine = float(first @ second)
    second = second if cosine >= 0 else -second
    angle = 2 * np.arcsin(min(np.linalg.norm(first - second) / 2, 1.0))
    if angle < 1e-6:
        mixed = first * (1 - u)[:, None] + second * u[:, None]
        return mixed / np.linalg.norm(mixed, axis=1, keepdims=True)
    return (np.sin((1 - u) * angle)[:, None] * first + np.sin(u * angle)[:, None] * second) / np.sin(angle)


def _slerp_keys(quats: np.ndarray, kept: np.ndarray) -> np.ndarray:
    """(T, 4) from the keys at the kept frames, held before the first and after the last."""
    filled = quats[kept[np.clip(np.searchsorted(kept, np.arange(len(quats)), side="right") - 1, 0, None)]].copy()
    for first, last in pairwise(kept):
        if last - first > 1:
            filled[first + 1 : last] = slerp(quats[first], quats[last], np.arange(1, last - first) / (last - first))
    return filled

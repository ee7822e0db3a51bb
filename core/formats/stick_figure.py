"""A mesh for a bare skeleton: a spindle for every bone, a ball for every joint."""

from dataclasses import dataclass

import numpy as np

from ..maps.colours import MIDDLE, side_colours
from ..types import Skeleton

_SIDES = 12
_SPINDLE = np.array([[0.0, 0.0], [0.05, 0.62], [0.16, 1.0], [0.5, 0.74], [0.88, 0.42], [1.0, 0.0]])  # along the bone, out of it
_ARC = np.linspace(0, np.pi, 8)
_BALL = np.stack([-np.cos(_ARC), np.sin(_ARC)], 1)
_BALL[[0, -1], 1] = 0.0
_GAMMA = 2.2  # of the colour table; glTF multiplies linear light


@dataclass(frozen=True)
class StickFigure:
    """positions, normals (N, 3) float32; colors (N, 4) uint8; joints (N) the joint that carries each vertex; triangles (F, 3), counterclockwise."""

    positions: np.ndarray
    normals: np.ndarray
    colors: np.ndarray
    joints: np.ndarray
    triangles: np.ndarray


def stick_figure(skeleton: Skeleton) -> StickFigure:
    """Mesh of a skeleton in its rest pose, in metres, its sides coloured as in drawings.

    A bone moves with the joint it begins at. Bones of no length are left out; a joint called "head" gets a head.
    """
    rest = skeleton.rest.double().numpy()
    size = max(float((rest.max(0) - rest.min(0)).max()), 0.05)
    radius = np.zeros(len(rest))
    parts, colours = [], side_colours(skeleton)
    for child, parent in skeleton.bones:
        bone = rest[child] - rest[parent]
        length = float(np.linalg.norm(bone))
        if length < 1e-4 * size:
            continue
        thick = min(max(0.14 * length, 0.0025 * size), 0.02 * size)
        radius[[child, parent]] = np.maximum(radius[[child, parent]], 0.6 * thick)
        parts.append((parent, colours[child], _lathe(rest[parent], bone / length, _SPINDLE * (length, thick))))
        if skeleton.names[child] == "head":
            center = rest[child] + 0.045 * size * bone / length
            parts.append((child, MIDDLE, _lathe(center, bone / length, _BALL * (0.06 * size, 0.048 * size))))
    for joint, center in enumerate(rest):
        ball = _BALL * (radius[joint] or 0.01 * size)
        parts.append((joint, colours[joint], _lathe(center, np.array([0.0, 1.0, 0.0]), ball)))
    counts = [len(points) for _, _, (points, _, _) in parts]
    starts = np.cumsum([0, *counts[:-1]])
    shades = np.round(255 * (np.array([color for _, color, _ in parts]) / 255) ** _GAMMA)
    return StickFigure(
        positions=np.concatenate([points for _, _, (points, _, _) in parts]).astype(np.float32),
        normals=np.concatenate([normals for _, _, (_, normals, _) in parts]).astype(np.float32),
        colors=np.repeat(np.pad(shades, ((0, 0), (0, 1)), constant_values=255).astype(np.uint8), counts, axis=0),
        joints=np.repeat([joint for joint, _, _ in parts], counts),
        triangles=np.concatenate([triangles + start for start, (_, _, (_, _, triangles)) in zip(starts, parts, strict=True)]),
    )


def _lathe(origin: np.ndarray, axis: np.ndarray, profile: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Turn a profile (K, 2) of heights along `axis` and radii, 0 at both ends, about the axis: points, normals, triangles."""
    across = np.cross(axis, np.eye(3)[np.abs(axis).argmin()])
    across /= np.linalg.norm(across)
    angles = 2 * np.pi * np.arange(_SIDES) / _SIDES
    around = np.cos(angles)[:, None] * across + np.sin(angles)[:, None] * np.cross(axis, across)  # (S, 3)
    slope = np.gradient(profile, axis=0)  # (K, 2)
    outward = np.stack([-slope[:, 1], slope[:, 0]], 1) / np.linalg.norm(slope, axis=1, keepdims=True)
    rings = profile[1:-1]
    points = rings[:, None, :1] * axis + rings[:, None, 1:] * around  # (K - 2, S, 3)
    normals = outward[1:-1, None, :1] * axis + outward[1:-1, None, 1:] * around
    points = np.concatenate([points.reshape(-1, 3), profile[[0, -1], :1] * axis]) + origin
    normals = np.concatenate([normals.reshape(-1, 3), -axis[None], axis[None]])
    side = np.arange(_SIDES)
    after = (side + 1) % _SIDES
    bottom, top = len(rings) * _SIDES, len(rings) * _SIDES + 1
    last = (len(rings) - 1) * _SIDES
    faces = [np.stack([np.full(_SIDES, bottom), after, side], 1), np.stack([np.full(_SIDES, top), last + side, last + after], 1)]
    for ring in range(len(rings) - 1):
        low, high = ring * _SIDES, (ring + 1) * _SIDES
        faces += [np.stack([low + side, low + after, high + after], 1), np.stack([low + side, high + after, high + side], 1)]
    return points, normals, np.concatenate(faces)

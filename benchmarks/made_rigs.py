"""Skeletons of other shapes than people, and movements that turn every joint and cross the stage."""

import numpy as np
import torch

from ..core.geometry.kinematics import forward
from ..core.geometry.rotations import rotvec_to_matrix
from ..core.types import Animation, Motion, Skeleton

Place = tuple[float, float, float]


def skeleton_of(rows: list[tuple[str, str | None, Place]]) -> Skeleton:
    """A skeleton from (name, name of the parent or None, metres), parents first."""
    names = [name for name, _, _ in rows]
    parents = [-1 if parent is None else names.index(parent) for _, parent, _ in rows]
    return Skeleton(names=names, parents=parents, mirror=range(len(rows)), rest=torch.tensor([place for _, _, place in rows]))


def _chain(name: str, parent: str, places: list[Place]) -> list[tuple[str, str | None, Place]]:
    names = [f"{name}_{number}" for number in range(1, len(places) + 1)]
    return list(zip(names, [parent, *names], places, strict=False))


def quadruped() -> Skeleton:
    """25 joints: a spine, a neck with a head, four legs and a tail; 1.1 m high."""
    rows = [("hips", None, (0.0, 0.72, -0.4))]
    rows += _chain("spine", "hips", [(0.0, 0.75, -0.1), (0.0, 0.74, 0.25)])
    rows += _chain("neck", "spine_2", [(0.0, 0.85, 0.42), (0.0, 1.02, 0.56), (0.0, 1.05, 0.8)])
    for end, attached, z, knee in (("hind", "hips", -0.42, 0.1), ("fore", "spine_2", 0.26, -0.06)):
        for side, x in (("left", 0.13), ("right", -0.13)):
            places = [(x, 0.66, z), (x, 0.42, z + knee), (x, 0.2, z - knee / 2), (x, 0.03, z + 0.06)]
            rows += _chain(f"{side}_{end}", attached, places)
    return skeleton_of(rows + _chain("tail", "hips", [(0.0, 0.7, -0.55), (0.0, 0.62, -0.7), (0.0, 0.52, -0.82)]))


def winged() -> Skeleton:
    """22 joints: a body with a long neck and tail, two legs, and wings of 2.6 m; 1.3 m high."""
    rows = [("body", None, (0.0, 0.75, 0.0))]
    rows += _chain("neck", "body", [(0.0, 0.9, 0.18), (0.0, 1.1, 0.3), (0.0, 1.32, 0.36), (0.0, 1.3, 0.58)])
    rows += _chain("tail", "body", [(0.0, 0.68, -0.25), (0.0, 0.6, -0.5), (0.0, 0.5, -0.8)])
    for side, x in (("left", 1.0), ("right", -1.0)):
        rows += _chain(
            f"{side}_wing",
            "body",
            [(x * out, 0.85 + up, back) for out, up, back in ((0.12, 0, 0), (0.5, 0.12, -0.05), (0.9, 0.1, -0.1), (1.3, 0, -0.2))],
        )
        rows += _chain(f"{side}_leg", "body", [(x * 0.1, 0.6, 0.0), (x * 0.12, 0.32, 0.05), (x * 0.12, 0.03, 0.0)])
    return skeleton_of(rows)


def mechanical() -> Skeleton:
    """14 joints: a crane on a slewing ring with a boom in one line, a double hinge, whose two joints are in one place, a gripper, and a cart of its own beside it."""
    rows = [("base", None, (0.0, 0.0, 0.0)), ("ring", "base", (0.0, 0.4, 0.0)), ("mast", "ring", (0.0, 1.2, 0.0))]
    rows += [("hinge_a", "mast", (0.5, 1.2, 0.0)), ("hinge_b", "hinge_a", (0.5, 1.2, 0.0)), ("boom", "hinge_b", (1.0, 1.2, 0.0))]
    rows += [
        ("wrist", "boom", (1.25, 1.2, 0.0)),
        ("jaw_a", "wrist", (1.4, 1.28, 0.0)),
        ("jaw_b", "wrist", (1.4, 1.12, 0.0)),
        ("weight", "ring", (-0.4, 0.45, 0.0)),
    ]
    rows += [("cart", None, (-0.5, 0.1, -0.8)), ("pole", "cart", (-0.5, 0.6, -0.8))]
    return skeleton_of([*rows, ("lamp", "pole", (-0.5, 0.9, -0.7)), ("flag", "pole", (-0.5, 0.9, -1.0))])


def height_of(skeleton: Skeleton) -> float:
    """Of the joints at rest, in the skeleton's own unit."""
    return float(skeleton.rest[:, 1].max() - skeleton.rest[:, 1].min())


def lively(skeleton: Skeleton, *, seconds: float, fps: float, seed: int = 0, degrees: float = 60.0, travel: float = 0.5) -> Motion:
    """Every joint swings to and fro by `degrees` about an axis of its own, once in 1.1 to 2.5 seconds, and the root goes `travel` heights in a circle and back.

    The same seed gives the same movement at every frame rate.
    """
    generator = np.random.default_rng(seed)
    joints, time = len(skeleton.names), np.arange(round(seconds * fps)) / fps
    axes = generator.normal(size=(joints, 3))
    axes /= np.linalg.norm(axes, axis=-1, keepdims=True)
    hertz, phase = generator.uniform(0.4, 0.9, joints), generator.uniform(0, 2 * np.pi, joints)
    swing = np.radians(degrees) / 2 * np.sin(2 * np.pi * hertz * time[:, None] + phase)
    angle = 2 * np.pi * time / seconds
    height = height_of(skeleton)
    path = travel * height / 2 * np.stack([np.sin(angle), 0.1 * np.sin(3 * angle), np.cos(angle)], -1)
    turns = rotvec_to_matrix(torch.from_numpy(axes * swing[..., None]))
    return forward(Animation(rotations=turns, translation=torch.from_numpy(path) + skeleton.rest[0].double(), fps=fps, rig=skeleton))

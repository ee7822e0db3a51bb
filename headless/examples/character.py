"""The rigged character that examples move: a mannequin made by code, with Mixamo's joint names, joints turned along their bones, a smooth skin, and a wave."""

import tempfile
from pathlib import Path

import numpy as np
import torch

from ...core.body.demo import demo_motion
from ...core.body.rig_matching import motion_on
from ...core.formats.glb_builder import TRIANGLES, VERTICES, GlbBuilder
from ...core.formats.glb_writer import animated_glb
from ...core.formats.gltf import load_rig
from ...core.formats.quaternions import matrix_to_quat_xyzw
from ...core.geometry.ik import solve_rotations
from ...core.geometry.rotations import align_vectors
from ...core.skeletons import SMPL24

_JOINTS = 22  # of SMPL24, whose rest pose and tree it shares: all but the hands, which are the wrists' children there
_NAMES = (
    "Hips LeftUpLeg RightUpLeg Spine LeftLeg RightLeg Spine1 LeftFoot RightFoot Spine2 LeftToeBase RightToeBase Neck LeftShoulder RightShoulder Head LeftArm RightArm "
    "LeftForeArm RightForeArm LeftHand RightHand"
).split()
_SECONDS, _FPS = 2.0, 20.0
_SIDES, _RINGS = 8, 5
_LEFT, _RIGHT, _MIDDLE = (205, 62, 24, 255), (20, 92, 190, 255), (200, 200, 205, 255)  # linear light

# Tubes of the body: joint that carries it, joint it ends at or metres from the first to its end, radii (x, z) in metres at both ends.
_TRUNK = (
    ("pelvis", (0.0, -0.09, 0.0), (0.150, 0.100), (0.075, 0.070)),
    ("pelvis", "spine1", (0.150, 0.100), (0.130, 0.095)),
    ("spine1", "spine2", (0.130, 0.095), (0.145, 0.105)),
    ("spine2", "spine3", (0.145, 0.105), (0.150, 0.108)),
    ("spine3", "neck", (0.150, 0.108), (0.060, 0.060)),
    ("neck", "head", (0.052, 0.052), (0.050, 0.050)),
    ("head", (0.0, 0.19, 0.02), (0.072, 0.085), (0.060, 0.072)),
)
_LIMB = (
    ("collar", "shoulder", (0.060, 0.060), (0.058, 0.058)),
    ("shoulder", "elbow", (0.056, 0.056), (0.042, 0.042)),
    ("elbow", "wrist", (0.042, 0.042), (0.029, 0.029)),
    ("wrist", (0.16, -0.006, -0.004), (0.022, 0.040), (0.014, 0.030)),
    ("hip", "knee", (0.085, 0.085), (0.056, 0.056)),
    ("knee", "ankle", (0.055, 0.055), (0.038, 0.038)),
    ("ankle", "foot", (0.040, 0.046), (0.042, 0.030)),
    ("foot", (0.0, 0.0, 0.075), (0.042, 0.030), (0.034, 0.020)),
)


def character_glb() -> bytes:
    """The mannequin and its animation as a GLB."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "character.glb"
        path.write_bytes(_rest_glb())
        rig = load_rig(path)
    wave = demo_motion("wave", seconds=_SECONDS, fps=_FPS)
    return animated_glb(solve_rotations(motion_on(wave, rig.skeleton, fit_size=False), rig), name="Wave")


def _rest_glb() -> bytes:
    """The mannequin without an animation."""
    turns, places = _frames(), SMPL24.rest[:_JOINTS].double()
    nodes = []
    for joint, parent in enumerate(SMPL24.parents[:_JOINTS]):
        turn = turns[joint] if parent < 0 else turns[parent].mT @ turns[joint]
        place = places[joint] if parent < 0 else turns[parent].mT @ (places[joint] - places[parent])
        below = [child for child in SMPL24.children[joint] if child < _JOINTS]
        nodes.append(
            {"name": _NAMES[joint], "translation": _rounded(place), "rotation": _rounded(matrix_to_quat_xyzw(turn))}
            | ({"children": below} if below else {})
        )
    nodes += [{"name": "Armature", "children": [0]}, {"name": "Mannequin", "mesh": 0, "skin": 0}]
    scene = {"nodes": [_JOINTS, _JOINTS + 1]}
    builder = GlbBuilder({"asset": {"version": "2.0", "generator": "Motion4D"}, "scene": 0, "scenes": [scene], "nodes": nodes}, b"")
    _add_skin(builder, turns, places)
    return builder.pack()


def _rounded(values: torch.Tensor) -> list[float]:
    return [round(value, 7) for value in values.tolist()]


def _frames() -> torch.Tensor:
    """(22, 3, 3) axes of the joints in the world: y along the bone to the first child, at the ends as above."""
    rest, up = SMPL24.rest.double(), torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    turns = torch.eye(3, dtype=torch.float64).repeat(_JOINTS, 1, 1)
    for joint, parent in enumerate(SMPL24.parents[:_JOINTS]):
        below = [child for child in SMPL24.children[joint] if child < _JOINTS]
        first = 3 if joint == 0 else below[0] if below else None  # the hips point along the spine
        if joint == SMPL24.index("spine3"):
            first = SMPL24.index("neck")
        turns[joint] = (
            turns[parent] if first is None else align_vectors(up, torch.nn.functional.normalize(rest[first] - rest[joint], dim=0))
        )
    return turns


def _add_skin(builder: GlbBuilder, turns: torch.Tensor, places: torch.Tensor) -> None:
    parts = [_tube(*tube, _MIDDLE) for tube in _TRUNK]
    for side, colour in (("left", _LEFT), ("right", _RIGHT)):
        sign = 1.0 if side == "left" else -1.0
        for joint, end, start_radii, end_radii in _LIMB:
            end = f"{side}_{end}" if isinstance(end, str) else (sign * end[0], *end[1:])
            parts.append(_tube(f"{side}_{joint}", end, start_radii, end_radii, colour))
    points, normals, colours, carriers, weights = (np.concatenate([part[row] for part in parts]) for row in range(5))
    starts = np.cumsum([0, *(len(part[0]) for part in parts[:-1])])
    faces = np.concatenate([part[5] + start for start, part in zip(starts, parts, strict=True)])
    bind = np.zeros((_JOINTS, 4, 4), "<f4")  # column-major
    bind[:, :3, :3], bind[:, 3, 3] = turns.numpy(), 1  # the inverse of a rotation is its transpose
    bind[:, 3, :3] = -torch.einsum("jba,jb->ja", turns, places).numpy()
    attributes = {
        "POSITION": builder.accessor(points.astype("<f4"), "VEC3", target=VERTICES, bounds=True),
        "NORMAL": builder.accessor(normals.astype("<f4"), "VEC3", target=VERTICES),
        "COLOR_0": builder.accessor(colours.astype("u1"), "VEC4", target=VERTICES, normalized=True),
        "JOINTS_0": builder.accessor(carriers.astype("u1"), "VEC4", target=VERTICES),
        "WEIGHTS_0": builder.accessor(weights.astype("u1"), "VEC4", target=VERTICES, normalized=True),
    }
    indices = builder.accessor(faces.reshape(-1).astype("<u2"), "SCALAR", target=TRIANGLES)
    builder.append("materials", {"name": "skin", "pbrMetallicRoughness": {"metallicFactor": 0.0, "roughnessFactor": 0.6}})
    builder.append("meshes", {"name": "Mannequin", "primitives": [{"attributes": attributes, "indices": indices, "material": 0}]})
    matrices = builder.accessor(bind.reshape(_JOINTS, 16), "MAT4")
    builder.append("skins", {"inverseBindMatrices": matrices, "joints": list(range(_JOINTS)), "skeleton": 0})


def _tube(joint: str, end: str | tuple[float, ...], start_radii, end_radii, colour) -> tuple[np.ndarray, ...]:
    """Points and normals (N, 3), colours, joints and weights (N, 4), and triangles (M, 3) of a closed tube that bends with the joints at its ends."""
    own = SMPL24.index(joint)
    rest = SMPL24.rest.double().numpy()
    start = rest[own]
    ends_at = rest[SMPL24.index(end)] if isinstance(end, str) else start + np.array(end)
    axis = (ends_at - start) / np.linalg.norm(ends_at - start)
    # x across the body for upright bones, and for the arms up and down.
    side = np.cross(axis, (0.0, 0.0, 1.0)) if abs(axis[2]) < 0.8 else np.array([1.0, 0.0, 0.0])
    side -= axis * (side @ axis)
    side /= np.linalg.norm(side)
    front = np.cross(side, axis)
    along = np.linspace(0, 1, _RINGS)
    radii = np.array(start_radii) + along[:, None] * (np.array(end_radii) - start_radii)  # (R, 2)
    angles = 2 * np.pi * np.arange(_SIDES) / _SIDES
    circle = np.cos(angles)[:, None] * side, np.sin(angles)[:, None] * front
    rings = start + along[:, None, None] * (ends_at - start) + radii[:, :1, None] * circle[0] + radii[:, 1:, None] * circle[1]
    outward = circle[0] / radii[:, :1, None] + circle[1] / radii[:, 1:, None]
    outward /= np.linalg.norm(outward, axis=-1, keepdims=True)
    round_off = 0.5 * radii.min(1)[[0, -1]]
    points = np.concatenate([rings.reshape(-1, 3), [start - round_off[0] * axis, ends_at + round_off[1] * axis]])
    normals = np.concatenate([outward.reshape(-1, 3), [-axis, axis]])
    above = SMPL24.parents[own] if SMPL24.parents[own] >= 0 and joint != "pelvis" else own
    below = SMPL24.index(end) if isinstance(end, str) else own
    shared = np.zeros((_RINGS, 4)), np.zeros((_RINGS, 4))
    shared[0][:, 0], shared[0][0, 1], shared[0][-1, 1] = own, above, below
    shared[1][:, 0] = 255
    for ring, other in ((0, above), (-1, below)):
        if other != own:
            shared[1][ring, :2] = 128, 127
        else:
            shared[0][ring, 1] = 0
    carriers, weights = (np.concatenate([np.repeat(one, _SIDES, 0), one[[0, -1]]]) for one in shared)
    return points, normals, np.tile(colour, (len(points), 1)), carriers, weights, _tube_faces()


def _tube_faces() -> np.ndarray:
    side = np.arange(_SIDES)
    after = (side + 1) % _SIDES
    first, last, top = _RINGS * _SIDES, (_RINGS - 1) * _SIDES, _RINGS * _SIDES + 1
    faces = [np.stack([np.full(_SIDES, first), side, after], 1), np.stack([np.full(_SIDES, top), last + after, last + side], 1)]
    for low in range(0, last, _SIDES):
        high = low + _SIDES
        faces += [np.stack([low + side, high + after, low + after], 1), np.stack([low + side, high + side, high + after], 1)]
    return np.concatenate(faces)

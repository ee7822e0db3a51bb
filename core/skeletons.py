"""Standard skeletons as data.

Joint order and trees are the public conventions of SMPL, SMPL-X, COCO and OpenPose. The rest positions of SMPL24 and SMPLX55 are ours: a T-pose of
stature 1.692 m, feet on the floor, built from the means of ANSUR II (Natick/TR-15/007), so that no licensed body model file is needed.
"""

import re

import torch

from .types import Skeleton

REST_STATURE = 1.692  # metres, floor to crown, of the rest positions below

_BODY = (
    # name, parent, rest position in metres
    ("pelvis", -1, (0.000, 0.940, 0.000)),
    ("left_hip", 0, (0.075, 0.855, 0.000)),
    ("right_hip", 0, (-0.075, 0.855, 0.000)),
    ("spine1", 0, (0.000, 1.050, -0.020)),
    ("left_knee", 1, (0.090, 0.470, 0.005)),
    ("right_knee", 2, (-0.090, 0.470, 0.005)),
    ("spine2", 3, (0.000, 1.175, -0.015)),
    ("left_ankle", 4, (0.085, 0.075, -0.030)),
    ("right_ankle", 5, (-0.085, 0.075, -0.030)),
    ("spine3", 6, (0.000, 1.230, -0.005)),
    ("left_foot", 7, (0.110, 0.022, 0.095)),
    ("right_foot", 8, (-0.110, 0.022, 0.095)),
    ("neck", 9, (0.000, 1.440, -0.035)),
    ("left_collar", 9, (0.075, 1.355, -0.025)),
    ("right_collar", 9, (-0.075, 1.355, -0.025)),
    ("head", 12, (0.000, 1.522, 0.005)),
    ("left_shoulder", 13, (0.175, 1.385, -0.030)),
    ("right_shoulder", 14, (-0.175, 1.385, -0.030)),
    ("left_elbow", 16, (0.430, 1.375, -0.050)),
    ("right_elbow", 17, (-0.430, 1.375, -0.050)),
    ("left_wrist", 18, (0.680, 1.380, -0.045)),
    ("right_wrist", 19, (-0.680, 1.380, -0.045)),
)
_HANDS = (("left_hand", 20, (0.765, 1.372, -0.052)), ("right_hand", 21, (-0.765, 1.372, -0.052)))
_HEAD = (("jaw", 15, (0.000, 1.515, 0.025)), ("left_eye", 15, (0.032, 1.578, 0.085)), ("right_eye", 15, (-0.032, 1.578, 0.085)))

# Left hand of SMPL-X: first joint of each finger from the wrist, then the two phalanges along the finger (metres).
_FINGERS = (
    ("index", (0.092, 0.004, 0.025), (0.033, 0.0, 0.001), (0.022, 0.0, 0.001)),
    ("middle", (0.098, 0.006, 0.001), (0.036, 0.0, -0.001), (0.024, 0.0, -0.001)),
    ("pinky", (0.080, -0.003, -0.040), (0.022, 0.0, -0.005), (0.017, 0.0, -0.004)),
    ("ring", (0.091, 0.003, -0.020), (0.032, 0.0, -0.004), (0.022, 0.0, -0.003)),
    ("thumb", (0.026, -0.010, 0.032), (0.031, -0.004, 0.026), (0.027, -0.003, 0.015)),
)


def _hand(side: str, sign: float, wrist: int, first: int) -> list[tuple[str, int, tuple[float, float, float]]]:
    origin = _BODY[wrist][2]
    joints = []
    for finger, *offsets in _FINGERS:
        position, parent = origin, wrist
        for number, (x, y, z) in enumerate(offsets, start=1):
            position = (position[0] + sign * x, position[1] + y, position[2] + z)
            joints.append((f"{side}_{finger}{number}", parent, position))
            parent = first + len(joints) - 1
    return joints


def mirror_pairs(names: tuple[str, ...]) -> tuple[int, ...]:
    """Pair joints whose names differ in the side only: left_arm, LeftArm, arm_l, arm.L, lArm; a joint without a partner is its own mirror."""
    index = {name: joint for joint, name in enumerate(names)}
    mirror = list(range(len(names)))
    for joint, name in enumerate(names):
        other = next((index[swapped] for swapped in _other_side(name) if index.get(swapped, joint) != joint), joint)
        if mirror[joint] == joint and mirror[other] == other:
            mirror[joint], mirror[other] = other, joint
    return tuple(mirror)


def _other_side(name: str) -> tuple[str, ...]:
    sides = str.maketrans("lLrR", "rRlL")
    words = {"left": "right", "Left": "Right", "LEFT": "RIGHT", "right": "left", "Right": "Left", "RIGHT": "LEFT"}
    return (
        re.sub("|".join(words), lambda found: words[found[0]], name),
        re.sub(r"(?<![A-Za-z])[lLrR](?![A-Za-z])", lambda found: found[0].translate(sides), name),
        re.sub(r"^[lLrR](?=[A-Z])", lambda found: found[0].translate(sides), name),
    )


def _skeleton(rows) -> Skeleton:
    names, parents, rest = zip(*rows, strict=True)
    return Skeleton(names=names, parents=parents, mirror=mirror_pairs(names), rest=torch.tensor(rest))


def _flat(names: str, parents: tuple[int, ...]) -> Skeleton:
    joints = tuple(names.split())
    return Skeleton(names=joints, parents=parents, mirror=mirror_pairs(joints))


SMPL24 = _skeleton(_BODY + _HANDS)
SMPLX55 = _skeleton([*_BODY, *_HEAD, *_hand("left", 1.0, 20, 25), *_hand("right", -1.0, 21, 40)])
COCO17 = _flat(
    "nose left_eye right_eye left_ear right_ear left_shoulder right_shoulder left_elbow right_elbow left_wrist right_wrist "
    "left_hip right_hip left_knee right_knee left_ankle right_ankle",
    (-1, 0, 0, 1, 2, 0, 0, 5, 6, 7, 8, 5, 6, 11, 12, 13, 14),
)
OPENPOSE18 = _flat(
    "nose neck right_shoulder right_elbow right_wrist left_shoulder left_elbow left_wrist right_hip right_knee right_ankle "
    "left_hip left_knee left_ankle right_eye left_eye right_ear left_ear",
    (-1, 0, 1, 2, 3, 1, 5, 6, 1, 8, 9, 1, 11, 12, 0, 0, 14, 15),
)

STANDARD = {"smpl24": SMPL24, "smplx55": SMPLX55, "coco17": COCO17, "openpose18": OPENPOSE18}

"""OpenPose's 18 body keypoints of a motion of SMPL joints."""

from dataclasses import replace

import torch
from torch import Tensor

from ..geometry.kinematics import world_rotations
from ..skeletons import OPENPOSE18, REST_STATURE, SMPL24
from ..types import Motion
from .measurements import estimate_stature

_SAME = {
    "right_shoulder": "right_shoulder", "right_elbow": "right_elbow", "right_wrist": "right_wrist", "left_shoulder": "left_shoulder",
    "left_elbow": "left_elbow", "left_wrist": "left_wrist", "right_hip": "right_hip", "right_knee": "right_knee", "right_ankle": "right_ankle",
    "left_hip": "left_hip", "left_knee": "left_knee", "left_ankle": "left_ankle",
}  # fmt: skip
# Metres from the head joint in rest axes (left is +x, the face looks along +z) of a person of REST_STATURE: our estimates for a mean head.
FACE = {
    "nose": (0.0, 0.025, 0.118), "left_eye": (0.032, 0.056, 0.080), "right_eye": (-0.032, 0.056, 0.080), "left_ear": (0.072, 0.039, 0.0),
    "right_ear": (-0.072, 0.039, 0.0),
}  # fmt: skip


def openpose_joints(motion: Motion) -> Motion:
    """A motion of SMPL24 or SMPLX55 as one of OPENPOSE18 joints, positions only.

    Limbs are SMPL's joints as they are; the neck is the middle between the shoulders; nose, eyes and ears are set on a mean head that is turned by the
    head's rotation or, without rotations, by neck, head and shoulders. A point has the lowest confidence of what it is made from.

    Raises:
        ValueError: a motion of other joints.
    """
    names = motion.skeleton.names
    if names[:22] != SMPL24.names[:22]:
        raise ValueError(f"the motion has {len(names)} joints that are not SMPL's: convert it with Convert Skeleton first")
    joints = torch.full((motion.frames, 18, 3), torch.nan).to(motion.joints)
    confidence = torch.zeros(motion.frames, 18).to(motion.joints)

    def put(name: str, points: Tensor, trust: Tensor) -> None:
        joints[:, OPENPOSE18.index(name)], confidence[:, OPENPOSE18.index(name)] = points, trust

    for name, source in _SAME.items():
        index = names.index(source)
        put(name, motion.joints[:, index], motion.confidence[:, index])
    shoulders = [names.index("left_shoulder"), names.index("right_shoulder")]
    put("neck", motion.joints[:, shoulders].mean(1), motion.confidence[:, shoulders].amin(1))
    turn, trust = _head_turn(motion)
    scale = (estimate_stature(motion) or REST_STATURE) / REST_STATURE
    for name, offset in FACE.items():
        put(name, motion.joints[:, names.index("head")] + turn @ (scale * torch.tensor(offset).to(turn)), trust)
    joints[confidence == 0] = torch.nan
    return replace(motion, joints=joints, confidence=confidence, skeleton=OPENPOSE18, rotations=None, translation=None)


def _head_turn(motion: Motion) -> tuple[Tensor, Tensor]:
    """(T, 3, 3) turn of the head away from the rest pose, and (T) its confidence."""
    names = motion.skeleton.names
    used = [names.index(name) for name in ("neck", "head", "left_shoulder", "right_shoulder")]
    if motion.rotations is not None:
        return world_rotations(motion.rotations, motion.skeleton.parents)[:, names.index("head")], motion.confidence[:, names.index("head")]
    neck, head, left, right = motion.joints[:, used].unbind(1)
    rest = SMPL24.rest[[SMPL24.index(names[joint]) for joint in used]].to(neck)
    measured, still = _axes(head - neck, left - right), _axes(rest[1] - rest[0], rest[2] - rest[3])
    return measured @ still.mT, motion.confidence[:, used].amin(1)


def _axes(up: Tensor, side: Tensor) -> Tensor:
    """Right-handed axes (..., 3, 3), in columns: along `side` (..., 3) as far as `up` (..., 3) allows, up, and forward."""
    up = torch.nn.functional.normalize(up, dim=-1)
    side = torch.nn.functional.normalize(side - (side * up).sum(-1, keepdim=True) * up, dim=-1)
    return torch.stack([side, up, torch.linalg.cross(side, up)], -1)

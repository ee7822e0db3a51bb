"""MHR_POSE_DATA of ComfyUI's SAM 3D Body, and the KIMODO_POSE_DATA that follows it. Never fed real data here: unverified.

A dictionary {"frames": [[person, ...], ...], "image_size": (H, W), ...}, a person a dictionary of arrays. Read from it:
    pred_joint_coords    (127, 3) joints of the MHR rig (Kimodo: 77 of its SOMA skeleton), metres, or
    pred_keypoints_3d    (70, 3) keypoints, metres
    pred_cam_t           (3) metres, added to either: then OpenCV camera axes (x right, y down, z forward), seen by
    focal_length         pixels, with the principal point in the middle of the picture
    pred_keypoints_2d    (70, 2) pixels, where present: how far the 3D points project from them goes into the notes
    bbox                 (4) pixels x0 y0 x1 y1, where present
That is how ComfyUI projects its own vertices and keypoints (comfy_extras/sam3d_body/export, `_project_face_landmarks_2d`). The joints of a rig in
`_skeleton_override` are y-up instead, unless its per_frame_y_down is set (glb_shared.py, `Rig.from_pose_data`).

Sources of the orders. 70 keypoints: facebookresearch/sam-3d-body, metadata/mhr70.py. 127 joints: the joint names of facebookresearch/MHR's rig. 77 joints:
nv-tlabs/kimodo, skeleton/definitions.py, SOMASkeleton77. What stands for what in SMPL is our choice, by place in the body and in the tree.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ...geometry.cameras import intrinsics_matrix
from ...geometry.rotations import nearest_rotation
from ...skeletons import SMPL24
from ...types import ImageSize, Motion
from ..clips import usable_size
from .payloads import entry, frame_list, numbers
from .pose_frames import PoseFrames

KIND = "MHR_POSE_DATA"
_MHR = {
    "pelvis": 1, "left_hip": 2, "left_knee": 3, "left_ankle": 4, "left_foot": 8, "right_hip": 18, "right_knee": 19, "right_ankle": 20, "right_foot": 24,
    "spine1": 35, "spine2": 36, "spine3": 37, "neck": 110, "head": 113, "left_collar": 74, "left_shoulder": 75, "left_elbow": 76, "left_wrist": 78,
    "left_hand": 88, "right_collar": 38, "right_shoulder": 39, "right_elbow": 40, "right_wrist": 42, "right_hand": 52,
}  # fmt: skip
_SOMA = {
    "pelvis": 0, "spine1": 1, "spine2": 2, "spine3": 3, "neck": 4, "head": 6, "left_collar": 11, "left_shoulder": 12, "left_elbow": 13, "left_wrist": 14,
    "left_hand": 25, "right_collar": 39, "right_shoulder": 40, "right_elbow": 41, "right_wrist": 42, "right_hand": 53, "left_hip": 67, "left_knee": 68,
    "left_ankle": 69, "left_foot": 70, "right_hip": 72, "right_knee": 73, "right_ankle": 74, "right_foot": 75,
}  # fmt: skip
_RIGS = {127: _MHR, 77: _SOMA}
# Keypoints that are one of SMPL's joints, or lie around it (their mean is taken).
_KEYPOINTS = {
    "left_hip": (9,), "right_hip": (10,), "left_knee": (11,), "right_knee": (12,), "left_ankle": (13,), "right_ankle": (14,), "left_foot": (15, 16),
    "right_foot": (18, 19), "left_shoulder": (5,), "right_shoulder": (6,), "left_elbow": (7,), "right_elbow": (8,), "left_wrist": (62,),
    "right_wrist": (41,), "left_hand": (53,), "right_hand": (32,), "neck": (69,),
}  # fmt: skip
_EARS, _HEAD_SHARE = (3, 4), 0.63  # SMPL's head joint on the way from the neck to the middle between the ears
_TORSO = [SMPL24.index(name) for name in ("left_hip", "right_hip", "left_shoulder", "right_shoulder", "neck")]
_PLACED = [SMPL24.index(name) for name in ("pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar")]
_PLACED_CONFIDENCE = 0.5
_FLIP = np.array([1.0, -1.0, -1.0], np.float32)
_FAR = 0.02  # of the longer side: a median distance from pred_keypoints_2d beyond which the axes or the camera are not as assumed


def mhr_frames(payload: Any) -> PoseFrames:
    """Read MHR_POSE_DATA or KIMODO_POSE_DATA.

    Joints of the rig are taken where there are any. From 70 keypoints alone pelvis, spine and collars are placed by turning and scaling the torso of our
    rest skeleton onto hips, shoulders and neck; their confidence is then 0.5.

    Raises:
        ValueError: a key is missing, a rig of another number of joints, or nobody in any frame.
    """
    frames = frame_list(entry(payload, "frames", kind=KIND), "frames")
    size = entry(payload, "image_size", kind=KIND)
    sides = np.asarray(size).tolist()
    image_size = usable_size(*sides) if isinstance(sides, list) and len(sides) == 2 else None
    if image_size is None:
        raise ValueError(f"{KIND}: image_size is {size!r}, expected (height, width) in pixels")
    override = payload.get("_skeleton_override")
    upward = isinstance(override, Mapping) and not override.get("per_frame_y_down", False)
    people = [[(number, person) for person in frame_list(frame, f"frame {number}")] if frame else [] for number, frame in enumerate(frames)]
    if not any(people):
        raise ValueError(f"{KIND}: nobody is in any of the frames: check the detector before this node")
    placed = [[_joints(person, f"frame {number}", upward=upward) for number, person in frame] for frame in people]
    persons = [person for frame in people for _, person in frame]
    intrinsics, notes = _camera(persons, image_size)
    boxes = (
        tuple(_boxes([person for _, person in frame]) for frame in people)
        if all(person.get("bbox") is not None for person in persons)
        else None
    )
    return PoseFrames(
        joints=tuple(_stacked([joints for joints, _ in frame], 3) for frame in placed),
        confidence=tuple(_stacked([trust for _, trust in frame], None) for frame in placed),
        boxes=boxes, image_size=image_size, intrinsics=intrinsics,
        notes=("unverified: this converter has not been fed real data", *notes, *_agreement(persons, intrinsics, image_size)),
    )  # fmt: skip


def from_mhr(payload: Any, *, fps: float, person: int = 0) -> Motion:
    """One person of MHR_POSE_DATA or KIMODO_POSE_DATA as a camera-space motion of SMPL's 24 joints; see `mhr_frames`."""
    return mhr_frames(payload).motion(person, fps=fps)


def rig_joints(coordinates: np.ndarray) -> np.ndarray:
    """(..., 127 or 77, 3) joints of the MHR or SOMA rig -> (..., 24, 3) in SMPL's order; ValueError for a rig of another number of joints."""
    count = coordinates.shape[-2]
    if count not in _RIGS:
        raise ValueError(f"a rig of {count} joints is not known, expected 127 (MHR of SAM 3D Body) or 77 (SOMA of Kimodo)")
    return coordinates[..., [_RIGS[count][name] for name in SMPL24.names], :]


def _joints(person: Any, place: str, *, upward: bool) -> tuple[Tensor, Tensor]:
    """(24, 3) metres in camera space and (24) confidence of one person."""
    shift = numbers(entry(person, "pred_cam_t", kind=f"{KIND}, {place}"), f"pred_cam_t of {place}", (3,))
    if person.get("pred_joint_coords") is not None:
        coordinates = numbers(person["pred_joint_coords"], f"pred_joint_coords of {place}", (None, 3))
        joints = torch.from_numpy(rig_joints(coordinates * _FLIP if upward else coordinates) + shift)
        confidence = torch.ones(24)
    else:
        found = entry(person, "pred_keypoints_3d", kind=f"{KIND} without pred_joint_coords, {place}")
        joints, confidence = keypoint_joints(torch.from_numpy(numbers(found, f"pred_keypoints_3d of {place}", (70, 3)) + shift))
    finite = torch.isfinite(joints).all(-1)
    return torch.where(finite[:, None], joints, torch.nan), torch.where(finite, confidence, 0.0)


def keypoint_joints(keypoints: Tensor) -> tuple[Tensor, Tensor]:
    """70 keypoints (70, 3) of SAM 3D Body -> joints (24, 3) in SMPL's order and their confidence (24), 0.5 for those that are placed by the others."""
    joints, confidence = torch.full((24, 3), torch.nan), torch.ones(24)
    for name, places in _KEYPOINTS.items():
        joints[SMPL24.index(name)] = keypoints[list(places)].mean(0)
    neck = joints[SMPL24.index("neck")]
    joints[SMPL24.index("head")] = torch.lerp(neck, keypoints[list(_EARS)].mean(0), _HEAD_SHARE)
    joints[_PLACED] = _torso(joints[_TORSO])
    confidence[_PLACED] = _PLACED_CONFIDENCE
    return joints, confidence


def _torso(measured: Tensor) -> Tensor:
    """Pelvis, spine and collars (6, 3) from hips, shoulders and neck (5, 3): the rest skeleton turned, scaled and moved onto them (Umeyama 1991)."""
    if not torch.isfinite(measured).all():
        return torch.full((len(_PLACED), 3), torch.nan)
    rest, middle = SMPL24.rest[_TORSO], measured.mean(0)
    centred, target = rest - rest.mean(0), measured - middle
    turn = nearest_rotation(target.T @ centred)
    scale = (target * (centred @ turn.T)).sum() / centred.square().sum()
    return (SMPL24.rest[_PLACED] - rest.mean(0)) @ turn.T * scale + middle


def _camera(persons: list[Mapping], image_size: ImageSize) -> tuple[Tensor, tuple[str, ...]]:
    focal = np.array([numbers(np.reshape(entry(person, "focal_length", kind=KIND), -1)[:1], "focal_length", (1,))[0] for person in persons])
    if not (np.isfinite(focal).all() and (focal > 0).all()):
        raise ValueError(f"{KIND}: focal_length runs from {focal.min()} to {focal.max()}, expected pixels above 0")
    notes = (
        ()
        if np.ptp(focal) < 1e-3 * focal[0]
        else (f"focal length of the first frame kept: it varies from {focal.min():.0f} to {focal.max():.0f} px",)
    )
    return intrinsics_matrix(float(focal[0]), image_size), notes


def _agreement(persons: list[Mapping], intrinsics: Tensor, image_size: ImageSize) -> tuple[str, ...]:
    """How far the 3D keypoints project from the 2D ones: what shows whether axes and camera are as assumed."""
    distances = []
    for person in persons:
        if any(person.get(key) is None for key in ("pred_keypoints_3d", "pred_keypoints_2d")):
            continue
        points = numbers(person["pred_keypoints_3d"], "pred_keypoints_3d", (70, 3)) + numbers(person["pred_cam_t"], "pred_cam_t", (3,))
        projected = points @ intrinsics.numpy().T
        with np.errstate(divide="ignore", invalid="ignore"):
            pixels = projected[:, :2] / projected[:, 2:]
        distances.append(np.linalg.norm(pixels - numbers(person["pred_keypoints_2d"], "pred_keypoints_2d", (70, 2)), axis=-1))
    if not distances:
        return ()
    median = float(np.nanmedian(np.concatenate(distances)))
    note = f"pred_keypoints_3d + pred_cam_t project {median:.2f} px from pred_keypoints_2d (median)"
    return (note if median <= _FAR * max(image_size) else f"WARNING: {note}: axes or camera are not what this converter assumes",)


def _boxes(persons: list[Mapping]) -> Tensor:
    return _stacked([torch.from_numpy(numbers(np.reshape(person["bbox"], -1)[:4], "bbox", (4,))) for person in persons], 4, empty=(0, 4))


def _stacked(parts: list[Tensor], last: int | None, *, empty: tuple[int, ...] | None = None) -> Tensor:
    if parts:
        return torch.stack(parts)
    return torch.zeros(empty or ((0, 24, last) if last else (0, 24)))

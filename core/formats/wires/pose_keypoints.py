"""POSE_KEYPOINT, 2D poses in the layout of OpenPose, from ControlNet preprocessors and ComfyUI's SDPose.

A list with one dictionary for each frame, {"people": [...], "canvas_width", "canvas_height"}; a person has pose_keypoints_2d, 18 times x, y and confidence in
the order of OpenPose, and face_ (70), hand_left_ and hand_right_keypoints_2d (21 each), each of which may be None or empty. x and y are pixels (DWPose,
SDPose) or parts of the canvas (OpenPose); right is the person's right.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ...body.openpose import openpose_joints
from ...geometry.cameras import check_camera, own_camera
from ...types import CameraRig, Frame, ImageSize, Keypoints, Motion
from ..clips import usable_size
from .payloads import entry, frame_list, numbers

KIND = "POSE_KEYPOINT"
_BODY, _JOINTS = "pose_keypoints_2d", 18
_FACES = (68, 70)
_PARTS = 2.0  # no body in pixels is as small; parts of the canvas may lie somewhat outside it
_EMPTY = {"face_keypoints_2d": 70, "hand_left_keypoints_2d": 21, "hand_right_keypoints_2d": 21}


def from_pose_keypoints(payload: Any, *, person: int = 0) -> Keypoints:
    """The body of one person, the `person`-th of each frame's list, as Keypoints of one view in pixels, in the order of OPENPOSE18.

    Numbers are used as they are; whether the detector put pixel centres at 0 or at 0.5 the payload does not say.

    Raises:
        ValueError: a missing key, keypoints that are no 18 triples, canvases of different size, or nobody at that place.
    """
    keypoints = _read(payload, person, _BODY, (_JOINTS,))
    if keypoints is None:
        raise ValueError(f"{KIND}: there is no person {person} in any frame: choose another, or check the detector before this node")
    return keypoints


def face_from_pose_keypoints(payload: Any, *, person: int = 0) -> Keypoints | None:
    """The face of one person as `from_pose_keypoints` has the body: 68 points, or 70 with the pupils; None where no frame has any.

    Raises:
        ValueError: as there, of a face.
    """
    return _read(payload, person, "face_keypoints_2d", _FACES)


def to_pose_keypoints(motions: Sequence[Motion], *, rig: CameraRig | None = None, view: int = 0) -> list[dict[str, Any]]:
    """Motions seen by a camera as POSE_KEYPOINT in pixels.

    Face and hands are there with confidence 0, as ComfyUI's own drawing needs them. A seen joint has confidence 1, as readers in ControlNet preprocessors
    drop every joint below; joints behind the camera have 0.

    Args:
        motions: of equal length. rig: the cameras; without it, the camera that filmed the motion. view: which of its views.

    Raises:
        ValueError: motions of different length or of unknown joints, or a world-space motion without cameras.
    """
    if not motions or len({motion.frames for motion in motions}) > 1:
        found = ", ".join(str(motion.frames) for motion in motions) or "no"
        raise ValueError(f"motions of {found} frames, expected at least one, and all of one length: cut them with Cut Motion")
    if rig is None and motions[0].frame is Frame.WORLD:
        raise ValueError("the motion is in world axes and no camera sees it: connect cameras (Place Orbit Cameras)")
    rig = own_camera(motions[0]) if rig is None else rig
    if not 0 <= view < rig.views:
        raise ValueError(f"there is no view {view}: the cameras have {rig.views}, from 0")
    tracks = [_projected(motion, rig, view) for motion in motions]
    height, width = rig.image_size
    return [
        {"people": [_person(track[frame]) for track in tracks if track[frame, :, 2].any()], "canvas_width": width, "canvas_height": height}
        for frame in range(motions[0].frames)
    ]


def _read(payload: Any, person: int, part: str, counts: tuple[int, ...]) -> Keypoints | None:
    """Keypoints of a part of one person, as many as the first frame with any has, which is one of `counts`; None where no frame has any."""
    frames = frame_list([payload] if isinstance(payload, Mapping) else payload, KIND)
    image_size = _canvas(frames)
    lists = {
        number: flat for number, frame in enumerate(frames) if (flat := _part(frame, person, part, f"{KIND}, frame {number}")) is not None
    }
    joints = next((count for flat in lists.values() for count in counts if len(flat) == 3 * count), counts[0])
    points = np.full((len(frames), joints, 3), np.nan, np.float32)
    for number, flat in lists.items():
        points[number] = numbers(flat, f"{part} of frame {number}", (3 * joints,)).reshape(joints, 3)
    seen = np.isfinite(points).all(-1) & (points[..., 2] > 0)
    if not seen.any():
        return None
    if np.abs(points[seen][:, :2]).max() <= _PARTS:
        points[..., :2] *= (image_size[1], image_size[0])
    pixels = np.where(seen[..., None], points[..., :2], np.nan)
    confidence = np.where(seen, points[..., 2], 0).clip(0, 1)
    return Keypoints(pixels=torch.from_numpy(pixels)[None], confidence=torch.from_numpy(confidence)[None], image_size=image_size)


def _part(frame: Any, person: int, part: str, kind: str) -> Any | None:
    """The list of one part, None of a person who is not there or has none; only the body has to be named."""
    people = entry(frame, "people", kind=kind) or []
    if person >= len(people) or (part != _BODY and isinstance(people[person], Mapping) and part not in people[person]):
        return None
    flat = entry(people[person], part, kind=kind)
    return None if flat is None or not len(flat) else flat


def _projected(motion: Motion, rig: CameraRig, view: int) -> np.ndarray:
    """(T, 18, 3): pixels and 1 or 0."""
    check_camera(motion, rig)
    body = openpose_joints(motion)
    pixels = rig.project(body.joints)[0][view]
    seen = body.seen & torch.isfinite(pixels).all(-1)
    return torch.cat([torch.where(seen[..., None], pixels, 0.0), seen[..., None].to(pixels)], -1).numpy()


def _person(points: np.ndarray) -> dict[str, list[float]]:
    return {"pose_keypoints_2d": points.reshape(-1).tolist(), **{name: [0.0] * (3 * count) for name, count in _EMPTY.items()}}


def _canvas(frames: list) -> ImageSize:
    sizes: list[tuple[Any, Any]] = []
    for number, frame in enumerate(frames):
        size = tuple(entry(frame, key, kind=f"{KIND}, frame {number}") for key in ("canvas_height", "canvas_width"))
        if size not in sizes[-1:]:
            sizes.append(size)
    size = usable_size(*sizes[0])
    if len(sizes) > 1 or size is None:
        raise ValueError(
            f"{KIND}: the canvas is {' and '.join(f'{w}x{h}' for h, w in sizes[:3])}, expected one size in pixels for all frames"
        )
    return size

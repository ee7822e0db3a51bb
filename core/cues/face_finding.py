"""The face of a driving video by whatever tells where it is."""

import math
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from ..maps.colours import LEFT
from ..types import CameraRig, Motion
from .clip_values import check_frames, colours
from .face_boxes import FaceBoxes, choose_faces, faces_of_bounding_boxes, faces_of_pose_keypoints
from .mediapipe_faces import mediapipe_faces
from .motion_faces import faces_of_motion

SOURCES = ("auto", "bounding_boxes", "pose_keypoint", "motion", "mediapipe")
_LONGER_SIDE = 384  # pixels of the preview


def find_faces(
    frames: Tensor,
    source: str = "auto",
    *,
    bounding_boxes: Any = None,
    pose_keypoint: Any = None,
    motion: Motion | None = None,
    rig: CameraRig | None = None,
    masks: Tensor | None = None,
    advance: Callable[[int], None] | None = None,
) -> FaceBoxes:
    """The face of one person in every frame of a video.

    Args:
        frames: (T, H, W, 3 or 4) in 0..1 or uint8; only MediaPipe looks at them.
        source: "auto" takes the first that is given of bounding boxes, pose keypoints and motion; "mediapipe" detects.
        bounding_boxes, pose_keypoint: BOUNDING_BOX and POSE_KEYPOINT as ComfyUI hands them on. motion, rig: of the person, one frame for each of the video,
            and its cameras (see `faces_of_motion`). masks: (T, H, W) in 0..1 of the person, which tell several faces apart.
        advance: called with numbers of frames where MediaPipe detects; what it raises ends the work.

    Raises:
        ValueError: nothing that tells, or something that does not go with the video.
        ImportError: "mediapipe" where it is not installed.
    """
    check_frames(frames)
    given = {"bounding_boxes": bounding_boxes, "pose_keypoint": pose_keypoint, "motion": motion}
    if source not in SOURCES:
        raise ValueError(f"the source is '{source}', expected one of {', '.join(SOURCES)}")
    if source == "auto":
        source = next((name for name, value in given.items() if value is not None), "")
    if source != "mediapipe" and given.get(source) is None:
        raise ValueError(
            f"nothing tells where faces are: {source or 'bounding boxes, pose keypoints or a motion'} missing; connect what a detector found, or take mediapipe"
        )
    count, size = len(frames), tuple(frames.shape[1:3])
    if source == "motion":
        if motion.frames != count:
            raise ValueError(f"the motion has {motion.frames} frames, the video {count}: cut both to the same part with Cut Motion")
        return faces_of_motion(motion, rig, size)
    if source == "bounding_boxes":
        candidates = faces_of_bounding_boxes(bounding_boxes, count)
    elif source == "pose_keypoint":
        candidates = faces_of_pose_keypoints(pose_keypoint, count, size)
    else:
        candidates = mediapipe_faces(frames, advance=advance)
    return choose_faces(candidates, size, masks=masks)


def draw_face_boxes(frames: Tensor, faces: FaceBoxes) -> Tensor:
    """(T, h, w, 3) in 0..1: the boxes on the frames (T, H, W, 3 or 4), made small."""
    import cv2

    shrink = min(1.0, _LONGER_SIDE / max(frames.shape[1:3]))
    size = tuple(max(1, round(side * shrink)) for side in frames.shape[1:3])
    drawn = torch.empty(len(frames), *size, 3)
    for frame, box, target in zip(frames, faces.boxes.tolist(), drawn, strict=True):
        picture = colours(frame[None])[0].clamp(0, 1).cpu().contiguous().numpy()
        canvas = cv2.resize(picture, size[::-1], interpolation=cv2.INTER_AREA)
        if not math.isnan(box[0]):
            corners = [tuple(round(place * shrink) for place in corner) for corner in (box[:2], box[2:])]
            cv2.rectangle(canvas, *corners, [part / 255 for part in LEFT], max(1, round(max(size) / 200)))
        target.copy_(torch.from_numpy(canvas))
    return drawn

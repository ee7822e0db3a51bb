"""People that another pack has found, as Detections: for tracking and selecting them here."""

from typing import Any

import torch
from torch import Tensor

from ..formats.clips import ASSUMED_FPS
from ..formats.wires import pose_data_frames
from ..types import CameraRig, ImageSize
from .people import Detections, FramePeople


def detections_of(payload: Any, *, fps: float | None = None, image_size: ImageSize | None = None) -> Detections:
    """NLFPRED, MHR_POSE_DATA or KIMODO_POSE_DATA as Detections; boxes that the payload lacks are those of the projected joints.

    People of whom no joint is there are left out.

    Args:
        fps: none of the kinds tells it; 30 is assumed and noted without it. image_size: (H, W) of the picture; NLFPRED does not tell it.

    Raises:
        ValueError: other contents, SMPL_PARAMS (one person, nobody to choose from), or NLFPRED without image_size.
    """
    found = pose_data_frames(payload, image_size=image_size)
    if found is None:
        raise ValueError("SMPL_PARAMS hold one person: use Convert to Motion, there is nobody to choose from")
    if found.image_size is None:
        raise ValueError("NLFPRED does not say how large the picture is: give its width and height")
    camera = CameraRig(intrinsics=found.intrinsics[None], world_to_camera=torch.eye(3, 4)[None], image_size=found.image_size)
    people = []
    for frame, (joints, confidence) in enumerate(zip(found.joints, found.confidence, strict=True)):
        present = (confidence > 0).any(-1)
        boxes = boxes_around(joints[present], camera) if found.boxes is None else found.boxes[frame][present]
        people.append(FramePeople(joints=joints[present], confidence=confidence[present], boxes=boxes))
    notes = found.notes if fps is not None else (f"{ASSUMED_FPS:g} fps assumed: pose data has no frame rate", *found.notes)
    rate = ASSUMED_FPS if fps is None else fps
    return Detections(frames=tuple(people), fps=rate, image_size=found.image_size, intrinsics=found.intrinsics, notes=notes)


def boxes_around(joints: Tensor, camera: CameraRig) -> Tensor:
    """(P, 4) pixels around the joints (P, 24, 3) that are before the camera; zeros where none are."""
    pixels = camera.project(joints)[0][0]
    shown = torch.isfinite(pixels).all(-1, keepdim=True)
    low, high = (torch.where(shown, pixels, fill).flatten(1, -2) for fill in (torch.inf, -torch.inf))
    boxes = torch.cat([low.amin(1), high.amax(1)], -1) if len(joints) else joints.new_zeros(0, 4)
    return torch.where(torch.isfinite(boxes), boxes, 0.0)

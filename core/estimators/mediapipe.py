"""People through MediaPipe Pose: an installed package with its weights, one person, any machine.

The legacy solution is used: mediapipe 0.10.14 has its network in the wheel, later versions need a downloaded one. It brings an opencv and an old protobuf of its
own, so that it belongs into an environment of its own (Python 3.11), with this package beside it. Code and weights are under the Apache licence 2.0.
"""

from collections.abc import Hashable

import torch
from torch import Tensor

from ..types import ImageSize
from .landmarks import lift, smpl_confidence, smpl_joints
from .people import FramePeople

INSTALL = (
    "install it into an environment of its own with Python 3.11: pip install mediapipe==0.10.14, then this package and torch "
    "(later versions come without their network; it brings its own opencv and needs protobuf below 5)"
)
_IN_SIGHT = 0.5  # visibility from which a landmark counts for the box


class MediaPipe:
    """The `Estimator`. Frames are to come in the order of the film: it looks where the person was in the frame before, anew after `close`."""

    name = "MediaPipe Pose"

    def __init__(self, *, detection: float = 0.5, tracking: float = 0.5):
        """Check that MediaPipe is there.

        Args:
            detection, tracking: confidence 0..1 from which a person is taken as found, and as still there.

        Raises:
            ImportError: it is not installed, or a version without the legacy solution; it says how to install it.
        """
        self._options = {"min_detection_confidence": detection, "min_tracking_confidence": tracking}
        self._solution = _pose_solution()
        self._pose = self._memory = None
        self.identity = ("MediaPipe", detection, tracking)

    @property
    def memory(self) -> Hashable | None:
        """See `Estimator`: which session it is in, and after how many frames."""
        return self._memory

    def batch(self, image_size: ImageSize) -> int:
        return 8  # it takes one at a time; more of them share the arithmetic that follows

    def detect(self, frames: Tensor, intrinsics: Tensor) -> list[FramePeople]:
        """See `Estimator`. The sizes are those of the grown-up that MediaPipe takes everybody for."""
        found = [self.landmarks(frame) for frame in frames]
        seen = [one for one in found if one is not None]
        if not seen:
            return [FramePeople.none() for _ in found]
        world, pixels, visibility = (torch.stack(parts) for parts in zip(*seen, strict=True))
        joints = smpl_joints(lift(world, pixels, visibility, intrinsics)[0])
        confidence, boxes = smpl_confidence(visibility), _boxes(pixels, visibility, tuple(frames.shape[1:3]))
        people = iter(range(len(seen)))
        return [FramePeople.none() if one is None else _person(joints, confidence, boxes, next(people)) for one in found]

    def landmarks(self, frame: Tensor) -> tuple[Tensor, Tensor, Tensor] | None:
        """World landmarks (33, 3) metres, pixels (33, 2), which may lie outside the picture, and visibility (33) of a frame (H, W, 3) uint8; None: nobody."""
        if self._pose is None:
            self._pose = self._solution(static_image_mode=False, model_complexity=1, smooth_landmarks=False, **self._options)
            self._memory = (object(), 0)
        session, count = self._memory
        self._memory = (session, count + 1)
        result = self._pose.process(frame.cpu().contiguous().numpy())
        if result.pose_landmarks is None or result.pose_world_landmarks is None:
            return None
        height, width = frame.shape[:2]
        flat = result.pose_landmarks.landmark
        world = torch.tensor([(mark.x, mark.y, mark.z) for mark in result.pose_world_landmarks.landmark])
        pixels = torch.tensor([(mark.x * width, mark.y * height) for mark in flat])
        return world, pixels, torch.tensor([mark.visibility for mark in flat])

    def close(self) -> None:
        if self._pose is not None:
            self._pose.close()
            self._pose = self._memory = None


def _pose_solution():
    try:
        import mediapipe
    except ImportError as error:
        raise ImportError(f"MediaPipe is not installed ({error}): {INSTALL}") from None
    if not hasattr(mediapipe, "solutions"):
        raise ImportError(f"MediaPipe {mediapipe.__version__} has no legacy solutions any more: {INSTALL}")
    return mediapipe.solutions.pose.Pose


def _person(joints: Tensor, confidence: Tensor, boxes: Tensor, row: int) -> FramePeople:
    one = slice(row, row + 1)
    return FramePeople(joints=joints[one].clone(), confidence=confidence[one].clone(), boxes=boxes[one].clone())


def _boxes(pixels: Tensor, visibility: Tensor, image_size: ImageSize) -> Tensor:
    """(P, 4) around what is in sight, or around everything where nothing is, inside the picture."""
    seen = visibility > _IN_SIGHT
    seen = (seen | ~seen.any(1, keepdim=True))[..., None]
    low, high = pixels.masked_fill(~seen, torch.inf).amin(1), pixels.masked_fill(~seen, -torch.inf).amax(1)
    height, width = image_size
    limits = torch.tensor([width, height, width, height], dtype=pixels.dtype)
    return torch.cat([low, high], -1).clamp(min=0).minimum(limits)

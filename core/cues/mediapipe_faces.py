"""Faces through MediaPipe, an optional package (see `estimators.mediapipe`)."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..estimators.mediapipe import INSTALL
from .clip_values import colours

_BYTE = 255


def mediapipe_faces(frames: Tensor, *, confidence: float = 0.5, advance: Callable[[int], None] | None = None) -> list[Tensor]:
    """Candidates (N, 4) x0 y0 x1 y1 pixels of every frame (T, H, W, 3 or 4), uint8 or 0..1; each frame is looked at on its own.

    Args:
        confidence: 0..1 from which a face counts. advance: called with 1 after each frame.

    Raises:
        ImportError: MediaPipe is not installed, or a version without the legacy solutions; it says how to install it.
    """
    found = []
    sides = torch.tensor([frames.shape[2], frames.shape[1]], dtype=torch.float64)
    with _solution(confidence) as solution:
        for frame in frames:
            picture = (colours(frame[None])[0] * _BYTE).round().clamp(0, _BYTE).byte()
            boxes = [
                one.location_data.relative_bounding_box for one in solution.process(picture.cpu().contiguous().numpy()).detections or ()
            ]
            corners = torch.tensor([(box.xmin, box.ymin, box.width, box.height) for box in boxes], dtype=torch.float64).reshape(-1, 2, 2)
            corners[:, 1] += corners[:, 0]
            corners = corners[(corners[:, 1] > corners[:, 0]).all(-1)]
            found.append((corners * sides).reshape(-1, 4))
            if advance is not None:
                advance(1)
    return found


def _solution(confidence: float):
    """A session, which closes as a context manager; the network for people up to five metres away."""
    try:
        import mediapipe
    except ImportError as error:
        raise ImportError(f"MediaPipe is not installed ({error}): {INSTALL}") from None
    if not hasattr(mediapipe, "solutions"):
        raise ImportError(f"MediaPipe {mediapipe.__version__} has no legacy solutions any more: {INSTALL}")
    return mediapipe.solutions.face_detection.FaceDetection(model_selection=1, min_detection_confidence=confidence)

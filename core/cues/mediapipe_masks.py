"""Masks through MediaPipe, an optional package (see `estimators.mediapipe`): of the person it follows, or of everybody who is near."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..estimators.mediapipe import INSTALL

KINDS = ("pose", "selfie")


def mediapipe_masks(frames: Tensor, *, kind: str = "pose", advance: Callable[[int], None] | None = None) -> Tensor:
    """Masks (T, H, W) float32 of frames (T, H, W, 3) uint8 or 0..1, in the order of the film; 0 where nobody is found.

    Args:
        kind: "pose" segments the one person that MediaPipe Pose follows, "selfie" everybody near the camera.
        advance: called with the number of frames seen since the last call.

    Raises:
        ImportError: MediaPipe is not installed, or a version without the legacy solutions; it says how to install it.
        ValueError: another kind.
    """
    if kind not in KINDS:
        raise ValueError(f"kind is '{kind}', expected one of {', '.join(KINDS)}")
    masks = torch.zeros(frames.shape[:3])
    with _solution(kind) as solution:
        for frame, place in zip(frames, masks, strict=True):
            picture = frame if frame.dtype == torch.uint8 else (frame * 255).round().clamp(0, 255).byte()
            found = solution.process(picture.cpu().contiguous().numpy()).segmentation_mask
            if found is not None:
                place.copy_(torch.tensor(found).clamp_(0, 1))
            if advance is not None:
                advance(1)
    return masks


def _solution(kind: str):
    """A session, which closes as a context manager."""
    try:
        import mediapipe
    except ImportError as error:
        raise ImportError(f"MediaPipe is not installed ({error}): {INSTALL}") from None
    if not hasattr(mediapipe, "solutions"):
        raise ImportError(f"MediaPipe {mediapipe.__version__} has no legacy solutions any more: {INSTALL}")
    if kind == "pose":
        return mediapipe.solutions.pose.Pose(
            static_image_mode=False, model_complexity=1, enable_segmentation=True, smooth_segmentation=False
        )
    return mediapipe.solutions.selfie_segmentation.SelfieSegmentation(model_selection=0)

"""Everybody in one frame, with the numbers by which people are chosen."""

from collections.abc import Sequence

import torch
from torch import Tensor

from ..maps.backgrounds import fit_background
from ..maps.drawing import draw_skeleton
from ..types import Frame, Motion
from .people import Detections
from .selection import in_order
from .tracking import Track

_CHOSEN, _OTHER = (255, 214, 64), (150, 156, 170)


def draw_people(
    detections: Detections, tracks: Sequence[Track], frame: int, *, chosen: Track | None = None, images: Tensor | None = None
) -> Tensor:
    """Picture (H, W, 3) in 0..1 of a frame: skeletons, boxes and numbers of those who are followed, the chosen one highlighted.

    Args:
        images: (T, H, W, 3) frames of the video, or one of them, to draw over; None: a plain dark background.

    Raises:
        ValueError: a frame that the clip does not have, or other numbers of images.
    """
    count = len(detections.frames)
    if not 0 <= frame < count:
        raise ValueError(f"frame is {frame}, the clip has {count}: give 0 to {count - 1}")
    if images is not None and len(images) not in (1, count):
        raise ValueError(
            f"there are {len(images)} images and {count} frames of people: give the frames that the people were found in, or one"
        )
    people, camera = detections.frames[frame], detections.camera
    picture = None if images is None else fit_background(images[min(frame, len(images) - 1)][None], detections.image_size, 1)
    numbers = {
        int(one.picks[one.frames == frame]): (number, one)
        for number, one in enumerate(in_order(detections, tracks))
        if (one.frames == frame).any()
    }
    for pick in sorted(numbers, key=lambda pick: -float(people.joints[pick, :, 2].nan_to_num().mean())):
        joints, confidence = people.joints[pick][None], people.confidence[pick][None]
        confidence = torch.where(joints[..., 2].nan_to_num() > 0, confidence, 0.0)
        if (confidence > 0).any():
            body = Motion(joints=joints, confidence=confidence, skeleton=detections.skeleton, fps=detections.fps, frame=Frame.CAMERA,
                          intrinsics=detections.intrinsics, image_size=detections.image_size)  # fmt: skip
            picture = draw_skeleton(body, camera, background=picture)[0]
    if picture is None:
        picture = torch.zeros(1, *detections.image_size, 3)
    return _labelled(picture[0], [(people.boxes[pick], number, one is chosen) for pick, (number, one) in numbers.items()])


def _labelled(picture: Tensor, labels: list[tuple[Tensor, int, bool]]) -> Tensor:
    """Boxes with numbers over their upper left corners, the chosen one last."""
    import cv2

    canvas = (picture.clamp(0, 1) * 255).round().to(torch.uint8).contiguous().numpy().copy()
    unit = min(canvas.shape[:2]) / 512
    for box, number, chosen in sorted(labels, key=lambda label: label[2]):
        low, high = ((max(-9999, min(9999, round(float(x)))), max(-9999, min(9999, round(float(y))))) for x, y in (box[:2], box[2:]))
        colour = _CHOSEN if chosen else _OTHER
        cv2.rectangle(canvas, low, high, colour, max(1, round((3 if chosen else 1.5) * unit)), cv2.LINE_AA)
        at = (max(low[0], 0), max(low[1] - round(6 * unit), round(24 * unit)))
        for shade, width in (((10, 11, 16), 5), (colour, 2)):
            cv2.putText(canvas, str(number), at, cv2.FONT_HERSHEY_SIMPLEX, 0.9 * unit, shade, max(1, round(width * unit)), cv2.LINE_AA)
    return torch.from_numpy(canvas).float() / 255

"""Whether a made video moves as its driver: PLC of the body and FLC of the face, mean distances of keypoints (DirectAnimator, evaluation metrics).

The paper does not say what it divides by. Here the body's distances are in torsos (neck to the middle of the hips), the face's in distances between the eyes,
both of the driving frame; or, as the other reading, in diagonals of the box around the driving frame's points.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from ..types import Keypoints

Normaliser = Literal["body", "box"]
CONFIDENCE = 0.3


@dataclass(frozen=True)
class _Points:
    """Which joints are compared, and two groups of joints whose middles are one unit apart."""

    joints: Sequence[int]
    begin: tuple[int, ...]
    end: tuple[int, ...]


# By the number of joints: COCO's 17, OpenPose's 18, COCO-WholeBody's 133 (DWPose).
_COCO = _Points(range(17), (5, 6), (11, 12))
_BODY = {17: _COCO, 18: _Points(range(18), (1,), (8, 11)), 133: _COCO}
# The facial ones among those; the outer corners of the eyes among 68 points of a face, or 70 with pupils (OpenPose).
_FACE = {
    17: _Points(range(5), (1,), (2,)), 18: _Points((0, 14, 15, 16, 17), (14,), (15,)), 68: _Points(range(68), (36,), (45,)),
    70: _Points(range(70), (36,), (45,)), 133: _Points(range(23, 91), (59,), (68,)),
}  # fmt: skip

FACE_ONLY = (68, 70)
FINE_FACES = (*FACE_ONLY, 133)  # more than a body's nose, eyes and ears


@dataclass(frozen=True, eq=False, kw_only=True)
class KeypointDistance:
    """distances: (T, J) in units of the normaliser, NaN where a joint is not seen in both videos, or the driving frame has no unit.

    unmeasured: frames in which nothing could be compared. without_unit: frames among them that had joints in common but no normaliser.
    """

    distances: Tensor
    name: str
    unit: str

    unmeasured: int
    without_unit: int

    @property
    def mean(self) -> float:
        """Mean over all joints seen in both; NaN where there are none."""
        return float(self.distances.nanmean())

    @property
    def curve(self) -> Tensor:
        """(T) mean of each frame."""
        return self.distances.nanmean(1)

    def text(self) -> str:
        """One line."""
        told = f"{self.mean:.4f}" if math.isfinite(self.mean) else "unknown"
        seen = float(self.distances.isfinite().double().mean())
        left_out = f", {self.unmeasured} of {len(self.distances)} frames left out" if self.unmeasured else ""
        reason = f" ({self.without_unit} for want of {self.unit} in the driving video)" if self.without_unit else ""
        return f"{self.name} {told} in units of {self.unit} (lower is better), over {seen:.0%} of the points{left_out}{reason}"


def body_distance(
    generated: Keypoints, driving: Keypoints, *, normaliser: Normaliser = "body", confidence: float = CONFIDENCE
) -> KeypointDistance:
    """PLC, over joints of COCO17, OPENPOSE18 or the body of COCO-WholeBody's 133.

    Args:
        generated, driving: one view each, in pictures of one size. normaliser: "body" the torso, "box" the diagonal of the driving body's box.
        confidence: joints count that are more certain than this in both.

    Raises:
        ValueError: videos of different length, picture size or joints, several views, joints of another number, or an unknown normaliser.
    """
    return _distance(generated, driving, _BODY, ("PLC", "torso"), normaliser, confidence)


def face_distance(
    generated: Keypoints, driving: Keypoints, *, normaliser: Normaliser = "body", confidence: float = CONFIDENCE
) -> KeypointDistance:
    """FLC, over 68 or 70 facial points, those of COCO-WholeBody, or nose, eyes and ears of a body; the unit is the distance of the eyes (outer corners).

    Arguments and errors as `body_distance`.
    """
    return _distance(generated, driving, _FACE, ("FLC", "eye distance"), normaliser, confidence)


def _distance(generated, driving, layouts, names, normaliser, confidence) -> KeypointDistance:
    points = _check(generated, driving, layouts, names[0], normaliser)
    joints = list(points.joints)
    certain = driving.confidence[0] > confidence
    seen = (certain & (generated.confidence[0] > confidence))[:, joints]
    places = torch.where(certain[..., None], driving.pixels[0].double(), torch.nan)
    offset = (generated.pixels[0].double() - places)[:, joints].norm(dim=-1)
    if normaliser == "body":
        unit = (places[:, points.begin].mean(1) - places[:, points.end].mean(1)).norm(dim=-1)
    else:
        unit = _diagonal(places[:, joints])
    usable = unit.isfinite() & (unit > 0)
    distances = torch.where(seen & usable[:, None], offset / torch.where(usable, unit, 1.0)[:, None], torch.nan)
    shared = seen.any(1)
    return KeypointDistance(
        distances=distances, name=names[0], unit=names[1] if normaliser == "body" else "box diagonal",
        unmeasured=int((~(shared & usable)).sum()), without_unit=int((shared & ~usable).sum()),
    )  # fmt: skip


def _diagonal(places: Tensor) -> Tensor:
    """(T) of the box around points (T, J, 2), NaN around none."""
    present = places.isfinite().all(-1)
    least = torch.where(present[..., None], places, torch.inf).amin(1)
    most = torch.where(present[..., None], places, -torch.inf).amax(1)
    return torch.where(present.any(1), (most - least).norm(dim=-1), torch.nan)


def _check(generated: Keypoints, driving: Keypoints, layouts: dict[int, _Points], name: str, normaliser: str) -> _Points:
    if normaliser not in ("body", "box"):
        raise ValueError(f"{name}: normaliser is '{normaliser}', expected 'body' or 'box'")
    for whose, keypoints in (("generated", generated), ("driving", driving)):
        views, joints = keypoints.pixels.shape[0], keypoints.pixels.shape[2]
        if views != 1:
            raise ValueError(f"{name}: the {whose} keypoints are of {views} views, expected 1: compare one view at a time")
        if joints not in layouts:
            raise ValueError(f"{name}: the {whose} keypoints have {joints} joints, expected one of {', '.join(map(str, layouts))}")
    if generated.pixels.shape != driving.pixels.shape:
        (frames, joints), (others, known) = generated.pixels.shape[1:3], driving.pixels.shape[1:3]
        raise ValueError(
            f"{name}: {frames} frames of {joints} generated joints, {others} of {known} driving joints: detect both in the same way and length"
        )
    if tuple(generated.image_size) != tuple(driving.image_size):
        (height, width), (rows, columns) = generated.image_size, driving.image_size
        raise ValueError(f"{name}: keypoints in pictures of {width}x{height} and of {columns}x{rows}: detect both at one size")
    return layouts[generated.pixels.shape[2]]

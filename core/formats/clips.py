"""What a motion file holds, before any of it is turned into a Motion."""

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch

from ..geometry.cameras import motion_capture_intrinsics
from ..skeletons import SMPL24, SMPLX55
from ..types import Frame, ImageSize, Motion

ASSUMED_FPS = 30.0
MAX_FRAMES = 200_000
MAX_PEOPLE = 1000
BY_JOINTS = {24: SMPL24, 55: SMPLX55}
_SIDE_LIMIT = 1 << 16  # pixels


@dataclass(frozen=True)
class ClipInfo:
    """One clip of a file. fps and image_size (H, W) are None where the file has none.

    kind: "motion4d", "mtvcrafter", "nlf", "amass", "gvhmr", "kimodo" or "bvh".
    """

    name: str
    frames: int
    people: int
    joints: int
    fps: float | None
    image_size: ImageSize | None
    kind: str

    def __str__(self):
        rate = "fps unknown" if self.fps is None else f"{self.fps:g} fps"
        size = "" if self.image_size is None else f", picture {self.image_size[1]}x{self.image_size[0]}"
        people = "1 person" if self.people == 1 else f"{self.people} people"
        return f"{self.name} ({self.kind}): {self.frames} frames, {people}, {self.joints} joints, {rate}{size}"


@dataclass(frozen=True, eq=False)
class Clip:
    """A clip that has been looked at but not converted. build: (person, fps given by the caller or None) -> Motion."""

    info: ClipInfo
    build: Callable[[int, float | None], Motion]


def check_frames(frames: int) -> None:
    """Refuse clips of no frames and of absurdly many, before anything is allocated for them."""
    if not 1 <= frames <= MAX_FRAMES:
        raise ValueError(f"the motion has {frames:,} frames, expected 1 to {MAX_FRAMES:,}: cut it into clips")


def chosen_rate(given: float | None, stored: float | None) -> tuple[float, tuple[str, ...]]:
    """Frames per second and what was assumed: the caller's, else the file's, else 30."""
    if given is not None:
        return float(given), ()
    if stored is not None:
        return stored, ()
    return ASSUMED_FPS, (f"{ASSUMED_FPS:g} fps assumed: the file names none",)


def usable_rate(value) -> float | None:
    """A stored frame rate, or None where it is missing or no rate at all."""
    try:
        rate = float(value)
    except (TypeError, ValueError, OverflowError):
        return None
    return rate if math.isfinite(rate) and 0 < rate <= 1e6 else None


def usable_size(height, width) -> ImageSize | None:
    """(H, W) of a stored picture size, or None where it is missing or no size at all."""
    try:
        size = int(height), int(width)
    except (TypeError, ValueError, OverflowError):
        return None
    return size if all(0 < side <= _SIDE_LIMIT for side in size) else None


def measured_motion(
    track: np.ndarray, *, scale: float, frame: Frame, fps: float, image_size: ImageSize | None = None, notes: tuple[str, ...] = ()
) -> Motion:
    """Measured joints of one person as a Motion.

    A joint that is not finite, and every joint of a frame that is all zero (some programs write those for "nobody"), has confidence 0.

    Args:
        track: (T, J, 3), NaN where the person is absent.
        scale: metres of one unit. image_size: (H, W) of the picture, for the camera of a camera-space motion.

    Raises:
        ValueError: no numbers, or no joint in any frame.
    """
    if track.dtype.kind not in "fiu":
        raise ValueError(f"the joints are {track.dtype}, expected numbers")
    with np.errstate(over="ignore", invalid="ignore"):
        joints = (track * scale).astype(np.float32)
    seen = np.isfinite(joints).all(-1) & track.any((1, 2))[:, None]
    if not seen.any():
        raise ValueError("the person has no joints in any frame: choose another person or clip")
    absent = int((~seen).all(-1).sum())
    if absent:
        notes = (*notes, f"{absent} of {len(track)} frames are without the person: their joints have confidence 0")
    camera = frame is Frame.CAMERA and image_size is not None
    if frame is Frame.CAMERA and not camera:
        notes = (*notes, "picture size unknown: the file names none")
    joints[~seen] = np.nan
    return Motion(
        joints=torch.from_numpy(joints),
        confidence=torch.from_numpy(seen.astype(np.float32)),
        skeleton=BY_JOINTS[track.shape[1]],
        fps=fps,
        frame=frame,
        intrinsics=motion_capture_intrinsics(image_size) if camera else None,
        image_size=image_size if camera else None,
        notes=notes,
    )

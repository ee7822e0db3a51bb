"""A motion together with the video it was taken from."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..geometry.cameras import with_camera
from ..types import Frame, ImageSize, Motion
from .motion_files import MotionFile, open_motions
from .video import read_video

_UNKNOWN_SIZE = (1024, 1024)
_PROPORTION = 0.02  # relative difference that rounding to whole pixels can make


@dataclass(frozen=True, eq=False)
class FilmedMotion:
    """motion; contents: the clips of its file and what was assumed, in lines; frames (T, H, W, 3) in 0..1 or None; audio {"waveform": (1, C, N),
    "sample_rate": Hz} or None."""

    motion: Motion
    contents: str
    frames: Tensor | None = None
    audio: dict | None = None


def load_filmed_motion(
    path: Path, *, video: Path | None = None, clip: int = 0, person: int = 0, fps: float | None = None, max_side: int | None = None
) -> FilmedMotion:
    """Read a motion and, frame by frame beside it, its video.

    What the clip does not know comes from the video: frame rate, and picture size for the camera of a camera-space motion (a square picture
    without a video); notes tell what was assumed. A motion and a video of different length are cut to the shorter one, which is noted.

    Args:
        fps: overrides file and video. max_side: frames are made smaller where their longer side is above it.

    Raises:
        ValueError: as `load_motion` and `read_video`, or a video of other proportions than the picture that a camera-space motion was taken from.
    """
    file = open_motions(path)
    reader = None if video is None else read_video(video, max_side=max_side)
    notes = () if reader is None else reader.notes
    if fps is None and reader is not None and file.clip(clip).info.fps is None:
        fps = reader.fps
        notes = (f"{fps:g} fps taken from {video.name}: {path.name} names none", *notes)
    motion = file.motion(clip=clip, person=person, fps=fps)
    if reader is not None:
        _check_shape(motion, reader.source_size, video.name)
        notes = (*notes, *_hint(motion, file))
    if motion.frame is Frame.CAMERA:
        motion = with_camera(motion, _UNKNOWN_SIZE if reader is None else reader.source_size)
    frames = audio = None
    if reader is not None:
        length = min(motion.frames, len(reader))
        if length != motion.frames or length != len(reader):
            notes = (*notes, f"the motion has {motion.frames} frames and the video {len(reader)}: both cut to {length}")
        motion = replace(motion.cut(0, length), notes=(*motion.notes, *notes))
        frames, audio = reader.frames(range(length)), reader.audio()
    return FilmedMotion(
        motion=motion,
        contents="\n".join([*map(str, file.infos), *motion.notes]),
        frames=frames,
        audio=None if audio is None else {"waveform": audio[0], "sample_rate": audio[1]},
    )


def _check_shape(motion: Motion, size: ImageSize, name: str) -> None:
    """Refuse a video that cannot be the one the motion was taken from: over it, nothing would lie where it belongs."""
    if motion.frame is not Frame.CAMERA or motion.image_size is None:
        return
    (own_height, own_width), (height, width) = motion.image_size, size
    if abs(own_width * height / (own_height * width) - 1) > _PROPORTION:
        raise ValueError(
            f"the motion was taken from a picture of {own_width}x{own_height}, {name} has {width}x{height}: choose the video it was taken from"
        )


def _hint(motion: Motion, file: MotionFile) -> tuple[str, ...]:
    """For a world-space motion of a file that also holds it as the camera saw it: where that is."""
    seen = [number for number, info in enumerate(file.infos) if info.image_size is not None]
    if motion.frame is Frame.CAMERA or not seen:
        return ()
    return (f"this is the motion in the world; clip {seen[0]} is the one that lies on the video",)

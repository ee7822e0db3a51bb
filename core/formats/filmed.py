"""A motion together with the video it was taken from."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..geometry.cameras import with_camera
from ..types import Frame, Motion
from .motion_files import describe_motions, load_motion
from .video import read_video

_UNKNOWN_SIZE = (1024, 1024)


@dataclass(frozen=True, eq=False)
class FilmedMotion:
    """motion; frames (T, H, W, 3) in 0..1 or None; audio {"waveform": (1, C, N), "sample_rate": Hz} or None."""

    motion: Motion
    frames: Tensor | None
    audio: dict | None


def load_filmed_motion(
    path: Path, *, video: Path | None = None, clip: int = 0, person: int = 0, fps: float | None = None, max_side: int | None = None
) -> FilmedMotion:
    """Read a motion and, frame by frame beside it, its video.

    What the motion file does not know comes from the video: frame rate, and picture size for the camera of a camera-space motion (a square picture
    without a video); a note tells what was assumed. A motion and a video of different length are cut to the shorter one, which is noted.

    Args:
        fps: overrides file and video. max_side: frames are made smaller where their longer side is above it.
    """
    reader = None if video is None else read_video(video, max_side=max_side)
    if fps is None and reader is not None and all(info.fps is None for info in describe_motions(path)):
        fps = reader.fps
    motion = load_motion(path, clip=clip, person=person, fps=fps)
    if motion.frame is Frame.CAMERA:
        motion = with_camera(motion, _UNKNOWN_SIZE if reader is None else reader.source_size)
    if reader is None:
        return FilmedMotion(motion, None, None)
    length = min(motion.frames, len(reader))
    if length != motion.frames or length != len(reader):
        note = f"the motion has {motion.frames} frames and the video {len(reader)}: both cut to {length}"
        motion = replace(motion.cut(0, length), notes=(*motion.notes, note))
    audio = reader.audio()
    return FilmedMotion(motion, reader.frames(range(length)), None if audio is None else {"waveform": audio[0], "sample_rate": audio[1]})

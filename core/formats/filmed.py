"""A motion together with the video it was taken from."""

from dataclasses import dataclass, replace
from pathlib import Path

from torch import Tensor

from ..geometry.cameras import with_camera
from ..types import Frame, Motion
from .motion_files import open_motions
from .video import read_video

_UNKNOWN_SIZE = (1024, 1024)


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
    """
    file = open_motions(path)
    reader = None if video is None else read_video(video, max_side=max_side)
    notes = () if reader is None else reader.notes
    if fps is None and reader is not None and file.clip(clip).info.fps is None:
        fps = reader.fps
        notes = (f"{fps:g} fps taken from {video.name}: {path.name} names none", *notes)
    motion = file.motion(clip=clip, person=person, fps=fps)
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

"""Joints of NLF, and MTVCrafter's files of them: camera space (OpenCV axes), millimetres, SMPL-24.

MTVCrafter's data is a list of {pose (T, 24, 3), video_path, video_length, video_height, video_width}; its extraction script writes one such
dictionary whose pose is NLF's own result {"joints3d_nonparam": for each frame a list of one tensor (people, 24, 3)}. In an npz every array
(T, 24, 3) is a clip, with its frame rate in NAME_fps or fps.

A bare array names neither unit nor axes. Where the median of |coordinate| is above 20 it is taken as millimetres, else as metres, unless its name
ends in _mm or _m. Where y is larger at the head than at the feet in most frames it is taken as world space (Y up), else as camera space.
"""

from pathlib import PurePosixPath
from typing import Any

import numpy as np

from ..skeletons import SMPL24
from ..types import Frame, ImageSize, Motion
from .clips import BY_JOINTS, MAX_FRAMES, MAX_PEOPLE, Clip, ClipInfo, check_frames, chosen_rate, measured_motion, usable_rate, usable_size
from .npz import NpzFile
from .pickled_arrays import Pickled, PickledTable

_MILLIMETRE = 1e-3
_MILLIMETRES_ABOVE = 20.0
_UNTRACKED = "people are in the order in which each frame found them, not tracked from frame to frame"
_HEAD, _FEET = SMPL24.index("head"), [SMPL24.index("left_foot"), SMPL24.index("right_foot")]


def _check_joints(shape: tuple[int, ...]) -> None:
    if len(shape) != 3 or shape[1] not in BY_JOINTS or shape[2] != 3:
        raise ValueError(f"joints have shape {shape}, expected (frames or people, 24, 3): the SMPL-24 joints of NLF or MTVCrafter")


def _people(frame: Any) -> Pickled | None:
    """The tensor (P, 24, 3) or (24, 3) of one frame, which may come in a list of one; None for a frame without people."""
    for _ in range(2):
        if isinstance(frame, (list, tuple)) and len(frame) == 1:
            frame = frame[0]
    if isinstance(frame, (list, tuple)) and not frame:
        return None
    if not isinstance(frame, Pickled):
        raise ValueError("a frame of joints3d_nonparam is no tensor, expected (people, 24, 3)")
    if 0 in frame.shape[:1]:
        return None
    _check_joints(frame.shape if len(frame.shape) == 3 else (1, *frame.shape))
    if len(frame.shape) == 3 and frame.shape[0] > MAX_PEOPLE:
        raise ValueError(f"a frame has {frame.shape[0]:,} people, at most {MAX_PEOPLE:,} are read")
    return frame


def _track(frames: list[Pickled | None], person: int, joints: int) -> np.ndarray:
    """(T, J, 3) of one person, NaN where a frame has fewer people."""
    track = np.full((len(frames), joints, 3), np.nan, np.float32)
    for index, frame in enumerate(frames):
        if frame is not None:
            people = frame.array().reshape(-1, joints, 3)
            if person < len(people):
                track[index] = people[person]
    return track


def _clip(source: Any, name: str, kind: str, *, size: ImageSize | None = None, fps: float | None = None, length: Any = None) -> Clip:
    """A clip of millimetres: an array (T, 24, 3), or a list of frames with people. length: frames of the video, if the file names them."""
    if isinstance(source, Pickled):
        _check_joints(source.shape)
        frames, people, joints = source.shape[0], 1, source.shape[1]
        check_frames(frames)
    elif isinstance(source, (list, tuple)):
        check_frames(len(source))
        source = [_people(frame) for frame in source]
        shapes = {frame.shape for frame in source if frame is not None}
        if len({shape[-2] for shape in shapes}) != 1:
            raise ValueError(f"'{name}' shows nobody in any of its frames, or people of different joint counts")
        frames, joints = len(source), next(iter(shapes))[-2]
        people = max(shape[0] if len(shape) == 3 else 1 for shape in shapes)
    else:
        raise ValueError(f"the joints of '{name}' are of type {type(source).__name__}, expected an array (frames, 24, 3)")

    def build(person: int, given: float | None) -> Motion:
        rate, notes = chosen_rate(given, fps)
        if people > 1:
            notes = (*notes, _UNTRACKED)
        if isinstance(length, int) and length != frames:
            notes = (*notes, f"the file names {length} frames of video and holds {frames} frames of joints")
        track = source.array() if isinstance(source, Pickled) else _track(source, person, joints)
        return measured_motion(track, scale=_MILLIMETRE, frame=Frame.CAMERA, fps=rate, image_size=size, notes=notes)

    return Clip(ClipInfo(name, frames, people, joints, fps, size, kind), build)


def _described(entry: dict, number: int) -> Clip:
    """One dictionary of MTVCrafter's layout."""
    table = PickledTable(entry)
    path = table.value("video_path")
    name = PurePosixPath(path[-4096:].replace("\\", "/")).stem[:80] if isinstance(path, str) else ""
    pose, kind = entry["pose"], "mtvcrafter"
    if isinstance(pose, dict) and "joints3d_nonparam" in pose:
        pose, kind = pose["joints3d_nonparam"], "nlf"
    size = usable_size(table.value("video_height"), table.value("video_width"))
    length = table.value("video_length")
    return _clip(pose, name or f"clip{number}", kind, size=size, fps=usable_rate(table.value("fps")), length=length)


def pickled_clips(value: Any) -> list[Clip]:
    """Clips of an unpickled MTVCrafter list, one of its dictionaries, NLF's result, or one array of joints.

    Raises:
        ValueError: none of these.
    """
    if isinstance(value, Pickled):
        return [_clip(value, "clip0", "nlf")]
    if isinstance(value, dict) and "joints3d_nonparam" in value:
        return [_clip(value["joints3d_nonparam"], "clip0", "nlf")]
    entries = value if isinstance(value, (list, tuple)) else [value]
    if not entries or not all(isinstance(entry, dict) and "pose" in entry for entry in entries):
        raise ValueError(
            "no motion is in it, expected MTVCrafter's list of {pose, video_height, video_width, ...} or NLF's joints3d_nonparam"
        )
    # A few bytes can name the same long list many times over.
    listed = sum(
        len(frames) for entry in entries for frames in (entry["pose"], *_values(entry["pose"])) if isinstance(frames, (list, tuple))
    )
    if len(entries) > MAX_FRAMES // 10 or listed > 2 * MAX_FRAMES:
        raise ValueError(f"the file has {len(entries):,} clips of {listed:,} listed frames, more than is read: split it")
    return [_described(entry, number) for number, entry in enumerate(entries)]


def _values(pose: Any) -> tuple:
    return (pose.get("joints3d_nonparam"),) if isinstance(pose, dict) else ()


def _conventions(name: str, track: np.ndarray) -> tuple[float, Frame, tuple[str, ...]]:
    """Metres of one unit, axes, and what was assumed, of a bare array of joints."""
    if name.endswith(("_mm", "_m")):
        scale = _MILLIMETRE if name.endswith("_mm") else 1.0
        notes: tuple[str, ...] = ()
    else:
        finite = np.abs(track[np.isfinite(track)]) if track.dtype.kind == "f" else np.abs(track)
        median = float(np.median(finite)) if finite.size else 0.0
        scale = _MILLIMETRE if median > _MILLIMETRES_ABOVE else 1.0
        notes = (f"{'millimetres' if scale < 1 else 'metres'} assumed: the median coordinate is {median:.4g}",)
    with np.errstate(invalid="ignore", over="ignore"):
        upright = np.mean(track[:, _HEAD, 1] > track[:, _FEET, 1].mean(-1)) > 0.5
    if upright:
        return scale, Frame.WORLD, (*notes, "world axes (Y up) assumed: the head has a larger y than the feet")
    return scale, Frame.CAMERA, (*notes, "camera axes (y down) assumed: the head has a smaller y than the feet")


def array_clips(file: NpzFile) -> list[Clip]:
    """Every array (T, 24, 3) or (T, 55, 3) of an npz as a clip, in the order of the file."""

    def clip(name: str) -> Clip:
        shape = file.shape(name)
        title = name.removesuffix("_mm").removesuffix("_m").removesuffix("_joints") or name
        fps = usable_rate(next((value for key in (f"{title}_fps", f"{name}_fps", "fps") if (value := file.value(key)) is not None), None))

        def build(person: int, given: float | None) -> Motion:
            track = file.read(name)
            if track.dtype.kind not in "fiu":
                raise ValueError(f"array '{name}' holds {track.dtype}, expected numbers")
            rate, notes = chosen_rate(given, fps)
            scale, frame, assumed = _conventions(name, track)
            return measured_motion(track, scale=scale, frame=frame, fps=rate, notes=(*notes, *assumed))

        check_frames(shape[0])
        return Clip(ClipInfo(title, shape[0], 1, shape[1], fps, None, "nlf"), build)

    found = [name for name, head in file.headers.items() if len(head.shape) == 3 and head.shape[1] in BY_JOINTS and head.shape[2] == 3]
    return [clip(name) for name in found]

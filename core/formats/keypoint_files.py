"""Files of POSE_KEYPOINT: JSON lists with one entry for each frame, as nodes that save the poses of DWPose and OpenPose write them."""

from pathlib import Path
from typing import Any

from .untrusted import naming, parse_json, read_bytes
from .wires.payloads import entry, frame_list
from .wires.pose_keypoints import KIND

SUFFIXES = (".json",)
_LARGEST = 128 << 20
_MOST_FRAMES = 1_000_000


def load_pose_keypoints(path: str | Path) -> list[dict[str, Any]]:
    """The frames of a file as POSE_KEYPOINT; a file of one frame may leave out the list.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: no JSON, or frames without people or canvas, such as those of the OpenPose program itself; it names the file.
    """
    path = Path(path)
    with naming(path):
        document = parse_json(read_bytes(path, limit=_LARGEST))
        frames = frame_list([document] if isinstance(document, dict) else document, KIND)
        if len(frames) > _MOST_FRAMES:
            raise ValueError(f"{len(frames):,} frames, at most {_MOST_FRAMES:,} are read: split it")
        for number, frame in enumerate(frames):
            people, *_ = (entry(frame, key, kind=f"{KIND}, frame {number}") for key in ("people", "canvas_width", "canvas_height"))
            if people is not None and not isinstance(people, list):
                raise ValueError(f"people of frame {number} is {type(people).__name__}, expected a list")
        return frames


def keypoints_report(frames: list[dict[str, Any]]) -> str:
    """Frames, canvas and people of POSE_KEYPOINT in words."""
    people = [len(frame["people"] or []) for frame in frames]
    size = f"{frames[0]['canvas_width']}x{frames[0]['canvas_height']}"
    return (
        f"{len(frames)} frames of {size} pixels; {sum(count > 0 for count in people)} of them show somebody, at most {max(people)} at once"
    )

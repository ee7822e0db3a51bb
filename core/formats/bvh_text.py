"""The text of a BVH file: joint tree and channel values in the file's own units and degrees."""

import io
import math
import re
from dataclasses import dataclass, field

import numpy as np

from .clips import check_frames, usable_rate

MAX_JOINTS = 1000
_MAX_VALUES = 20_000_000
_LONGEST_LINE = 1 << 20
_MAX_BLANK_LINES = 100_000
_FARTHEST = 1e6  # positions in any unit and angles beyond this are no motion of a body
_CHANNELS = tuple(f"{axis}{kind}" for kind in ("position", "rotation") for axis in "XYZ")
_COMMON_RATES = (30.0, 60.0, 24.0, 25.0, 120.0, 50.0, 100.0, 15.0, 90.0, 240.0, 30000 / 1001, 24000 / 1001, 60000 / 1001)

Offset = tuple[float, float, float]


@dataclass
class TextJoint:
    """A ROOT or JOINT. parent: index, -1 for a root."""

    name: str
    parent: int
    offset: Offset | None = None
    channels: tuple[str, ...] = ()


@dataclass
class BvhText:
    """joints, parents first; ends: (parent, offset) of the end sites; values: (T, channels of all joints in turn); fps or None."""

    joints: list[TextJoint] = field(default_factory=list)
    ends: list[tuple[int, Offset]] = field(default_factory=list)
    values: np.ndarray | None = None
    fps: float | None = None


class _Lines:
    """Lines as words, with their numbers; empty ones are skipped."""

    def __init__(self, data: bytes):
        self._stream = io.BytesIO(data if b"\n" in data else data.replace(b"\r", b"\n"))
        self._blank = 0
        self.number = 0

    def words(self) -> list[bytes]:
        """Words of the next line that has any; none at the end of the file."""
        while line := self._stream.readline(_LONGEST_LINE):
            self.number += 1
            if len(line) == _LONGEST_LINE:
                raise self.error(f"it has more than {_LONGEST_LINE:,} characters")
            if words := line.split():
                return words
            self._blank += 1
            if self._blank > _MAX_BLANK_LINES:
                raise self.error(f"there are more than {_MAX_BLANK_LINES:,} empty lines")
        return []

    def text(self, expected: str) -> list[str]:
        """Words of the next line as text; ValueError at the end of the file."""
        words = self.words()
        if not words:
            raise self.error(f"the file ends where {expected} is expected: it is cut short")
        return [word.decode("utf-8", "replace") for word in words]

    def error(self, message: str) -> ValueError:
        """A ValueError that names the line."""
        return ValueError(f"line {self.number}: {message}")


def _offset(words: list[str], lines: _Lines) -> Offset:
    try:
        values = tuple(float(word) for word in words)
    except ValueError:
        values = ()
    if len(values) != 3 or not all(abs(value) <= _FARTHEST for value in values):
        raise lines.error(f"OFFSET needs 3 finite numbers, found {' '.join(words)[:80]!r}")
    return values


def _channels(words: list[str], lines: _Lines) -> tuple[str, ...]:
    names = tuple(word.capitalize() for word in words[1:])
    if words[:1] != [str(len(names))] or len(names) > 6 or not set(names) <= set(_CHANNELS):
        raise lines.error(f"CHANNELS needs a count and as many of {', '.join(_CHANNELS)}, found {' '.join(words)[:120]!r}")
    if len({name for name in names if name.endswith("position")}) != sum(name.endswith("position") for name in names):
        raise lines.error("CHANNELS names a position twice")
    return names


def _add_joint(tree: BvhText, name: str, parent: int, lines: _Lines) -> None:
    if len(tree.joints) >= MAX_JOINTS:
        raise lines.error(f"more than {MAX_JOINTS} joints, which is no skeleton of a body")
    if not name or any(joint.name == name for joint in tree.joints):
        raise lines.error(f"joint {name[:80]!r} needs a name that no other joint has")
    tree.joints.append(TextJoint(name, parent))


def _parse_tree(lines: _Lines, tree: BvhText) -> None:
    """Everything from HIERARCHY to MOTION."""
    if lines.text("HIERARCHY")[0].upper() not in ("HIERARCHY", "\ufeffHIERARCHY"):
        raise lines.error("expected HIERARCHY")
    blocks: list[int] = []  # the joint of each open brace, -1 for an end site
    while (words := lines.text("MOTION"))[0].upper() != "MOTION" or blocks:
        key, inside = words[0].upper(), blocks[-1] if blocks else None
        if key == "ROOT" if inside is None else key in ("JOINT", "END") and inside >= 0:
            if key != "END":
                _add_joint(tree, " ".join(words[1:]).removesuffix("{").strip()[:120], -1 if inside is None else inside, lines)
            if words[-1] != "{" and lines.text("{") != ["{"]:
                raise lines.error(f"expected {{ after {words[0]}")
            blocks.append(-1 if key == "END" else len(tree.joints) - 1)
        elif key == "OFFSET" and inside is not None:
            offset = _offset(words[1:], lines)
            if inside < 0:
                tree.ends.append((blocks[-2], offset))
            else:
                tree.joints[inside].offset = offset
        elif key == "CHANNELS" and inside is not None and inside >= 0:
            tree.joints[inside].channels = _channels(words[1:], lines)
        elif set(words) == {"}"} and len(words) <= len(blocks):
            for joint in (blocks.pop() for _ in words):
                if joint >= 0 and tree.joints[joint].offset is None:
                    raise lines.error(f"joint '{tree.joints[joint].name}' has no OFFSET")
        else:
            raise lines.error(f"{words[0][:40]!r} does not belong here, expected ROOT, JOINT, End Site, OFFSET, CHANNELS, }} or MOTION")
    if not tree.joints:
        raise lines.error("there is no ROOT before MOTION")


def _parse_values(lines: _Lines, tree: BvhText) -> None:
    """Everything behind MOTION."""
    words = lines.text("Frames:")
    if words[0].upper() != "FRAMES:" or len(words) != 2 or not re.fullmatch(r"[0-9]{1,12}", words[1]):
        raise lines.error(f"expected 'Frames: COUNT', found {' '.join(words)[:80]!r}")
    count, width = int(words[1]), sum(len(joint.channels) for joint in tree.joints)
    check_frames(count)
    if count * width > _MAX_VALUES:
        raise lines.error(f"{count:,} frames of {width:,} channels are too many: cut the motion into clips")
    words = lines.text("Frame Time:")
    if [word.upper() for word in words[:-1]] != ["FRAME", "TIME:"]:
        raise lines.error(f"expected 'Frame Time: SECONDS', found {' '.join(words)[:80]!r}")
    tree.fps = written_rate(words[-1])
    rows = []
    while len(rows) < count and (values := lines.words() if width else []):
        if len(values) != width:
            raise lines.error(f"{len(values):,} values, the channels of the hierarchy need {width:,}")
        try:
            row = np.array([float(value) for value in values])
        except ValueError:
            raise lines.error("a value of the motion is no number") from None
        if not (np.abs(row) <= _FARTHEST).all():
            raise lines.error(f"a value of the motion is NaN, infinite or beyond {_FARTHEST:g}")
        rows.append(row)
    if width and len(rows) < count:
        raise lines.error(f"{count:,} frames are announced, {len(rows):,} are there: the file is cut short")
    if lines.words():
        raise lines.error(f"more lines follow the {count:,} frames that are announced")
    tree.values = np.stack(rows) if width else np.zeros((count, 0))


def written_rate(frame_time: str) -> float | None:
    """Frames per second of a frame time as it is written; None if it is no time.

    Programs round: 0.0333 means 30. A common rate whose inverse rounds to the written digits is taken, an exact one before all others.
    """
    seconds = usable_rate(frame_time)
    if seconds is None:
        return None
    digits = len(frame_time.partition(".")[2]) if re.fullmatch(r"\d*\.\d{2,17}", frame_time) else 0
    rounded = [rate for rate in _COMMON_RATES if digits and float(f"{1 / rate:.{digits}f}") == seconds]
    exact = (rate for rate in rounded if math.isclose(1 / rate, seconds, rel_tol=1e-9))
    return next(exact, rounded[0] if rounded else usable_rate(1 / seconds))


def parse_bvh(data: bytes) -> BvhText:
    """Parse a whole BVH file.

    Raises:
        ValueError: names the line.
    """
    lines, tree = _Lines(data), BvhText()
    _parse_tree(lines, tree)
    _parse_values(lines, tree)
    return tree

"""Motion files of every kind that is read: what a file is, its contents decide; the suffix decides only where they leave it open."""

import io
import math
from dataclasses import dataclass
from pathlib import Path

from ..body.animation import animation_of
from ..types import Motion
from .bvh import bvh_clip, save_bvh
from .clips import Clip, ClipInfo
from .glb_writer import animated_glb, save_animated_glb
from .nlf import array_clips, pickled_clips
from .npz import NpzFile, own_clips, save_npz
from .pickled_arrays import PickledTable
from .pickles import read_pickle
from .smpl_params import flattened, parameter_clips
from .untrusted import Archive, naming, read_bytes
from .wires.kimodo import kimodo_clips

_PICKLE_SUFFIXES = (".pkl", ".pickle", ".p", ".pt", ".pth")
READ_SUFFIXES = (".npz", *_PICKLE_SUFFIXES, ".bvh")
WRITE_SUFFIXES = (".npz", ".bvh", ".glb")


def _npz_clips(data: bytes) -> list[Clip]:
    file = NpzFile(data)
    if "motion4d_version" in file:
        return own_clips(file)
    clips = parameter_clips(file) or kimodo_clips(file) or array_clips(file)
    if not clips:
        found = ", ".join(f"{name} {head.shape if head.dtype else 'of Python objects'}" for name, head in list(file.headers.items())[:12])
        raise ValueError(
            f"no motion is in it: it has {found or 'no arrays'}; expected joints (frames, 24, 3), AMASS (poses, trans), GVHMR (body_pose, "
            "global_orient, transl) or Motion4D arrays, without Python objects"
        )
    return clips


def _pickle_clips(data: bytes) -> list[Clip]:
    value = read_pickle(data)
    clips = parameter_clips(PickledTable(flattened(value))) if isinstance(value, dict) else []
    return clips or pickled_clips(value)


def _read_clips(path: Path) -> list[Clip]:
    suffix = path.suffix.lower()
    data = read_bytes(path)
    if data[:4] == b"PK\x03\x04":
        is_torch = any(name.endswith("data.pkl") for name in Archive(data).names)
        return _pickle_clips(data) if is_torch else _npz_clips(data)
    if suffix == ".npz":
        raise ValueError(f"it begins with {data[:4]!r}, not like an npz archive: it is damaged, or of another kind than its name says")
    if data[:4] == b"glTF":
        raise ValueError("it is a GLB, which holds a character: load it as a rig")
    if data[:200].lstrip(b"\xef\xbb\xbf \t\r\n")[:9].upper() == b"HIERARCHY" or suffix == ".bvh":
        return [bvh_clip(data, path.stem)]
    if data[:1] == b"\x80" or suffix in _PICKLE_SUFFIXES:
        return _pickle_clips(data)
    raise ValueError(f"no motion format is known for it, expected one of {', '.join(READ_SUFFIXES)}")


@dataclass(frozen=True, eq=False)
class MotionFile:
    """The clips of a file that has been read, none of them converted yet."""

    path: Path
    clips: tuple[Clip, ...]

    @property
    def infos(self) -> tuple[ClipInfo, ...]:
        """What the clips are."""
        return tuple(clip.info for clip in self.clips)

    def clip(self, number: int) -> Clip:
        """A clip from 0; ValueError lists the clips if there is no such one."""
        with naming(self.path):
            if not 0 <= number < len(self.clips):
                listed = "; ".join(map(str, self.infos[:10]))
                raise ValueError(f"there is no clip {number}: the file has {len(self.clips)}, from 0: {listed}")
            return self.clips[number]

    def motion(self, *, clip: int = 0, person: int = 0, fps: float | None = None) -> Motion:
        """One person of one clip; see `load_motion`."""
        chosen = self.clip(clip)
        with naming(self.path):
            if fps is not None and not (math.isfinite(fps) and fps > 0):
                raise ValueError(f"fps is {fps}, expected a finite number above 0")
            if not 0 <= person < chosen.info.people:
                raise ValueError(f"there is no person {person}: clip {clip} has {chosen.info.people}, from 0")
            return chosen.build(person, fps)


def open_motions(path: str | Path) -> MotionFile:
    """Read a motion file without converting its clips.

    Raises:
        ValueError: the file is damaged, hostile or holds no motion; FileNotFoundError: there is none.
    """
    path = Path(path)
    with naming(path):
        return MotionFile(path, tuple(_read_clips(path)))


def describe_motions(path: str | Path) -> tuple[ClipInfo, ...]:
    """What clips a motion file holds; raises as `open_motions`."""
    return open_motions(path).infos


def load_motion(path: str | Path, *, clip: int = 0, person: int = 0, fps: float | None = None) -> Motion:
    """Read one person of one clip: MTVCrafter and NLF pickles, torch files, AMASS, GVHMR, NLF and Motion4D npz, BVH.

    Nothing in the file is executed. What was assumed is in `Motion.notes`.

    Args:
        clip, person: from 0; `describe_motions` lists them.
        fps: overrides the file's frame rate; without either 30 is assumed.

    Raises:
        ValueError: the file is damaged, hostile or holds no motion, or has no such clip or person; FileNotFoundError: there is none.
    """
    return open_motions(path).motion(clip=clip, person=person, fps=fps)


def save_motion(motion: Motion, path: str | Path) -> None:
    """Write a motion by the suffix of `path`: npz (everything, exact), bvh or glb (an animated skeleton in world axes).

    Raises:
        ValueError: another suffix, or for bvh and glb a root joint that is missing in every frame. No file is left half written.
    """
    path = Path(path)
    match path.suffix.lower():
        case ".npz":
            save_npz(motion, path)
        case ".bvh":
            save_bvh(animation_of(motion), path)
        case ".glb":
            save_animated_glb(animation_of(motion), path)
        case suffix:
            raise ValueError(f"{path}: motions are not written as '{suffix}', choose one of {', '.join(WRITE_SUFFIXES)}")


def motion_as_glb(motion: Motion) -> io.BytesIO:
    """The motion as an animated figure in a GLB held in memory; ValueError as `save_motion`."""
    return io.BytesIO(animated_glb(animation_of(motion)))

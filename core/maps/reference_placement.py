"""Temporal alignment: the reference picture moved so that its person stands where the first pose stands (HVG)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..geometry.cameras import check_camera
from ..types import CameraRig, Frame, Motion
from .body_place import cameras_of_pictures, pelvis_pixels, standing_height
from .cropping import flatten_alpha
from .resampling import resample

FILLS = ("edge", "colour")
_PERSON = 0.5  # masks are above it on the person


@dataclass(frozen=True, eq=False, kw_only=True)
class ReferencePerson:
    """The person in a reference picture. pelvis: (x, y) pixels. height: pixels from head to foot, or None. source: what tells it."""

    pelvis: tuple[float, float]
    height: float | None
    source: str


@dataclass(frozen=True, eq=False, kw_only=True)
class PlacedReference:
    """A reference picture in its place: picture (H, W, 3); padding (H, W) bool, true where it was filled up; shift (x, y) pixels, applied after scale;
    frame: the pose that it was placed on."""

    picture: Tensor
    padding: Tensor
    shift: tuple[int, int]
    scale: float
    frame: int
    notes: tuple[str, ...] = ()

    def report(self) -> str:
        """What was done, in lines."""
        scaled = "" if self.scale == 1 else f"scaled by {self.scale:.3f}, then "
        share = float(self.padding.float().mean())
        return "\n".join(
            [f"reference {scaled}moved by ({self.shift[0]}, {self.shift[1]}) pixels; {share:.0%} of the picture is padding", *self.notes]
        )


def find_person(
    picture: Tensor, *, motion: Motion | None = None, mask: Tensor | None = None, point: Sequence[float] | None = None
) -> ReferencePerson:
    """The person in a picture (H, W, 3 or 4): by a point, else a motion, else a mask, else the transparency of the picture.

    Args:
        motion: of the picture, in camera axes, with its camera; its first frame that shows the pelvis counts.
        mask: (H, W), above 0.5 on the person; the middle of the box around it stands for the pelvis, and its height for that of the person.
        point: (x, y) pixels of the pelvis.

    Raises:
        ValueError: nothing that tells, a mask that is empty or of another size, a motion in world axes or of a picture of other proportions, or a point
            outside the picture.
    """
    height, width = picture.shape[:2]
    if point is not None:
        if not (0 <= point[0] <= width and 0 <= point[1] <= height):
            raise ValueError(f"the point ({point[0]}, {point[1]}) is outside the reference of {width}x{height} pixels: give its pelvis")
        return ReferencePerson(pelvis=(float(point[0]), float(point[1])), height=None, source="the point")
    if motion is not None:
        return _by_motion(motion, height, width)
    source = "the mask" if mask is not None else "the transparency of the reference"
    if mask is None and picture.shape[-1] == 4 and (picture[..., 3] <= _PERSON).any():  # without anything transparent it tells nothing
        mask = picture[..., 3]
    if mask is None:
        raise ValueError("nothing tells where the person of the reference is: give a mask, a motion of the picture, or a point")
    if mask.shape != picture.shape[:2]:
        raise ValueError(
            f"the mask is {tuple(mask.shape)}, the reference {height}x{width}: give a mask of its size (a 64x64 one comes from pictures without transparency)"
        )
    person = mask > _PERSON
    if not person.any():
        raise ValueError(f"{source} shows nobody: expected values above 0.5 on the person of the reference (an inverted mask?)")
    rows, columns = (person.any(axis).nonzero()[:, 0] for axis in (1, 0))
    top, bottom, left, right = int(rows[0]), int(rows[-1]) + 1, int(columns[0]), int(columns[-1]) + 1
    return ReferencePerson(pelvis=((left + right) / 2, (top + bottom) / 2), height=float(bottom - top), source=source)


def _by_motion(motion: Motion, height: int, width: int) -> ReferencePerson:
    if motion.frame is not Frame.CAMERA:
        raise ValueError("the motion of the reference is in world axes: give the one that was extracted from the picture, in camera axes")
    rig = cameras_of_pictures(motion, None, (height, width))
    pixels, known = pelvis_pixels(motion, rig)
    frame = int(known[0].int().argmax())
    x, y = pixels[0, frame].tolist()
    return ReferencePerson(pelvis=(x, y), height=standing_height(motion, rig, 0, frame), source="its motion")


def place_reference(
    picture: Tensor,
    motion: Motion,
    rig: CameraRig,
    *,
    person: ReferencePerson,
    view: int = 0,
    match_height: bool = False,
    fill: str = "edge",
    background: Sequence[float] = (1.0, 1.0, 1.0),
) -> PlacedReference:
    """Move a picture by whole pixels so that the pelvis of its person lies on that of the first pose, in a picture as large as the view.

    Args:
        picture: (H, W, 3 or 4) in 0..1; transparency is laid over the background.
        person: from `find_person`. view: the camera that sees the pose. The pose is that of the first frame in which the view shows the pelvis.
        match_height: first scale the picture so that the person is as tall as the one of the motion would be if it stood where its pelvis is.
        fill: beyond the picture its "edge" goes on, or there is the background "colour" in 0..1.

    Raises:
        ValueError: a view that there is not, cameras that cannot show the motion, match_height with a person of unknown height, or a place from which
            nothing of the picture would be seen.
    """
    _check(picture, rig, person, view=view, match_height=match_height, fill=fill)
    check_camera(motion, rig)
    rig = rig.take_views([view])
    pixels, known = pelvis_pixels(motion, rig)
    frame = int(known[0].int().argmax())
    colour = torch.tensor([float(part) for part in background])
    picture = flatten_alpha(picture.detach().cpu().float(), colour)
    old = picture.shape[:2]
    scale = standing_height(motion, rig, 0, frame) / person.height if match_height else 1.0
    if scale != 1:
        picture = resample(picture, *(max(1, round(side * scale)) for side in old))
    # The scaled picture has whole sides: its own proportions tell where the person is.
    pelvis = [person.pelvis[axis] * picture.shape[1 - axis] / old[1 - axis] for axis in (0, 1)]
    shift = tuple(round(float(pixels[0, frame, axis]) - pelvis[axis]) for axis in (0, 1))
    placed, padding = _moved(picture, shift, rig.image_size, colour if fill == "colour" else None)
    notes = [f"the person of the reference was found by {person.source}"]
    if frame > 0:
        notes.append(f"the pelvis is missing before frame {frame}, whose pose was taken")
    return PlacedReference(picture=placed, padding=padding, shift=shift, scale=scale, frame=frame, notes=tuple(notes))


def _moved(picture: Tensor, shift: tuple[int, int], size: tuple[int, int], colour: Tensor | None) -> tuple[Tensor, Tensor]:
    """(H, W, 3) of `size`, and (H, W) where it is padded: pixel p of the picture comes to p + shift."""
    lines, inside = [], []
    for axis in (0, 1):
        line = torch.arange(size[axis]) - shift[1 - axis]
        inside.append((line >= 0) & (line < picture.shape[axis]))
        lines.append(line.clamp(0, picture.shape[axis] - 1))
    if not (inside[0].any() and inside[1].any()):
        raise ValueError(
            f"moved by {shift} pixels nothing of the reference is left in {size[1]}x{size[0]} pixels: the pose is out of the picture; "
            "align the views first, or take another view"
        )
    padding = ~(inside[0][:, None] & inside[1])
    placed = picture[lines[0]][:, lines[1]]
    if colour is not None:
        placed[padding] = colour
    return placed, padding


def _check(picture: Tensor, rig: CameraRig, person: ReferencePerson, *, view: int, match_height: bool, fill: str) -> None:
    if picture.dim() != 3 or picture.shape[-1] not in (3, 4) or 0 in picture.shape:
        raise ValueError(f"the reference is {tuple(picture.shape)}, expected one picture (H, W, 3), or 4 channels with transparency")
    if not 0 <= view < rig.views:
        raise ValueError(f"view is {view}, the cameras have {rig.views}: give 0 to {rig.views - 1}")
    if fill not in FILLS:
        raise ValueError(f"fill is '{fill}', expected one of {', '.join(FILLS)}")
    if match_height and person.height is None:
        raise ValueError("the height of the person of the reference is unknown: give a mask or a motion of it, or switch match_height off")

"""Masks of people in a film, one for each frame and person, whatever tells where they are: a segmenter, SAM 3, bone maps, or the motion itself."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor

from ..body.gaps import frame_ranges
from ..body.measurements import estimate_stature
from ..estimators.selection import sam_track_masks
from ..geometry.cameras import with_camera
from ..maps.body_place import cameras_of_pictures, pelvis_track
from ..maps.bone_maps import render_bone_maps
from ..maps.encodings import person_masks as masks_of_maps
from ..types import BoneMaps, CameraRig, Frame, ImageSize, Motion
from .clip_values import unit_masks
from .similarity import mask_boxes

GROWTH = 0.015  # of a person's height: what clothes and hair add to the ellipsoids of bones, see `headless.cue_sheets`
_PROPORTION = 0.02  # relative difference of the proportions up to which masks are those of the frames, resized
_CHUNK_PIXELS = 1 << 23  # pixels of bone maps drawn together
_NEAR = 0.05  # metres: what is nearer to the camera plane is not in the picture
_FRAMED = 0.97  # share of its box that nobody fills
CHOICES = ("largest", "index", "all")


@dataclass(frozen=True, eq=False, kw_only=True)
class PersonMasks:
    """Where each of P people is in each of T frames.

    masks: (P, T, H, W) float32 in 0..1. notes: what was assumed where the masks were made.
    """

    masks: Tensor
    notes: tuple[str, ...] = ()

    def __post_init__(self):
        if self.masks.dim() != 4 or 0 in self.masks.shape or self.masks.dtype != torch.float32:
            raise ValueError(f"PersonMasks: masks are {self.masks.dtype} {tuple(self.masks.shape)}, expected float32 (P, T, H, W)")
        if not self.masks.any():
            raise ValueError(
                "the masks are empty in all frames: there is nobody; check the segmenter, its prompt or threshold, or the camera"
            )
        if (self.masks > 0.5).all():
            raise ValueError(
                "the masks cover all of every frame: they tell nothing; give a picture that is cut out, or masks of a segmenter"
            )

    @property
    def areas(self) -> Tensor:
        """(P, T) pixels."""
        return self.masks.sum((2, 3))

    def chosen(self, how: str = "largest", index: int = 0) -> Tensor:
        """(T, H, W) of one person, or of everybody together.

        Args:
            how: "largest": of the largest area over all frames. "index": of this number. "all": everybody.

        Raises:
            ValueError: another way, or a person who does not exist.
        """
        if how not in CHOICES:
            raise ValueError(f"person is '{how}', expected one of {', '.join(CHOICES)}")
        if how == "all":
            return self.masks.amax(0)
        if how == "index" and not 0 <= index < len(self.masks):
            raise ValueError(f"person {index} does not exist: there are {len(self.masks)}, give 0 to {len(self.masks) - 1}")
        return self.masks[int(self.areas.sum(1).argmax()) if how == "largest" else index]

    def report(self) -> str:
        """Lines for a reader: how large each person is, and in which frames there is nothing of them."""
        people, frames, height, width = self.masks.shape
        lines = [f"{people} {'person' if people == 1 else 'people'} in {frames} frames of {width}x{height}"]
        for number, areas in enumerate(self.areas):
            absent = areas == 0
            share = 100 * float(areas[~absent].mean()) / (height * width) if not absent.all() else 0.0
            gone = f", empty in {int(absent.sum())} frames: {frame_ranges(absent)}" if absent.any() else ""
            lines.append(f"person {number}: {share:.1f} % of the picture where present{gone}")
            if _is_framed(self.masks[number]):
                lines.append(
                    f"note: the mask of person {number} is a full rectangle, as that of a picture with clear margins, and not of a person"
                )
        return "\n".join([*lines, *(f"note: {note}" for note in self.notes)])


def masks_for_frames(masks: Tensor, frames: int, image_size: ImageSize) -> tuple[Tensor, tuple[str, ...]]:
    """MASK of any segmenter as (T, H, W) float32 of the frames, with notes; masks of another size are resized where the proportions are the same.

    Args:
        masks: (T, h, w), or (T, 1, h, w), bool, 0..1 or bytes.

    Raises:
        ValueError: another number of masks than of frames, other proportions, or values outside 0..1.
    """
    if masks.dim() == 4 and masks.shape[1] == 1:
        masks = masks[:, 0]
    if masks.dim() != 3 or 0 in masks.shape:
        raise ValueError(f"mask is {tuple(masks.shape)}, expected (frames, height, width)")
    if len(masks) != frames:
        raise ValueError(
            f"there are {len(masks)} masks and {frames} frames: give one mask for each frame, made of the same frames (same frame rate, same cut)"
        )
    masks = unit_masks(masks, "the masks")
    (rows, columns), (height, width) = masks.shape[1:], image_size
    if (rows, columns) == (height, width):
        return masks, ()
    if abs(columns * height / (rows * width) - 1) > _PROPORTION:
        raise ValueError(
            f"masks of {columns}x{rows} do not fit frames of {width}x{height}: give masks of the same frames, before they are cropped or padded"
        )
    return _resized(masks, image_size), (f"masks of {columns}x{rows} resized to {width}x{height}",)


def masks_of_track(data: Any, frames: int, image_size: ImageSize) -> PersonMasks:
    """Everybody in ComfyUI's SAM3_TRACK_DATA, in its order.

    Raises:
        ValueError: other contents, nobody in it, another number of frames, or a video of other proportions.
    """
    first = sam_track_masks(data, 0)
    if len(first) != frames:
        raise ValueError(f"track_data is of {len(first)} frames, there are {frames}: track the same frames")
    size = data.get("orig_size")
    if size is not None and abs(size[1] * image_size[0] / (size[0] * image_size[1]) - 1) > _PROPORTION:
        raise ValueError(
            f"track_data is of a video of {size[1]}x{size[0]}, the frames have {image_size[1]}x{image_size[0]}: track the same frames"
        )
    people = (sam_track_masks(data, person).float() for person in range(data["packed_masks"].shape[1]))
    # SAM 3 sees the video stretched to a square of its own: the masks are stretched back.
    return PersonMasks(masks=torch.stack([_resized(masks, image_size) for masks in people]))


def masks_of_motion(
    motion: Motion,
    frames: int,
    image_size: ImageSize,
    *,
    rig: CameraRig | None = None,
    growth: float = GROWTH,
    advance: Callable[[int], None] | None = None,
) -> PersonMasks:
    """The body of a motion, drawn as ellipsoids and grown by what clothes and hair add.

    Args:
        rig: the camera of the film; without it the one that the motion came with.
        growth: share of the person's standing height.
        advance: called with the number of frames drawn since the last call.

    Raises:
        ValueError: a motion of another length than the film, no camera for a motion in world axes, several cameras, other proportions, or a body that is
            never in the picture.
    """
    if motion.frames != frames:
        raise ValueError(f"the motion has {motion.frames} frames, the film {frames}: cut both with Cut Motion, at the same frame rate")
    known = motion.notes
    if rig is None and motion.frame is Frame.CAMERA:
        motion = with_camera(motion, image_size)
    rig = cameras_of_pictures(motion, rig, image_size)
    if rig.views != 1:
        raise ValueError(f"there are {rig.views} cameras, a film has one: take one of them with Split Views")
    points, motion = rig.to_camera(motion.joints.detach())[0], motion.cpu()
    shown = ((points[..., 2].cpu() > _NEAR) & motion.seen).any(1).nonzero()[:, 0]
    masks = torch.zeros(frames, *image_size)
    for part in shown.split(max(1, _CHUNK_PIXELS // (image_size[0] * image_size[1]))):
        masks[part] = render_bone_maps(motion.take(part), rig.take_frames(part)).mask[0].float()
        if advance is not None:
            advance(len(part))
    grown = grow_masks(masks[None], growth, height=_standing(motion, rig))
    return PersonMasks(masks=grown, notes=motion.notes[len(known) :])


def masks_of_bone_maps(maps: BoneMaps, frames: int, image_size: ImageSize, *, growth: float = GROWTH) -> PersonMasks:
    """The people of bone maps, each where nobody is before them.

    Raises:
        ValueError: maps of several cameras, of another length, or of other proportions.
    """
    if len(maps.mask) != 1:
        raise ValueError(f"bone_maps have {len(maps.mask)} views, a film has one: render them with the camera of the film alone")
    people = [masks_for_frames(person[0], frames, image_size) for person in masks_of_maps(maps)]
    return PersonMasks(masks=grow_masks(torch.stack([masks for masks, _ in people]), growth), notes=people[0][1])


def grow_masks(masks: Tensor, share: float, *, height: float | None = None) -> Tensor:
    """Masks (P, T, H, W) grown by a share of each person's height; soft over one pixel. Negative shares shrink.

    Args:
        height: pixels; None takes that of each person's mask, the median over the frames.

    Raises:
        ValueError: a share outside -0.5..0.5.
    """
    import cv2

    if not -0.5 <= share <= 0.5:
        raise ValueError(f"growth is {share:g}, expected -0.5 to 0.5 of a person's height")
    if share == 0:
        return masks
    grown = torch.empty_like(masks)
    for person, out in zip(masks, grown, strict=True):
        hard = (person > 0.5).numpy(force=True).astype(np.uint8)
        reach = abs(share) * (_median_height(hard) if height is None else height)
        for picture, place in zip(hard, out, strict=True):
            ground = 1 - picture if share > 0 else picture
            if not ground.all() and ground.any():
                away = cv2.distanceTransform(ground, cv2.DIST_L2, cv2.DIST_MASK_PRECISE)
                inside = np.clip(reach + 1 - away, 0, 1) if share > 0 else np.clip(away - reach, 0, 1)
                place.copy_(torch.from_numpy(inside))
            else:
                place.copy_(torch.from_numpy(picture.astype(np.float32)))
    return grown


def mask_overlap(first: Tensor, second: Tensor) -> Tensor:
    """(T) intersection over union of masks (T, H, W), above 0.5 inside; NaN where both are empty."""
    a, b = first > 0.5, second > 0.5
    union = (a | b).sum((1, 2))
    return torch.where(union > 0, (a & b).sum((1, 2)) / union, torch.nan)


def _is_framed(masks: Tensor) -> bool:
    """Whether masks (T, H, W) fill the boxes around them, in the mean of the frames that have one."""
    boxes = mask_boxes(masks)
    there = ~boxes[:, 0].isnan()
    room = (boxes[there, 2:] - boxes[there, :2]).prod(1)
    return bool(there.any()) and float(((masks[there.to(masks.device)] > 0.5).sum((1, 2)).cpu() / room).mean()) > _FRAMED


def _standing(motion: Motion, rig: CameraRig) -> float | None:
    """Pixels of the person standing upright, the median over the frames; None where its stature cannot be told."""
    stature, (points, seen) = estimate_stature(motion), pelvis_track(motion)
    if stature is None or not seen.any():
        return None
    depth = rig.to_camera(points.to(rig.intrinsics))[0, :, 2].cpu()
    pixels = stature * rig.intrinsics[0, ..., 1, 1].cpu() / depth
    pixels = pixels[seen & (depth > _NEAR)]
    return float(pixels.median()) if len(pixels) else None


def _median_height(hard: np.ndarray) -> float:
    """Pixels from top to bottom of masks (T, H, W), where there are some."""
    rows = hard.any(2)
    rows = rows[rows.any(1)]
    if len(rows) == 0:
        return 0.0
    return float(np.median(rows.shape[1] - rows[:, ::-1].argmax(1) - rows.argmax(1)))


def _resized(masks: Tensor, image_size: ImageSize) -> Tensor:
    """(T, h, w) -> (T, H, W)."""
    if tuple(masks.shape[1:]) == tuple(image_size):
        return masks
    return torch.nn.functional.interpolate(masks[:, None], image_size, mode="bilinear", antialias=True)[:, 0].clamp_(0, 1)

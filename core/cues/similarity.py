"""The one scale and shift that bring the person of a driving video to the place of the person of a reference (DirectAnimator, equations 9 to 12)."""

import math

import torch
from torch import Tensor

from ..body.gaps import frame_ranges
from ..shapes import check_shapes
from ..types import Similarity
from .clip_values import unit_masks

SCALES = ("auto", "height", "face", "width")
SCALE_LIMITS = (0.2, 5.0)
PERSON = 0.5  # masks are above it on the person
_STANDING_FACE = 0.1  # of the height of somebody who stands: how high a face is, and how far its middle lies below the top of the hair
_HEAD = 0.13  # of it: down to the chin


def mask_boxes(masks: Tensor) -> Tensor:
    """Boxes (T, 4) x0 y0 x1 y1 around what is above 0.5 in masks (T, H, W) of 0..1: edges of pixels, NaN where a mask is empty."""
    person = masks > PERSON
    boxes = torch.full((len(masks), 4), torch.nan, dtype=torch.float64)
    for first, axis in ((0, 1), (1, 2)):  # columns that any row touches, then rows
        touched = person.any(axis).int().cpu()
        found = touched.any(1)
        begin, end = touched.argmax(1), touched.shape[1] - touched.flip(1).argmax(1)
        boxes[found, first], boxes[found, first + 2] = begin[found].double(), end[found].double()
    return boxes


def align_foreground(
    reference_mask: Tensor,
    driving_masks: Tensor,
    *,
    kept: Tensor | None = None,
    by: str = "auto",
    reference_face: Tensor | None = None,
    driving_faces: Tensor | None = None,
) -> Similarity:
    """One scale and shift for the whole clip: the median over frames of the ratio of heights, then the mean of the middles (equations 9 and 10).

    Empty masks and frames that were not kept count for nothing; a body that touches the upper and the lower border says nothing of its height. Where the
    reference is cut off below, or at least half of the driving frames are while the reference is not, heights are not comparable: faces are compared if
    there are some, and their middles brought together; else, for a reference that is cut off, widths, with the tops of the boxes brought together
    (the tops, because a whole body has its middle elsewhere than half a one). Where only the video has faces, a reference that is not cut off is taken to
    stand upright, with a face of a tenth of its height, and a note says so.

    Args:
        reference_mask: (H, W), and driving_masks: (T, h, w), above 0.5 on the person; 0..1, bool or bytes. Their sizes may differ.
        kept: (T) bool, frames whose mask is good; None: all.
        by: "auto" as above, or always "height", "face" or "width".
        reference_face: (4) x0 y0 x1 y1 pixels. driving_faces: (T, 4), NaN where there is none.

    Raises:
        ValueError: a reference without a person, a video of which no kept frame shows one, masks or boxes of other shapes, or "face" without faces.
    """
    target, boxes, good = _checked(reference_mask, driving_masks, kept, by)
    whole_picture = reference_mask.numel() > 1 and bool((unit_masks(reference_mask) > PERSON).all())
    edges = reference_mask.shape[0], driving_masks.shape[1]
    faces, face = _faces(reference_face, driving_faces, good)
    notes = [f"no person in frames {frame_ranges(boxes[:, 0].isnan())}"] if boxes[:, 0].isnan().any() else []
    cut_above, cut_below = boxes[:, 1] <= 0, boxes[:, 3] >= edges[1]
    if whole_picture:
        notes.append(
            "warning: the reference mask is all of the picture: nothing tells where its person is (a picture that is not cut out?)"
        )
    reference_cut = bool(target[3] >= edges[0])
    driving_cut = not reference_cut and 2 * int((good & cut_below).sum()) >= int(good.sum())
    whole = good & ~(cut_above & cut_below)
    if by == "auto":
        why = _height_says_nothing(reference_cut, driving_cut, whole)
        if why is not None and face is None and not reference_cut and not faces.isnan().all():
            face = _standing_face(reference_mask, target)
            notes.append(
                "no face of the reference was given: one was assumed at a tenth of its height, as of somebody who stands; give reference_face to be exact"
            )
        by = _read_from(why, reference_cut, whole, face is not None, notes)
    if by == "face" and face is None:
        raise ValueError(
            "the scale is to be read from faces, but not both the reference and a kept frame of the video have one: give their boxes, or take auto"
        )
    if by == "face":
        target, boxes, used = face, faces, ~faces[:, 0].isnan()
        ratios = _heights(target) / _heights(boxes[used])
    else:
        used = whole if by == "height" and whole.any() else good
        if by == "height" and (good & ~whole).any() and whole.any():
            notes.append(f"frames {frame_ranges(good & ~whole)} reach from the upper to the lower border: no height was read there")
        ratios = _heights(target) / _heights(boxes[used]) if by == "height" else _widths(target) / _widths(boxes[used])
    scale = float(ratios.quantile(0.5))
    limited = min(max(scale, SCALE_LIMITS[0]), SCALE_LIMITS[1])
    if limited != scale:
        notes.append(f"the scale of {scale:.3g} was limited to {limited:g}: check both masks")
    placed = used if by == "face" else good
    tops = by == "width" and reference_cut
    places = [_tops(found) if tops else _middles(found) for found in (target, boxes[placed])]
    return Similarity(scale=limited, shift=places[0] - limited * places[1].mean(0), by=by, used=used, notes=notes)


def _height_says_nothing(reference_cut: bool, driving_cut: bool, whole: Tensor) -> str | None:
    """Why heights cannot be compared; None where they can."""
    if reference_cut:
        return "the reference is cut off below"
    if not whole.any():
        return "every kept frame reaches from the upper to the lower border"
    return "at least half of the driving frames are cut off below" if driving_cut else None


def _read_from(why: str | None, reference_cut: bool, whole: Tensor, has_faces: bool, notes: list[str]) -> str:
    """What the scale is read from, and why if it is not the height."""
    if why is None:
        return "height"
    if has_faces:
        notes.append(f"{why}: the scale was read from the faces")
        return "face"
    lacking = "there are not faces of both: give reference_face and the faces of the video"
    if not reference_cut and whole.any():
        notes.append(f"{why}, and {lacking}; the scale was read from the heights, and may be too large")
        return "height"
    notes.append(f"{why}, and {lacking}; the scale was read from the widths, which arms and hair change")
    return "width"


def _standing_face(mask: Tensor, box: Tensor) -> Tensor:
    """(4) about where the face of somebody is who stands upright, from their mask (H, W) and its box (4): in the middle of the head's rows."""
    side = _STANDING_FACE * _heights(box)
    rows = slice(int(box[1]), int(box[1] + max(1, math.ceil(_HEAD * _heights(box)))))
    columns = (unit_masks(mask[rows].cpu()) > PERSON).sum(0).double()
    middle = (columns * (torch.arange(len(columns)) + 0.5)).sum() / columns.sum()
    middle = torch.stack([middle, box[1] + side])
    return torch.cat([middle - side / 2, middle + side / 2])


def _checked(reference_mask: Tensor, driving_masks: Tensor, kept: Tensor | None, by: str) -> tuple[Tensor, Tensor, Tensor]:
    """Box (4) of the reference, boxes (T, 4) of the video, and (T) which of them count."""
    if by not in SCALES:
        raise ValueError(f"by is '{by}', expected one of {', '.join(SCALES)}")
    check_shapes("align_foreground", reference_mask=(reference_mask, "H W"), driving_masks=(driving_masks, "T h w"), kept=(kept, "T"))
    if 0 in (*reference_mask.shape, *driving_masks.shape):
        raise ValueError(
            f"the masks are {tuple(reference_mask.shape)} and {tuple(driving_masks.shape)}, expected at least one frame and one pixel"
        )
    if kept is not None and kept.dtype != torch.bool:
        raise ValueError(f"kept is {kept.dtype}, expected bool")
    target = mask_boxes(unit_masks(reference_mask, "the reference mask")[None])[0]
    if target.isnan().any():
        raise ValueError("the reference mask shows nobody: expected values above 0.5 on the person of the reference (an inverted mask?)")
    boxes = mask_boxes(unit_masks(driving_masks, "the driving masks"))
    there = ~boxes[:, 0].isnan()
    if not there.any():
        raise ValueError("the driving masks show nobody in any frame: expected values above 0.5 on the person (an inverted mask?)")
    good = there if kept is None else there & kept.cpu()
    if not good.any():
        raise ValueError(f"none of the {int(there.sum())} frames that show a person was kept: loosen the gate, or segment again")
    return target, boxes, good


def _faces(reference: Tensor | None, driving: Tensor | None, good: Tensor) -> tuple[Tensor, Tensor | None]:
    """Faces (T, 4) of the frames that count, NaN elsewhere, and that of the reference (4); None unless there are both."""
    check_shapes("align_foreground", reference_face=(reference, "4"), driving_faces=(driving, "T 4"), good=(good, "T"))
    faces = torch.full((len(good), 4), torch.nan, dtype=torch.float64) if driving is None else driving.cpu().double()
    for name, found in (("reference_face", reference), ("driving_faces", driving)):
        if found is not None:
            check_boxes(found.reshape(-1, 4), name)
    faces = torch.where(good[:, None], faces, torch.nan)
    if reference is None or reference.isnan().any() or faces.isnan().all():
        return faces, None
    return faces, reference.cpu().double()


def check_boxes(boxes: Tensor, name: str) -> None:
    """Check boxes (T, 4) x0 y0 x1 y1.

    Raises:
        ValueError: a box that is partly NaN, infinite, or without width or height; it names the frame.
    """
    absent = boxes.isnan().all(-1)
    wrong = ~absent & ~(torch.isfinite(boxes).all(-1) & (boxes[:, 2] > boxes[:, 0]) & (boxes[:, 3] > boxes[:, 1]))
    if wrong.any():
        frame = int(wrong.int().argmax())
        raise ValueError(
            f"{name} of frame {frame} is {[round(float(x), 2) for x in boxes[frame]]}, expected x0 y0 x1 y1 with width and height above 0: "
            "check the detector, or leave the box out"
        )


def _heights(boxes: Tensor) -> Tensor:
    return boxes[..., 3] - boxes[..., 1]


def _widths(boxes: Tensor) -> Tensor:
    return boxes[..., 2] - boxes[..., 0]


def _middles(boxes: Tensor) -> Tensor:
    return (boxes[..., :2] + boxes[..., 2:]) / 2


def _tops(boxes: Tensor) -> Tensor:
    return torch.stack([(boxes[..., 0] + boxes[..., 2]) / 2, boxes[..., 1]], -1)

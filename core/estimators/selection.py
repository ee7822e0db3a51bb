"""Which person: by size, by presence, by place in the picture, or by masks of another tracker."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from ..body.gaps import frame_ranges
from .people import Detections
from .tracking import Track, boxes_of

WAYS = ("largest", "longest", "index", "mask", "point")


def in_order(detections: Detections, tracks: Sequence[Track]) -> tuple[Track, ...]:
    """Tracks from left to right where each of them first appears: the numbers by which people are chosen."""
    middles = [float(boxes_of(detections, one)[0, [0, 2]].mean()) for one in tracks]
    return tuple(one for _, one in sorted(zip(middles, tracks, strict=True), key=lambda pair: (pair[0], pair[1].id)))


def select(
    detections: Detections,
    tracks: Sequence[Track],
    how: str,
    *,
    index: int = 0,
    point: tuple[float, float] | None = None,
    frame: int = 0,
    masks: Tensor | None = None,
) -> Track:
    """Choose one of the tracks.

    Args:
        how: "largest": on average over the frames that show the person, by box. "longest": in most frames. "index": the one of this number, from left to right.
            "point": the one with a joint nearest to `point`, (x, y) pixels, in `frame`. "mask": the one with most joints inside `masks`.
        masks: (T, H, W), one for each frame, or (H, W) for `frame`; of any size, above 0.5 is inside.

    Raises:
        ValueError: nobody to choose from, or nobody at that place; a number, frame or mask that does not fit; an unknown way.
    """
    if how not in WAYS:
        raise ValueError(f"how is '{how}', expected one of {', '.join(WAYS)}")
    if not tracks:
        raise ValueError("nobody is seen long enough in this clip to be followed: there is no one to choose")
    count = len(detections.frames)
    if how in ("point", "mask") and not 0 <= frame < count:
        raise ValueError(f"frame is {frame}, the clip has {count}: give 0 to {count - 1}")
    ordered = in_order(detections, tracks)
    if how == "index":
        if not 0 <= index < len(ordered):
            raise ValueError(f"person {index} does not exist: {len(ordered)} people are followed, give 0 to {len(ordered) - 1}")
        return ordered[index]
    if how == "point":
        return _at_point(detections, ordered, point, frame)
    if how == "mask":
        return _in_masks(detections, ordered, masks, frame)
    if how == "longest":
        return max(ordered, key=len)
    return max(ordered, key=lambda one: _area(boxes_of(detections, one)))


def _area(boxes: Tensor) -> float:
    return float((boxes[:, 2:] - boxes[:, :2]).clamp(min=0).prod(-1).mean())


def _pixels(detections: Detections, track: Track, row: int) -> Tensor:
    """(N, 2) of the joints that one frame of a track shows, before the camera."""
    people, pick = detections.frames[int(track.frames[row])], int(track.picks[row])
    pixels = detections.camera.project(people.joints[pick][people.confidence[pick] > 0])[0][0]
    return pixels[torch.isfinite(pixels).all(-1)]


def _row(track: Track, frame: int) -> int | None:
    """Where a frame is in a track; None where it is not."""
    found = (track.frames == frame).nonzero()
    return int(found[0]) if len(found) else None


def _at_point(detections: Detections, tracks: Sequence[Track], point: tuple[float, float] | None, frame: int) -> Track:
    if point is None:
        raise ValueError("how is 'point': give the point, (x, y) in pixels")
    height, width = detections.image_size
    if not (0 <= point[0] <= width and 0 <= point[1] <= height):
        raise ValueError(
            f"the point is ({point[0]:g}, {point[1]:g}), the picture is {width} wide and {height} high: give a point inside it"
        )
    present = [(one, row) for one in tracks if (row := _row(one, frame)) is not None]
    shown = [(one, pixels) for one, row in present if len(pixels := _pixels(detections, one, row))]
    if not shown:
        ranges = ", ".join(f"{one.frames[0]}-{one.frames[-1]}" for one in tracks)
        raise ValueError(f"frame {frame} shows nobody who is followed: choose another frame; people are in frames {ranges}")
    aim = shown[0][1].new_tensor(point)
    return min(shown, key=lambda pair: float((pair[1] - aim).norm(dim=-1).min()))[0]


def _in_masks(detections: Detections, tracks: Sequence[Track], masks: Tensor | None, frame: int) -> Track:
    count = len(detections.frames)
    if masks is None:
        raise ValueError("how is 'mask': give one mask for each frame of the clip, or one for a single frame")
    if masks.dim() not in (2, 3) or 0 in masks.shape:
        raise ValueError(f"masks are {tuple(masks.shape)}, expected (frames, height, width) or (height, width)")
    masks = masks if masks.dim() == 3 else masks[None]
    if len(masks) not in (1, count):
        raise ValueError(
            f"there are {len(masks)} masks and {count} frames of people: give one mask for each frame, made at the frame rate of Extract Motion "
            f"({detections.fps:g} fps), or a single one"
        )
    single = len(masks) == 1 and count > 1
    scores = []
    for one in tracks:
        rows = range(len(one)) if not single else [row for row in (_row(one, frame),) if row is not None]
        scores.append(sum(_inside(detections, one, row, masks[0 if single else int(one.frames[row])]) for row in rows))
    if max(scores) == 0:
        raise ValueError(
            f"no joint of the {len(tracks)} people who are followed lies inside the mask" + (f" of frame {frame}" if single else "s")
        )
    return tracks[scores.index(max(scores))]


def _inside(detections: Detections, track: Track, row: int, mask: Tensor) -> int:
    """Joints inside a mask (H, W)."""
    sides = torch.tensor(mask.shape[::-1])
    cells = (_pixels(detections, track, row) * sides / torch.tensor(detections.image_size[::-1])).floor().long().cpu()
    x, y = cells[((cells >= 0) & (cells < sides)).all(-1)].unbind(-1)
    return int((mask.cpu()[y, x] > 0.5).sum())


def sam_track_masks(data: Any, object: int) -> Tensor:
    """Masks (T, H, W) bool of one object of ComfyUI's SAM3_TRACK_DATA.

    Its keys: packed_masks (T, objects, H, W / 8) uint8, eight pixels in a byte, the leftmost in the lowest bit (None where nothing was found), n_frames. The masks
    have the size of the model, not of the video.

    Raises:
        ValueError: other contents, no object at all, or not this one.
    """
    if not isinstance(data, Mapping) or "packed_masks" not in data:
        keys = ", ".join(map(str, data)) if isinstance(data, Mapping) else type(data).__name__
        raise ValueError(f"track_data is no SAM3_TRACK_DATA: expected a dictionary with packed_masks, it has {keys or 'nothing'}")
    packed = data["packed_masks"]
    if packed is None:
        raise ValueError("track_data has no objects: SAM 3 found nothing in the video")
    if not isinstance(packed, Tensor) or packed.dim() != 4 or packed.dtype != torch.uint8:
        raise ValueError("packed_masks of track_data is no tensor of (frames, objects, height, width / 8) bytes")
    if not 0 <= object < packed.shape[1]:
        raise ValueError(f"object {object} does not exist: track_data has {packed.shape[1]}, give 0 to {packed.shape[1] - 1}")
    chosen = packed[:, object].cpu()
    return (chosen[..., None].bitwise_and(2 ** torch.arange(8, dtype=torch.uint8)) > 0).flatten(-2)


def describe_people(detections: Detections, tracks: Sequence[Track]) -> str:
    """Lines for a reader: how long each person is present, from left to right, and when absent in between."""
    count = len(detections.frames)
    lines = [f"{len(tracks)} people in {count} frames"]
    for number, one in enumerate(in_order(detections, tracks)):
        first, last = int(one.frames[0]), int(one.frames[-1])
        away = torch.ones(count, dtype=torch.bool)
        away[one.frames] = False
        away[:first] = away[last + 1 :] = False
        boxes = boxes_of(detections, one)
        tall = float((boxes[:, 3] - boxes[:, 1]).mean())
        absent = f", unseen in between in {int(away.sum())}: {frame_ranges(away)}" if away.any() else ""
        lines.append(f"person {number}: in {len(one)} frames, from {first} to {last}, on average {tall:.0f} pixels tall{absent}")
    return "\n".join([*lines, *(f"note: {note}" for note in detections.notes)])

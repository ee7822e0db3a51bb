"""Where the face of one person is in every frame: the boxes and face points that other nodes hand on, and the choice among several faces."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..body.gaps import frame_ranges
from ..formats.wires.payloads import entry, frame_list
from ..formats.wires.pose_keypoints import face_from_pose_keypoints
from ..types import ImageSize
from .similarity import PERSON, check_boxes, mask_boxes

BOX = "BOUNDING_BOX"
_FACE_LABELS = {None, "face", "head"}
_LANDMARKS = 68  # of a face; pupils may follow
_CONFIDENT = 0.3  # landmarks below it are guesses, as on the back of a head
_ENOUGH = 0.5  # of the landmarks, for a face
_FOREHEAD = 0.3  # of the height from brows to chin: landmarks end at the brows, faces do not
_PROPORTION = 0.02  # relative difference of the proportions of pictures up to which one is the other resized
_REACH = 1.0  # sides of its box that a face moves from one frame to the next at most ...
_LONGER_REACH = 0.25  # ... and more for every frame in which it was not seen
_GROWTH = 2.0  # and its box grows or shrinks by less than this


@dataclass(frozen=True, eq=False, kw_only=True)
class FaceBoxes:
    """The face of one person. boxes: (T, 4) float64 x0 y0 x1 y1 pixels, NaN where there is none. notes: where there is none, and how it was chosen."""

    boxes: Tensor
    notes: tuple[str, ...] = ()

    @property
    def there(self) -> Tensor:
        """(T) true where there is a face."""
        return ~self.boxes[:, 0].isnan()

    def report(self) -> str:
        """Where there is a face, in lines."""
        missing = ~self.there
        where = f"; none in frames {frame_ranges(missing)}, where the cue is black" if missing.any() else ""
        return "\n".join([f"a face in {int(self.there.sum())} of {len(self.boxes)} frames{where}", *self.notes])


def faces_of_bounding_boxes(payload: Any, frames: int) -> list[Tensor]:
    """Candidates (N, 4) x0 y0 x1 y1 of every frame from ComfyUI's BOUNDING_BOX: {x, y, width, height} in pixels, a list of them, or such a list for each frame.

    A single box, one flat list, or the list of a single frame stands for all frames. Boxes with another label than face or head are left out.

    Raises:
        ValueError: other contents, boxes without width or height, lists for another number of frames, or labels of which none is that of a face.
    """
    if isinstance(payload, Mapping):
        payload = [[payload]]
    elif isinstance(payload, (list, tuple)) and payload and all(isinstance(one, Mapping) for one in payload):
        payload = [payload]
    lists = frame_list(payload, BOX)
    if len(lists) not in (1, frames):
        raise ValueError(f"there are boxes for {len(lists)} frames, the video has {frames}: detect faces in the same frames")
    labels: set[Any] = set()
    found = [_boxes(boxes, number, labels) for number, boxes in enumerate(lists)]
    if labels and not labels & _FACE_LABELS:
        raise ValueError(f"the boxes are labelled {', '.join(sorted(map(str, labels)))}: connect the boxes of a face detector")
    return found * frames if len(found) == 1 else found


def _boxes(boxes: Any, number: int, labels: set[Any]) -> Tensor:
    """The faces (N, 4) among the boxes of one frame; their labels are added to `labels`."""
    if not isinstance(boxes, (list, tuple)):
        raise ValueError(f"{BOX}: frame {number} is {type(boxes).__name__}, expected a list of boxes x, y, width, height")
    kind, rows = f"{BOX}, frame {number}", []
    for box in boxes:
        x, y, width, height = (_number(entry(box, key, kind=kind), key, kind) for key in ("x", "y", "width", "height"))
        label = box.get("label")
        labels.add(label)
        if label in _FACE_LABELS:
            rows.append((x, y, x + width, y + height))
    found = torch.tensor(rows, dtype=torch.float64).reshape(-1, 4)
    bad = ~(torch.isfinite(found).all(-1) & (found[:, 2] > found[:, 0]) & (found[:, 3] > found[:, 1]))
    if bad.any():
        x0, y0, x1, y1 = found[bad][0].tolist()
        raise ValueError(
            f"{kind}: a box at ({x0:g}, {y0:g}) has width {x1 - x0:g} and height {y1 - y0:g}, expected both above 0: check the detector"
        )
    return found


def _number(value: Any, key: str, kind: str) -> float:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise ValueError(f"{kind}: {key} is {value!r}, expected a number of pixels")
    return float(value)


def faces_of_pose_keypoints(payload: Any, frames: int, image_size: ImageSize) -> list[Tensor]:
    """Candidates (N, 4) x0 y0 x1 y1 of every frame from the face points of POSE_KEYPOINT, with the forehead that these leave out.

    Args:
        image_size: (H, W) of the video; canvases of the same proportions are resized to it.

    Raises:
        ValueError: other contents, another number of frames, a canvas of other proportions, or no face points at all.
    """
    people = [payload] if isinstance(payload, Mapping) else frame_list(payload, "POSE_KEYPOINT")
    most = max(len(entry(frame, "people", kind="POSE_KEYPOINT") or []) for frame in people)
    tracks = [face for person in range(most) if (face := face_from_pose_keypoints(payload, person=person)) is not None]
    if not tracks:
        raise ValueError("POSE_KEYPOINT has no face points in any frame: use a detector that finds faces (DWPose, SDPose), or give boxes")
    if len(people) != frames:
        raise ValueError(f"POSE_KEYPOINT has {len(people)} frames, the video {frames}: detect poses in the same frames")
    (height, width), (rows, columns) = tracks[0].image_size, image_size
    if abs(width * rows / (height * columns) - 1) > _PROPORTION:
        raise ValueError(
            f"POSE_KEYPOINT is of pictures of {width}x{height} pixels, the video has {columns}x{rows}: detect poses in these frames"
        )
    found: list[list[Tensor]] = [[] for _ in range(frames)]
    for track in tracks:
        pixels = track.pixels[0, :, :_LANDMARKS].double() * torch.tensor([columns / width, rows / height], dtype=torch.float64)
        sure = track.confidence[0, :, :_LANDMARKS] >= _CONFIDENT
        low = torch.where(sure[..., None], pixels, torch.inf).amin(1)
        high = torch.where(sure[..., None], pixels, -torch.inf).amax(1)
        low[:, 1] -= _FOREHEAD * (high - low)[:, 1]
        whole = (sure.sum(1) >= _ENOUGH * _LANDMARKS) & (high > low).all(-1)
        for frame in whole.nonzero()[:, 0].tolist():
            found[frame].append(torch.cat([low[frame], high[frame]]))
    return [torch.stack(boxes) if boxes else torch.zeros(0, 4, dtype=torch.float64) for boxes in found]


def choose_faces(candidates: Sequence[Tensor], image_size: ImageSize, *, masks: Tensor | None = None) -> FaceBoxes:
    """The face of one person among those (N, 4) of every frame.

    With masks of the person: the face that has the largest intersection over union with the upper third of the mask; where none touches it, as of somebody
    who bends down, the one that lies on the mask most. A face off the mask is somebody else's, and an empty mask has none. Without masks: the largest face of
    the clip, followed through time; a face that is too far away or of another size is somebody else's.

    Args:
        image_size: (H, W). masks: (T, H, W) above 0.5 on the person.

    Raises:
        ValueError: masks that do not go with the candidates, boxes without width or height, or boxes of which all lie beyond the picture.
    """
    for number, boxes in enumerate(candidates):
        check_boxes(boxes, f"a face (candidates of frame {number})")
    inside = [boxes[_touches(boxes, image_size)].double() for boxes in candidates]
    total, kept = (sum(map(len, lists)) for lists in (candidates, inside))
    if total and not kept:
        raise ValueError(
            f"all {total} faces lie beyond the picture of {image_size[1]}x{image_size[0]} pixels: they are of a video of another size"
        )
    notes = [f"{total - kept} faces beyond the edges of the picture left out"] if total > kept else []
    several = torch.tensor([len(boxes) > 1 for boxes in inside])
    if masks is not None:
        if masks.shape != (len(inside), *image_size):
            raise ValueError(
                f"the masks are {tuple(masks.shape)}, expected {(len(inside), *image_size)}: one for each frame, as large as the frames"
            )
        rows = _on_masks(inside, masks)
        how = "the one on the person's mask was taken"
    else:
        rows = _followed(inside) if several.any() else [0 if len(boxes) else None for boxes in inside]
        how = "the largest was taken and followed (give masks of the person to tell faces apart)"
    chosen = torch.full((len(inside), 4), torch.nan, dtype=torch.float64)
    for frame, row in enumerate(rows):
        if row is not None:
            chosen[frame] = inside[frame][row]
    if several.any():
        notes.append(f"several faces in frames {frame_ranges(several)}: {how}")
    others = torch.tensor([row is None and len(boxes) > 0 for row, boxes in zip(rows, inside, strict=True)])
    if others.any():
        notes.append(f"only other faces in frames {frame_ranges(others)}")
    return FaceBoxes(boxes=chosen, notes=tuple(notes))


def to_bounding_boxes(boxes: Tensor) -> list[list[dict[str, Any]]]:
    """Boxes (T, 4) as BOUNDING_BOX: a list of at most one box for each frame."""
    found = [[] if row[0].isnan() else [row.tolist()] for row in boxes]
    return [[{"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0, "label": "face"} for x0, y0, x1, y1 in rows] for rows in found]


def _touches(boxes: Tensor, image_size: ImageSize) -> Tensor:
    """(N) whether boxes lie in the picture at least in part."""
    return (boxes[:, 2] > 0) & (boxes[:, 3] > 0) & (boxes[:, 0] < image_size[1]) & (boxes[:, 1] < image_size[0])


def _on_masks(candidates: Sequence[Tensor], masks: Tensor) -> list[int | None]:
    """The candidate of each frame that is the face of the masked person, or None."""
    rows: list[int | None] = []
    for boxes, mask, around in zip(candidates, masks, mask_boxes(masks), strict=True):
        if not len(boxes) or around.isnan().any():
            rows.append(None)
            continue
        person = mask > PERSON
        third = person[: max(1, round(float(around[1] + (around[3] - around[1]) / 3)))]
        for region in (third, person):
            covered = torch.tensor([_overlap(box, region) for box in boxes.tolist()])
            if covered.max() > 0:
                rows.append(int(covered.argmax()))
                break
        else:
            rows.append(None)
    return rows


def _overlap(box: list[float], region: Tensor) -> float:
    """Intersection over union of a box and a region (h, w) of the picture, which begins at its upper edge."""
    x0, y0, x1, y1 = (max(0, round(place)) for place in box)
    common = int(region[y0:y1, x0:x1].sum())
    return common / (max(1, (x1 - x0) * (y1 - y0)) + int(region.sum()) - common)


def _followed(candidates: Sequence[Tensor]) -> list[int | None]:
    """The candidate of each frame that goes on from the largest face of the clip, or None."""
    rows: list[int | None] = [None] * len(candidates)
    start = max(range(len(candidates)), key=lambda frame: float(_sides(candidates[frame]).amax()) if len(candidates[frame]) else 0.0)
    rows[start] = int(_sides(candidates[start]).argmax())
    for order in (range(start + 1, len(candidates)), range(start - 1, -1, -1)):
        last, seen = candidates[start][rows[start]], start
        for frame in order:
            boxes = candidates[frame]
            if not len(boxes):
                continue
            away = ((boxes[:, :2] + boxes[:, 2:]) / 2 - (last[:2] + last[2:]) / 2).norm(dim=-1)
            growth = (_sides(boxes) / _sides(last)).log().abs().exp()
            reach = (_REACH + _LONGER_REACH * (abs(frame - seen) - 1)) * _sides(last)
            away = torch.where((away <= reach) & (growth < _GROWTH), away, torch.inf)
            if torch.isfinite(away).any():
                rows[frame] = int(away.argmin())
                last, seen = boxes[rows[frame]], frame
    return rows


def _sides(boxes: Tensor) -> Tensor:
    return (boxes[..., 2:] - boxes[..., :2]).amax(-1)

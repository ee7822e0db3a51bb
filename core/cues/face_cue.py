"""The face of a driving video, enlarged and in the middle, black where there is none (DirectAnimator's face cue)."""

import math

import torch
from torch import Tensor

from ..maps.alignment import smooth_path
from ..maps.cropping import crop_picture
from ..shapes import check_shapes
from ..types import ImageSize
from .clip_values import check_frames, colours
from .similarity import check_boxes

SHAPES = ("ellipse", "box")
MARGIN = 1.5  # sides of the crop in sides of the box: detectors' boxes are tight, chin and forehead are to be seen
SHARE = 0.9  # of the shorter side of the canvas that the enlarged face takes
_STEP = 16  # pixels: the side of the enlarged face is a multiple of it
_MEDIAN = 5  # frames
_ERROR = 2.0  # sides of its box that a false one lies aside of its neighbours at least
_BLACK = torch.zeros(3)


def face_cue(
    frames: Tensor,
    boxes: Tensor,
    *,
    margin: float = MARGIN,
    share: float = SHARE,
    smoothing: int = 5,
    enlarge: bool = True,
    size: ImageSize | None = None,
    mask_shape: str = "ellipse",
) -> tuple[Tensor, Tensor]:
    """One square crop around the face, of one size for the whole clip, enlarged in the middle of a black canvas; black where there is no face.

    Args:
        frames: (T, H, W, 3) float in 0..1 or uint8; with a fourth channel of transparency they lie on black.
        boxes: (T, 4) x0 y0 x1 y1 pixels, NaN where there is no face.
        margin: the side of the crop is the median over the clip of the longer side of the boxes, times this.
        share: of the shorter side of the canvas that the crop is enlarged to, rounded to 16 pixels.
        smoothing: frames (odd) of the bell that smooths the path of the crop after a median of five, as far as the crop holds the box; 1 leaves out both.
        enlarge: off: the crop stays where it is in the picture, unchanged (an ablation of the paper).
        size: (H, W) of the canvas; None: that of the frames, which it also is without enlarging.
        mask_shape: "ellipse" or "box".

    Returns:
        (T, h, w, 3) float32 in 0..1, and (T, H, W) float32 in 0..1, the mask of the face where it is in the driving video.

    Raises:
        ValueError: frames and boxes that do not go together, boxes without width or height, pixels outside 0..1, or options outside their ranges.
    """
    sizes = _check(frames, boxes, margin, share, smoothing, size)
    picture_size = sizes["H"], sizes["W"]
    canvas_size = picture_size if size is None or not enlarge else tuple(size)
    boxes = boxes.detach().cpu().double()
    masks = face_masks(boxes, picture_size, shape=mask_shape).to(frames.device)
    faces = torch.zeros(sizes["T"], *canvas_size, 3, device=frames.device)
    there = ~boxes[:, 0].isnan()
    if not there.any():
        return faces, masks
    side = max(1, round(margin * float((boxes[there, 2:] - boxes[there, :2]).amax(1).quantile(0.5))))
    middles = crop_path(boxes, side, smoothing)
    enlarged = enlarged_side(canvas_size, share)
    top, left = ((length - enlarged) // 2 for length in canvas_size)
    for frame in there.nonzero()[:, 0].tolist():
        corner = (middles[frame] - side / 2).round() if not enlarge else middles[frame] - side / 2
        if enlarge:
            crop = _crop(frames[frame], corner.tolist(), side, enlarged)
            faces[frame, top : top + enlarged, left : left + enlarged] = crop
        else:
            _keep_in_place(faces[frame], frames[frame], [int(place) for place in corner.tolist()], side)
    return faces, masks


def enlarged_side(canvas: ImageSize, share: float = SHARE) -> int:
    """Pixels of the side of the enlarged face: a share of the shorter side of the canvas, rounded to 16, and no more than the canvas."""
    shorter = min(canvas)
    return min(shorter, max(_STEP, _STEP * round(math.floor(share * shorter) / _STEP)))


def crop_path(boxes: Tensor, side: float, smoothing: int = 5) -> Tensor:
    """Middles (T, 2) of crops of one side that follow boxes (T, 4) steadily, and as closely as it takes to hold them: a quick face must not leave its crop.

    A box that is far from its neighbours, which are near each other, is a detector's error, and is not followed.
    """
    middles, longer = (boxes[:, :2] + boxes[:, 2:]) / 2, (boxes[:, 2:] - boxes[:, :2]).amax(1)
    smooth = stable_path(middles, smoothing)
    if smoothing == 1:
        return smooth
    slack = ((side - longer) / 2).clamp(min=0)[:, None]
    held = torch.minimum(torch.maximum(smooth, middles - slack), middles + slack)
    error = torch.zeros(len(boxes), dtype=torch.bool)
    before, after = middles[:-2], middles[2:]
    aside = (middles[1:-1] - (before + after) / 2).norm(dim=-1)
    error[1:-1] = (aside > _ERROR * longer[1:-1]) & ((after - before).norm(dim=-1) < longer[1:-1])
    return torch.where(error[:, None], smooth, held)


def stable_path(middles: Tensor, smoothing: int = 5) -> Tensor:
    """A path (T, 2) through a median of five frames and a bell `smoothing` frames wide; NaN, where it is not known, stays NaN.

    What is missing is interpolated for the filters alone; beyond the ends the path goes on as mirrored at its end point, which leaves straight lines as they are.
    """
    known = ~middles[:, 0].isnan()
    if smoothing == 1 or int(known.sum()) < 3:
        return middles
    first, last = (int(end) for end in known.nonzero()[[0, -1], 0])
    path = _bridged(middles[first : last + 1], known[first : last + 1])
    radius = min(_MEDIAN // 2, len(path) - 1)
    ends = [2 * path[:1] - path[1 : radius + 1].flip(0), 2 * path[-1:] - path[-radius - 1 : -1].flip(0)]
    path = torch.cat([ends[0], path, ends[1]]).unfold(0, 2 * radius + 1, 1).median(-1).values
    smooth = middles.clone()
    smooth[first : last + 1] = smooth_path(path[None], smoothing)[0]
    return torch.where(known[:, None], smooth, torch.nan)


def _bridged(path: Tensor, known: Tensor) -> Tensor:
    """A path whose ends are known, with straight lines over its gaps."""
    places = known.nonzero()[:, 0]
    frames = torch.arange(len(path))
    after = torch.searchsorted(places, frames).clamp(max=len(places) - 1)
    before = torch.where(places[after] == frames, after, (after - 1).clamp(min=0))
    begin, end = places[before], places[after]
    share = ((frames - begin) / (end - begin).clamp(min=1)).to(path)
    return torch.lerp(path[begin], path[end], share[:, None])


def face_masks(boxes: Tensor, size: ImageSize, *, shape: str = "ellipse") -> Tensor:
    """Masks (T, H, W) float32 of boxes (T, 4) in pictures of `size` (H, W): 1 where the centre of a pixel is in the box, or in the ellipse that fills it.

    Raises:
        ValueError: another shape, or boxes without width or height.
    """
    if shape not in SHAPES:
        raise ValueError(f"the shape is '{shape}', expected one of {', '.join(SHAPES)}")
    check_shapes("face_masks", boxes=(boxes, "T 4"))
    check_boxes(boxes, "the face box")
    masks = torch.zeros(len(boxes), *size)
    for mask, (x0, y0, x1, y1) in zip(masks, boxes.tolist(), strict=True):
        if math.isnan(x0):
            continue
        lines = []  # for rows, then columns: the pixels whose centres are in the box, and their distances from its middle in halves of it
        for begin, end, side in ((y0, y1, size[0]), (x0, x1, size[1])):
            first, last = (min(max(0, math.ceil(edge - 0.5)), side) for edge in (begin, end))
            centres = torch.arange(first, max(first, last), dtype=torch.float64) + 0.5
            lines.append((slice(first, max(first, last)), (2 * centres - begin - end) / (end - begin)))
        (rows, down), (columns, across) = lines
        inside = (down.square()[:, None] + across.square() <= 1).float() if shape == "ellipse" else 1.0
        mask[rows, columns] = inside
    return masks


def _crop(picture: Tensor, corner: list[float], side: int, enlarged: int) -> Tensor:
    """(S, S, 3) float32 of a square of a picture (H, W, 3 or 4), black beyond its edges."""
    reach = 3 * max(1, math.ceil(side / enlarged)) + 1  # of the kernel: only what it sees becomes float
    (top, bottom), (left, right) = (
        (max(0, math.floor(begin) - reach), min(length, math.ceil(begin + side) + reach))
        for begin, length in ((corner[1], picture.shape[0]), (corner[0], picture.shape[1]))
    )
    if top >= bottom or left >= right:
        return torch.zeros(enlarged, enlarged, 3, device=picture.device)
    part = colours(picture[None, top:bottom, left:right])[0].clamp(0, 1)
    return crop_picture(part, (corner[0] - left, corner[1] - top), (side, side), (enlarged, enlarged), _BLACK)


def _keep_in_place(target: Tensor, picture: Tensor, corner: list[int], side: int) -> None:
    """Copy a square of a picture to its own place on a black canvas (H, W, 3)."""
    rows, columns = (slice(max(0, begin), max(0, begin + side)) for begin in reversed(corner))
    target[rows, columns] = colours(picture[None, rows, columns])[0].clamp(0, 1)


def _check(frames: Tensor, boxes: Tensor, margin: float, share: float, smoothing: int, size: ImageSize | None) -> dict[str, int]:
    check_frames(frames)
    sizes = check_shapes("face_cue", frames=(frames, "T H W C"), boxes=(boxes, "T 4"))
    if not (math.isfinite(margin) and margin > 0 and 0 < share <= 1):
        raise ValueError(f"margin is {margin} and share {share}, expected a margin above 0 and a share above 0 up to 1")
    if smoothing < 1 or smoothing % 2 == 0:
        raise ValueError(f"smoothing is {smoothing}, expected an odd number of frames: 1 for none")
    if size is not None and (len(size) != 2 or min(size) < 1):
        raise ValueError(f"size is {size}, expected (height, width) of at least 1 pixel")
    check_boxes(boxes, "the face box")
    return sizes

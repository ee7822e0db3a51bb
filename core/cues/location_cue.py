"""Where body and face of a driving video are in the reference: soft, coarse masks (DirectAnimator's location cue)."""

from dataclasses import dataclass
from itertools import pairwise

import torch
from torch import Tensor
from torch.nn import functional

from ..body.gaps import frame_ranges
from ..maps.colours import LEFT, RIGHT
from ..maps.cropping import flatten_alpha
from ..shapes import check_shapes
from ..types import ImageSize, Similarity
from .clip_values import unit_masks

MODES = ("mean", "max")
GRIDS = ("pixels", "bbox")
CELLS = (20, 10)  # rows and columns that the box of a mask is divided into, as in Wan-Animate's preprocessing
_TOGETHER = 8  # frames softened at once
_BODY, _FACE = 0.6, 0.7  # opacities of the preview


@dataclass(frozen=True, eq=False, kw_only=True)
class LocationCue:
    """body, face: (T, H, W) in 0..1, on the canvas of the reference. notes: which frames were filled in from others, or are empty."""

    body: Tensor
    face: Tensor
    notes: tuple[str, ...] = ()


def soften_grid(
    masks: Tensor, *, cell: int, mode: str = "mean", grid: str = "pixels", cells: tuple[int, int] = CELLS, blur: float | None = None
) -> Tensor:
    """Coarse masks with soft borders: cells of one value each, then a Gaussian.

    Args:
        masks: (T, H, W) in 0..1, bool or bytes.
        cell: pixels of the side of a cell; what is left over at the right and lower border are smaller cells.
        mode: a cell has the "mean" of its pixels, or their "max", which fills every cell that the mask touches.
        grid: cells lie on the "pixels" of the picture, or divide the "bbox" of each mask into `cells` (rows, columns), of a pixel at least, as even as
            pixels allow; beyond the box there is nothing.
        blur: standard deviation of the Gaussian in pixels; None: half a cell; 0: none. What lies beyond the picture is taken to be as at its border.

    Returns:
        (T, H, W) float32 in 0..1.

    Raises:
        ValueError: masks that are none, or options outside their ranges.
    """
    check_shapes("soften_grid", masks=(masks, "T H W"))
    if not (isinstance(cell, int) and cell >= 1):
        raise ValueError(f"cell is {cell}, expected a whole number of pixels, at least 1")
    if mode not in MODES or grid not in GRIDS:
        raise ValueError(f"mode is '{mode}' and grid '{grid}', expected one of {', '.join(MODES)} and one of {', '.join(GRIDS)}")
    if len(cells) != 2 or min(cells) < 1:
        raise ValueError(f"cells are {cells}, expected rows and columns, at least 1 of each")
    spread = cell / 2 if blur is None else blur
    if not 0 <= spread < 1e4:
        raise ValueError(f"blur is {blur}, expected pixels, 0 for none")
    masks = unit_masks(masks)
    if 0 in masks.shape:
        return masks
    if grid == "bbox":
        return torch.stack([_soft_box(mask, cells, mode, spread) for mask in masks])
    height, width = masks.shape[1:]
    sides = min(cell, height), min(cell, width)
    pool = functional.avg_pool2d if mode == "mean" else functional.max_pool2d
    coarse = pool(masks[:, None], sides, ceil_mode=True)[:, 0]
    edges = [_regular_edges(side, step) for side, step in zip((height, width), sides, strict=True)]
    return _spread(coarse, edges, (height, width), spread)


def _regular_edges(side: int, step: int) -> list[int]:
    return [*range(0, side, step), side]


def _soft_box(mask: Tensor, cells: tuple[int, int], mode: str, spread: float) -> Tensor:
    """One mask (H, W) in cells of its own box."""
    edges = []
    for axis, count in ((1, cells[0]), (0, cells[1])):
        touched = (mask > 0).any(axis).nonzero()[:, 0]
        if not len(touched):
            return torch.zeros_like(mask)
        begin, end = int(touched[0]), int(touched[-1]) + 1
        count = min(count, end - begin)
        edges.append([begin + (end - begin) * number // count for number in range(count + 1)])
    pool = torch.mean if mode == "mean" else torch.amax
    rows = torch.split(mask[edges[0][0] : edges[0][-1], edges[1][0] : edges[1][-1]], _lengths(edges[0]), 0)
    coarse = torch.stack([torch.stack([pool(part, (0, 1)) for part in torch.split(row, _lengths(edges[1]), 1)]) for row in rows])
    return _spread(coarse[None], edges, tuple(mask.shape), spread)[0]


def _lengths(edges: list[int]) -> list[int]:
    return [end - begin for begin, end in pairwise(edges)]


def _spread(coarse: Tensor, edges: list[list[int]], size: ImageSize, spread: float) -> Tensor:
    """Cells (T, h, w) between edges at the size of the picture, blurred. Cells and Gaussian are the same along each line: two small matrices do both."""
    rows, columns = (_line_weights(line, side, spread).to(coarse) for line, side in zip(edges, size, strict=True))
    return (rows @ coarse @ columns.mT).clamp_(0, 1)


def _line_weights(edges: list[int], side: int, spread: float) -> Tensor:
    """(side, cells): what each pixel of a line takes of each cell."""
    pixels = torch.arange(side, dtype=torch.float64)
    cover = torch.zeros(side, len(edges) - 1, dtype=torch.float64)
    for number, (begin, end) in enumerate(pairwise(edges)):
        cover[begin:end, number] = 1
    if spread == 0:
        return cover
    reach = int(4 * spread + 1)
    offsets = torch.arange(-reach, reach + 1, dtype=torch.float64)
    bell = torch.exp(-0.5 * (offsets / spread).square())
    sources = (pixels[:, None] + offsets).clamp(0, side - 1).long()
    weights = torch.zeros(side, side, dtype=torch.float64).scatter_add_(1, sources, (bell / bell.sum()).expand(side, -1))
    return weights @ cover


def location_cue(
    body_masks: Tensor,
    face_masks: Tensor | None,
    alignment: Similarity,
    size: ImageSize,
    *,
    kept: Tensor | None = None,
    cell: int | None = None,
    mode: str = "mean",
    grid: str = "pixels",
    hard: bool = False,
) -> LocationCue:
    """Body and face masks of a driving video, moved to the reference (equations 11 and 12), with softened borders.

    A frame that was not kept has the masks of the nearest kept one, because the place is needed in every frame; a frame whose body mask is empty shows nobody
    and stays empty.

    Args:
        body_masks: (T, h, w) of the driving video. face_masks: (T, h, w), or None for none.
        size: (H, W) of the reference. kept: (T) bool, frames whose body mask is good; None: all.
        cell: pixels of the grid of the body; None: a 32nd of the height. The face has half of it. mode, grid: see `soften_grid`.
        hard: leave the borders as they are (an ablation of the paper).

    Raises:
        ValueError: masks that do not go together, or options outside their ranges.
    """
    check_shapes("location_cue", body_masks=(body_masks, "T h w"), face_masks=(face_masks, "T h w"), kept=(kept, "T"))
    body_masks = unit_masks(body_masks, "the body masks")
    rows, notes = _filled(body_masks, kept)
    cell = max(2, round(size[0] / 32)) if cell is None else cell
    cues = []
    for masks, side in ((body_masks, cell), (face_masks, max(1, cell // 2))):
        if masks is None:
            cues.append(torch.zeros(len(body_masks), *size, device=body_masks.device))
            continue
        cue = alignment.warp(unit_masks(masks, "the face masks"), size)
        for part in () if hard else cue.split(_TOGETHER):  # in its own room
            part.copy_(soften_grid(part, cell=side, mode=mode, grid=grid))
        for frame in (rows != torch.arange(len(rows))).nonzero()[:, 0].tolist():  # a source stays as it is: it is a kept frame
            cue[frame] = cue[rows[frame]]
        cues.append(cue)
    body, face = cues
    return LocationCue(body=body, face=face, notes=notes)


def _filled(masks: Tensor, kept: Tensor | None) -> tuple[Tensor, tuple[str, ...]]:
    """(T) the frame that each frame takes its masks from, and what was filled."""
    frames = torch.arange(len(masks))
    there = (masks.flatten(1).amax(1) > 0).cpu()
    notes = (f"nobody in frames {frame_ranges(~there)}: their location is empty",) if not there.all() else ()
    good = there if kept is None else there & kept.cpu()
    dropped = there & ~good
    if not dropped.any():
        return frames, notes
    if not good.any():
        raise ValueError(f"none of the {int(there.sum())} frames that show a person was kept: loosen the gate, or segment again")
    candidates = good.nonzero()[:, 0]
    nearest = candidates[(frames[:, None] - candidates).abs().argmin(1)]
    return torch.where(dropped, nearest, frames), (*notes, f"location of frames {frame_ranges(dropped)} taken from the nearest kept frame")


def draw_location(reference: Tensor, body: Tensor, face: Tensor) -> Tensor:
    """The cue over the reference: body in a cool, face in a warm colour.

    Args:
        reference: (H, W, 3 or 4) in 0..1. body, face: (T, H, W) in 0..1.

    Returns:
        (T, H, W, 3) in 0..1.

    Raises:
        ValueError: a reference of another size.
    """
    check_shapes("draw_location", body=(body, "T H W"), face=(face, "T H W"))
    if reference.dim() != 3 or reference.shape[:2] != body.shape[1:] or reference.shape[2] not in (3, 4):
        raise ValueError(
            f"the reference is {tuple(reference.shape)}, the location cue {tuple(body.shape)}: give the picture that it was made for"
        )
    picture = flatten_alpha(reference.to(body), torch.ones(3))
    drawn = torch.empty(*body.shape, 3, dtype=body.dtype, device=body.device)
    for frame, (one, other) in enumerate(zip(body, face, strict=True)):
        for weight, colour in ((_BODY * one, RIGHT), (_FACE * other, LEFT)):
            base = picture if colour is RIGHT else drawn[frame]
            drawn[frame] = torch.lerp(base, (torch.tensor(colour) / 255).to(body).expand_as(base), weight[..., None])
    return drawn

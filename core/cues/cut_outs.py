"""Masks of people as the pictures that video models ask for: identities in colours, and films without their person."""

import torch
from torch import Tensor

from ..shapes import check_shapes
from .clip_values import check_frames, colours, unit_masks
from .location_cue import CELLS, soften_grid

# What SCAIL-2 tells people apart by, in this order; its masks are read with a threshold, so that edges stay hard.
COLOURS = ((0.0, 0.0, 1.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (1.0, 0.0, 1.0), (0.0, 1.0, 1.0), (1.0, 1.0, 0.0))
GROUNDS = {"black": 0.0, "white": 1.0}


def colour_people(masks: Tensor, *, ground: str = "black") -> Tensor:
    """Masks (P, T, H, W) as one picture for each frame (T, H, W, 3) in 0..1: each person in a colour of its own, the first of several above the others.

    Raises:
        ValueError: more people than colours, another ground, values that no mask has.
    """
    check_shapes("colour_people", masks=(masks, "P T H W"))
    if ground not in GROUNDS:
        raise ValueError(f"ground is '{ground}', expected one of {', '.join(GROUNDS)}")
    if not 1 <= len(masks) <= len(COLOURS):
        raise ValueError(f"there are {len(masks)} people, expected 1 to {len(COLOURS)}, as many as there are colours: choose some of them")
    pictures = torch.full((*masks.shape[1:], 3), GROUNDS[ground])
    for person, colour in reversed(list(zip(unit_masks(masks), COLOURS, strict=False))):
        pictures[person > 0.5] = torch.tensor(colour)
    return pictures


def cut_out(
    frames: Tensor, masks: Tensor, *, in_cells: bool = True, cells: tuple[int, int] = CELLS, ground: str = "black"
) -> tuple[Tensor, Tensor]:
    """A film without its person, for another to be put there: frames (T, H, W, 3) in which the mask is plain, and that mask (T, H, W) of 0 and 1.

    Args:
        frames: (T, H, W, 3 or 4), uint8 or in 0..1; transparent ones lie on black. masks: (T, H, W).
        in_cells: fill every cell that the person touches, of `cells` (rows, columns) of the person's box, so that the outline does not tell of the body.

    Raises:
        ValueError: frames and masks that do not belong together, another ground, values outside 0..1.
    """
    check_frames(frames)
    check_shapes("cut_out", frames=(frames, "T H W C"), masks=(masks, "T H W"))
    if ground not in GROUNDS:
        raise ValueError(f"ground is '{ground}', expected one of {', '.join(GROUNDS)}")
    hard = (unit_masks(masks) > 0.5).float()
    if in_cells:
        hard = soften_grid(hard, cell=1, mode="max", grid="bbox", cells=cells, blur=0.0)
    return torch.where(hard[..., None] > 0.5, GROUNDS[ground], colours(frames).clamp(0, 1)), hard

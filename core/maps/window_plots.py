"""How windows over views and time are blended, as a picture: each piece of the grid has a colour, and each place the mix of those that hold it."""

import colorsys
from collections.abc import Sequence

import torch
from torch import Tensor

from ..types import ImageSize
from .plots import plot_grid

_GOLDEN = 0.618034  # of a turn between two colours: as far as can be from those before


def draw_pieces(
    pieces: Sequence[tuple[Tensor, Tensor, Tensor]], shape: tuple[int, int], *, title: str = "", size: ImageSize = (240, 768)
) -> Tensor:
    """Draw pieces of a grid of views and frames, mixed by their weights: a hard edge is a border that is not blended.

    Args:
        pieces: views (v), frames (f) and weights (v, f) of each. shape: (V, F) of the grid.

    Returns:
        (H, W, 3) in 0..1.

    Raises:
        ValueError: no pieces, or some outside of the grid.
    """
    if not pieces:
        raise ValueError("there are no pieces to draw: give at least one")
    cells = torch.zeros(*shape, 3)
    for number, (views, frames, weights) in enumerate(pieces):
        if int(views.max()) >= shape[0] or int(frames.max()) >= shape[1]:
            raise ValueError(
                f"piece {number} goes beyond the grid of {shape[0]} views and {shape[1]} frames: draw it on the grid it was cut from"
            )
        cells[views[:, None], frames] += weights[..., None] * _colour(number)
    return plot_grid(cells, title=title, size=size)


def _colour(number: int) -> Tensor:
    """A saturated colour, and a pale or a dark one of nearly the opposite hue next."""
    return torch.tensor(colorsys.hsv_to_rgb(number * _GOLDEN % 1, (0.75, 0.5)[number % 2], (0.95, 0.75)[number // 2 % 2]))

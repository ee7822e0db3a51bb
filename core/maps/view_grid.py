"""Views side by side in one picture."""

import math

from einops import rearrange
from torch import Tensor
from torch.nn import functional


def view_grid(views: Tensor, columns: int = 0) -> Tensor:
    """(V, T, H, W, C) -> (T, rows H, columns W, C), row after row; places without a view are 0.

    columns: 0 takes as many as make the grid most nearly square in views, one row up to four views.

    Raises:
        ValueError: fewer than 0 columns.
    """
    if columns < 0:
        raise ValueError(f"{columns} columns, expected at least 1, or 0 to choose")
    count = len(views)
    columns = columns or (count if count <= 4 else math.ceil(count**0.5))
    rows = -(-count // columns)
    filled = functional.pad(views, [0, 0] * 4 + [0, rows * columns - count])
    return rearrange(filled, "(r k) t h w c -> t (r h) (k w) c", r=rows)

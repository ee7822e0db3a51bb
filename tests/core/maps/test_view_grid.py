"""Views side by side."""

import pytest
import torch
from motion4d.core.maps.view_grid import view_grid


@pytest.mark.parametrize(
    ("count", "columns", "rows", "across"), [(3, 0, 1, 3), (4, 0, 1, 4), (5, 0, 2, 3), (9, 0, 3, 3), (5, 2, 3, 2), (1, 4, 1, 4)]
)
def test_every_view_stands_in_its_place(count, columns, rows, across):
    views = torch.rand(count, 2, 3, 4, 3, generator=torch.Generator().manual_seed(0))
    grid = view_grid(views, columns)
    assert grid.shape == (2, rows * 3, across * 4, 3)
    for place in range(rows * across):
        row, column = divmod(place, across)
        cell = grid[:, row * 3 : row * 3 + 3, column * 4 : column * 4 + 4]
        assert torch.equal(cell, views[place]) if place < count else not cell.any()


def test_no_columns_are_refused():
    with pytest.raises(ValueError, match="-1 columns, expected at least 1"):
        view_grid(torch.zeros(1, 1, 2, 2, 3), -1)

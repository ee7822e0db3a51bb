import math

import pytest
import torch
from motion4d.core.maps.plots import plot_grid, plot_histogram, plot_lines

ORANGE, BLUE = torch.tensor([255, 138, 92]) / 255, torch.tensor([64, 196, 232]) / 255


def near(picture, colour, tolerance=0.12):
    return (picture - colour).abs().amax(-1) < tolerance


def field(picture):
    """The part below the title and above the labels."""
    return picture[42:-48]


def test_a_plot_is_a_picture_of_the_size_asked_for():
    for size in ((360, 768), (120, 160), (201, 333)):
        picture = plot_lines({"a": torch.rand(30)}, title="Speed", x_label="frame", y_label="m/s", size=size)
        assert picture.shape == (*size, 3) and picture.dtype == torch.float32
        assert picture.min() >= 0 and picture.max() <= 1


def test_a_rising_curve_rises():
    picture = field(plot_lines({"a": torch.arange(50.0)}, size=(300, 400)))
    rows, columns = near(picture, ORANGE).nonzero(as_tuple=True)
    left, right = rows[columns < 120].float().mean(), rows[columns > 330].float().mean()
    assert left > right + 100


def test_each_curve_has_its_colour_and_the_legend_its_place():
    alone = plot_lines({"one": torch.linspace(0, 1, 20)}, size=(300, 400))
    both = plot_lines({"one": torch.linspace(0, 1, 20), "two": torch.linspace(1, 0, 20)}, size=(300, 400))
    assert near(field(both), ORANGE).any() and near(field(both), BLUE).any() and not near(field(alone), BLUE).any()
    assert near(both[:40], ORANGE).any() and near(both[:40], BLUE).any() and not near(alone[:40], ORANGE).any()


def test_missing_values_leave_a_gap():
    values = torch.full((100,), 0.5)
    whole = near(field(plot_lines({"a": values}, size=(300, 500))), ORANGE).any(0)
    values[40:60] = torch.nan
    values[70] = torch.inf
    broken = near(field(plot_lines({"a": values}, size=(300, 500))), ORANGE).any(0)
    first, last = whole.nonzero()[0], whole.nonzero()[-1]
    at = first + (last - first) * 0.5
    assert whole[int(at)] and not broken[int(at) - 20 : int(at) + 20].any()
    assert broken[int(first) + 20] and broken[int(last) - 20]


def test_a_value_between_gaps_is_a_dot():
    values = torch.full((21,), torch.nan)
    values[10] = 2.0
    dots = near(field(plot_lines({"a": values}, size=(300, 400))), ORANGE)
    assert 4 <= int(dots.sum()) <= 60


@pytest.mark.parametrize(
    "values",
    [
        torch.full((5,), torch.nan),
        torch.zeros(1),
        torch.empty(0),
        torch.full((4,), 3.0),
        torch.tensor([1e-9, 2e-9]),
        torch.tensor([-4e7, 9e9]),
    ],
)
def test_curves_without_extent_are_drawn(values):
    assert torch.isfinite(plot_lines({"a": values}, title="t")).all()


def test_series_without_room_in_the_legend_are_counted_not_spilled():
    many = {f"a rather long name {number}": torch.rand(10) for number in range(30)}
    assert plot_lines(many, title="Title", size=(200, 300)).shape == (200, 300, 3)


def test_bars_are_as_high_as_their_counts():
    picture = field(plot_histogram(torch.tensor([1.0, 4.0, 0.0, 2.0]), torch.linspace(0, 4, 5), size=(400, 400)))
    columns = near(picture, BLUE).sum(0).float()
    present = columns[columns > 0]
    assert len(present) > 150
    edges = near(picture, BLUE).any(0).nonzero()[:, 0]
    step = (int(edges[-1]) - int(edges[0])) / 4
    heights = [columns[int(edges[0] + (number + 0.5) * step)] for number in range(4)]
    assert heights[1] > 150 and heights[2] == 0
    # the picture of the field is cut a few pixels short at the bottom
    assert (heights[1] - heights[3]) / (heights[3] - heights[0]) == pytest.approx(2.0, rel=0.05)


def test_non_ascii_text_is_drawn_without_failing():
    assert plot_lines({"größe": torch.rand(4), "幅": torch.rand(4)}, title="µm").shape == (360, 768, 3)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: plot_lines({}), "no series"),
        (lambda: plot_lines({"a": torch.zeros(2, 2)}), "a has shape"),
        (lambda: plot_lines({"a": torch.zeros(2)}, size=(50, 400)), "too small"),
        (lambda: plot_histogram(torch.ones(3), torch.arange(3.0)), "one edge more"),
        (lambda: plot_histogram(torch.ones(0), torch.arange(1.0)), "at least one count"),
        (lambda: plot_histogram(-torch.ones(2), torch.arange(3.0)), "0 or more"),
        (lambda: plot_histogram(torch.ones(2), torch.tensor([0.0, 0.0, 1.0])), "ascend"),
    ],
)
def test_what_cannot_be_plotted_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_a_grid_has_a_cell_for_each_value_with_the_first_row_below():
    cells = torch.zeros(2, 4, 3)
    cells[0, 0], cells[1, 3] = torch.tensor([1.0, 0.0, 0.0]), torch.tensor([0.0, 0.0, 1.0])
    picture = plot_grid(cells, size=(200, 400))
    red, blue = (torch.nonzero((picture - colour).abs().amax(2) < 0.02) for colour in (cells[0, 0], cells[1, 3]))
    assert red[:, 0].min() > blue[:, 0].max() - 2 and red[:, 1].max() < blue[:, 1].min()
    for place in (red, blue):
        spread = place.amax(0) - place.amin(0)
        assert 50 < spread[0] < 65 and 75 < spread[1] < 100


def test_a_grid_is_brighter_where_there_is_more():
    picture = plot_grid(torch.tensor([[0.0, 1.0, 2.0, 4.0]]), title="heat", size=(160, 400))
    row = picture[90].sum(1)
    middles = [float(row[place]) for place in (70, 165, 250, 345)]
    assert middles == sorted(middles) and len(set(middles)) == 4
    assert torch.equal(plot_grid(torch.tensor([[0.0, 1.0]])), plot_grid(torch.tensor([[0.0, 1.0]]).double()))
    assert plot_grid(torch.zeros(1, 1)).isfinite().all()


@pytest.mark.parametrize(
    "cells", [torch.zeros(3), torch.zeros(2, 3, 4), torch.zeros(0, 4), -torch.ones(2, 2), torch.full((2, 2), math.nan)]
)
def test_grids_of_other_shapes_or_values_are_refused(cells):
    with pytest.raises(ValueError, match="cells"):
        plot_grid(cells)

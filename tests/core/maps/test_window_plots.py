"""Pieces of a grid as a picture."""

import pytest
from motion4d.core.maps.window_plots import draw_pieces
from motion4d.core.sampling.progressive import plan_grid


def pieces(plan):
    return [(window.views, window.frames, weights) for window, weights in plan.pieces()]


def inside(picture):
    """The field of cells: away from the title, the axes and their labels."""
    return picture[45:-55, 40:-25]


def test_one_piece_is_one_colour_and_tiles_have_hard_edges():
    one = inside(draw_pieces(pieces(plan_grid(3, 12, balance=1.0)), (3, 12)))
    assert (one - one[0, 0]).abs().max() < 0.01
    tiles = inside(draw_pieces(pieces(plan_grid(1, 24, frame_window=12, frame_overlap=0)), (1, 24)))
    steps = (tiles[20, 1:] - tiles[20, :-1]).abs().amax(1)
    assert int((steps > 0.02).sum()) <= 2 and steps.max() > 0.2


def test_overlaps_go_over_from_one_colour_to_the_next():
    blended = inside(draw_pieces(pieces(plan_grid(1, 24, frame_window=16, frame_overlap=8)), (1, 24)))
    steps = (blended[20, 1:] - blended[20, :-1]).abs().amax(1)
    assert int((steps > 0.02).sum()) >= 9 and steps.max() < 0.2


def test_pieces_beside_the_grid_or_none_are_refused():
    with pytest.raises(ValueError, match="piece 0 goes beyond the grid of 2 views"):
        draw_pieces(pieces(plan_grid(3, 12)), (2, 12))
    with pytest.raises(ValueError, match="no pieces"):
        draw_pieces([], (2, 12))

"""The read-out of seams: differences against naive ones, and seams that are known."""

import math

import pytest
import torch
from motion4d.core.sampling.consistency import Consistency, latent_grid, picture_grid
from motion4d.core.sampling.noise import starting_noise
from motion4d.core.sampling.progressive import Balance, plan_grid

PLAN = plan_grid(12, 30, frame_window=12, frame_overlap=3, tile_frames=10)  # frames 0 to 11, 9 to 20 and 18 to 29
GRID = starting_noise((12, 30, 2, 4, 4), 0)


def test_differences_equal_the_naive_ones():
    found = Consistency.of(GRID, PLAN)
    assert found.time.differences.shape == (12, 29) and found.views.differences.shape == (12, 30)
    for view, frame in ((0, 0), (11, 28), (5, 7)):
        assert float(found.time.differences[view, frame]) == pytest.approx(float((GRID[view, frame] - GRID[view, frame + 1]).abs().mean()))
        assert float(found.views.differences[view, frame]) == pytest.approx(
            float((GRID[view, frame] - GRID[(view + 1) % 12, frame]).abs().mean())
        )


def test_borders_are_where_windows_begin_and_end():
    found = Consistency.of(GRID, PLAN)
    assert torch.nonzero(found.time.borders).flatten().tolist() == [8, 11, 17, 20]
    assert [torch.nonzero(one).flatten().tolist() for one in found.time.tiles] == [[9, 19], [5, 15, 25], [1, 11, 21], [8, 18, 28]]
    assert torch.nonzero(found.views.borders).flatten().tolist() == [1, 3, 5, 7, 9, 11]
    assert [torch.nonzero(one).flatten().tolist() for one in found.views.tiles] == [[2, 5, 8, 11], [1, 4, 7, 10], [0, 3, 6, 9]]
    stay = Consistency.of(GRID, plan_grid(12, 30, frame_window=12, frame_overlap=3, tile_frames=10, tile_origins=1))
    assert torch.equal(stay.time.tiles, found.time.tiles[:1]) and torch.equal(stay.views.tiles, found.views.tiles[:1])
    alone = Consistency.of(GRID, plan_grid(12, 30, frame_window=12, frame_overlap=3, balance=1.0))
    assert not alone.time.tiles.any() and not alone.views.borders.any() and math.isnan(alone.views.ratio)
    both = Consistency.of(GRID, plan_grid(12, 30, frame_window=12, frame_overlap=3, tile_frames=10, balance=Balance("alternate")))
    assert torch.equal(both.time.borders, found.time.borders) and torch.equal(both.views.borders, found.views.borders)


def test_an_anchor_makes_no_border():
    plan = plan_grid(12, 30, frame_window=12, frame_overlap=3, tile_frames=10, anchor_first=True)
    assert torch.equal(Consistency.of(GRID, plan).time.borders, Consistency.of(GRID, PLAN).time.borders)


def test_a_known_seam_is_read_off():
    ramp = torch.arange(30.0).view(1, 30, 1).expand(4, 30, 5)
    stepped = ramp + 6 * (torch.arange(30) >= 15).view(1, 30, 1)
    found = Consistency.of(stepped, plan_grid(4, 30, frame_window=15, frame_overlap=0, balance=1.0, tile_views=4))
    assert found.time.inside == pytest.approx(1) and found.time.ratio == pytest.approx(7)
    assert "across 1 borders of windows 7 (x7.00)" in found.text()
    assert float(found.heat()[0, 15] / found.heat()[0, 3]) > 2


def test_of_tiles_that_move_the_turn_that_shows_most_is_read_off():
    plan = plan_grid(12, 30, frame_window=30, tile_frames=10, balance=0.5)
    ramp = torch.arange(30.0).view(1, 30, 1).expand(12, 30, 5)
    for first, *_ in (torch.nonzero(one).flatten().tolist() for one in Consistency.of(ramp, plan).time.tiles):
        found = Consistency.of(ramp + 6 * (torch.arange(30) > first).view(1, 30, 1), plan).time
        count = int(max(one.sum() for one in found.tiles if one[first]))
        assert found.inside == pytest.approx(1) and found.tile_ratio == pytest.approx(1 + 6 / count)
    assert f"across 3 borders of tiles {1 + 6 / count:.4g}" in found.text()


def test_noise_has_no_seams():
    found = Consistency.of(starting_noise((12, 30, 4, 16, 16), 0), PLAN)
    assert all(ratio == pytest.approx(1, abs=0.02) for one in (found.time, found.views) for ratio in (one.ratio, one.tile_ratio))


def test_one_view_or_one_frame_has_one_axis():
    found = Consistency.of(GRID[:1], plan_grid(1, 30, frame_window=12, frame_overlap=3))
    assert found.views is None and found.text().count("\n") == 1 and found.heat().shape == (1, 30)
    found = Consistency.of(GRID[:, :1], plan_grid(12, 1))
    assert found.time is None and found.heat().shape == (12, 1)
    assert Consistency.of(GRID[:1, :1], plan_grid(1, 1)).heat().tolist() == [[0]]


def test_the_last_view_is_beside_the_first_where_views_go_round():
    few = GRID[:5]
    assert len(Consistency.of(few, plan_grid(5, 30)).views.differences) == 5  # one window, and a circle all the same
    assert len(Consistency.of(few, plan_grid(5, 30, closed=False)).views.differences) == 4
    assert len(Consistency.of(few, plan_grid(5, 30), closed=False).views.differences) == 4
    opened = Consistency.of(GRID, plan_grid(12, 30, closed=False), closed=True).views
    assert opened.borders[11] and len(opened.borders) == 12


def test_heat_is_the_mean_over_neighbours():
    heat = Consistency.of(GRID, PLAN).heat()
    beside = [GRID[4, 6], GRID[4, 8], GRID[3, 7], GRID[5, 7]]
    assert float(heat[4, 7]) == pytest.approx(float(torch.stack([(GRID[4, 7] - one).abs().mean() for one in beside]).mean()))
    corner = [GRID[0, 1], GRID[1, 0], GRID[11, 0]]
    assert float(heat[0, 0]) == pytest.approx(float(torch.stack([(GRID[0, 0] - one).abs().mean() for one in corner]).mean()))


def test_windows_without_an_inside_say_so():
    text = Consistency.of(GRID[:, :3], plan_grid(12, 3, frame_window=1, frame_overlap=0, balance=1.0)).text()
    assert "none inside windows" in text and "nan" not in text


def test_a_grid_that_does_not_fit_is_refused():
    with pytest.raises(ValueError, match=r"windows cover \(12, 30, \.\.\.\) views and frames"):
        Consistency.of(GRID[:11], PLAN)
    with pytest.raises(ValueError, match="no numbers"):
        Consistency.of(GRID * float("nan"), PLAN)


def test_seams_are_the_worst_of_all_factors_and_1_without_borders():
    found = Consistency.of(GRID, PLAN)
    assert found.seams == max(found.time.ratio, found.time.tile_ratio, found.views.ratio, found.views.tile_ratio)
    assert Consistency.of(GRID[:3, :9], plan_grid(3, 9)).seams == 1.0


def test_latents_and_pictures_become_grids():
    latents = GRID.transpose(1, 2)
    assert torch.equal(latent_grid(latents), GRID) and torch.equal(latent_grid(latents[:, :, 0]), GRID[:, :1])
    pictures = torch.arange(2 * 9).float().view(18, 1, 1, 1)
    assert picture_grid(pictures, 2, 4).flatten().tolist() == [0, 4, 8, 9, 13, 17]
    assert picture_grid(pictures, 3).shape[:2] == (3, 6)
    with pytest.raises(ValueError, match="18 images are not the frames of 4 views"):
        picture_grid(pictures, 4)
    with pytest.raises(ValueError, match="9 frames, which is not 1"):
        picture_grid(pictures, 2, 3)
    with pytest.raises(ValueError, match="latents have shape"):
        latent_grid(pictures[0])

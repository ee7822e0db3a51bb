"""Coarse masks: cells and blur against naive twins, fills, and the preview."""

from itertools import pairwise

import pytest
import torch
from motion4d.core.cues import Similarity
from motion4d.core.cues.location_cue import draw_location, location_cue, soften_grid


def naive_cells(mask, row_edges, column_edges, pool) -> torch.Tensor:
    out = torch.zeros_like(mask)
    for top, bottom in pairwise(row_edges):
        for left, right in pairwise(column_edges):
            out[top:bottom, left:right] = pool(mask[top:bottom, left:right])
    return out


def naive_blur(mask, spread) -> torch.Tensor:
    reach = int(4 * spread + 1)
    offsets = range(-reach, reach + 1)
    bell = torch.tensor([-0.5 * (offset / spread) ** 2 for offset in offsets], dtype=torch.float64).exp()
    bell = (bell / bell.sum()).tolist()
    for axis in (0, 1):
        side = mask.shape[axis]
        lines = [sum(w * mask.select(axis, min(max(i + o, 0), side - 1)) for w, o in zip(bell, offsets, strict=True)) for i in range(side)]
        mask = torch.stack(lines, axis)
    return mask


@pytest.mark.parametrize(("mode", "pool"), [("mean", torch.mean), ("max", torch.max)])
@pytest.mark.parametrize("size", [(24, 32), (21, 19), (5, 30)])
def test_cells_of_the_picture_like_a_naive_twin(mode, pool, size, generator):
    masks = torch.rand(2, *size, generator=generator)
    edges = [[*range(0, side, 8), side] for side in size]
    hard = torch.stack([naive_cells(mask, *edges, pool) for mask in masks])
    torch.testing.assert_close(soften_grid(masks, cell=8, mode=mode, blur=0), hard)
    twin = torch.stack([naive_blur(mask.double(), 4.0) for mask in hard])
    torch.testing.assert_close(soften_grid(masks, cell=8, mode=mode), twin.float(), atol=1e-5, rtol=0)


def test_a_cell_of_one_pixel_without_blur_changes_nothing_and_even_masks_stay_even(generator):
    masks = torch.rand(2, 9, 7, generator=generator)
    assert torch.equal(soften_grid(masks, cell=1, blur=0), masks)
    for mode in ("mean", "max"):
        torch.testing.assert_close(soften_grid(torch.full((1, 40, 50), 0.7), cell=16, mode=mode), torch.full((1, 40, 50), 0.7))
    assert soften_grid(torch.zeros(1, 8, 8), cell=4, grid="bbox").max() == 0
    torch.testing.assert_close(soften_grid(masks, cell=50, blur=0), masks.mean((1, 2), keepdim=True).expand_as(masks))


def test_max_fills_every_touched_cell_and_mean_keeps_the_area():
    masks = torch.zeros(1, 32, 32)
    masks[0, 3, 9] = 1
    assert soften_grid(masks, cell=8, mode="max", blur=0).sum() == 64
    assert soften_grid(masks, cell=8, blur=0).sum() == pytest.approx(1)
    assert float(soften_grid(masks, cell=8, blur=0)[0, 0, 8]) == 1 / 64


@pytest.mark.parametrize("mode", ["mean", "max"])
def test_cells_of_the_box_like_a_naive_twin(mode, generator):
    masks = torch.zeros(2, 70, 60)
    masks[0, 8:65, 11:39] = (torch.rand(57, 28, generator=generator) > 0.5).float()
    masks[0, 8, 11] = masks[0, 64, 38] = 1
    masks[1, 5:9, 50:53] = 1  # smaller than the cells: a pixel each
    out = soften_grid(masks, cell=8, mode=mode, grid="bbox", blur=0)
    rows, columns = [8 + 57 * n // 20 for n in range(21)], [11 + 28 * n // 10 for n in range(11)]
    torch.testing.assert_close(out[0], naive_cells(masks[0], rows, columns, torch.mean if mode == "mean" else torch.max))
    assert torch.equal(out[1], masks[1])
    assert out.max() <= 1


def test_each_frame_is_softened_by_itself(generator):
    masks = (torch.rand(5, 40, 36, generator=generator) > 0.6).float()
    for grid in ("pixels", "bbox"):
        whole = soften_grid(masks, cell=8, grid=grid)
        assert torch.equal(whole, torch.cat([soften_grid(part, cell=8, grid=grid) for part in masks.split(2)]))


def test_options_outside_their_ranges_are_refused():
    masks = torch.zeros(1, 8, 8)
    for options, said in (
        ({"cell": 0}, "cell is 0"), ({"cell": 2.5}, "cell is 2.5"), ({"cell": 4, "mode": "median"}, "mode is 'median'"),
        ({"cell": 4, "grid": "hexagons"}, "grid 'hexagons'"), ({"cell": 4, "blur": -1.0}, "blur is -1.0"), ({"cell": 4, "cells": (0, 4)}, "cells are"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            soften_grid(masks, **options)
    with pytest.raises(ValueError, match="shape"):
        soften_grid(masks[0], cell=4)
    with pytest.raises(ValueError, match="divide by 255"):
        soften_grid(masks + 255, cell=4)


def steps(count=6, size=(48, 64)) -> torch.Tensor:
    """A body that walks to the right."""
    masks = torch.zeros(count, *size)
    for frame, mask in enumerate(masks):
        mask[8:40, 4 + 6 * frame : 16 + 6 * frame] = 1
    return masks


def test_hard_and_unmoved_masks_are_the_masks():
    masks = steps()
    cue = location_cue(masks, masks * 0.5, Similarity.identity(), (48, 64), hard=True)
    assert torch.equal(cue.body, masks) and torch.equal(cue.face, masks * 0.5) and cue.notes == ()


def test_the_body_is_softened_by_a_cell_and_the_face_by_half_of_it():
    masks, moved = steps(), Similarity(scale=2.0, shift=torch.tensor([-6.0, 4.0], dtype=torch.float64))
    cue = location_cue(masks, masks, moved, (100, 120), cell=8)
    warped = moved.warp(masks, (100, 120))
    assert torch.equal(cue.body, soften_grid(warped, cell=8)) and torch.equal(cue.face, soften_grid(warped, cell=4))
    default = location_cue(masks, None, moved, (96, 120))
    assert (
        torch.equal(default.body, soften_grid(moved.warp(masks, (96, 120)), cell=3))
        and default.face.shape == (6, 96, 120)
        and default.face.max() == 0
    )


def test_dropped_frames_have_the_nearest_kept_place_and_empty_ones_stay_empty():
    masks, kept = steps(), torch.tensor([True, True, False, False, True, True])
    masks[5] = 0
    cue = location_cue(masks, masks, Similarity.identity(), (48, 64), kept=kept, hard=True)
    assert torch.equal(cue.body, masks[[0, 1, 1, 4, 4, 5]]) and torch.equal(cue.face, cue.body)
    assert cue.notes == ("nobody in frames 5: their location is empty", "location of frames 2-3 taken from the nearest kept frame")
    with pytest.raises(ValueError, match="none of the 5 frames"):
        location_cue(masks, None, Similarity.identity(), (48, 64), kept=torch.zeros(6, dtype=torch.bool))


def test_masks_that_do_not_go_together_are_refused():
    with pytest.raises(ValueError, match=r"face_masks has shape \(5, 48, 64\)"):
        location_cue(steps(6), steps(5), Similarity.identity(), (48, 64))
    with pytest.raises(ValueError, match=r"face_masks has shape \(6, 40, 64\)"):
        location_cue(steps(6), steps(6, (40, 64)), Similarity.identity(), (48, 64))


def test_the_preview_shows_the_reference_where_there_is_nothing(generator):
    reference, masks = torch.rand(48, 64, 3, generator=generator), steps()
    drawn = draw_location(reference, masks, torch.zeros_like(masks))
    outside = masks == 0
    assert torch.equal(drawn[outside], reference.expand(6, -1, -1, -1)[outside])
    assert (drawn[~outside] - reference.expand(6, -1, -1, -1)[~outside]).abs().sum(-1).min() > 0.01
    both = draw_location(reference, masks, masks)
    assert (both[~outside][:, 0] > drawn[~outside][:, 0]).all()  # warm over cool
    clear = torch.cat([reference, torch.zeros(48, 64, 1)], -1)
    assert torch.equal(draw_location(clear, masks, masks)[outside], torch.ones(int(outside.sum()), 3))
    with pytest.raises(ValueError, match="give the picture that it was made for"):
        draw_location(reference[:40], masks, masks)

"""Local fits have no phase, know no frame rate, borrow nothing across a gap, and follow what is fast."""

import math

import pytest
import torch
from motion4d.core.body.local_fits import smooth_tracks


def seen_all(values):
    return torch.ones(values.shape[:2], dtype=torch.bool)


def smoothed(values, fps=30.0, width=0.12, **options):
    return smooth_tracks(values, width=width, fps=fps, seen=options.pop("seen", seen_all(values)), **options)


def test_a_parabola_is_left_as_it_is():
    time = torch.linspace(-1, 1, 61, dtype=torch.float64)
    parabola = torch.stack([time, 0.5 * time**2, 1 - time], -1)[:, None]
    assert torch.allclose(smoothed(parabola, adaptive=False)[12:-12], parabola[12:-12], atol=1e-8)
    line = torch.stack([time, 2 * time, 1 - time], -1)[:, None]
    assert torch.allclose(smoothed(line, adaptive=False), line, atol=1e-8)
    assert torch.allclose(smoothed(line), line, atol=1e-8)


def test_a_fit_is_the_weighted_least_squares_it_says(generator):
    """Against the normal equations of one moment, solved by hand."""
    values = torch.randn(40, 1, 1, generator=generator, dtype=torch.float64)
    offset = (torch.arange(40, dtype=torch.float64) - 20) / (0.1 * 30)
    weight = torch.where(offset.abs() <= 3.01, torch.exp(-(offset**2) / 2), 0.0)
    design = torch.stack([torch.ones(40), offset, offset**2], -1).double()
    fit = torch.linalg.lstsq(design * weight.sqrt()[:, None], (values[:, :, 0] * weight.sqrt()[:, None])).solution[0, 0]
    assert smoothed(values, width=0.1, adaptive=False)[20, 0, 0].item() == pytest.approx(fit.item(), abs=1e-6)


@pytest.mark.parametrize("adaptive", [True, False])
def test_backwards_is_forwards(generator, adaptive):
    values = torch.randn(50, 3, 3, generator=generator).cumsum(0) * 0.02
    assert torch.allclose(smoothed(values.flip(0), adaptive=adaptive).flip(0), smoothed(values, adaptive=adaptive), atol=1e-6)


@pytest.mark.parametrize("adaptive", [True, False])
def test_where_and_how_it_is_turned_does_not_matter(generator, adaptive):
    values = torch.randn(50, 3, 3, generator=generator, dtype=torch.float64).cumsum(0) * 0.02
    turn = torch.linalg.qr(torch.randn(3, 3, generator=generator, dtype=torch.float64))[0]
    moved = smoothed(values @ turn + 5.0, adaptive=adaptive)
    assert torch.allclose(moved, smoothed(values, adaptive=adaptive) @ turn + 5.0, atol=1e-6)


@pytest.mark.parametrize("adaptive", [True, False])
def test_nothing_is_borrowed_across_a_gap(generator, adaptive):
    values = torch.randn(60, 2, 3, generator=generator).cumsum(0) * 0.02
    seen = seen_all(values)
    seen[25:28, 0] = False
    other = values.clone()
    other[28:, 0] += 10.0
    other[25:28, 0] = torch.nan
    first, second = smoothed(values, seen=seen, adaptive=adaptive), smoothed(other, seen=seen, adaptive=adaptive)
    assert torch.equal(first[:25], second[:25]) and torch.allclose(first[28:, 0] + 10.0, second[28:, 0], atol=1e-5)
    assert torch.equal(first[25:28, 0], values[25:28, 0]) and second[25:28, 0].isnan().all()
    assert torch.equal(first[:, 1], second[:, 1])


@pytest.mark.parametrize("frames", [1, 2, 3, 5])
def test_short_tracks_are_whole(generator, frames):
    values = torch.randn(frames, 2, 3, generator=generator)
    assert torch.isfinite(smoothed(values)).all() and torch.isfinite(smoothed(values, width=1.0)).all()


def tremble(fps, seconds=4.0):
    time = torch.arange(round(seconds * fps), dtype=torch.float64) / fps
    course = torch.stack([0.3 * torch.sin(2 * math.pi * 0.5 * time), 0.1 * time, torch.zeros_like(time)], -1)
    shake = 0.007 * torch.stack([torch.sin(2 * math.pi * 7 * time), torch.cos(2 * math.pi * 6 * time), torch.zeros_like(time)], -1)
    return course[:, None], (course + shake)[:, None]


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0, 120.0])
def test_a_tremble_goes(fps):
    course, shaken = tremble(fps)
    left = (smoothed(shaken, fps) - course).square().sum() / (shaken - course).square().sum()
    assert left < 0.1


def test_the_frame_rate_does_not_matter():
    """The same moments of the same course, with a tremble of 7 mm, come out the same at 30 and 60 fps to a third of it."""
    for adaptive in (True, False):
        coarse, fine = smoothed(tremble(30.0)[1], 30.0, adaptive=adaptive), smoothed(tremble(60.0)[1], 60.0, adaptive=adaptive)
        assert (fine[::2] - coarse).norm(dim=-1)[3:-3].max() < 0.0025

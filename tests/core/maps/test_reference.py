"""The reference picture keeps its place, its colours and, unless asked otherwise, its proportions."""

import pytest
import torch
from motion4d.core.maps.reference import FITS, fit_picture
from motion4d.core.maps.resampling import resample
from torch.nn import functional

SIZES = [(31, 47), (64, 64), (200, 90)]


def place_of(picture):
    """Centre of mass (y, x) in 0..1."""
    weight = picture.mean(-1)
    ys, xs = ((torch.arange(size) + 0.5) / size for size in weight.shape)
    return torch.stack([(weight.sum(1) * ys).sum(), (weight.sum(0) * xs).sum()]) / weight.sum()


@pytest.mark.parametrize("mode", FITS)
def test_a_picture_of_the_size_is_left_as_it_is(mode, generator):
    picture = torch.rand(33, 20, 3, generator=generator)
    assert torch.equal(fit_picture(picture, 33, 20, mode), picture)


@pytest.mark.parametrize("mode", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_one_colour_stays_one_colour(mode, size):
    colour = torch.tensor([0.0, 0.3, 1.0])
    fitted = fit_picture(colour.expand(57, 83, 3), *size, mode)
    assert fitted.shape == (*size, 3)
    assert torch.allclose(fitted, colour.expand(*size, 3), atol=1e-6)


@pytest.mark.parametrize("mode", FITS)
@pytest.mark.parametrize("size", SIZES)
def test_the_mirror_image_becomes_the_mirror_image(mode, size, generator):
    picture = torch.rand(50, 71, 3, generator=generator)
    fitted = fit_picture(picture, *size, mode)
    assert torch.allclose(fit_picture(picture.flip(0, 1), *size, mode), fitted.flip(0, 1), atol=1e-6)


@pytest.mark.parametrize("size", [(17, 23), (40, 60), (160, 240)])
def test_nothing_moves(size):
    y, x = torch.meshgrid((torch.arange(80) + 0.5) / 80, (torch.arange(120) + 0.5) / 120, indexing="ij")
    spot = torch.exp(-(((y - 0.4) / 0.1) ** 2 + ((x - 0.6) / 0.1) ** 2))[..., None].expand(-1, -1, 3)
    assert torch.allclose(place_of(fit_picture(spot, *size, "stretch")), place_of(spot), atol=2e-4)


@pytest.mark.parametrize("size", SIZES)
def test_stretching_is_antialiased_bicubic_interpolation(size, generator):
    picture = torch.rand(53, 77, 3, generator=generator)
    expected = functional.interpolate(picture.permute(2, 0, 1)[None], size, mode="bicubic", antialias=True)[0].permute(1, 2, 0)
    assert torch.allclose(fit_picture(picture, *size, "stretch"), expected.clamp(0, 1), atol=2e-5)


def test_cropping_shows_the_middle_in_its_proportions():
    shades = (torch.arange(90) + 0.5).div(90)[None, :, None].expand(30, 90, 3)
    middle = fit_picture(shades, 60, 60)
    assert torch.allclose(middle[:, 2:-2, 0], (1 / 3 + (torch.arange(60) + 0.5) / 60 / 3)[2:-2].expand(60, -1), atol=1e-3)
    tall = fit_picture(shades.transpose(0, 1), 60, 60)
    assert torch.allclose(tall, middle.transpose(0, 1), atol=1e-6)


def test_cropping_to_the_same_proportions_cuts_nothing(generator):
    picture = torch.rand(30, 90, 3, generator=generator)
    assert torch.allclose(fit_picture(picture, 20, 60, "crop"), fit_picture(picture, 20, 60, "stretch"), atol=1e-6)


def test_a_box_with_fractions_samples_between_the_pixels():
    shades = ((torch.arange(40) + 0.5) / 40)[None, :, None].expand(8, 40, 1)
    part = resample(shades, 8, 16, box=(10.25, 0, 26.25, 8))
    assert torch.allclose(part[0, :, 0], (10.25 + torch.arange(16) + 0.5) / 40, atol=1e-6)


@pytest.mark.parametrize("count", [7, 40])
def test_beyond_the_picture_there_is_the_colour_of_the_outside(count, generator):
    picture, colour = torch.rand(20, 24, 3, generator=generator), torch.tensor([0.1, 0.9, 0.4])
    framed = colour.repeat(60, 64, 1)
    framed[20:40, 20:44] = picture
    box = (-6.3, 4.75, 30.2, 27.5)
    expected = resample(framed, count, count, box=tuple(side + 20 for side in box))
    assert torch.allclose(resample(picture, count, count, box=box, outside=colour), expected, atol=1e-5)
    far = resample(picture, count, count, box=(70, 0, 90, 20), outside=colour)
    assert torch.allclose(far, colour.expand(count, count, 3))


def test_pictures_together_are_resampled_as_each_alone(generator):
    pictures = torch.rand(2, 3, 20, 24, 3, generator=generator)
    together = resample(pictures, 13, 31)
    assert torch.allclose(together[1, 2], resample(pictures[1, 2], 13, 31), atol=1e-6) and together.shape == (2, 3, 13, 31, 3)


@pytest.mark.parametrize(
    ("shape", "remedy"), [((8, 8, 4), "transparency"), ((8, 8, 1), "grey"), ((1, 8, 8, 3), "a batch"), ((8, 8), "a batch")]
)
def test_pictures_of_another_kind_are_refused_with_what_to_do(shape, remedy):
    with pytest.raises(ValueError, match=remedy):
        fit_picture(torch.zeros(shape), 16, 16)


def test_unknown_ways_and_empty_sizes_are_refused():
    with pytest.raises(ValueError, match="expected one of crop, stretch"):
        fit_picture(torch.zeros(8, 8, 3), 16, 16, "pad")
    with pytest.raises(ValueError, match="0 x 16"):
        fit_picture(torch.zeros(8, 8, 3), 0, 16)

"""The low-pass: gains to the table, mirrored borders, exact properties, and a naive twin in the spatial domain."""

import math

import numpy as np
import pytest
import torch
from motion4d.core.cues import low_pass
from motion4d.core.cues.low_pass import SHAPES, fast_length

# Period in pixels -> gain of the Gaussian at 30 bins of 512 pixels.
GAINS = {8: 0.1027, 12: 0.3637, 16: 0.5662, 24: 0.7766, 32: 0.8674, 64: 0.9651}


def wave(period: float, size: int) -> torch.Tensor:
    """A wave that is even about the first pixel: mirrored, it goes on as it is."""
    return torch.cos(2 * math.pi * torch.arange(size, dtype=torch.float64) / period)


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("size", [(1, 64, 64), (3, 37, 90), (2, 1, 5), (1, 1, 1)])
def test_a_flat_picture_stays_as_it_is(shape, size):
    flat = torch.full(size, 0.37)
    assert torch.allclose(low_pass(flat, shape=shape, cutoff=2.0), flat, atol=1e-6)


@pytest.mark.parametrize(("period", "gain"), GAINS.items())
@pytest.mark.parametrize("upright", [True, False])
def test_waves_are_left_by_the_gains_of_the_table(period, gain, upright):
    size = 512
    line = wave(period, size)
    picture = line.expand(1, size, size) if upright else line[:, None].expand(1, size, size)
    filtered = low_pass(picture)[0]
    middle = filtered[size // 2] if upright else filtered[:, size // 2]
    inner = slice(128, 128 + 4 * 48)  # whole periods of all of them
    measured = float(middle[inner] @ line[inner] / line[inner].square().sum())
    assert measured == pytest.approx(gain, rel=0.02) and measured == pytest.approx(math.exp(-0.5 * (size / period / 30) ** 2), rel=1e-3)


def test_a_wave_along_the_diagonal_has_the_gain_of_its_density():
    size, period = 512, 16 * math.sqrt(2)
    line = torch.arange(size, dtype=torch.float64)
    picture = torch.cos(2 * math.pi * (line[:, None] + line) / 32)[None]  # 32 px along each axis: 22.6 px across the crests
    inner = slice(160, 352)
    measured = float((low_pass(picture) * picture)[0, inner, inner].sum() / picture[0, inner, inner].square().sum())
    assert measured == pytest.approx(math.exp(-0.5 * (size / period / 30) ** 2), rel=1e-3)


def test_ideal_and_butterworth_keep_low_waves_and_lose_high_ones():
    size = 256
    inner = slice(64, 192)
    for shape, low, edge, high in (("ideal", 1.0, None, 0.0), ("butterworth", 1 / (1 + (8 / 30) ** 4), 0.5, 1 / (1 + (64 / 30) ** 4))):
        for bins, wanted in ((8, low), (30, edge), (64, high)):
            line = wave(size / bins, size)
            measured = float(low_pass(line.expand(1, size, size), shape=shape)[0, 100, inner] @ line[inner] / line[inner].square().sum())
            assert wanted is None or measured == pytest.approx(wanted, abs=0.03)


def test_the_cutoff_counts_waves_over_the_shorter_side(generator):
    square = torch.rand(1, 96, 96, generator=generator, dtype=torch.float64)
    wide = torch.cat([square, square.flip(2)], 2)  # mirrored: the left half has the neighbours it had
    assert torch.allclose(low_pass(wide, cutoff=10)[..., :80], low_pass(square, cutoff=10)[..., :80], atol=2e-2)
    assert not torch.allclose(low_pass(square, cutoff=10), low_pass(square, cutoff=20), atol=2e-2)


def test_mirrored_and_turned_pictures_give_mirrored_and_turned_results(generator):
    picture = torch.rand(2, 48, 70, generator=generator, dtype=torch.float64)
    whole = low_pass(picture, cutoff=9)
    assert torch.allclose(low_pass(picture.flip(2), cutoff=9).flip(2), whole, atol=2e-3)
    assert torch.allclose(low_pass(picture.mT.contiguous(), cutoff=9).mT, whole, atol=2e-3)


def test_nothing_wraps_around_to_the_other_edge():
    picture = torch.zeros(1, 128, 128)
    picture[:, :, 0] = 1.0
    filtered = low_pass(picture, cutoff=10)
    sigma = 128 / (2 * math.pi * 10)
    assert torch.allclose(filtered[0, :, 0], torch.tensor(1 / (sigma * math.sqrt(2 * math.pi))), atol=1e-4)
    assert filtered[0, :, -1].abs().max() < 1e-3


def test_the_gaussian_is_that_of_the_spatial_domain(generator):
    from scipy.ndimage import gaussian_filter

    picture = torch.rand(1, 60, 84, generator=generator, dtype=torch.float64)
    sigma = 60 / (2 * math.pi * 6)
    spatial = gaussian_filter(picture[0].numpy(), sigma, mode="mirror", truncate=8)
    assert np.abs(low_pass(picture, cutoff=6)[0].numpy() - spatial).max() < 2e-3


@pytest.mark.parametrize("shape", SHAPES)
def test_it_is_the_discrete_fourier_transform_written_out(shape, generator):
    height, width, cutoff = 20, 26, 5.0
    picture = torch.rand(1, height, width, generator=generator, dtype=torch.float64)
    density = cutoff / height
    border = math.ceil({"gaussian": 3, "ideal": 10, "butterworth": 10}[shape] / (2 * math.pi * density))
    rows, columns = fast_length(height + 2 * border), fast_length(width + 2 * border)

    def mirrored(place, side):  # step by step from inside
        place, step = place % (2 * side - 2), 2 * side - 2
        return place if place < side else step - place

    padded = np.array(
        [[picture[0, mirrored(y - border, height), mirrored(x - border, width)] for x in range(columns)] for y in range(rows)]
    )
    basis = [np.exp(-2j * np.pi * np.outer(np.arange(n), np.arange(n)) / n) for n in (rows, columns)]
    waves = basis[0] @ padded @ basis[1].T
    v, u = (np.minimum(np.arange(n), n - np.arange(n)) / n for n in (rows, columns))
    rho = np.hypot(v[:, None], u)
    gains = {"gaussian": np.exp(-(rho**2) / (2 * density**2)), "ideal": rho <= density, "butterworth": 1 / (1 + (rho / density) ** 4)}
    back = (basis[0].conj() @ (waves * gains[shape]) @ basis[1].conj().T).real / (rows * columns)
    expected = back[border : border + height, border : border + width]
    assert np.abs(low_pass(picture, cutoff=cutoff, shape=shape)[0].numpy() - expected).max() < 1e-9


def test_any_split_into_batches_gives_the_same_bits(generator):
    frames = torch.rand(11, 90, 121, generator=generator)
    whole = low_pass(frames, batch=11)
    told = []
    for batch in (1, 2, 3, 4, 7):
        assert torch.equal(low_pass(frames, batch=batch, advance=told.append), whole)
    assert sum(told) == 5 * 11
    assert torch.equal(low_pass(frames[4:5]), whole[4:5])


def test_half_precision_is_worked_on_in_single(generator):
    frames = torch.rand(2, 40, 40, generator=generator).half()
    filtered = low_pass(frames)
    assert filtered.dtype == torch.float16 and torch.equal(filtered, low_pass(frames.float()).half())


@pytest.mark.parametrize(("least", "length"), [(1, 1), (7, 8), (531, 540), (541, 576), (1081, 1125)])
def test_lengths_have_no_prime_above_five(least, length):
    assert fast_length(least) == length


@pytest.mark.parametrize(
    ("frames", "options", "message"),
    [
        (torch.zeros(2, 4, 4), {"cutoff": 0.0}, "cutoff is 0.0"),
        (torch.zeros(2, 4, 4), {"cutoff": math.nan}, "cutoff is nan"),
        (torch.zeros(2, 4, 4), {"shape": "box"}, "'box', expected one of gaussian"),
        (torch.zeros(2, 4, 4), {"shape": "butterworth", "order": 0}, "order is 0"),
        (torch.zeros(2, 4, 4), {"batch": 0}, "batch is 0"),
        (torch.zeros(2, 4, 4, 3), {}, "expected floats"),
        (torch.zeros(0, 4, 4), {}, "at least one frame"),
        (torch.zeros(2, 4, 4, dtype=torch.uint8), {}, "torch.uint8"),
    ],
)
def test_what_cannot_be_filtered_is_refused(frames, options, message):
    with pytest.raises(ValueError, match=message):
        low_pass(frames, **options)

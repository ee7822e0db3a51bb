"""Numbers that can be told by hand, and naive twins."""

import math

import numpy as np
import pytest
import torch
from motion4d.core.metrics.images import l1, psnr, ssim
from motion4d.core.metrics.protocol import fit_square, published_l1, published_psnr, published_ssim


@pytest.fixture
def pair(generator):
    first = torch.rand(3, 16, 19, 3, generator=generator)
    return first, (first + 0.2 * torch.randn(first.shape, generator=generator)).clamp(0, 1)


def flat(value, frames=2, side=16):
    return torch.full((frames, side, side, 3), value)


def naive_ssim(one, other):
    """One window after another, each by its definition."""
    line = [math.exp(-((k - 5) ** 2) / (2 * 1.5**2)) for k in range(11)]
    window = np.outer(line, line) / sum(line) ** 2
    found = []
    for channel in range(one.shape[-1]):
        a, b = one[..., channel], other[..., channel]
        for row in range(a.shape[0] - 10):
            for column in range(a.shape[1] - 10):
                x, y = a[row : row + 11, column : column + 11], b[row : row + 11, column : column + 11]
                mx, my = (window * x).sum(), (window * y).sum()
                vx, vy, vxy = (window * (x - mx) ** 2).sum(), (window * (y - my) ** 2).sum(), (window * (x - mx) * (y - my)).sum()
                found.append((2 * mx * my + 1e-4) * (2 * vxy + 9e-4) / ((mx**2 + my**2 + 1e-4) * (vx + vy + 9e-4)))
    return np.mean(found)


def test_a_known_difference_has_known_numbers():
    one, other = flat(0.5), flat(0.6)
    assert psnr(one, other).tolist() == pytest.approx([20.0] * 2, abs=1e-4)
    assert l1(one, other).tolist() == pytest.approx([0.1] * 2, abs=1e-6)
    assert ssim(one, other).tolist() == pytest.approx([(2 * 0.3 + 1e-4) / (0.25 + 0.36 + 1e-4)] * 2, abs=1e-6)


def test_identical_frames(pair):
    first, _ = pair
    assert psnr(first, first).tolist() == [math.inf] * 3
    assert l1(first, first).tolist() == [0.0] * 3
    assert ssim(first, first).tolist() == pytest.approx([1.0] * 3, abs=1e-12)


def test_each_frame_is_measured_alone(pair, monkeypatch):
    from motion4d.core.metrics import images

    first, second = pair
    for measure in (psnr, ssim, l1):
        together, swapped = measure(first, second), measure(second, first)
        monkeypatch.setattr(images, "_BATCH_PIXELS", 1)
        assert torch.allclose(measure(first, second), together, rtol=1e-12)
        monkeypatch.undo()
        assert torch.allclose(together, swapped, rtol=1e-12)
        assert torch.equal(measure(first.flip(0), second.flip(0)), together.flip(0))


def test_similarity_is_that_of_a_naive_twin(pair):
    first, second = pair
    for grey in (False, True):
        weights = torch.tensor([0.299, 0.587, 0.114])
        shown = [(one @ weights)[..., None] if grey else one for one in pair]
        twin = [naive_ssim(a.double().numpy(), b.double().numpy()) for a, b in zip(*shown, strict=True)]
        assert ssim(first, second, grey=grey).tolist() == pytest.approx(twin, abs=1e-6)


def test_a_flat_bright_picture_keeps_its_small_structure():
    """Where variances come from single precision, 1e-7 of rounding drowns them; the twin measures without it."""
    texture = 1e-3 * torch.rand(1, 11, 11, 1, generator=torch.Generator().manual_seed(1)).expand(-1, -1, -1, 3)
    one, other = 0.99 + texture, 0.99 - texture
    assert ssim(one, other).item() == pytest.approx(naive_ssim(one[0].double().numpy(), other[0].double().numpy()), abs=1e-9)


def test_eight_bits_count_as_their_values(generator):
    first, second = (torch.randint(0, 256, (2, 12, 12, 3), generator=generator, dtype=torch.uint8) for _ in range(2))
    for measure in (psnr, ssim, l1, published_psnr, published_ssim, published_l1):
        assert torch.allclose(measure(first, second), measure(first.float() / 255, second.float() / 255), rtol=1e-6)
        assert torch.allclose(measure(first, second.float() / 255), measure(first, second), rtol=1e-6)


def test_the_published_script_is_followed_to_its_wrapping_bits(generator):
    first, second = (torch.randint(0, 256, (4, 12, 13, 3), generator=generator, dtype=torch.uint8) for _ in range(2))
    second[3] = first[3]
    ratios, differences = [], []
    for a, b in zip(first.numpy(), second.numpy(), strict=True):
        mean = np.mean((a - b) ** 2)
        ratios.append(100 if mean == 0 else 20 * math.log10(255 / math.sqrt(mean)))
        differences.append(np.mean(np.abs(a.astype(float) - b.astype(float)) / (12 * 13)))
    assert published_psnr(first, second).tolist() == pytest.approx(ratios, rel=1e-12)
    assert published_l1(first, second).tolist() == pytest.approx(differences, rel=1e-12)
    assert published_psnr(first, second)[:3].min() > psnr(first, second)[:3].max() + 10


def test_a_square_is_cut_from_the_centre():
    squares = torch.rand(2, 32, 32, 3)
    assert torch.equal(fit_square(squares, 32), squares)
    wide = torch.rand(2, 20, 41, 3)
    wide[:, :, 11:31] = 0.25  # the centre lies half a pixel off this
    assert fit_square(wide[:, :, :40], 20).shape == (2, 20, 20, 3)
    even = torch.rand(1, 24, 40, 3)
    assert torch.allclose(fit_square(even, 24), even[:, :, 8:32], atol=1e-6)
    assert torch.allclose(fit_square(even.transpose(1, 2), 24), even.transpose(1, 2)[:, 8:32], atol=1e-6)


def test_proportions_stay_and_places_do_not_move():
    """A disc stays round, in the middle, at the scale of the shorter side."""
    y, x = torch.meshgrid(torch.arange(360) + 0.5, torch.arange(640) + 0.5, indexing="ij")
    disc = ((x - 320).square() + (y - 180).square() < 90**2).float()[None, ..., None].expand(1, 360, 640, 3)
    square = fit_square(disc, 128)[0, ..., 0]
    places = torch.arange(128) + 0.5
    for profile in (square.sum(0), square.sum(1)):
        assert float((profile * places).sum() / profile.sum()) == pytest.approx(64, abs=1e-3)
    assert float(square.sum()) == pytest.approx(math.pi * (90 * 128 / 360) ** 2, rel=2e-3)


@pytest.mark.parametrize(
    ("generated", "reference", "message"),
    [
        (torch.zeros(3, 16, 16, 3), torch.zeros(5, 16, 16, 3), "generated has 3 frames, reference has 5"),
        (torch.zeros(3, 16, 16, 3), torch.zeros(3, 16, 32, 3), "generated is 16x16, reference is 32x16"),
        (torch.zeros(3, 16, 16, 4), torch.zeros(3, 16, 16, 4), "transparency over a background"),
        (torch.full((3, 16, 16, 3), 200.0), torch.zeros(3, 16, 16, 3), "values from 200 to 200, expected 0..1"),
        (torch.full((3, 16, 16, 3), math.nan), torch.zeros(3, 16, 16, 3), "values from nan"),
        (torch.zeros(3, 16, 16, 3, dtype=torch.long), torch.zeros(3, 16, 16, 3), "int64"),
        (torch.zeros(0, 16, 16, 3), torch.zeros(0, 16, 16, 3), r"shape \(0, 16, 16, 3\)"),
    ],
)
def test_what_cannot_be_compared_is_refused(generated, reference, message):
    for measure in (psnr, ssim, l1, published_psnr, published_ssim, published_l1):
        with pytest.raises(ValueError, match=message):
            measure(generated, reference)


def test_frames_smaller_than_the_window_have_no_similarity():
    with pytest.raises(ValueError, match="10x16 pixels, the window of SSIM needs 11x11"):
        ssim(torch.zeros(1, 16, 10, 3), torch.zeros(1, 16, 10, 3))
    with pytest.raises(ValueError, match="square of 0"):
        fit_square(torch.zeros(1, 16, 10, 3), 0)


def test_the_published_similarity_is_that_of_flat_windows_on_grey(generator):
    first, second = (torch.randint(0, 256, (2, 12, 14, 3), generator=generator, dtype=torch.uint8) for _ in range(2))
    found = []
    for pair in zip(first.numpy(), second.numpy(), strict=True):
        x, y = (np.round(one @ [0.299, 0.587, 0.114]) for one in pair)
        windows = [
            tuple(plane[r : r + 7, c : c + 7].ravel() for plane in (x, y)) for r in range(x.shape[0] - 6) for c in range(x.shape[1] - 6)
        ]
        c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
        ratios = [
            (2 * a.mean() * b.mean() + c1) * (2 * np.cov(a, b)[0, 1] + c2)
            / ((a.mean() ** 2 + b.mean() ** 2 + c1) * (a.var(ddof=1) + b.var(ddof=1) + c2))
            for a, b in windows
        ]  # fmt: skip
        found.append(np.mean(ratios))
    assert published_ssim(first, second).tolist() == pytest.approx(found, rel=1e-9)
    with pytest.raises(ValueError, match="needs 7x7"):
        published_ssim(first[:, :6], second[:, :6])

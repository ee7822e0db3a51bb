"""The codebook's report against plain counting."""

import math

import pytest
import torch
from motion4d.core.networks import codebook as module
from motion4d.core.networks.codebook import DUPLICATE_COSINE, inspect_codebook


def book(size=70, channels=8, seed=0):
    return torch.randn(size, channels, generator=torch.Generator().manual_seed(seed))


def test_equal_use_of_all_codes_has_the_size_as_perplexity():
    report = inspect_codebook(book(64), torch.arange(64).repeat(3))
    assert report.perplexity == pytest.approx(64)
    assert report.usage == 1
    assert report.classes == {"unused": 0, "rare": 0, "regular": 64, "frequent": 0}


def test_one_code_has_perplexity_one():
    report = inspect_codebook(book(64), torch.full((2, 30), 5))
    assert report.perplexity == pytest.approx(1)
    assert report.classes == {"unused": 63, "rare": 0, "regular": 0, "frequent": 1}
    assert report.usage == pytest.approx(1 / 64)


def test_perplexity_is_that_of_the_shares():
    indices = torch.tensor([0] * 6 + [1] * 3 + [2])
    expected = math.prod(share**-share for share in (0.6, 0.3, 0.1))
    assert inspect_codebook(book(4), indices).perplexity == pytest.approx(expected)


def test_classes_follow_the_share_of_an_equal_use():
    # 4 codes and 40 tokens: equal use is 10 each.
    report = inspect_codebook(book(4), torch.tensor([0] * 21 + [1] * 15 + [2] * 4))
    assert report.classes == {"unused": 1, "rare": 1, "regular": 1, "frequent": 1}
    assert sum(report.classes.values()) == 4


@pytest.mark.parametrize("rows", [7, 16, 1024])
def test_cosines_equal_the_whole_table(monkeypatch, rows):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", rows)
    codes = book()
    report = inspect_codebook(codes)
    unit = codes / codes.norm(dim=1, keepdim=True)
    cosine = unit @ unit.T
    above = torch.triu(torch.ones(70, 70, dtype=torch.bool), 1)
    # Chunked and whole products differ in the last bit, which may carry a pair over the edge of a bin.
    histogram = torch.histc(cosine[above], bins=100, min=-1, max=1)
    assert report.cosine_histogram.sum() == 70 * 69 / 2
    assert (report.cosine_histogram.cumsum(0) - histogram.cumsum(0)).abs().max() <= 1
    nearest = cosine.masked_fill(torch.eye(70, dtype=torch.bool), -2).amax(1)
    assert torch.allclose(report.nearest_cosine, nearest, atol=1e-5)


def test_twins_and_untrained_codes_are_found():
    codes = book()
    codes[3] = 2 * codes[50]
    codes[[10, 20]] = 0
    report = inspect_codebook(codes)
    assert report.duplicates == 2 and report.nearest_cosine[3] > DUPLICATE_COSINE
    assert report.zeros == 2 and torch.isnan(report.nearest_cosine[[10, 20]]).all()
    assert report.cosine_histogram.sum() == 68 * 67 / 2
    assert "2 codes are zero" in report.text() and "2 codes have a twin" in report.text()


def test_blends_are_not_counted():
    report = inspect_codebook(book(4), torch.tensor([-1, -1, 2, 3]))
    assert report.foreign == 2 and report.counts.tolist() == [0, 0, 1, 1]
    assert "2 tokens are blends" in report.text()


def test_without_tokens_there_is_no_use():
    report = inspect_codebook(book())
    assert math.isnan(report.perplexity) and math.isnan(report.usage) and report.classes == {}
    assert "perplexity" not in report.text()


def test_progress_counts_every_code(monkeypatch):
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 32)
    steps = []
    inspect_codebook(book(70), advance=steps.append)
    assert sum(steps) == 70


@pytest.mark.parametrize(
    ("codes", "indices", "message"),
    [
        (torch.zeros(4), None, "expected \\(codes, channels\\)"),
        (torch.full((4, 2), torch.nan), None, "finite"),
        (torch.ones(4, 2), torch.tensor([4]), "has 4 codes"),
        (torch.ones(4, 2), torch.tensor([-2]), "has 4 codes"),
    ],
)
def test_bad_input_is_refused(codes, indices, message):
    with pytest.raises(ValueError, match=message):
        inspect_codebook(codes, indices)

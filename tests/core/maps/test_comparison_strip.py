"""Panels stand where they belong, unchanged, for as long as the longest."""

import pytest
import torch
from motion4d.core.maps.captions import caption_bar
from motion4d.core.maps.comparison_strip import strip


def video(frames, height, width, seed=0):
    return torch.rand(frames, height, width, 3, generator=torch.Generator().manual_seed(seed))


def test_panels_of_the_height_are_copied_and_separated_by_black():
    first, second = video(5, 32, 20), video(5, 32, 40, seed=1)
    whole = strip([("a", first), ("b", second)], height=32, gap=6, labels=False)
    assert whole.shape == (5, 32, 66, 3)
    assert torch.equal(whole[:, :, :20], first) and torch.equal(whole[:, :, 26:], second)
    assert (whole[:, :, 20:26] == 0).all()


def test_the_shorter_hold_their_last_picture_and_single_ones_stay():
    long, short, single = video(7, 32, 32), video(3, 32, 32, seed=1), video(1, 32, 32, seed=2)
    whole = strip([("", long), ("", short), ("", single)], height=32, gap=0, labels=False)
    assert len(whole) == 7
    assert torch.equal(whole[:3, :, 32:64], short)
    assert torch.equal(whole[3:, :, 32:64], short[-1].expand(4, -1, -1, -1))
    assert torch.equal(whole[:, :, 64:], single.expand(7, -1, -1, -1))


def test_proportions_are_kept_and_sides_are_even():
    whole = strip([("wide", video(1, 30, 60)), ("tall", video(1, 60, 21))], height=45, gap=3, labels=False)
    assert whole.shape[1:3] == (46, 92 + 4 + 16)


def test_words_stand_above_and_never_in_the_picture():
    picture = video(2, 64, 64)
    plain = strip([("", picture)], height=64, labels=False)
    bare, named = (strip([(words, picture)], height=64) for words in ("", "reference"))
    bar = named.shape[1] - 64
    assert bar > 0 and named.shape[1] % 2 == 0
    assert torch.equal(named[:, bar:], plain) and torch.equal(bare[:, bar:], plain)
    assert not torch.equal(named[:, :bar], bare[:, :bar])


def test_long_words_are_made_to_fit():
    ground = caption_bar("", 30, 120)[0, 0]
    for words in ("a", "a caption that is much longer than the panel is wide"):
        written = ((caption_bar(words, 30, 120) - ground).abs().amax(-1) > 0.05).any(0).nonzero()
        assert 0 < written.min() and written.max() < 119
        assert abs(int(written.min()) + int(written.max()) - 119) <= 8  # in the middle


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least one"):
        strip([], height=64)
    with pytest.raises(ValueError, match=r"pose is \(3, 8, 8, 4\)"):
        strip([("pose", torch.zeros(3, 8, 8, 4))], height=64)
    with pytest.raises(ValueError, match="height 8"):
        strip([("pose", video(1, 8, 8))], height=8)

"""Distances of Gaussians whose distance is known, and the textbook formula as a twin."""

import numpy as np
import pytest
import torch
from motion4d.core.metrics.features import FeatureStatistics, clip_starts, frechet_distance, frechet_of


def textbook(one, other):
    from scipy.linalg import sqrtm

    first, second = np.cov(one, rowvar=False), np.cov(other, rowvar=False)
    root = sqrtm(first @ second).real
    return float(((one.mean(0) - other.mean(0)) ** 2).sum() + np.trace(first + second - 2 * root))


def drawn(generator, count, length, *, shift=0.0, scale=1.0):
    mixing = torch.randn(length, length, generator=generator, dtype=torch.float64)
    return scale * torch.randn(count, length, generator=generator, dtype=torch.float64) @ mixing + shift


def test_it_is_the_textbook_formula(generator):
    one, other = drawn(generator, 300, 12), drawn(generator, 200, 12, shift=0.7, scale=1.4)
    assert frechet_of(one, other) == pytest.approx(textbook(one.numpy(), other.numpy()), rel=1e-9)
    assert frechet_of(other, one) == pytest.approx(frechet_of(one, other), rel=1e-12)


def test_a_shift_counts_by_its_square_and_scale_by_deviations(generator):
    rows = drawn(generator, 50, 6)
    step = torch.arange(6, dtype=torch.float64)
    assert frechet_of(rows, rows + step) == pytest.approx(55.0, rel=1e-9)
    spread = float(FeatureStatistics().add(rows).covariance.trace())
    centred = rows - rows.mean(0)
    assert frechet_of(centred, 3 * centred) == pytest.approx(4 * spread, rel=1e-9)  # (3 - 1)^2 tr C


def test_two_points_by_hand():
    """Features on a line: variances 2 and 8, means 0 and 3: 9 + (sqrt 8 - sqrt 2)^2 = 11."""
    assert frechet_of(torch.tensor([[-1.0], [1.0]]), torch.tensor([[1.0], [5.0]])) == pytest.approx(11.0, rel=1e-12)


def test_fewer_features_than_they_are_long(generator):
    """The covariances are singular, where the root of their product is at its worst; the distance by hand is that in the small space the features span."""
    small = drawn(generator, 20, 5), drawn(generator, 24, 5, shift=0.5)
    embedding = torch.linalg.qr(torch.randn(400, 5, generator=generator, dtype=torch.float64))[0]
    large = [rows @ embedding.T for rows in small]
    assert frechet_of(*large) == pytest.approx(frechet_of(*small), rel=1e-8)
    assert frechet_of(large[0], large[0]) == pytest.approx(0, abs=1e-9)
    apart = torch.zeros(8, 400, dtype=torch.float64)
    apart[:, 390:] = torch.randn(8, 10, generator=generator, dtype=torch.float64)
    ours = torch.zeros(8, 400, dtype=torch.float64)
    ours[:, :10] = torch.randn(8, 10, generator=generator, dtype=torch.float64)
    traces = sum(float(FeatureStatistics().add(rows).covariance.trace()) for rows in (apart, ours))  # spaces at right angles share no root
    assert frechet_of(ours, apart) == pytest.approx(traces + float((ours.mean(0) - apart.mean(0)).square().sum()), rel=1e-9)


def test_parts_of_any_size_and_order_give_the_same(generator):
    rows = drawn(generator, 101, 7) + 1e4  # far from zero: sums of squares would lose half of their digits
    whole = FeatureStatistics().add(rows)
    parts = FeatureStatistics()
    for part in rows.split([1, 40, 0, 33, 27]):
        parts.add(part)
    joined = (
        FeatureStatistics().merge(FeatureStatistics().add(rows[60:])).merge(FeatureStatistics().add(rows[:60])).merge(FeatureStatistics())
    )
    for other in (parts, joined):
        assert other.count == 101
        assert torch.allclose(other.mean, whole.mean, rtol=1e-14)
        assert torch.allclose(other.covariance, whole.covariance, rtol=1e-9, atol=1e-9)
    assert np.allclose(whole.covariance, np.cov(rows.numpy(), rowvar=False), rtol=1e-9, atol=1e-9)


def test_merging_leaves_the_other_as_it_was(generator):
    first, second = FeatureStatistics().add(drawn(generator, 9, 3)), FeatureStatistics()
    before = first.covariance.clone()
    second.merge(first).add(drawn(generator, 9, 3))
    assert torch.equal(first.covariance, before) and first.count == 9


def test_what_has_no_distance_is_refused(generator):
    rows = drawn(generator, 9, 3)
    with pytest.raises(ValueError, match="1 features have no covariance"):
        frechet_of(rows[:1], rows)
    with pytest.raises(ValueError, match="of 3 and of 2 values"):
        frechet_of(rows, rows[:, :2])
    with pytest.raises(ValueError, match=r"shape \(9, 2\), expected \(N, 3\)"):
        FeatureStatistics().add(rows).add(rows[:, :2])
    with pytest.raises(ValueError, match="no numbers"):
        FeatureStatistics().add(rows / 0)
    still = torch.ones(4, 3)
    assert frechet_of(still, still) == 0 and frechet_of(still, still + 2) == pytest.approx(12)  # no spread at all
    with pytest.raises(ValueError, match="0 features"):
        frechet_distance(FeatureStatistics(), FeatureStatistics())


def test_clips_lie_wholly_in_the_video():
    assert list(clip_starts(20, 16, 1)) == [0, 1, 2, 3, 4]
    assert list(clip_starts(20, 16, 3)) == [0, 3]
    assert list(clip_starts(20, 4, 8)) == [0, 8, 16]
    with pytest.raises(ValueError, match="15 frames, a clip needs 16"):
        clip_starts(15, 16, 1)
    with pytest.raises(ValueError, match="at least 1"):
        clip_starts(15, 4, 0)

"""Windows over one axis: what holds of every plan."""

import itertools

import pytest
import torch
from motion4d.core.sampling.windows import WindowPlan, plan_tiles, plan_windows

CASES = [
    (length, size, overlap, closed)
    for length in (1, 2, 5, 13, 14, 23, 40, 57)
    for size in (1, 2, 4, 13, 16)
    for overlap in (0, 1, 3, 7, 12)
    for closed in (False, True)
    if overlap < size
]


@pytest.fixture(scope="module")
def plans():
    return {case: plan_windows(*case[:3], closed=case[3]) for case in CASES}


def test_weights_sum_to_one_everywhere(plans):
    for (length, *_), plan in plans.items():
        total = torch.zeros(length)
        for indices, weights in zip(plan.indices, plan.weights, strict=True):
            assert (weights > 0).all()
            total.index_add_(0, indices, weights)
        assert torch.allclose(total, torch.ones(length), atol=1e-6)
        assert plan.length == length


def test_windows_have_the_size_and_no_position_twice(plans):
    for (length, size, _, closed), plan in plans.items():
        for indices in plan.indices:
            assert indices.dtype == torch.int64 and len(indices) == min(size, length) == len(indices.unique())
            steps = indices.diff() % length if closed and length > 1 else indices.diff()
            assert (steps == 1).all()


def test_neighbours_share_at_least_the_overlap(plans):
    for (length, size, overlap, closed), plan in plans.items():
        around = [*plan.indices, plan.indices[0]] if closed and len(plan.indices) > 1 else plan.indices
        for one, other in itertools.pairwise(around):
            assert torch.isin(one, other).sum() >= overlap, (length, size, overlap, closed)


def test_no_more_windows_than_the_overlap_asks_for(plans):
    for (length, size, overlap, closed), plan in plans.items():
        fewer = len(plan.indices) - 1
        if fewer:
            assert fewer * (size - overlap) + (0 if closed else overlap) < length


def test_a_circle_is_the_same_from_every_window():
    plan = plan_windows(24, 8, 4, closed=True)
    assert [indices[0].item() for indices in plan.indices] == [0, 4, 8, 12, 16, 20]
    assert all(torch.equal(weights, plan.weights[0]) for weights in plan.weights)
    assert plan.indices[-1].tolist() == [20, 21, 22, 23, 0, 1, 2, 3]


def test_open_windows_end_where_the_length_does():
    plan = plan_windows(23, 13, 3)
    assert [(int(indices[0]), int(indices[-1])) for indices in plan.indices] == [(0, 12), (10, 22)]
    assert torch.allclose(plan.weights[0], torch.tensor([1.0] * 10 + [0.75, 0.5, 0.25]))
    assert torch.allclose(plan.weights[1], plan.weights[0].flip(0))


@pytest.mark.parametrize("closed", [False, True])
def test_tiles_share_nothing_but_where_the_last_has_to(closed):
    for length in range(1, 30):
        for size in (1, 2, 3, 7, 12, 40):
            plan = plan_tiles(length, size, closed=closed)
            held, total = torch.zeros(length), torch.zeros(length)
            for indices, weights in zip(plan.indices, plan.weights, strict=True):
                assert len(indices) == min(size, length) == len(indices.unique())
                held[indices] += 1
                total[indices] += weights
            assert torch.allclose(total, torch.ones(length)) and (held >= 1).all() and held.sum() - length < min(size, length)
            assert len(plan.indices) == -(-length // min(size, length))


def test_the_last_tile_is_moved_back_or_goes_round():
    assert [indices.tolist() for indices in plan_tiles(8, 3).indices] == [[0, 1, 2], [3, 4, 5], [5, 6, 7]]
    assert [indices.tolist() for indices in plan_tiles(8, 3, closed=True).indices] == [[0, 1, 2], [3, 4, 5], [6, 7, 0]]
    assert plan_tiles(8, 3).weights[1].tolist() == [1, 1, 0.5]


def test_a_plan_knows_whether_it_goes_round():
    assert plan_windows(12, 6, 2, closed=True).closed and plan_tiles(8, 3, closed=True).closed
    assert not plan_windows(12, 6, 2).closed and not plan_windows(6, 6, 2, closed=True).closed


@pytest.mark.parametrize("arguments", [(0, 4, 1), (5, 0, 0), (5, 4, 4), (5, 4, -1)])
def test_bad_plans_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        plan_windows(*arguments)
    with pytest.raises(ValueError, match="weights has shape"):
        WindowPlan([torch.arange(3)], [torch.ones(2)])
    with pytest.raises(ValueError, match="tiles of 0"):
        plan_tiles(5, 0)

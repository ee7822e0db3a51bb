"""Windows: what holds of every plan, and predictions that come back whole."""

import itertools

import pytest
import torch
from motion4d.core.sampling.windows import WindowPlan, fuse_windows, plan_windows

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


@pytest.mark.parametrize("axis", [0, 2, -1])
@pytest.mark.parametrize("closed", [False, True])
def test_predictions_of_each_position_alone_come_back_whole(axis, closed):
    latents = torch.randn(11, 3, 11, 11, generator=torch.Generator().manual_seed(0))
    fused = fuse_windows(lambda part, timestep, window: torch.sin(part) * timestep, plan_windows(11, 5, 2, closed=closed), axis=axis)
    assert torch.allclose(fused(latents, torch.tensor(3.0)), torch.sin(latents) * 3, atol=1e-6)


def test_windows_are_blended_by_their_weights():
    plan = plan_windows(23, 13, 3)
    seen = []

    def denoise(part, timestep, window):
        seen.append(window)
        assert torch.equal(part[0, 0, :, 0, 0], window.float())
        return torch.full_like(part, float(len(seen)))

    latents = torch.arange(23.0).view(1, 1, 23, 1, 1).expand(2, 1, 23, 4, 4)
    blended = fuse_windows(denoise, plan)(latents, torch.tensor(0))
    assert [torch.equal(one, other) for one, other in zip(seen, plan.indices, strict=True)] == [True, True]
    assert torch.allclose(blended[1, 0, :, 2, 3], torch.tensor([1.0] * 10 + [1.25, 1.5, 1.75] + [2.0] * 10))


def test_one_window_is_exactly_the_model():
    latents = torch.randn(1, 4, 9, 2, 2, generator=torch.Generator().manual_seed(0))
    fused = fuse_windows(lambda part, timestep, window: torch.sin(part.flip(2)), plan_windows(9, 13, 3))
    assert torch.equal(fused(latents, torch.tensor(0)), torch.sin(latents.flip(2)))


@pytest.mark.parametrize("arguments", [(0, 4, 1), (5, 0, 0), (5, 4, 4), (5, 4, -1)])
def test_bad_plans_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        plan_windows(*arguments)
    with pytest.raises(ValueError, match="weights has shape"):
        WindowPlan([torch.arange(3)], [torch.ones(2)])


def test_latents_of_another_length_are_refused():
    fused = fuse_windows(lambda part, timestep, window: part, plan_windows(9, 4, 1))
    with pytest.raises(ValueError, match="latents have 8 positions, the windows cover 9"):
        fused(torch.zeros(1, 1, 8, 2, 2), torch.tensor(0))

"""Guidance along two axes: its algebra, which branches it asks for, and its interval."""

import math

import pytest
import torch
from motion4d.core.sampling.guidance import Guidance


def branches(seed=0):
    generator = torch.Generator().manual_seed(seed)
    return {name: torch.randn(3, 4, generator=generator) for name in ("positive", "negative", "still")}


def run(guidance, progress=0.5):
    """The guided prediction of three fixed ones, and which were asked for."""
    asked, parts = [], branches()

    def predict(branch):
        asked.append(branch)
        return parts[branch]

    return guidance.guided(predict, progress), asked


@pytest.mark.parametrize(
    ("guidance", "branch"),
    [
        (Guidance(), "positive"),
        (Guidance(scale=0.0), "negative"),
        (Guidance(scale=1.0, motion=0.0), "still"),
        (Guidance(scale=3.0, motion=2.0, start=0.6), "positive"),
    ],
)
def test_one_branch_alone_is_exactly_that_branch(guidance, branch):
    result, asked = run(guidance)
    assert asked == [branch]
    assert torch.equal(result, branches()[branch])


@pytest.mark.parametrize("scale", [3.0, 6.0, 0.5, -1.0])
def test_one_axis_is_classifier_free_guidance(scale):
    parts = branches()
    result, asked = run(Guidance(scale=scale))
    assert asked == ["negative", "positive"]
    assert torch.equal(result, parts["negative"] + scale * (parts["positive"] - parts["negative"]))
    result, asked = run(Guidance(motion=scale))
    assert asked == ["positive", "still"]
    assert torch.allclose(result, parts["still"] + scale * (parts["positive"] - parts["still"]), atol=1e-5)


@pytest.mark.parametrize("scale", [-0.5, 0.0, 0.3, 1.0, 2.5])
@pytest.mark.parametrize("motion", [-0.5, 0.0, 0.7, 1.0, 2.5])
def test_every_pair_of_scales_is_the_sum_and_asks_for_no_branch_without_weight(scale, motion):
    parts = branches()
    result, asked = run(Guidance(scale=scale, motion=motion))
    weights = {"positive": scale + motion - 1, "negative": 1 - scale, "still": 1 - motion}
    assert torch.allclose(result, sum(weight * parts[name] for name, weight in weights.items()), atol=1e-5)
    assert sorted(asked) == sorted(name for name, weight in weights.items() if weight)


def test_axes_between_equal_predictions_do_nothing():
    same = torch.randn(5, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(Guidance(scale=7.0, motion=4.0).combine(same, same, same), same)


def test_guidance_acts_in_its_interval_and_at_both_ends_of_it():
    guidance = Guidance(scale=3.0, motion=2.0, start=0.25, end=0.75)
    acting = [guidance.needs(progress) == (True, True, True) for progress in (0.0, 0.24, 0.25, 0.5, 0.75, 0.76, 1.0)]
    assert acting == [False, False, True, True, True, False, False]
    assert guidance.needs(0.0) == (True, False, False)


@pytest.mark.parametrize(
    "bad", [{"scale": math.nan}, {"motion": math.inf}, {"start": -0.1}, {"end": 1.1}, {"start": 0.6, "end": 0.5}, {"start": math.nan}]
)
def test_bad_guidance_is_refused(bad):
    with pytest.raises(ValueError, match="guidance"):
        Guidance(**bad)

"""The benchmark compares equal results, and counts operations as torch does."""

import pytest
import torch
from motion4d.benchmarks.mvdit import main
from motion4d.benchmarks.mvdit_cases import MODELS, TINY_7B, make_case
from motion4d.benchmarks.mvdit_work import work_7b, work_17b
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoXConfig
from motion4d.core.networks.residual_cache import ResidualCache
from motion4d.core.networks.wan_config import MVDiTWanConfig
from motion4d.core.sampling.guidance import Guidance
from torch.utils.flop_counter import FlopCounterMode

CPU = torch.device("cpu")


def by_matrices(q, k, v):
    """The product of attention in steps that torch counts on every device."""
    return (q @ k.mT / q.shape[-1] ** 0.5).softmax(-1) @ v


@pytest.fixture(params=MODELS)
def case(request):
    return make_case(request.param, "tiny", device=CPU, grid=3)


@pytest.mark.parametrize("model", MODELS)
def test_operations_are_those_that_torch_counts(model):
    case = make_case(model, "tiny", device=CPU, attention=by_matrices, grid=3)
    case.kept()  # what it reads once does not belong to a step
    for run, work in ((case.plain, case.plain_work), (case.kept, case.kept_work)):
        with FlopCounterMode(display=False) as counter:
            run()
        assert counter.get_total_flops() == work.total


def test_a_look_of_the_released_sizes():
    look = work_7b(MVDiTCogVideoXConfig(), (13, 64, 64), 312)
    assert look.total == pytest.approx(2.4e14, rel=0.02) and look.self_attention == pytest.approx(0.9e14, rel=0.02)
    without = work_17b(MVDiTWanConfig(), (13, 64, 64), 0, 257)
    released = work_17b(MVDiTWanConfig(), (13, 64, 64), 312, 257)
    assert 0.02 < released.total / without.total - 1 < 0.05  # ten injections in forty blocks
    assert work_7b(TINY_7B, (13, 8, 8), 312).times(3).total == 3 * work_7b(TINY_7B, (13, 8, 8), 312).total


def test_the_plain_formulation_gives_the_same_numbers(case):
    plain = case.plain()
    assert plain.shape == (2, 4, 13, 6, 6) and plain.isfinite().all()
    assert torch.allclose(plain, case.kept(), atol=1e-5)
    assert not torch.allclose(plain[0], plain[1], atol=1e-3)


def test_branches_apart_are_the_rows_of_the_step(case):
    rows = case.kept()
    for row, branch in zip(rows, ("negative", "positive"), strict=True):
        alone = case.predict(case.latents, torch.tensor(500.0), branch, None)
        assert torch.allclose(alone[0], row, atol=1e-5)


def test_options_that_approximate_nothing_are_exact(case):
    exact = case.sample(3)
    assert torch.equal(case.sample(3, cache=ResidualCache(0.0)), exact)
    assert torch.equal(case.sample(3, guidance=Guidance(case.recipe.guidance, start=0.0, end=1.0)), exact)
    assert not torch.equal(case.sample(3, guidance=Guidance(case.recipe.guidance, start=0.4, end=0.6)), exact)


def test_fp8_weights_change_the_result_a_little(case):
    exact = case.kept()
    case.quantise()
    assert 1e-4 < float((case.kept() - exact).norm() / exact.norm()) < 0.2
    assert torch.allclose(case.kept(), case.plain(), atol=1e-5)  # keys and values have been read anew


def test_it_prints_all_parts(capsys):
    main("--sizes tiny full --models 7b --device cpu --grid 3 --steps 2 --repeat 1".split())
    printed = capsys.readouterr().out
    for part in ("13x3x3 video tokens", "of the bound", "MB beside the weights", "x as fast", "math", "passes left out", "fp8"):
        assert part in printed, part
    assert "full size: not measured (no GPU)" in printed

"""Blocks left out between steps."""

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.residual_cache import ResidualCache

COG = MVDiTCogVideoXConfig(heads=1, head_dim=64, in_channels=6, out_channels=3, layers=3, time_dim=12, text_dim=5, motion_slots=10)
WAN = MVDiTWanConfig(
    dim=80, heads=2, ffn_dim=64, layers=6, in_channels=7, out_channels=3, text_dim=10, text_len=8, freq_dim=16, image_dim=14, motion_dim=48
)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def test_residuals_are_reused_while_the_signal_stays():
    cache, calls = ResidualCache(0.25), []

    def blocks(x):
        calls.append(1)
        return x + len(calls)

    x, signal = torch.zeros(1, 2, 3), torch.ones(1, 4)
    assert cache.through("a", x, signal, blocks).unique() == 1
    assert cache.through("a", x + 5, signal * 1.1, blocks).unique() == 6  # + 1 again: a change of 0.1
    assert cache.through("a", x, signal * 1.21, blocks).unique() == 1  # 0.2 together
    assert cache.through("a", x, signal * 1.331, blocks).unique() == 2  # 0.3: a full pass, and the sum starts anew
    assert cache.through("a", x, signal * 1.4641, blocks).unique() == 2
    assert (cache.full, cache.skipped, len(calls)) == (2, 3, 2)


def test_branches_do_not_meet():
    cache, x, signal = ResidualCache(1.0), torch.zeros(1, 2, 3), torch.ones(1, 4)
    for branch, value in (("positive", 1.0), ("negative", 2.0)):
        cache.through(branch, x, signal, lambda x, value=value: x + value)
    for branch, value in (("positive", 1.0), ("negative", 2.0)):
        assert cache.through(branch, x, signal, lambda x: x * float("nan")).unique() == value
    cache.clear()
    assert cache.through("positive", x, signal, lambda x: x + 3).unique() == 3
    assert (cache.full, cache.skipped) == (1, 0)


def test_other_shapes_and_jumps_run_in_full():
    cache, x, signal = ResidualCache(0.5), torch.zeros(1, 2, 3), torch.ones(1, 4)
    cache.through(None, x, signal, lambda x: x + 1)
    assert cache.through(None, torch.zeros(2, 2, 3), torch.ones(2, 4), lambda x: x + 2).unique() == 2
    assert cache.through(None, torch.zeros(2, 2, 3), torch.ones(2, 4) * 2, lambda x: x + 3).unique() == 3
    assert cache.through(None, torch.zeros(2, 2, 3), torch.ones(2, 4) * float("nan"), lambda x: x + 4).unique() == 4
    assert cache.skipped == 0


@pytest.mark.parametrize("threshold", [-0.1, float("nan"), float("inf")])
def test_bad_thresholds_are_refused(threshold):
    with pytest.raises(ValueError, match="threshold of the residual cache"):
        ResidualCache(threshold)


@pytest.fixture(params=["7b", "17b"])
def steps(request):
    """Run ten small steps of a model, its output taken off its input each time -> the last latents."""
    model, generator = {"7b": lambda: MVDiTCogVideoX(COG), "17b": lambda: MVDiTWan(WAN)}[request.param](), torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * (parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    motion = MotionCondition(tokens=draw(10, 64 if request.param == "7b" else 48), positions=draw(5, 3) * 300, frames=2)
    reading = model.eval().read_motion([motion], like=torch.zeros(1))
    start = draw(1, 2, 3, 4, 4) if request.param == "7b" else draw(1, 3, 2, 4, 4)
    still = draw(1, 2, 3, 4, 4) if request.param == "7b" else draw(1, 4, 2, 4, 4)
    context = None if request.param == "7b" else model.prepare([draw(5, 10)], draw(1, 9, 14))

    def run(strengths=(1.0,) * 10, **options):
        latents = start
        for time, strength in zip(torch.linspace(990, 720, 10), strengths, strict=True):
            given = {"timestep": time[None], "motion": reading, "strength": strength, **options}
            if request.param == "7b":
                latents = latents - 0.1 * model(torch.cat([latents, still], 2), **given)
            else:
                latents = latents - 0.1 * model(latents, condition=still, context=context, **given)
        return latents

    return run


def test_a_threshold_of_zero_is_exact(steps):
    cache = ResidualCache(0.0)
    assert torch.equal(steps(cache=cache), steps())
    assert (cache.full, cache.skipped) == (10, 0)


def test_more_threshold_leaves_out_more_and_strays(steps, record_property):
    exact, off, skipped = steps(), [], []
    for threshold in (0.3, 2.0, 10.0):
        cache = ResidualCache(threshold)
        off.append(float((steps(cache=cache) - exact).norm() / exact.norm()))
        skipped.append(cache.skipped)
        assert cache.full + cache.skipped == 10 and cache.full >= 1
        record_property(f"relative deviation at threshold {threshold}", off[-1])
        print(f"threshold {threshold}: {skipped[-1]} of 10 passes left out, latents off by {off[-1]:.2%}")
    assert skipped[0] < skipped[1] < skipped[2]
    assert off[0] < min(off[1:]) and max(off) < 0.5


def test_motion_that_is_switched_off_does_not_live_on(steps):
    """The strength is a branch of its own: a step without motion never reuses what motion added."""
    off, cache = (1.0,) * 5 + (0.0,) * 5, ResidualCache(1e-9)
    assert torch.equal(steps(off, cache=cache), steps(off))
    loose = ResidualCache(1e6)
    steps(off, cache=loose)
    assert (loose.full, loose.skipped) == (2, 8)


def test_what_is_observed_is_computed(steps):
    cache, seen = ResidualCache(1e6), []
    assert torch.equal(steps(cache=cache, observe=lambda number, probabilities: seen.append(number)), steps())
    assert len(seen) in (30, 20) and cache.full == 0

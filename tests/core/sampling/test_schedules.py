"""The schedules: their formulas, and the reference's numbers."""

import pytest
import torch
from motion4d.core.sampling.schedules import cogvideox_ddim, cogvideox_dpm, wan_flow


@pytest.mark.parametrize("schedule", [cogvideox_dpm, cogvideox_ddim])
def test_the_first_timestep_is_pure_noise_and_the_last_step_ends_clean(schedule):
    scheduler = schedule(50)
    assert scheduler.timesteps.tolist() == list(range(999, 0, -20))
    assert scheduler.alphas_cumprod[999] == 0
    assert scheduler.final_alpha_cumprod == 1
    assert (scheduler.alphas_cumprod.diff() < 0).all()


@pytest.mark.parametrize("schedule", [cogvideox_dpm, cogvideox_ddim, wan_flow])
@pytest.mark.parametrize("steps", [1, 2, 30, 61, 103, 500, 999, 1000])
def test_there_are_as_many_timesteps_as_steps(schedule, steps):
    timesteps = schedule(steps).timesteps
    assert len(timesteps) == steps
    assert timesteps.min() >= 0 and timesteps.max() <= 1000
    assert (timesteps.diff() < 0).all()


@pytest.mark.parametrize("schedule", [cogvideox_dpm, cogvideox_ddim])
def test_signal_of_each_timestep_equals_the_formula(schedule):
    betas = [(0.00085**0.5 + (0.012**0.5 - 0.00085**0.5) * t / 999) ** 2 for t in range(1000)]
    root, roots = 1.0, []
    for beta in betas:
        root *= (1 - beta) ** 0.5
        roots.append(root)
    stretched = [((value - roots[-1]) * roots[0] / (roots[0] - roots[-1])) ** 2 for value in roots]
    assert torch.allclose(schedule(5).alphas_cumprod, torch.tensor(stretched, dtype=torch.float64), atol=1e-9)


@pytest.mark.parametrize(("steps", "shift"), [(10, 5.0), (50, 5.0), (7, 3.0), (4, 1.0)])
def test_the_low_end_of_the_flow_is_shifted_twice(steps, shift):
    def shifted(sigma):
        return shift * sigma / (1 + (shift - 1) * sigma)

    low = shifted(0.001)
    even = [1 + (low - 1) * number / (steps - 1) for number in range(steps)]
    scheduler = wan_flow(steps, shift)
    expected = torch.tensor([shifted(sigma) for sigma in even] + [0.0])
    assert torch.allclose(scheduler.sigmas, expected, atol=1e-6)
    assert torch.allclose(scheduler.timesteps, 1000 * expected[:-1], atol=1e-3)


@pytest.mark.parametrize("schedule", [cogvideox_dpm, cogvideox_ddim, wan_flow])
@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_numbers_of_steps_out_of_range_are_refused(schedule, steps):
    with pytest.raises(ValueError, match="1 to 1000"):
        schedule(steps)


@pytest.mark.parametrize("shift", [0.0, -1.0, float("nan"), float("inf")])
def test_bad_shifts_are_refused(shift):
    with pytest.raises(ValueError, match="shift is"):
        wan_flow(10, shift)


def test_reference_schedules(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "schedulers.safetensors"))
    for schedule in (cogvideox_dpm, cogvideox_ddim):
        assert torch.equal(schedule(50).timesteps, golden["out.dpm.timesteps50"])
        assert (schedule(50).alphas_cumprod - golden["out.dpm.alphas_cumprod"]).abs().max() < 1e-9
    for steps in (10, 50):
        flow = wan_flow(steps)
        assert (flow.sigmas - golden[f"out.flow.sigmas{steps}"]).abs().max() < 1e-6
        assert (flow.timesteps - golden[f"out.flow.timesteps{steps}"]).abs().max() < 1e-3

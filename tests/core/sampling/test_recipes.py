"""The released recipes, and their schedules as ComfyUI's samplers take them."""

import pytest
import torch
from motion4d.core.sampling.loop import walk
from motion4d.core.sampling.noise import starting_noise
from motion4d.core.sampling.recipes import RECIPES, Recipe
from motion4d.core.sampling.run import progress_of, timestep_at


def test_steps_of_0_are_the_released_ones():
    recipe = RECIPES["17B distilled"]
    assert recipe.with_steps(0) is recipe and recipe.with_steps(6).steps == 6
    assert [len(one.scheduler().timesteps) for one in RECIPES.values()] == [50, 50, 50, 10]
    assert [(one.guidance, one.kind) for one in RECIPES.values()] == [(3, "mvdit_7b"), (3, "mvdit_7b"), (6, "mvdit_17b"), (1, "mvdit_17b")]


@pytest.mark.parametrize("name", ["17B", "17B distilled"])
def test_sigmas_of_a_flow_are_the_scheduler_s(name):
    recipe = RECIPES[name]
    assert torch.equal(recipe.sigmas(), recipe.scheduler().sigmas)


def test_ddim_is_euler_over_the_sigmas():
    """In ComfyUI's units: latents z sqrt(1 + sigma^2), whose slope is the estimate of the noise. The first sigma stands for infinity."""
    recipe = RECIPES["7B DDIM"].with_steps(10)
    sigmas, scheduler, start = recipe.sigmas(), recipe.scheduler(), starting_noise((3, 5), 0)

    def velocity(z, timestep):
        return torch.sin(2 * z + timestep / 300)

    x = -velocity(start, 999) + sigmas[1].double() * start
    for timestep, now, then in zip(scheduler.timesteps[1:], sigmas[1:-1].double(), sigmas[2:].double(), strict=True):
        z = x / (1 + now**2) ** 0.5
        clean = (z - now * velocity(z, timestep)) / (1 + now**2) ** 0.5
        x = x + (then - now) * (x - clean) / now
    assert torch.allclose(walk(velocity, start, scheduler), x.float(), atol=5e-5)
    assert len(sigmas) == 11 and sigmas[-1] == 0 and (sigmas.diff() < 0).all() and 4000 < sigmas[0] < 5000


@pytest.mark.parametrize("name", RECIPES)
def test_progress_goes_from_noise_to_video(name):
    recipe = RECIPES[name]
    points = [progress_of(timestep, recipe) for timestep in recipe.scheduler().timesteps]
    assert points[0] == 0 and points == sorted(set(points)) and 0.97 < points[-1] < 1
    assert progress_of(0, recipe) == 1


@pytest.mark.parametrize("shift", [1.0, 3.3, 5.0, 8.0])
def test_progress_undoes_the_shift(shift):
    """ComfyUI: sigma of a percent = shift u / (1 + (shift - 1) u) with u = 1 - percent."""
    recipe = Recipe("x", "mvdit_17b", "flow", 10, 1.0, shift)
    for percent in (0.0, 0.1, 0.5, 0.9, 1.0):
        sigma = shift * (1 - percent) / (1 + (shift - 1) * (1 - percent))
        assert progress_of(1000 * sigma, recipe) == pytest.approx(percent, abs=1e-9)
        assert 0 <= progress_of(1000 * sigma, recipe) <= 1


@pytest.mark.parametrize("name", RECIPES)
def test_the_timestep_at_a_point_is_the_nearest_of_the_schedule(name):
    recipe = RECIPES[name]
    timesteps = recipe.scheduler().timesteps
    assert timestep_at(0.0, recipe) == timesteps[0] and timestep_at(1.0, recipe) == timesteps[-1]
    for timestep in timesteps[::7]:
        assert timestep_at(progress_of(timestep, recipe), recipe) == timestep
    with pytest.raises(ValueError, match="progress is"):
        timestep_at(1.5, recipe)

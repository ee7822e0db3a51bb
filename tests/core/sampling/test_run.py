"""Recipes: exact properties, pinned frames, windows, the guidance interval, and the reference's runs of both models."""

import pytest
import torch
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.rope import RotaryTable
from motion4d.core.sampling import run
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.loop import sample
from motion4d.core.sampling.noise import starting_noise, step_generator
from motion4d.core.sampling.progressive import Balance, plan_grid
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.sampling.run import progress_of, run_recipe
from motion4d.core.sampling.windows import plan_windows

SHORT = {name: RECIPES[name].with_steps(5) for name in ("7B DPM", "7B DDIM", "17B")}
SHIFTS = {"positive": 0.3, "negative": -0.2, "still": 0.1}
NOISE = starting_noise((2, 3, 7, 4, 4), 0)


def bent(latents, timestep, branch, window):
    """A model with no closed form, that tells its branch and its time apart and mixes neighbouring frames."""
    return torch.sin(2 * latents + float(timestep) / 300) + SHIFTS[branch] * latents.roll(1, 2)


def recorded(calls):
    def predict(latents, timestep, branch, window):
        calls.append((float(timestep), branch, window))
        return bent(latents, timestep, branch, window)

    return predict


# --- what holds exactly ---


@pytest.mark.parametrize("name", SHORT)
@pytest.mark.parametrize("scale", [0.0, 1.0, 3.0])
def test_it_is_the_loop_of_the_recipe_s_schedule(name, scale):
    def denoise(latents, timestep, conditional):
        return bent(latents, timestep, "positive" if conditional else "negative", None)

    expected = sample(denoise, NOISE, SHORT[name].scheduler(), guidance=scale, generator=step_generator(1))
    assert torch.equal(run_recipe(SHORT[name], NOISE, bent, guidance=Guidance(scale), generator=step_generator(1)), expected)


@pytest.mark.parametrize(
    ("guidance", "branches"),
    [
        (Guidance(), {"positive"}),
        (Guidance(0.0), {"negative"}),
        (Guidance(1.0, 0.0), {"still"}),
        (Guidance(3.0), {"positive", "negative"}),
        (Guidance(3.0, 2.0), {"positive", "negative", "still"}),
    ],
)
def test_branches_are_asked_once_a_step_and_only_if_needed(guidance, branches):
    calls = []
    run_recipe(SHORT["17B"], NOISE, recorded(calls), guidance=guidance)
    assert len(calls) == 5 * len(branches) and {branch for _, branch, _ in calls} == branches
    assert all(window is None for *_, window in calls)


def test_one_branch_alone_is_that_branch_from_start_to_end():
    for scale, branch in ((1.0, "positive"), (0.0, "negative")):
        alone = run_recipe(SHORT["7B DDIM"], NOISE, lambda z, t, _, w, branch=branch: bent(z, t, branch, w))
        assert torch.equal(run_recipe(SHORT["7B DDIM"], NOISE, bent, guidance=Guidance(scale)), alone)


@pytest.mark.parametrize("name", SHORT)
def test_one_window_is_no_window(name):
    whole = run_recipe(SHORT[name], NOISE, bent, guidance=Guidance(3.0), generator=step_generator(2))
    plan = plan_windows(7, 13, 3)
    assert torch.equal(run_recipe(SHORT[name], NOISE, bent, guidance=Guidance(3.0), generator=step_generator(2), windows=plan), whole)


def test_windows_of_a_model_that_sees_each_frame_alone_are_the_whole():
    def alone(latents, timestep, branch, window):
        return torch.sin(2 * latents) + SHIFTS[branch]

    plan, calls = plan_windows(7, 4, 2), []

    def predict(latents, timestep, branch, window):
        calls.append((branch, window))
        assert latents.shape[2] == len(window.frames) == 4 and window.views.tolist() == [0, 1]
        return alone(latents, timestep, branch, window)

    windowed = run_recipe(SHORT["17B"], NOISE, predict, guidance=Guidance(3.0), windows=plan)
    assert torch.allclose(windowed, run_recipe(SHORT["17B"], NOISE, alone, guidance=Guidance(3.0)), atol=1e-5)
    assert len(calls) == 5 * 2 * len(plan.indices)
    assert all(any(torch.equal(window.frames, indices) for indices in plan.indices) for _, window in calls)


@pytest.mark.parametrize("name", SHORT)
def test_a_grid_of_views_is_sampled_in_passes_that_take_turns(name):
    grid, calls = starting_noise((7, 3, 9, 4, 4), 0), []
    plan = plan_grid(7, 9, view_window=4, frame_window=5, frame_overlap=2, balance=Balance("alternate"))

    def alone(latents, timestep, branch, window):
        calls.append((float(timestep), window))
        return torch.sin(2 * latents) + SHIFTS[branch]

    found = run_recipe(SHORT[name], grid, alone, guidance=Guidance(3.0), generator=step_generator(1), windows=plan)
    passes = [{window.along for at, window in calls if at == step} for step in dict.fromkeys(at for at, _ in calls)]
    assert passes == [{"time"}, {"views"}, {"time"}, {"views"}, {"time"}]
    assert {id(window) for _, window in calls} == {id(window) for step in range(5) for window, _ in plan.pieces(step)}
    whole = run_recipe(SHORT[name], grid, alone, guidance=Guidance(3.0), generator=step_generator(1))
    assert torch.allclose(found, whole, atol=1e-4)


def test_a_ramp_follows_the_progress_of_the_recipe():
    grid, shares = starting_noise((7, 3, 9, 4, 4), 0), []
    plan = plan_grid(7, 9, view_window=4, frame_window=5, frame_overlap=2, balance=Balance("ramp", 0.0, 1.0))
    told = {"time": 1.0, "views": 0.0}
    # The prediction is the share of the pass over time, wherever it is looked at.
    run_recipe(
        SHORT["7B DDIM"],
        grid,
        lambda z, t, b, w: torch.full_like(z, told[w.along]),
        windows=plan,
        on_step=lambda done, latents: shares.append(latents),
    )
    expected = [progress_of(timestep, SHORT["7B DDIM"]) for timestep in SHORT["7B DDIM"].scheduler().timesteps]
    scheduler, latents = SHORT["7B DDIM"].scheduler(), grid
    for number, (share, timestep) in enumerate(zip(expected, scheduler.timesteps, strict=True)):
        latents = scheduler.step(torch.full_like(latents, share), timestep, latents, return_dict=False)[0]
        assert torch.allclose(shares[number], latents, atol=1e-5)


@pytest.mark.parametrize("name", SHORT)
def test_pinned_frames_end_as_they_are_and_move_the_others(name):
    pinned = starting_noise((3, 2, 4, 4), 9)
    result = run_recipe(SHORT[name], NOISE, bent, generator=step_generator(1), pinned=pinned)
    assert torch.equal(result[:, :, :2], pinned.expand(2, -1, -1, -1, -1))
    free = run_recipe(SHORT[name], NOISE, bent, generator=step_generator(1))
    assert (result[:, :, 2:] - free[:, :, 2:]).abs().max() > 0.01


@pytest.mark.parametrize("name", SHORT)
def test_pinned_frames_are_as_noisy_as_the_next_step_expects(name):
    recipe, seen = SHORT[name], []
    pinned = torch.full((3, 4, 32, 32), 2.0)

    def predict(latents, timestep, branch, window):
        seen.append((timestep, latents[:, :, :4]))
        return torch.sin(latents)

    run_recipe(recipe, starting_noise((1, 3, 5, 32, 32), 0), predict, generator=step_generator(1), pinned=pinned)
    for timestep, known in seen[1:]:
        if recipe.solver == "flow":
            spread = float(timestep) / 1000
            signal = 1 - spread
        else:
            kept = float(recipe.scheduler().alphas_cumprod[timestep])
            signal, spread = kept**0.5, (1 - kept) ** 0.5
        assert float(known.mean()) == pytest.approx(2 * signal, abs=0.04) and float(known.std()) == pytest.approx(spread, abs=0.03)


@pytest.mark.parametrize("name", SHORT)
def test_the_seed_decides_everything_that_is_drawn(name):
    def once(seed):
        return run_recipe(SHORT[name], NOISE, bent, generator=step_generator(seed), pinned=torch.ones(3, 2, 4, 4))

    assert torch.equal(once(1), once(1)) and not torch.equal(once(1), once(2))


def test_arithmetic_is_float32_whatever_comes_in():
    result = run_recipe(SHORT["17B"], NOISE.bfloat16(), lambda z, t, b, w: bent(z, t, b, w).bfloat16())
    assert result.dtype == torch.float32
    calls = []
    run_recipe(SHORT["17B"], NOISE.double(), lambda z, t, b, w: calls.append(z.dtype) or bent(z, t, b, w))
    assert set(calls) == {torch.float32}


def test_every_step_is_reported_after_pinning():
    seen, pinned = [], torch.ones(3, 1, 4, 4)
    result = run_recipe(SHORT["17B"], NOISE, bent, pinned=pinned, on_step=lambda done, latents: seen.append((done, latents)))
    assert [done for done, _ in seen] == [1, 2, 3, 4, 5] and torch.equal(seen[-1][1], result)
    assert torch.equal(result[:, :, 0], torch.ones(2, 3, 4, 4))


# --- the guidance interval, an approximation ---


@pytest.mark.parametrize("name", SHORT)
def test_a_guidance_interval_leaves_out_calls_and_the_whole_one_is_exact(name):
    recipe, calls = SHORT[name], []
    exact = run_recipe(recipe, NOISE, bent, guidance=Guidance(3.0), generator=step_generator(1))
    whole = run_recipe(recipe, NOISE, bent, guidance=Guidance(3.0, start=0.0, end=1.0), generator=step_generator(1))
    assert torch.equal(whole, exact)
    part = run_recipe(recipe, NOISE, recorded(calls), guidance=Guidance(3.0, start=0.1, end=0.5), generator=step_generator(1))
    points = {timestep: progress_of(timestep, recipe) for timestep, *_ in calls}
    guided = {timestep for timestep, branch, _ in calls if branch == "negative"}
    assert guided == {timestep for timestep, at in points.items() if 0.1 <= at <= 0.5} and 0 < len(guided) < 5
    assert len(calls) == 5 + len(guided)
    assert 0.01 < float((part - exact).norm() / exact.norm()) < 1


# --- refusals, before the first call ---


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"noise": torch.zeros(3, 7, 4, 4)}, "noise has shape"),
        ({"windows": plan_windows(8, 4, 1)}, "cover 8 latent frames, the latents have 7"),
        ({"windows": plan_grid(3, 7)}, "cover 3 views, the latents have 2"),
        ({"windows": plan_grid(2, 8)}, "cover 8 latent frames, the latents have 7"),
        ({"pinned": torch.zeros(3, 8, 4, 4)}, "8 latent frames are pinned of 7"),
        ({"pinned": torch.zeros(4, 2, 4, 4)}, "pinned has shape"),
        ({"pinned": torch.zeros(3, 2, 4, 5)}, "pinned has shape"),
    ],
)
def test_what_does_not_fit_is_refused_before_the_model_runs(given, message):
    calls = []
    noise = given.pop("noise", NOISE)
    with pytest.raises(ValueError, match=message):
        run_recipe(SHORT["17B"], noise, recorded(calls), **given)
    assert not calls


def test_predictions_of_another_shape_or_without_numbers_are_refused():
    with pytest.raises(ValueError, match="prediction has shape"):
        run_recipe(SHORT["17B"], NOISE, lambda z, t, b, w: z[:, :2])
    calls = []
    with pytest.raises(ValueError, match="weights are damaged"):
        run_recipe(SHORT["17B"], NOISE, lambda z, t, b, w: calls.append(b) or z * float("nan"))
    assert len(calls) == 1


# --- what the reference computed ---


@pytest.fixture
def golden(reference):
    """golden("dit_7b_tiny") -> tensors."""
    from safetensors.torch import load_file

    return lambda name: load_file(reference("goldens", f"{name}.safetensors"))


def state(weights):
    return {key[3:]: value.float() for key, value in weights.items() if key.startswith("sd.")}


@pytest.mark.parametrize("name", ["dpm", "ddim"])
def test_reference_run_of_7b(golden, monkeypatch, name):
    from diffusers.schedulers import scheduling_dpm_cogvideox

    weights, expected = golden("dit_7b_tiny"), golden("pipeline_7b_tiny")
    sizes = {"heads": 2, "head_dim": 64, "in_channels": 8, "out_channels": 4, "layers": 3, "time_dim": 32, "text_dim": 16}
    model = MVDiTCogVideoX(MVDiTCogVideoXConfig(**sizes, motion_slots=72)).eval()
    model.load_state_dict(state(weights), strict=True)
    vision, table = (RotaryTable(weights[f"in.{kind}_cos"], weights[f"in.{kind}_sin"]) for kind in ("image", "motion"))
    tokens = {"positive": expected["in.motion"], "negative": model.unconditional_motion_token.detach()[None]}
    replayed = [] if name == "ddim" else list(expected["in.dpm.noises"])
    # The scheduler draws its own noise; here it draws what the reference drew, in the same order.
    monkeypatch.setattr(scheduling_dpm_cogvideox, "randn_tensor", lambda shape, **_: replayed.pop(0).transpose(1, 2).view(shape))
    seen = []

    @torch.no_grad()
    def predict(latents, timestep, branch, window):
        given = torch.cat([latents.transpose(1, 2), expected[f"in.{name}.ref_latents"]], 2)
        seen.append(given)
        return model(given, timestep.expand(1), tokens[branch], vision, table).transpose(1, 2)

    recipe = RECIPES[{"dpm": "7B DPM", "ddim": "7B DDIM"}[name]].with_steps(5)
    start = expected["in.init_latents"].transpose(1, 2)
    result = run_recipe(recipe, start, predict, guidance=Guidance(recipe.guidance))
    assert not replayed and len(seen) == 10
    for number, given in enumerate(seen):
        assert (given - expected[f"mid.{name}.model_in"][divmod(number, 2)]).abs().max() < 5e-5
    assert (result.transpose(1, 2) - expected[f"out.{name}.latents"]).abs().max() < 5e-5


@pytest.mark.parametrize("name", ["cfg", "nocfg", "nocfg_next_clip"])
def test_reference_run_of_17b(golden, monkeypatch, name):
    weights, expected = golden("dit_17b_tiny"), golden("pipeline_17b_tiny")
    sizes = {"dim": 80, "heads": 2, "ffn_dim": 160, "layers": 6, "in_channels": 12, "out_channels": 4, "text_dim": 24, "text_len": 16}
    model = MVDiTWan.from_released(state(weights), MVDiTWanConfig(**sizes, freq_dim=32, image_dim=32, motion_dim=48))
    table = RotaryTable(weights["in.motion_cos"], weights["in.motion_sin"])
    text = {"positive": [expected["in.context_pos"]], "negative": [expected["in.context_neg"]]}
    condition, image = expected[f"mid.{name}.y"][-1:], expected[f"mid.{name}.clip_fea"][-1:]
    seen = []

    @torch.no_grad()
    def predict(latents, timestep, branch, window):
        seen.append((timestep, latents, branch))
        return model(latents, timestep.expand(1), text[branch], image, condition, expected["in.motion"], table)

    replayed, pinned = [], None
    if name == "nocfg_next_clip":
        replayed, pinned = list(expected["in.nocfg_next_clip.randn_like"]), condition[0, 4:, :2]
        # The release draws this noise from the global generator; here it is what it drew.
        monkeypatch.setattr(run, "noise_like", lambda like, generator: replayed.pop(0).view(like.shape))
    guidance = Guidance(6.0 if name == "cfg" else 1.0)
    result = run_recipe(RECIPES["17B"].with_steps(4), expected["in.init_latents"], predict, guidance=guidance, pinned=pinned)
    rows = 2 if name == "cfg" else 1
    assert len(seen) == 4 * rows
    for number, (timestep, given, branch) in enumerate(seen):
        step, row = divmod(number, rows)
        assert branch == ("negative" if rows == 2 and row == 0 else "positive")
        assert abs(timestep - expected[f"mid.{name}.t"][step, row]) < 1e-3
        assert (given - expected[f"mid.{name}.model_in"][step, row]).abs().max() < 5e-5
    assert len(replayed) == (1 if pinned is not None else 0)  # that of the last step, whose factor is 0
    assert (result - expected[f"out.{name}.latents"]).abs().max() < 5e-5

"""The loop: models whose answer is known, a plain twin of every solver, and the reference's run of the 7B model."""

import itertools
import math

import pytest
import torch
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.rope import RotaryTable
from motion4d.core.sampling.loop import sample
from motion4d.core.sampling.schedules import cogvideox_ddim, cogvideox_dpm, wan_flow

SCHEDULES = [cogvideox_dpm, cogvideox_ddim, wan_flow]


def noise(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def generator(seed=1):
    return torch.Generator().manual_seed(seed)


def knows_the_answer(target, schedule):
    """The velocity that leads straight to `target` from wherever the latents are."""
    alphas = None if schedule is wan_flow else schedule(1).alphas_cumprod

    def denoise(latents, timestep, conditional):
        if alphas is None:
            return (latents - target) / (timestep / 1000)
        signal, spread = alphas[timestep] ** 0.5, (1 - alphas[timestep]) ** 0.5
        return ((signal * latents - target) / spread).float()

    return denoise


def bent(latents, timestep, conditional):
    """A model with no closed form, that tells its condition and its time apart."""
    return torch.sin(2 * latents + timestep / 300) + (0.3 if conditional else -0.2) * latents.roll(1, -1)


@pytest.mark.parametrize("schedule", SCHEDULES)
@pytest.mark.parametrize("steps", [1, 2, 5, 50])
def test_a_model_that_knows_the_answer_arrives(schedule, steps):
    target = noise(2, 3, 4, seed=5)
    result = sample(knows_the_answer(target, schedule), noise(2, 3, 4), schedule(steps), generator=generator())
    assert torch.allclose(result, target, atol=1e-4)


# --- plain twins of the solvers, in numbers of float64 ---


def twin_ddim(predict, z, alphas, steps):
    for t in range(999, 0, -1000 // steps):
        a, p = float(alphas[t]), float(alphas[t - 1000 // steps]) if t >= 1000 // steps else 1.0
        v = predict(z, t)
        clean, added = math.sqrt(a) * z - math.sqrt(1 - a) * v, math.sqrt(a) * v + math.sqrt(1 - a) * z
        z = math.sqrt(p) * clean + math.sqrt(1 - p) * added
    return z


def log_ratio(a):
    return -math.inf if a == 0 else math.inf if a == 1 else 0.5 * math.log(a / (1 - a))


def twin_dpm(predict, z, alphas, steps, draw):
    stride, before, last = 1000 // steps, None, None
    for t in range(999, 0, -stride):
        a, p = float(alphas[t]), float(alphas[t - stride]) if t >= stride else 1.0
        clean = math.sqrt(a) * z - math.sqrt(1 - a) * predict(z, t)
        h = log_ratio(p) - log_ratio(a)
        estimate, fresh = clean, draw()
        if before is not None and p < 1:
            r = (log_ratio(a) - log_ratio(before)) / h
            estimate, fresh = (1 + 1 / (2 * r)) * clean - last / (2 * r), draw()
        kept = math.sqrt((1 - p) / (1 - a)) * math.exp(-h)
        z = kept * z - math.expm1(-2 * h) * math.sqrt(p) * estimate + math.sqrt((1 - p) * -math.expm1(-2 * h)) * fresh
        before, last = a, clean
    return z


def twin_euler(predict, z, sigmas):
    for now, then in itertools.pairwise(sigmas):
        z = z + float(then - now) * predict(z, 1000 * float(now))
    return z


@pytest.mark.parametrize("guidance", [1.0, 0.0, 3.0, -0.5])
@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_loop_equals_the_twin(schedule, guidance):
    start, steps, source = noise(2, 3, 8), 10, generator()

    def predict(z, t):
        unconditional, conditional = (bent(z, torch.tensor(t), flag) for flag in (False, True))
        return (1 - guidance) * unconditional + guidance * conditional

    scheduler = schedule(steps)
    if schedule is wan_flow:
        expected = twin_euler(predict, start.double(), scheduler.sigmas)
    elif schedule is cogvideox_ddim:
        expected = twin_ddim(predict, start.double(), scheduler.alphas_cumprod, steps)
    else:
        draws = lambda: torch.randn(2, 3, 8, generator=source).double()  # noqa: E731
        expected = twin_dpm(predict, start.double(), scheduler.alphas_cumprod, steps, draws)
    result = sample(bent, start, scheduler, guidance=guidance, generator=generator())
    assert torch.allclose(result.double(), expected, atol=1e-4)


# --- guidance, noise, callbacks ---


@pytest.mark.parametrize(("guidance", "asked"), [(1.0, [True]), (0.0, [False]), (3.0, [False, True]), (0.5, [False, True])])
def test_the_model_is_asked_only_for_what_is_needed(guidance, asked):
    flags = []

    def denoise(latents, timestep, conditional):
        flags.append(conditional)
        return bent(latents, timestep, conditional)

    sample(denoise, noise(1, 4), cogvideox_ddim(3), guidance=guidance)
    assert flags == asked * 3


def test_guidance_between_equal_predictions_does_nothing():
    def denoise(latents, timestep, conditional):
        return bent(latents, timestep, True)

    plain = sample(denoise, noise(2, 5), cogvideox_ddim(5))
    assert torch.allclose(sample(denoise, noise(2, 5), cogvideox_ddim(5), guidance=7.0), plain, atol=1e-5)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_generator_decides_the_noise(schedule):
    def run(seed):
        return sample(bent, noise(2, 5), schedule(5), generator=generator(seed))

    assert torch.equal(run(1), run(1))
    assert torch.equal(run(1), run(2)) == (schedule is not cogvideox_dpm)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_a_scheduler_can_be_used_again(schedule):
    scheduler = schedule(5)
    first = sample(bent, noise(2, 5), scheduler, generator=generator())
    assert torch.equal(sample(bent, noise(2, 5), scheduler, generator=generator()), first)


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_rows_do_not_see_each_other(schedule):
    """Without the noise of DPM, which is drawn for the whole batch: one step of it has none."""
    steps = 1 if schedule is cogvideox_dpm else 5
    together = sample(bent, noise(3, 2, 5), schedule(steps), guidance=2.0)
    for row in range(3):
        alone = sample(bent, noise(3, 2, 5)[row : row + 1], schedule(steps), guidance=2.0)
        assert torch.allclose(alone[0], together[row], atol=1e-5)


def test_every_step_is_reported():
    seen, timesteps = [], []

    def denoise(latents, timestep, conditional):
        timesteps.append(timestep)
        return bent(latents, timestep, conditional)

    scheduler = cogvideox_ddim(4)
    result = sample(denoise, noise(2, 5), scheduler, on_step=lambda done, latents: seen.append((done, latents)))
    assert [done for done, _ in seen] == [1, 2, 3, 4]
    assert torch.equal(seen[-1][1], result)
    assert torch.equal(torch.stack(timesteps), scheduler.timesteps)


def test_a_callback_may_put_latents_in_place():
    """As the continuation of a clip does with the frames it already has."""
    held = noise(5, seed=7)

    def hold(done, latents):
        return torch.cat([held[None], latents[1:]])

    result = sample(bent, noise(2, 5), cogvideox_ddim(4), on_step=hold)
    assert torch.equal(result[0], held)
    assert torch.allclose(result[1], sample(bent, noise(2, 5), cogvideox_ddim(4))[1], atol=1e-6)


def test_a_callback_may_end_the_loop():
    calls = []

    def stop(done, latents):
        calls.append(done)
        if done == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sample(bent, noise(2, 5), cogvideox_ddim(4), on_step=stop)
    assert calls == [1, 2]


@pytest.mark.parametrize("schedule", SCHEDULES)
def test_the_dtype_of_the_latents_is_kept(schedule):
    dtypes = set()

    def denoise(latents, timestep, conditional):
        dtypes.add(latents.dtype)
        return bent(latents, timestep, conditional).to(latents.dtype)

    start = noise(2, 5).to(torch.bfloat16)
    result = sample(denoise, start, schedule(5), guidance=2.0, generator=generator())
    assert result.dtype == torch.bfloat16 and dtypes == {torch.bfloat16}


def test_sampling_keeps_no_gradients_and_no_input_changes():
    weight, start = torch.ones(1, requires_grad=True), noise(2, 5)
    before = start.clone()
    result = sample(lambda z, t, c: weight * bent(z, t, c), start, cogvideox_dpm(3), guidance=2.0)
    assert not result.requires_grad and torch.equal(start, before)


def test_bad_input_is_refused():
    from diffusers import CogVideoXDDIMScheduler

    with pytest.raises(ValueError, match="set_timesteps"):
        sample(bent, noise(2, 5), CogVideoXDDIMScheduler())
    with pytest.raises(ValueError, match="guidance is nan"):
        sample(bent, noise(2, 5), cogvideox_ddim(3), guidance=math.nan)
    with pytest.raises(ValueError, match="prediction has shape \\(2, 4\\)"):
        sample(lambda z, t, c: z[:, :4], noise(2, 5), cogvideox_ddim(3))


# --- what the reference computed ---


@pytest.mark.parametrize("name", ["dpm", "ddim"])
def test_reference_run(reference, monkeypatch, name):
    """Five steps with guidance 3, every input and output of the model, and the latents at the end."""
    from diffusers.schedulers import scheduling_dpm_cogvideox
    from safetensors.torch import load_file

    weights = load_file(reference("goldens", "dit_7b_tiny.safetensors"))
    golden = load_file(reference("goldens", "pipeline_7b_tiny.safetensors"))
    sizes = {"heads": 2, "head_dim": 64, "in_channels": 8, "out_channels": 4, "layers": 3, "time_dim": 32, "text_dim": 16}
    model = MVDiTCogVideoX(MVDiTCogVideoXConfig(**sizes, motion_slots=72)).eval()
    model.load_state_dict({key[3:]: value.float() for key, value in weights.items() if key.startswith("sd.")}, strict=True)
    vision, table = (RotaryTable(weights[f"in.{kind}_cos"], weights[f"in.{kind}_sin"]) for kind in ("image", "motion"))
    motion = {False: model.unconditional_motion_token.detach()[None], True: golden["in.motion"]}
    replayed = [] if name == "ddim" else list(golden["in.dpm.noises"])
    # The scheduler draws its own noise; here it draws what the reference drew, in the same order.
    monkeypatch.setattr(scheduling_dpm_cogvideox, "randn_tensor", lambda shape, **_: replayed.pop(0).view(shape))
    seen = []

    def denoise(latents, timestep, conditional):
        given = torch.cat([latents, golden[f"in.{name}.ref_latents"]], 2)
        prediction = model(given, timestep.expand(1), motion[conditional], vision, table)
        seen.append((given, timestep, prediction))
        return prediction

    scheduler = {"dpm": cogvideox_dpm, "ddim": cogvideox_ddim}[name](5)
    result = sample(denoise, golden["in.init_latents"], scheduler, guidance=3.0)
    assert not replayed and len(seen) == 10
    for number, (given, timestep, prediction) in enumerate(seen):
        step, row = divmod(number, 2)
        assert timestep == golden[f"mid.{name}.timesteps"][step, row]
        assert (given - golden[f"mid.{name}.model_in"][step, row]).abs().max() < 5e-5
        assert (prediction - golden[f"mid.{name}.model_out"][step, row]).abs().max() < 5e-5
    assert (result - golden[f"out.{name}.latents"]).abs().max() < 5e-5

"""Noise, its seeds, and latents at a point of a schedule; the scales of latents."""

import pytest
import torch
from motion4d.core.sampling.latents import LATENT_SCALES, WAN_MEAN, WAN_STD
from motion4d.core.sampling.noise import noise_like, noised, shared_noise, starting_noise, step_generator
from motion4d.core.sampling.recipes import RECIPES


def test_the_start_is_what_a_seeded_torch_draws():
    generator = torch.manual_seed(5)
    assert torch.equal(starting_noise((2, 3, 4), 5), torch.randn(2, 3, 4, generator=generator))


def test_drawing_leaves_the_global_generator_alone():
    before = torch.get_rng_state()
    starting_noise((4,), 3)
    torch.randn(4, generator=step_generator(3))
    assert torch.equal(torch.get_rng_state(), before)


@pytest.mark.parametrize("seed", [0, 1, 42, 2**32, 2**64 - 1])
def test_steps_draw_other_numbers_than_the_start(seed):
    start = starting_noise((4096,), seed)
    drawn = noise_like(start, step_generator(seed))
    assert torch.equal(drawn, noise_like(start, step_generator(seed)))
    assert abs(torch.corrcoef(torch.stack([start, drawn]))[0, 1]) < 0.06
    neighbours = [starting_noise((4096,), (seed + step) % 2**64) for step in (-1, 1)]
    assert not any(torch.equal(drawn, other) for other in neighbours)


@pytest.mark.parametrize("name", ["7B DPM", "17B"])
def test_noise_on_latents_keeps_the_unit_of_its_schedule(name):
    scheduler = RECIPES[name].scheduler()
    clean, noise = starting_noise((4, 4), 1), starting_noise((4, 4), 2)
    assert torch.allclose(noised(clean, noise, scheduler.timesteps[0], scheduler), noise, atol=1e-6)
    middle, nothing = scheduler.timesteps[25], torch.zeros(4, 4)
    signal, spread = (float(noised(*pair, middle, scheduler)[0, 0]) for pair in ((nothing + 1, nothing), (nothing, nothing + 1)))
    if name == "17B":
        assert spread == pytest.approx(float(scheduler.sigmas[25]), abs=1e-6) and signal + spread == pytest.approx(1)
    else:
        assert signal**2 == pytest.approx(float(scheduler.alphas_cumprod[middle]), abs=1e-6) and signal**2 + spread**2 == pytest.approx(1)
    assert torch.allclose(noised(clean, noise, middle, scheduler), signal * clean + spread * noise, atol=1e-6)


@pytest.mark.parametrize("kind", LATENT_SCALES)
def test_scaling_there_and_back_is_the_identity(kind):
    x = starting_noise((2, 16, 3, 4, 4), 0) * 4
    scale = LATENT_SCALES[kind]
    assert torch.allclose(scale.from_model(scale.to_model(x)), x, atol=2e-6)
    assert torch.equal(scale.to_model(x)[1], scale.to_model(x[1]))


def test_scales_are_the_released_ones():
    x = starting_noise((16, 1, 2, 2), 0)
    assert torch.equal(LATENT_SCALES["mvdit_7b"].to_model(x), x * 0.7)
    scaled = LATENT_SCALES["mvdit_17b"].to_model(x)
    for channel, (mean, std) in enumerate(zip(WAN_MEAN, WAN_STD, strict=True)):
        assert torch.allclose(scaled[channel], (x[channel] - mean) / std, atol=1e-6)
    with pytest.raises(ValueError, match="use the VAE of the model"):
        LATENT_SCALES["mvdit_17b"].to_model(torch.zeros(1, 8, 1, 2, 2))


# --- noise that views or windows share ---


def test_independent_noise_is_the_start_of_a_plain_video():
    assert torch.equal(shared_noise((3, 2, 9, 2, 2), 4), starting_noise((3, 2, 9, 2, 2), 4))
    assert torch.equal(shared_noise((3, 2, 9, 2, 2), 4, kind="repeat_shuffle", window=9, overlap=3), starting_noise((3, 2, 9, 2, 2), 4))


def test_views_share_one_noise():
    noise = shared_noise((5, 2, 9, 2, 2), 4, kind="views")
    assert all(torch.equal(view, starting_noise((1, 2, 9, 2, 2), 4)[0]) for view in noise)


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize(("window", "overlap"), [(8, 2), (6, 0), (5, 4), (7, 3)])
def test_repeated_noise_is_that_of_the_first_window_in_another_order(axis, window, overlap):
    noise = shared_noise((31, 2, 31, 2, 2), 4, kind="repeat_shuffle", window=window, overlap=overlap, axis=axis).transpose(0, axis)
    first = starting_noise((31, 2, 31, 2, 2), 4).transpose(0, axis)[:window]
    assert torch.equal(noise[:window], first)
    order = [next(place for place in range(window) if torch.equal(one, first[place])) for one in noise]
    for start in range(0, 31 - window + 1, window - overlap):
        assert sorted(order[start : start + window]) == list(range(window))
    if window - overlap > 2:
        assert order[: 2 * window] != order[:window] * 2
    again = shared_noise((31, 2, 31, 2, 2), 4, kind="repeat_shuffle", window=window, overlap=overlap, axis=axis).transpose(0, axis)
    assert torch.equal(noise, again)


def test_shared_noise_that_cannot_be_made_is_refused():
    with pytest.raises(ValueError, match="noise is 'same', expected independent, views, repeat_shuffle"):
        shared_noise((1, 2, 9, 2, 2), 0, kind="same")
    with pytest.raises(ValueError, match="windows of 4 overlap by 4, expected 0 to 3"):
        shared_noise((1, 2, 9, 2, 2), 0, kind="repeat_shuffle", window=4, overlap=4)
    with pytest.raises(ValueError, match="expected \\(V, C, F, h, w\\)"):
        shared_noise((2, 9, 2, 2), 0)

"""Tiny checkpoints: the same for the same seed, of order 1, and alive to their input."""

import pytest
import torch
from motion4d.core.networks.cogvideox_vae import load_cogvideox_vae
from motion4d.core.networks.tiny_side_models import tiny_cogvideox_vae, tiny_spiece, tiny_wan_vae
from motion4d.core.networks.wan_vae import load_wan_vae

VAES = pytest.mark.parametrize(("tiny", "load"), [(tiny_wan_vae, load_wan_vae), (tiny_cogvideox_vae, load_cogvideox_vae)])


def test_the_tokenizer_is_the_same_every_time():
    assert tiny_spiece() == tiny_spiece()


@VAES
def test_seeds_make_the_weights(tiny, load):
    one, other = tiny(seed=1), tiny(seed=2)
    assert all(torch.equal(tensor, one[key]) for key, tensor in tiny(seed=1).items())
    assert one.keys() == other.keys() and not any(torch.equal(tensor, other[key]) for key, tensor in one.items())


@VAES
def test_results_are_of_order_one_and_follow_their_input(tiny, load):
    vae = load(tiny())
    frames = torch.rand(2, 3, 9, 32, 32, generator=torch.Generator().manual_seed(0)) * 2 - 1
    mean, log_variance = vae.posterior(frames)
    assert 0.2 < mean.std() < 3 and log_variance.abs().max() < 10
    decoded = vae.decode(mean)
    assert decoded.shape == frames.shape and 0.2 < decoded.std() < 1
    assert (decoded.abs() < 1).float().mean() > 0.8
    assert (mean[0] - mean[1]).abs().mean() > 0.05 and (decoded[0] - decoded[1]).abs().mean() > 0.05

"""CogVideoX's autoencoder: what is made of diffusers' own."""

import pytest
import torch
from motion4d.core.networks.cogvideox_vae import autoencoder, load_cogvideox_vae
from motion4d.core.networks.tiny_side_models import tiny_cogvideox_vae


@pytest.fixture(scope="module")
def state():
    return tiny_cogvideox_vae()


@pytest.fixture(scope="module")
def vae(state):
    return load_cogvideox_vae(state)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_it_is_diffusers_own(vae, state):
    twin = autoencoder((32, 32, 32, 32), layers=1, channels=16).eval()
    twin.load_state_dict(state)
    frames = draw(2, 3, 17, 16, 16)
    with torch.no_grad():
        expected = [twin.encode(row).latent_dist for row in frames.split(1)]
        decoded = [twin.decode(part.mean).sample.clamp(-1, 1) for part in expected]
    mean, log_variance = vae.posterior(frames)
    assert mean.shape == log_variance.shape == (2, 16, 5, 2, 2)
    assert torch.equal(mean, torch.cat([part.mean for part in expected]))
    assert torch.equal(log_variance, torch.cat([part.logvar for part in expected]))
    assert torch.equal(vae.decode(mean), torch.cat(decoded))


def test_a_clip_is_as_long_after_as_before(vae):
    for frames in (1, 5, 9, 13, 17):
        mean = vae.posterior(draw(1, 3, frames, 16, 16))[0]
        assert mean.shape == (1, 16, (frames + 3) // 4, 2, 2)
        assert vae.decode(mean).shape == (1, 3, frames, 16, 16)


def test_a_still_clip_has_the_posterior_of_its_picture(vae):
    picture = draw(1, 3, 1, 24, 16)
    for still, one in zip(vae.posterior(picture.expand(-1, -1, 17, -1, -1)), vae.posterior(picture), strict=True):
        assert (still - one).abs().max() < 1e-5


def test_tiles_are_an_option(state):
    frames = draw(1, 3, 1, 248, 16)
    whole, tiled = load_cogvideox_vae(state), load_cogvideox_vae(state, tiled=True)
    assert (whole.tiled, tiled.tiled) == (False, True)
    expected = whole.posterior(frames)[0]
    found = tiled.posterior(frames)[0]
    assert found.shape == expected.shape and not torch.equal(found, expected)
    tiled.tiled = False
    assert torch.equal(tiled.posterior(frames)[0], expected)
    tiled.tiled = True
    small = frames[:, :, :, :240]  # one tile
    assert torch.equal(tiled.posterior(small)[0], whole.posterior(small)[0])


def test_tensors_are_the_checkpoint_s(vae, state):
    assert vae.channels == 16
    for name, tensor in vae.autoencoder.state_dict().items():
        assert tensor.data_ptr() == state[name].data_ptr()
    assert not any(tensor.is_meta for tensor in (*vae.parameters(), *vae.buffers()))


def test_sizes_come_from_the_tensors():
    with torch.device("meta"):
        other = autoencoder((32, 64, 64, 96), layers=2, channels=4)
    state = {name: torch.zeros(tensor.shape) for name, tensor in other.state_dict().items()}
    config = load_cogvideox_vae(state).autoencoder.config
    assert (config.block_out_channels, config.layers_per_block, config.latent_channels) == ((32, 64, 64, 96), 2, 4)


def test_what_does_not_fit_is_refused(vae, state):
    with pytest.raises(ValueError, match="6 frames, expected 4 k \\+ 1: give 5 or 9"):
        vae.posterior(torch.zeros(1, 3, 6, 16, 16))
    with pytest.raises(ValueError, match="8 channels, expected 16"):
        vae.decode(torch.zeros(1, 8, 1, 2, 2))
    with pytest.raises(ValueError, match=r"2 missing: decoder.conv_in.conv.weight, decoder.conv_in.conv.bias; 1 unexpected: x;"):
        load_cogvideox_vae({key: tensor for key, tensor in state.items() if "decoder.conv_in" not in key} | {"x": torch.zeros(1)})
    with pytest.raises(ValueError, match="is missing in a checkpoint of 0 tensors"):
        load_cogvideox_vae({})

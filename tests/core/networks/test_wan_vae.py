"""Wan's autoencoder against itself, against diffusers, and against what the reference computed."""

import pytest
import torch
from motion4d.core.networks.tiny_side_models import tiny_wan_vae
from motion4d.core.networks.wan_vae import WanVAEConfig, load_wan_vae


@pytest.fixture(scope="module")
def state():
    return tiny_wan_vae()


@pytest.fixture(scope="module")
def vae(state):
    return load_wan_vae(state)


def draw(*shape, seed=1):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def close(one, other, tolerance=1e-5):
    assert one.shape == other.shape
    assert (one - other).abs().max() < tolerance


def test_later_frames_change_nothing_before_them(vae):
    frames, latents = draw(1, 3, 13, 16, 24), draw(1, 16, 4, 2, 3)
    mean, log_variance = vae.posterior(frames)
    for count in (1, 5, 9):
        first = count // 4 + 1
        close(vae.posterior(frames[:, :, :count])[0], mean[:, :, :first])
        close(vae.posterior(frames[:, :, :count])[1], log_variance[:, :, :first])
        close(vae.decode(latents[:, :, :first]), vae.decode(latents)[:, :, :count])
    other = frames.clone()
    other[:, :, 0] += 0.1
    assert all((vae.posterior(other)[0] - mean).abs().amax((0, 1, 3, 4)) > 1e-4)  # an earlier frame changes all after it


def test_clips_of_a_batch_do_not_mix(vae):
    frames, latents = draw(3, 3, 5, 16, 16), draw(3, 16, 2, 2, 2)
    means, decoded = vae.posterior(frames)[0], vae.decode(latents)
    for row in range(3):
        close(means[row : row + 1], vae.posterior(frames[row : row + 1])[0])
        close(decoded[row : row + 1], vae.decode(latents[row : row + 1]))


def test_only_two_frames_of_each_layer_are_kept(vae):
    """What grows with the clip is its result: nothing else is held on to."""
    kept = []
    for frames in (9, 33):
        past = {}
        for piece in draw(1, 3, frames, 16, 16)[:, :, 1:].split(4, dim=2):
            vae.encoder(piece, past)
        kept.append(sum(tensor.untyped_storage().nbytes() for tensor in past.values()))
        assert all(tensor.shape[2] <= 2 for tensor in past.values())
    assert kept[0] == kept[1] > 0


def test_it_is_what_diffusers_computes(vae, state):
    from diffusers import AutoencoderKLWan
    from diffusers.loaders.single_file_utils import convert_wan_vae_to_diffusers

    twin = AutoencoderKLWan(base_dim=8).eval()
    twin.load_state_dict(convert_wan_vae_to_diffusers(dict(state)))
    frames, latents = draw(1, 3, 13, 24, 32), draw(1, 16, 4, 3, 4)
    with torch.no_grad():
        expected = twin.encode(frames).latent_dist
        close(vae.posterior(frames)[0], expected.mean)
        close(vae.posterior(frames)[1], expected.logvar)
        close(vae.decode(latents), twin.decode(latents).sample)


def test_sizes_and_tensors_are_the_checkpoint_s(vae, state):
    assert WanVAEConfig.of(state) == WanVAEConfig(widths=(8, 16, 32, 32), blocks=2, in_time=(False, True, True), channels=16)
    assert vae.channels == 16
    for name, tensor in vae.state_dict().items():
        assert tensor.data_ptr() == state[name].data_ptr()


def test_half_precision_stays_near(vae, state):
    narrow = load_wan_vae({key: tensor.bfloat16() for key, tensor in state.items()})
    frames = draw(1, 3, 5, 16, 16)
    mean = narrow.posterior(frames)[0]
    assert mean.dtype == torch.float32 and narrow.decode(mean).dtype == torch.float32
    assert 0 < (mean - vae.posterior(frames)[0]).abs().max() < 0.1


@pytest.mark.parametrize(
    ("shape", "words"),
    [((1, 3, 4, 16, 16), "4 frames.*give 1 or 5"), ((1, 3, 5, 16, 20), "16 x 20.*multiples of 8"), ((1, 4, 5, 16, 16), "frames has shape")],
)
def test_frames_that_do_not_fit_are_refused(vae, shape, words):
    with pytest.raises(ValueError, match=words):
        vae.posterior(torch.zeros(shape))


@pytest.mark.parametrize(("shape", "words"), [((1, 4, 2, 2, 2), "4 channels, expected 16"), ((1, 16, 0, 2, 2), "at least one frame")])
def test_latents_that_do_not_fit_are_refused(vae, shape, words):
    with pytest.raises(ValueError, match=words):
        vae.decode(torch.zeros(shape))


def test_other_checkpoints_are_refused(state):
    fewer = {key: tensor for key, tensor in state.items() if not key.startswith("decoder.middle.1.")}
    with pytest.raises(ValueError, match=r"5 missing: decoder.middle.1.norm.gamma, .*; \d+ tensors expected\): use Wan2.1_VAE"):
        load_wan_vae(fewer)
    with pytest.raises(ValueError, match=r"1 unexpected: surplus;"):
        load_wan_vae(state | {"surplus": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"decoder.conv1.weight \(1,\) instead of \(32, 16, 3, 3, 3\)"):
        load_wan_vae(state | {"decoder.conv1.weight": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"encoder.conv1.weight is missing in a checkpoint of 1 tensors \(a\)"):
        load_wan_vae({"a": torch.zeros(1)})
    with pytest.raises(ValueError, match=r"expected the Wan2\.1 VAE"):
        load_wan_vae({key: tensor for key, tensor in state.items() if "time_conv" not in key})


def test_reference_video(reference):
    """The reference normalises its mean, and its decoder alone leaves the frames as they come."""
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "wan_side_models_tiny.safetensors"))
    vae = load_wan_vae({key.removeprefix("sd.vae."): tensor.float() for key, tensor in golden.items() if key.startswith("sd.vae.")})
    shift, scale = (golden[f"in.vae.{name}"].view(1, -1, 1, 1, 1) for name in ("mean", "inv_std"))
    mean, log_variance = vae.posterior(golden["in.vae.video"])
    close(torch.cat([(mean - shift) * scale, log_variance], 1), golden["out.vae.moments"], 5e-5)
    pieces = []
    hook = vae.decoder.register_forward_hook(lambda module, args, result: pieces.append(result))
    decoded = vae.decode(golden["out.vae.moments"].chunk(2, 1)[0] / scale + shift)
    hook.remove()
    close(torch.cat(pieces, 2), golden["out.vae.decoded"], 5e-5)
    close(decoded, golden["out.vae.decoded"].clamp(-1, 1), 5e-5)

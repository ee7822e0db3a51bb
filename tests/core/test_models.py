"""Checkpoints load strictly, and what is wrong with a file is said before any long work."""

import pytest
import torch
from motion4d.core.models import load_tokenizer
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def spec():
    return load_spec("4dmot")


@pytest.fixture(scope="module")
def tiny(spec):
    return tiny_checkpoint(spec)


def forms(tiny):
    return {
        "plain.pt": tiny,
        "state.pth": {"module": tiny, "global_steps": 7, "ds_config": {"zero": [1, 2.5, None]}},
        "half.pt": {key: value.half() for key, value in tiny.items()},
    }


@pytest.mark.parametrize("name", ["plain.pt", "state.pth", "half.pt", "twin.safetensors"])
def test_every_form_of_the_file_gives_the_same_tokenizer(tmp_path, spec, tiny, name):
    path = tmp_path / name
    if name.endswith(".safetensors"):
        save_file(tiny, path)
    else:
        torch.save(forms(tiny)[name], path)
    tokenizer = load_tokenizer(path, spec)
    assert not tokenizer.training and not any(p.requires_grad for p in tokenizer.parameters())
    for key, value in tokenizer.state_dict().items():
        assert value.dtype == torch.float32 and value.device.type == "cpu"
        assert torch.allclose(value, tiny[key], atol=2e-3 if name == "half.pt" else 0, rtol=2e-3 if name == "half.pt" else 0), key


def test_the_tiny_tokenizer_has_the_released_keys_and_sane_output(spec, tiny, tmp_path):
    with torch.device("meta"):
        released = MotionTokenizer(MotionTokenizerConfig()).state_dict()
    assert set(tiny) == set(released)
    assert all(tiny[key].ndim == released[key].ndim for key in tiny)
    save_file(tiny, tmp_path / "tiny.safetensors")
    tokenizer = load_tokenizer(tmp_path / "tiny.safetensors", spec)
    generator = torch.Generator().manual_seed(8)
    joints = torch.randn(1, 1, 24, 3, generator=generator) * 0.3 + 0.3 * torch.sin(torch.arange(49) / 6)[None, :, None, None]
    codes = tokenizer.encode(joints)
    decoded = tokenizer.decode(codes.tokens)
    assert len(codes.indices.unique()) > 10 and codes.commit_loss < 1
    assert torch.isfinite(decoded).all() and decoded.abs().max() < 5
    drift, moved = decoded.mean((0, 2, 3)), joints.mean((0, 2, 3))
    assert torch.corrcoef(torch.stack([drift, moved]))[0, 1] > 0.7


def test_the_tiny_tokenizer_is_the_same_for_the_same_seed(spec, tiny):
    again, other = tiny_checkpoint(spec), tiny_checkpoint(spec, seed=1)
    assert all(torch.equal(tiny[key], again[key]) for key in tiny)
    assert not torch.equal(tiny["vq.codebook"], other["vq.codebook"])


# --- files that are no tokenizer ---


def broken(tiny, how):
    state = dict(tiny)
    if how == "missing":
        del state["decoder.conv_in.weight"], state["decoder.conv_in.bias"]
    elif how == "unexpected":
        state["encoder.extra"] = torch.zeros(1)
    elif how == "shape":
        state["decoder.conv_out.weight"] = torch.zeros(4, 32, 3, 3)
    elif how == "nan":
        state["decoder.conv_out.bias"] = torch.full((3,), torch.nan)
    elif how == "other":
        state = {"weight": torch.zeros(3)}
    elif how == "widths":
        state["encoder.conv_in.weight"] = torch.zeros(33, 3, 3, 3)
    elif how == "scalar":
        state["vq.codebook"] = torch.tensor(1.0)
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "2 missing: decoder.conv_in."),
        ("unexpected", "1 unexpected: encoder.extra"),
        ("shape", "1 of another shape: decoder.conv_out.weight"),
        ("nan", "NaN or infinite values in decoder.conv_out.bias"),
        ("other", "yanboding/MTVCrafter"),
        ("widths", "multiples of 32"),
        ("scalar", "no 4DMoT"),
    ],
)
def test_checkpoints_of_something_else_are_refused(tmp_path, spec, tiny, how, message):
    path = tmp_path / "wrong.pt"
    torch.save(broken(tiny, how), path)
    with pytest.raises(ValueError, match=r"wrong\.pt") as error:
        load_tokenizer(path, spec)
    found = str(error.value)
    assert message in found and len(found) < 600


def test_the_released_name_loads_from_deepspeed(tmp_path, spec, tiny):
    """The full path that a download takes: folder, name and wrapper of the spec."""
    file = spec.files[0]
    path = tmp_path / spec.folder / file.name
    path.parent.mkdir(parents=True)
    torch.save({spec.key_layout["wrapper"]: tiny}, path)
    assert load_tokenizer(path, spec).config.code_dim == tiny["vq.codebook"].shape[1]

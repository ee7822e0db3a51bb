"""Specs read back exactly, checkpoints load strictly, and what is wrong with a file is said."""

import io
import pickle
import zipfile

import pytest
import torch
from motion4d.core.body.normalisation import MotionStatistics
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.skeletons import STANDARD
from motion4d.core.specs import (
    CHECKPOINT_SUFFIXES,
    list_specs,
    load_spec,
    load_tokenizer,
    missing_message,
    read_checkpoint,
    read_spec,
    tiny_checkpoint,
)
from safetensors.torch import save_file


@pytest.fixture(scope="module")
def spec():
    return load_spec("4dmot")


@pytest.fixture(scope="module")
def tiny(spec):
    return tiny_checkpoint(spec)


@pytest.mark.parametrize("name", list_specs())
def test_every_spec_is_complete(name):
    spec = load_spec(name)
    assert spec.name == name and spec.title and spec.licence and spec.folder and spec.source.startswith("https://")
    for file in spec.files:
        assert file.url.startswith("https://") and file.repository in file.url and file.url.endswith(file.name)
        assert file.name.endswith(CHECKPOINT_SUFFIXES)
    if spec.architecture == "motion_tokenizer":
        with torch.device("meta"):
            tokenizer = MotionTokenizer(MotionTokenizerConfig(**{**spec.config, "widths": tuple(spec.config["widths"])}))
        assert len(tokenizer.state_dict()) == spec.key_layout["tensors"]
        MotionStatistics(**spec.statistics, skeleton=STANDARD[spec.skeleton])


def test_statistics_are_the_published_numbers(spec, reference):
    import numpy as np

    data = np.load(reference("data", "nlf_dance_motions.npz"))
    for name in ("mean_mm", "std_mm"):
        assert spec.statistics[name].dtype == torch.float32
        assert np.array_equal(spec.statistics[name].numpy(), data[name])


def test_released_configuration(spec):
    assert spec.config == {"widths": [128, 512], "code_dim": 3072, "codebook_size": 8192}
    assert [file.name for file in spec.files] == ["4DMoT/mp_rank_00_model_states.pt"]
    assert (spec.folder, spec.licence, spec.suffixes) == ("motion_tokenizers", "Apache-2.0", (".pt", ".pth", ".safetensors"))


def test_the_message_for_a_missing_file_says_where_to_get_it(spec):
    message = missing_message(spec, "models/motion_tokenizers")
    for part in ("4DMoT/mp_rank_00_model_states.pt", "models/motion_tokenizers", "yanboding/MTVCrafter", "Apache-2.0"):
        assert part in message


def test_an_unknown_spec_lists_the_known(spec):
    with pytest.raises(ValueError, match="4dmot"):
        load_spec("5dmot")
    with pytest.raises(ValueError):
        load_spec("../pyproject")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name = ", "no model spec"),
        ('name = "odd"', "no model spec"),
        ('name = "odd"\nfiles = [{name = "a.pt"}]', "no model spec"),
        (
            'name="even"\ntitle="t"\narchitecture="a"\nlicence="l"\nsource="s"\nfolder="f"\nfiles=[]\n[config]\n[key_layout]',
            "calls itself 'even'",
        ),
    ],
)
def test_a_broken_spec_is_named(tmp_path, text, message):
    path = tmp_path / "odd.toml"
    path.write_text(text)
    with pytest.raises(ValueError, match=message) as error:
        read_spec(path)
    assert "odd.toml" in str(error.value)


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


class _Code:
    def __reduce__(self):
        return (print, ("executed",))


def _archive(compression, name="data.pkl", content=b"\x80\x02}."):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(f"x/{name}", content)
    return buffer.getvalue()


def _saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


MALFORMED = {
    "empty.pt": b"",
    "text.pt": b"not a checkpoint",
    "memo.pt": b"\x80\x02r\xff\xff\xff\x7f.",
    "plain_pickle.pt": pickle.dumps({"a": 1}),
    "code.pt": _saved({"module": _Code()}),
    "bomb.pt": _archive(zipfile.ZIP_DEFLATED, content=b"0" * 10_000_000),
    "no_data.pt": _archive(zipfile.ZIP_STORED, name="other"),
    "truncated.pt": _saved({"a": torch.zeros(1000)})[:-500],
    "numbers.pt": _saved({"a": 1}),
    "list.pt": _saved([torch.zeros(1)]),
    "nothing.pt": _saved({}),
    "keys.pt": _saved({1: torch.zeros(1)}),
    "empty.safetensors": b"",
    "header.safetensors": (2**62).to_bytes(8, "little") + b"{}",
    "json.safetensors": (4).to_bytes(8, "little") + b"{{{{",
    "beyond.safetensors": (67).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}  ',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused_without_running_them(tmp_path, capsys, name):
    path = tmp_path / name
    path.write_bytes(MALFORMED[name])
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        read_checkpoint(path)
    assert "executed" not in capsys.readouterr().out


def test_missing_files_and_other_endings(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere.pt")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="safetensors"):
        read_checkpoint(tmp_path / "model.bin")


def test_the_released_name_loads_from_deepspeed(tmp_path, spec, tiny):
    """The full path that a download takes: folder, name and wrapper of the spec."""
    file = spec.files[0]
    path = tmp_path / spec.folder / file.name
    path.parent.mkdir(parents=True)
    torch.save({spec.key_layout["wrapper"]: tiny}, path)
    assert load_tokenizer(path, spec).config.code_dim == tiny["vq.codebook"].shape[1]

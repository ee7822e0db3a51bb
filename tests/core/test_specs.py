"""Specs are complete, read back exactly, and tell the true sizes of the models."""

import pytest
import torch
from motion4d.core.body.normalisation import MotionStatistics
from motion4d.core.checkpoints import CHECKPOINT_SUFFIXES
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.skeletons import STANDARD
from motion4d.core.specs import list_specs, load_spec, missing_message, read_spec


@pytest.fixture(scope="module")
def spec():
    return load_spec("4dmot")


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

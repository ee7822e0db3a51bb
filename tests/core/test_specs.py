"""Specs are complete, read back exactly, and tell the true sizes of the models."""

import pytest
import torch
from motion4d.core.body.normalisation import MotionStatistics
from motion4d.core.networks.clip_vision import CLIPVisionConfig, ImageEncoder
from motion4d.core.networks.cogvideox_vae import autoencoder
from motion4d.core.networks.motion_adapter import MotionAdapter
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.umt5 import UMT5, UMT5Config
from motion4d.core.networks.wan_vae import WanVAE, WanVAEConfig
from motion4d.core.sampling.recipes import RECIPES
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
        assert file.url.startswith(f"https://{file.home}/") and file.home.split("/")[0] in ("huggingface.co", "github.com")
        assert file.url.endswith("/" + file.name.split("/")[-1]) and file.name.endswith(spec.suffixes)
    if spec.statistics:
        MotionStatistics(**spec.statistics, skeleton=STANDARD[spec.skeleton])


def test_statistics_are_the_published_numbers(spec, reference):
    import numpy as np

    data = np.load(reference("data", "nlf_dance_motions.npz"))
    for name in ("mean_mm", "std_mm"):
        assert spec.statistics[name].dtype == torch.float32
        assert np.array_equal(spec.statistics[name].numpy(), data[name])


def test_released_configuration(spec):
    assert spec.config == {"widths": [128, 512], "code_dim": 3072, "codebook_size": 8192}
    assert spec.files[0].name == "4DMoT/mp_rank_00_model_states.pt"
    assert (spec.folder, spec.licence, spec.suffixes) == ("motion_tokenizers", "Apache-2.0", (".pt", ".pth", ".safetensors"))


def test_the_message_for_a_missing_file_says_where_to_get_it(spec):
    message = missing_message(spec, "models/motion_tokenizers")
    for part in ("4DMoT/mp_rank_00_model_states.pt", "models/motion_tokenizers", "yanboding/MTVCrafter", "Apache-2.0"):
        assert part in message


def test_a_program_comes_as_what_it_is_and_from_where_it_is():
    nlf = load_spec("nlf")
    message = missing_message(nlf, "models/nlf")
    for part in ("nlf_l_multi_0.3.2.torchscript from github.com/isarandi/nlf", "models/nlf", "non-commercial"):
        assert part in message
    assert nlf.suffixes == (".torchscript",) and "safetensors" not in message
    assert "safetensors" in missing_message(load_spec("4dmot"), "models")


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


# --- sizes of the true models ---


BUILD = {
    "motion_tokenizer": lambda sizes: MotionTokenizer(MotionTokenizerConfig(**sizes)),
    "mvdit_cogvideox": lambda sizes: MVDiTCogVideoX(MVDiTCogVideoXConfig(**sizes)),
    "mvdit_wan": lambda sizes: MVDiTWan(MVDiTWanConfig(**sizes)),
    "motion_adapter": lambda sizes: MotionAdapter(MVDiTWanConfig(**sizes)),
    "wan": lambda sizes: MVDiTWan(MVDiTWanConfig(**sizes)),
    "cogvideox_vae": lambda sizes: autoencoder(**sizes),
    "wan_vae": lambda sizes: WanVAE(WanVAEConfig(**sizes)),
    "umt5": lambda sizes: UMT5(UMT5Config(**sizes)),
    "clip_vision": lambda sizes: ImageEncoder(CLIPVisionConfig(**sizes)),
}
PROJECTION = 1024 * 1280  # of the image encoder's file; nothing here uses it


@pytest.mark.parametrize(
    "name", [name for name in list_specs() if load_spec(name).architecture not in ("lora", "nlf", "wan_animate", "wan_scail2")]
)
def test_sizes_tensors_and_parameters_are_those_of_the_true_models(name):
    spec = load_spec(name)
    sizes = {key: tuple(value) if isinstance(value, list) else value for key, value in spec.config.items()}
    with torch.device("meta"):
        state = BUILD[spec.architecture](sizes).state_dict()
    beside = spec.architecture == "clip_vision"
    assert len(state) + beside == spec.key_layout["tensors"]
    assert sum(value.numel() for value in state.values()) + beside * PROJECTION == spec.key_layout["parameters"]


def test_the_numbers_that_were_published():
    counts = {
        name: tuple(layout[key] for key in ("tensors", "parameters"))
        for name, layout in ((name, load_spec(name).key_layout) for name in list_specs())
        if "tensors" in layout
    }
    assert counts["4dmot"] == (133, 48_323_075 + 8192 * 3072)
    assert counts["mvdit_7b"] == (1529, 7_157_411_904)
    assert counts["mvdit_17b"] == (1423, 17_443_864_384)
    assert counts["mvdit_17b_adapter"] == (120, 1_048_985_600)
    assert counts["wan_i2v_14b"] == (1303, 16_394_878_784)
    assert counts["wan_vae"] == (194, 126_892_531)
    assert counts["umt5_xxl"] == (242, 5_680_910_336)
    assert counts["clip_vision_h"][1] == 632_076_800


@pytest.mark.parametrize("name", [name for name in list_specs() if load_spec(name).recipe])
def test_recipes_are_those_of_the_sampler(name):
    recipe = load_spec(name).recipe
    kind = "mvdit_7b" if name == "mvdit_7b" else "mvdit_17b"
    known = {(one.kind, one.solver, one.steps, one.guidance, one.shift) for one in RECIPES.values()}
    assert (kind, recipe["solver"], recipe["steps"], recipe["guidance"], recipe.get("shift", 5.0)) in known
    assert (recipe["frames"], recipe["width"], recipe["height"], recipe["fps"]) == (49, 512, 512, 20)


def test_limits_of_the_licences_are_told_with_the_files():
    for name, part in {
        "mvdit_7b": "CogVideoX licence",
        "cogvideox_vae": "CogVideoX licence",
        "4dmot": "non-commercial",
        "mvdit_17b": "NLF",
    }.items():
        spec = load_spec(name)
        assert part in missing_message(spec, "models") and part in f"{spec.licence} {spec.notice}"
    assert "terms of their own" in load_spec("step_distilled_lora").notice


def test_files_of_one_checkpoint_are_one_choice():
    seven, vae = load_spec("mvdit_7b"), load_spec("wan_vae")
    assert [len(choice) for choice in seven.choices] == [2] and [len(choice) for choice in vae.choices] == [1, 1]
    assert " and MV-DiT/CogVideoX/diffusion_pytorch_model-00002" in missing_message(seven, "models")
    assert "0.25 GB); or Wan2.1_VAE.pth" in missing_message(vae, "models")


def test_checksums_are_whole():
    known = [file for name in list_specs() for file in load_spec(name).files if file.sha256]
    assert len(known) >= 5
    for file in known:
        assert len(file.sha256) == 64 and set(file.sha256) <= set("0123456789abcdef") and file.size > 100_000_000

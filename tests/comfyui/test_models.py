"""The video models inside the real ComfyUI, without a server: `models_in_comfyui.py` measures, the tests judge."""

import pytest

pytestmark = pytest.mark.comfyui

SCRIPT = "models_in_comfyui.py"
SAME = 1e-4  # of latents that reach 10, by another order of the same float32 arithmetic


def test_network_is_ours(found):
    assert found["prediction"] < 1e-5


def test_ksampler_is_the_recipe(found):
    assert found.pop("size") > 1
    # ComfyUI's samplers carry the first step in numbers of thousands: with few steps that rounding is larger than 1e-4.
    assert found.pop("7b_5_steps") < 1e-3
    assert max(found.values()) < SAME, found


def test_hosts_agree(found):
    assert max(found.values()) < SAME, found


def test_motion_on_and_off(found):
    assert found.pop("strength_0_is_the_base") and found.pop("base_untouched") and found.pop("applied_again_replaces")
    assert found.pop("adapter_is_the_whole_model") < 1e-5
    assert found.pop("7b_strength_0_knows_no_motion") == 0
    assert min(found.values()) > 1e-3, found


def test_passes_are_left_out(found):
    for name, fewest in (("guided", 1), ("part", 2), ("windows", 3)):
        exact, some, least = found[f"{name}_passes"]
        assert exact > some > least == fewest, (name, found)
        assert found[f"{name}_0_off"] == 0 < found[f"{name}_1_off"] < 0.2, (name, found)
        assert max(found[f"{name}_{reuse}_as_headless"] for reuse in ("0", "1", "1e+06")) < SAME, (name, found)
    # What the message about 17B recommends works with the recipe.
    assert found["easy_passes"] < 10 and 0 < found["easy_off"] < 0.5, found
    assert "EasyCache" in found["refused"] and "set reuse to 0" in found["refused"]
    assert "threshold of the residual cache is -1" in found["negative"]


def test_loras_are_seen(found):
    for kind in ("mvdit_7b", "mvdit_17b"):
        assert found[f"{kind}_changes"] > 0.05 and found[f"{kind}_by_its_strength"] > 0.05
        assert found[f"{kind}_comes_back"] and found[f"{kind}_leaves_the_model"]
        assert found[f"{kind}_as_headless"] < SAME
    assert found["hooked"] < SAME


def test_one_branch_without_guidance(found):
    assert found.pop("ksampler_1") == [1, 1]
    for name, rows in found.items():
        branches = {"0_1": 1, "1_1": 1, "3_1": 2, "3_2": 3}[name.partition("_")[2]]
        assert rows == [branches, branches], name


def test_nothing_is_kept(found):
    assert found["during_7b"] == 3  # two motions and the table of the video
    assert found["during_17b"] == 2  # one motion for both branches
    assert found["stopped"] and found["after_7b"] == found["after_17b"] == 0


def test_context_windows(found):
    assert found["7b"] < SAME and found["17b"] < SAME
    if found["has_fix"]:
        assert found["17b_anchored"] < SAME
        assert "causal_window_fix off" in found["7b_anchored"]


def test_precisions(found):
    for kind in ("mvdit_7b", "mvdit_17b"):
        assert found[f"{kind}_packed"] == "QuantizedTensor"
        assert found[f"{kind}_float32"] == 0
        assert 0 < found[f"{kind}_float16"] < found[f"{kind}_bfloat16"] < found[f"{kind}_fp8 scaled"] < 1
    assert found["repackaged"] == 0
    # A file that was converted as a whole has its motion attention in fp8 as well.
    assert 0 < found["repackaged_17b"] < found["mvdit_17b_fp8 scaled"]


def test_side_models_agree(found):
    assert found.pop("wan_vae_is_sampled") > 0.1 and found.pop("cogvideox_vae_is_sampled") > 0.1
    assert max(found.values()) < 2e-5, found


def test_vaes_are_told_apart(found):
    assert found["kinds"] == ["wan_vae", "cogvideox_vae", None, None] and found["stock"] == "cogvideox_vae"
    of_7b, of_17b = found["refused"]
    assert "this is the Wan2.1 VAE" in of_7b and "needs the CogVideoX-5B VAE" in of_7b
    assert "this is the CogVideoX-5B VAE" in of_17b and "needs the Wan2.1 VAE" in of_17b


def test_original_layouts(found):
    assert found == {"text": 0.0, "image": 0.0}


def test_attention_maps(found):
    assert found["mvdit_7b_shape"] == [1, 24, 13, 2, 2] and found["mvdit_17b_shape"] == [2, 24, 13, 2, 2]
    for kind in ("mvdit_7b", "mvdit_17b"):
        assert found[f"{kind}_sum"] < 1e-5 and found[f"{kind}_as_headless"] < 1e-6


def test_custom_advanced_takes_the_guider(found):
    assert max(found.values()) < SAME, found


WORDS = {
    "length": ("positive: its reference", "(16, 25, 4, 4)", "(16, 13, 4, 4)"),
    "no condition": ("positive: it has no motion", "Condition Video on Motion"),
    "no negative": ("cfg is 3", "set cfg to 1"),
    "unconditional length": ("negative: it has no motion", "312", "13 latent frames, not for 25"),
    "width": ("32 channels", "expects 64", "tokenizer"),
    "text": ("77 channels", "4096", "umt5_xxl"),
    "image": ("CLIP Vision",),
    "no motion attention": ("Load Motion Adapter",),
    "recipe": ("recipe: 17B", "7B DPM, 7B DDIM"),
    "adapter on 7B": ("disconnect the adapter",),
    "no adapter": ("connect Load Motion Adapter",),
    "text to video": ("text-to-video", "16 input channels", "36"),
    "text to video file": ("t2v.safetensors", "text-to-video"),
    "missing key": ("1 missing", "blocks.2.ffn.0.weight"),
    "NaN": ("NaN", "proj_out.bias"),
    "VAE for a model": ("Wan2.1 VAE",),
    "model for a VAE": ("MV-DiT 7B", "VAE"),
    "adapter for a model": ("motion adapter",),
    "model for an adapter": ("MV-DiT 7B", "adapter"),
    "frames": ("6 frames", "5 or 9"),
}


def test_refusals(found):
    assert set(found) == set(WORDS)
    for name, words in WORDS.items():
        assert all(word in found[name] for word in words), (name, found[name])


def test_extra_tokens_are_refused(found):
    assert "13 latent frames, the video 15" in found["frames"]
    assert not found["tokens"] or "4 tokens beside the video" in found["tokens"]


def test_files_are_listed(found):
    assert found["files"] == ["sharded/model-00001-of-00001.safetensors", "sharded/model.safetensors.index.json"]

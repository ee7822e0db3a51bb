"""The tiny models have the keys of the true ones, the same numbers for the same seed, and parts that fit together."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.networks.lora import merge_lora
from motion4d.core.networks.mvdit_wan import MVDiTWan
from motion4d.core.specs import list_specs, load_spec
from motion4d.core.tiny_models import TINY_17B, tiny_checkpoint, tiny_metadata

RANDOM = [name for name in list_specs() if name not in ("4dmot", "nlf")]  # fitted, and a program: tested with their loaders


@pytest.mark.parametrize("name", RANDOM)
def test_the_same_seed_gives_the_same_numbers_and_another_one_others(name):
    spec = load_spec(name)
    first, again, other = tiny_checkpoint(spec), tiny_checkpoint(spec), tiny_checkpoint(spec, seed=1)
    assert set(first) == set(again) == set(other)
    assert all(torch.equal(first[key], again[key]) for key in first)
    assert any(not torch.equal(first[key], other[key]) for key in first)
    assert all(torch.isfinite(value.float()).all() for value in first.values())


def test_the_backbone_and_the_adapter_of_a_seed_are_the_whole_model():
    whole, plain, adapter = (tiny_checkpoint(load_spec(name)) for name in ("mvdit_17b", "wan_i2v_14b", "mvdit_17b_adapter"))
    assert set(plain) | set(adapter) == set(whole) and not set(plain) & set(adapter)
    assert all(torch.equal(value, whole[key]) for key, value in (plain | adapter).items())
    assert adapter["blocks.0.motion_attn.o.weight"].abs().max() > 0


def test_the_lora_fits_the_backbone_and_changes_it():
    lora = tiny_checkpoint(load_spec("step_distilled_lora"))
    state = tiny_checkpoint(load_spec("mvdit_17b"))
    model = MVDiTWan.from_released({key: value.clone() for key, value in state.items()}, TINY_17B)
    assert merge_lora(model, lora) == len(lora) // 3
    changed = {key for key, value in model.state_dict().items() if not torch.equal(value, state[key])}
    assert len(changed) == len(lora) // 3 and not any("motion_attn" in key for key in changed)
    key = "blocks.2.self_attn.q.weight"
    assert key in changed and 0.05 < (model.state_dict()[key] - state[key]).norm() / state[key].norm() < 1


def test_models_of_comfyui_alone_are_the_backbone_with_more_inputs():
    plain = tiny_checkpoint(load_spec("wan_i2v_14b"))
    animate, scail = (tiny_checkpoint(load_spec(name)) for name in ("wan_animate_14b", "scail2_14b"))
    width = len(plain["patch_embedding.weight"])
    assert set(animate) - set(plain) == {"pose_patch_embedding.weight", "pose_patch_embedding.bias"}
    assert all(torch.equal(animate[key], value) for key, value in plain.items())
    assert animate["pose_patch_embedding.weight"].shape == (width, 16, 1, 2, 2)
    channels = {"patch_embedding": 20, "patch_embedding_pose": 20, "patch_embedding_mask": 28}
    assert {name: scail[f"{name}.weight"].shape for name in channels} == {name: (width, count, 1, 2, 2) for name, count in channels.items()}


def test_metadata_tells_what_tensors_do_not():
    assert tiny_metadata(load_spec("mvdit_17b"))["motion4d.motion_dim"] == "64"
    for name in list_specs():
        told = tiny_metadata(load_spec(name))
        assert told["motion4d.spec"] == name and all(isinstance(value, str) for value in told.values())


def test_an_architecture_without_a_tiny_model_is_refused():
    with pytest.raises(ValueError, match="4dmot is a painter, expected one of motion_tokenizer"):
        tiny_checkpoint(replace(load_spec("4dmot"), architecture="painter"))

"""Checkpoints load strictly, and what is wrong with a file is said before any long work."""

import time

import pytest
import torch
from motion4d.core.conversion import convert
from motion4d.core.models import (
    KINDS,
    identify,
    load_motion_adapter,
    load_mvdit_7b,
    load_mvdit_17b,
    load_tokenizer,
    mvdit_7b_config,
    mvdit_17b_config,
)
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX
from motion4d.core.networks.rope import motion_rope, vision_rope
from motion4d.core.precision import PRECISIONS
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import TINY_7B, TINY_17B, tiny_checkpoint, tiny_metadata
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


# --- video models ---


@pytest.fixture(scope="module")
def states():
    return {name: tiny_checkpoint(load_spec(name)) for name in ("mvdit_7b", "mvdit_17b", "mvdit_17b_adapter", "wan_i2v_14b")}


@pytest.fixture(scope="module")
def files(states, tmp_path_factory):
    """Paths of the tiny checkpoints by the name of their spec."""
    folder = tmp_path_factory.mktemp("models")
    for name, state in states.items():
        save_file(state, folder / f"{name}.safetensors", metadata=tiny_metadata(load_spec(name)))
    return {name: folder / f"{name}.safetensors" for name in states}


def same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


ARCHITECTURES = {
    "4dmot": "4dmot",
    "mvdit_7b": "mvdit_7b",
    "mvdit_17b": "mvdit_17b",
    "mvdit_17b_adapter": "motion_adapter",
    "wan_i2v_14b": "wan_i2v",
    "cogvideox_vae": "cogvideox_vae",
    "wan_vae": "wan_vae",
    "umt5_xxl": "umt5",
    "clip_vision_h": "clip_vision",
}


@pytest.mark.parametrize("name", ARCHITECTURES)
def test_models_are_told_apart_by_their_tensors(name, tiny):
    assert identify(tiny if name == "4dmot" else tiny_checkpoint(load_spec(name))) == ARCHITECTURES[name]


def wan(channels, *, image, motion=False):
    state = {"patch_embedding.weight": torch.empty(8, channels, 1, 2, 2), "blocks.0.self_attn.q.weight": torch.empty(8, 8)}
    state |= {"img_emb.proj.1.weight": torch.empty(8, 8)} if image else {}
    return state | ({"blocks.0.motion_attn.k.weight": torch.empty(8, 8)} if motion else {})


def test_wan_models_are_told_apart():
    assert identify(wan(16, image=False)) == "wan_t2v" == identify(wan(16, image=False, motion=True))
    assert identify(wan(36, image=True)) == "wan_i2v"
    assert identify(wan(36, image=True, motion=True)) == "mvdit_17b"
    assert set(ARCHITECTURES.values()) | {"wan_t2v"} == set(KINDS)


@pytest.mark.parametrize("name", ["mvdit_7b", "mvdit_17b", "wan_i2v_14b"])
def test_a_tensor_that_lacks_makes_no_other_model_of_it(states, name):
    for lost in states[name]:
        rest = {key: value for key, value in states[name].items() if key != lost}
        try:
            kind = identify(rest)
        except ValueError as error:
            assert "no model of this pack" in str(error) or "image embedding" in str(error)
        else:
            assert kind == ARCHITECTURES[name] or lost == "blocks.0.motion_attn.k.weight"


@pytest.mark.parametrize(
    ("state", "message"),
    [
        (wan(36, image=False), "Wan model with 36 input channels and without image embedding"),
        (wan(48, image=False), "Wan model with 48 input channels"),
        ({"diffusion_model.blocks.0.self_attn.q.lora_down.weight": torch.empty(1)}, "this is a LoRA"),
        ({"transformer_blocks.0.attn1.to_q.weight": torch.empty(1)}, "CogVideoX model without motion attention"),
        ({"blocks.0.motion_attn.k.weight": torch.empty(1), "blocks.0.norm3.weight": torch.empty(1)}, "no model of this pack"),
        ({"encoder.conv1.weight": torch.empty(1, 12), "decoder.middle.0.residual.0.gamma": torch.empty(1)}, "VAE of Wan2.2"),
        ({"weight": torch.empty(1)}, "no model of this pack has such tensors .weight"),
    ],
)
def test_other_models_are_called_by_their_name(state, message):
    with pytest.raises(ValueError, match=message):
        identify(state)


def test_sizes_are_read_off_the_tensors(states):
    assert mvdit_7b_config(states["mvdit_7b"]) == TINY_7B
    metadata = tiny_metadata(load_spec("mvdit_17b"))
    assert mvdit_17b_config(states["mvdit_17b"], metadata) == TINY_17B
    plain = mvdit_17b_config(states["wan_i2v_14b"], {})
    assert (plain.motion_blocks, plain.motion_dim, plain.key_layout) == ((), 256, "released")
    changed = mvdit_17b_config(states["mvdit_17b"], {"motion4d.key_layout": "transposed", "motion4d.heads": "4"})
    assert (changed.key_layout, changed.heads, changed.motion_dim) == ("transposed", 4, 256)
    with pytest.raises(ValueError, match="expected whole numbers"):
        mvdit_17b_config(states["mvdit_17b"], {"motion4d.motion_dim": "many"})
    with pytest.raises(ValueError, match="key_layout is 'odd'"):
        mvdit_17b_config(states["mvdit_17b"], {"motion4d.key_layout": "odd"})


def test_without_metadata_a_wide_model_takes_the_released_tokens(states):
    wide = dict(states["mvdit_17b"]) | {"patch_embedding.weight": torch.empty(5120, 36, 1, 2, 2, device="meta")}
    config = mvdit_17b_config(wide, {})
    assert (config.dim, config.heads, config.motion_dim, config.motion_every) == (5120, 40, 3072, 4)


def test_as_stored_is_the_file_itself(states, files):
    same(load_mvdit_7b(files["mvdit_7b"]).state_dict(), states["mvdit_7b"])
    same(load_mvdit_17b(files["mvdit_17b"]).state_dict(), states["mvdit_17b"])
    same(load_mvdit_17b(files["wan_i2v_14b"]).state_dict(), states["wan_i2v_14b"])
    same(load_motion_adapter(files["mvdit_17b_adapter"]).state_dict(), states["mvdit_17b_adapter"])


def test_a_plain_model_with_the_adapter_is_the_whole(states, files):
    whole = load_mvdit_17b(files["mvdit_17b"])
    for adapter in ("mvdit_17b_adapter", "mvdit_17b"):
        model = load_mvdit_17b(files["wan_i2v_14b"], adapter=files[adapter])
        assert model.config == whole.config and not model.training
        same(model.state_dict(), states["mvdit_17b"])
        same(load_motion_adapter(files[adapter]).state_dict(), states["mvdit_17b_adapter"])
    assert load_motion_adapter(files["mvdit_17b"]).config.motion_blocks == whole.config.motion_blocks


def test_an_adapter_replaces_the_motion_attention_of_a_whole_model(states, files, tmp_path):
    other = {key: value + 1 for key, value in states["mvdit_17b_adapter"].items()}
    save_file(other, tmp_path / "other.safetensors", metadata=tiny_metadata(load_spec("mvdit_17b_adapter")))
    model = load_mvdit_17b(files["mvdit_17b"], adapter=tmp_path / "other.safetensors")
    same(model.state_dict(), states["mvdit_17b"] | other)


@pytest.mark.parametrize("precision", PRECISIONS[1:4])
def test_a_precision_is_that_of_every_tensor(states, files, precision):
    dtype = getattr(torch, precision)
    same(load_mvdit_7b(files["mvdit_7b"], precision=precision).state_dict(), {k: v.to(dtype) for k, v in states["mvdit_7b"].items()})


def test_a_mixed_file_gets_the_dtype_of_most_of_it(states, tmp_path):
    mixed = {key: value.bfloat16() if value.ndim > 1 else value for key, value in states["mvdit_7b"].items()}
    save_file(mixed, tmp_path / "mixed.safetensors")
    state = load_mvdit_7b(tmp_path / "mixed.safetensors").state_dict()
    assert {value.dtype for value in state.values()} == {torch.bfloat16}


def predict(model, *, motion=True):
    """One forward pass of a tiny 7B or 17B on the same numbers, in float32."""
    generator = torch.Generator().manual_seed(3)
    mean = torch.randn(24, 3, generator=generator) * 100
    tokens = torch.randn(1, 48, 64, generator=generator) * (1 if motion else -1)
    if isinstance(model, MVDiTCogVideoX):
        latents = torch.randn(1, 2, 32, 4, 4, generator=generator)
        return model(latents, torch.tensor([500]), tokens, vision_rope(2, 2, 2), motion_rope(mean, 2))
    latents, condition = torch.randn(1, 36, 2, 4, 4, generator=generator).split([16, 20], 1)
    text, image = [torch.randn(5, 4096, generator=generator)], torch.randn(1, 257, 1280, generator=generator)
    table = motion_rope(mean, 2, split=model.config.motion_split)
    return model(latents, torch.tensor([500.0]), text, image, condition, tokens, table)


@pytest.mark.parametrize(("name", "load"), [("mvdit_7b", load_mvdit_7b), ("mvdit_17b", load_mvdit_17b)])
@torch.no_grad()
def test_the_tiny_models_give_sane_numbers_that_motion_changes(files, name, load):
    model = load(files[name])
    first, again, other = predict(model), predict(model), predict(model, motion=False)
    assert torch.equal(first, again) and 0.2 < first.std() < 5
    assert (first - other).abs().mean() > 0.02 * first.std()


@pytest.mark.parametrize(("name", "load"), [("mvdit_7b", load_mvdit_7b), ("mvdit_17b", load_mvdit_17b)])
@torch.no_grad()
def test_fp8_is_near_and_small(files, name, load):
    model, small = load(files[name], precision="bfloat16").float(), load(files[name], precision="fp8 scaled")
    state = small.state_dict()
    inside = [key for key in state if "blocks." in key and "attn" in key and key.endswith(("o.weight", "to_v.weight"))]
    assert inside and all(state[key].dtype == torch.float8_e4m3fn for key in inside)
    assert {value.dtype for value in state.values()} == {torch.float8_e4m3fn, torch.bfloat16, torch.float32}
    for parameter in small.parameters():
        if parameter.dtype == torch.bfloat16:
            parameter.data = parameter.data.float()
    exact, near = predict(model), predict(small)
    assert 0 < (exact - near).norm() < 0.15 * exact.norm()


def test_fp8_files_stay_fp8_and_their_other_weights_wide(files, states, tmp_path):
    path = convert(files["wan_i2v_14b"], tmp_path / "fp8.safetensors", precision="fp8 scaled")
    model = load_mvdit_17b(path, adapter=files["mvdit_17b_adapter"])
    state = model.state_dict()
    assert state["blocks.0.self_attn.q.weight"].dtype == torch.float8_e4m3fn
    assert torch.equal(state["blocks.0.motion_attn.q.weight"], states["mvdit_17b_adapter"]["blocks.0.motion_attn.q.weight"].bfloat16())
    plain = load_mvdit_17b(path, precision="float32").state_dict()
    assert torch.allclose(
        plain["blocks.0.self_attn.q.weight"], states["wan_i2v_14b"]["blocks.0.self_attn.q.weight"], rtol=1 / 15, atol=0.002
    )


def test_loaded_tensors_stay_mapped_and_the_file_as_it_was(files, states):
    model = load_mvdit_7b(files["mvdit_7b"])
    before = files["mvdit_7b"].read_bytes()
    with torch.no_grad():
        model.proj_out.weight.add_(1)
    assert files["mvdit_7b"].read_bytes() == before
    assert not any(parameter.requires_grad for parameter in model.parameters())


# --- files that are no such models ---


def damaged(state, how):
    state = dict(state)
    if how == "missing":
        del state["blocks.1.ffn.0.bias"], state["blocks.3.ffn.0.bias"]
    elif how == "unexpected":
        state["img_emb.emb_pos"] = torch.zeros(1, 514, 1280)
    elif how == "shape":
        state["head.modulation"] = torch.zeros(1, 2, 255)
    elif how == "nan":
        state["blocks.4.motion_attn.o.weight"] = torch.full((256, 256), torch.nan)
    elif how == "number":
        state["blocks.1000000000.norm3.weight"] = torch.zeros(256)
    elif how == "size":
        del state["time_embedding.0.weight"]
    elif how == "scales":
        state["blocks.0.ffn.0.scale_weight"] = torch.ones(1)
    return state


@pytest.mark.parametrize(
    ("how", "message"),
    [
        ("missing", "2 missing: blocks.1.ffn.0.bias, blocks.3.ffn.0.bias; 207 tensors expected"),
        ("unexpected", "1 unexpected: img_emb.emb_pos"),
        ("shape", "1 of another shape: head.modulation (1, 2, 255) instead of (1, 2, 256)"),
        ("nan", "NaN or infinite values in blocks.4.motion_attn.o.weight"),
        ("number", "1 unexpected: blocks.1000000000.norm3.weight"),
        ("size", "time_embedding.0.weight is missing"),
        ("scales", "blocks.0.ffn.0.scale_weight, but no fp8 weights"),
    ],
)
def test_damaged_models_are_refused_by_name(states, tmp_path, how, message):
    path = tmp_path / "wrong.safetensors"
    save_file(damaged(states["mvdit_17b"], how), path)
    with pytest.raises(ValueError, match=r"wrong\.safetensors") as error:
        load_mvdit_17b(path)
    assert message in str(error.value) and len(str(error.value)) < 700


@pytest.mark.parametrize(
    ("load", "name", "message"),
    [
        (load_mvdit_17b, "mvdit_7b", "is an MV-DiT 7B model .CogVideoX with motion attention., expected an MV-DiT 17B"),
        (load_mvdit_7b, "mvdit_17b", "is an MV-DiT 17B model .*, expected an MV-DiT 7B"),
        (load_mvdit_17b, "mvdit_17b_adapter", "is a motion adapter"),
        (load_motion_adapter, "wan_i2v_14b", "is a Wan2.1 image-to-video model .*, expected a motion adapter"),
    ],
)
def test_a_model_of_another_kind_is_called_by_its_name(files, load, name, message):
    with pytest.raises(ValueError, match=message):
        load(files[name])


def test_text_to_video_is_refused_where_image_to_video_is_needed(states, tmp_path):
    state = {key: value for key, value in states["wan_i2v_14b"].items() if "img" not in key}
    save_file(state | {"patch_embedding.weight": torch.zeros(256, 16, 1, 2, 2)}, tmp_path / "t2v.safetensors")
    with pytest.raises(
        ValueError, match=r"is a Wan2.1 text-to-video model \(in_channels 16\), expected .* image-to-video model \(in_channels 36\)"
    ):
        load_mvdit_17b(tmp_path / "t2v.safetensors")


def test_an_adapter_of_another_size_is_refused(files, states, tmp_path):
    wide = {key: torch.zeros([2 * side for side in value.shape]) for key, value in states["mvdit_17b_adapter"].items()}
    save_file(wide, tmp_path / "wide.safetensors")
    with pytest.raises(ValueError, match=r"with .*wide\.safetensors does not fit \(24 of another shape: blocks\.0\.norm4"):
        load_mvdit_17b(files["wan_i2v_14b"], adapter=tmp_path / "wide.safetensors")


def test_an_unknown_precision_is_told_before_the_file_is_read(tmp_path):
    with pytest.raises(ValueError, match="precision is 'fp4', expected one of as stored"):
        load_mvdit_7b(tmp_path / "absent.safetensors", precision="fp4")


def test_a_wrong_file_is_refused_before_its_values_are_read(tmp_path):
    """Four gigabytes that the file claims and, being sparse, does not take: names and shapes are enough to refuse it."""
    header = b'{"patch_embedding.weight":{"dtype":"F32","shape":[1073741824],"data_offsets":[0,4294967296]}}'
    path = tmp_path / "huge.safetensors"
    with open(path, "wb") as file:
        file.write(len(header).to_bytes(8, "little") + header)
        file.truncate(8 + len(header) + (1 << 32))
    start = time.perf_counter()
    with pytest.raises(ValueError, match="no model of this pack"):
        load_mvdit_17b(path)
    assert time.perf_counter() - start < 2

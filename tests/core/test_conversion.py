"""A converted file holds the same numbers, says what it is, and is written with no more than one tensor in memory."""

import json
from itertools import pairwise

import pytest
import torch
from motion4d.core import conversion
from motion4d.core.checkpoints import read_checkpoint, read_metadata
from motion4d.core.conversion import Piece, convert, write_safetensors
from motion4d.core.models import load_motion_adapter, load_mvdit_7b, load_mvdit_17b, load_tokenizer
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.networks.scaled_fp8 import SCALE
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import random_state, tiny_checkpoint, tiny_metadata
from safetensors import safe_open
from safetensors.torch import load_file, save_file


@pytest.fixture(scope="module")
def tiny():
    tokenizer = MotionTokenizer(MotionTokenizerConfig(widths=(32, 32), code_dim=64, codebook_size=16))
    models = {name: tiny_checkpoint(load_spec(name)) for name in ("mvdit_7b", "mvdit_17b")}
    return {"4dmot": random_state(tokenizer, seed=0)} | models


def same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def saved(path, state, spec="mvdit_17b"):
    save_file(state, path, metadata=tiny_metadata(load_spec(spec)))
    return path


@pytest.mark.parametrize("name", ["4dmot", "mvdit_7b", "mvdit_17b"])
def test_deepspeed_becomes_one_file_with_equal_tensors(tiny, tmp_path, name):
    torch.save({"module": tiny[name], "ds_config": {"zero": 1}}, tmp_path / "mp_rank_00_model_states.pt")
    steps = []
    path = convert(tmp_path / "mp_rank_00_model_states.pt", tmp_path / "deep" / "one.safetensors", advance=steps.append)
    same(load_file(path), tiny[name])
    same(read_checkpoint(path), tiny[name])
    told = read_metadata(path)
    assert told["motion4d.spec"] == name and told["motion4d.source"] == "mp_rank_00_model_states.pt"
    assert told["motion4d.precision"] == "as stored" and told["format"] == "pt"
    assert sum(steps) == sum(value.nbytes for value in tiny[name].values())


def test_shards_become_one_file(tiny, tmp_path):
    items = list(tiny["mvdit_7b"].items())
    for number in (1, 2, 3):
        save_file(dict(items[number - 1 :: 3]), tmp_path / f"diffusion_pytorch_model-{number:05}-of-00003.safetensors")
    same(read_checkpoint(convert(tmp_path, tmp_path / "out" / "one.safetensors")), tiny["mvdit_7b"])


def test_the_converted_file_gives_the_same_model(tiny, tmp_path):
    source = saved(tmp_path / "a.safetensors", {f"model.diffusion_model.{key}": value for key, value in tiny["mvdit_17b"].items()})
    target = convert(source, tmp_path / "b.safetensors")
    first, second = load_mvdit_17b(source), load_mvdit_17b(target)
    assert first.config == second.config and second.config.motion_dim == 64
    same(second.state_dict(), first.state_dict())


def test_metadata_that_tensors_do_not_tell_is_kept(tiny, tmp_path):
    save_file(tiny["mvdit_17b"], tmp_path / "a.safetensors", metadata={"motion4d.motion_dim": "128", "motion4d.key_layout": "transposed"})
    told = read_metadata(convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors"))
    assert (told["motion4d.motion_dim"], told["motion4d.key_layout"], told["motion4d.heads"]) == ("128", "transposed", "2")


@pytest.mark.parametrize("precision", ["bfloat16", "float16", "float32"])
def test_numbers_are_rounded_to_the_precision(tiny, tmp_path, precision):
    half = {key: value.to(torch.bfloat16) if value.ndim > 1 else value for key, value in tiny["mvdit_7b"].items()}
    save_file(half, tmp_path / "a.safetensors")
    dtype = getattr(torch, precision)
    same(
        load_file(convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", precision=precision)),
        {key: value.to(dtype) for key, value in half.items()},
    )


def test_fp8_makes_the_matrices_of_the_blocks_small_and_is_near(tiny, tmp_path):
    source = saved(tmp_path / "a.safetensors", tiny["mvdit_17b"])
    path = convert(source, tmp_path / "b.safetensors", precision="fp8 scaled")
    state = load_file(path)
    weights = {key.removesuffix(SCALE) + ".weight" for key in state if key.endswith(SCALE)}
    assert weights == {key for key, value in state.items() if value.dtype == torch.float8_e4m3fn} - {"scaled_fp8"}
    assert "blocks.0.motion_attn.q.weight" in weights and all(key.startswith("blocks.") for key in weights)
    for key in weights:
        plain = state[key].float() * state[key.removesuffix(".weight") + SCALE]
        assert torch.allclose(plain, tiny["mvdit_17b"][key], rtol=1 / 15, atol=plain.abs().max().item() / 400)
    loaded = load_mvdit_17b(path).state_dict()
    direct = load_mvdit_17b(source, precision="fp8 scaled").state_dict()
    same(loaded, direct)


def test_fp8_and_back(tiny, tmp_path):
    source = saved(tmp_path / "a.safetensors", tiny["mvdit_17b"])
    small = convert(source, tmp_path / "b.safetensors", precision="fp8 scaled")
    again = convert(small, tmp_path / "c.safetensors", precision="fp8 scaled")
    same(load_file(again), load_file(small))
    plain = load_file(convert(small, tmp_path / "d.safetensors", precision="float32"))
    assert set(plain) == set(tiny["mvdit_17b"])
    assert all(torch.allclose(plain[key], value, rtol=1 / 15, atol=0.01) for key, value in tiny["mvdit_17b"].items())


def test_the_adapter_is_cut_out_of_a_whole_model(tiny, tmp_path):
    source = saved(tmp_path / "a.safetensors", tiny["mvdit_17b"])
    path = convert(source, tmp_path / "adapter.safetensors", adapter_only=True)
    state = load_file(path)
    assert set(state) == {key for key in tiny["mvdit_17b"] if "norm4" in key or "motion_attn" in key} and len(state) == 24
    same(load_motion_adapter(path).state_dict(), load_motion_adapter(source).state_dict())
    assert read_metadata(path)["motion4d.spec"] == "mvdit_17b_adapter"
    save_file(tiny["mvdit_7b"], tmp_path / "7b.safetensors")
    with pytest.raises(ValueError, match=r"7b\.safetensors: this is an MV-DiT 7B.*to take the motion attention from"):
        convert(tmp_path / "7b.safetensors", tmp_path / "other.safetensors", adapter_only=True)


def test_every_dtype_and_shape_is_readable_by_the_format_s_own_reader(tmp_path, generator):
    tensors = {
        "byte": torch.arange(5, dtype=torch.uint8),
        "flags": torch.tensor([True, False, True]),
        "scalar": torch.tensor(1.5),
        "half": torch.randn(3, 5, generator=generator).half(),
        "brain": torch.randn(7, generator=generator).bfloat16(),
        "double": torch.randn(2, generator=generator).double(),
        "whole": torch.arange(3),
        "eight": torch.randn(3, generator=generator).to(torch.float8_e4m3fn),
        "eight, wide": torch.randn(3, generator=generator).to(torch.float8_e5m2),
        "turned": torch.randn(4, 6, generator=generator).T,
        "nothing": torch.empty(0, 3),
    }
    pieces = [Piece(key, value.dtype, tuple(value.shape), lambda value=value: (value,)) for key, value in tensors.items()]
    write_safetensors(tmp_path / "all.safetensors", pieces, {"ünter": "wegs"}, title="test")
    found = load_file(tmp_path / "all.safetensors")
    assert set(found) == set(tensors)
    for key, value in tensors.items():
        assert found[key].dtype == value.dtype and found[key].shape == value.shape
        assert torch.equal(found[key].contiguous().reshape(-1).view(torch.uint8), value.contiguous().reshape(-1).view(torch.uint8)), key
    with safe_open(tmp_path / "all.safetensors", "pt") as file:
        assert file.metadata() == {"ünter": "wegs"}


def test_tensors_are_made_one_at_a_time(tmp_path):
    alive, most = 0, 0

    class Counted:
        def __init__(self, number):
            self.number = number

        def __call__(self):
            nonlocal alive, most
            alive += 1
            most = max(most, alive)
            return (torch.full((1000,), float(self.number)),)

    def advance(_):
        nonlocal alive
        alive -= 1

    pieces = [Piece(str(number), torch.float32, (1000,), Counted(number)) for number in range(9)]
    write_safetensors(tmp_path / "nine.safetensors", pieces, {}, title="test", advance=advance)
    assert most == 1 and load_file(tmp_path / "nine.safetensors")["7"].eq(7).all()


def test_what_cannot_be_converted_is_said_and_nothing_is_left(tiny, tmp_path, monkeypatch):
    source = saved(tmp_path / "a.safetensors", tiny["mvdit_17b"])
    for target, message in (("b.pt", "end in .safetensors"), ("a.safetensors", "exists")):
        with pytest.raises(ValueError, match=message):
            convert(source, tmp_path / target)
    with pytest.raises(ValueError, match="precision is 'int4', expected one of as stored"):
        convert(source, tmp_path / "b.safetensors", precision="int4")
    torch.save(tiny["4dmot"], tmp_path / "tokens.pt")
    with pytest.raises(ValueError, match="fp8 is for video models"):
        convert(tmp_path / "tokens.pt", tmp_path / "b.safetensors", precision="fp8 scaled")
    save_file({"x": torch.zeros(1)}, tmp_path / "other.safetensors")
    with pytest.raises(ValueError, match=r"other\.safetensors: no model of this pack"):
        convert(tmp_path / "other.safetensors", tmp_path / "b.safetensors")
    broken = tiny["mvdit_17b"] | {"head.head.bias": torch.full((64,), torch.nan)}
    with pytest.raises(ValueError, match=r"NaN or infinite values in head\.head\.bias"):
        convert(saved(tmp_path / "nan.safetensors", broken), tmp_path / "b.safetensors")
    monkeypatch.setattr(conversion.shutil, "disk_usage", lambda _: type("Usage", (), {"free": 1000}))
    with pytest.raises(OSError, match=r"too full for b\.safetensors: it needs 0\.03 GB"):
        convert(source, tmp_path / "b.safetensors")
    assert {path.name for path in tmp_path.iterdir()} == {"a.safetensors", "tokens.pt", "other.safetensors", "nan.safetensors"}


def test_the_tokenizer_of_the_release_converts_and_loads(tiny, tmp_path):
    torch.save({"module": tiny["4dmot"]}, tmp_path / "mp_rank_00_model_states.pt")
    path = convert(tmp_path / "mp_rank_00_model_states.pt", tmp_path / "4dmot.safetensors")
    same(load_tokenizer(path, load_spec("4dmot")).state_dict(), tiny["4dmot"])
    assert read_metadata(path)["motion4d.motion_dim"] == "64"


def test_the_header_is_what_the_format_asks_for(tiny, tmp_path):
    save_file(tiny["mvdit_7b"], tmp_path / "a.safetensors")
    raw = convert(tmp_path / "a.safetensors", tmp_path / "b.safetensors", precision="bfloat16").read_bytes()
    length = int.from_bytes(raw[:8], "little")
    header = json.loads(raw[8 : 8 + length])
    header.pop("__metadata__")
    spans = sorted(entry["data_offsets"] for entry in header.values())
    assert length % 8 == 0 and spans[0][0] == 0 and spans[-1][1] == len(raw) - 8 - length
    assert all(one[1] == two[0] for one, two in pairwise(spans))
    assert load_mvdit_7b(tmp_path / "b.safetensors").config.heads == 1

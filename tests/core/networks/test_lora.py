"""LoRAs merged into weights."""

import pytest
import torch
from motion4d.core.networks.lora import merge_lora
from motion4d.core.networks.scaled_fp8 import ScaledOps, linear_weights, quantise
from torch import nn


class Small(nn.Module):
    def __init__(self, ops=nn):
        super().__init__()
        self.blocks = nn.ModuleList([nn.ModuleDict({"q": ops.Linear(6, 8), "norm": nn.LayerNorm(6)}) for _ in range(2)])
        self.patch = nn.Conv3d(3, 8, (1, 2, 2))


@pytest.fixture
def model():
    torch.manual_seed(0)
    return Small()


def pair(generator, out=8, width=6, rank=2):
    return torch.randn(out, rank, generator=generator), torch.randn(rank, width, generator=generator)


NAMES = [("lora_up.weight", "lora_down.weight"), ("lora_B.weight", "lora_A.weight")]


@pytest.mark.parametrize("prefix", ["diffusion_model.", "transformer.", ""])
@pytest.mark.parametrize("names", NAMES)
@pytest.mark.parametrize("alpha", [None, 6.0])
def test_what_is_added(model, generator, prefix, names, alpha):
    up, down = pair(generator)
    state = {f"{prefix}blocks.1.q.{names[0]}": up, f"{prefix}blocks.1.q.{names[1]}": down}
    if alpha:
        state[f"{prefix}blocks.1.q.alpha"] = torch.tensor(alpha)
    before = {key: value.clone() for key, value in model.state_dict().items()}
    assert merge_lora(model, state, 0.5) == 1
    expected = before["blocks.1.q.weight"] + 0.5 * (3.0 if alpha else 1.0) * sum(torch.outer(up[:, r], down[r]) for r in range(2))
    assert torch.allclose(model.blocks[1]["q"].weight, expected, atol=1e-6)
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items() if key != "blocks.1.q.weight")


def test_a_merged_layer_is_the_layer_beside_its_lora(model, generator):
    (up, down), x = pair(generator), torch.randn(4, 6, generator=generator)
    expected = model.blocks[0]["q"](x) + 0.7 * (x @ down.T) @ up.T
    merge_lora(model, {"blocks.0.q.lora_up.weight": up, "blocks.0.q.lora_down.weight": down}, 0.7)
    assert torch.allclose(model.blocks[0]["q"](x), expected, atol=1e-5)


def test_full_differences_and_biases(model, generator):
    before = {key: value.clone() for key, value in model.state_dict().items()}
    up, down = pair(generator)
    state = {
        "diffusion_model.blocks.0.q.diff": torch.ones(8, 6, dtype=torch.bfloat16),
        "diffusion_model.blocks.0.q.diff_b": torch.full((8,), 2.0),
        "diffusion_model.blocks.1.norm.diff": torch.full((6,), 3.0),
        "diffusion_model.blocks.1.q.lora_up.weight": up,
        "diffusion_model.blocks.1.q.lora_down.weight": down,
        "diffusion_model.blocks.1.q.diff": torch.ones(8, 6),
    }
    assert merge_lora(model, state, 2.0) == 4
    after = model.state_dict()
    assert torch.allclose(after["blocks.0.q.weight"], before["blocks.0.q.weight"] + 2)
    assert torch.allclose(after["blocks.0.q.bias"], before["blocks.0.q.bias"] + 4)
    assert torch.allclose(after["blocks.1.norm.weight"], before["blocks.1.norm.weight"] + 6)
    assert torch.allclose(after["blocks.1.q.weight"], before["blocks.1.q.weight"] + 2 * (up @ down + 1), atol=1e-5)


def test_convolutions(model, generator):
    up, down = torch.randn(8, 2, 1, 1, 1, generator=generator), torch.randn(2, 3, 1, 2, 2, generator=generator)
    before = model.patch.weight.clone()
    merge_lora(model, {"patch.lora_up.weight": up, "patch.lora_down.weight": down})
    assert torch.allclose(model.patch.weight, before + torch.einsum("or,rchw...->ochw...", up[..., 0, 0, 0], down), atol=1e-6)


def test_mapped_files_stay_and_loading_again_undoes_it(model, generator, tmp_path):
    from safetensors.torch import load_file, save_file

    path = tmp_path / "model.safetensors"
    save_file(model.state_dict(), path)
    written = path.read_bytes()
    mapped = load_file(path)
    model.load_state_dict(mapped, assign=True)
    up, down = pair(generator)
    held = model.blocks[0]["q"].weight.detach()
    copy = held.clone()
    merge_lora(model, {"blocks.0.q.lora_up.weight": up, "blocks.0.q.lora_down.weight": down})
    assert torch.equal(held, copy) and torch.equal(mapped["blocks.0.q.weight"], copy) and path.read_bytes() == written
    assert not torch.equal(model.blocks[0]["q"].weight, copy)
    model.load_state_dict(load_file(path), assign=True)
    assert torch.equal(model.blocks[0]["q"].weight, copy)


def test_dtypes_are_kept(model, generator):
    model.bfloat16()
    up, down = pair(generator)
    before = model.blocks[0]["q"].weight.float()
    merge_lora(model, {"blocks.0.q.lora_up.weight": up.half(), "blocks.0.q.lora_down.weight": down.half()})
    weight = model.blocks[0]["q"].weight
    assert weight.dtype == torch.bfloat16
    assert torch.equal(weight, (before + up.half().float() @ down.half().float()).bfloat16())


def test_fp8_weights_are_quantised_again(generator):
    torch.manual_seed(0)
    plain, small = Small(), Small(ScaledOps)
    state = quantise(plain.state_dict(), linear_weights(plain))
    small.load_state_dict(state, assign=True)
    up, down = pair(generator)
    assert merge_lora(small, {"blocks.0.q.lora_up.weight": up, "blocks.0.q.lora_down.weight": down}) == 1
    layer = small.blocks[0]["q"]
    expected = state["blocks.0.q.weight"].float() * state["blocks.0.q.scale_weight"] + up @ down
    assert layer.weight.dtype == torch.float8_e4m3fn
    assert torch.isclose(layer.scale_weight, expected.abs().max() / 448)
    assert not torch.equal(layer.scale_weight, state["blocks.0.q.scale_weight"])
    off = (layer.dequantised(torch.float32) - expected).abs()
    assert off.le(expected.abs() * 2.0**-4 * 1.0001 + layer.scale_weight * 2.0**-10).all()
    small.load_state_dict(state, assign=True)
    assert torch.equal(small.blocks[0]["q"].weight.float(), state["blocks.0.q.weight"].float())
    assert torch.equal(small.blocks[0]["q"].scale_weight, state["blocks.0.q.scale_weight"])


@pytest.mark.parametrize(
    ("state", "message"),
    [
        ({"other.lora_up.weight": (8, 2), "other.lora_down.weight": (2, 6)}, r"none of 2 tensors \(other.lora_up.weight, .*fits Small"),
        ({"blocks.0.q.alpha": ()}, "none of 1 tensors"),
        ({}, "none of 0 tensors"),
        ({"blocks.0.q.lora_up.weight": (8, 2)}, "no partner that leads down"),
        ({"blocks.0.q.lora_A.weight": (2, 6)}, "no partner that leads up"),
        ({"blocks.0.q.lora_up.weight": (8, 2), "blocks.0.q.lora_down.weight": (2, 7)}, r"\(8, 2\) x \(2, 7\), blocks.0.q.weight \(8, 6\)"),
        ({"blocks.0.q.lora_up.weight": (8, 3), "blocks.0.q.lora_down.weight": (2, 6)}, r"\(8, 3\) x \(2, 6\)"),
        ({"blocks.0.q.lora_up.weight": (6, 2), "blocks.0.q.lora_down.weight": (2, 8)}, "choose a LoRA of this model"),
        ({"blocks.0.q.diff": (6, 8)}, r"blocks.0.q.diff has shape \(6, 8\), blocks.0.q.weight \(8, 6\)"),
        ({"blocks.0.q.diff_b": (6,)}, r"blocks.0.q.bias \(8,\)"),
        (
            {"blocks.0.q.lora_up.weight": (8, 2), "blocks.0.q.lora_down.weight": (2, 6), "blocks.0.q.dora_scale": (8, 1)},
            "blocks.0.q.dora_scale, which is not merged here",
        ),
    ],
)
def test_what_does_not_fit_is_refused_and_nothing_changes(model, state, message):
    fits = {"blocks.1.q.diff": torch.ones(8, 6)} if "none" not in message else {}
    before = {key: value.clone() for key, value in model.state_dict().items()}
    with pytest.raises(ValueError, match=message):
        merge_lora(model, fits | {key: torch.zeros(shape) for key, shape in state.items()})
    assert all(torch.equal(value, before[key]) for key, value in model.state_dict().items())


def test_a_lora_of_a_related_model_fits_in_part(model, generator):
    up, down = pair(generator)
    state = {f"blocks.{block}.q.lora_{kind}.weight": value for block in (1, 7) for kind, value in (("up", up), ("down", down))}
    assert merge_lora(model, state | {"blocks.1.q.unheard_of": up}) == 1


def test_fp8_without_a_scale_and_bad_strengths_are_refused(model, generator):
    up, down = pair(generator)
    state = {"blocks.0.q.lora_up.weight": up, "blocks.0.q.lora_down.weight": down}
    with pytest.raises(ValueError, match="strength of the LoRA is nan"):
        merge_lora(model, state, float("nan"))
    model.blocks[0]["q"].weight.data = model.blocks[0]["q"].weight.data.to(torch.float8_e4m3fn)
    with pytest.raises(ValueError, match="without a scale"):
        merge_lora(model, state)

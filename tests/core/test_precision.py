"""Weights in fp8 mean the same in every spelling, and other packings are refused."""

import pytest
import torch
from motion4d.core.precision import dequantise, is_scaled, unify_scales

SAMPLE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "b.modulation": torch.full((1, 2), 0.5)}


def same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


def fp8(spelling):
    """SAMPLE with a.weight in fp8, its scale 2, in one of the spellings."""
    scale, mark = (
        torch.tensor([2.0]),
        torch.tensor(list(b'{"format": "float8_e4m3fn", "full_precision_matrix_mult": true}'), dtype=torch.uint8),
    )
    told = {
        "old": {"a.scale_weight": scale, "scaled_fp8": torch.empty(0, dtype=torch.float8_e4m3fn)},
        "old with inputs": {"a.scale_weight": scale, "a.scale_input": torch.ones(1), "scaled_fp8": torch.zeros(2).to(torch.float8_e4m3fn)},
        "new": {"a.weight_scale": scale.reshape(()), "a.comfy_quant": mark},
        "new with inputs": {"a.weight_scale": scale.half(), "a.input_scale": torch.ones(()), "a.comfy_quant": mark},
    }
    return SAMPLE | {"a.weight": (SAMPLE["a.weight"] / 2).to(torch.float8_e4m3fn)} | told[spelling]


@pytest.mark.parametrize("spelling", ["old", "old with inputs", "new", "new with inputs"])
def test_every_spelling_of_scales_means_the_same(spelling):
    state = fp8(spelling)
    assert is_scaled(state) and not is_scaled(SAMPLE)
    unified = unify_scales(state)
    assert set(unified) == {*SAMPLE, "a.scale_weight"}
    assert unified["a.scale_weight"].shape == () and unified["a.scale_weight"].dtype == torch.float32
    same(dequantise(state, torch.float32), SAMPLE)
    assert state == {}


def test_fp8_without_scales_and_other_tensors_keep_their_numbers():
    state = {"a.weight": torch.tensor([1.0, -2.0]).to(torch.float8_e5m2), "b.weight": torch.ones(3).half(), "words": torch.arange(3)}
    expected = {"a.weight": torch.tensor([1.0, -2.0]).bfloat16(), "b.weight": torch.ones(3).half(), "words": torch.arange(3)}
    same(dequantise(state, torch.bfloat16), expected)


@pytest.mark.parametrize(
    ("extra", "message"),
    [
        ({"a.weight_scale": torch.ones(2)}, "2 scales for one weight"),
        ({"b.scale_weight": torch.ones(1)}, "no fp8 weights that go with them"),
        ({"a.comfy_quant": torch.tensor(list(b'{"format": "nvfp4"}'), dtype=torch.uint8)}, "packed as nvfp4"),
        ({"a.comfy_quant": torch.tensor(list(b"{}"), dtype=torch.uint8)}, "cannot be read"),
        ({"a.comfy_quant": torch.tensor(list(b"{{"), dtype=torch.uint8)}, "cannot be read"),
    ],
)
def test_other_packings_are_refused(extra, message):
    with pytest.raises(ValueError, match=message):
        unify_scales(fp8("new") | extra)

"""fp8 weights with a scale: what they lose, and that everything else stays."""

import pytest
import torch
from motion4d.core.networks.motion_adapter import MotionAdapter
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.scaled_fp8 import ScaledLinear, ScaledOps, check_fp8, linear_weights, quantise, scale_of
from torch import nn

CONFIG = MVDiTWanConfig(
    dim=80, heads=2, ffn_dim=64, layers=5, in_channels=7, out_channels=3, text_dim=10, text_len=8, freq_dim=16, image_dim=14, motion_dim=48
)
STEP = 2.0**-4  # half of the distance between neighbours, of three bits of mantissa, as a share of the number
FLOOR = 2.0**-10  # half of the smallest subnormal number


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def layer(generator, columns=40, rows=24, scale=0.03):
    return {"weight": torch.randn(rows, columns, generator=generator) * scale, "bias": torch.randn(rows, generator=generator)}


def loaded(state):
    with torch.device("meta"):
        linear = ScaledOps.Linear(state["weight"].shape[1], state["weight"].shape[0], bias="bias" in state)
    linear.load_state_dict(state, strict=True, assign=True)
    return linear


def test_a_weight_is_off_by_a_sixteenth_at_most(generator):
    state = layer(generator)
    fp8 = quantise(state, ["weight"])
    assert fp8["weight"].dtype == torch.float8_e4m3fn and fp8["bias"] is state["bias"]
    scale = fp8["scale_weight"]
    assert scale.dtype == torch.float32 and scale.shape == ()
    assert torch.isclose(scale, state["weight"].abs().max() / 448)
    back = loaded(fp8).dequantised(torch.float32)
    assert (back - state["weight"]).abs().le(state["weight"].abs() * STEP * 1.0001 + scale * FLOOR).all()
    assert not torch.equal(back, state["weight"])
    largest = state["weight"].abs().argmax()
    assert torch.isclose(back.flatten()[largest], state["weight"].flatten()[largest])


def test_it_computes_in_the_dtype_of_the_input(generator):
    state, x = layer(generator), torch.randn(3, 40, generator=generator)
    linear = loaded(quantise(state, ["weight"]))
    exact = nn.functional.linear(x.double(), state["weight"].double(), state["bias"].double())
    bound = x.double().abs() @ (state["weight"].double().abs() * STEP + linear.scale_weight * FLOOR).T
    for dtype in (torch.float32, torch.bfloat16, torch.float16):
        got = linear(x.to(dtype))
        assert got.dtype == dtype
        # The rounding of weights, inputs and results to the dtype comes on top.
        share = 4 * torch.finfo(dtype).eps
        rounding = share * (x.double().abs() @ state["weight"].double().abs().T + exact.abs() + state["bias"].abs())
        assert ((got.double() - exact).abs() <= bound + rounding).all()
    assert torch.equal(linear(x), nn.functional.linear(x, linear.dequantised(torch.float32), state["bias"]))


def test_numbers_that_eight_bits_hold_are_exact(generator):
    weight = torch.randint(-15, 16, (8, 6), generator=generator).float()
    weight[0, 0] = 448.0
    fp8 = quantise({"weight": weight}, ["weight"])
    assert fp8["scale_weight"] == 1
    assert torch.equal(loaded(fp8).dequantised(torch.float32), weight)
    assert torch.equal(loaded(quantise({"weight": torch.zeros(2, 3)}, ["weight"])).dequantised(torch.float32), torch.zeros(2, 3))


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float32])
def test_without_a_scale_it_is_an_ordinary_layer(generator, dtype):
    state = {key: value.to(dtype) for key, value in layer(generator).items()}
    linear, x = loaded(state), torch.randn(3, 40, generator=generator)
    assert torch.equal(linear(x), nn.functional.linear(x, state["weight"].float(), state["bias"].float()))
    assert list(linear.state_dict()) == ["weight", "bias"]
    unscaled = loaded({"weight": torch.full((2, 2), 1.5).to(torch.float8_e4m3fn)})
    assert torch.equal(unscaled(torch.eye(2)), torch.full((2, 2), 1.5))


def test_a_layer_takes_either_kind_of_checkpoint_after_the_other(generator):
    state = layer(generator)
    fp8, linear = quantise(state, ["weight"]), ScaledLinear(40, 24)
    linear.load_state_dict(fp8, strict=True, assign=True)
    assert set(linear.state_dict()) == {"weight", "bias", "scale_weight"}
    assert all(torch.equal(value.float(), fp8[key].float()) for key, value in linear.state_dict().items())
    linear.load_state_dict(state, strict=True, assign=True)
    assert linear.scale_weight is None and torch.equal(linear.dequantised(torch.float32), state["weight"])
    copied = ScaledLinear(40, 24)
    copied.load_state_dict(fp8, strict=True)  # into float32 memory
    assert torch.equal(copied.dequantised(torch.float32), loaded(fp8).dequantised(torch.float32))


def test_everything_but_linear_layers_is_torchs():
    assert ScaledOps.LayerNorm is nn.LayerNorm and ScaledOps.Conv3d is nn.Conv3d and ScaledOps.RMSNorm is nn.RMSNorm
    assert issubclass(ScaledOps.Linear, nn.Linear)
    with pytest.raises(AttributeError):
        _ = ScaledOps.Lineal


# --- a whole model ---


def released():
    model, generator = MVDiTWan(CONFIG), torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * (parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3)
    return model.eval()


def inputs(dtype):
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    given = {"latents": draw(1, 3, 2, 4, 4), "timestep": torch.tensor([700.0]), "text": [draw(5, 10)], "image": draw(1, 9, 14)}
    return given | {"condition": draw(1, 4, 2, 4, 4)}


def test_a_model_of_fp8_weights_stays_close():
    """Compared with the same model whose weights were rounded to fp8 beforehand it is exact; with the unrounded one it is off by a share."""
    model = released()
    keys = [key for key in linear_weights(model) if key.startswith("blocks.")]
    state = quantise(model.state_dict(), keys)
    small = MVDiTWan.from_released(state, CONFIG, ops=ScaledOps)
    assert sum(value.dtype == torch.float8_e4m3fn for value in small.state_dict().values()) == len(keys) == 5 * 12 + 2 * 4
    assert all(value.data_ptr() == state[key].data_ptr() for key, value in small.state_dict().items())
    rounded = {key: value for key, value in model.state_dict().items()}
    for key in keys:
        rounded[key] = state[key].float() * state[scale_of(key)]
    expected, exact = MVDiTWan.from_released(rounded, CONFIG), model(**inputs(torch.float32))
    got = small(**inputs(torch.float32))
    assert torch.allclose(got, expected(**inputs(torch.float32)), atol=1e-6)
    assert 0 < (got - exact).norm() < STEP * exact.norm() * len(model.blocks) ** 0.5


def test_time_is_computed_wide_with_fp8_weights():
    """bfloat16 inputs, and the two layers of time in float32 whatever their weights are."""
    model = released()
    state = quantise(model.state_dict(), linear_weights(model))
    wide = {key: value if value.itemsize == 1 or key.endswith("scale_weight") else value.bfloat16() for key, value in state.items()}
    small = MVDiTWan.from_released(wide, CONFIG, ops=ScaledOps)
    calls = []
    small.time_projection[1].register_forward_hook(lambda module, args, result: calls.append(result.dtype))
    assert small(**inputs(torch.bfloat16)).dtype == torch.bfloat16
    assert calls == [torch.float32]


def test_the_adapter_takes_fp8_weights():
    adapter = MotionAdapter(CONFIG)
    state = quantise(adapter.state_dict(), linear_weights(adapter))
    assert sum(key.endswith("scale_weight") for key in state) == 8
    built = MotionAdapter.from_state(state, CONFIG, ops=ScaledOps)
    assert built.state_dict().keys() == state.keys()
    with pytest.raises(ValueError, match="8 unexpected"):
        MotionAdapter.from_state(state, CONFIG)  # torch's layers know no scale


# --- bad input ---


def test_bad_weights_are_refused(generator):
    state = layer(generator)
    for bad in (float("nan"), float("inf")):
        broken = state["weight"].clone()
        broken[3, 4] = bad
        with pytest.raises(ValueError, match="weight holds NaN or infinity"):
            quantise({"weight": broken}, ["weight"])
    with pytest.raises(ValueError, match=r"bias is of shape \(24,\), expected the weight matrix"):
        quantise(state, ["bias"])
    with pytest.raises(ValueError, match=r"x\.weight is missing"):
        quantise(state, ["x.weight"])


def test_a_device_without_fp8_is_refused():
    check_fp8("cpu")
    if not torch.cuda.is_available():
        with pytest.raises(ValueError, match="fp8 weights do not work on cuda: load the model with precision bfloat16"):
            check_fp8("cuda")
    with pytest.raises(ValueError, match="fp8 weights do not work on meta9"):
        check_fp8("meta9")

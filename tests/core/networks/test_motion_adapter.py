"""The motion attention on its own, inside a Wan that has none."""

import dataclasses

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.networks.motion_adapter import MotionAdapter
from motion4d.core.networks.motion_attention import Kept
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.rope import motion_rope

CONFIG = MVDiTWanConfig(
    dim=80, heads=2, ffn_dim=64, layers=6, in_channels=7, out_channels=3, text_dim=10, text_len=8, freq_dim=16, image_dim=14, motion_dim=48
)
PLAIN = dataclasses.replace(CONFIG, motion_every=0)
LIKE = torch.zeros(1)


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


@pytest.fixture(scope="module")
def whole():
    model, generator = MVDiTWan(CONFIG), torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data = torch.randn(parameter.shape, generator=generator) * (parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.3)
    return model.eval()


def is_motion(key):
    return ".norm4." in key or ".motion_attn." in key


@pytest.fixture(scope="module")
def host(whole):
    return MVDiTWan.from_released({key: value for key, value in whole.state_dict().items() if not is_motion(key)}, PLAIN)


@pytest.fixture(scope="module")
def adapter(whole):
    return MotionAdapter.from_state({key: value for key, value in whole.state_dict().items() if is_motion(key)}, CONFIG)


def motion(seed, frames=2):
    generator = torch.Generator().manual_seed(seed)
    return MotionCondition(
        tokens=torch.randn(frames * 5, 48, generator=generator), positions=torch.linspace(-400, 600, 15).view(5, 3), frames=frames
    )


@pytest.fixture
def given(generator):
    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    sizes = {"latents": draw(2, 3, 2, 4, 6), "timestep": torch.tensor([981.0, 19.0]), "text": [draw(5, 10), draw(8, 10)]}
    return sizes | {"image": draw(2, 9, 14), "condition": draw(2, 4, 2, 4, 6)}


def inserted(host, adapter, reading, given, **options):
    """Run a plain Wan whose blocks hand their tokens to the adapter after the cross-attention, as a host does."""
    vision, state, hooks = adapter.read_vision((2, 2, 3), like=LIKE), {}, []
    for number, block in enumerate(host.blocks):

        def before(module, args):
            state["x"] = args[0]

        def after(module, args, result, number=number):
            x = state["x"] + result
            return result + adapter.add(number, x, vision, reading, **options) - x

        hooks += [block.norm3.register_forward_pre_hook(before), block.cross_attn.register_forward_hook(after)]
    try:
        return host(**given)
    finally:
        for hook in hooks:
            hook.remove()


def test_it_holds_the_motion_attention_of_the_whole_model(whole, adapter):
    expected = {key: value for key, value in whole.state_dict().items() if is_motion(key)}
    state = adapter.state_dict()
    assert state.keys() == expected.keys()
    assert all(state[key].data_ptr() == value.data_ptr() for key, value in expected.items())


@pytest.mark.parametrize("options", [{}, {"strength": 0.4}])
@pytest.mark.parametrize("moving", [(0, 1), (1,)])
def test_inserted_into_a_plain_model_it_is_the_whole_model(whole, host, adapter, given, options, moving):
    rows = [motion(row) if row in moving else motion(row).without_motion() for row in range(2)]
    expected = whole(**given, motion=whole.read_motion(rows, like=LIKE), **options)
    got = inserted(host, adapter, adapter.read_motion(rows, like=LIKE, kept=Kept()), given, **options)
    assert (got - expected).abs().max() < 1e-4
    assert (got - host(**given)).abs().max() > 1e-2


def test_it_reads_what_the_whole_model_reads(whole, adapter):
    one, other = (model.read_motion([motion(1)], like=LIKE) for model in (whole, adapter))
    for number in range(6):
        if number in (0, 4):
            assert torch.equal(one.of(number).keys, other.of(number).keys) and torch.equal(one.of(number).values, other.of(number).values)
        else:
            assert one.of(number) is None and other.of(number) is None


def test_observed_from_outside(whole, host, adapter, given):
    seen, expected = {}, {}
    rows = [motion(1), motion(2)]
    inserted(host, adapter, adapter.read_motion(rows, like=LIKE), given, observe=seen.__setitem__)
    whole(**given, motion=whole.read_motion(rows, like=LIKE), observe=expected.__setitem__)
    assert seen.keys() == expected.keys() == {0, 4}
    assert all(torch.allclose(seen[number], expected[number], atol=1e-4) for number in seen)


def test_blocks_without_motion_attention_change_nothing(adapter):
    x, reading = torch.ones(1, 12, 80), adapter.read_motion([motion(1)], like=LIKE)
    vision = adapter.read_vision((2, 2, 3), like=LIKE)
    for number in (1, 2, 3, 5, 40):
        assert adapter.add(number, x, vision, reading) is x
    assert not torch.equal(adapter.add(4, x, vision, reading), x)


def test_a_model_without_motion_attention(whole, host, given):
    assert torch.equal(host(**given), whole(**given))
    assert not any(is_motion(key) for key in host.state_dict())
    with pytest.raises(ValueError, match="no motion attention: load it with the motion adapter"):
        host.read_motion([motion(1)], like=LIKE)
    with pytest.raises(ValueError, match="no motion attention"):
        host(**given, motion=motion(1).tokens[None], motion_rope=motion_rope(motion(1).positions, 2, split=CONFIG.motion_split))
    still = host.read_motion([motion(1).without_motion()], like=LIKE)
    assert torch.equal(host(**given, motion=still), host(**given))
    with pytest.raises(ValueError, match="motion_every is 0"):
        MotionAdapter(PLAIN)


def test_a_base_and_an_adapter_make_one_model(whole, host, adapter, given):
    merged = MVDiTWan.from_released({**host.state_dict(), **adapter.state_dict()}, CONFIG)
    reading = merged.read_motion([motion(1)], like=LIKE)
    assert torch.equal(merged(**given, motion=reading), whole(**given, motion=whole.read_motion([motion(1)], like=LIKE)))


def test_motion_goes_beside_a_prepared_text(whole, given):
    static = {name: given.pop(name) for name in ("text", "image")}
    reading = whole.read_motion([motion(1), motion(2)], like=LIKE)
    context = whole.prepare(**static)
    expected = whole(**given, **static, motion=reading)
    assert torch.equal(whole(**given, context=context, motion=reading), expected)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("blocks.4.norm4.bias"), r"MotionAdapter does not fit \(1 missing: blocks.4.norm4.bias; 24 tensors"),
        (lambda state: state.update({"blocks.1.norm4.bias": torch.zeros(80)}), r"1 unexpected: blocks.1.norm4.bias"),
        (lambda state: state.update({"blocks.4.norm4.bias": torch.zeros(79)}), r"blocks.4.norm4.bias \(79,\) instead of \(80,\)"),
    ],
)
def test_a_file_that_does_not_fit_is_refused(adapter, change, message):
    state = dict(adapter.state_dict())
    change(state)
    with pytest.raises(ValueError, match=message):
        MotionAdapter.from_state(state, CONFIG)


def test_which_blocks_have_motion():
    assert MVDiTWanConfig().motion_blocks == (0, 4, 8, 12, 16, 20, 24, 28, 32, 36)
    assert PLAIN.motion_blocks == ()
    with pytest.raises(ValueError, match="'motion_every': -1"):
        dataclasses.replace(CONFIG, motion_every=-1)

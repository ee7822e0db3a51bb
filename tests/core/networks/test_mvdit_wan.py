"""The 17B model against itself, against independent twins, and against what the reference computed."""

import dataclasses

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.networks.attention import dot_product_attention
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig, time_sinusoid
from motion4d.core.networks.rope import RotaryTable, motion_rope, rotate
from motion4d.core.networks.wan_blocks import MotionAttention, WanBlock, wan_rope

SMALL = MVDiTWanConfig(
    dim=48, heads=4, ffn_dim=64, layers=6, in_channels=7, out_channels=3, text_dim=10, text_len=8, freq_dim=16, image_dim=14, motion_dim=32
)
TABLE = motion_rope(torch.randn(6, 3, generator=torch.Generator().manual_seed(9)) * 300, 2, split=(6, 2, 2, 2))  # 12 motion tokens


def fill(module, seed=0):
    """Numbers everywhere, also where training would start from zeros and ones."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(noise * 0.1 + float("norm" in name or name.endswith(("proj.0.weight", "proj.4.weight"))))
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
    return module.eval()


def inputs(batch=2, seed=1, dtype=torch.float32):
    generator = torch.Generator().manual_seed(seed)

    def draw(*shape):
        return torch.randn(*shape, generator=generator).to(dtype)

    lengths = [5, 8, 1, 3][:batch]
    return {
        "latents": draw(batch, 3, 2, 6, 4),
        "timestep": torch.tensor([999.0, 437.5, 20.0, 1.0][:batch]),
        "text": [draw(length, 10) for length in lengths],
        "image": draw(batch, 9, 14),
        "condition": draw(batch, 4, 2, 6, 4),
        "motion": draw(batch, 12, 32),
        "motion_rope": TABLE,
    }


def row(given, index):
    """One row of a batch of inputs."""
    return {name: value if name == "motion_rope" else value[index : index + 1] for name, value in given.items()}


@pytest.fixture(scope="module")
def model():
    return fill(MVDiTWan(SMALL))


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


# --- what holds exactly ---


def test_motion_attention_is_the_backbone_at_initialisation():
    torch.manual_seed(0)
    fresh = MVDiTWan(SMALL).eval()
    given = inputs()
    moved = fresh(**given)
    assert torch.equal(moved, fresh(**given | {"motion": None, "motion_rope": None}))
    assert moved.std() > 0.1


def test_only_every_fourth_block_has_motion_attention(model):
    of_motion = {key.split(".")[1] for key in model.state_dict() if ".norm4." in key or ".motion_attn." in key}
    assert of_motion == {"0", "4"}
    assert [block.has_motion for block in model.blocks] == [True, False, False, False, True, False]
    wider = MVDiTWan(dataclasses.replace(SMALL, motion_every=3))
    assert [block.has_motion for block in wider.blocks] == [True, False, False, True, False, False]


def test_rows_of_a_batch_do_not_meet(model):
    given = inputs(batch=3)
    whole = model(**given)
    for index in range(3):
        assert torch.allclose(model(**row(given, index)), whole[index : index + 1], atol=2e-5)


def test_one_row_stands_for_all(model):
    given = inputs()
    single = {name: given[name][:1] for name in ("text", "image", "motion")}
    repeated = {"text": given["text"][:1] * 2, "image": given["image"][:1].repeat(2, 1, 1), "motion": given["motion"][:1].repeat(2, 1, 1)}
    assert torch.allclose(model(**given | single), model(**given | repeated), atol=2e-5)


def test_what_stays_the_same_over_the_steps_is_computed_once(model):
    given = inputs()
    static = {name: given.pop(name) for name in ("text", "image")}
    context, calls = model.prepare(**static), []
    hooks = [module.register_forward_hook(lambda *_: calls.append(1)) for module in static_layers(model)]
    for step in (999.0, 500.0, 3.0):
        given["timestep"] = torch.full((2,), step)
        calls.clear()
        prepared = model(**given, context=context)
        assert not calls
        assert torch.equal(prepared, model(**given, **static))
        assert len(calls) == len(hooks) == 6 * 4 + 2
    for hook in hooks:
        hook.remove()


def static_layers(model):
    """Every layer that sees text or image alone."""
    endings = ("cross_attn.k", "cross_attn.v", "cross_attn.k_img", "cross_attn.v_img")
    found = [module for name, module in model.named_modules() if name.endswith(endings)]
    return [*found, model.img_emb, model.text_embedding]


def test_a_new_context_sees_a_changed_weight():
    changed, given = fill(MVDiTWan(SMALL)), inputs()
    static = {name: given.pop(name) for name in ("text", "image")}
    before = changed(**given, context=changed.prepare(**static))
    changed.blocks[4].cross_attn.v.weight.mul_(1.5)
    after = changed(**given, context=changed.prepare(**static))
    assert (after - before).abs().max() > 1e-3
    assert torch.equal(after, changed(**given, **static))


def test_text_is_filled_with_zeros_that_are_attended_to(model):
    given = inputs(batch=1)
    filled = [torch.cat([given["text"][0], torch.zeros(3, 10)])]
    assert torch.equal(model(**given), model(**given | {"text": filled}))
    shorter = fill(MVDiTWan(dataclasses.replace(SMALL, text_len=5)))
    assert not torch.allclose(model(**given), shorter(**given), atol=1e-3)


def test_motion_is_filled_with_zeros():
    cut, given = fill(MVDiTWan(SMALL)), inputs()
    before = cut(**given)
    for index in (0, 4):
        for layer in (cut.blocks[index].motion_attn.k, cut.blocks[index].motion_attn.v):
            layer.weight[:, SMALL.motion_dim :] = 7.0
    assert torch.equal(cut(**given), before)
    cut.blocks[0].motion_attn.k.weight[:, SMALL.motion_dim - 1] += 1
    assert not torch.allclose(cut(**given), before, atol=1e-4)


def test_every_input_counts(model):
    given = inputs()
    before = model(**given)
    for name, value in given.items():
        if name == "text":
            other = [-part for part in value]
        elif name == "motion_rope":
            other = RotaryTable(value.cos, -value.sin)
        else:
            other = 1 - value  # another scale alone would vanish in the image's layer norm
        assert (model(**given | {name: other}) - before).abs().max() > 1e-3, name


def test_a_patch_is_row_column_channel():
    flat = fill(MVDiTWan(SMALL))
    flat.head.head.weight.zero_()
    flat.head.head.bias.copy_(torch.arange(12.0))
    video = flat(**inputs())
    assert video.shape == (2, 3, 2, 6, 4)
    for channel in range(3):
        for y in range(6):
            for x in range(4):
                assert (video[:, channel, :, y, x] == (y % 2 * 2 + x % 2) * 3 + channel).all()


def test_places_come_from_the_given_table(model):
    given = inputs()
    assert torch.equal(model(**given, vision_rope=wan_rope(2, 3, 2, head_dim=12)), model(**given))
    later = wan_rope(5, 3, 2, head_dim=12)
    later = RotaryTable(later.cos[18:], later.sin[18:])  # frames 3 and 4
    still = {"motion": None, "motion_rope": None}
    assert torch.allclose(model(**given | still, vision_rope=later), model(**given | still), atol=2e-5)  # only distances count among pixels
    assert not torch.allclose(model(**given, vision_rope=later), model(**given), atol=1e-4)  # motion has its own time


# --- time ---


def test_time_waves_have_float64_angles():
    timestep = torch.tensor([999.123, 0.0, 3.0])
    waves = time_sinusoid(timestep, 256)
    angles = timestep.double()[:, None] * 10000.0 ** (-torch.arange(128).double() / 128)
    assert waves.dtype == torch.float32
    assert torch.equal(waves, torch.cat([angles.cos(), angles.sin()], 1).float())


def test_time_is_computed_in_float32_for_narrow_weights():
    narrow = fill(MVDiTWan(SMALL)).bfloat16()
    wide = fill(MVDiTWan(SMALL))
    wide.load_state_dict({key: value.float() for key, value in narrow.state_dict().items()})
    timestep = torch.tensor([999.0, 12.5])
    for one, other in zip(narrow.embed_time(timestep, torch.zeros(1).bfloat16()), wide.embed_time(timestep, torch.zeros(1)), strict=True):
        assert one.dtype == torch.bfloat16
        assert torch.equal(one, other.bfloat16())


def test_bfloat16_is_float32_but_for_rounding(model):
    narrow = fill(MVDiTWan(SMALL)).bfloat16()
    given, rounded = inputs(), inputs(dtype=torch.bfloat16)
    expected, got = model(**given), narrow(**rounded)
    assert got.dtype == torch.bfloat16
    assert 0 < (got.float() - expected).norm() < 0.05 * expected.norm()


# --- rotary tables ---


@pytest.mark.parametrize(("head_dim", "split"), [(128, (44, 42, 42)), (40, (16, 12, 12)), (12, (4, 4, 4))])
def test_table_equals_the_formula(head_dim, split):
    table = wan_rope(3, 4, 5, head_dim=head_dim, dtype=torch.float64)
    assert table.cos.shape == (60, head_dim)
    places = [(f, h, w) for f in range(3) for h in range(4) for w in range(5)]
    rows = [
        [complex(0, place) * 10000.0 ** (-2 * i / size) for place, size in zip(at, split, strict=True) for i in range(size // 2)]
        for at in places
    ]
    numbers = torch.tensor(rows, dtype=torch.complex128).exp()
    assert torch.allclose(table.cos[:, ::2], numbers.real, atol=1e-14)
    assert torch.allclose(table.sin[:, 1::2], numbers.imag, atol=1e-14)
    x = torch.randn(2, 3, 60, head_dim, generator=torch.Generator().manual_seed(4))
    turned = torch.view_as_real(torch.view_as_complex(x.double().unflatten(-1, (-1, 2))) * numbers).flatten(-2).float()
    assert (rotate(x, table) - turned).abs().max() < 1e-6  # a bit of the last place
    assert (rotate(x, wan_rope(3, 4, 5, head_dim=head_dim)) - turned).abs().max() < 2e-6


def test_table_has_numbers_inside_the_meta_device():
    with torch.device("meta"):
        table = wan_rope(2, 3, 2)
    assert torch.equal(table.cos, wan_rope(2, 3, 2).cos)


def test_motion_split():
    assert MVDiTWanConfig().motion_split == (44, 28, 28, 28)
    assert MVDiTWanConfig(dim=80, heads=2, motion_dim=48).motion_split == (16, 8, 8, 8)
    with pytest.raises(ValueError, match="multiple of 6"):
        _ = MVDiTWanConfig(dim=128, heads=2, motion_dim=48).motion_split


# --- the motion attention ---


def naive_motion_attention(module, x, table, motion, motion_table):
    """Head by head, slot by slot, in float64; keys placed by the sentence that describes the layout."""
    state = {name: value.double() for name, value in module.state_dict().items()}
    heads, size = module.heads, x.shape[2] // module.heads

    def linear(name, y):
        return y.double() @ state[f"{name}.weight"].T + state[f"{name}.bias"]

    def normed(name, y):
        return y / (y.square().mean(-1, keepdim=True) + 1e-6).sqrt() * state[f"{name}.weight"]

    def turned(vector, at, place):
        numbers = torch.view_as_complex(vector.unflatten(-1, (-1, 2)).contiguous())
        return torch.view_as_real(numbers * torch.complex(at.cos[place, ::2].double(), at.sin[place, ::2].double())).flatten(-2)

    queries, keys, values = normed("norm_q", linear("q", x)), normed("norm_k", linear("k", motion)), linear("v", motion)
    length, result = motion.shape[1], torch.zeros_like(queries)
    for batch in range(len(x)):
        for head in range(heads):
            band = slice(head * size, (head + 1) * size)
            rows = []
            for slot in range(length):
                token, chunk = divmod(head * length + slot, heads) if module.key_layout == "released" else (slot, head)
                rows.append(turned(keys[batch, token, chunk * size : (chunk + 1) * size], motion_table, slot))
            for place in range(x.shape[1]):
                scores = torch.stack(rows) @ turned(queries[batch, place, band], table, place) / size**0.5
                result[batch, place, band] = scores.softmax(0) @ values[batch, :, band]
    return linear("o", result)


@pytest.mark.parametrize("layout", ["released", "transposed"])
def test_motion_attention_equals_its_description(layout, generator):
    module = fill(MotionAttention(48, 4, key_layout=layout))
    x, motion = torch.randn(2, 12, 48, generator=generator), torch.randn(2, 12, 48, generator=generator)
    table = wan_rope(2, 3, 2, head_dim=12)
    got = module(x, table, module.keys_values(motion, TABLE))
    assert (got - naive_motion_attention(module, x, table, motion, TABLE)).abs().max() < 1e-5


def test_the_layouts_agree_only_where_nothing_can_be_mixed(generator):
    motion = torch.randn(1, 12, 48, generator=generator)
    for heads, equal in ((1, True), (4, False)):
        table = motion_rope(torch.zeros(6, 3), 2, split=(48 // heads - 6, 2, 2, 2))
        released, transposed = (fill(MotionAttention(48, heads, key_layout=layout)) for layout in ("released", "transposed"))
        one, other = released.keys_values(motion, table), transposed.keys_values(motion, table)
        assert torch.equal(one.values, other.values)
        assert torch.equal(one.keys, other.keys) is equal


def test_as_an_injection_it_is_what_the_block_does(generator):
    """A host that has only the stock block puts the motion in between by itself."""
    block = fill(WanBlock(48, 4, 64, motion=True))
    stock = WanBlock(48, 4, 64, motion=False)
    own = block.state_dict()
    stock.load_state_dict({key: value for key, value in own.items() if not key.startswith(("norm4", "motion_attn"))}, strict=True)
    draw = (torch.randn(2, count, 48, generator=generator) for count in (12, 6, 8, 9, 12))
    x, time, text, image, motion = draw
    table, kept = wan_rope(2, 3, 2, head_dim=12), {}
    attended = block.motion_attn.keys_values(motion, TABLE)

    def after_cross_attention(module, args, result):
        kept["x"] = kept["before"] + result
        return result + block.motion_attn(block.norm4(kept["x"]), table, attended)

    stock.norm3.register_forward_pre_hook(lambda module, args: kept.update(before=args[0]))
    stock.cross_attn.register_forward_hook(after_cross_attention)
    injected = stock(x, time, table, stock.prepare(text, image))
    assert torch.allclose(injected, block(x, time, table, block.prepare(text, image), attended), atol=1e-5)
    assert not torch.allclose(injected, block(x, time, table, block.prepare(text, image)), atol=1e-2)


# --- construction and loading ---


def test_released_size():
    with torch.device("meta"):
        full = MVDiTWan(MVDiTWanConfig())
    state = full.state_dict()
    assert sum(value.numel() for value in state.values()) == 17_443_864_384
    assert len(state) == 1423
    assert sum(value.numel() for key, value in state.items() if ".norm4." in key or ".motion_attn." in key) == 10 * 104_898_560
    assert state["patch_embedding.weight"].shape == (5120, 36, 1, 2, 2)
    assert state["blocks.36.motion_attn.norm_k.weight"].shape == (5120,)
    assert not list(full.buffers())


@pytest.mark.parametrize("builder", ["meta", "accelerate"])
def test_built_without_weights_and_filled_later(model, builder):
    empty = torch.device("meta")
    if builder == "accelerate":
        empty = pytest.importorskip("accelerate").init_empty_weights()
    with empty:
        built = MVDiTWan(SMALL)
    assert all(parameter.is_meta for parameter in built.parameters())
    built.load_state_dict(model.state_dict(), strict=True, assign=True)
    assert torch.equal(built(**inputs()), model(**inputs()))


def test_a_checkpoint_is_taken_without_a_copy(model):
    state = {key: value.clone() for key, value in model.state_dict().items()}
    loaded = MVDiTWan.from_released(state, SMALL)
    assert not loaded.training
    for key, value in loaded.state_dict().items():
        assert value.data_ptr() == state[key].data_ptr(), key
    assert torch.equal(loaded(**inputs()), model(**inputs()))
    half = MVDiTWan.from_released({key: value.bfloat16() for key, value in state.items()}, SMALL)
    assert all(parameter.dtype == torch.bfloat16 for parameter in half.parameters())


def test_layers_come_from_ops_and_the_product_from_attention(model):
    made, products = [], []

    class Ops:
        pass

    def recorded(layer):
        return staticmethod(lambda *args, **kwargs: made.append(layer) or layer(*args, **kwargs))

    for name in ("Conv3d", "LayerNorm", "Linear", "RMSNorm"):
        setattr(Ops, name, recorded(getattr(torch.nn, name)))

    def attention(q, k, v):
        products.append((q.shape, k.shape, v.shape))
        return dot_product_attention(q, k, v)

    own = MVDiTWan(SMALL, ops=Ops, attention=attention)
    layers = [
        module
        for module in own.modules()
        if any(True for _ in module.parameters(recurse=False)) and "modulation" not in dict(module.named_parameters(recurse=False))
    ]
    assert len(made) == len(layers) and layers
    own.load_state_dict(model.state_dict())
    assert torch.equal(own(**inputs()), model(**inputs()))
    assert len(products) == 6 * 3 + 2
    assert products[3] == ((2, 4, 12, 12),) * 3  # block 0: itself, text, image, motion


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            lambda state: [state.pop(key) for key in list(state) if ".k_img." in key],
            "12 missing: blocks.0.cross_attn.k_img.weight.*image-to-video",
        ),
        (lambda state: state.update({"blocks.1.norm4.weight": torch.zeros(48)}), "1 unexpected: blocks.1.norm4.weight"),
        (lambda state: state.update({"head.head.bias": torch.zeros(13)}), "head.head.bias .13,. instead of .12,."),
    ],
)
def test_a_checkpoint_that_does_not_fit_is_refused(model, change, message):
    state = dict(model.state_dict())
    change(state)
    with pytest.raises(ValueError, match=message):
        MVDiTWan.from_released(state, SMALL)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"latents": torch.zeros(2, 4, 2, 6, 4)}, "4 channels and the condition 4, expected 7 together"),
        ({"latents": torch.zeros(2, 3, 2, 6)}, "latents has shape"),
        ({"latents": torch.zeros(2, 3, 2, 5, 4), "condition": torch.zeros(2, 4, 2, 5, 4)}, "5 x 4, expected even"),
        ({"condition": torch.zeros(2, 4, 3, 6, 4)}, "condition has shape"),
        ({"condition": None}, "expected 7 together"),
        ({"timestep": torch.tensor(3.0)}, "timestep has shape"),
        ({"text": []}, "text is empty"),
        ({"text": [torch.zeros(9, 10)] * 2}, "L up to 8"),
        ({"text": [torch.zeros(4, 11)] * 2}, "use the text encoder of Wan"),
        ({"text": [torch.zeros(4, 10)] * 3}, "text has 3 rows, expected 2"),
        ({"image": None}, "text or image is missing"),
        ({"image": torch.zeros(2, 9, 13)}, "image has shape"),
        ({"motion": torch.zeros(2, 12, 31)}, "motion has shape"),
        ({"motion": torch.zeros(3, 12, 32)}, "motion has 3 rows, expected 2"),
        ({"motion": torch.zeros(2, 13, 32)}, "one row for each motion token"),
        ({"motion_rope": None}, "rotary table of the motion is none"),
        ({"context": ()}, "give one or the other"),
    ],
)
def test_bad_input_is_refused(model, change, message):
    with pytest.raises(ValueError, match=message):
        model(**inputs() | change)


def test_a_context_of_another_model_is_refused(model):
    given = inputs()
    static = {name: given.pop(name) for name in ("text", "image")}
    with pytest.raises(ValueError, match="for 5 blocks, the model has 6"):
        model(**given, context=model.prepare(**static)[:5])


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"heads": 40, "dim": 5100}, "channels, 6 or more"),
        ({"heads": 16, "dim": 48, "motion_dim": 48}, "channels, 6 or more"),
        ({"motion_dim": 5121}, "motion_dim 5121 is above dim"),
        ({"key_layout": "fixed"}, "'fixed', expected one of released, transposed"),
        ({"layers": 0}, "'layers': 0"),
        ({"freq_dim": 255}, "freq_dim is 255"),
    ],
)
def test_bad_configurations_are_refused(change, message):
    with pytest.raises(ValueError, match=message):
        MVDiTWanConfig(**change)


def test_an_unknown_key_layout_is_refused():
    with pytest.raises(ValueError, match="key_layout is 'fixed'"):
        MotionAttention(48, 4, key_layout="fixed")


# --- the backbone of diffusers ---

OUTER = (
    ("text_embedding.0", "condition_embedder.text_embedder.linear_1"),
    ("text_embedding.2", "condition_embedder.text_embedder.linear_2"),
    ("time_embedding.0", "condition_embedder.time_embedder.linear_1"),
    ("time_embedding.2", "condition_embedder.time_embedder.linear_2"),
    ("time_projection.1", "condition_embedder.time_proj"),
    ("img_emb.proj.0", "condition_embedder.image_embedder.norm1"),
    ("img_emb.proj.1", "condition_embedder.image_embedder.ff.net.0.proj"),
    ("img_emb.proj.3", "condition_embedder.image_embedder.ff.net.2"),
    ("img_emb.proj.4", "condition_embedder.image_embedder.norm2"),
    ("head.modulation", "scale_shift_table"),
    ("head.head", "proj_out"),
)
INNER = (
    ("k_img", "add_k_proj"),
    ("v_img", "add_v_proj"),
    ("norm_added_k_img", "norm_added_k"),
    ("self_attn", "attn1"),
    ("cross_attn", "attn2"),
    (".q.", ".to_q."),
    (".k.", ".to_k."),
    (".v.", ".to_v."),
    (".o.", ".to_out.0."),
    ("norm3", "norm2"),
    ("ffn.0", "ffn.net.0.proj"),
    ("ffn.2", "ffn.net.2"),
    ("modulation", "scale_shift_table"),
)


def diffusers_key(key):
    if not key.startswith("blocks."):
        for ours, theirs in OUTER:
            key = theirs + key[len(ours) :] if key.startswith(ours) else key
        return key
    key = key.replace("norm_k_img", "norm_added_k")
    for ours, theirs in INNER:
        key = key.replace(ours, theirs)
    return key


def test_without_motion_it_is_the_backbone_of_diffusers():
    """diffusers computes the time in float32 and splits the text off by its length of 512: small timesteps and full texts agree."""
    diffusers = pytest.importorskip("diffusers")
    ours = fill(MVDiTWan(dataclasses.replace(SMALL, text_len=512)))
    theirs = diffusers.WanTransformer3DModel(
        patch_size=(1, 2, 2), num_attention_heads=4, attention_head_dim=12, in_channels=7, out_channels=3, text_dim=10, freq_dim=16,
        ffn_dim=64, num_layers=6, cross_attn_norm=True, image_dim=14, added_kv_proj_dim=48, rope_max_seq_len=32,
    ).eval()  # fmt: skip
    state = {key: value for key, value in ours.state_dict().items() if ".norm4." not in key and ".motion_attn." not in key}
    theirs.load_state_dict({diffusers_key(key): value for key, value in state.items()}, strict=True)
    given = inputs() | {"motion": None, "motion_rope": None, "timestep": torch.tensor([2.0, 0.25])}
    text = torch.stack([torch.nn.functional.pad(part, (0, 0, 0, 512 - len(part))) for part in given["text"]])
    video = torch.cat([given["latents"], given["condition"]], 1)
    expected = theirs(
        hidden_states=video, timestep=given["timestep"], encoder_hidden_states=text, encoder_hidden_states_image=given["image"]
    ).sample
    assert (ours(**given) - expected).abs().max() < 5e-5
    assert expected.std() > 0.1


# --- what the reference computed ---

TINY = MVDiTWanConfig(
    dim=80,
    heads=2,
    ffn_dim=160,
    layers=6,
    in_channels=12,
    out_channels=4,
    text_dim=24,
    text_len=16,
    freq_dim=32,
    image_dim=32,
    motion_dim=48,
)


@pytest.fixture
def golden(reference):
    from safetensors.torch import load_file

    return load_file(reference("goldens", "dit_17b_tiny.safetensors"))


def weights(golden):
    return {key[3:]: value.float() for key, value in golden.items() if key.startswith("sd.")}


def golden_inputs(golden):
    return {
        "latents": golden["in.x"],
        "timestep": golden["in.t"],
        "text": [golden["in.context0"], golden["in.context1"]],
        "image": golden["in.clip_fea"],
        "condition": golden["in.y"],
        "motion": golden["in.motion"].expand(2, -1, -1),
        "motion_rope": RotaryTable(golden["in.motion_cos"], golden["in.motion_sin"]),
    }


def close(one, other):
    assert one.shape == other.shape
    assert (one - other).abs().max() < 5e-5


def test_reference_outputs(golden):
    tiny, given = MVDiTWan.from_released(weights(golden), TINY), golden_inputs(golden)
    close(tiny(**given), golden["out.cfg_batch"])
    close(tiny(**row(given, 1)), golden["out.single_row1"])
    other = {"timestep": golden["in.t2"], "motion": torch.cat([golden["in.motion"], -golden["in.motion"]])}
    close(tiny(**given | other), golden["out.t2_motion_negated_row1"])


def test_reference_outputs_through_conditions(golden, reference):
    """Text and image prepared, motion read from clips, all tables made by the model."""
    from safetensors.torch import load_file

    mean = load_file(reference("goldens", "rope.safetensors"))["in.mean"]
    tiny, given = MVDiTWan.from_released(weights(golden), TINY), golden_inputs(golden)
    static = {name: given.pop(name) for name in ("text", "image")}
    _ = given.pop("motion"), given.pop("motion_rope")
    context, tokens = tiny.prepare(**static), golden["in.motion"][0]
    clip, turned = (MotionCondition(tokens=part, positions=mean, frames=3) for part in (tokens, -tokens))
    close(tiny(**given, context=context, motion=tiny.read_motion([clip], like=golden["in.x"])), golden["out.cfg_batch"])
    other = given | {"timestep": golden["in.t2"]}
    reading = tiny.read_motion([clip, turned], like=golden["in.x"])
    close(tiny(**other, context=context, motion=reading), golden["out.t2_motion_negated_row1"])


def test_reference_intermediates(golden):
    tiny, given, seen = MVDiTWan.from_released(weights(golden), TINY), golden_inputs(golden), {}
    names = [key[4:] for key in golden if key.startswith("mid.block")]
    modules = {name: tiny.get_submodule(name.replace("block", "blocks.", 1)) for name in names}
    modules |= {name: getattr(tiny, name) for name in ("head", "img_emb", "text_embedding", "patch_embedding")}
    for name, module in modules.items():
        module.register_forward_hook(lambda module, args, result, name=name: seen.update({name: result}))
    tiny(**given)
    assert len(names) == 11
    for name in (*names, "head", "img_emb", "text_embedding"):
        close(seen[name], golden[f"mid.{name}"])
    close(seen["patch_embedding"][1:], golden["mid.patch_embedding_last_row"])
    time, projected = tiny.embed_time(golden["in.t"], golden["in.x"])
    close(time, golden["mid.time_embedding"])
    close(projected.flatten(1), golden["mid.time_projection"])


def test_reference_notices_the_key_layout_and_the_motion(golden):
    """The reference measured 14 % and 11 % (root mean square) for these two mistakes."""
    given, expected = golden_inputs(golden), golden["out.cfg_batch"]
    released = MVDiTWan.from_released(weights(golden), TINY)
    transposed = MVDiTWan.from_released(weights(golden), dataclasses.replace(TINY, key_layout="transposed"))
    still = given | {"motion": torch.zeros_like(given["motion"])}
    for wrong, share in ((transposed(**given), 0.14), (released(**still), 0.11)):
        assert float((wrong - expected).norm() / expected.norm()) == pytest.approx(share, abs=0.01)


def test_reference_block_of_the_released_head(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "wan_block_d128.safetensors"))
    block, seen = WanBlock(256, 2, 256, motion=True).eval(), {}
    block.load_state_dict(weights(golden), strict=True)
    image, text = golden["in.context"].split([257, 16], 1)
    attended = block.motion_attn.keys_values(golden["in.motion"], RotaryTable(golden["in.motion_cos"], golden["in.motion_sin"]))
    close(attended.keys, golden["mid.motion_k_scrambled_rotated"])
    for name in ("self_attn", "cross_attn", "motion_attn"):
        getattr(block, name).register_forward_hook(lambda module, args, result, name=name: seen.update({name: result}))
    close(block(golden["in.x"], golden["in.e"], wan_rope(3, 4, 6), block.prepare(text, image), attended), golden["out.x"])
    for name, result in seen.items():
        close(result, golden[f"mid.{name}"])
    assert len(seen) == 3


def test_reference_tables(reference):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "rope.safetensors"))
    for axis, band in enumerate((slice(0, 22), slice(22, 43), slice(43, 64))):
        grid = [1, 1, 1]
        grid[axis] = 64
        table = wan_rope(*grid, dtype=torch.float64)
        assert torch.allclose(table.cos[:, ::2][:, band], golden["out.wan_freqs_d128.real"][:, band], rtol=0, atol=1e-13)
        assert torch.allclose(table.sin[:, ::2][:, band], golden["out.wan_freqs_d128.imag"][:, band], rtol=0, atol=1e-13)
    x, expected = golden["in.x_wan"].transpose(1, 2), golden["out.x_wan_rot_3x4x6"].transpose(1, 2)
    assert torch.equal(rotate(x, wan_rope(3, 4, 6, dtype=torch.float64)), expected)
    assert (rotate(x, wan_rope(3, 4, 6)) - expected).abs().max() < 1e-6

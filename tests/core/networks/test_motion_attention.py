"""The injection, what is read of the motion once, and what is kept of it."""

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.networks.attention import KeysValues, dot_product_attention, mean_probabilities
from motion4d.core.networks.cogvideox_blocks import HeadNormAttention
from motion4d.core.networks.motion_attention import Kept, MotionReading, ReadsMotion, add_motion
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.mvdit_wan import MVDiTWan, MVDiTWanConfig
from motion4d.core.networks.rope import RotaryTable, motion_rope, vision_rope
from motion4d.core.networks.wan_blocks import MotionAttention, wan_rope
from torch import nn

JOINTS, FRAMES = 5, 2
COG = MVDiTCogVideoXConfig(
    heads=2, head_dim=64, in_channels=6, out_channels=3, layers=3, time_dim=12, text_dim=5, motion_slots=JOINTS * FRAMES
)  # fmt: skip
WAN = MVDiTWanConfig(
    dim=80, heads=2, ffn_dim=64, layers=6, in_channels=7, out_channels=3, text_dim=10, text_len=8, freq_dim=16, image_dim=14, motion_dim=48
)
WIDTH = {"7b": 128, "17b": 48}
BLOCKS = {"7b": (0, 1, 2), "17b": (0, 4)}


@pytest.fixture(autouse=True)
def without_gradients():
    with torch.no_grad():
        yield


def fill(module, seed=0):
    """Numbers everywhere."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in module.named_parameters():
            noise = torch.randn(parameter.shape, generator=generator)
            if parameter.ndim == 1:
                parameter.copy_(noise * 0.1 + float("norm" in name))
            else:
                parameter.copy_(noise * parameter[0].numel() ** -0.5)
    return module.eval()


MODELS = {"7b": fill(MVDiTCogVideoX(COG)), "17b": fill(MVDiTWan(WAN))}
POSITIONS = torch.randn(JOINTS, 3, generator=torch.Generator().manual_seed(9)) * 300


def clip(kind, seed, frames=FRAMES):
    """A motion for a model."""
    tokens = torch.randn(frames * JOINTS, WIDTH[kind], generator=torch.Generator().manual_seed(seed))
    return MotionCondition(tokens=tokens, positions=POSITIONS, frames=frames)


@pytest.fixture(params=["7b", "17b"])
def kind(request):
    return request.param


@pytest.fixture
def run(kind):
    """Run the model of `kind` on a seeded batch with a reading or tokens."""
    generator = torch.Generator().manual_seed(1)

    def draw(*shape):
        return torch.randn(*shape, generator=generator)

    if kind == "7b":
        latents = draw(2, FRAMES, 6, 4, 6)
        given = {"latents": latents, "timestep": torch.tensor([981, 19])}
    else:
        latents = draw(2, 3, FRAMES, 4, 6)
        given = {"latents": latents, "timestep": torch.tensor([981.0, 19.0]), "text": [draw(5, 10), draw(8, 10)]}
        given |= {"image": draw(2, 9, 14), "condition": draw(2, 4, FRAMES, 4, 6)}
    return lambda motion, model=None, **options: (model or MODELS[kind])(**given, motion=motion, **options)


LIKE = torch.zeros(1)


# --- one motion for each row ---


def test_a_reading_is_what_the_tokens_are(kind, run):
    model, one, other = MODELS[kind], clip(kind, 3), clip(kind, 4)
    split = (16, 16, 16, 16) if kind == "7b" else WAN.motion_split
    table = motion_rope(POSITIONS, FRAMES, split=split)
    expected = run(torch.stack([one.tokens, other.tokens]), motion_rope=table)
    assert torch.allclose(run(model.read_motion([one, other], like=LIKE)), expected, atol=2e-5)
    assert not torch.allclose(run(model.read_motion([other, one], like=LIKE)), expected, atol=1e-3)
    same = run(model.read_motion([one, one], like=LIKE))
    assert torch.allclose(same, run(one.tokens.expand(2, -1, -1), motion_rope=table), atol=2e-5)
    assert torch.equal(same, run(model.read_motion([one], like=LIKE)))


def test_the_same_motion_is_read_in_one_row(kind):
    model, one, other = MODELS[kind], clip(kind, 3), clip(kind, 4)
    assert len(model.read_motion([one] * 4, like=LIKE).of(0).keys) == 1
    mixed = model.read_motion([one, other, one], like=LIKE)
    assert len(mixed.distinct) == 2 and mixed.order == (0, 1, 0) and mixed.rows is None
    assert torch.equal(mixed.of(0).keys[0], mixed.of(0).keys[2])
    assert not torch.equal(mixed.of(0).values[0], mixed.of(0).values[1])
    assert [number for number in range(8) if mixed.of(number) is not None] == list(BLOCKS[kind])


def test_without_motion_7b_reads_its_learned_tokens(run, kind):
    if kind == "7b":
        still = clip(kind, 3).without_motion()
        learned = MODELS[kind].unconditional_motion_token
        table = motion_rope(POSITIONS, FRAMES)
        expected = run(torch.stack([learned, clip(kind, 4).tokens]), motion_rope=table)
        assert torch.allclose(run(MODELS[kind].read_motion([still, clip(kind, 4)], like=LIKE)), expected, atol=2e-5)
    else:
        moving = clip(kind, 4)
        mixed = MODELS[kind].read_motion([moving.without_motion(), moving], like=LIKE)
        assert mixed.rows == (1,)
        got = run(mixed)
        assert torch.equal(got[0], run(None)[0])  # the backbone
        assert torch.allclose(got[1], run(MODELS[kind].read_motion([moving], like=LIKE))[1], atol=2e-5)
        assert not torch.allclose(got[1], run(None)[1], atol=1e-3)
        assert torch.equal(run(MODELS[kind].read_motion([moving.without_motion()], like=LIKE)), run(None))


def test_the_learned_motion_has_one_length():
    still = clip("7b", 3, frames=4).without_motion()
    with pytest.raises(ValueError, match=r"for 2 latent frames of 5 joints, this video has 4: .*cfg 1.* windows of 2"):
        MODELS["7b"].read_motion([still], like=LIKE)
    assert MODELS["7b"].read_motion([still], like=LIKE, window=(1, 2)).frames == 2


def test_a_window_is_the_clip_of_its_frames(kind, run):
    long = clip(kind, 3, frames=5)
    cut = MotionCondition(tokens=long.tokens.view(5, JOINTS, -1)[[3, 1]].flatten(0, 1), positions=POSITIONS, frames=2)
    for window in ((3, 1), torch.tensor([3, 1])):
        assert torch.equal(run(MODELS[kind].read_motion([long], like=LIKE, window=window)), run(MODELS[kind].read_motion([cut], like=LIKE)))


# --- tables ---


def test_tables_are_rounded_at_7b_and_not_at_17b():
    half = torch.zeros(1, dtype=torch.bfloat16)
    cog, wan = MODELS["7b"], MODELS["17b"]
    table = cog.read_vision((2, 2, 3), like=half)
    assert torch.equal(table.cos, vision_rope(2, 2, 3).cos.bfloat16())
    assert torch.equal(wan.read_vision((2, 2, 3), like=half).cos, wan_rope(2, 2, 3, head_dim=40).cos)
    for kind, split, dtype in (("7b", (16, 16, 16, 16), torch.bfloat16), ("17b", WAN.motion_split, torch.float32)):
        model, motion = fill(type(MODELS[kind])(MODELS[kind].config)).bfloat16(), clip(kind, 3)
        tokens = motion.tokens[None].bfloat16()
        table = motion_rope(POSITIONS, FRAMES, split=split).to(dtype)
        if kind == "7b":
            expected = model.transformer_blocks[0].attn0.keys_values(tokens, table)
        else:
            expected = model.blocks[0].motion_attn.keys_values(nn.functional.pad(tokens, (0, 32)), table)
        got = model.read_motion([motion], like=half).of(0)
        assert torch.equal(got.keys, expected.keys) and torch.equal(got.values, expected.values)
        assert got.keys.dtype == torch.bfloat16


def test_the_vision_table_is_made_where_none_is_given(kind, run):
    reading = MODELS[kind].read_motion([clip(kind, 3)], like=LIKE)
    table = MODELS[kind].read_vision((FRAMES, 2, 3), like=LIKE)
    assert torch.equal(run(reading), run(reading, vision_rope=table))
    assert not torch.allclose(run(reading), run(reading, vision_rope=RotaryTable(table.cos, -table.sin)), atol=1e-4)


def test_other_heads_need_tables_from_outside():
    other = MVDiTCogVideoX(MVDiTCogVideoXConfig(heads=8, head_dim=16, layers=1, time_dim=4, text_dim=4, motion_slots=10))
    with pytest.raises(ValueError, match="heads of 16 channels"):
        other.read_motion([clip("7b", 3)], like=LIKE)
    with pytest.raises(ValueError, match="pass the tables"):
        other.read_vision((2, 2, 3), like=LIKE)


# --- what is kept ---


def layers_of_motion(kind):
    model = MODELS[kind]
    attentions = [block.attn0 for block in model.transformer_blocks] if kind == "7b" else [model.blocks[n].motion_attn for n in (0, 4)]
    return [layer for one in attentions for layer in ((one.to_k, one.to_v) if kind == "7b" else (one.k, one.v))]


def test_what_is_kept_is_read_once_and_changes_nothing(kind, run):
    model, calls, kept = MODELS[kind], [], Kept()
    hooks = [layer.register_forward_hook(lambda *_: calls.append(1)) for layer in layers_of_motion(kind)]
    one, other = clip(kind, 3), clip(kind, 4)
    first = run(model.read_motion([one, other], like=LIKE, kept=kept))
    assert len(calls) == 2 * len(hooks) and len(kept) == 2
    calls.clear()
    again = run(model.read_motion([one, other], like=LIKE, kept=kept, window=range(FRAMES)))
    model.read_motion([other], like=LIKE, kept=kept)
    model.read_motion([other, one, other], like=LIKE, kept=kept)
    assert not calls
    assert torch.equal(first, again) and torch.equal(first, run(model.read_motion([one, other], like=LIKE)))
    for changed in ({"window": (1,)}, {"weights": 1}):
        calls.clear()
        model.read_motion([one], **{"like": LIKE, "kept": kept} | changed)
        assert len(calls) == len(hooks), changed
    for hook in hooks:
        hook.remove()


def test_a_changed_weight_is_seen_by_its_key(kind, run):
    model, kept, motion = fill(type(MODELS[kind])(MODELS[kind].config)), Kept(), clip(kind, 3)
    before = run(model.read_motion([motion], like=LIKE, kept=kept, weights="a"), model)
    attention = model.transformer_blocks[0].attn0.to_v if kind == "7b" else model.blocks[0].motion_attn.v
    attention.weight.mul_(3)
    assert torch.equal(run(model.read_motion([motion], like=LIKE, kept=kept, weights="a"), model), before)
    after = run(model.read_motion([motion], like=LIKE, kept=kept, weights="b"), model)
    assert torch.equal(after, run(model.read_motion([motion], like=LIKE), model))
    assert (after - before).abs().max() > 1e-3


def test_models_share_what_is_kept_without_mixing(kind):
    other, kept, motion = fill(type(MODELS[kind])(MODELS[kind].config), seed=5), Kept(), clip(kind, 3)
    one, two = (model.read_motion([motion], like=LIKE, kept=kept).of(0) for model in (MODELS[kind], other))
    assert not torch.equal(one.values, two.values) and len(kept) == 2


def test_another_dtype_is_read_anew(kind):
    model, kept, motion = fill(type(MODELS[kind])(MODELS[kind].config)), Kept(), clip(kind, 3)
    for dtype in (torch.float32, torch.float64, torch.bfloat16):
        reading = model.to(dtype).read_motion([motion], like=torch.zeros(1, dtype=dtype), kept=kept)
        assert reading.of(0).keys.dtype == reading.of(0).values.dtype == dtype
    assert len(kept) == 3


def test_windows_without_motion_are_kept_once():
    kept, still = Kept(), clip("7b", 3, frames=4).without_motion()
    for start in range(3):
        MODELS["7b"].read_motion([still], like=LIKE, kept=kept, window=(start, start + 1))
    assert len(kept) == 1


def test_a_full_memory_still_gives_right_results(kind, run):
    model, motions = MODELS[kind], [clip(kind, 3), clip(kind, 4)]
    free = Kept()
    model.read_motion(motions[:1], like=LIKE, kept=free)
    expected = free.bytes
    attended = model.read_motion(motions[:1], like=LIKE).distinct[0]
    assert expected == sum(4 * (part.keys.numel() + part.values.numel()) for part in attended.values())
    small = Kept(limit_bytes=expected)
    for _ in range(2):
        assert torch.equal(run(model.read_motion(motions, like=LIKE, kept=small)), run(model.read_motion(motions, like=LIKE)))
    assert len(small) == 1 and small.bytes == expected
    small.clear()
    assert len(small) == 0 and small.bytes == 0
    model.read_motion(motions[1:], like=LIKE, kept=small)
    assert len(small) == 1


def test_keeping_makes_once_and_counts_bytes():
    kept, made = Kept(limit_bytes=1000), []

    def make(size):
        made.append(size)
        return {"a": [torch.zeros(size)], "b": (KeysValues(torch.zeros(1), torch.zeros(1)), None)}

    assert kept.keep("x", lambda: make(10)) is kept.keep("x", lambda: make(99))
    assert made == [10] and kept.bytes == 48
    assert kept.keep("large", lambda: make(300)) is not kept.keep("large", lambda: make(300))
    assert made == [10, 300, 300] and kept.bytes == 48


# --- strength ---


def test_without_strength_it_is_the_backbone(kind, run):
    model = MODELS[kind]
    silent = run(model.read_motion([clip(kind, 3)], like=LIKE), strength=0)
    if kind == "17b":
        assert torch.equal(silent, run(None))
    zeroed = fill(type(model)(model.config))
    for attention in [b.attn0 for b in zeroed.transformer_blocks] if kind == "7b" else [zeroed.blocks[n].motion_attn for n in (0, 4)]:
        for parameter in (attention.to_out if kind == "7b" else attention.o).parameters():
            parameter.zero_()
    assert torch.equal(silent, run(zeroed.read_motion([clip(kind, 3)], like=LIKE), zeroed))
    assert (silent - run(model.read_motion([clip(kind, 3)], like=LIKE))).abs().max() > 1e-2


def attentions():
    cog = fill(HeadNormAttention(4, 12, nn, dot_product_attention))
    return {"7b": (cog, None), "17b": (fill(MotionAttention(48, 4)), fill(nn.LayerNorm(48)))}


def parts(generator):
    """x (3, 12, 48), its table, motion keys and values of 3 rows by each attention."""
    x, motion = torch.randn(3, 12, 48, generator=generator), torch.randn(3, 10, 48, generator=generator)
    table = motion_rope(POSITIONS, FRAMES, split=(6, 2, 2, 2))
    return x, wan_rope(2, 3, 2, head_dim=12), motion, table


def test_strength_scales_what_is_added(kind, generator):
    attention, norm = attentions()[kind]
    x, vision, motion, table = parts(generator)
    attended = attention.keys_values(motion, table)
    asking = x if norm is None else norm(x)
    added = attention(asking, vision, attended)
    assert torch.equal(add_motion(x, attention, vision, attended, norm=norm), x + added)
    assert torch.equal(add_motion(x, attention, vision, attended, norm=norm, strength=0), x)
    for strength in (-1.0, 0.25, 2.0):
        got = add_motion(x, attention, vision, attended, norm=norm, strength=strength)
        assert torch.allclose(got, x + strength * added, atol=1e-6)


def test_rows_without_motion_stay_as_they_are(kind, generator):
    attention, norm = attentions()[kind]
    x, vision, motion, table = parts(generator)
    whole = add_motion(x, attention, vision, attention.keys_values(motion, table), norm=norm, strength=0.5)
    before = x.clone()
    some = attention.keys_values(motion[[0, 2]], table)
    got = add_motion(x, attention, vision, some, norm=norm, rows=(0, 2), strength=0.5)
    assert torch.equal(x, before) and torch.equal(got[1], x[1])
    assert torch.allclose(got[[0, 2]], whole[[0, 2]], atol=1e-6)
    assert add_motion(x, attention, vision, some, norm=norm, rows=()) is x
    assert add_motion(x, attention, vision, None, norm=norm) is x


# --- observation ---


def test_probabilities_equal_a_naive_softmax(generator):
    q, k = torch.randn(2, 3, 7, 8, generator=generator), torch.randn(2, 3, 5, 8, generator=generator)
    got = mean_probabilities(q, k)
    for batch in range(2):
        for place in range(7):
            expected = torch.zeros(5, dtype=torch.float64)
            for head in range(3):
                weights = [(q[batch, head, place].double() @ k[batch, head, slot].double() / 8**0.5).exp() for slot in range(5)]
                expected += torch.stack(weights) / sum(weights) / 3
            assert torch.allclose(got[batch, place].double(), expected, atol=1e-6)
    assert torch.allclose(mean_probabilities(q, k[:1]), mean_probabilities(q, k[:1].expand(2, -1, -1, -1)), atol=1e-7)


def test_what_is_observed_is_what_weighs_the_values(kind, generator):
    """With the mean of one head, probabilities times values are what the product gives."""
    attention = fill(HeadNormAttention(1, 12, nn, dot_product_attention)) if kind == "7b" else fill(MotionAttention(12, 1))
    norm = None if kind == "7b" else fill(nn.LayerNorm(12))
    x, motion = torch.randn(2, 12, 12, generator=generator), torch.randn(2, 10, 12, generator=generator)
    vision, table, seen = wan_rope(2, 3, 2, head_dim=12), motion_rope(POSITIONS, FRAMES, split=(6, 2, 2, 2)), []
    attended = attention.keys_values(motion, table)
    got = add_motion(x, attention, vision, attended, norm=norm, observe=seen.append)
    out = attention.to_out[0] if kind == "7b" else attention.o
    assert seen[0].shape == (2, 12, 10)
    assert torch.allclose(seen[0].sum(-1), torch.ones(2, 12), atol=1e-6)
    assert torch.allclose(x + out(seen[0] @ attended.values[:, 0]), got, atol=1e-5)


def test_every_block_with_motion_is_observed(kind, run):
    seen, model = {}, MODELS[kind]
    reading = model.read_motion([clip(kind, 3), clip(kind, 4)], like=LIKE)
    observed = run(reading, observe=seen.__setitem__)
    assert torch.equal(observed, run(reading))
    assert tuple(seen) == BLOCKS[kind]
    for probabilities in seen.values():
        assert probabilities.shape == (2, FRAMES * 2 * 3, FRAMES * JOINTS)
        assert torch.allclose(probabilities.sum(-1), torch.ones(2, 12), atol=1e-5)
        assert probabilities.min() >= 0
    silent = {}
    assert torch.equal(run(reading, observe=silent.__setitem__, strength=0), run(reading, strength=0))
    assert tuple(silent) == BLOCKS[kind]


# --- bad input ---


def test_bad_motions_are_refused(kind):
    model, one = MODELS[kind], clip(kind, 3)
    narrow = MotionCondition(tokens=torch.zeros(10, 24), positions=POSITIONS, frames=2)
    with pytest.raises(ValueError, match=f"tokens have 24 channels, this model expects {WIDTH[kind]}: use the tokenizer"):
        model.read_motion([one, narrow], like=LIKE)
    with pytest.raises(ValueError, match="2 x 5, 3 x 5 latent frames and joints"):
        model.read_motion([one, clip(kind, 3, frames=3)], like=LIKE)
    with pytest.raises(ValueError, match="batch of motions is empty"):
        model.read_motion([], like=LIKE)
    with pytest.raises(ValueError, match=r"window .* of 2 latent frames"):
        model.read_motion([one], like=LIKE, window=(1, 2))


def test_a_reading_must_fit_the_video(kind, run):
    model = MODELS[kind]
    with pytest.raises(ValueError, match="3 latent frames, the video 2: trim or pad"):
        run(model.read_motion([clip(kind, 3, frames=3)], like=LIKE))
    with pytest.raises(ValueError, match="batch of 3, the latents of 2"):
        run(model.read_motion([clip(kind, 3)] * 3, like=LIKE))


def test_a_reading_of_no_motion_at_all(kind):
    reader = ReadsMotion(WIDTH[kind])
    reader.read_clip = lambda row, like: None
    reading = reader.read_motion([clip(kind, 3)] * 2, like=LIKE)
    assert isinstance(reading, MotionReading) and reading.rows == () and reading.of(0) is None

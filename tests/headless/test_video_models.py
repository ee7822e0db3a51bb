"""Loading, changing and sampling video models without ComfyUI, on small random checkpoints."""

import gc
import os
from dataclasses import replace

import pytest
import torch
from motion4d.core.conditions import MotionCondition, Strength, VideoCondition, known_mask
from motion4d.core.networks.attention import KeysValues
from motion4d.core.networks.rope import motion_rope, vision_rope
from motion4d.core.networks.wan_blocks import wan_rope
from motion4d.core.sampling.guidance import Guidance
from motion4d.core.sampling.latents import LATENT_SCALES
from motion4d.core.sampling.noise import starting_noise, step_generator
from motion4d.core.sampling.recipes import RECIPES
from motion4d.core.sampling.run import run_recipe
from motion4d.core.sampling.windows import plan_windows
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint, tiny_metadata
from motion4d.headless.devices import lent
from motion4d.headless.side_models import ImageTokens
from safetensors.torch import save_file

CLOSE = {"atol": 1e-5, "rtol": 1e-5}
GUIDED = {"atol": 5e-5, "rtol": 5e-5}  # guidance by 6 multiplies the rounding of a batch of two
SIZE = (4, 4)  # of the latents
SPECS = {"mvdit_7b": "mvdit_7b", "mvdit_17b": "mvdit_17b", "plain": "wan_i2v_14b"}


@pytest.fixture(scope="module")
def checkpoints(tmp_path_factory):
    """checkpoints(spec) -> the path of a small checkpoint, written once."""
    folder = tmp_path_factory.mktemp("checkpoints")

    def write(name):
        path = folder / f"{name}.safetensors"
        if not path.exists():
            spec = load_spec(name)
            save_file({key: value.contiguous() for key, value in tiny_checkpoint(spec).items()}, path, tiny_metadata(spec))
        return path

    return write


@pytest.fixture
def load(host, checkpoints):
    """load("mvdit_7b" | "mvdit_17b" | "plain") -> MODEL."""
    return lambda name, precision="as stored": host.load_video_model(checkpoints(SPECS[name]), precision=precision)


def motion(frames, *, seed=1):
    tokens = torch.randn(frames * 24, 64, generator=torch.Generator().manual_seed(seed))
    return MotionCondition(tokens=tokens, positions=load_spec("4dmot").statistics["mean_mm"], frames=frames)


def conditioning(host, kind, frames, *, seed=1, known=1, **changes):
    """CONDITIONING with random pictures, and for 17B text and image."""
    generator = torch.Generator().manual_seed(7)
    reference = torch.randn(16, frames, *SIZE, generator=generator)
    condition = VideoCondition(motion=motion(frames, seed=seed), reference=reference, known=0 if kind == "mvdit_7b" else known, **changes)
    if kind == "mvdit_7b":
        return host.condition(None, condition)
    text = torch.randn(1, 5 + seed, 4096, generator=generator)
    image = ImageTokens(torch.randn(1, 257, 1280, generator=generator))
    return host.condition([[text, {"other": 1}]], condition, image=image)


def without_motion(host, given):
    condition = host.condition_of(given)
    return [[text, values | {"motion4d": condition.without_motion()}] for text, values in given]


def latents(frames, batch=1):
    return torch.zeros(batch, 16, frames, *SIZE)


def recipe(name, steps=4):
    return RECIPES[name].with_steps(steps)


def count_rows(module):
    """The sizes of the batches that go through a model, as they come."""
    rows = []
    module.register_forward_pre_hook(lambda _, args: rows.append(len(args[0])))
    return rows


@torch.no_grad()
def by_hand_7b(model, positive, noise, chosen, guidance, *, windows=None, seed=0, strength=1.0):
    """The recipe over the bare network: one branch and one row at a time, tables and tokens made anew."""
    network, scale = model.module, LATENT_SCALES["mvdit_7b"]

    def predict(x, timestep, branch, window):
        given = positive if window is None else positive.window(window.frames.tolist())
        tokens = given.motion.tokens if branch == "positive" else network.unconditional_motion_token
        places = motion_rope(given.motion.positions, given.motion.frames)
        grid = vision_rope(x.shape[2], x.shape[3] // 2, x.shape[4] // 2)
        rows = [
            network(
                torch.cat([row, given.reference])[None].transpose(1, 2), timestep[None], tokens[None], grid, places, strength=strength
            ).transpose(1, 2)
            for row in x
        ]
        return torch.cat(rows)

    return scale.from_model(run_recipe(chosen, noise, predict, guidance=guidance, generator=step_generator(seed), windows=windows))


@torch.no_grad()
def by_hand_17b(model, branches, noise, chosen, guidance, *, seed=0, pinned=None):
    """branches: {"positive": conditioning, ...}; motion where its condition has some."""
    network, scale = model.module, LATENT_SCALES["mvdit_17b"]

    def predict(x, timestep, branch, window):
        ((text, values),) = branches[branch]
        condition = values["motion4d"]
        given = torch.cat([known_mask(condition), scale.to_model(condition.reference)])
        places = motion_rope(condition.motion.positions, condition.motion.frames, split=network.config.motion_split)
        moved = condition.motion.tokens
        image = values["clip_vision_output"].penultimate_hidden_states
        rows = [
            network(
                row[None],
                timestep[None],
                [text[0]],
                image,
                given[None],
                None if moved is None else moved[None],
                None if moved is None else places,
                vision_rope=wan_rope(x.shape[2], x.shape[3] // 2, x.shape[4] // 2),
            )
            for row in x
        ]
        return torch.cat(rows)

    return scale.from_model(run_recipe(chosen, noise, predict, guidance=guidance, generator=step_generator(seed), pinned=pinned))


# --- exactly what the recipe over the bare network gives ---


@pytest.mark.parametrize("name", ["7B DDIM", "7B DPM"])
def test_7b_is_the_recipe_over_the_bare_network(host, load, name):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    guidance = Guidance(scale=3.0)
    guider = host.guider(model, positive, without_motion(host, positive), guidance)
    result = host.sample(guider, latents(13), recipe(name), seed=5)
    expected = by_hand_7b(model, host.condition_of(positive), starting_noise((1, 16, 13, *SIZE), 5), recipe(name), guidance, seed=5)
    torch.testing.assert_close(result, expected, **CLOSE)
    assert result.dtype == torch.float32 and not result.requires_grad


def test_7b_in_windows_is_the_recipe_over_the_windows(host, load):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 19)
    guidance, plan = Guidance(scale=2.0), plan_windows(19, 13, 4)
    guider = host.guider(model, positive, without_motion(host, positive), guidance)
    result = host.sample(guider, latents(19), recipe("7B DDIM", 2), seed=5, windows=plan)
    noise = starting_noise((1, 16, 19, *SIZE), 5)
    expected = by_hand_7b(model, host.condition_of(positive), noise, recipe("7B DDIM", 2), guidance, windows=plan)
    torch.testing.assert_close(result, expected, **CLOSE)


@pytest.mark.parametrize("scale", [1.0, 6.0])
def test_17b_is_the_recipe_over_the_bare_network(host, load, scale):
    model, guidance = load("mvdit_17b"), Guidance(scale=scale)
    positive, negative = (conditioning(host, "mvdit_17b", 5, seed=seed) for seed in (1, 2))
    guider = host.guider(model, positive, negative, guidance)
    result = host.sample(guider, latents(5), recipe("17B"), seed=5)
    branches = {"positive": positive, "negative": negative}
    expected = by_hand_17b(model, branches, starting_noise((1, 16, 5, *SIZE), 5), recipe("17B"), guidance)
    torch.testing.assert_close(result, expected, **GUIDED)


def test_17b_keeps_the_frames_of_the_clip_before(host, load):
    model = load("mvdit_17b")
    positive = conditioning(host, "mvdit_17b", 5, known=2, pinned=True)
    result = host.sample(host.guider(model, positive, None, Guidance()), latents(5), recipe("17B distilled"), seed=5)
    reference = host.condition_of(positive).reference
    torch.testing.assert_close(result[0, :, :2], reference[:, :2], **CLOSE)
    pinned = LATENT_SCALES["mvdit_17b"].to_model(reference[:, :2])
    noise = starting_noise((1, 16, 5, *SIZE), 5)
    expected = by_hand_17b(model, {"positive": positive}, noise, recipe("17B distilled"), Guidance(), seed=5, pinned=pinned)
    torch.testing.assert_close(result, expected, **CLOSE)


def test_guidance_by_motion_pushes_away_from_the_same_without_motion(host, load):
    model, positive = load("mvdit_17b"), conditioning(host, "mvdit_17b", 5)
    guidance = Guidance(motion=2.5)
    result = host.sample(host.guider(model, positive, None, guidance), latents(5), recipe("17B"), seed=5)
    branches = {"positive": positive, "still": without_motion(host, positive)}
    expected = by_hand_17b(model, branches, starting_noise((1, 16, 5, *SIZE), 5), recipe("17B"), guidance)
    torch.testing.assert_close(result, expected, **CLOSE)


# --- which passes are made ---


@pytest.mark.parametrize(("guidance", "expected"), [
    (Guidance(scale=0.0), [1] * 4),
    (Guidance(scale=1.0), [1] * 4),
    (Guidance(scale=3.0), [2] * 4),
    (Guidance(scale=3.0, motion=2.0), [3] * 4),
    (Guidance(scale=3.0, end=0.5), [2, 2, 1, 1]),
])  # fmt: skip
def test_a_step_is_one_pass_over_the_branches_it_needs(host, load, guidance, expected):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    rows = count_rows(model.module)
    host.sample(host.guider(model, positive, without_motion(host, positive), guidance), latents(13), recipe("7B DDIM"), seed=5)
    assert rows == expected


def test_a_batch_is_its_rows_one_by_one(host, load):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    guidance = Guidance(scale=3.0)
    rows = count_rows(model.module)
    guider = host.guider(model, positive, without_motion(host, positive), guidance)
    result = host.sample(guider, latents(13, batch=2), recipe("7B DDIM"), seed=5)
    assert rows == [4] * 4
    noise = starting_noise((2, 16, 13, *SIZE), 5)
    for number in range(2):
        alone = by_hand_7b(model, host.condition_of(positive), noise[number : number + 1], recipe("7B DDIM"), guidance)
        torch.testing.assert_close(result[number], alone[0], **CLOSE)


def test_motion_is_read_once_for_a_run(host, load):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    reads = []
    model.module.transformer_blocks[1].attn0.to_k.register_forward_hook(lambda *_: reads.append(1))
    host.sample(host.guider(model, positive, without_motion(host, positive), Guidance(scale=3.0)), latents(13), recipe("7B DDIM"), seed=5)
    assert len(reads) == 2


# --- motion ---


@pytest.mark.parametrize(("kind", "frames"), [("mvdit_7b", 13), ("mvdit_17b", 5)])
def test_another_motion_makes_another_video_and_strength_0_none(host, load, kind, frames):
    model = load(kind)
    steps = recipe("7B DDIM" if kind == "mvdit_7b" else "17B")

    def video(model, given):
        return host.sample(host.guider(model, given, None, Guidance()), latents(frames), steps, seed=5)

    one, other = conditioning(host, kind, frames), conditioning(host, kind, frames)
    other = [[text, values | {"motion4d": replace(host.condition_of(one), motion=motion(frames, seed=9))}] for text, values in one]
    assert (video(model, one) - video(model, other)).abs().max() > 1e-3
    still = host.apply_motion(model, None, Strength(0.0))
    assert torch.equal(video(still, one), video(still, other))
    assert torch.equal(video(still, one), video(still, without_motion(host, one)))
    early = host.apply_motion(model, None, Strength(1.0, 0.0, 0.3))
    assert (video(early, one) - video(still, one)).abs().max() > 1e-4
    assert (video(early, one) - video(model, one)).abs().max() > 1e-4
    assert torch.equal(video(model, one), video(host.apply_motion(model, None, Strength()), one))


def test_an_adapter_on_a_plain_model_is_the_whole_model(host, load, checkpoints):
    plain, whole = load("plain"), load("mvdit_17b")
    positive = conditioning(host, "mvdit_17b", 5)
    steps = recipe("17B distilled", 2)
    for name in ("mvdit_17b_adapter", "mvdit_17b"):
        adapter = host.load_motion_adapter(checkpoints(name))
        joined = host.apply_motion(plain, adapter, Strength())
        assert host.video_model(joined) == host.video_model(whole)
        results = [host.sample(host.guider(model, positive, None, Guidance()), latents(5), steps, seed=5) for model in (joined, whole)]
        torch.testing.assert_close(*results, **CLOSE)
    # The plain model is as it was, and shares its memory with the joined one.
    assert host.video_model(plain).motion_width is None and not any("motion_attn" in key for key in plain.module.state_dict())
    assert plain.module.head.head.weight.data_ptr() == joined.module.head.head.weight.data_ptr()
    off = host.apply_motion(plain, adapter, Strength(0.0))
    bare = without_motion(host, positive)
    results = [
        host.sample(host.guider(model, given, None, Guidance()), latents(5), steps, seed=5)
        for model, given in ((off, positive), (plain, bare))
    ]
    assert torch.equal(*results)


# --- weights ---


def lora_for(model, layer, *, seed=3):
    wide, narrow = model.module.get_submodule(layer).weight.shape
    generator = torch.Generator().manual_seed(seed)
    return {
        f"diffusion_model.{layer}.lora_down.weight": torch.randn(2, narrow, generator=generator) / 8,
        f"diffusion_model.{layer}.lora_up.weight": torch.randn(wide, 2, generator=generator) / 8,
    }


def test_a_lora_is_seen_by_the_next_run_and_leaves_the_model_alone(host, load):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    layer = "transformer_blocks.0.attn0.to_k"  # its keys are kept over the steps
    state = lora_for(model, layer)

    def video(model):
        return host.sample(host.guider(model, positive, None, Guidance()), latents(13), recipe("7B DDIM", 2), seed=5)

    before, weight = video(model), model.module.get_submodule(layer).weight.clone()
    first, second = (video(model.with_lora(state, strength)) for strength in (0.5, 1.0))
    assert torch.equal(video(model), before) and torch.equal(model.module.get_submodule(layer).weight, weight)
    assert (first - before).abs().max() > 1e-5 and (second - first).abs().max() > 1e-5
    twice = model.with_lora(state, 0.5).with_lora(state, 0.5)
    torch.testing.assert_close(video(twice), second, **CLOSE)
    down, up = state.values()
    expected = weight + 0.5 * up @ down
    torch.testing.assert_close(model.with_lora(state, 0.5).module.get_submodule(layer).weight, expected)
    # Only what it changes is new.
    other = "transformer_blocks.1.ff.net.2"
    merged = model.with_lora(state, 1.0).module
    assert merged.get_submodule(other).weight.data_ptr() == model.module.get_submodule(other).weight.data_ptr()


def test_a_lora_of_another_model_is_refused(host, load):
    with pytest.raises(ValueError, match="LoRA of this model"):
        load("mvdit_17b").with_lora(lora_for(load("mvdit_7b"), "transformer_blocks.0.attn0.to_k"), 1.0)


@pytest.mark.parametrize(("precision", "tolerance"), [("bfloat16", 0.05), ("fp8 scaled", 0.2)])
@pytest.mark.parametrize(("kind", "frames"), [("mvdit_7b", 13), ("mvdit_17b", 5)])
def test_smaller_weights_give_nearly_the_same(host, load, kind, frames, precision, tolerance):
    positive = conditioning(host, kind, frames)
    results = []
    for model in (load(kind), load(kind, precision)):
        guider = host.guider(model, positive, without_motion(host, positive), Guidance(scale=1.5))
        results.append(host.sample(guider, latents(frames), recipe("7B DDIM" if kind == "mvdit_7b" else "17B", 2), seed=5))
    exact, small = results
    assert 0 < float((small - exact).std() / exact.std()) < tolerance


# --- what is left behind ---


def alive():
    """Every pair of keys and values in memory."""
    gc.collect()
    return [one for one in gc.get_objects() if type(one) is KeysValues]


class Interrupted(Exception):
    pass


class Bar:
    """Interrupts after a number of steps."""

    def __init__(self, steps):
        self.left = steps

    def advance(self, steps=1):
        self.left -= steps
        if self.left <= 0:
            raise Interrupted


@pytest.mark.parametrize("ending", ["done", "interrupted"])
def test_nothing_that_was_kept_outlives_a_run(host, load, monkeypatch, ending):
    model, positive = load("mvdit_17b", "fp8 scaled"), conditioning(host, "mvdit_17b", 5)
    before = [(name, id(tensor), tensor.dtype) for name, tensor in model.module.named_parameters()]
    assert {dtype for _, _, dtype in before} == {torch.bfloat16, torch.float8_e4m3fn}
    guider = host.guider(model, positive, None, Guidance())
    known = {id(one) for one in alive()}
    if ending == "done":
        host.sample(guider, latents(5), recipe("17B"), seed=5)
    else:
        monkeypatch.setattr(host, "progress", lambda total: Bar(2))
        with pytest.raises(Interrupted):
            host.sample(guider, latents(5), recipe("17B"), seed=5)
    assert not [one for one in alive() if id(one) not in known]
    # It computed in float32; its own tensors are back.
    assert [(name, id(tensor), tensor.dtype) for name, tensor in model.module.named_parameters()] == before


def test_a_lent_model_has_its_own_tensors_again_whatever_happens():
    module = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.BatchNorm1d(3))
    module.tied = module[0].weight
    own = [*module.parameters(), *module.buffers()]
    with pytest.raises(Interrupted), lent(module, torch.device("meta")):
        assert {tensor.device.type for tensor in (*module.parameters(), *module.buffers())} == {"meta"}
        assert module.tied is module[0].weight
        raise Interrupted
    assert all(one is other for one, other in zip(own, (*module.parameters(), *module.buffers()), strict=True))
    assert module.tied is module[0].weight


# --- what is reused between steps ---


def count_passes(model):
    """One entry for each pass through the blocks."""
    passes, first = [], next(iter(getattr(model.module, "transformer_blocks", None) or model.module.blocks))
    first.register_forward_pre_hook(lambda *_: passes.append(1))
    return passes


def off(found, exact):
    return float((found - exact).norm() / exact.norm())


@pytest.mark.parametrize(("kind", "name", "scale"), [("mvdit_7b", "7B DDIM", 3.0), ("mvdit_17b", "17B", 6.0)])
def test_reuse_leaves_out_passes_and_changes_little(host, load, kind, name, scale):
    model, positive = load(kind), conditioning(host, kind, 13)
    passes, guider = count_passes(model), host.guider(model, positive, conditioning(host, kind, 13, seed=2), Guidance(scale=scale))
    found, counts = [], []
    for reuse in (0.0, 1e-9, 1.0, 1e6):
        passes.clear()
        found.append(host.sample(guider, latents(13), recipe(name, 10), seed=5, reuse=reuse))
        counts.append(len(passes))
    exact = host.sample(guider, latents(13), recipe(name, 10), seed=5)
    assert torch.equal(found[0], exact) and torch.equal(found[1], exact)
    assert counts[0] == counts[1] == 10 > counts[2] > counts[3] == 1
    assert 0 < off(found[2], exact) < 0.2 and off(found[2], exact) < off(found[3], exact)


@pytest.mark.parametrize(("kind", "name"), [("mvdit_7b", "7B DDIM"), ("mvdit_17b", "17B")])
def test_reuse_keeps_windows_and_branches_apart(host, load, kind, name):
    """With everything reused each window, and each set of branches, goes through the blocks once."""
    model, positive, plan = load(kind), conditioning(host, kind, 23), plan_windows(23, 13, 3)
    negative = without_motion(host, positive) if kind == "mvdit_7b" else conditioning(host, kind, 23, seed=2)
    passes = count_passes(model)
    guider = host.guider(model, positive, negative, Guidance(scale=2.0, end=0.5))
    host.sample(guider, latents(23), recipe(name, 6), seed=5, windows=plan, reuse=1e6)
    assert len(plan.indices) == 2 and len(passes) == 4
    # The windows see other motion and other noise: were they one, the first would have spoken for the second.
    single = host.sample(guider, latents(23), recipe(name, 1), seed=5, windows=plan, reuse=1e6)
    assert torch.equal(single, host.sample(guider, latents(23), recipe(name, 1), seed=5, windows=plan))


# --- what cannot work is refused before the first pass ---


@pytest.fixture
def refused(host, load):
    """refused(kind, guider, frames, recipe, match, windows): sampling raises, and the model has not been asked."""

    def check(guider, frames, chosen, match, **named):
        rows = count_rows(guider.model.module)
        with pytest.raises(ValueError, match=match):
            host.sample(guider, latents(frames), chosen, seed=5, **named)
        assert rows == []

    return check


def test_7b_without_motion_knows_one_length(host, load, refused):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 5)
    guider = host.guider(model, positive, without_motion(host, positive), Guidance(scale=3.0))
    refused(guider, 5, recipe("7B DDIM"), "13 latent frames, not for 5")
    long = conditioning(host, "mvdit_7b", 19)
    guider = host.guider(model, long, without_motion(host, long), Guidance(scale=3.0))
    refused(guider, 19, recipe("7B DDIM"), "not for 10", windows=plan_windows(19, 10, 2))
    # With the motion alone any length will do.
    alone = host.guider(model, positive, without_motion(host, positive), Guidance())
    assert host.sample(alone, latents(5), recipe("7B DDIM", 1), seed=5).isfinite().all()


def test_17b_needs_text_and_picture(host, load, refused):
    model, positive = load("mvdit_17b"), conditioning(host, "mvdit_17b", 5)
    condition, image = host.condition_of(positive), positive[0][1]["clip_vision_output"]
    for given, match in (
        (host.condition(None, condition, image=image), "no text"),
        (host.condition([[torch.zeros(1, 3, 768), {}]], condition, image=image), "768 channels"),
        (host.condition([[positive[0][0], {}]], condition), "no picture"),
    ):
        refused(host.guider(model, given, None, Guidance()), 5, recipe("17B"), match)
        refused(host.guider(model, positive, given, Guidance(scale=2.0)), 5, recipe("17B"), f"negative: it has .*{match}")


def test_what_does_not_fit_together_is_refused(host, load, refused):
    model, positive = load("mvdit_17b"), conditioning(host, "mvdit_17b", 5)
    guider = host.guider(model, positive, None, Guidance())
    refused(guider, 5, recipe("7B DDIM"), "choose one of 17B, 17B distilled")
    refused(guider, 6, recipe("17B"), "the video of")
    refused(guider, 5, recipe("17B"), "threshold of the residual cache is -0.1", reuse=-0.1)
    refused(host.guider(load("plain"), positive, None, Guidance()), 5, recipe("17B"), "Load Motion Adapter")
    wide = conditioning(host, "mvdit_17b", 5)
    tokens = torch.zeros(5 * 24, 32)
    wide[0][1]["motion4d"] = replace(host.condition_of(wide), motion=replace(motion(5), tokens=tokens))
    refused(host.guider(model, wide, None, Guidance()), 5, recipe("17B"), "32 channels")


def test_a_guider_needs_what_its_guidance_asks_for(host, load):
    model, positive = load("mvdit_7b"), conditioning(host, "mvdit_7b", 13)
    with pytest.raises(ValueError, match="no negative"):
        host.guider(model, positive, None, Guidance(scale=3.0))
    with pytest.raises(ValueError, match="Condition Video on Motion"):
        host.guider(model, [[torch.zeros(1, 1, 1), {}]], None, Guidance())
    with pytest.raises(ValueError, match="2 parts"):
        host.guider(model, positive * 2, None, Guidance())


def test_motion_attention_has_to_come_from_somewhere(host, load, checkpoints):
    with pytest.raises(ValueError, match="Load Motion Adapter"):
        host.apply_motion(load("plain"), None, Strength())
    adapter = host.load_motion_adapter(checkpoints("mvdit_17b_adapter"))
    with pytest.raises(ValueError, match="MV-DiT 7B"):
        host.apply_motion(load("mvdit_7b"), adapter, Strength())
    with pytest.raises(ValueError, match=r"Wan2\.1 I2V 14B"):
        host.apply_motion(shorter(load("plain")), adapter, Strength())


def shorter(model):
    module = model.module
    module.blocks = module.blocks[:3]
    module.config = replace(module.config, layers=3)
    return model


def test_files_of_something_else_are_refused_by_name(host, tmp_path, checkpoints):
    t2v = {key: value for key, value in tiny_checkpoint(load_spec("wan_i2v_14b")).items() if "img" not in key}
    t2v["patch_embedding.weight"] = t2v["patch_embedding.weight"][:, :16].contiguous()
    save_file(t2v, tmp_path / "t2v.safetensors")
    with pytest.raises(ValueError, match=r"t2v.safetensors is a Wan2.1 text-to-video"):
        host.load_video_model(tmp_path / "t2v.safetensors", precision="as stored")
    with pytest.raises(ValueError, match=r"wan_i2v_14b.safetensors is .*image-to-video.*, expected a motion adapter"):
        host.load_motion_adapter(checkpoints("wan_i2v_14b"))
    torch.save({"module": Dangerous(tmp_path / "ran")}, tmp_path / "code.pt")
    for load in (lambda path: host.load_video_model(path, precision="as stored"), host.load_text_encoder, host.load_video_vae):
        with pytest.raises(ValueError, match=r"code.pt cannot be read"):
            load(tmp_path / "code.pt")
    assert not (tmp_path / "ran").exists()
    save_file({"x": torch.zeros(1)}, tmp_path / "x.safetensors")
    with pytest.raises(ValueError, match=r"x.safetensors: no model"):
        host.load_video_model(tmp_path / "x.safetensors", precision="as stored")


def test_fp8_is_refused_on_a_device_without_it_before_anything_is_converted(host, load, monkeypatch):
    monkeypatch.setattr(host, "device", lambda: torch.device("mps"))  # not in every torch, and without fp8 where it is
    with pytest.raises(ValueError, match="fp8 weights do not work on mps: load the model with precision bfloat16"):
        load("mvdit_7b", "fp8 scaled")
    assert load("mvdit_7b", "bfloat16").kind == "mvdit_7b"


class Dangerous:
    def __init__(self, trace):
        self.trace = trace

    def __reduce__(self):
        return os.mkdir, (str(self.trace),)


# --- a look inside ---


@pytest.mark.parametrize(("kind", "frames", "blocks"), [("mvdit_7b", 13, [1, 0]), ("mvdit_17b", 5, [4])])
def test_motion_attention_is_shared_out_among_the_joints(host, load, kind, frames, blocks):
    model, positive = load(kind), conditioning(host, kind, frames)
    clean = torch.randn(1, 16, frames, *SIZE, generator=torch.Generator().manual_seed(2))
    guider = host.guider(model, positive, None, Guidance())
    shares = host.motion_attention(guider, clean, progress=0.5, blocks=blocks, seed=3)
    assert shares.shape == (len(blocks), 24, frames, 2, 2) and (shares >= 0).all()
    torch.testing.assert_close(shares.sum(1) * frames, torch.ones(len(blocks), frames, 2, 2))
    assert float(shares.std()) > 0
    again = host.motion_attention(guider, clean, progress=0.5, blocks=blocks[::-1], seed=3)
    assert torch.equal(again, shares.flip(0))
    assert not torch.equal(host.motion_attention(guider, clean, progress=0.1, blocks=blocks, seed=3), shares)
    with pytest.raises(ValueError, match="have no motion attention"):
        host.motion_attention(guider, clean, progress=0.5, blocks=[3], seed=3)

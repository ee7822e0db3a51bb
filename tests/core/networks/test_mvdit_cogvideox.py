"""The 7B model against a plain twin, against its backbone, and against what the reference computed."""

import math

import pytest
import torch
from motion4d.core.conditions import MotionCondition
from motion4d.core.networks.attention import dot_product_attention, merge_heads, split_heads
from motion4d.core.networks.mvdit_cogvideox import MVDiTCogVideoX, MVDiTCogVideoXConfig
from motion4d.core.networks.rope import RotaryTable, motion_rope, vision_rope
from torch.nn import functional

SMALL = MVDiTCogVideoXConfig(
    heads=2, head_dim=16, in_channels=6, out_channels=3, layers=2, time_dim=12, text_dim=5, motion_slots=10
)  # fmt: skip
GRID, JOINTS, FRAMES = (2, 3, 4), 5, 2
VISION = vision_rope(*GRID, split=(4, 6, 6))
MOTION = motion_rope(torch.randn(JOINTS, 3, generator=torch.Generator().manual_seed(9)) * 3, FRAMES, split=(4, 4, 4, 4))


def make(config=SMALL, seed=0, **options):
    """Random weights, strong enough for every part to show in the output."""
    generator = torch.Generator().manual_seed(seed)
    model = MVDiTCogVideoX(config, **options).eval()
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            scale = parameter[0].numel() ** -0.5 if parameter.ndim > 1 else 0.2
            parameter.normal_(generator=generator).mul_(scale)
            if parameter.ndim == 1 and ".norm" in f".{name}" and name.endswith("weight"):
                parameter.add_(1)
    return model


@pytest.fixture(scope="module")
def model():
    return make()


def inputs(batch=2, seed=1):
    """Latents, timesteps, motion."""
    generator = torch.Generator().manual_seed(seed)
    latents = torch.randn(batch, 2, 6, 6, 8, generator=generator)
    return latents, torch.tensor([981, 19, 500])[:batch], torch.randn(batch, JOINTS * FRAMES, 32, generator=generator)


@torch.no_grad()
def run(model, latents, timestep, motion, motion_table=MOTION):
    return model(latents, timestep, motion, VISION, motion_table)


# --- an independent twin: one row, one head, one pair of channels at a time, in float64 ---


def twin_linear(state, name, x):
    return x @ state[f"{name}.weight"].T + state[f"{name}.bias"]


def twin_norm(state, name, x, eps):
    x = x - x.mean(-1, keepdim=True)
    return x / (x.square().mean(-1, keepdim=True) + eps).sqrt() * state[f"{name}.weight"] + state[f"{name}.bias"]


def twin_turn(x, table):
    pairs = torch.view_as_complex(x.unflatten(-1, (-1, 2)).contiguous())
    turned = pairs * torch.complex(table.cos.double(), table.sin.double())[:, ::2]
    return torch.view_as_real(turned).flatten(-2)


def twin_attention(state, name, x, source, tables):
    q, k, v = (twin_linear(state, f"{name}.to_{letter}", tokens) for letter, tokens in (("q", x), ("k", source), ("v", source)))
    size, done = len(state[f"{name}.norm_q.weight"]), []
    for start in range(0, q.shape[1], size):
        head = slice(start, start + size)
        query = twin_turn(twin_norm(state, f"{name}.norm_q", q[:, head], 1e-6), tables[0])
        key = twin_turn(twin_norm(state, f"{name}.norm_k", k[:, head], 1e-6), tables[1])
        done.append((query @ key.T / math.sqrt(size)).softmax(1) @ v[:, head])
    return twin_linear(state, f"{name}.to_out.0", torch.cat(done, 1))


def twin_block(state, name, x, time, motion, tables):
    def modulated(norm):
        shift, scale, gate = twin_linear(state, f"{name}.{norm}.linear", functional.silu(time)).chunk(6)[:3]
        return twin_norm(state, f"{name}.{norm}.norm", x, 1e-5) * (1 + scale) + shift, gate

    normed, gate = modulated("norm1")
    x = x + gate * twin_attention(state, f"{name}.attn1", normed, normed, (tables[0], tables[0]))
    if motion is not None:
        x = x + twin_attention(state, f"{name}.attn0", x, motion, tables)
    normed, gate = modulated("norm2")
    inner = functional.gelu(twin_linear(state, f"{name}.ff.net.0.proj", normed), approximate="tanh")
    return x + gate * twin_linear(state, f"{name}.ff.net.2", inner)


def twin(model, latents, timestep, motion, tables=(VISION, MOTION)):
    """One row: (F, C, H, W), number, (L, D) or None for no motion -> (F, C', H, W)."""
    state = {key: value.double() for key, value in model.state_dict().items()}
    latents, patch, width = latents.double(), model.config.patch, model.config.width
    motion = motion if motion is None else motion.double()
    angles = [float(timestep) * math.exp(-math.log(10000) * k / (width // 2)) for k in range(width // 2)]
    waves = torch.tensor([math.cos(a) for a in angles] + [math.sin(a) for a in angles], dtype=torch.float64)
    time = twin_linear(state, "time_embedding.linear_2", functional.silu(twin_linear(state, "time_embedding.linear_1", waves)))
    frames, _, height, columns = latents.shape
    places = [(f, y, x) for f in range(frames) for y in range(0, height, patch) for x in range(0, columns, patch)]
    squares = torch.stack([latents[f, :, y : y + patch, x : x + patch].flatten() for f, y, x in places])
    x = squares @ state["patch_embed.proj.weight"].flatten(1).T + state["patch_embed.proj.bias"]
    for number in range(model.config.layers):
        x = twin_block(state, f"transformer_blocks.{number}", x, time, motion, tables)
    shift, scale = twin_linear(state, "norm_out.linear", functional.silu(time)).chunk(2)
    x = twin_norm(state, "norm_out.norm", twin_norm(state, "norm_final", x, 1e-5), 1e-5) * (1 + scale) + shift
    out = torch.zeros(frames, model.config.out_channels, height, columns, dtype=torch.float64)
    for token, (f, row, column) in zip(twin_linear(state, "proj_out", x), places, strict=True):
        out[f, :, row : row + patch, column : column + patch] = token.view(-1, patch, patch)
    return out


def test_the_model_equals_the_twin(model):
    latents, timestep, motion = inputs()
    result = run(model, latents, timestep, motion)
    assert result.shape == (2, 2, 3, 6, 8) and result.std() > 0.1
    for row in range(2):
        assert torch.allclose(result[row].double(), twin(model, latents[row], timestep[row], motion[row]), atol=2e-5)


# --- what the motion does ---


def backbone(model):
    """diffusers' CogVideoX of the same weights, to be run with a text of no tokens."""
    from diffusers import CogVideoXTransformer3DModel

    config = model.config
    other = CogVideoXTransformer3DModel(
        num_attention_heads=config.heads, attention_head_dim=config.head_dim, in_channels=config.in_channels,
        out_channels=config.out_channels, time_embed_dim=config.time_dim, text_embed_dim=config.text_dim, num_layers=config.layers,
        patch_size=config.patch, use_rotary_positional_embeddings=True, max_text_seq_length=0,
    )  # fmt: skip
    state = {key: value for key, value in model.state_dict().items() if "attn0" not in key and key != "unconditional_motion_token"}
    other.load_state_dict(state, strict=True)
    return other.eval()


@pytest.mark.parametrize("silence", ["weights", "attention"])
def test_without_motion_attention_it_is_the_backbone(silence):
    """Either its output layer is zero, or the product gives zero and the layer has no bias."""

    def no_motion(q, k, v):
        return torch.zeros_like(q) if k.shape[2] != q.shape[2] else dot_product_attention(q, k, v)

    model = make(attention=no_motion if silence == "attention" else None)
    with torch.no_grad():
        for block in model.transformer_blocks:
            block.attn0.to_out[0].bias.zero_()
            if silence == "weights":
                block.attn0.to_out[0].weight.zero_()
    latents, timestep, motion = inputs()
    result = run(model, latents, timestep, motion)
    with torch.no_grad():
        expected = backbone(model)(latents, torch.zeros(2, 0, 5), timestep, image_rotary_emb=(VISION.cos, VISION.sin)).sample
    assert torch.allclose(result, expected, atol=1e-5)
    assert torch.allclose(result[0].double(), twin(model, latents[0], timestep[0], None), atol=2e-5)


def test_motion_changes_the_prediction(model):
    latents, timestep, motion = inputs(1)
    conditional = run(model, latents, timestep, motion)
    unconditional = run(model, latents, timestep, model.unconditional_motion_token[None])
    assert (conditional - unconditional).std() > 0.05 * conditional.std()
    assert (conditional - run(model, latents, timestep, -motion)).std() > 0.05 * conditional.std()


def test_motion_tokens_are_a_set_with_places(model):
    """Their order says nothing beyond the rows of the table."""
    latents, timestep, motion = inputs(1)
    order = torch.randperm(JOINTS * FRAMES, generator=torch.Generator().manual_seed(3))
    result = run(model, latents, timestep, motion)
    together = run(model, latents, timestep, motion[:, order], RotaryTable(MOTION.cos[order], MOTION.sin[order]))
    assert torch.allclose(result, together, atol=1e-5)
    assert not torch.allclose(result, run(model, latents, timestep, motion[:, order]), atol=1e-3)


def test_rows_of_a_batch_do_not_see_each_other(model):
    latents, timestep, motion = inputs(3)
    together = run(model, latents, timestep, motion)
    for row in range(3):
        one = slice(row, row + 1)
        assert torch.allclose(run(model, latents[one], timestep[one], motion[one])[0], together[row], atol=1e-5)


def test_every_weight_but_those_for_text_learns(model):
    """All take part in the prediction, but the text's projection, the halves for text, and what enters as motion from outside."""
    latents, timestep, motion = inputs()
    trained = make()
    trained(latents, timestep, motion, VISION, MOTION).square().sum().backward()
    idle = {name for name, parameter in trained.named_parameters() if parameter.grad is None or not parameter.grad.any()}
    assert idle == {"patch_embed.text_proj.weight", "patch_embed.text_proj.bias", "unconditional_motion_token"}
    for block in trained.transformer_blocks:
        for norm in (block.norm1, block.norm2):
            used = norm.linear.weight.grad.abs().sum(1) > 0
            assert used[:96].all() and not used[96:].any()


# --- construction ---


def test_layers_and_the_product_are_the_hosts():
    made, products = [], []

    class Ops:
        pass

    def recorded(layer):
        return staticmethod(lambda *args, **kwargs: made.append(layer) or layer(*args, **kwargs))

    for name in ("Conv2d", "Linear", "LayerNorm"):
        setattr(Ops, name, recorded(getattr(torch.nn, name)))

    def product(q, k, v):
        products.append((q.shape, k.shape, v.shape))
        return torch.softmax(q @ k.mT / 4, -1) @ v

    model = make(ops=Ops, attention=product)
    with_weights = [layer for layer in model.modules() if any(True for _ in layer.parameters(recurse=False))]
    assert len(made) == len(with_weights) - 1  # the model itself holds the unconditional motion
    latents, timestep, motion = inputs()
    assert torch.allclose(run(model, latents, timestep, motion), run(make(), latents, timestep, motion), atol=1e-5)
    video, tokens = (2, 2, 24, 16), (2, 2, 10, 16)
    assert products == [(video, video, video), (video, tokens, tokens)] * 2


def test_heads_are_split_and_merged():
    x = torch.arange(2 * 3 * 8.0).view(2, 3, 8)
    heads = split_heads(x, 4)
    assert heads.shape == (2, 4, 3, 2)
    assert heads[1, 2, 0].tolist() == x[1, 0, 4:6].tolist()
    assert torch.equal(merge_heads(heads), x)


def test_released_size():
    with torch.device("meta"):
        model = MVDiTCogVideoX(MVDiTCogVideoXConfig())
    state = {key: tuple(value.shape) for key, value in model.state_dict().items()}
    assert len(state) == 1529
    assert sum(parameter.numel() for parameter in model.parameters()) == 7_157_411_904
    assert sum(parameter.numel() for name, parameter in model.named_parameters() if ".attn0." in name) == 1_585_973_760
    attention = {f"{norm}.{part}": (64,) for norm in ("norm_q", "norm_k") for part in ("weight", "bias")}
    for layer in ("to_q", "to_k", "to_v", "to_out.0"):
        attention |= {f"{layer}.weight": (3072, 3072), f"{layer}.bias": (3072,)}
    block = {f"{name}.{key}": shape for name in ("attn0", "attn1") for key, shape in attention.items()}
    for name in ("norm1", "norm2"):
        block |= {f"{name}.linear.weight": (18432, 512), f"{name}.linear.bias": (18432,)}
        block |= {f"{name}.norm.weight": (3072,), f"{name}.norm.bias": (3072,)}
    block |= {"ff.net.0.proj.weight": (12288, 3072), "ff.net.0.proj.bias": (12288,)}
    block |= {"ff.net.2.weight": (3072, 12288), "ff.net.2.bias": (3072,)}
    expected = {f"transformer_blocks.{number}.{key}": shape for number in range(42) for key, shape in block.items()}
    expected |= {
        "unconditional_motion_token": (312, 3072),
        "patch_embed.proj.weight": (3072, 32, 2, 2), "patch_embed.proj.bias": (3072,),
        "patch_embed.text_proj.weight": (3072, 4096), "patch_embed.text_proj.bias": (3072,),
        "time_embedding.linear_1.weight": (512, 3072), "time_embedding.linear_1.bias": (512,),
        "time_embedding.linear_2.weight": (512, 512), "time_embedding.linear_2.bias": (512,),
        "norm_final.weight": (3072,), "norm_final.bias": (3072,),
        "norm_out.linear.weight": (6144, 512), "norm_out.linear.bias": (6144,),
        "norm_out.norm.weight": (3072,), "norm_out.norm.bias": (3072,),
        "proj_out.weight": (64, 3072), "proj_out.bias": (64,),
    }  # fmt: skip
    assert state == expected


def test_released_shapes_come_out_of_the_released_size():
    with torch.device("meta"):
        model = MVDiTCogVideoX(MVDiTCogVideoXConfig(layers=1))
        latents, timestep, motion = torch.empty(2, 13, 32, 64, 64), torch.zeros(2, dtype=torch.long), torch.empty(2, 312, 3072)
    vision, table = vision_rope(13, 32, 32), motion_rope(torch.zeros(24, 3), 13)
    assert model(latents, timestep, motion, vision, table).shape == (2, 13, 16, 64, 64)


def test_it_computes_in_the_dtype_of_the_latents(model):
    latents, timestep, motion = inputs()
    half = make().to(torch.bfloat16)
    result = run(half, latents.to(torch.bfloat16), timestep, motion)
    assert result.dtype == torch.bfloat16
    exact = run(model, latents, timestep, motion)
    assert (result.float() - exact).std() < 0.05 * exact.std()


@pytest.mark.parametrize("sizes", [{"layers": 0}, {"head_dim": 15}, {"patch": 0}])
def test_bad_sizes_are_refused(sizes):
    with pytest.raises(ValueError, match=next(iter(sizes))):
        MVDiTCogVideoXConfig(**sizes)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda a: a | {"latents": a["latents"][:, :, :5]}, "expects \\(B, F, 6, H, W\\)"),
        (lambda a: a | {"latents": a["latents"][0]}, "expects \\(B, F, 6, H, W\\)"),
        (lambda a: a | {"latents": a["latents"][..., :7]}, "multiples of 2"),
        (lambda a: a | {"latents": a["latents"][..., :6]}, "vision table"),
        (lambda a: a | {"timestep": a["timestep"][0]}, "timestep has shape"),
        (lambda a: a | {"motion": a["motion"][..., :16]}, "use the tokenizer"),
        (lambda a: a | {"motion": a["motion"][:, :9]}, "motion table"),
        (lambda a: a | {"motion": a["motion"][:1]}, "batch of 1"),
        (lambda a: a | {"motion_rope": None}, "pass motion_rope"),
    ],
)
def test_bad_input_is_refused(model, change, message):
    latents, timestep, motion = inputs()
    given = {"latents": latents, "timestep": timestep, "motion": motion, "vision_rope": VISION, "motion_rope": MOTION}
    with pytest.raises(ValueError, match=message):
        model(**change(given))


# --- what the reference computed ---


@pytest.fixture(scope="module")
def released():
    """The golden's sizes and how to fill them."""

    def load(golden):
        sizes = {"heads": 2, "head_dim": 64, "in_channels": 8, "out_channels": 4, "layers": 3, "time_dim": 32, "text_dim": 16}
        model = MVDiTCogVideoX(MVDiTCogVideoXConfig(**sizes, motion_slots=72)).eval()
        model.load_state_dict({key[3:]: value.float() for key, value in golden.items() if key.startswith("sd.")}, strict=True)
        tables = RotaryTable(golden["in.image_cos"], golden["in.image_sin"]), RotaryTable(golden["in.motion_cos"], golden["in.motion_sin"])
        return model, tables

    return load


@torch.no_grad()
def test_reference_outputs(reference, released):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "dit_7b_tiny.safetensors"))
    model, (vision, motion) = released(golden)
    assert torch.equal(vision.cos, vision_rope(3, 4, 6).cos) and torch.equal(vision.sin, vision_rope(3, 4, 6).sin)
    latents, timestep, tokens = golden["in.hidden_states"], golden["in.timestep"], golden["in.motion"]
    unconditional = model.unconditional_motion_token[None]
    both, half = torch.cat([unconditional, tokens]), [table.to(torch.bfloat16) for table in (vision, motion)]
    cases = {
        "uncond_then_motion": (latents, timestep, both, vision, motion),
        "rope_tables_bf16": (latents, timestep, both, *half),
        "timestep2": (latents, golden["in.timestep2"], both, vision, motion),
        "uncond_only": (latents[:1], timestep[:1], unconditional, vision, motion),
        "motion_only": (latents[1:], timestep[1:], tokens, vision, motion),
    }
    for name, given in cases.items():
        assert (model(*given) - golden[f"out.{name}"]).abs().max() < 5e-5, name


@torch.no_grad()
def test_reference_outputs_through_conditions(reference, released):
    """The learned motion and that of a clip in one batch, with all tables made by the model."""
    from safetensors.torch import load_file

    golden, mean = (
        load_file(reference("goldens", "dit_7b_tiny.safetensors")),
        load_file(reference("goldens", "rope.safetensors"))["in.mean"],
    )
    model, _ = released(golden)
    latents = golden["in.hidden_states"]
    clip = MotionCondition(tokens=golden["in.motion"][0], positions=mean, frames=3)
    cases = {
        "uncond_then_motion": (latents, golden["in.timestep"], [clip.without_motion(), clip]),
        "timestep2": (latents, golden["in.timestep2"], [clip.without_motion(), clip]),
        "uncond_only": (latents[:1], golden["in.timestep"][:1], [clip.without_motion()]),
        "motion_only": (latents[1:], golden["in.timestep"][1:], [clip]),
    }
    for name, (video, timestep, rows) in cases.items():
        result = model(video, timestep, model.read_motion(rows, like=video))
        assert (result - golden[f"out.{name}"]).abs().max() < 5e-5, name


@torch.no_grad()
def test_reference_intermediates(reference, released):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "dit_7b_tiny.safetensors"))
    model, (vision, motion) = released(golden)
    first = model.transformer_blocks[0]
    seen, modules = {}, {
        "temb": model.time_embedding, "patch_embed": model.patch_embed, "block0.norm1": first.norm1, "block0.attn1": first.attn1,
        "block0.attn0": first.attn0, "block0.ff": first.ff, "norm_final": model.norm_final, "norm_out": model.norm_out,
        "proj_out": model.proj_out, **{f"block{number}": block for number, block in enumerate(model.transformer_blocks)},
    }  # fmt: skip
    for name, module in modules.items():
        module.register_forward_hook(lambda _, __, out, name=name: seen.__setitem__(name, out[0] if isinstance(out, tuple) else out))
    both = torch.cat([model.unconditional_motion_token[None], golden["in.motion"]])
    model(golden["in.hidden_states"], golden["in.timestep"], both, vision, motion)
    assert {f"mid.{name}" for name in seen} == {key for key in golden if key.startswith("mid.")}
    for name, value in seen.items():
        assert (value - golden[f"mid.{name}"]).abs().max() < 5e-5, name

"""The tokenizer against an independent twin, against itself, and against what the reference computed."""

import importlib.util

import pytest
import torch
from motion4d.core.networks import motion_tokenizer as module
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig, windows
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

SMALL = MotionTokenizerConfig(widths=(32, 64), code_dim=16, codebook_size=40)


def make(config=SMALL, seed=0):
    torch.manual_seed(seed)
    tokenizer = MotionTokenizer(config).eval()
    tokenizer.vq.codebook.normal_(std=0.3)
    return tokenizer


@pytest.fixture(scope="module")
def tokenizer():
    return make()


def clip(frames, batch=1, joints=24, seed=1):
    steps = torch.randn(batch, frames, joints, 3, generator=torch.Generator().manual_seed(seed)).cumsum(1)
    return steps / 3


# --- an independent twin: plain functions over the state dict, frame by frame where that is simplest ---


def twin_block(state, prefix, x):
    out = state[f"{prefix}.block.2.weight"].shape[0]
    reach = max(1, 512 // out - 1)
    y = functional.group_norm(x, 32, state[f"{prefix}.block.0.weight"], state[f"{prefix}.block.0.bias"], 1e-6)
    weight, bias = state[f"{prefix}.block.2.weight"], state[f"{prefix}.block.2.bias"]
    y = functional.conv2d(functional.silu(y), weight, bias, padding=reach, dilation=reach)
    y = functional.group_norm(y, 32, state[f"{prefix}.block.3.weight"], state[f"{prefix}.block.3.bias"], 1e-6)
    y = functional.conv2d(functional.silu(y), state[f"{prefix}.block.5.weight"], state[f"{prefix}.block.5.bias"])
    if f"{prefix}.conv_short.weight" in state:
        x = functional.conv2d(x, state[f"{prefix}.conv_short.weight"], state[f"{prefix}.conv_short.bias"])
    return x + y


def twin_joint_conv(state, name, frames):
    """frames: list of (1, C, J)."""
    return [functional.conv1d(frame, state[f"{name}.weight"], state[f"{name}.bias"], padding=1) for frame in frames]


def twin_down(state, name, x):
    frames = list(x.unbind(2))
    kept = [frames.pop(0)] if len(frames) % 2 else []
    halves = [(a + b) / 2 for a, b in zip(frames[::2], frames[1::2], strict=True)]
    return torch.stack(twin_joint_conv(state, name, kept + halves), 2)


def twin_up(state, name, x):
    frames = list(x.unbind(2))
    kept = [frames.pop(0)] if len(frames) % 2 else []
    count, doubled = len(frames), []
    for i in range(2 * count):
        place = i * (count - 1) / (2 * count - 1)
        low = min(int(place), count - 2) if count > 1 else 0
        doubled.append(frames[low] + (place - low) * (frames[min(low + 1, count - 1)] - frames[low]))
    return torch.stack(twin_joint_conv(state, name, kept + doubled), 2)


def twin_conv(state, name, x):
    return functional.conv2d(x, state[f"{name}.weight"], state[f"{name}.bias"], padding=1)


def twin_half(state, half, resample, x):
    names = {"encoder": "joint_downsample", "decoder": "upsampler"}
    sampler = {"encoder": "downsample", "decoder": "upsample"}[half]
    x = twin_conv(state, f"{half}.conv_in", x)
    for i in range(3):
        x = twin_block(state, f"{half}.resnet1.{i}", x)
    x = resample(state, f"{half}.{sampler}1.{names[half]}", x)
    x = twin_block(state, f"{half}.resnet2", x)
    for i in range(3):
        x = twin_block(state, f"{half}.resnet3.{i}", x)
    x = resample(state, f"{half}.{sampler}2.{names[half]}", x)
    return twin_conv(state, f"{half}.conv_out", x)


def twin_windows(state, half, resample, x, size):
    """x: (1, C, F, J), cut as the spec says: window 0 = [0, w + r), window i = [w i + r, w (i + 1) + r)."""
    count, rest = x.shape[2] // size, x.shape[2] % size
    done = []
    for i in range(count):
        begin = 0 if i == 0 else size * i + rest
        done.append(twin_half(state, half, resample, x[:, :, begin : size * (i + 1) + rest]))
    return torch.cat(done, 2)


def twin(state, joints):
    """(T, J, 3) -> latents (L, C), indices (L), tokens (L, C), joints (T', J, 3)."""
    latents = twin_windows(state, "encoder", twin_down, joints.permute(2, 0, 1)[None], 8)
    flat = latents[0].permute(1, 2, 0).flatten(0, 1)
    index = torch.stack([(row - state["vq.codebook"]).double().square().sum(1).argmin() for row in flat])
    codes = state["vq.codebook"][index]
    tokens = codes.unflatten(0, latents.shape[2:]).permute(2, 0, 1)[None]
    out = twin_windows(state, "decoder", twin_up, tokens, 2)
    return flat, index, codes, out[0].permute(1, 2, 0)


@pytest.mark.parametrize("frames", [8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 31])
def test_every_length_equals_the_twin(tokenizer, frames):
    joints = clip(frames)
    latents, index, codes, reconstruction = twin(tokenizer.state_dict(), joints[0])
    result = tokenizer.encode(joints)
    assert torch.allclose(tokenizer.latents(joints).flatten(1, 2)[0], latents, atol=2e-5)
    assert torch.equal(result.indices[0], index)
    assert torch.equal(result.tokens[0], codes)
    assert torch.allclose(result.commit_loss, (latents - codes).square().mean(), rtol=1e-5)
    assert torch.allclose(result.distance[0], (latents - codes).square().sum(1), rtol=1e-4)
    decoded = tokenizer.decode(result.tokens)
    assert decoded.shape[1:] == reconstruction.shape
    assert torch.allclose(decoded[0], reconstruction, atol=5e-5)


@pytest.mark.parametrize("frames", [16, 21])
def test_clips_in_a_batch_do_not_see_each_other(tokenizer, frames):
    joints = clip(frames, batch=3)
    together = tokenizer.encode(joints)
    decoded = tokenizer.decode(together.tokens)
    for number in range(3):
        alone = tokenizer.encode(joints[number : number + 1])
        assert torch.equal(alone.indices[0], together.indices[number])
        assert torch.allclose(alone.distance[0], together.distance[number], rtol=1e-4)
        assert torch.allclose(tokenizer.decode(alone.tokens)[0], decoded[number], atol=2e-5)


def test_windows_are_independent(tokenizer):
    joints = clip(32)
    whole = tokenizer.latents(joints)
    parts = [tokenizer.latents(joints[:, start : start + 8]) for start in range(0, 32, 8)]
    assert torch.allclose(torch.cat(parts, 1), whole, atol=1e-5)
    changed = joints.clone()
    changed[:, 8:16] += 1.0
    moved = (tokenizer.latents(changed) - whole).abs().amax((0, 2, 3))
    assert (moved[2:4] > 1e-2).all() and (moved[[0, 1, 4, 5, 6, 7]] < 1e-5).all()


def test_group_norm_sees_one_window(tokenizer):
    joints = clip(32)
    in_one = tokenizer.encoder(joints.permute(0, 3, 1, 2)).permute(0, 2, 3, 1)
    assert (in_one - tokenizer.latents(joints)).abs().max() > 1e-2


def test_working_memory_does_not_grow_with_the_clip(tokenizer, monkeypatch):
    monkeypatch.setattr(module, "WINDOWS_AT_ONCE", 4)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 64)

    class Largest(TorchDispatchMode):
        convolved = rows = 0

        def __torch_dispatch__(self, function, types, args=(), kwargs=None):
            name = function.overloadpacket.__name__
            if name == "convolution":
                self.convolved = max(self.convolved, args[0].numel() // (args[0].shape[1] * 24))
            elif name == "addmm":
                self.rows = max(self.rows, args[1].shape[0])
            return function(*args, **(kwargs or {}))

    largest = []
    for frames in (8 * 5 + 3, 8 * 25 + 3):
        with Largest() as seen:
            tokenizer.decode(tokenizer.encode(clip(frames, batch=2, joints=24)).tokens)
        largest.append((seen.convolved, seen.rows))
    assert largest[0] == largest[1]
    assert 0 < largest[0][0] <= 8 * 4  # frames in one convolution
    assert 0 < largest[0][1] <= 64


def test_chunks_leave_no_trace(tokenizer, monkeypatch):
    joints = clip(8 * 7 + 5, batch=2)
    whole = tokenizer.encode(joints)
    monkeypatch.setattr(module, "WINDOWS_AT_ONCE", 3)
    monkeypatch.setattr(module, "ROWS_AT_ONCE", 17)
    small = tokenizer.encode(joints)
    assert torch.equal(whole.indices, small.indices)
    for name in ("tokens", "distance", "margin", "commit_loss"):
        assert torch.allclose(getattr(whole, name), getattr(small, name), rtol=1e-3, atol=1e-5), name
    assert torch.allclose(tokenizer.decode(whole.tokens), tokenizer.decode(small.tokens), atol=2e-5)


def test_progress_counts_every_window_once(tokenizer):
    steps = []
    codes = tokenizer.encode(clip(53, batch=2), advance=steps.append)
    assert sum(steps) == 2 * windows(53) == 12
    steps.clear()
    tokenizer.decode(codes.tokens, advance=steps.append)
    assert sum(steps) == 2 * (14 // 2)


# --- the quantiser ---


def test_codes_are_their_own_nearest_codes(tokenizer):
    codes = tokenizer.quantise(tokenizer.vq.codebook[None])
    assert torch.equal(codes.indices[0], torch.arange(SMALL.codebook_size))
    assert torch.equal(codes.distance, torch.zeros_like(codes.distance))
    assert codes.commit_loss == 0


def test_equal_codes_give_the_first(tokenizer):
    twice = make()
    twice.vq.codebook[30] = twice.vq.codebook[7]
    twice.vq.codebook[11] = twice.vq.codebook[7]
    codes = twice.quantise(twice.vq.codebook[None, [30, 11, 7, 8]])
    assert codes.indices.tolist() == [[7, 7, 7, 8]]
    assert (codes.margin[0, :3] == 0).all() and codes.margin[0, 3] > 0


def test_the_codebook_in_use_is_the_present_one(tokenizer):
    """Lengths of codes must not be remembered from before a change, whichever way the codebook is replaced."""
    changed, vectors = make(), torch.randn(1, 50, 16, generator=torch.Generator().manual_seed(2))
    before = changed.quantise(vectors).indices
    state = make(seed=3).state_dict()
    expected = make(seed=3).quantise(vectors).indices
    assert not torch.equal(before, expected)
    changed.load_state_dict(state)
    assert torch.equal(changed.quantise(vectors).indices, expected)
    changed.vq.codebook.data.mul_(5.0)
    wide = torch.cdist(vectors[0].double(), changed.vq.codebook.double()).argmin(1)
    assert torch.equal(changed.quantise(vectors).indices[0], wide)


def test_margin_is_the_distance_to_the_second_nearest(tokenizer):
    vectors = torch.randn(1, 60, 16, generator=torch.Generator().manual_seed(4))
    codes = tokenizer.quantise(vectors)
    nearest = torch.cdist(vectors[0].double(), tokenizer.vq.codebook.double()).square().sort(1).values
    assert torch.allclose(codes.margin[0].double(), nearest[:, 1] - nearest[:, 0], atol=1e-4)
    assert torch.allclose(codes.distance[0].double(), nearest[:, 0], rtol=1e-4)


def test_quantising_keeps_its_input(tokenizer):
    vectors = torch.randn(16, 3, 5, generator=torch.Generator().manual_seed(5)).permute(1, 2, 0)
    copy = vectors.clone()
    tokenizer.quantise(vectors)
    assert torch.equal(vectors, copy)


def test_distances_stay_in_float32_under_autocast(tokenizer):
    vectors = torch.randn(1, 200, 16, generator=torch.Generator().manual_seed(6))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        inside = tokenizer.quantise(vectors)
    assert torch.equal(inside.indices, tokenizer.quantise(vectors).indices)
    assert inside.tokens.dtype == torch.float32


def test_encoding_keeps_no_gradients(tokenizer):
    codes = tokenizer.encode(clip(8).requires_grad_())
    assert not codes.tokens.requires_grad and not tokenizer.decode(codes.tokens).requires_grad


# --- construction and bad input ---


def test_layers_come_from_ops():
    made = []

    class Ops:
        pass

    def recorded(layer):
        return staticmethod(lambda *args, **kwargs: made.append(layer) or layer(*args, **kwargs))

    for name in ("Conv1d", "Conv2d", "GroupNorm"):
        setattr(Ops, name, recorded(getattr(torch.nn, name)))
    tokenizer = MotionTokenizer(SMALL, ops=Ops)
    with_weights = [layer for layer in tokenizer.modules() if any(True for _ in layer.parameters(recurse=False))]
    assert len(made) == len(with_weights) and with_weights


def test_released_size():
    with torch.device("meta"):
        tokenizer = MotionTokenizer(MotionTokenizerConfig())
    state = tokenizer.state_dict()
    assert len(state) == 133
    assert sum(p.numel() for p in tokenizer.encoder.parameters()) == 24_286_336
    assert sum(p.numel() for p in tokenizer.decoder.parameters()) == 24_036_739
    assert state["vq.codebook"].shape == (8192, 3072)
    assert state["encoder.conv_out.weight"].shape == (3072, 512, 3, 3)


@pytest.mark.parametrize("widths", [(33, 64), (32,), (0, 32)])
def test_widths_are_multiples_of_the_groups(widths):
    with pytest.raises(ValueError, match="multiples of 32"):
        MotionTokenizerConfig(widths=widths)


@pytest.mark.parametrize(
    ("joints", "message"),
    [
        (torch.zeros(1, 7, 24, 3), "at least 8"),
        (torch.zeros(9, 24, 3), "expected \\(B, T, J, 3\\)"),
        (torch.zeros(1, 9, 24, 2), "expected \\(B, T, J, 3\\)"),
        (torch.full((1, 9, 24, 3), torch.nan), "NaN"),
        (torch.full((1, 9, 24, 3), torch.inf), "infinite"),
    ],
)
def test_bad_joints_are_refused(tokenizer, joints, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.encode(joints)


@pytest.mark.parametrize(
    ("tokens", "message"),
    [
        (torch.zeros(1, 48, 15), "expects \\(B, L, 16\\)"),
        (torch.zeros(1, 49, 16), "whole number of frames"),
        (torch.zeros(1, 24, 16), "at least 2"),
        (torch.full((1, 48, 16), torch.nan), "NaN"),
    ],
)
def test_bad_tokens_are_refused(tokenizer, tokens, message):
    with pytest.raises(ValueError, match=message):
        tokenizer.decode(tokens)


# --- what the reference computed ---


@pytest.mark.parametrize("name", ["t49b2", "t48", "t50", "t45", "t81", "t17"])
def test_reference_small(reference, name):
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "vqvae_tiny.safetensors"))
    tokenizer = MotionTokenizer(MotionTokenizerConfig(widths=(64, 128), code_dim=32, codebook_size=64))
    tokenizer.load_state_dict({key[3:]: value.float() for key, value in golden.items() if key.startswith("sd.")}, strict=True)
    joints = golden[f"in.{name}"]
    codes = tokenizer.encode(joints)
    assert (tokenizer.latents(joints).permute(0, 3, 1, 2) - golden[f"mid.{name}.prequant"]).abs().max() < 5e-5
    assert torch.equal(codes.indices, golden[f"out.{name}.indices"])
    assert (codes.tokens - golden[f"out.{name}.tokens"]).abs().max() < 5e-5
    assert (codes.commit_loss - golden[f"out.{name}.commit_loss"]).abs() < 5e-5
    decoded = tokenizer.decode(codes.tokens)
    assert decoded.shape == golden[f"out.{name}.recon"].shape
    assert (decoded - golden[f"out.{name}.recon"]).abs().max() < 5e-5


def test_reference_full_size(reference):
    from safetensors.torch import load_file

    source = importlib.util.spec_from_file_location("formula_weights", reference("goldens", "formula_weights.py"))
    formula = importlib.util.module_from_spec(source)
    source.loader.exec_module(formula)
    golden = load_file(reference("goldens", "vqvae_real_formula.safetensors"))
    with torch.device("meta"):
        tokenizer = MotionTokenizer(MotionTokenizerConfig())
    shapes = {key: value.shape for key, value in tokenizer.state_dict().items()}
    tokenizer.load_state_dict(formula.state_dict(shapes, codebook_scale=0.5), strict=True, assign=True)
    codes = tokenizer.encode(golden["in.x"])
    assert (tokenizer.latents(golden["in.x"]).flatten(1, 2) - golden["mid.prequant_tokens"]).abs().max() < 5e-5
    assert torch.equal(codes.indices, golden["out.indices"])
    assert (codes.margin[0] - golden["mid.margin"]).abs().max() < 5e-3  # differences of float32 numbers near 1000
    assert (codes.commit_loss - golden["out.commit_loss"]).abs() < 5e-5
    assert (tokenizer.decode(codes.tokens) - golden["out.recon"]).abs().max() < 5e-5

"""MTVCRAFTERMOTION: the tokens and statistics as the other pack's sampler takes them."""

import numpy as np
import pytest
import torch
from motion4d.core.body.tokens import NO_CODE
from motion4d.core.formats.wires import from_mtvcrafter_motion, to_mtvcrafter_motion
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.specs import load_spec
from motion4d.core.types import MotionTokens

STATISTICS = load_spec("4dmot").statistics


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    module = MotionTokenizer(MotionTokenizerConfig(widths=(32, 64), code_dim=12, codebook_size=32)).eval().requires_grad_(False)
    module.vq.codebook.normal_()
    return module


@pytest.fixture
def tokens(tokenizer):
    generator = torch.Generator().manual_seed(1)
    indices = torch.randint(32, (13 * 24,), generator=generator)
    return MotionTokens(
        indices=indices, tokens=tokenizer.vq.codebook[indices], frames=49, joints=24, spec="4dmot", commit_loss=0.01, fps=20.0
    )


def test_it_has_the_keys_shapes_and_types_of_the_other_pack(tokens):
    payload = to_mtvcrafter_motion(tokens, STATISTICS)
    assert set(payload) == {"mtv_motion_tokens", "global_mean", "global_std"}
    assert payload["mtv_motion_tokens"].shape == (1, 312, 12) and payload["mtv_motion_tokens"].dtype == torch.float32
    for key, name in (("global_mean", "mean_mm"), ("global_std", "std_mm")):
        assert isinstance(payload[key], np.ndarray) and payload[key].dtype == np.float32
        assert np.array_equal(payload[key], STATISTICS[name].numpy())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16])
def test_tokens_come_back_with_their_codes(tokens, tokenizer, dtype):
    payload = to_mtvcrafter_motion(tokens, STATISTICS)
    payload["mtv_motion_tokens"] = payload["mtv_motion_tokens"].to(dtype)
    found, notes = from_mtvcrafter_motion(payload, spec="4dmot", statistics=STATISTICS, quantise=tokenizer.quantise, fps=20.0)
    assert torch.equal(found.indices, tokens.indices) and (found.frames, found.fps, found.spec) == (49, 20.0, "4dmot")
    assert torch.equal(found.tokens, tokens.tokens.to(dtype).float())
    assert any("49 frames" in note for note in notes)


def test_vectors_between_codes_are_told_from_codes(tokens, tokenizer):
    payload = to_mtvcrafter_motion(tokens, STATISTICS)
    payload["mtv_motion_tokens"][0, 5] += 0.5
    found, _ = from_mtvcrafter_motion(payload, spec="4dmot", statistics=STATISTICS, quantise=tokenizer.quantise, fps=20.0)
    assert (found.indices == NO_CODE).nonzero().flatten().tolist() == [5]
    plain, _ = from_mtvcrafter_motion(payload, spec="4dmot", statistics=STATISTICS, fps=20.0)
    assert (plain.indices == NO_CODE).all() and torch.equal(plain.tokens, payload["mtv_motion_tokens"][0])


def test_what_does_not_fit_is_refused_by_name(tokens):
    payload = to_mtvcrafter_motion(tokens, STATISTICS)

    def read(**changes):
        return from_mtvcrafter_motion(payload | changes, spec="4dmot", statistics=STATISTICS, fps=20.0)

    with pytest.raises(ValueError, match="'global_std' is missing"):
        from_mtvcrafter_motion({k: v for k, v in payload.items() if k != "global_std"}, spec="4dmot", statistics=STATISTICS, fps=20.0)
    with pytest.raises(ValueError, match="global_mean is up to 1 mm"):
        read(global_mean=payload["global_mean"] + 1.0)
    with pytest.raises(ValueError, match="311 tokens"):
        read(mtv_motion_tokens=payload["mtv_motion_tokens"][:, 1:])
    with pytest.raises(ValueError, match=r"expected \(1, any, any\)"):
        read(mtv_motion_tokens=payload["mtv_motion_tokens"][0])
    with pytest.raises(ValueError, match="NaN"):
        read(mtv_motion_tokens=payload["mtv_motion_tokens"] * torch.nan)
    with pytest.raises(ValueError, match="22 joints"):
        to_mtvcrafter_motion(
            MotionTokens(indices=torch.zeros(44).long(), tokens=torch.zeros(44, 4), frames=5, joints=22, spec="x", commit_loss=0.0),
            STATISTICS,
        )

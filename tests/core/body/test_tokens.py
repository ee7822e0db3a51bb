"""Edits of tokens are exact where they can be, and clip lengths are those that the tokenizer really gives."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body import tokens as editing
from motion4d.core.body.tokens import (
    NO_CODE,
    blend,
    concatenate,
    decoded_frames,
    describe_tokens,
    edit_tokens,
    exact_length,
    fit_length,
    fit_motion_length,
    latent_frames,
    swap_joints,
    tokens_of,
    trim,
)
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from motion4d.core.skeletons import COCO17, SMPL24
from motion4d.core.types import Frame, Motion, MotionTokens

CODES = torch.randn(50, 8, generator=torch.Generator().manual_seed(0))


def make(latents=6, seed=1, **changes):
    indices = torch.randint(50, (latents * 24,), generator=torch.Generator().manual_seed(seed))
    values = {"frames": decoded_frames(latents), "joints": 24, "spec": "test", "commit_loss": 0.1 * seed} | changes
    return MotionTokens(indices=indices, tokens=CODES[indices], **values)


def same(one, other):
    return torch.equal(one.indices, other.indices) and torch.equal(one.tokens, other.tokens) and one.frames == other.frames


@pytest.fixture(scope="module")
def tokenizer():
    torch.manual_seed(0)
    tokenizer = MotionTokenizer(MotionTokenizerConfig(widths=(32, 32), code_dim=8, codebook_size=50)).eval()
    tokenizer.vq.codebook.copy_(CODES)
    return tokenizer


# --- lengths ---


def test_lengths_are_those_of_the_tokenizer(tokenizer):
    for frames in range(8, 35):
        codes = tokenizer.encode(torch.zeros(1, frames, 2, 3))
        assert codes.indices.shape[1] == 2 * latent_frames(frames)
        decoded = tokenizer.decode(codes.tokens, joints=2).shape[1]
        assert decoded == decoded_frames(latent_frames(frames))
        assert exact_length(frames) == (decoded == frames) == (frames % 8 in (0, 1))


def test_short_clips_are_not_exact():
    assert not any(exact_length(frames) for frames in range(-1, 8))


@pytest.mark.parametrize("frames", range(1, 60))
def test_fitted_lengths_are_exact_and_nearest(frames):
    padded = fit_length(frames, "pad")
    assert exact_length(padded) and padded >= frames
    assert not any(exact_length(between) for between in range(frames, padded))
    if frames < 8:
        with pytest.raises(ValueError, match="pad to 8"):
            fit_length(frames, "trim")
    else:
        trimmed = fit_length(frames, "trim")
        assert exact_length(trimmed) and trimmed <= frames
        assert not any(exact_length(between) for between in range(trimmed + 1, frames + 1))
    if exact_length(frames):
        assert fit_length(frames, "refuse") == frames
    else:
        with pytest.raises(ValueError, match=f"pad to {padded}"):
            fit_length(frames, "refuse")


@pytest.mark.parametrize(("frames", "mode"), [(0, "pad"), (-3, "trim"), (9, "stretch")])
def test_impossible_lengths_are_refused(frames, mode):
    with pytest.raises(ValueError):
        fit_length(frames, mode)


def motion(frames):
    generator = torch.Generator().manual_seed(3)
    joints = torch.randn(frames, 24, 3, generator=generator)
    confidence = torch.rand(frames, 24, generator=generator)
    rotations = rotvec_to_matrix(torch.randn(frames, 24, 3, generator=generator))
    return Motion(
        joints=joints, confidence=confidence, rotations=rotations, translation=joints[:, 0], skeleton=SMPL24, fps=30.0, frame=Frame.CAMERA
    )


def test_padding_holds_the_last_frame_and_says_so():
    short = motion(50)
    padded = fit_motion_length(short, "pad")
    assert padded.frames == 56
    for name in ("joints", "confidence", "rotations", "translation"):
        part, whole = getattr(short, name), getattr(padded, name)
        assert torch.equal(whole[:50], part)
        assert (whole[50:] == part[-1]).all()
    assert padded.notes == ("frames 50 to 55 hold frame 49: the tokenizer takes 8 k or 8 k + 1 frames",)


def test_trimming_cuts_the_end_and_says_so():
    trimmed = fit_motion_length(motion(53), "trim")
    assert trimmed.frames == 49 and torch.equal(trimmed.joints, motion(53).joints[:49])
    assert "frames 49 to 52 were cut off" in trimmed.notes[0]


def test_an_exact_length_is_left_alone():
    exact = motion(49)
    assert all(fit_motion_length(exact, mode) is exact for mode in ("pad", "trim", "refuse"))


# --- edits ---


@pytest.mark.parametrize("cut", [2, 3, 4])
def test_trimmed_parts_join_to_the_whole(cut):
    whole = make(6)
    joined = concatenate(trim(whole, 0, cut), trim(whole, cut, 6))
    assert same(joined, whole) and joined.commit_loss == pytest.approx(whole.commit_loss)


def test_trim_takes_whole_latent_frames():
    whole = make(6)
    part = trim(whole, 1, 4)
    assert torch.equal(part.indices.view(3, 24), whole.indices.view(6, 24)[1:4])
    assert part.frames == 9 == decoded_frames(3)


@pytest.mark.parametrize(("start", "stop"), [(-1, 3), (0, 7), (3, 3), (4, 2), (2, 3)])
def test_trim_refuses_what_cannot_be_decoded(start, stop):
    with pytest.raises(ValueError, match="at least two"):
        trim(make(6), start, stop)


def test_edited_tokens_decode_to_as_many_frames_as_they_say(tokenizer):
    first, second = make(5), make(4, seed=2)
    for edited in (concatenate(first, second), trim(first, 0, 3), trim(first, 1, 5), blend(trim(first, 0, 4), second, 0.5)):
        assert tokenizer.decode(edited.tokens[None]).shape[1] == edited.frames


def test_concatenation_weights_the_loss_by_length():
    joined = concatenate(make(4, seed=1), make(12, seed=2))
    assert joined.commit_loss == pytest.approx(0.25 * 0.1 + 0.75 * 0.2)


def test_blend_ends_are_the_clips():
    first, second = make(seed=1), make(seed=2)
    assert same(blend(first, second, 0.0), first) and blend(first, second, 0.0).commit_loss == first.commit_loss
    assert same(blend(first, second, 1.0), second) and blend(first, second, 1.0).commit_loss == second.commit_loss
    assert same(blend(first, first, 0.3), first)


def test_blends_are_no_codes_and_are_marked():
    first, second = make(seed=1), make(seed=2)
    half = blend(first, second, 0.5)
    assert torch.allclose(half.tokens, (first.tokens + second.tokens) / 2, atol=1e-6)
    agree = first.indices == second.indices
    assert torch.equal(half.indices, torch.where(agree, first.indices, NO_CODE))


def test_a_transition_runs_over_latent_frames():
    first, second = make(seed=1), make(seed=2)
    mixed = blend(first, second, torch.linspace(0, 1, 6))
    assert torch.equal(mixed.tokens[:24], first.tokens[:24]) and torch.equal(mixed.tokens[-24:], second.tokens[-24:])
    assert torch.equal(mixed.indices[:24], first.indices[:24]) and torch.equal(mixed.indices[-24:], second.indices[-24:])


def test_requantised_blends_are_codes(tokenizer):
    first, second = make(seed=1), make(seed=2)
    mixed, codes = blend(first, second, 0.4), blend(first, second, 0.4, quantise=tokenizer.quantise)
    assert torch.equal(codes.tokens, CODES[codes.indices])
    nearest = torch.cdist(mixed.tokens.double(), CODES.double()).argmin(1)
    assert torch.equal(codes.indices, nearest)
    assert codes.commit_loss == pytest.approx(float((mixed.tokens - codes.tokens).square().mean()), rel=1e-4)
    assert same(blend(first, second, 0.0, quantise=tokenizer.quantise), first)


def test_swapped_joints_come_from_the_other_clip():
    first, second = make(seed=1), make(seed=2)
    names = ["left_elbow", "left_wrist", "left_hand"]
    swapped = swap_joints(first, second, names)
    taken = [SMPL24.index(name) for name in names]
    kept = [joint for joint in range(24) if joint not in taken]
    for field in ("indices", "tokens"):
        new, one, other = (getattr(clip, field).unflatten(0, (6, 24)) for clip in (swapped, first, second))
        assert torch.equal(new[:, taken], other[:, taken]) and torch.equal(new[:, kept], one[:, kept])


def test_swapping_back_is_the_clip_and_swapping_all_the_other():
    first, second = make(seed=1), make(seed=2)
    names = ["head", "neck"]
    assert same(swap_joints(swap_joints(first, second, names), first, names), first)
    assert same(swap_joints(first, second, SMPL24.names), second)
    assert same(swap_joints(first, second, []), first)


def test_edits_change_nothing_in_place():
    first, second = make(seed=1), make(seed=2)
    before = [part.clone() for clip in (first, second) for part in (clip.indices, clip.tokens)]
    for edited in (concatenate(first, second), blend(first, second, 0.5), swap_joints(first, second, ["head"])):
        edited.tokens.zero_()
    after = [part for clip in (first, second) for part in (clip.indices, clip.tokens)]
    assert all(torch.equal(one, other) for one, other in zip(before, after, strict=True))


def test_padding_at_the_end_follows_the_end():
    padded = replace(make(14), frames=50)  # 50 frames, padded to 56
    assert trim(padded, 0, 14).frames == 50 and trim(padded, 2, 14).frames == 42
    assert trim(padded, 0, 12).frames == 48
    assert concatenate(make(4), padded).frames == 16 + 50
    assert concatenate(padded, make(4)).frames == 56 + 16
    assert blend(padded, make(14, seed=2), 0.5).frames == 56


def test_tokens_of_an_encoded_clip(tokenizer):
    joints = torch.randn(1, 16, 24, 3, generator=torch.Generator().manual_seed(4))
    codes = tokenizer.encode(joints)
    tokens = tokens_of(codes, frames=13, joints=24, spec="test", fps=25.0)
    assert torch.equal(tokens.tokens, codes.tokens[0]) and tokens.latent_frames == 4 and tokens.frames == 13
    assert tokens.commit_loss == float(codes.commit_loss)
    with pytest.raises(ValueError, match="2 clips"):
        tokens_of(tokenizer.encode(joints.expand(2, -1, -1, -1)), frames=16, joints=24, spec="test", fps=25.0)


def test_the_description_warns_of_a_poor_fit():
    assert "WARNING" not in describe_tokens(make(commit_loss=0.09))
    poor = describe_tokens(make(commit_loss=0.11))
    assert "commitment loss 0.1100" in poor and "WARNING" in poor
    assert "tokens are mixtures" in describe_tokens(blend(make(), make(seed=2), 0.5))


def test_operations_by_name_are_the_functions(tokenizer):
    first, second = make(seed=1), make(seed=2)
    assert same(edit_tokens(first, "trim", start=1, count=3), trim(first, 1, 4))
    assert same(edit_tokens(first, "trim", start=2), trim(first, 2, 6))
    assert same(edit_tokens(first, "concatenate", other=second), concatenate(first, second))
    blended = blend(first, second, 0.3, quantise=tokenizer.quantise)
    assert same(edit_tokens(first, "blend", other=second, weight=0.3, quantise=tokenizer.quantise), blended)
    assert same(edit_tokens(first, "swap_joints", other=second, names=["head"]), swap_joints(first, second, ["head"]))
    with pytest.raises(ValueError, match="`other`"):
        edit_tokens(first, "blend")
    with pytest.raises(ValueError, match="expected one of trim"):
        edit_tokens(first, "reverse", other=second)


@pytest.mark.parametrize("edit", ["concatenate", "blend", "swap_joints"])
@pytest.mark.parametrize("change", [{"fps": 25.0}, {"spec": "other"}, {"joints": 12}])
def test_clips_of_different_kind_are_refused(edit, change):
    arguments = {"blend": (0.5,), "swap_joints": (["head"],)}.get(edit, ())
    with pytest.raises(ValueError, match="encode both the same way"):
        getattr(editing, edit)(make(), replace(make(), **change), *arguments)


def test_bad_edits_are_refused():
    with pytest.raises(ValueError, match="trim the longer one"):
        blend(make(4), make(6), 0.5)
    with pytest.raises(ValueError, match="expected 0"):
        blend(make(), make(), 1.5)
    with pytest.raises(ValueError, match="expected 0"):
        blend(make(), make(), torch.nan)
    with pytest.raises(ValueError, match="weight has shape"):
        blend(make(), make(), torch.zeros(5))
    with pytest.raises(ValueError, match="no joint 'tail'"):
        swap_joints(make(), make(), ["tail"])
    with pytest.raises(ValueError, match="24 joints, the skeleton has 17"):
        swap_joints(make(), make(), ["nose"], skeleton=COCO17)
    with pytest.raises(ValueError, match="channels"):
        concatenate(make(), replace(make(), tokens=torch.zeros(144, 5)))

"""The pose cue: its order of steps, the ablations, what stands in for bad masks, and ranges of frames."""

import pytest
import torch
from motion4d.core.cues import low_pass
from motion4d.core.cues.pose_cue import LOOKS, pose_cue
from motion4d.core.cues.quality_gate import GateLimits, gate_masks

LUMA = torch.tensor([0.299, 0.587, 0.114])


@pytest.fixture
def clip(generator):
    """frames (8, 40, 56, 3) of noise, masks of a box that moves, of which 3 is in pieces and 5 empty."""
    frames = torch.rand(8, 40, 56, 3, generator=generator)
    masks = torch.zeros(8, 40, 56)
    for frame in range(8):
        masks[frame, 8:32, 10 + frame : 24 + frame] = 1
    masks[3] = masks[3] * (torch.arange(40) % 6 < 4)[:, None]
    masks[5] = 0
    return frames, masks


def test_it_is_masked_then_grey_then_filtered_then_clipped(clip):
    frames, masks = clip
    gate = gate_masks(masks)
    assert gate.kept.tolist() == [True, True, True, False, True, False, True, True]
    grey = (frames @ LUMA) * masks
    grey[~gate.kept] = 0
    cue = pose_cue(frames, masks, gate, cutoff=5)
    assert cue.shape == (8, 40, 56, 3) and torch.allclose(cue, low_pass(grey, cutoff=5)[..., None].clamp(0, 1).expand(cue.shape), atol=1e-6)
    outside = (masks[0] == 0) & (cue[0, ..., 0] > 0.02)
    assert outside.any(), "the outline is soft: masks are not applied again after the filter"


def test_looks(clip):
    frames, masks = clip
    gate = gate_masks(masks, limits=GateLimits.open())
    grey = pose_cue(frames, masks, gate, look="grey")
    assert torch.allclose(grey[..., 1], (frames @ LUMA) * masks, atol=1e-6) and torch.equal(grey[..., 0], grey[..., 2])
    assert torch.equal(pose_cue(frames, masks, gate, look="rgb"), frames * masks[..., None])
    assert torch.equal(pose_cue(frames, masks, gate, look="skeleton", skeleton=frames.flip(0)), frames.flip(0))


@pytest.mark.parametrize("look", ["low_pass", "grey", "rgb"])
def test_stand_ins_are_whole_frames_of_the_cue(clip, look):
    frames, masks = clip
    gate = gate_masks(masks)
    plain, held, near = (pose_cue(frames, masks, gate, look=look, missing=missing) for missing in ("zero", "hold", "neighbour"))
    assert plain[3].max() == 0 and plain[2].max() > 0.3
    assert torch.equal(held[3], plain[2]) and torch.equal(near[3], plain[2])
    for cue in (plain, held, near):
        assert cue[5].max() == 0, "nobody is there: nobody stands in"
        assert torch.equal(cue[gate.kept], plain[gate.kept])


@pytest.mark.parametrize("look", ["low_pass", "rgb"])
def test_any_split_into_batches_gives_the_same_bits(clip, look):
    frames, masks = clip
    gate, told = gate_masks(masks), []
    whole = pose_cue(frames, masks, gate, look=look, missing="neighbour", batch=8)
    for batch in (1, 3, 5):
        assert torch.equal(pose_cue(frames, masks, gate, look=look, missing="neighbour", batch=batch, advance=told.append), whole)
    assert sum(told) == 24


@pytest.mark.parametrize("shape", ["ideal", "butterworth"])
def test_filters_that_overshoot_are_clipped(clip, shape):
    frames, masks = clip
    cue = pose_cue(torch.ones_like(frames), masks, gate_masks(masks), shape=shape, cutoff=5)
    assert cue.min() == 0 and cue.max() == 1


def test_bytes_are_floats_times_255_and_transparency_lies_on_black(clip):
    frames, masks = clip
    gate, eight = gate_masks(masks), (frames * 255).round().to(torch.uint8)
    assert torch.allclose(pose_cue(eight, masks, gate), pose_cue(eight / 255, masks, gate), atol=1e-6)
    assert torch.equal(pose_cue(frames, masks.bool(), gate), pose_cue(frames, masks, gate))
    alpha = torch.rand(8, 40, 56, 1, generator=torch.Generator().manual_seed(1))
    assert torch.allclose(pose_cue(torch.cat([frames, alpha], -1), masks, gate), pose_cue(frames * alpha, masks, gate), atol=1e-6)
    assert torch.equal(pose_cue(frames.half(), masks, gate), pose_cue(frames.half().float(), masks, gate))


def test_nothing_given_is_changed(clip):
    frames, masks = clip
    before = frames.clone(), masks.clone()
    for look in LOOKS:
        cue = pose_cue(frames, masks, gate_masks(masks), look=look, missing="hold", skeleton=frames)
        assert cue.dtype == torch.float32 and torch.equal(frames, before[0]) and torch.equal(masks, before[1])


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        (lambda f, m: (f[:7], m), {}, "person masks are 8 for 7 frames: give one for each frame"),
        (lambda f, m: (f[:, :20], m), {}, "have 56x40 pixels, the frames 56x20"),
        (lambda f, m: (f[..., 0], m), {}, r"the frames have shape \(8, 40, 56\)"),
        (lambda f, m: (f * 255, m), {}, "divide 8-bit values by 255"),
        (lambda f, m: (f.int(), m), {}, "torch.int32"),
        (lambda f, m: (f / 0, m), {}, "expected colours in 0..1"),
        (lambda f, m: (f, m[0]), {}, r"the person masks have shape \(40, 56\)"),
        (lambda f, m: (f, m * 255), {}, "divide by 255"),
        (lambda f, m: (f, m), {"look": "sepia"}, "look is 'sepia', expected one of low_pass"),
        (lambda f, m: (f, m), {"batch": 0}, "batch is 0"),
        (lambda f, m: (f, m), {"cutoff": -1.0}, "cutoff is -1.0"),
        (lambda f, m: (f, m), {"missing": "blur"}, "missing is 'blur'"),
        (lambda f, m: (f, m), {"look": "skeleton"}, "there are no pictures of one"),
        (lambda f, m: (f, m), {"look": "skeleton", "skeleton": torch.zeros(8, 40, 20, 3)}, "the skeleton pictures are 8 of 20x40 pixels, the frames 8 of 56x40"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(clip, change, options, message):
    gate = gate_masks(clip[1])
    with pytest.raises(ValueError, match=message):
        pose_cue(*change(*clip), gate, **options)


def test_the_gate_is_of_these_masks(clip):
    frames, masks = clip
    with pytest.raises(ValueError, match="the gate is of 5 masks, there are 8 frames"):
        pose_cue(frames, masks, gate_masks(masks[:5]))

"""Long video clip by clip: plans, what each clip is given, how clips are joined, and the reference's second clip."""

import itertools

import pytest
import torch
from motion4d.core.conditions import MotionCondition, VideoCondition, known_mask
from motion4d.core.sampling.clips import carry_frames, carry_latents, join_frames, plan_clips, sample_clips, shared_frames
from torch.nn import functional

LENGTHS = [1, 2, 12, 13, 14, 22, 23, 24, 33, 40, 101]
SHAPES = [(13, 3), (13, 1), (13, 12), (5, 2), (2, 1)]


def whole(frames, known=1):
    """Tokens and latents that tell their frame."""
    tokens = torch.arange(float(frames)).repeat_interleave(2)[:, None]
    reference = torch.arange(float(frames)).view(1, -1, 1, 1).expand(4, -1, 2, 2) - 1000
    motion = MotionCondition(tokens=tokens, positions=torch.zeros(2, 3), frames=frames)
    return VideoCondition(motion=motion, reference=reference, known=known)


def follow(number, condition):
    """Latents that tell the frame of the motion they were made under."""
    frames = condition.motion.tokens[::2, 0]
    return frames.view(1, -1, 1, 1).expand(4, -1, 2, 2).clone()


def frames_of(latents):
    return latents[0, :, 0, 0].tolist()


# --- plans ---


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("size", "overlap"), SHAPES)
def test_every_clip_has_the_size_and_together_they_cover_the_length(length, size, overlap):
    plan = plan_clips(length, size, overlap)
    assert all(len(indices) == size and indices.dtype == torch.int64 for indices in plan)
    assert torch.cat(plan).unique().tolist() == list(range(length))
    for earlier, later in itertools.pairwise(plan):
        assert (later.diff() == 1).all() and later[0] > earlier[0]
    shared = [shared_frames(plan, number) for number in range(len(plan))]
    assert shared[0] == 0 and all(count == overlap for count in shared[1:-1]) and (len(plan) == 1 or overlap <= shared[-1] < size)


def test_the_released_two_clips():
    first, second = plan_clips(23)
    assert first.tolist() == list(range(13)) and second.tolist() == list(range(10, 23))


def test_the_last_clip_is_moved_back_and_a_short_length_is_held():
    assert [int(indices[0]) for indices in plan_clips(30)] == [0, 10, 17]
    assert plan_clips(3, 5, 2)[0].tolist() == [0, 1, 2, 2, 2]


@pytest.mark.parametrize("arguments", [(0,), (20, 13, 13), (20, 13, 0), (20, 1, 1)])
def test_bad_plans_are_refused(arguments):
    with pytest.raises(ValueError, match="expected"):
        plan_clips(*arguments)


# --- what each clip is given ---


@pytest.mark.parametrize("known", [0, 1])
@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("size", "overlap"), SHAPES)
def test_frames_of_the_motion_come_out_in_their_places(known, length, size, overlap):
    plan = plan_clips(length, size, overlap)
    long = sample_clips(follow, whole(length, known), plan)
    assert frames_of(long.latents) == list(range(length))
    assert [frames_of(clip) for clip in long.clips] == [indices.tolist() for indices in plan]


def test_one_clip_is_the_clip_alone():
    condition, seen = whole(13), []

    def sample_one(number, clip):
        seen.append(clip)
        return follow(number, clip)

    long = sample_clips(sample_one, condition, plan_clips(13))
    assert len(seen) == 1 and not seen[0].pinned and seen[0].known == 1 and seen[0].carried is None
    assert torch.equal(seen[0].reference, condition.reference) and torch.equal(seen[0].motion.tokens, condition.motion.tokens)
    assert torch.equal(long.latents, long.clips[0])


def collect(condition, plan, **given):
    seen = []

    def sample_one(number, clip):
        assert number == len(seen)
        seen.append(clip)
        return follow(number, clip)

    sample_clips(sample_one, condition, plan, **given)
    return seen


def test_later_clips_of_17b_start_with_known_frames_and_go_on_grey():
    first, *later = collect(whole(30), plan_clips(30))
    assert (first.known, first.pinned, frames_of(first.reference)) == (1, False, [float(frame) for frame in range(-1000, -987)])
    for clip, start, shared in zip(later, (10, 17), (3, 6), strict=True):
        assert (clip.known, clip.pinned, clip.carried) == (shared, True, None)
        assert frames_of(clip.reference) == [*range(start, start + shared), *range(-1000 + shared, -987)]
        assert torch.equal(known_mask(clip)[0, :, 0, 0], (torch.arange(13) < shared).float())
        assert frames_of(clip.put_back) == list(range(start, start + shared))


def test_later_clips_of_7b_keep_their_reference_and_carry_frames():
    first, *later = collect(whole(30, known=0), plan_clips(30))
    assert first.carried is None and first.put_back is None
    for clip, start, shared in zip(later, (10, 17), (3, 6), strict=True):
        assert torch.equal(clip.reference, first.reference) and clip.known == 0
        assert frames_of(clip.carried) == list(range(start, start + shared)) and clip.put_back is clip.carried


def test_motions_of_their_own_take_the_place_of_the_cut_ones():
    plan = plan_clips(23)
    own = [whole(13).motion, whole(13).motion]
    assert [clip.motion for clip in collect(whole(23), plan, motions=own)] == own


def test_nothing_given_is_changed():
    condition = whole(30)
    before = condition.reference.clone(), condition.motion.tokens.clone()
    collect(condition, plan_clips(30))
    assert torch.equal(condition.reference, before[0]) and torch.equal(condition.motion.tokens, before[1])


# --- carrying frames over ---


def decode(latents):
    """Frames (T, 8, 8, 3) of a first latent of one frame and others of four, with a pattern of time in each."""
    shown = latents[:3, torch.arange(4 * latents.shape[1] - 3).add(3) // 4].permute(1, 2, 3, 0)
    return shown.repeat_interleave(4, 1).repeat_interleave(4, 2) / 100 + torch.arange(len(shown)).view(-1, 1, 1, 1) / 1e4


def test_frames_of_the_overlap_are_encoded_again_with_grey_after_them():
    encoded, kept = [], []

    def encode(frames):
        encoded.append(frames)
        return torch.full((4, (len(frames) + 3) // 4, 2, 2), float(len(encoded)))

    plan = plan_clips(23)
    seen = collect(whole(23), plan, carry=carry_frames(decode, encode, on_frames=kept.append))
    clip = decode(follow(0, whole(23).window(range(13))))
    assert len(encoded) == 1 and torch.equal(encoded[0][:9], clip[-9:]) and (encoded[0][9:] == 0.5).all() and len(encoded[0]) == 49
    assert torch.equal(kept[0], clip[-9:])
    assert (seen[1].reference == 1).all() and seen[1].known == 3 and seen[1].pinned
    assert (collect(whole(23, 0), plan, carry=carry_frames(decode, encode))[1].carried == 2).all()


def test_carried_latents_are_the_last_ones():
    latents = torch.randn(4, 13, 2, 2)
    for overlap in (1, 3, 12):
        assert torch.equal(carry_latents(latents, overlap), latents[:, -overlap:])


# --- joining ---


@pytest.mark.parametrize("length", LENGTHS)
@pytest.mark.parametrize(("size", "overlap"), SHAPES)
def test_frames_of_clips_are_joined_in_order_without_gaps(length, size, overlap):
    plan = plan_clips(length, size, overlap)
    times = [4 * int(indices[0]) + torch.arange(4 * size - 3) for indices in plan]
    clips = [time.view(-1, 1, 1, 1).expand(-1, 2, 2, 3) for time in times]
    assert join_frames(clips, plan)[:, 0, 0, 0].tolist() == list(range(4 * length - 3))


def test_frames_are_joined_as_released():
    """40 frames of the first clip, 49 of the second."""
    clips = [torch.full((49, 1, 1, 3), float(number)) for number in (1, 2)]
    assert join_frames(clips, plan_clips(23))[:, 0, 0, 0].tolist() == [1.0] * 40 + [2.0] * 49


# --- refusals ---


def test_what_does_not_fit_is_refused_before_the_first_clip():
    calls = []
    sampler = lambda number, clip: calls.append(number)  # noqa: E731
    with pytest.raises(ValueError, match="cover 23 latent frames, the motion has 24"):
        sample_clips(sampler, whole(24), plan_clips(23))
    with pytest.raises(ValueError, match="1 motions for 2 clips"):
        sample_clips(sampler, whole(23), plan_clips(23), motions=[whole(13).motion])
    with pytest.raises(ValueError, match="motion of clip 1 has 12 latent frames, the clip 13"):
        sample_clips(sampler, whole(23), plan_clips(23), motions=[whole(13).motion, whole(12).motion])
    assert not calls


def test_latents_of_another_size_are_refused():
    with pytest.raises(ValueError, match=r"clip 0 was sampled as \(4, 12, 2, 2\)"):
        sample_clips(lambda number, clip: follow(number, clip)[:, 1:], whole(23), plan_clips(23))
    for count in (2, 14):
        with pytest.raises(ValueError, match=f"{count} latent frames were carried over, expected 3 to 13"):
            sample_clips(follow, whole(23), plan_clips(23), carry=lambda latents, overlap, count=count: torch.zeros(4, count, 2, 2))


# --- what the reference computed ---


def test_reference_condition_of_the_next_clip(reference):
    """Three latent frames with an autoencoder that pools, as the reference was run; the last five frames of the first clip are carried over."""
    from safetensors.torch import load_file

    golden = load_file(reference("goldens", "pipeline_17b_tiny.safetensors"))
    mix = torch.randn(4, 3, generator=torch.Generator().manual_seed(71))

    def encode(frames):
        video = 2 * frames.permute(3, 0, 1, 2) - 1
        return torch.einsum("dc,cfhw->dfhw", mix, functional.avg_pool3d(video[:, ::4], (1, 8, 8)))

    frames = golden["in.previous_sample"][0].float().permute(1, 2, 3, 0)
    clip = torch.cat([torch.zeros(4, 64, 96, 3), frames])
    motion = MotionCondition(tokens=golden["in.motion"][0].repeat(2, 1)[:96], positions=torch.zeros(24, 3), frames=4)
    given = VideoCondition(motion=motion, reference=torch.zeros(4, 4, 8, 12), known=1)
    seen = []
    sample_clips(
        lambda number, clip: seen.append(clip) or torch.zeros_like(clip.reference),
        given,
        plan_clips(4, 3, 2),
        carry=carry_frames(lambda latents: clip, encode),
    )
    expected = golden["mid.nocfg_next_clip.y"][0]
    assert torch.equal(known_mask(seen[1]), expected[:4])
    assert (seen[1].reference - expected[4:]).abs().max() < 5e-5

"""The plan of a video says what does not fit, and lays out what each model reads."""

import pytest
import torch
from motion4d.core.conditions import GREY, MotionCondition, video_frames
from motion4d.core.types import MotionTokens
from motion4d.core.video_plan import (
    BUCKETS,
    VAES,
    check_size,
    check_vae,
    fit_frames,
    nearest_bucket,
    plan_video,
    video_latents,
)

JOINTS = torch.arange(24 * 3).float().reshape(24, 3)


def tokens(frames=13, channels=8, joints=24) -> MotionTokens:
    count = frames * joints
    values = torch.arange(count * channels).float().reshape(count, channels)
    return MotionTokens(
        indices=torch.arange(count), tokens=values, frames=4 * frames - 3, joints=joints, spec="4dmot", commit_loss=0.0, fps=20.0
    )


def plan(kind="mvdit_7b", given=None, **changed):
    options = {"motion_width": 8, "picture": (900, 600), "released": (512, 512)} | changed
    return plan_video(kind, given or tokens(), JOINTS, **options)


def test_sizes_left_open_are_the_released_ones():
    assert (plan().height, plan().width) == (512, 512)
    wan = plan("mvdit_17b")
    assert (wan.height, wan.width) == (608, 416)  # of 1.46, the nearest to 900 / 600
    given = plan("mvdit_17b", width=64, height=32)
    assert (given.height, given.width) == (32, 64)


@pytest.mark.parametrize(
    "changed, words",
    [
        ({"motion_width": None}, "no motion attention.*Load Motion Adapter"),
        ({"motion_width": 3072}, "8 channels.*3072"),
        ({"given": tokens(joints=22)}, "22 joints.*24"),
        ({"width": 64}, "width is 64 and height 0"),
        ({"width": 64, "height": 40}, "height 40.*16"),
        ({"frames": 45}, "13 latent frames, the video 12.*trim"),
        ({"frames": 65, "fit": "trim"}, "13 latent frames, the video 17.*pad"),
        ({"frames": 48}, "48 frames.*45 or 49"),
    ],
)
def test_what_does_not_fit_is_refused_with_its_numbers(changed, words):
    with pytest.raises(ValueError, match=words):
        plan(**changed)


def test_fitting_trims_the_end_or_holds_it():
    whole = plan().motion.tokens.unflatten(0, (13, 24))
    assert torch.equal(plan(frames=45, fit="trim").motion.tokens.unflatten(0, (12, 24)), whole[:12])
    longer = plan(frames=57, fit="pad").motion.tokens.unflatten(0, (15, 24))
    assert torch.equal(longer[:13], whole) and torch.equal(longer[13:], whole[-1:].expand(2, -1, -1))


def test_7b_shows_the_picture_all_the_time_and_its_negative_has_no_motion():
    made, picture = plan(), torch.rand(16, 16, 3)
    frames = made.encoded(picture)
    assert frames.shape == (49, 16, 16, 3) and torch.equal(frames, picture.expand(49, -1, -1, -1))
    positive, negative = made.conditions(torch.zeros(4, 13, 2, 2))
    assert (positive.known, negative.known) == (0, 0)
    assert positive.motion is made.motion and negative.motion.tokens is None


def test_17b_shows_the_picture_once_and_moves_in_both_conditions():
    made, picture = plan("mvdit_17b"), torch.rand(16, 16, 3)
    frames = made.encoded(picture)
    assert torch.equal(frames[0], picture) and (frames[1:] == GREY).all() and len(frames) == 49
    positive, negative = made.conditions(torch.zeros(4, 13, 2, 2))
    assert positive.known == 1 and negative is positive


def test_a_long_video_is_encoded_as_a_clip_and_goes_on_as_it_ends():
    made = plan(given=tokens(frames=33))
    assert len(made.encoded(torch.zeros(4, 4, 3))) == 49
    latents = torch.rand(4, 13, 2, 2)
    reference = made.conditions(latents)[0].reference
    assert reference.shape[1] == 33
    assert torch.equal(reference[:, :13], latents) and torch.equal(reference[:, 13:], latents[:, -1:].expand(-1, 20, -1, -1))


@pytest.mark.parametrize("kind", ["mvdit_7b", "mvdit_17b"])
def test_the_report_warns_of_lengths_that_were_not_trained(kind):
    assert plan(kind).report().splitlines() == [f"{plan(kind).width} x {plan(kind).height}, 49 frames (13 latent frames)"]
    assert "NOTE" in plan(kind, tokens(frames=14)).report()


# --- lengths ---


def motion(frames=5):
    """Tokens of 2 joints that tell their frame."""
    tokens = torch.arange(frames).repeat_interleave(2)[:, None] + torch.tensor([0.0, 0.1, 0.2])
    return MotionCondition(tokens=tokens, positions=torch.arange(6.0).view(2, 3), frames=frames)


@pytest.mark.parametrize("fit", ["refuse", "pad", "trim"])
def test_a_motion_that_fits_is_left_as_it_is(fit):
    one = motion()
    assert fit_frames(one, 5, fit) is one


def test_padding_holds_the_last_frame_and_trimming_drops_the_end():
    assert fit_frames(motion(), 8, "pad").tokens[::2, 0].tolist() == [0, 1, 2, 3, 4, 4, 4, 4]
    assert torch.equal(fit_frames(motion(), 3, "trim").tokens, motion().tokens[:6])
    assert torch.equal(fit_frames(fit_frames(motion(), 9, "pad"), 5, "trim").tokens, motion().tokens)
    assert fit_frames(motion().without_motion(), 8, "pad").frames == 8


@pytest.mark.parametrize(("frames", "fit", "remedy"), [(8, "refuse", "pad"), (8, "trim", "pad"), (3, "refuse", "trim"), (3, "pad", "trim")])
def test_a_motion_of_another_length_is_refused_with_both_numbers_and_the_fix(frames, fit, remedy):
    message = (
        f"motion has 5 latent frames, the video {frames} \\({4 * frames - 3} frames\\).*make the video 17 frames long.*fit to {remedy}"
    )
    with pytest.raises(ValueError, match=message):
        fit_frames(motion(), frames, fit)


def test_an_unknown_fit_is_refused():
    with pytest.raises(ValueError, match="refuse, pad, trim"):
        fit_frames(motion(), 5, "stretch")


def test_frames_and_latents_of_a_video_are_inverse():
    assert [video_frames(latents) for latents in (1, 2, 13, 23)] == [1, 5, 49, 89]
    assert all(video_latents(video_frames(latents)) == latents for latents in range(1, 40))


@pytest.mark.parametrize(("frames", "near"), [(0, "1 or 5"), (2, "1 or 5"), (48, "45 or 49"), (52, "49 or 53")])
def test_lengths_that_no_vae_encodes_are_refused_with_the_nearest(frames, near):
    with pytest.raises(ValueError, match=f"video of {frames} frames.*use {near}"):
        video_latents(frames)


# --- sizes ---


def test_sizes_of_whole_tokens_are_taken():
    for width, height in [(512, 512), (16, 1024), *((width, height) for height, width in BUCKETS.values())]:
        check_size(width, height)


@pytest.mark.parametrize(
    ("width", "height", "message"),
    [
        (500, 512, "width 500: expected multiples of 16: use width 496 or 512"),
        (512, 15, "height 15: expected multiples of 16: use height 16"),
        (0, 513, "width 0 and height 513.*use width 16, height 512 or 528"),
        (-16, 512, "width -16.*use width 16"),
    ],
)
def test_other_sizes_are_refused_with_the_nearest(width, height, message):
    with pytest.raises(ValueError, match=message):
        check_size(width, height)


def test_buckets_are_in_order_and_about_what_their_labels_say():
    assert len(BUCKETS) == 40 and list(BUCKETS) == sorted(BUCKETS)
    for ratio, (height, width) in BUCKETS.items():
        assert height % 32 == width % 32 == 0 and 256 <= height <= 1024 and 256 <= width <= 1024
        assert abs(height / width - ratio) < 0.03 * ratio


@pytest.mark.parametrize(
    ("height", "width", "bucket"),
    [(1000, 1000, (512, 512)), (1080, 604, (672, 384)), (1024, 768, (576, 448)), (1, 100, (256, 1024)), (100, 1, (1024, 256))],
)
def test_the_bucket_of_nearest_proportion(height, width, bucket):
    assert nearest_bucket(height, width) == bucket


@pytest.mark.parametrize("bucket", BUCKETS.values())
def test_a_bucket_is_near_to_its_own_size(bucket):
    height, width = nearest_bucket(*bucket)
    assert abs(height / width - bucket[0] / bucket[1]) < 0.03 * bucket[0] / bucket[1]


@pytest.mark.parametrize(
    ("kind", "wrong", "words"),
    [
        ("mvdit_7b", "wan_vae", "Wan2.1 VAE, MV-DiT 7B .* CogVideoX-5B VAE"),
        ("mvdit_17b", "cogvideox_vae", "CogVideoX-5B VAE, MV-DiT 17B .* Wan2.1 VAE"),
    ],
)
def test_the_vae_of_another_model_is_refused(kind, wrong, words):
    check_vae(kind, None)
    check_vae(kind, VAES[kind])
    with pytest.raises(ValueError, match=f"vae: this is the {words}: choose its file in Load Video VAE"):
        check_vae(kind, wrong)


def test_pictures_without_size_are_refused():
    with pytest.raises(ValueError, match="picture of 0 x 10"):
        nearest_bucket(10, 0)

"""The plan of a video says what does not fit, and lays out what each model reads."""

import pytest
import torch
from motion4d.core.types import MotionTokens
from motion4d.core.video_plan import GREY, plan_video

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
    assert "WARNING" in plan(kind, tokens(frames=14)).report()

"""Conditions: windows of them, the mask of the known frames."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.conditions import (
    MotionCondition,
    Pieces,
    Strength,
    VideoCondition,
    hold,
    known_mask,
    piece,
)
from motion4d.core.sampling.progressive import Window, cut, plan_grid
from torch.nn import functional

POSITIONS = torch.arange(6.0).view(2, 3)


def motion(frames=5):
    """Tokens of 2 joints that tell their frame."""
    tokens = torch.arange(frames).repeat_interleave(2)[:, None] + torch.tensor([0.0, 0.1, 0.2])
    return MotionCondition(tokens=tokens, positions=POSITIONS, frames=frames)


def video(frames=5, **given):
    """Latents that tell their frame."""
    reference = torch.arange(float(frames)).view(1, -1, 1, 1).expand(4, -1, 2, 3)
    return VideoCondition(motion=motion(frames), reference=reference, **given)


def frames_of(condition):
    return condition.reference[0, :, 0, 0].tolist()


# --- windows ---


def test_a_window_takes_tokens_of_its_frames_in_order():
    window = motion().window([3, 1])
    assert window.tokens[:, 0].tolist() == [3, 3, 1, 1] and window.frames == 2 and window.positions is POSITIONS
    assert motion().without_motion().window([3, 1]).tokens is None


def test_the_whole_window_is_the_whole():
    for condition in (video(), video(known=2, pinned=True), video(carried=torch.ones(4, 2, 2, 3))):
        whole = condition.window(range(5))
        assert torch.equal(whole.reference, condition.reference) and torch.equal(whole.motion.tokens, condition.motion.tokens)
        assert (whole.known, whole.pinned) == (condition.known, condition.pinned)
        assert whole.carried is None if condition.carried is None else torch.equal(whole.carried, condition.carried)


def test_a_still_reference_starts_anew_in_every_window():
    assert frames_of(video().window([2, 3, 4])) == [0, 1, 2]
    assert frames_of(video(known=1).window([2, 3, 4])) == [2, 3, 4]


def test_a_window_longer_than_its_still_reference_holds_it():
    assert frames_of(video().window([3, 4, 4, 4, 4, 4, 4])) == [0, 1, 2, 3, 4, 4, 4]


@pytest.mark.parametrize(("indices", "known"), [([0, 1, 2, 3], 3), ([0, 1], 2), ([0, 2, 3], 1), ([1, 2, 3], 0), ([2, 3], 0)])
def test_known_frames_of_a_window_are_those_that_lead_it(indices, known):
    assert video(known=3).window(indices).known == known


@pytest.mark.parametrize("indices", [[], [5], [-1]])
def test_windows_of_frames_that_do_not_exist_are_refused(indices):
    with pytest.raises(ValueError, match="of 5 latent frames"):
        video().window(indices)


def test_what_stands_again_after_every_step():
    assert video().put_back is None and video(known=2).put_back is None and video(pinned=True).put_back is None
    assert video(known=2, pinned=True).put_back[0, :, 0, 0].tolist() == [0, 1]
    carried = torch.full((4, 3, 2, 3), 7.0)
    assert video(carried=carried).put_back is carried
    assert video(carried=carried).window([0, 1]).put_back.shape[1] == 2
    assert video(carried=carried).window([1, 2]).put_back is None


@pytest.mark.parametrize("carried", [torch.zeros(4, 6, 2, 3), torch.zeros(3, 1, 2, 3), torch.zeros(4, 1, 3, 3)])
def test_carried_latents_that_do_not_fit_are_refused(carried):
    with pytest.raises(ValueError, match=r"carried|carry"):
        video(carried=carried)


def test_lengths_that_differ_are_refused():
    with pytest.raises(ValueError, match="4 latent frames of the reference, 5 of the motion"):
        VideoCondition(motion=motion(), reference=torch.zeros(4, 4, 2, 3))
    with pytest.raises(ValueError, match="10 tokens for 4 latent frames of 2 joints"):
        MotionCondition(tokens=motion().tokens, positions=POSITIONS, frames=4)
    with pytest.raises(ValueError, match="known"):
        video(known=6)


def test_strength_acts_in_its_part_of_the_schedule():
    assert [Strength(0.5, 0.2, 0.6).at(point) for point in (0, 0.19, 0.2, 0.4, 0.6, 0.61, 1)] == [0, 0, 0.5, 0.5, 0.5, 0, 0]
    for bad in ((float("nan"), 0, 1), (1, 0.5, 0.4), (1, -0.1, 1), (1, 0, 1.1)):
        with pytest.raises(ValueError, match="expected"):
            Strength(*bad)


# --- the mask of the known frames ---


def released_mask(frames, known, height, width):
    """The release's way for a video of `frames` frames with the first one known: four frames to a latent one, then scaled down trilinearly."""
    unknown = torch.ones(1, 1, frames, 8 * height, 8 * width)
    unknown[:, :, 0] = 0
    grouped = torch.cat([unknown[:, :, :1].repeat(1, 1, 4, 1, 1), unknown[:, :, 1:]], 2).view(1, -1, 4, 8 * height, 8 * width)
    given = 1 - grouped.transpose(1, 2)  # (1, 4, F, H, W)
    first = functional.interpolate(given[:, :, :1], (1, height, width), mode="trilinear", align_corners=False)
    rest = functional.interpolate(given[:, :, 1:], (given.shape[2] - 1, height, width), mode="trilinear", align_corners=False)
    mask = torch.cat([first, rest], 2)
    mask[:, :, : (known - 1) // 4 + 1] = 1  # of the next clip, whose first frames are known
    return mask[0]


@pytest.mark.parametrize(("known", "latents"), [(1, 1), (5, 2), (9, 3), (45, 12)])
def test_the_mask_equals_the_released_construction(known, latents):
    condition = VideoCondition(motion=motion(13), reference=torch.zeros(16, 13, 4, 6), known=latents)
    assert torch.equal(known_mask(condition), released_mask(49, known, 4, 6))


def test_a_mask_without_known_frames_is_empty():
    assert known_mask(video()).shape == (4, 5, 2, 3) and not known_mask(video()).any()
    assert known_mask(video(known=5)).all()


@pytest.mark.parametrize(("name", "known"), [("cfg", 1), ("nocfg", 1), ("nocfg_next_clip", 2)])
def test_reference_mask(reference, name, known):
    from safetensors.torch import load_file

    given = load_file(reference("goldens", "pipeline_17b_tiny.safetensors"))[f"mid.{name}.y"]
    condition = VideoCondition(motion=motion(3), reference=given[0, 4:], known=known)
    for row in given:
        assert torch.equal(known_mask(condition), row[:4])


def test_held_latents_go_on_with_the_last():
    latents = video().reference
    assert hold(latents, 7)[0, :, 0, 0].tolist() == [0, 1, 2, 3, 4, 4, 4]
    assert torch.equal(hold(latents, 3), latents[:, :3]) and torch.equal(hold(latents, 5), latents)


# --- pieces of several views ---


def view(number, frames=5, **given):
    """Tokens and latents that tell their view and frame: 10 view + frame."""
    one = video(frames, **given)
    return replace(one, motion=replace(one.motion, tokens=one.motion.tokens + 10 * number), reference=one.reference + 10 * number)


def told(condition):
    """What each frame of a condition tells, by its tokens and by its latents."""
    tokens = condition.motion.tokens
    return (None if tokens is None else tokens[::2, 0].tolist()), frames_of(condition)


VIEWS = [view(number, known=1) for number in range(4)]
OVER_TIME = Window(torch.tensor([3, 0]), torch.tensor([2, 3, 4]))
OVER_VIEWS = Window(torch.tensor([3, 0, 1]), torch.tensor([0, 2]), "views")


def test_a_piece_over_time_has_a_row_for_each_view():
    rows = piece(VIEWS, OVER_TIME)
    assert [told(row) for row in rows] == [([32, 33, 34], [32, 33, 34]), ([2, 3, 4], [2, 3, 4])]
    assert [row.known for row in rows] == [0, 0]


def test_a_piece_over_views_has_a_clip_for_each_instant():
    rows = piece(VIEWS, OVER_VIEWS)
    assert [told(row) for row in rows] == [([30, 0, 10], [30, 0, 10]), ([32, 2, 12], [32, 2, 12])]
    assert [row.known for row in rows] == [3, 0], "all views know their first frame, and no other"
    assert [row.motion.frames for row in rows] == [3, 3]


def test_a_piece_over_views_as_a_batch_is_as_over_time():
    rows = piece(VIEWS, OVER_VIEWS, "batch")
    assert [told(row)[0] for row in rows] == [[30, 32], [0, 2], [10, 12]]


def test_a_reference_for_a_whole_video_starts_anew_in_every_piece():
    views = [view(number) for number in range(4)]
    assert [told(row)[1] for row in piece(views, OVER_TIME)] == [[30, 31, 32], [0, 1, 2]]
    assert [told(row)[1] for row in piece(views, OVER_VIEWS)] == [[30, 1, 12], [30, 1, 12]]


def test_the_conditions_lie_as_the_latents_are_cut():
    latents = torch.stack([one.reference for one in VIEWS])
    for window in (OVER_TIME, OVER_VIEWS):
        for views_as in ("frames", "batch"):
            rows = piece(VIEWS, window, views_as)
            assert torch.equal(torch.stack([row.reference for row in rows]), cut(latents, window, views_as))


def test_pieces_are_made_once_and_the_whole_is_what_was_given():
    pieces, whole = Pieces(), Window(torch.arange(4), torch.arange(5))
    assert all(one is other for one, other in zip(pieces.of(VIEWS, whole), VIEWS, strict=True))
    for window in (OVER_TIME, OVER_VIEWS):
        assert all(one is other for one, other in zip(pieces.of(VIEWS, window), pieces.of(VIEWS, window), strict=True))
    still = [one.without_motion().motion for one in VIEWS]
    other = Window(torch.tensor([1, 2]), torch.tensor([0, 1, 2]))
    assert {id(row) for row in (*pieces.of(still, OVER_TIME), *pieces.of(still, OVER_VIEWS), *pieces.of(still, other))} == {
        id(pieces.of(still, OVER_TIME)[0])
    }


def test_a_row_is_made_once_in_whatever_tiles_it_is():
    pieces = Pieces()
    moved = Window(torch.tensor([0, 1]), OVER_TIME.frames), Window(OVER_VIEWS.views, torch.tensor([2, 3]), "views")
    assert pieces.of(VIEWS, OVER_TIME)[1] is pieces.of(VIEWS, moved[0])[0]
    assert pieces.of(VIEWS, OVER_VIEWS)[1] is pieces.of(VIEWS, moved[1])[0]


def test_windows_of_frames_share_the_memory_of_what_they_are_cut_from():
    for known in (0, 1):
        one = view(0, known=known)
        (row,) = piece([one], Window(torch.tensor([0]), torch.arange(2, 5)))
        for mine, whole in ((row.reference, one.reference), (row.motion.tokens, one.motion.tokens)):
            assert mine.untyped_storage().data_ptr() == whole.untyped_storage().data_ptr()


def test_conditions_of_a_grid_are_kept_once_for_each_window_of_views():
    views, frames = 12, 20
    given = [view(number, frames, known=1) for number in range(views)]
    plan, pieces = plan_grid(views, frames, frame_window=8, frame_overlap=2), Pieces()
    rows = {row for step in range(12) for window, _ in plan.pieces(step, 0.0) for row in pieces.of(given, window)}
    stored = {row.reference.untyped_storage().data_ptr(): row.reference.untyped_storage().nbytes() for row in rows}
    own = {one.reference.untyped_storage().data_ptr() for one in given}
    copies = sum(size for place, size in stored.items() if place not in own)
    assert copies == 1.5 * sum(one.reference.untyped_storage().nbytes() for one in given), "windows of 6 views at every fourth"


def test_one_condition_holds_for_every_view():
    assert [told(row) for row in piece(VIEWS[:1], OVER_VIEWS)] == [([0, 0, 0], [0, 0, 0]), ([2, 2, 2], [2, 2, 2])]


def test_views_that_do_not_go_into_one_clip_are_refused():
    with pytest.raises(ValueError, match="1 of 3 views of a window have motion"):
        piece([view(0), *(view(number).without_motion() for number in (1, 2, 3))], OVER_VIEWS)
    with pytest.raises(ValueError, match="the views know 1 and 2 latent frames"):
        piece([view(0, known=2), *VIEWS[1:]], OVER_VIEWS)
    assert len(piece([view(0, known=2), *VIEWS[1:]], OVER_VIEWS, "batch")) == 3

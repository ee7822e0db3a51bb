"""A motion that goes over a cut is two motions for whatever fills, smooths, holds or measures it."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.cleaning import clean_motion, frame_jitter, jitter
from motion4d.core.body.contacts import detect_contacts
from motion4d.core.body.cuts import find_cuts, rejoined, shots
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.flaws import with_flaws
from motion4d.core.body.gaps import fill_gaps
from motion4d.core.body.smoothing import smooth
from motion4d.core.formats import load_motion
from motion4d.core.skeletons import SMPLX55

CUT, STOP = 40, 75


def _shots(posed: bool = False, gaps: bool = True):
    """Two shots of 40 and 35 frames: a walk, and a wave 2 m further away, both with tremble and gaps, or posed by rotations and with gaps alone."""
    pieces = [demo_motion("walk", seconds=3.0).cut(10, 10 + CUT), demo_motion("wave", seconds=3.0).cut(5, 5 + STOP - CUT)]
    pieces = pieces if posed else [with_flaws(piece, tremble_m=0.006, seed=seed) for seed, piece in enumerate(pieces)]
    away = torch.tensor([0.5, 0.0, -2.0])
    translation = None if pieces[1].translation is None else pieces[1].translation + away
    pieces[1] = replace(pieces[1], joints=pieces[1].joints + away, translation=translation)
    if gaps:
        _hide(pieces[0], 12, 15, slice(None))
        _hide(pieces[0], 37, 40, slice(18, 24))
        _hide(pieces[1], 0, 4, slice(None))
        _hide(pieces[1], 20, 23, slice(16, 22))
    return pieces


def _hide(motion, start, stop, joints):
    motion.confidence[start:stop, joints] = 0
    motion.joints[start:stop, joints] = torch.nan


def _whole(pieces):
    first = pieces[0]
    timed = {name: getattr(first, name) for name in ("joints", "confidence", "rotations", "translation")}
    joined = {name: None if track is None else torch.cat([getattr(piece, name) for piece in pieces]) for name, track in timed.items()}
    return replace(first, **joined)


def _equal(motion, other):
    for name in ("joints", "confidence", "rotations", "translation"):
        a, b = getattr(motion, name), getattr(other, name)
        assert (a is None) == (b is None) and (a is None or torch.allclose(a, b, atol=1e-6, equal_nan=True)), name


@pytest.mark.parametrize("posed", [False, True])
@pytest.mark.parametrize(
    ("work", "gaps"),
    [
        (lambda motion, **cuts: fill_gaps(motion, limit_seconds=0.3, **cuts), True),
        (lambda motion, **cuts: smooth(motion, seconds=0.25, **cuts), False),
        (lambda motion, **cuts: smooth(motion, seconds=0.25, adaptive=False, **cuts), False),
    ],
)
def test_what_is_done_to_shots_together_is_what_is_done_to_each(work, gaps, posed):
    pieces = _shots(posed, gaps)
    whole = _whole(pieces)
    together = work(whole, cuts=(CUT,))
    _equal(together, _whole([work(piece) for piece in pieces]))
    near = slice(CUT - 3, CUT + 3)
    difference = work(whole).joints[near] - together.joints[near]
    assert difference[~difference.isnan()].abs().max() > 0.005  # which is what the cut is given for


def test_gaps_are_told_by_the_frames_of_the_whole_motion():
    filled = fill_gaps(_whole(_shots()), limit_seconds=0.3, cuts=(CUT,))
    assert filled.seen.all() and filled.notes[-1].endswith("bridged in frames 12-14, 37-43, 60-62")
    assert torch.allclose(
        filled.joints[CUT : CUT + 4], filled.joints[CUT + 4].expand(4, -1, -1), atol=1e-6
    )  # held, not on the way from the other shot
    hidden = _whole(_shots())
    _hide(hidden, CUT, STOP, slice(23, 24))
    assert "a whole shot" in fill_gaps(hidden, limit_seconds=5.0, cuts=(CUT,)).notes[-1]


def test_cleaning_finds_the_cut_and_cleans_each_shot_for_itself():
    pieces = _shots()
    whole = _whole(pieces)
    assert find_cuts(whole) == (CUT + 4,)  # the first frame that shows anybody after the cut
    for cuts, bounds in ((None, (CUT + 4,)), ((CUT,), (CUT,))):
        cleaned = clean_motion(whole, cuts=cuts)
        alone = [clean_motion(piece, cuts=()) for piece in shots(whole, bounds)]
        _equal(cleaned.motion, _whole([one.motion for one in alone]))
        assert cleaned.cuts == bounds and f"cuts at frames {bounds[0]}: each shot" in cleaned.report.text()
        assert cleaned.report.slide == pytest.approx([sum(one.report.slide[side] for one in alone) for side in (0, 1)])
        assert cleaned.report.peak == pytest.approx([max(one.report.peak[side] for one in alone) for side in (0, 1)])
        assert cleaned.report.planted == sum(one.report.planted for one in alone)
    ignored = clean_motion(whole, cuts=())
    assert ignored.cuts == () and ignored.report.peak[0] > 2 * cleaned.report.peak[0]
    assert (ignored.motion.joints - cleaned.motion.joints)[CUT : CUT + 4].norm(dim=-1).max() > 0.5


def test_jumps_from_shot_to_shot_are_no_jitter():
    pieces = _shots(gaps=False)
    whole, cut = _whole(pieces), pieces[0].frames
    curve = frame_jitter(whole, cuts=(cut,))
    assert curve[cut : cut + 2].isnan().all() and curve.nan_to_num().max() < 60 < frame_jitter(whole)[cut]
    assert torch.allclose(curve, torch.cat([frame_jitter(piece) for piece in pieces]), equal_nan=True)
    assert jitter(whole, cuts=(cut,)) < 0.7 * jitter(whole)


def test_each_shot_has_a_floor_of_its_own():
    walk = demo_motion("walk", seconds=2.0)
    upstairs = replace(walk, joints=walk.joints + torch.tensor([0.0, 0.8, 0.0]), rotations=None, translation=None)
    both = _whole([replace(walk, rotations=None, translation=None), upstairs])
    contacts = detect_contacts(both, cuts=(walk.frames,))
    assert torch.equal(contacts[: walk.frames], contacts[walk.frames :]) and contacts.any()
    assert not torch.equal(detect_contacts(both), contacts)


# --- finding cuts


@pytest.mark.parametrize("fps", [15.0, 30.0, 60.0])
def test_jumps_are_cuts_and_fast_moves_are_not(fps):
    walk = demo_motion("walk", seconds=3.0, fps=fps)
    middle = walk.frames // 2
    jump = walk.joints.clone()
    jump[middle:, :, 2] += 1.0
    assert find_cuts(walk) == () and find_cuts(replace(walk, joints=jump)) == (middle,)
    wrong = walk.joints.clone()
    wrong[middle : middle + 2, :, 2] += 1.0  # and back
    assert find_cuts(replace(walk, joints=wrong)) == ()
    sprint = walk.joints.clone()
    sprint[..., 0] += 12.0 * torch.arange(walk.frames)[:, None] / fps
    assert find_cuts(replace(walk, joints=sprint)) == ()
    limbs = walk.joints.clone()
    limbs[middle:, 16:] += 1.0  # both arms
    assert find_cuts(replace(walk, joints=limbs)) == ()


def test_hands_with_all_their_fingers_are_no_cut():
    motion = demo_motion("wave", seconds=2.0)
    joints = motion.joints[:, :1].expand(-1, 55, -1).clone()
    joints[30:, 37:] += 1.0
    assert (
        find_cuts(replace(motion, joints=joints, confidence=torch.ones(60, 55), skeleton=SMPLX55, rotations=None, translation=None)) == ()
    )


def test_somebody_who_comes_back_elsewhere_has_had_the_time_to_go_there():
    walk = demo_motion("walk", seconds=4.0)
    for seconds, cuts in ((0.1, (43,)), (1.0, ())):
        joints, confidence, gap = walk.joints.clone(), walk.confidence.clone(), slice(40, 40 + round(seconds * 30))
        joints[gap.stop :, :, 0] += 2.0
        joints[gap], confidence[gap] = torch.nan, 0.0
        assert find_cuts(replace(walk, joints=joints, confidence=confidence)) == cuts


def test_short_and_empty_motions_have_no_cuts():
    walk = demo_motion("walk", seconds=1.0)
    assert find_cuts(walk.cut(0, 1)) == () and find_cuts(replace(walk, confidence=torch.zeros_like(walk.confidence))) == ()
    far = walk.joints[:2].clone()
    far[1] += 3.0
    assert find_cuts(replace(walk.cut(0, 2), joints=far)) == (1,)


@pytest.mark.parametrize("clip", [0, 1, 2])
def test_real_dances_have_none_until_they_are_joined(reference, clip):
    dances = [load_motion(reference("data", "nlf_dance_motions.npz"), clip=number) for number in (clip, (clip + 1) % 3)]
    for step in (1, 2, 3):
        assert find_cuts(dances[0].take(slice(None, None, step))) == ()
    further = replace(dances[1], joints=dances[1].joints + torch.tensor([0.0, 0.0, 2.0]))
    assert find_cuts(_whole([replace(one, rotations=None, translation=None) for one in (dances[0], further)])) == (dances[0].frames,)


@pytest.mark.parametrize("cuts", [(0,), (75,), (30, 20), (80,)])
def test_cuts_that_are_none_are_refused(cuts):
    motion = _whole(_shots())
    for work in (
        lambda: shots(motion, cuts),
        lambda: fill_gaps(motion, cuts=cuts),
        lambda: smooth(motion, seconds=0.2, cuts=cuts),
        lambda: clean_motion(motion, cuts=cuts),
    ):
        with pytest.raises(ValueError, match="expected increasing frame numbers from 1 to 74"):
            work()


def test_shots_joined_again_are_the_motion():
    motion = _whole(_shots(posed=True))
    pieces = shots(motion, (10, CUT))
    assert [piece.frames for piece in pieces] == [10, 30, 35]
    _equal(rejoined(motion, pieces), motion)

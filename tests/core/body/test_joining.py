"""Seams: nothing jumps in place or speed, bones keep their lengths, and what fits already stays."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.cleaning import jitter
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.joining import concatenate, loop
from motion4d.core.body.measurements import bone_distances
from motion4d.core.formats import load_motion
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.similarity import transformed
from motion4d.core.skeletons import COCO17
from motion4d.core.types import Frame, Motion


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=3.24, fps=30.0)


@pytest.fixture(scope="module")
def wave() -> Motion:
    return demo_motion("wave", seconds=2.0, fps=30.0)


def largest_step_of_speed(motion: Motion, around: range) -> float:
    """Metres per frame: the largest change of speed of any joint in these frames."""
    change = motion.joints.double().diff(n=2, dim=0).norm(dim=-1)  # [k] is about frame k + 1
    return float(change[around.start - 1 : around.stop - 1].max())


def repeated(motion: Motion) -> Motion:
    return motion.take(torch.arange(2 * motion.frames) % motion.frames)


def turned(motion: Motion, degrees: float) -> Motion:
    turn = rotvec_to_matrix(torch.deg2rad(torch.tensor([0.0, degrees, 0.0], dtype=torch.float64)))
    return transformed(motion, turn=turn, shift=torch.tensor([3.0, 0.0, -1.0]))


@pytest.mark.parametrize("posed", [True, False])
def test_two_halves_join_to_what_they_were_wherever_the_second_was_moved(walk, posed):
    motion = walk if posed else positions_only(walk)
    joined = concatenate(motion.cut(0, 50), turned(motion.cut(50, 97), 130.0), blend_seconds=0.5)
    error = (joined.joints - motion.joints).norm(dim=-1)
    assert joined.frames == 97 and error.max() < 0.025 and error.mean() < 5e-3, "metres"
    assert is_posed(joined) == posed


@pytest.mark.parametrize("posed", [True, False])
def test_nothing_jumps_where_a_walk_meets_a_stand(walk, wave, posed):
    first, second = (motion if posed else positions_only(motion) for motion in (walk, wave))
    seam = range(walk.frames - 3, walk.frames + 3)
    hard, soft = (concatenate(first, second, blend_seconds=seconds) for seconds in (0.0, 0.6))
    usual = largest_step_of_speed(walk, range(1, walk.frames - 1))
    assert largest_step_of_speed(hard, seam) > 2 * usual > 2 * largest_step_of_speed(soft, seam)
    assert soft.frames == walk.frames + wave.frames and "follows from frame 97" in soft.notes[-1]
    away = range(walk.frames - 9)
    assert torch.equal(soft.joints[away], first.joints[away]), "beyond the blend nothing changes"
    lengths = bone_distances(soft)
    assert (lengths - bone_distances(first)[:1]).nan_to_num().abs().max() < 2e-5 and is_posed(soft) == posed


def test_the_second_clip_goes_on_where_the_first_ends(walk):
    joined = concatenate(walk, turned(walk, -75.0))
    way = joined.joints[:, 0, [0, 2]]
    there = walk.joints[-1, 0, 2] - walk.joints[0, 0, 2]
    assert way[-1, 1] - way[0, 1] == pytest.approx(2 * float(there), rel=0.03), "straight on"
    assert way[:, 0].abs().max() < 0.2


def test_a_camera_space_clip_is_turned_about_the_vertical_of_the_camera(walk):
    flip = torch.diag(torch.tensor([1.0, -1.0, -1.0], dtype=torch.float64))
    first, second = (
        replace(transformed(clip, turn=flip, shift=torch.tensor([0.0, 1.0, 5.0])), frame=Frame.CAMERA)
        for clip in (walk.cut(0, 50), turned(walk.cut(50, 97), 40.0))
    )
    joined = concatenate(first, second)
    assert (joined.joints[:, 0] - (walk.joints[:, 0] * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 1.0, 5.0]))).norm(
        dim=-1
    ).max() < 0.02


@pytest.mark.parametrize("posed", [True, False])
def test_a_walk_that_loops_already_hardly_changes(walk, posed):
    motion = walk if posed else positions_only(walk)
    kept = loop(motion, blend_seconds=0.5, keep_drift=True)
    assert (kept.joints - motion.joints).norm(dim=-1).max() < 0.015, "metres"
    assert is_posed(kept) == posed and kept.frames == motion.frames


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("span", [(0, 70), (20, 97), (5, 60)])
def test_a_loop_plays_again_and_again_without_a_jump(walk, posed, span):
    motion = (walk if posed else positions_only(walk)).cut(*span)
    frames = motion.frames
    seam = range(frames - 3, frames + 3)
    usual = largest_step_of_speed(walk, range(1, walk.frames - 1))
    looped = loop(motion, blend_seconds=0.8)
    assert largest_step_of_speed(repeated(looped), seam) < usual < largest_step_of_speed(repeated(motion), seam)
    assert (bone_distances(looped) - bone_distances(motion)[:1]).nan_to_num().abs().max() < 2e-5
    twice = concatenate(*[loop(motion, blend_seconds=0.8, keep_drift=True)] * 2, blend_seconds=0.0)
    assert largest_step_of_speed(twice, seam) < usual, "with its drift it goes on where it is"


def test_drift_is_kept_or_taken_away(walk):
    way = [float((m.joints[-1, 0] - m.joints[0, 0]).norm()) for m in (walk, loop(walk, keep_drift=True), loop(walk))]
    assert way[1] == pytest.approx(way[0], rel=0.02) and way[2] < 0.06
    heights = [m.joints[:, [10, 11], 1].amin() for m in (walk, loop(walk))]
    assert abs(heights[0] - heights[1]) < 0.01


def test_a_quarter_turn_is_unwound():
    quarter = demo_motion("turn", seconds=4.0, fps=30.0).cut(30, 60)
    hips = quarter.joints[:, 1] - quarter.joints[:, 2]
    assert torch.cosine_similarity(hips[0], hips[-1], dim=0) < 0.6
    looped = loop(quarter)
    hips = looped.joints[:, 1] - looped.joints[:, 2]
    assert torch.cosine_similarity(hips[0], hips[-1], dim=0) > 0.98
    usual = largest_step_of_speed(quarter, range(1, quarter.frames - 1))
    assert largest_step_of_speed(repeated(looped), range(27, 33)) < 1.5 * usual


def test_missing_joints_stay_missing_and_do_no_harm(walk, wave):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[-12:, 16], confidence[-12:, 16] = torch.nan, 0.0
    joints[40:44, 0], confidence[40:44, 0] = torch.nan, 0.0
    gappy = replace(positions_only(walk), joints=joints, confidence=confidence)
    for result in (concatenate(gappy, positions_only(wave)), loop(gappy, keep_drift=True), loop(gappy)):
        assert torch.equal(result.seen[:97], gappy.seen) and torch.isfinite(result.joints[result.seen]).all()
    arm = [18, 20, 22]  # below the missing shoulder
    apart = (
        concatenate(gappy, positions_only(wave)).joints[:97, arm] - concatenate(positions_only(walk), positions_only(wave)).joints[:97, arm]
    )
    assert apart.norm(dim=-1).max() < 0.25


def test_clips_that_do_not_fit_are_refused_with_the_remedy(walk, wave):
    coco = Motion(joints=torch.randn(9, 17, 3), confidence=torch.ones(9, 17), skeleton=COCO17, fps=30.0, frame=Frame.WORLD)
    taller = demo_motion("wave", seconds=1.0, fps=30.0, stature=1.9)
    rootless = replace(walk, confidence=walk.confidence.clone())
    rootless.confidence[-1, 0] = 0
    cases = [
        (walk, coco, "Convert Skeleton"), (walk, replace(wave, frame=Frame.CAMERA), "Convert Space"), (walk, replace(wave, fps=24.0), "resample"),
        (walk, taller, "Retarget Motion"), (rootless, wave, "pelvis is missing at the end"),
    ]  # fmt: skip
    for first, second, remedy in cases:
        with pytest.raises(ValueError, match=remedy):
            concatenate(first, second)
    with pytest.raises(ValueError, match="at least 4"):
        loop(walk.cut(0, 3))
    for seconds in (-0.1, 11.0):
        with pytest.raises(ValueError, match="expected 0 to 10"):
            loop(walk, blend_seconds=seconds)


def test_rotations_that_only_one_clip_has_are_left_out(walk, wave):
    joined = concatenate(walk, positions_only(wave))
    assert joined.rotations is None and joined.translation is None and any("left out" in note for note in joined.notes)


def test_real_dances_join_as_smoothly_as_they_are(reference):
    first, second = (load_motion(reference("data", "nlf_dance_motions.npz"), clip=clip, fps=30.0) for clip in (0, 1))
    joined = concatenate(first, second, blend_seconds=0.6)
    looped = loop(first, blend_seconds=0.6)
    assert jitter(joined) < 1.05 * max(jitter(first), jitter(second))
    seam = range(first.frames - 3, first.frames + 3)
    assert largest_step_of_speed(joined, seam) < largest_step_of_speed(first, range(1, first.frames - 1))
    assert largest_step_of_speed(repeated(looped), seam) < largest_step_of_speed(first, range(1, first.frames - 1))

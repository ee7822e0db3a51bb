"""Placement is one exact similarity for a clip; the read-out tells whether the tokenizer knows such motion."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.animation import animation_of
from motion4d.core.body.measurements import estimate_stature
from motion4d.core.body.normalisation import (
    STATURE_RANGE,
    MotionStatistics,
    Placement,
    apply_placement,
    denormalise,
    fit_placement,
    normalise,
    placement_report,
    undo_placement,
)
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.similarity import transformed
from motion4d.core.skeletons import COCO17, REST_STATURE, SMPL24
from motion4d.core.types import Animation, Frame, Motion

FLIP = torch.diag(torch.tensor([1.0, -1.0, -1.0]))


@pytest.fixture
def statistics():
    """A body at 1.8 m in front of the camera, spread as people in videos are."""
    pose = SMPL24.rest @ FLIP * torch.tensor([1.0, 1.0, 0.0]) + torch.tensor([0.0, 1.1, 1.8])
    std = torch.tensor([200.0, 300.0, 600.0]).expand(24, 3)
    return MotionStatistics(mean_mm=1000 * pose, std_mm=std)


def walk(frames=40, *, place=(0.0, 0.0, 2.0), size=1.0, seed=0, world=False, camera=False):
    """A body of 1.692 m times `size` that wanders; in CAMERA axes unless `world`."""
    generator = torch.Generator().manual_seed(seed)
    sway = torch.randn(frames, 24, 3, generator=generator).cumsum(0) * 0.003
    root = torch.randn(frames, 1, 3, generator=generator).cumsum(0) * 0.01
    joints = (SMPL24.rest + sway) * size + root
    joints = (joints if world else joints @ FLIP) + torch.tensor(place)
    turn = rotvec_to_matrix(torch.randn(frames, 24, 3, generator=generator))
    return Motion(
        joints=joints, confidence=torch.ones(frames, 24), skeleton=SMPL24, fps=25.0, frame=Frame.WORLD if world else Frame.CAMERA,
        rotations=turn, translation=joints[:, 0].clone(), notes=("fps assumed",),
        intrinsics=motion_capture_intrinsics((480, 640)) if camera else None, image_size=(480, 640) if camera else None,
    )  # fmt: skip


def bones(motion):
    child, parent = torch.tensor(motion.skeleton.bones).T
    return (motion.joints[:, child].double() - motion.joints[:, parent].double()).norm(dim=-1)


CASES = {
    "near": {},
    "far": {"place": (3.0, -1.0, 9.0)},
    "world": {"place": (1.0, 0.2, -2.0), "world": True},
    "child": {"size": 0.55},
    "giant": {"size": 2.5, "place": (0.0, 0.0, 12.0)},
    "with its camera": {"camera": True},
}


@pytest.fixture(params=CASES, ids=list(CASES))
def motion(request):
    return walk(**CASES[request.param])


def test_undo_is_exact(motion, statistics):
    placement = fit_placement(motion, statistics)
    back = undo_placement(apply_placement(motion, placement), placement)
    assert (back.joints - motion.joints).abs().max() <= 1e-6
    assert (back.translation - motion.translation).abs().max() <= 1e-6
    assert (back.rotations - motion.rotations).abs().max() <= 1e-6
    assert back.frame is motion.frame and back.notes == motion.notes and back.image_size == motion.image_size
    assert back.intrinsics is motion.intrinsics


def test_bone_ratios_and_root_travel_stay(motion, statistics):
    placement = fit_placement(motion, statistics)
    placed = apply_placement(motion, placement)
    before, after = bones(motion), bones(placed)
    assert torch.allclose(after / after[:, :1], before / before[:, :1], rtol=1e-5)
    turn = placement.rotation
    travel = (motion.joints[1:, 0] - motion.joints[:-1, 0]).double() @ turn.T * placement.scale
    assert torch.allclose((placed.joints[1:, 0] - placed.joints[:-1, 0]).double(), travel, atol=1e-5 * placement.scale)


def test_the_shift_is_one_for_the_clip(motion, statistics):
    placement = fit_placement(motion, statistics)
    moved = apply_placement(motion, placement).joints.double() - placement.scale * motion.joints.double() @ placement.rotation.T
    assert (moved - placement.shift).abs().max() < 3e-6


def test_the_shift_is_the_best_one(motion, statistics):
    """No other shift brings the clip closer to the training data, in squared sigmas."""
    placement = fit_placement(motion, statistics)

    def cost(shift):
        placed = apply_placement(motion, replace(placement, shift=shift))
        return normalise(placed, statistics).double().square().mean()

    best = cost(placement.shift)
    for axis in range(3):
        for step in (-0.01, 0.01):
            moved = placement.shift.clone()
            moved[axis] += step
            assert cost(moved) > best


def test_where_the_clip_was_does_not_matter(statistics):
    here, there = walk(), walk(place=(2.0, 1.0, 6.0))
    placed = [apply_placement(clip, fit_placement(clip, statistics)).joints for clip in (here, there)]
    assert (placed[0] - placed[1]).abs().max() < 2e-6


def test_world_axes_are_turned_to_the_camera(statistics):
    """Up becomes -y, and a character that faces +Z faces the camera."""
    clip = walk(world=True)
    placed = apply_placement(clip, fit_placement(clip, statistics))
    assert placed.frame is Frame.CAMERA
    head, foot = SMPL24.index("head"), SMPL24.index("left_ankle")
    assert (placed.joints[:, head, 1] < placed.joints[:, foot, 1]).all()
    expected = apply_placement(walk(), fit_placement(walk(), statistics)).joints
    assert (placed.joints - (clip.joints @ FLIP + placed.joints[0, 0] - clip.joints[0, 0] @ FLIP)).abs().max() < 1e-5
    assert (placed.joints.mean((0, 1)) - expected.mean((0, 1))).abs().max() < 0.1


def test_root_rotations_turn_with_the_axes(statistics):
    clip = walk(world=True)
    placed = apply_placement(clip, fit_placement(clip, statistics))
    assert torch.allclose(placed.rotations[:, 0], FLIP @ clip.rotations[:, 0], atol=1e-6)
    assert torch.equal(placed.rotations[:, 1:], clip.rotations[:, 1:])


@pytest.mark.parametrize("world", [False, True])
def test_a_scaled_person_keeps_rotations_that_lead_to_the_joints(statistics, world, generator):
    rest = 0.55 * SMPL24.rest
    turns = rotvec_to_matrix(0.3 * torch.randn(8, 24, 3, generator=generator))
    child = forward(Animation(rotations=turns, translation=rest[0].expand(8, 3), fps=25.0, rig=replace(SMPL24, rest=rest)))
    if not world:
        child = transformed(replace(child, frame=Frame.CAMERA), turn=FLIP, shift=torch.tensor([0.0, 0.5, 2.0]))
    placement = fit_placement(child, statistics)
    assert placement.scale > 1.3
    placed = apply_placement(child, placement)
    assert animation_of(placed).residual.max() < 1e-5
    assert torch.allclose(placed.skeleton.rest, placement.scale * rest)
    back = undo_placement(placed, placement)
    assert animation_of(back).residual.max() < 1e-5 and torch.allclose(back.skeleton.rest, rest, atol=1e-6)


def test_a_placed_motion_has_lost_its_camera(statistics):
    clip = walk(camera=True)
    placed = apply_placement(clip, fit_placement(clip, statistics))
    assert placed.intrinsics is None and placed.image_size is None
    assert "moved by" in placed.notes[-1]


@pytest.mark.parametrize("size", [0.3, 0.55, 1.5, 100.0])
def test_people_of_unusual_stature_are_scaled(statistics, size):
    clip = walk(size=size, place=(0.0, 0.0, 2.0 * size))
    end = STATURE_RANGE[0] if size < 1 else STATURE_RANGE[1]
    placement = fit_placement(clip, statistics)
    assert estimate_stature(apply_placement(clip, placement)) == pytest.approx(end, rel=1e-4)
    assert fit_placement(clip, statistics, stature=False).scale == 1


@pytest.mark.parametrize("size", [0.85, 1.0, 1.1])
def test_adults_keep_their_size(statistics, size):
    assert fit_placement(walk(size=size), statistics).scale == 1


def test_stature_of_the_rest_pose():
    rest = replace(walk(1), joints=SMPL24.rest[None], rotations=None, translation=None)
    assert estimate_stature(rest) == pytest.approx(REST_STATURE, rel=1e-6)
    assert estimate_stature(replace(rest, joints=0.5 * rest.joints)) == pytest.approx(0.5 * REST_STATURE, rel=1e-6)


def with_gaps(clip):
    confidence, joints = clip.confidence.clone(), clip.joints.clone()
    confidence[3:7, 20] = 0
    confidence[10] = 0
    joints[3:7, 20] = torch.nan
    joints[10] = 50.0  # a stale guess
    return replace(clip, joints=joints, confidence=confidence)


def test_missing_joints_do_not_move_the_fit(statistics):
    clip = walk(frames=400)
    whole, gaps = fit_placement(clip, statistics), fit_placement(with_gaps(clip), statistics)
    assert (whole.shift - gaps.shift).abs().max() < 2e-3 and whole.scale == gaps.scale
    assert placement_report(with_gaps(clip), statistics).largest == pytest.approx(placement_report(clip, statistics).largest, rel=0.2)


def test_missing_joints_are_not_encoded(statistics):
    with pytest.raises(ValueError, match=r"28 joint positions are missing in 5 frames, the first is frame 3: switch fill_gaps"):
        normalise(with_gaps(walk()), statistics)


def test_normalise_and_back(statistics):
    clip = walk()
    sigmas = normalise(clip, statistics)
    assert sigmas.dtype == torch.float32
    assert torch.allclose(sigmas[5, 7], (1000 * clip.joints[5, 7] - statistics.mean_mm[7]) / statistics.std_mm[7], atol=1e-5)
    back = denormalise(sigmas, statistics, fps=clip.fps)
    assert (back.joints - clip.joints).abs().max() < 1e-6
    assert back.frame is Frame.CAMERA and back.fps == clip.fps
    zero = denormalise(torch.zeros(2, 24, 3), statistics, fps=30.0)
    assert torch.allclose(1000 * zero.joints[1], statistics.mean_mm, rtol=1e-6)


def test_world_motion_is_not_normalised(statistics):
    with pytest.raises(ValueError, match="Fit Motion to Tokenizer"):
        normalise(walk(world=True), statistics)


@pytest.mark.parametrize("function", [normalise, fit_placement, placement_report])
def test_other_skeletons_are_refused(statistics, function):
    other = Motion(joints=torch.zeros(9, 17, 3), confidence=torch.ones(9, 17), skeleton=COCO17, fps=30.0, frame=Frame.CAMERA)
    with pytest.raises(ValueError, match=r"the motion has 17 joints .* expects 24 .* load a motion"):
        function(other, statistics)


@pytest.mark.parametrize("function", [fit_placement, placement_report])
def test_a_motion_without_any_joint_is_refused(statistics, function):
    clip = walk()
    with pytest.raises(ValueError, match="no joint"):
        function(replace(clip, confidence=torch.zeros_like(clip.confidence)), statistics)


def test_a_placement_belongs_to_its_axes(statistics):
    placement = fit_placement(walk(), statistics)
    with pytest.raises(ValueError, match="fit it again"):
        apply_placement(walk(world=True), placement)
    with pytest.raises(ValueError, match="never placed"):
        undo_placement(walk(world=True), placement)


def test_bad_statistics_and_placements_are_refused(statistics):
    with pytest.raises(ValueError, match="above 0"):
        MotionStatistics(mean_mm=statistics.mean_mm, std_mm=torch.zeros(24, 3))
    with pytest.raises(ValueError, match="MotionStatistics"):
        MotionStatistics(mean_mm=torch.zeros(17, 3), std_mm=torch.ones(17, 3))
    with pytest.raises(ValueError, match="scale"):
        Placement(rotation=torch.eye(3), scale=0.0, shift=torch.zeros(3), frame=Frame.CAMERA)


# --- the read-out ---


def test_a_fitted_clip_is_in_distribution(motion, statistics):
    placed = apply_placement(motion, fit_placement(motion, statistics))
    report = placement_report(placed, statistics)
    assert report.in_distribution and "WARNING" not in report.text()
    assert max(abs(offset) for offset in report.offset) < 0.5


@pytest.mark.parametrize(("axis", "letter"), [(0, "x"), (1, "y"), (2, "z")])
def test_the_read_out_counts_sigmas(statistics, axis, letter):
    placed = apply_placement(walk(), fit_placement(walk(), statistics))
    before = placement_report(placed, statistics)
    shift = torch.zeros(3)
    shift[axis] = 5 * statistics.std_mm[0, axis] / 1000
    after = placement_report(replace(placed, joints=placed.joints + shift), statistics)
    assert after.offset[axis] - before.offset[axis] == pytest.approx(5, abs=1e-4)
    assert after.spread[axis] == pytest.approx(before.spread[axis], abs=1e-4)
    assert not after.in_distribution
    assert f"sigma off in {letter}" in after.text()


def test_the_worst_joint_is_named(statistics):
    placed = apply_placement(walk(), fit_placement(walk(), statistics))
    joints = placed.joints.clone()
    joints[17, 21, 0] -= 3.0
    report = placement_report(replace(placed, joints=joints), statistics)
    assert (report.joint, report.frame) == (SMPL24.names[21], 17)
    assert "a joint is" in report.text()


def test_a_child_is_mentioned(statistics):
    clip = walk(size=0.55)
    unscaled = apply_placement(clip, fit_placement(clip, statistics, stature=False))
    assert "a stature of 0.9" in placement_report(unscaled, statistics).text()


# --- the real dance and the released statistics ---


@pytest.fixture
def dances(reference):
    import numpy as np

    data = np.load(reference("data", "nlf_dance_motions.npz"))
    released = MotionStatistics(mean_mm=torch.from_numpy(data["mean_mm"]), std_mm=torch.from_numpy(data["std_mm"]))
    clips = [torch.from_numpy(data[f"clip{number}_joints_mm"]) / 1000 for number in range(3)]
    motions = [Motion(joints=j, confidence=torch.ones(j.shape[:2]), skeleton=SMPL24, fps=30.0, frame=Frame.CAMERA) for j in clips]
    return motions, released


def test_the_real_dances_are_in_distribution(dances):
    motions, released = dances
    for motion in motions:
        sigmas = normalise(motion, released)
        report = placement_report(motion, released)
        assert 0.56 <= float(sigmas.std()) <= 0.85
        assert report.in_distribution and 1.7 < report.largest < 3.2
        placement = fit_placement(motion, released)
        assert placement.scale == 1
        assert float(normalise(apply_placement(motion, placement), released).square().mean()) < float(sigmas.square().mean())


def test_a_dancer_at_four_metres_is_far_out(dances):
    motions, released = dances
    for motion in motions:
        far = motion.joints + torch.tensor([0.0, 0.0, 4.0 - float(motion.joints[:, 0, 2].mean())])
        far = replace(motion, joints=far)
        report = placement_report(far, released)
        assert float(normalise(far, released)[:, 0, 2].mean()) == pytest.approx(3.74, abs=0.01)
        assert report.offset[2] == pytest.approx(3.6, abs=0.2)
        assert not report.in_distribution and "in z" in report.text()
        fitted = apply_placement(far, fit_placement(far, released))
        assert placement_report(fitted, released).in_distribution

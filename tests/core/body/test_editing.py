"""Edits of a whole motion: exact where nothing changes, close to the curve between frames, and rotations that go on leading to the joints."""

import math
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.editing import edit_motion, mirror, on_clock, resample, trim
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.measurements import bone_distances
from motion4d.core.geometry.cameras import intrinsics_matrix, own_camera
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24
from motion4d.core.types import Animation, Frame, Motion, Skeleton

FLIP = torch.tensor([-1.0, 1.0, 1.0])


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


def points(places: torch.Tensor, fps: float) -> Motion:
    """(T, J, 3) as a motion without bones."""
    count = places.shape[1]
    skeleton = Skeleton(names=tuple(f"p{number}" for number in range(count)), parents=(-1,) * count, mirror=tuple(range(count)))
    return Motion(joints=places, confidence=torch.ones(places.shape[:2]), skeleton=skeleton, fps=fps, frame=Frame.WORLD)


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=2.16, fps=30.0)


@pytest.fixture
def gappy(walk) -> Motion:
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[20:26, 18], confidence[20:26, 18] = torch.nan, 0.0
    confidence[40:, 5] = 0.5
    return replace(positions_only(walk), joints=joints, confidence=confidence)


def test_trimming_keeps_the_frames_as_they_are(walk):
    part = trim(walk, 10, 15)
    assert torch.equal(part.joints, walk.joints[10:15]) and torch.equal(part.rotations, walk.rotations[10:15])
    for start, stop in ((-1, 5), (5, 5), (3, walk.frames + 1)):
        with pytest.raises(ValueError, match=f"frames {start} to {stop} of a motion of {walk.frames}"):
            trim(walk, start, stop)


def test_the_same_frame_rate_changes_nothing(walk):
    assert resample(walk, walk.fps) is walk


@pytest.mark.parametrize("posed", [True, False])
def test_frames_that_fall_together_stay_as_they_are(walk, posed):
    motion = walk if posed else positions_only(walk)
    double = resample(motion, 60.0)
    assert double.frames == 2 * motion.frames - 1 and double.fps == 60.0
    assert torch.allclose(double.joints[::2], motion.joints, atol=1e-6)
    assert torch.equal(resample(double, 30.0).joints, double.joints[::2])
    if posed:
        assert torch.equal(double.rotations[::2], motion.rotations) and is_posed(double)


@pytest.mark.parametrize("fps", [7.3, 20.0, 24.0, 59.94])
def test_straight_lines_and_parabolas_are_met_exactly(fps, generator):
    start, speed, bend = torch.randn(3, 1, 4, 3, generator=generator, dtype=torch.float64)
    time = torch.arange(31, dtype=torch.float64)[:, None, None] / 25
    result = resample(points(start + speed * time + bend * time**2, 25.0), fps)
    new = torch.arange(result.frames, dtype=torch.float64)[:, None, None] / fps
    assert result.frames == math.floor(30 / 25 * fps + 1e-6) + 1
    assert torch.allclose(result.joints, start + speed * new + bend * new**2, atol=1e-9)


def test_a_circle_is_followed_far_closer_than_by_straight_lines():
    def circle(fps: float) -> torch.Tensor:
        angle = 2 * math.pi * torch.arange(int(fps) + 1, dtype=torch.float64) / fps
        return torch.stack([angle.cos(), angle.sin(), 0 * angle], -1)[:, None]

    result = resample(points(circle(12.0), 12.0), 48.0).joints
    error, chord = (result - circle(48.0)).norm(dim=-1), 1 - math.cos(math.pi / 12)
    assert error[4:-4].max() < chord / 12 and error.max() < chord / 3, "the first and last steps have a neighbour on one side only"


def test_a_joint_that_turns_steadily_is_met_exactly(generator):
    spin = torch.randn(24, 3, generator=generator, dtype=torch.float64)
    rest = replace(SMPL24, rest=SMPL24.rest.double())

    def turning(fps: float) -> Motion:
        time = torch.arange(int(fps) + 1, dtype=torch.float64)[:, None] / fps
        return forward(
            Animation(rotations=rotvec_to_matrix(time[..., None] * spin), translation=rest.rest[0] + time * spin[0], fps=fps, rig=rest)
        )

    result, exact = resample(turning(10.0), 40.0), turning(40.0)
    assert torch.allclose(result.rotations, exact.rotations, atol=1e-9) and torch.allclose(result.joints, exact.joints, atol=1e-8)


def test_a_walk_at_half_the_rate_comes_back_within_millimetres(walk):
    exact = demo_motion("walk", seconds=2.16, fps=60.0)
    result = resample(walk, 60.0)
    error = (result.joints - exact.joints[: result.frames]).norm(dim=-1)
    assert error.mean() < 0.3e-3 and error.max() < 8e-3, "metres; the largest are the heels as they strike"
    assert (bone_distances(result) - bone_distances(walk)[:1]).nan_to_num().abs().max() < 1e-5


def test_gaps_stay_gaps_and_do_not_leak(gappy, walk):
    result = resample(gappy, 60.0)
    missing = ~result.seen[:, 18]
    assert missing.nonzero()[:, 0].tolist() == list(range(39, 52))
    assert result.joints[missing, 18].isnan().all()
    whole = resample(positions_only(walk), 60.0)
    assert (result.joints - whole.joints)[~missing, 18].norm(dim=-1).max() < 0.01
    assert torch.equal(result.joints[:, :18], whole.joints[:, :18])
    assert float(result.confidence[79, 5]) == pytest.approx(0.75) and float(result.confidence[81, 5]) == pytest.approx(0.5)


def test_a_single_frame_can_change_its_rate_and_wrong_rates_are_refused(walk):
    assert resample(walk.cut(0, 1), 24.0).frames == 1
    assert resample(walk.cut(0, 2), 20.0).frames == 1
    for fps in (0.0, -5.0, math.nan, 1e6):
        with pytest.raises(ValueError, match="expected above 0 and at most 1000"):
            resample(walk, fps)


def test_the_mirror_image_of_a_mirror_image_is_the_motion(walk):
    twice = mirror(mirror(walk))
    assert torch.equal(twice.joints, walk.joints) and torch.equal(twice.rotations, walk.rotations)
    assert torch.equal(twice.translation, walk.translation) and twice.skeleton is walk.skeleton


def test_left_becomes_right_and_rotations_follow(walk):
    image = mirror(walk)
    left, right = SMPL24.index("left_wrist"), SMPL24.index("right_wrist")
    assert torch.equal(image.joints[:, left], walk.joints[:, right] * FLIP)
    assert (torch.linalg.det(image.rotations) - 1).abs().max() < 1e-5
    reached = forward(Animation(rotations=image.rotations, translation=image.translation, fps=30.0, rig=image.skeleton))
    assert torch.allclose(reached.joints, image.joints, atol=1e-5)
    assert torch.allclose(bone_distances(image)[:, list(SMPL24.mirror)], bone_distances(walk), atol=1e-6, equal_nan=True)


def test_a_lopsided_body_is_mirrored_with_its_bones(walk):
    rest = SMPL24.rest.clone()
    rest[20] += torch.tensor([0.1, 0.0, 0.0])
    lopsided = replace(walk, skeleton=replace(SMPL24, rest=rest))
    lopsided = replace(
        lopsided, joints=forward(Animation(rotations=walk.rotations, translation=walk.translation, fps=30.0, rig=lopsided.skeleton)).joints
    )
    image = mirror(lopsided)
    assert is_posed(image) and image.skeleton.rest[21, 0] == pytest.approx(-float(rest[20, 0]))


def test_the_mirrored_picture_is_the_picture_mirrored(walk):
    joints = walk.joints * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.2, 1.0, 4.0])
    intrinsics = intrinsics_matrix(500.0, (480, 640))
    intrinsics[0, 2] += 30
    seen = replace(positions_only(walk), joints=joints, frame=Frame.CAMERA, intrinsics=intrinsics, image_size=(480, 640))
    image = mirror(seen)
    before, after = (own_camera(one).project(one.joints)[0][0] for one in (seen, image))
    assert torch.allclose(after[..., 0], 640 - before[:, list(SMPL24.mirror), 0], atol=1e-3)
    assert torch.allclose(after[..., 1], before[:, list(SMPL24.mirror), 1], atol=1e-3)


def test_a_skeleton_of_two_different_sides_gives_up_its_rotations():
    skeleton = Skeleton(names=("root", "left_a", "right_a"), parents=(-1, 0, 1), mirror=(0, 2, 1), rest=torch.eye(3))
    motion = forward(Animation(rotations=torch.eye(3).expand(2, 3, 3, 3), translation=torch.zeros(2, 3), fps=30.0, rig=skeleton))
    image = mirror(motion)
    assert image.rotations is None and "rotations left out" in image.notes[-1]
    assert torch.equal(image.joints[:, 1], motion.joints[:, 2] * FLIP)


def test_operations_go_by_name(walk):
    assert edit_motion(walk, "trim", start=5, count=10).frames == 10
    assert edit_motion(walk, "trim", start=5).frames == edit_motion(walk, "trim", start=5, count=9999).frames == walk.frames - 5
    assert edit_motion(walk, "resample", fps=20.0).fps == 20.0
    assert torch.equal(edit_motion(walk, "mirror").joints, mirror(walk).joints)
    slow = edit_motion(walk, "concatenate", other=resample(walk, 15.0))
    assert slow.fps == 30.0 and slow.frames == walk.frames + 2 * resample(walk, 15.0).frames - 1
    with pytest.raises(ValueError, match="connect one to `other`"):
        edit_motion(walk, "concatenate")
    with pytest.raises(ValueError, match="expected one of trim, resample"):
        edit_motion(walk, "reverse")


def test_joints_without_any_name_that_is_known_are_edited_too(generator):
    joints = torch.randn(9, 17, 3, generator=generator)
    motion = Motion(joints=joints, confidence=torch.ones(9, 17), skeleton=COCO17, fps=30.0, frame=Frame.CAMERA)
    assert torch.equal(mirror(mirror(motion)).joints, joints) and resample(motion, 45.0).frames == 13


def _parabola(seconds: torch.Tensor) -> Motion:
    """All joints of the rest pose on one parabola through space."""
    way = torch.stack([seconds, 2.0 - 3.0 * seconds**2, 0.5 * seconds], -1)
    joints = (SMPL24.rest.double() + way[:, None]).float()
    return Motion(joints=joints, confidence=torch.ones(joints.shape[:2]), skeleton=SMPL24, fps=20.0, frame=Frame.WORLD)


def test_frames_seen_off_their_time_are_read_at_their_time(generator):
    ticks = torch.arange(30, dtype=torch.float64) / 20.0
    late = (torch.rand(30, generator=generator).double() - 0.5) * 0.04
    late[[0, -1]] = 0.0
    even = on_clock(_parabola(ticks + late), late)
    assert torch.allclose(even.joints, _parabola(ticks).joints, atol=1e-5), "a cubic leaves a parabola as it is"


def test_a_frame_that_comes_twice_counts_once():
    ticks = torch.arange(30, dtype=torch.float64) / 20.0
    shown = (ticks * 10 + 1e-6).floor() / 10  # ten frames a second, each twice
    even = on_clock(_parabola(shown), shown - ticks)
    assert torch.allclose(even.joints[:-1], _parabola(ticks).joints[:-1], atol=1e-5)
    assert torch.equal(even.joints[-1], even.joints[-2]), "held after the last"


def test_gaps_and_shots_keep_the_frames_beside_them():
    ticks = torch.arange(30, dtype=torch.float64) / 20.0
    late = torch.full((30,), 0.01, dtype=torch.float64)
    seen = _parabola(ticks + late)
    confidence = seen.confidence.clone()
    confidence[10:13, 5] = 0.0
    seen = replace(seen, confidence=confidence)
    even = on_clock(seen, late, cuts=[20])
    assert torch.equal(even.seen, seen.seen)
    assert torch.equal(even.joints[13, 5], seen.joints[13, 5]) and not torch.equal(even.joints[13, 4], seen.joints[13, 4])
    assert torch.equal(even.joints[19:21], seen.joints[19:21])
    aside = [*range(1, 10), *range(14, 19), *range(21, 30)]
    assert torch.allclose(even.joints[aside], _parabola(ticks).joints[aside], atol=1e-5)

"""Any motion as an animation: what it knows stays exact, what is filled is marked."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.animation import animation_of, measured_skeleton, to_world
from motion4d.core.body.measurements import bone_lengths
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics, with_camera
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24
from motion4d.core.types import Animation, Frame, Motion, Skeleton

FLIP = torch.tensor([1.0, -1.0, -1.0])


def moving(generator, skeleton: Skeleton = SMPL24, frames: int = 12, angle: float = 0.4) -> Motion:
    """Smooth world motion with rotations and translation."""
    bend = torch.randn(len(skeleton.names), 3, generator=generator) * angle
    rotations = rotvec_to_matrix(torch.linspace(0, 1, frames)[:, None, None] * bend)
    translation = skeleton.rest[0] + torch.linspace(0, 1, frames)[:, None] * torch.tensor([0.5, 0.0, 1.0])
    return forward(Animation(rotations=rotations, translation=translation, fps=24.0, rig=skeleton))


def filmed(motion: Motion, height: float = 1.3) -> Motion:
    """The same in the axes of a level camera 4 m in front of the origin, at some height, looking along -Z."""
    shift = torch.tensor([0.0, height, 4.0])
    rotations = motion.rotations
    if rotations is not None:
        rotations = rotations.clone()
        rotations[:, 0] = torch.diag(FLIP) @ rotations[:, 0]
    return replace(
        motion, joints=(motion.joints - shift) * FLIP, rotations=rotations, frame=Frame.CAMERA, intrinsics=motion_capture_intrinsics((480, 640)),
        image_size=(480, 640), translation=None if motion.translation is None else (motion.translation - shift) * FLIP,
    )  # fmt: skip


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


def test_a_world_motion_stays_as_it_is(generator):
    motion = moving(generator)
    assert to_world(motion) is motion


def test_a_camera_motion_comes_back_upright_up_to_where_it_stands(generator):
    motion = moving(generator)
    world = to_world(filmed(motion))
    offset = (world.joints - motion.joints)[0, 0]
    assert torch.allclose(world.joints - offset, motion.joints, atol=1e-5)
    assert torch.allclose(world.rotations, motion.rotations, atol=1e-6)
    assert torch.allclose(world.translation - offset, motion.translation, atol=1e-5)
    assert world.frame is Frame.WORLD and world.intrinsics is None and world.image_size is None
    assert world.notes[-1].startswith("turned from camera to world axes")


def test_the_lowest_joints_stand_on_the_floor_and_one_bad_frame_does_not_move_it(generator):
    motion = positions_only(filmed(moving(generator, frames=100)))
    clean = to_world(motion)
    assert clean.joints[..., 1].amin(-1).quantile(0.05).item() == pytest.approx(0.0, abs=1e-5)
    joints = motion.joints.clone()
    joints[7, 10, 1] += 5.0
    assert torch.allclose(to_world(replace(motion, joints=joints)).joints[8:], clean.joints[8:], atol=0.03)


def test_a_missing_joint_does_not_move_the_floor(generator):
    motion = positions_only(filmed(moving(generator)))
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[:, 22], confidence[:, 22] = torch.nan, 0.0
    world = to_world(replace(motion, joints=joints, confidence=confidence))
    assert torch.equal(world.joints[:, :22], to_world(motion).joints[:, :22])


def test_rotations_that_are_there_are_used_as_they_are(generator):
    motion = moving(generator)
    animation = animation_of(motion)
    assert animation.rotations is motion.rotations and animation.translation is motion.translation and animation.fps == 24.0
    assert animation.residual.max() < 1e-6


def test_bones_get_the_lengths_of_the_person(generator):
    factors = 0.8 + 0.4 * torch.rand(24, 1, generator=generator)
    rest = SMPL24.rest.clone()
    for joint, parent in SMPL24.bones:
        rest[joint] = rest[parent] + (SMPL24.rest[joint] - SMPL24.rest[parent]) * factors[joint]
    person = replace(SMPL24, rest=rest)
    motion = replace(positions_only(moving(generator, person)), skeleton=SMPL24)
    measured = measured_skeleton(motion)
    assert torch.allclose(measured.rest - measured.rest[0], rest - rest[0], atol=1e-5)
    assert measured.rest[:, 1].min().item() == pytest.approx((SMPL24.rest[:, 1].min() * factors[1:].median()).item(), rel=0.1)


def test_bones_that_are_never_seen_are_scaled_like_the_others(generator):
    motion = positions_only(moving(generator))
    joints, confidence = motion.joints * 0.5, motion.confidence.clone()
    joints[:, 20:], confidence[:, 20:] = torch.nan, 0.0
    motion = replace(motion, joints=joints, confidence=confidence)
    assert bone_lengths(motion)[20:].isnan().all() and bone_lengths(motion)[0].isnan()
    assert torch.allclose(measured_skeleton(motion).rest, SMPL24.rest * 0.5, atol=1e-5)


def test_positions_alone_are_reached_by_solved_rotations(generator):
    motion = positions_only(moving(generator, angle=0.2))
    animation = animation_of(motion)
    assert animation.residual.max() < 1e-4
    assert torch.allclose(forward(animation).joints, motion.joints, atol=1e-4)


def test_what_is_filled_for_a_file_is_marked(generator):
    motion = positions_only(moving(generator))
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    for frame, joint in ((0, 5), (5, 5), (6, 5), (11, 5), (4, 0)):
        joints[frame, joint], confidence[frame, joint] = torch.nan, 0.0
    gappy = replace(motion, joints=joints, confidence=confidence)
    animation = animation_of(gappy)
    assert torch.isfinite(animation.rotations).all() and torch.isfinite(animation.translation).all()
    assert animation.residual.isnan().equal(~gappy.seen)


def test_a_joint_that_is_never_seen_is_carried_by_its_parent(generator):
    motion = positions_only(moving(generator))
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[:, 21:24:2], confidence[:, 21:24:2] = torch.nan, 0.0
    motion = replace(motion, joints=joints, confidence=confidence)
    animation = animation_of(motion)
    assert torch.isfinite(animation.rotations).all() and animation.residual[:, [21, 23]].isnan().all()


def test_a_skeleton_without_a_rest_pose_takes_it_from_the_motion(generator):
    joints = torch.randn(1, 17, 3, generator=generator).expand(6, 17, 3) + torch.linspace(0, 1, 6)[:, None, None]
    motion = Motion(joints=joints, confidence=torch.ones(6, 17), skeleton=COCO17, fps=30, frame=Frame.WORLD)
    animation = animation_of(motion)
    assert animation.residual.max() < 1e-5


def test_a_motion_without_its_root_is_refused(generator):
    motion = positions_only(moving(generator))
    confidence = motion.confidence.clone()
    confidence[:, 0] = 0
    with pytest.raises(ValueError, match="root joint"):
        animation_of(replace(motion, confidence=confidence))


def test_the_camera_of_a_picture_is_given_once(generator):
    motion = positions_only(filmed(moving(generator)))
    unknown = replace(motion, intrinsics=None, image_size=None)
    known = with_camera(unknown, (1080, 604))
    assert known.image_size == (1080, 604) and torch.equal(known.intrinsics, motion_capture_intrinsics((1080, 604)))
    assert "604x1080" in known.notes[-1]
    assert with_camera(known, (10, 10)) is known
    with pytest.raises(ValueError, match="world axes"):
        with_camera(to_world(motion), (10, 10))


def test_a_real_dance_keeps_its_feet_on_the_floor_and_its_bones(reference):
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1)
    animation = animation_of(motion)
    reached = forward(animation)
    assert reached.joints[:, 15, 1].median() > 1.2, "the head is above the feet, in metres"
    assert reached.joints[:, [10, 11], 1].amin(-1).median().abs() < 0.15
    assert animation.residual.median() < 0.02 and torch.isfinite(animation.rotations).all()

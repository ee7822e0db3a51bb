import pytest
import torch
from motion4d.core.geometry.ik import solve_rotations
from motion4d.core.geometry.kinematics import forward, rest_pose
from motion4d.core.geometry.rotations import nearest_rotation, rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation, Frame, Motion, Rig, Skeleton


def posed(skeleton, generator, *, frames=6, angle=0.8):
    """A world motion of random joint turns, in float64."""
    count = len(skeleton.names)
    rotations = rotvec_to_matrix(angle * torch.randn(frames, count, 3, generator=generator, dtype=torch.float64))
    translation = torch.randn(frames, 3, generator=generator, dtype=torch.float64)
    return forward(Animation(rotations=rotations, translation=translation, fps=30.0, rig=skeleton))


def plain(motion, joints=None, confidence=None):
    return Motion(
        joints=motion.joints if joints is None else joints, confidence=motion.confidence if confidence is None else confidence,
        skeleton=motion.skeleton, fps=motion.fps, frame=motion.frame,
    )  # fmt: skip


def is_rotation(matrix):
    identity = torch.eye(3, dtype=matrix.dtype)
    return torch.allclose(matrix @ matrix.mT, identity.expand_as(matrix), atol=1e-9) and bool((torch.linalg.det(matrix) > 0.999).all())


@pytest.mark.parametrize("skeleton", [SMPL24, SMPLX55], ids=["smpl24", "smplx55"])
def test_positions_made_by_rotations_are_reached(skeleton, generator):
    motion = posed(skeleton, generator)
    found = solve_rotations(plain(motion), skeleton)
    assert is_rotation(found.rotations)
    assert found.residual.max() < 1e-9
    assert torch.allclose(forward(found).joints, motion.joints, atol=1e-9)


def test_the_rest_pose_needs_no_rotation():
    motion = Motion(joints=SMPL24.rest[None].double(), confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    found = solve_rotations(motion, SMPL24)
    assert torch.allclose(found.rotations, torch.eye(3, dtype=torch.float64).expand(1, 24, 3, 3), atol=1e-6)


def test_a_bone_turned_right_round_is_reached():
    joints = SMPL24.rest[None].double().clone()
    for joint in (18, 20, 22):  # the left arm points the other way
        joints[:, joint] = 2 * joints[:, 16] - joints[:, joint]
    found = solve_rotations(Motion(joints=joints, confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD), SMPL24)
    assert is_rotation(found.rotations) and found.residual.max() < 1e-9


def test_turning_and_moving_the_person_turns_and_moves_the_root_only(generator):
    motion = posed(SMPL24, generator, angle=0.4)
    turn = rotvec_to_matrix(torch.tensor([0.1, 2.0, -0.3], dtype=torch.float64))
    moved = plain(motion, motion.joints @ turn.T + torch.tensor([1.0, -2.0, 0.5]))
    before, after = solve_rotations(plain(motion), SMPL24), solve_rotations(moved, SMPL24)
    assert torch.allclose(after.rotations[:, 0], turn @ before.rotations[:, 0], atol=1e-9)
    assert torch.allclose(forward(after).joints, moved.joints, atol=1e-9)


def test_longer_bones_keep_their_directions(generator):
    motion = posed(SMPL24, generator, angle=0.5)
    taller = plain(motion, motion.joints * 1.1)
    found = solve_rotations(taller, SMPL24)
    reached = forward(found).joints
    thigh = torch.nn.functional.normalize(reached[:, 4] - reached[:, 1], dim=-1)
    wanted = torch.nn.functional.normalize(taller.joints[:, 4] - taller.joints[:, 1], dim=-1)
    assert (thigh * wanted).sum(-1).min() > 0.99
    assert found.residual.max() < 0.2  # centimetres a joint lags behind, not a collapse
    assert torch.isfinite(found.rotations).all()


def test_a_missing_joint_rides_with_its_parent(generator):
    motion = posed(SMPL24, generator)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[2:4, 20], confidence[2:4, 20] = torch.nan, 0.0
    found = solve_rotations(plain(motion, joints, confidence), SMPL24)
    assert torch.isfinite(found.rotations).all()
    assert found.residual[2:4, 20].isnan().all() and torch.isfinite(found.residual[:2]).all()
    reached = forward(found).joints
    seen = [joint for joint in range(24) if joint not in (20, 22)]
    assert torch.allclose(reached[:, seen], motion.joints[:, seen], atol=1e-9)
    assert torch.allclose(found.rotations[2:4, 18], torch.eye(3, dtype=torch.float64).expand(2, 3, 3), atol=1e-9)


def test_a_missing_root_holds_the_place_it_was_last_seen(generator):
    motion = posed(SMPL24, generator)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    for frame in (0, 3):
        joints[frame, 0], confidence[frame, 0] = torch.nan, 0.0
    found = solve_rotations(plain(motion, joints, confidence), SMPL24)
    assert torch.equal(found.translation[0], motion.joints[1, 0]) and torch.equal(found.translation[3], motion.joints[2, 0])


def test_a_root_that_is_never_seen_is_refused(generator):
    motion = posed(SMPL24, generator)
    confidence = motion.confidence.clone()
    confidence[:, 0] = 0.0
    with pytest.raises(ValueError, match="root joint is missing"):
        solve_rotations(plain(motion, confidence=confidence), SMPL24)


def collinear_skeleton():
    """A root with three children on one line, and a chain below the first."""
    rest = torch.tensor([[0.0, 1, 0], [0.5, 1, 0], [-0.5, 1, 0], [-0.3, 1, 0], [0.5, 0.5, 0]])
    return Skeleton(names=tuple("abcde"), parents=(-1, 0, 0, 0, 1), mirror=(0, 1, 2, 3, 4), rest=rest)


def test_children_on_a_line_are_reached_without_a_spin(generator):
    skeleton = collinear_skeleton()
    turn = rotvec_to_matrix(torch.tensor([0.0, 0.0, 0.9], dtype=torch.float64))
    rotations = torch.eye(3, dtype=torch.float64).repeat(3, 5, 1, 1)
    rotations[:, 0] = turn
    motion = forward(Animation(rotations=rotations, translation=torch.zeros(3, 3, dtype=torch.float64), fps=30.0, rig=skeleton))
    found = solve_rotations(plain(motion), skeleton)
    assert found.residual.max() < 1e-9
    assert is_rotation(found.rotations)


def test_noise_on_children_of_a_line_does_not_spin_the_joint(generator):
    skeleton = collinear_skeleton()
    joints = skeleton.rest.double() + 1e-3 * torch.randn(40, 5, 3, generator=generator, dtype=torch.float64)
    motion = Motion(joints=joints, confidence=torch.ones(40, 5), skeleton=skeleton, fps=30.0, frame=Frame.WORLD)
    found = solve_rotations(motion, skeleton)
    angle = torch.rad2deg(torch.acos(((found.rotations[:, 0].diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))
    assert angle.max() < 5


def test_several_roots_are_solved(generator):
    rest = torch.tensor([[0.0, 0, 0], [0, 1, 0], [2.0, 0, 0], [2, 0, 1], [3, 0, 1]])
    skeleton = Skeleton(names=tuple("abcde"), parents=(-1, 0, -1, 2, 3), mirror=(0, 1, 2, 3, 4), rest=rest)
    motion = posed(skeleton, generator)
    found = solve_rotations(plain(motion), skeleton)
    assert found.residual.max() < 1e-9


def test_joints_that_coincide_at_rest_do_no_harm(generator):
    rest = torch.tensor([[0.0, 0, 0], [0, 0, 0], [0, 1, 0], [0, 2, 0]])
    skeleton = Skeleton(names=tuple("abcd"), parents=(-1, 0, 1, 2), mirror=(0, 1, 2, 3), rest=rest)
    motion = posed(skeleton, generator)
    found = solve_rotations(plain(motion), skeleton)
    assert is_rotation(found.rotations) and found.residual.max() < 1e-9


def test_a_rig_with_turned_axes_is_reached(generator):
    count = 24
    rest = torch.eye(4).repeat(count, 1, 1)
    rest[:, :3, :3] = nearest_rotation(torch.randn(count, 3, 3, generator=generator))
    rest[:, :3, 3] = SMPL24.rest
    rig = Rig(
        skeleton=SMPL24, rest=rest, inverse_bind=torch.linalg.inv(rest), joint_nodes=tuple(range(count)), document={}, binary=b""
    )  # fmt: skip
    motion = posed(SMPL24, generator)
    found = solve_rotations(plain(motion), rig)
    assert found.residual.max() < 1e-6
    assert torch.allclose(forward(found).joints, motion.joints, atol=1e-5)
    assert torch.allclose(rest_pose(rig)[0], SMPL24.rest)


def test_the_result_keeps_the_precision_it_was_given(generator):
    motion = posed(SMPL24, generator)
    single = Motion(joints=motion.joints.float(), confidence=motion.confidence, skeleton=SMPL24, fps=24.0, frame=Frame.WORLD)
    found = solve_rotations(single, SMPL24)
    assert found.rotations.dtype == torch.float32 and found.fps == 24.0
    assert found.residual.max() < 1e-5


@pytest.mark.parametrize(
    ("change", "message"),
    [({"frame": Frame.CAMERA}, "camera axes"), ({"skeleton": COCO17}, "17 joints")],
)
def test_what_cannot_be_solved_is_refused(change, message, generator):
    motion = posed(SMPL24, generator)
    fields = {"joints": motion.joints, "confidence": motion.confidence, "skeleton": SMPL24, "fps": 30.0, "frame": Frame.WORLD, **change}
    if fields["skeleton"] is COCO17:
        fields |= {"joints": motion.joints[:, :17], "confidence": motion.confidence[:, :17]}
    with pytest.raises(ValueError, match=message):
        solve_rotations(Motion(**fields), SMPL24)


def test_an_unknown_twist_is_refused(generator):
    with pytest.raises(ValueError, match="twist"):
        solve_rotations(posed(SMPL24, generator), SMPL24, twist="spin")

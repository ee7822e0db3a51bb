import pytest
import torch
from motion4d.core.geometry.kinematics import (
    forward,
    joint_positions,
    placed_tracks,
    rest_pose,
    root_tracks,
    tree_levels,
    world_rotations,
)  # fmt: skip
from motion4d.core.geometry.rotations import nearest_rotation, rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation, Frame, Rig, Skeleton


def random_rotations(*shape, generator):
    return nearest_rotation(torch.randn(*shape, 3, 3, generator=generator, dtype=torch.float64))


def animation(skeleton, rotations, translation=None):
    translation = torch.zeros(len(rotations), 3, dtype=rotations.dtype) if translation is None else translation
    return Animation(rotations=rotations, translation=translation, fps=30.0, rig=skeleton)


def bent_rig(generator):
    """A rig of four joints, two of them branches, whose rest frames are turned every way."""
    skeleton = Skeleton(names=("a", "b", "c", "d"), parents=(-1, 0, 1, 0), mirror=(0, 1, 2, 3), rest=torch.randn(4, 3, generator=generator))
    rest = torch.eye(4).repeat(4, 1, 1)
    rest[:, :3, :3] = random_rotations(4, generator=generator).float()
    rest[:, :3, 3] = skeleton.rest
    return Rig(
        skeleton=skeleton, rest=rest, inverse_bind=torch.linalg.inv(rest), joint_nodes=(0, 1, 2, 3), document={}, binary=b""
    )  # fmt: skip


def test_levels_hold_every_joint_once_below_its_parent():
    for skeleton in (SMPL24, SMPLX55, COCO17):
        levels = tree_levels(skeleton.parents)
        assert sorted(joint for level in levels for joint in level) == list(range(len(skeleton.names)))
        depth = {joint: number for number, level in enumerate(levels) for joint in level}
        assert all(depth[joint] == depth[parent] + 1 for joint, parent in skeleton.bones)


def test_world_rotations_are_the_product_down_the_chain(generator):
    local = random_rotations(3, 24, generator=generator)
    world = world_rotations(local, SMPL24.parents)
    for joint in range(24):
        chain, product = joint, torch.eye(3, dtype=torch.float64)
        while chain >= 0:
            product = local[:, chain] @ product
            chain = SMPL24.parents[chain]
        assert torch.allclose(world[:, joint], product, atol=1e-12)


def test_the_identity_is_the_rest_pose():
    for skeleton in (SMPL24, SMPLX55):
        count = len(skeleton.names)
        motion = forward(animation(skeleton, torch.eye(3).expand(2, count, 3, 3), skeleton.rest[:1].expand(2, 3)))
        assert torch.allclose(motion.joints, skeleton.rest.expand(2, count, 3), atol=1e-6)
        assert motion.frame is Frame.WORLD and motion.rotations is not None


def test_forward_kinematics_agrees_with_walking_down_the_tree(generator):
    local = random_rotations(4, 24, generator=generator)
    translation = torch.randn(4, 3, generator=generator, dtype=torch.float64)
    motion = forward(animation(SMPL24, local, translation))
    rest = SMPL24.rest.double()
    for frame in range(4):
        turns, places = [], []
        for joint, parent in enumerate(SMPL24.parents):
            if parent < 0:
                turns.append(local[frame, joint])
                places.append(translation[frame])
            else:
                turns.append(turns[parent] @ local[frame, joint])
                places.append(places[parent] + turns[parent] @ (rest[joint] - rest[parent]))
        assert torch.allclose(motion.joints[frame], torch.stack(places), atol=1e-12)


def test_bones_keep_their_lengths(generator):
    motion = forward(animation(SMPLX55, random_rotations(5, 55, generator=generator)))
    child, parent = (list(ends) for ends in zip(*SMPLX55.bones, strict=True))
    lengths = (motion.joints[:, child] - motion.joints[:, parent]).norm(dim=-1)
    rest = (SMPLX55.rest[child] - SMPLX55.rest[parent]).double().norm(dim=-1)
    assert torch.allclose(lengths, rest.expand_as(lengths), atol=1e-12)


def test_a_turn_of_the_root_turns_the_body_about_it(generator):
    local, turn = random_rotations(2, 24, generator=generator), rotvec_to_matrix(torch.tensor([0.3, -1.0, 2.0], dtype=torch.float64))
    place = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64).expand(2, 3)
    before = forward(animation(SMPL24, local, place)).joints
    turned = local.clone()
    turned[:, 0] = turn @ turned[:, 0]
    after = forward(animation(SMPL24, turned, place)).joints
    assert torch.allclose(after - place[:, None], (before - place[:, None]) @ turn.T, atol=1e-12)


def test_several_roots_keep_their_distance():
    skeleton = Skeleton(
        names=("a", "b", "c"), parents=(-1, -1, 1), mirror=(0, 1, 2), rest=torch.tensor([[0.0, 0, 0], [1, 0, 0], [1, 1, 0]])
    )
    motion = forward(animation(skeleton, torch.eye(3).expand(1, 3, 3, 3), torch.tensor([[5.0, 0, 0]])))
    assert torch.equal(motion.joints[0], torch.tensor([[5.0, 0, 0], [6, 0, 0], [6, 1, 0]]))


def test_a_rig_at_its_own_local_rotations_rests(generator):
    rig = bent_rig(generator)
    rest, world = rest_pose(rig)
    local = torch.stack([world[j] if p < 0 else world[p].T @ world[j] for j, p in enumerate(rig.skeleton.parents)])
    motion = forward(animation(rig, local[None], rest[:1]))
    assert torch.allclose(motion.joints[0], rest, atol=1e-5)
    assert motion.rotations is None


def test_a_turn_of_a_whole_rig_turns_its_joints(generator):
    rig = bent_rig(generator)
    rest, world = rest_pose(rig)
    turn = random_rotations(1, generator=generator)[0].float()
    positions = joint_positions((turn @ world)[None], rest[:1], rest, world, rig.skeleton.parents)
    assert torch.allclose(positions[0] - rest[0], (rest - rest[0]) @ turn.T, atol=1e-5)


def test_a_skeleton_without_rest_positions_cannot_be_animated():
    with pytest.raises(ValueError, match="no rest positions"):
        rest_pose(COCO17)
    with pytest.raises(ValueError, match="no rest positions"):
        animation(COCO17, torch.eye(3).expand(1, 17, 3, 3))


def test_a_skeleton_s_rest_pose_follows_its_motion_to_another_device_and_precision():
    # "meta" is a device of its own: what is left on the CPU cannot be mixed with it.
    turns, path = torch.eye(3, dtype=torch.float64).expand(2, 24, 3, 3), torch.zeros(2, 3, dtype=torch.float64)
    joints = joint_positions(turns.to("meta"), path.to("meta"), *rest_pose(SMPL24), SMPL24.parents)
    assert joints.device.type == "meta" and joints.dtype == torch.float64 and joints.shape == (2, 24, 3)


def test_placed_joints_stand_where_they_are_put_and_carry_what_hangs_on_them(generator):
    rig = bent_rig(generator)
    turns, places = random_rotations(3, 4, generator=generator), torch.randn(3, 1, 3, generator=generator, dtype=torch.float64)
    free = animation(rig, turns)
    put = Animation(rotations=turns, translation=free.translation, fps=30.0, rig=rig, placed=(1,), places=places)
    before, after = forward(free).joints, forward(put).joints
    assert torch.equal(after[:, 1], places[:, 0]) and torch.equal(after[:, [0, 3]], before[:, [0, 3]])
    assert torch.allclose(after[:, 2] - after[:, 1], before[:, 2] - before[:, 1], atol=1e-12)
    # Seen from the parent the place is the same, wherever that is.
    seen = placed_tracks(put)[1]
    world = world_rotations(turns, rig.skeleton.parents)
    assert torch.allclose((world[:, 0] @ seen[..., None])[..., 0] + after[:, 0], places[:, 0], atol=1e-12)
    assert placed_tracks(free) == {}


def test_further_roots_are_placed_too():
    skeleton = Skeleton(names=("a", "b", "c"), parents=(-1, -1, 1), mirror=(0, 1, 2), rest=torch.eye(3))
    places = torch.tensor([[[4.0, 5.0, 6.0]]])
    put = Animation(
        rotations=torch.eye(3).expand(1, 3, 3, 3), translation=torch.zeros(1, 3), fps=30.0, rig=skeleton, placed=(1,), places=places
    )
    assert torch.equal(root_tracks(put)[1], places[:, 0].double()) and torch.equal(root_tracks(put)[0], torch.zeros(1, 3).double())
    assert torch.equal(forward(put).joints[0, 2], torch.tensor([4.0, 4.0, 7.0]))


@pytest.mark.parametrize("placed", [(0,), (1, 1), (3,), (), (1, 2)])
def test_places_that_belong_to_no_joint_are_refused(placed):
    skeleton = Skeleton(names=("a", "b", "c"), parents=(-1, -1, 1), mirror=(0, 1, 2), rest=torch.eye(3))
    places = torch.zeros(1, 2 if placed == (1, 1) else 1, 3)
    with pytest.raises(ValueError, match="place"):
        Animation(
            rotations=torch.eye(3).expand(1, 3, 3, 3), translation=torch.zeros(1, 3), fps=30.0, rig=skeleton, placed=placed, places=places
        )

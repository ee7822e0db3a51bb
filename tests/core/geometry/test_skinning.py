from dataclasses import replace

import pytest
import torch
from motion4d.core.formats import load_rig
from motion4d.core.formats.gltf_meshes import load_meshes
from motion4d.core.formats.rig_animation import rig_animation
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.skinning import joint_matrices, pose_meshes, rest_motion
from motion4d.core.types import Animation, Rig, RigMesh, Skeleton


def affine(linear, place):
    matrix = torch.eye(4, dtype=torch.float64)
    matrix[:3, :3], matrix[:3, 3] = linear, torch.as_tensor(place, dtype=torch.float64)
    return matrix


@pytest.fixture
def arm(generator):
    """Three joints with scales and axes of their own, a mesh bound to them at rest with normals, and an animation."""
    turns = rotvec_to_matrix(torch.randn(3, 3, generator=generator, dtype=torch.float64))
    scales = (1.0, 2.0, 0.5)
    places = ([0.0, 1.0, 0.0], [0.0, 2.0, 0.0], [1.0, 2.5, 0.0])
    rest = torch.stack([affine(turn * scale, place) for turn, scale, place in zip(turns, scales, places, strict=True)])
    skeleton = Skeleton(names=("a", "b", "c"), parents=(-1, 0, 1), mirror=(0, 1, 2), rest=rest[:, :3, 3].float())
    binds = torch.linalg.inv(rest).float()
    rig = Rig(skeleton=skeleton, rest=rest.float(), inverse_bind=binds, joint_nodes=(0, 1, 2), document={}, binary=b"")
    count = 40
    weights = torch.rand(count, 3, generator=generator)
    mesh = RigMesh(
        vertices=torch.randn(count, 3, generator=generator), faces=torch.arange(39).reshape(-1, 3), joints=torch.tensor([[0, 1, 2]]).repeat(count, 1),
        weights=weights / weights.sum(1, keepdim=True), inverse_bind=binds, node_to_world=torch.eye(4), base_color=torch.ones(4),
        morphs=torch.zeros(0, count, 3), morph_weights=torch.zeros(0), node=0, name="arm",
        normals=torch.nn.functional.normalize(torch.randn(count, 3, generator=generator), dim=-1),
    )  # fmt: skip
    animation = Animation(
        rotations=rotvec_to_matrix(torch.randn(5, 3, 3, generator=generator)),
        translation=torch.randn(5, 3, generator=generator),
        fps=30.0,
        rig=rig,
    )
    return rig, mesh, animation


def test_a_mesh_bound_at_rest_rests_where_it_is(arm):
    rig, mesh, _ = arm
    posed = pose_meshes(rig, [mesh])[0]
    torch.testing.assert_close(posed.vertices[0], mesh.vertices.double(), atol=2e-6, rtol=0)
    torch.testing.assert_close(posed.normals[0], mesh.normals.double(), atol=2e-6, rtol=0)
    assert torch.equal(posed.faces, mesh.faces)


def test_joints_stand_where_forward_kinematics_puts_them_with_their_scales(arm):
    rig, _, animation = arm
    matrices = joint_matrices(rig, animation)
    torch.testing.assert_close(matrices[..., :3, 3], forward(animation).joints.double(), atol=1e-5, rtol=0)
    sizes = matrices[..., :3, :3].norm(dim=-2)
    torch.testing.assert_close(sizes, torch.tensor([1.0, 2.0, 0.5], dtype=torch.float64)[:, None].expand(5, 3, 3), atol=1e-5, rtol=0)
    torch.testing.assert_close(joint_matrices(rig)[0], rig.rest.double())


def test_skinning_agrees_with_a_loop_over_vertices(arm):
    rig, mesh, animation = arm
    posed, matrices = pose_meshes(rig, [mesh], animation, [3, 1])[0], joint_matrices(rig, animation)
    for row, frame in enumerate((3, 1)):
        for vertex in range(0, 40, 7):
            expected, linear = torch.zeros(4, dtype=torch.float64), torch.zeros(3, 3, dtype=torch.float64)
            for joint, weight in zip(mesh.joints[vertex].tolist(), mesh.weights[vertex].double(), strict=True):
                carried = matrices[frame, joint] @ mesh.inverse_bind[joint].double()
                expected += weight * (carried @ torch.cat([mesh.vertices[vertex].double(), torch.ones(1, dtype=torch.float64)]))
                linear += weight * carried[:3, :3]
            torch.testing.assert_close(posed.vertices[row, vertex], expected[:3], atol=1e-9, rtol=0)
            normal = torch.linalg.inv(linear).mT @ mesh.normals[vertex].double()
            torch.testing.assert_close(posed.normals[row, vertex], normal / normal.norm(), atol=1e-9, rtol=0)


def test_a_rigid_motion_of_the_root_carries_the_whole_mesh(arm):
    rig, mesh, animation = arm
    turn, shift = rotvec_to_matrix(torch.tensor([0.3, -1.0, 0.4])), torch.tensor([2.0, 0.5, -1.0])
    turned = animation.rotations.clone()
    turned[:, 0] = turn @ turned[:, 0]
    moved = replace(animation, rotations=turned, translation=animation.translation @ turn.mT + shift)
    before, after = (pose_meshes(rig, [mesh], one)[0] for one in (animation, moved))
    torch.testing.assert_close(after.vertices, before.vertices @ turn.mT.double() + shift.double(), atol=2e-5, rtol=0)
    torch.testing.assert_close(after.normals, before.normals @ turn.mT.double(), atol=2e-6, rtol=0)


def test_equal_vertices_stay_equal_to_the_last_bit(arm):
    rig, mesh, animation = arm
    order = torch.randperm(40, generator=torch.Generator().manual_seed(1))
    shuffled = replace(
        mesh, vertices=mesh.vertices[order], joints=mesh.joints[order], weights=mesh.weights[order], normals=mesh.normals[order]
    )
    one, other = (pose_meshes(rig, [part], animation)[0].vertices for part in (mesh, shuffled))
    assert torch.equal(one[:, order], other)


def test_morphs_move_vertices_before_the_joints_do(arm, generator):
    rig, mesh, _ = arm
    morphs = torch.randn(2, 40, 3, generator=generator)
    posed = pose_meshes(rig, [replace(mesh, morphs=morphs, morph_weights=torch.tensor([0.25, -1.0]))])[0]
    torch.testing.assert_close(posed.vertices[0], (mesh.vertices + 0.25 * morphs[0] - morphs[1]).double(), atol=5e-6, rtol=0)


def test_what_nothing_moves_stays_at_its_node(arm):
    rig, mesh, animation = arm
    node = affine(torch.eye(3, dtype=torch.float64) * 3, [1.0, 2.0, 3.0]).float()
    still = replace(mesh, joints=torch.zeros(40, 0, dtype=torch.long), weights=torch.zeros(40, 0), node_to_world=node)
    posed = pose_meshes(rig, [still], animation)[0]
    torch.testing.assert_close(posed.vertices, (mesh.vertices.double() * 3 + node[:3, 3]).expand(5, 40, 3))


def test_the_fox_follows_its_own_animations(reference):
    rig = load_rig(reference("data", "fox.glb"))
    (mesh,) = load_meshes(rig)
    animation = rig_animation(rig, 1)
    posed = pose_meshes(rig, [mesh], animation)[0].vertices
    joints = forward(animation).joints.double()
    head = rig.skeleton.index("b_Head_05")
    own = (mesh.joints == head) & (mesh.weights > 0.99)
    skin = posed[:, own.any(1)]
    distance = (skin - joints[:, None, head]).norm(dim=-1)
    assert own.any() and (distance - distance[0]).abs().max() < 1e-3  # the skull is rigid; the fox is 150 units long
    assert (skin - skin[:1]).norm(dim=-1).max() > 5


def test_animations_of_other_skeletons_and_frames_are_refused(arm):
    rig, _, animation = arm
    other = replace(rig, skeleton=replace(rig.skeleton, names=("x", "y", "z")))
    with pytest.raises(ValueError, match="not this rig's"):
        joint_matrices(other, animation)
    with pytest.raises(ValueError, match="frame is 5, the animation has 5"):
        joint_matrices(rig, animation, [0, 5])
    with pytest.raises(ValueError, match="rest pose has frame 0 only"):
        joint_matrices(rig, None, [2])


def test_rest_motion_holds_the_rest_joints(arm):
    rig, _, _ = arm
    motion = rest_motion(rig, fps=24.0)
    assert torch.equal(motion.joints[0], rig.rest[:, :3, 3]) and motion.fps == 24.0 and motion.seen.all()

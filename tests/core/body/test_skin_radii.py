import time
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.anthropometry import bone_sections, parse_radii
from motion4d.core.body.rig_framing import fit_cube, place_rig_cameras
from motion4d.core.body.skin_radii import radii_text, skin_radii
from motion4d.core.formats import load_rig
from motion4d.core.formats.gltf_meshes import load_meshes
from motion4d.core.geometry.skinning import rest_motion
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.core.maps.mesh_views import render_meshes
from motion4d.core.types import Rig, RigMesh, Skeleton

RADII = (0.05, 0.12, 0.03)


@pytest.fixture
def branch():
    """A trunk that forks in two, and tubes of known radii around its three bones, the last one at an angle."""
    places = torch.tensor([[0.0, 0, 0], [0, 1, 0], [-0.8, 1.6, 0], [0.8, 1.6, 0]])
    rest = torch.eye(4).repeat(4, 1, 1)
    rest[:, :3, 3] = places
    skeleton = Skeleton(names=("root", "fork", "left", "right"), parents=(-1, 0, 1, 1), mirror=(0, 1, 3, 2), rest=places)
    rig = Rig(skeleton=skeleton, rest=rest, inverse_bind=torch.linalg.inv(rest), joint_nodes=(0, 1, 2, 3), document={}, binary=b"")
    return rig, tuple(tube(rig, child, parent, radius) for (child, parent), radius in zip(skeleton.bones, RADII, strict=True))


def tube(rig, child, parent, radius, rings=11, sides=12):
    start, end = rig.skeleton.rest[parent], rig.skeleton.rest[child]
    along = torch.nn.functional.normalize(end - start, dim=0)
    across = torch.tensor([0.0, 0.0, 1.0])
    third = torch.linalg.cross(along, across)
    angle, place = torch.arange(sides) * (2 * torch.pi / sides), torch.linspace(0.1, 0.9, rings)
    ring = radius * (angle.cos()[:, None] * across + angle.sin()[:, None] * third)
    vertices = ((start + place[:, None] * (end - start))[:, None] + ring).reshape(-1, 3)
    count = len(vertices)
    return RigMesh(
        vertices=vertices, faces=torch.arange(count // 3 * 3).reshape(-1, 3), joints=torch.full((count, 1), parent), weights=torch.ones(count, 1),
        inverse_bind=rig.inverse_bind, node_to_world=torch.eye(4), base_color=torch.ones(4), morphs=torch.zeros(0, count, 3),
        morph_weights=torch.zeros(0), node=0, name=f"tube {child}",
    )  # fmt: skip


def test_tubes_have_their_radii(branch):
    rig, meshes = branch
    torch.testing.assert_close(skin_radii(rig, meshes), torch.tensor(RADII, dtype=torch.float64), atol=1e-6, rtol=0)


def test_radii_scale_with_the_rig_and_do_not_mind_half_shares(branch):
    rig, meshes = branch
    large = replace(rig, rest=rig.rest.clone(), skeleton=replace(rig.skeleton, rest=rig.skeleton.rest * 100))
    large.rest[:, :3, 3] *= 100
    large = replace(large, inverse_bind=torch.linalg.inv(large.rest))
    shared = [
        replace(
            mesh, vertices=mesh.vertices * 100, inverse_bind=large.inverse_bind, joints=torch.cat([mesh.joints, torch.full_like(mesh.joints, 3)], 1),
            weights=torch.tensor([[0.5, 0.5]]).expand(len(mesh.vertices), 2),
        )
        for mesh in meshes
    ]  # fmt: skip
    torch.testing.assert_close(skin_radii(large, shared), 100 * torch.tensor(RADII, dtype=torch.float64), atol=1e-4, rtol=0)


def test_a_vertex_that_names_a_joint_twice_follows_it_with_both_shares(branch):
    """Two slots of 0.3 are more than half, so that others of 0.4, farther out, do not count."""
    rig, meshes = branch
    trunk = meshes[0]
    count = len(trunk.vertices)
    weights = torch.tensor([[0.3, 0.4, 0.3]]).expand(count, 3)
    doubled = replace(trunk, joints=torch.tensor([[0, 3, 0]]).expand(count, 3), weights=weights)
    outer = replace(trunk, vertices=trunk.vertices * torch.tensor([9.0, 1.0, 9.0]), joints=torch.tensor([[0, 3]]).expand(count, 2),
                    weights=torch.tensor([[0.4, 0.6]]).expand(count, 2))  # fmt: skip
    found = skin_radii(rig, (doubled, outer, outer, *meshes[1:]))
    torch.testing.assert_close(found, torch.tensor(RADII, dtype=torch.float64), atol=1e-6, rtol=0)


def test_many_joints_and_vertices_take_neither_long_nor_much_memory(generator):
    count, joints = 50_000, 300
    places = torch.randn(joints, 3, generator=generator)
    rest = torch.eye(4).repeat(joints, 1, 1)
    rest[:, :3, 3] = places
    names = tuple(f"joint{joint}" for joint in range(joints))
    skeleton = Skeleton(names=names, parents=(-1, *range(joints - 1)), mirror=tuple(range(joints)), rest=places)
    rig = Rig(skeleton=skeleton, rest=rest, inverse_bind=torch.linalg.inv(rest), joint_nodes=tuple(range(joints)), document={}, binary=b"")
    carriers = torch.randint(0, joints, (count, 4), generator=generator)
    mesh = RigMesh(
        vertices=places[carriers[:, 0]] + torch.randn(count, 3, generator=generator), faces=torch.zeros(1, 3, dtype=torch.int64), joints=carriers,
        weights=torch.full((count, 4), 0.25), inverse_bind=rig.inverse_bind, node_to_world=torch.eye(4), base_color=torch.ones(4),
        morphs=torch.zeros(0, count, 3), morph_weights=torch.zeros(0), node=0, name="dense",
    )  # fmt: skip
    started = time.process_time()
    assert torch.isfinite(skin_radii(rig, [mesh])).all()
    assert time.process_time() - started < 1


def test_bones_without_skin_beside_them_are_as_thick_as_their_length_makes_them(branch):
    rig, meshes = branch
    usual = bone_sections(rest_motion(rig))[:, 0]
    assert torch.equal(skin_radii(rig, []), usual)
    assert skin_radii(rig, meshes[:2])[2] == usual[2]


def test_bones_of_joints_without_any_skin_have_no_flesh(branch):
    rig, meshes = branch
    assert skin_radii(rig, meshes[1:])[0] == 0
    assert skin_radii(rig, meshes[:1])[1:].tolist() == [0, 0]


def test_radii_travel_as_text(branch):
    rig, meshes = branch
    assert parse_radii(radii_text(rig, skin_radii(rig, meshes))) == pytest.approx(
        dict(zip(("fork", "left", "right"), RADII, strict=True)), rel=1e-3
    )


def test_bone_maps_of_the_fox_fill_more_of_its_outline_with_its_own_radii(reference):
    rig = load_rig(reference("data", "fox.glb"))
    meshes = load_meshes(rig)
    cameras = place_rig_cameras(fit_cube(rig, meshes), image_size=(240, 416))
    mesh = render_meshes(rig, meshes, cameras).maps.mask

    def overlap(radii):
        bones = render_bone_maps(rest_motion(rig), cameras, radii=radii).mask
        return float((mesh & bones).sum() / (mesh | bones).sum())

    assert overlap(skin_radii(rig, meshes)) > 0.6 > 0.4 > overlap(None)

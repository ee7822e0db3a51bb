from dataclasses import replace

import pytest
import torch
from motion4d.core.body.rig_framing import LITERAL_AZIMUTHS, fit_cube, place_rig_cameras
from motion4d.core.formats import load_rig
from motion4d.core.formats.gltf_meshes import load_meshes
from motion4d.core.formats.rig_animation import rig_animation
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.skinning import pose_meshes
from motion4d.core.types import Animation

SIZE = (480, 832)


@pytest.fixture
def fox(reference):
    rig = load_rig(reference("data", "fox.glb"))
    return rig, load_meshes(rig)


def test_the_box_around_the_rest_pose_takes_its_margin_of_the_cube(fox):
    rig, meshes = fox
    cube = fit_cube(rig, meshes)
    points = cube.apply(pose_meshes(rig, meshes)[0].vertices[0])
    low, high = points.amin(0), points.amax(0)
    torch.testing.assert_close((high - low).max(), torch.tensor(0.8, dtype=torch.float64))
    torch.testing.assert_close(low + high, torch.zeros(3, dtype=torch.float64), atol=1e-9, rtol=0)
    torch.testing.assert_close(cube.undo(points), pose_meshes(rig, meshes)[0].vertices[0])


def test_the_box_of_an_animation_holds_all_of_its_frames(fox):
    rig, meshes = fox
    animation = rig_animation(rig, 2, fps=6)
    cube = fit_cube(rig, meshes, animation, margin=1.0)
    points = cube.apply(pose_meshes(rig, meshes, animation)[0].vertices)
    assert points.abs().max() == pytest.approx(0.5)


def test_cameras_in_the_world_see_what_cameras_around_the_cube_see(fox):
    rig, meshes = fox
    cube, points = fit_cube(rig, meshes), pose_meshes(rig, meshes)[0].vertices[0]
    cameras = place_rig_cameras(cube, image_size=SIZE)
    unit = orbit_rig([0, 90, 180, 270], radius=2.7, image_size=SIZE, focal_px=910.0)
    (pixels, depth), (expected, near) = cameras.project(points), unit.project(cube.apply(points))
    torch.testing.assert_close(pixels, expected, atol=2e-3, rtol=0)
    torch.testing.assert_close(depth * cube.scale, near, atol=1e-5, rtol=0)
    assert cameras.intrinsics[0, 0, 0] == 910 and cameras.closed


def test_a_unit_cube_is_always_in_the_picture(fox):
    rig, meshes = fox
    cube = fit_cube(rig, meshes)
    corners = cube.undo(torch.cartesian_prod(*[torch.tensor([-0.5, 0.5], dtype=torch.float64)] * 3))
    pixels, _ = place_rig_cameras(cube, image_size=SIZE).project(corners)
    assert ((pixels > 0) & (pixels < torch.tensor([832.0, 480.0]))).all()


def test_the_azimuths_as_printed_differ_in_the_view_from_behind(fox):
    cube = fit_cube(*fox)
    usual, printed = (place_rig_cameras(cube, image_size=SIZE, **given).centers for given in ({}, {"azimuths_deg": LITERAL_AZIMUTHS}))
    assert torch.equal(usual[[0, 1, 3]], printed[[0, 1, 3]])
    away = [centers[2].double() - cube.center for centers in (usual, printed)]
    assert torch.rad2deg(torch.atan2(-away[1][0], -away[1][2])) == pytest.approx(10.0, abs=1e-3)
    assert away[0][0].abs() < 1e-3


def test_a_rig_without_meshes_is_framed_by_its_joints(fox):
    rig, _ = fox
    points = fit_cube(rig, [], margin=1.0).apply(rig.rest[:, :3, 3].double())
    assert points.abs().max() == pytest.approx(0.5)


def test_what_cannot_be_framed_is_refused(fox):
    rig, meshes = fox
    with pytest.raises(ValueError, match="margin is 0"):
        fit_cube(rig, meshes, margin=0.0)
    flat = replace(
        meshes[0], vertices=torch.zeros_like(meshes[0].vertices), joints=meshes[0].joints[:, :0], weights=meshes[0].weights[:, :0]
    )
    with pytest.raises(ValueError, match="no extent"):
        fit_cube(rig, [flat])
    with pytest.raises(ValueError, match="units large"):
        fit_cube(rig, [replace(flat, vertices=torch.full_like(flat.vertices, 3e38).triu())])
    with pytest.raises(ValueError, match="lens is 0"):
        place_rig_cameras(fit_cube(rig, meshes), image_size=SIZE, lens=0.0)
    other = Animation(rotations=torch.eye(3).expand(1, 1, 3, 3), translation=torch.zeros(1, 3), fps=30.0, rig=one_joint(rig))
    with pytest.raises(ValueError, match="not this rig's"):
        fit_cube(rig, meshes, other)


def one_joint(rig):
    skeleton = replace(rig.skeleton, names=("a",), parents=(-1,), mirror=(0,), rest=torch.zeros(1, 3))
    return replace(rig, skeleton=skeleton, rest=rig.rest[:1], inverse_bind=rig.inverse_bind[:1], joint_nodes=(0,))

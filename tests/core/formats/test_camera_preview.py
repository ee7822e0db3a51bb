"""The GLB that shows a rig: what is drawn lies where the cameras are."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.animation import to_world
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.framing import frame_path
from motion4d.core.formats.camera_preview import cameras_preview_glb, tubes, view_colours
from motion4d.core.formats.gltf_accessors import read_accessor
from motion4d.core.formats.gltf_container import read_container
from motion4d.core.geometry.camera_paths import gather_views, turntable
from motion4d.core.geometry.cameras import orbit_rig, own_camera, with_camera
from motion4d.core.types import Frame

SIZE = (96, 64)


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=1.0, fps=20.0)


def views_of(path):
    """{name of the node: (points (N, 3), colours (N, 4))} of the meshes that are views, and the document."""
    document, binary = read_container(path)
    found = {}
    for node in document["scenes"][0]["nodes"]:
        name = document["nodes"][node].get("name", "")
        if name.startswith("view "):
            attributes = document["meshes"][document["nodes"][node]["mesh"]]["primitives"][0]["attributes"]
            found[name] = tuple(read_accessor(document, binary, attributes[key]) for key in ("POSITION", "COLOR_0"))
    return found, document


def written(tmp_path, *args, **options):
    path = tmp_path / "rig.glb"
    path.write_bytes(cameras_preview_glb(*args, **options))
    return path


def test_each_view_is_drawn_around_its_camera_in_its_colour(tmp_path):
    rig = turntable(6, radius=3.0, image_size=SIZE, elevation_deg=20.0)
    views, document = views_of(written(tmp_path, rig))
    assert len(views) == 6 and "animations" not in document
    hues = view_colours(6)
    assert len({tuple(hue) for hue in hues.round(3).tolist()}) == 6
    for view in range(6):
        points, colours = views[f"view {view}"]
        distance = (points - rig.centers[view]).norm(dim=-1)
        assert distance.min() < 0.01 and 0.3 < distance.max() < 1.0
        shown = colours[0, :3] / colours[0, :3].max()
        assert torch.allclose(shown, torch.from_numpy(hues[view] ** 2.2 / (hues[view] ** 2.2).max()).float(), atol=0.02)
        pixels, depth = rig.take_views([view]).project(points[depth_far(rig, view, points)])
        inside = (pixels[0] > -4).all(-1) & (pixels[0, :, 0] < 68) & (pixels[0, :, 1] < 100)
        above = pixels[0, :, 1] < 0
        assert (depth > 0).all() and (inside | above).all() and above.any()  # the picture, and the roof over it


def depth_far(rig, view, points):
    return rig.to_camera(points)[view][:, 2] > 0.2


def test_a_moving_camera_shows_its_path_and_five_frusta(tmp_path, walk):
    rig = frame_path(walk, "turn", image_size=SIZE)
    points, _ = views_of(written(tmp_path, rig))[0]["view 0"]
    assert len(points) == 8 * (5 * 10 + rig.frames - 1)
    for center in rig.centers[0]:
        assert (points - center).norm(dim=-1).min() < 0.05


def test_a_camera_that_stands_still_for_a_while_has_no_rod_of_no_length(tmp_path, walk):
    held = frame_path(walk, "dolly in", image_size=SIZE, distance=0.0)
    points, _ = views_of(written(tmp_path, held))[0]["view 0"]
    assert len(points) == 8 * 50 and torch.isfinite(points).all()


def test_the_person_stands_among_the_cameras(tmp_path, walk):
    views, document = views_of(written(tmp_path, turntable(3, radius=3.0, image_size=SIZE), motion=walk))
    assert len(views) == 3 and len(document["animations"]) == 1 and len(document["skins"]) == 1
    assert len(document["scenes"][0]["nodes"]) == 5


def test_a_filmed_motion_is_stood_up_together_with_its_camera(tmp_path, walk):
    joints = walk.joints * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 0.4, 4.0])
    filmed = with_camera(replace(walk, joints=joints, rotations=None, translation=None, frame=Frame.CAMERA), SIZE)
    points, _ = views_of(written(tmp_path, own_camera(filmed), motion=filmed))[0]["view 0"]
    stood = to_world(filmed)
    camera = stood.joints[0, 0] - filmed.joints[0, 0] * torch.tensor([1.0, -1.0, -1.0])
    assert camera[1] > 0.3 and (points - camera).norm(dim=-1).min() < 0.02
    assert float(points[:, 2].mean()) < float(camera[2]) - 0.1  # it looks along -Z of the world, where the person walks
    with pytest.raises(ValueError, match="other cameras"):
        cameras_preview_glb(orbit_rig([0.0], radius=3.0, image_size=SIZE), motion=filmed)


def test_the_khronos_validator_finds_nothing(tmp_path, walk, validate):
    rig = gather_views([frame_path(walk, path, image_size=SIZE) for path in ("turn", "dolly zoom in")])
    for number, motion in enumerate((walk, None)):
        result = validate(written(tmp_path, rig, motion=motion))
        assert result.returncode == 0, (number, result.stderr)


def test_rods_are_closed_about_their_line_with_their_faces_outward(generator):
    starts, ends = torch.randn(2, 7, 3, generator=generator, dtype=torch.float64).numpy()
    points, normals, triangles = tubes(starts, ends, 0.1)
    rods = points.reshape(7, 2, 4, 3)
    assert np.allclose(rods.mean(2), np.stack([starts, ends], 1)) and np.allclose(np.linalg.norm(normals, axis=1), 1)
    a, b, c = (points[triangles[:, corner]] for corner in range(3))
    facing = np.cross(b - a, c - a)
    outward = (a + b + c) / 3 - ((starts + ends) / 2)[np.repeat(np.arange(7), 8)]
    along = (ends - starts)[np.repeat(np.arange(7), 8)]
    outward -= along * ((outward * along).sum(1) / (along**2).sum(1))[:, None]
    assert ((facing * outward).sum(1) > 0).all()

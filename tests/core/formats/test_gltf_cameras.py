"""Cameras in glTF scenes: written and read again, and read from files made here by hand."""

import json
import math
import struct

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.framing import frame_path
from motion4d.core.formats.gltf_cameras import cameras_glb, load_cameras, save_cameras
from motion4d.core.geometry.camera_paths import dolly_path, gather_views, turning_path, turntable
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.types import CameraRig

SIZE = (96, 64)


def pack(document, binary=b""):
    text = json.dumps({"asset": {"version": "2.0"}, **document}).encode()
    text += b" " * (-len(text) % 4)
    chunks = struct.pack("<II", len(text), 0x4E4F534A) + text
    chunks += struct.pack("<II", len(binary), 0x004E4942) + binary if binary else b""
    return struct.pack("<4sII", b"glTF", 2, 12 + len(chunks)) + chunks


def scene(nodes, **fields):
    return {"nodes": nodes, "cameras": [{"type": "perspective", "perspective": {"yfov": 1.0, "znear": 0.1}}], **fields}


def animated(node_fields=(), *, times=(0.0, 1.0, 3.0), values, path="translation", mode=None, parent=None):
    """A document whose node 0 has a camera, and is moved, or node 1 above it, by one channel."""
    nodes = [{"camera": 0, **dict(node_fields)}] + ([{"children": [0]}] if parent else [])
    keys, outputs = np.array(times, "<f4"), np.array(values, "<f4")
    binary = keys.tobytes() + outputs.tobytes()
    sampler = {"input": 0, "output": 1} | ({"interpolation": mode} if mode else {})
    document = scene(
        nodes,
        animations=[{"samplers": [sampler], "channels": [{"sampler": 0, "target": {"node": 1 if parent else 0, "path": path}}]}],
        accessors=[
            {"bufferView": 0, "componentType": 5126, "count": len(keys), "type": "SCALAR"},
            {"bufferView": 1, "componentType": 5126, "count": len(outputs), "type": f"VEC{outputs.shape[1]}"},
        ],
        bufferViews=[
            {"buffer": 0, "byteLength": keys.nbytes},
            {"buffer": 0, "byteOffset": keys.nbytes, "byteLength": outputs.nbytes},
        ],
        buffers=[{"byteLength": len(binary)}],
    )
    return document, binary


def load(tmp_path, document, binary=b"", **options):
    path = tmp_path / "cameras.glb"
    path.write_bytes(pack(document, binary))
    return load_cameras(path, **options)


def test_still_cameras_come_back(tmp_path):
    rig = turntable(5, radius=3.0, image_size=SIZE, elevation_deg=25.0, vertical_fov_deg=33.0, target=(0.1, 1.0, 0.3))
    assert save_cameras(rig, tmp_path / "rig.glb") == ()
    found = load_cameras(tmp_path / "rig.glb", image_size=SIZE)
    assert found.rig.frames is None and found.names == tuple(f"view {view}" for view in range(5))
    assert torch.allclose(found.rig.world_to_camera, rig.world_to_camera, atol=1e-6)
    assert torch.allclose(found.rig.intrinsics, rig.intrinsics, rtol=1e-5)
    assert load_cameras(tmp_path / "rig.glb").rig.image_size == (768, 512)


def test_moving_cameras_come_back_with_their_rolls(tmp_path):
    walk = demo_motion("walk", seconds=1.0, fps=20.0)
    rig = gather_views([frame_path(walk, path, image_size=SIZE) for path in ("turn", "crane up", "dolly in")])
    turned = rotvec_to_matrix(torch.linspace(0, 7, rig.frames)[:, None] * torch.tensor([0.0, 0.0, 1.0]))
    rig = CameraRig(intrinsics=rig.intrinsics, world_to_camera=turned @ rig.world_to_camera, image_size=SIZE)
    save_cameras(rig, tmp_path / "rig.glb", fps=20.0)
    found = load_cameras(tmp_path / "rig.glb", image_size=SIZE, fps=20.0)
    assert found.rig.frames == rig.frames and (found.rig.world_to_camera - rig.world_to_camera).abs().max() < 5e-6
    longer = load_cameras(tmp_path / "rig.glb", image_size=SIZE, fps=40.0, frames=60).rig
    assert longer.frames == 60 and (longer.world_to_camera[:, 0:39:2] - rig.world_to_camera).abs().max() < 5e-6
    assert torch.equal(longer.world_to_camera[:, 40], longer.world_to_camera[:, 59])  # the animation has ended


def test_what_gltf_cannot_hold_is_told(tmp_path):
    zoom = dolly_path(4, eye=(0, 1, 5), target=(0, 1, 0), shift=(0, 0, 2), image_size=SIZE, hold_size=True)
    assert "focal length" in save_cameras(zoom, tmp_path / "zoom.glb")[0]
    rig = orbit_rig([0.0], radius=3.0, image_size=SIZE)
    lens = rig.intrinsics.clone()
    lens[:, 0, 2] += 5
    shifted = CameraRig(intrinsics=lens, world_to_camera=rig.world_to_camera, image_size=SIZE)
    assert "principal point" in save_cameras(shifted, tmp_path / "off.glb")[0]


@pytest.mark.parametrize("moving", [False, True])
def test_the_khronos_validator_finds_nothing(tmp_path, validate, moving):
    rig = turning_path(6, radius=3.0, image_size=SIZE) if moving else turntable(3, radius=3.0, image_size=SIZE)
    (tmp_path / "rig.glb").write_bytes(cameras_glb(rig))
    result = validate(tmp_path / "rig.glb")
    assert result.returncode == 0, result.stderr


def test_a_camera_of_a_scene_looks_down_its_minus_z(tmp_path):
    """Node at (1, 2, 3) below a parent that is turned a quarter about Y and scaled by 2: it stands at (6, 4, -2) and looks along -X."""
    half = math.sqrt(0.5)
    nodes = [{"name": "eye", "camera": 0, "translation": [1, 2, 3]}, {"children": [0], "rotation": [0, half, 0, half], "scale": [2, 2, 2]}]
    found = load(tmp_path, scene(nodes), image_size=(100, 50))
    assert found.names == ("eye",)
    assert torch.allclose(found.rig.centers[0], torch.tensor([6.0, 4.0, -2.0]), atol=1e-5)
    pixels, depth = found.rig.project(torch.tensor([[0.0, 4.0, -2.0], [0.0, 5.0, -2.0]]))
    assert torch.allclose(depth[0], torch.tensor([6.0, 6.0]), atol=1e-5)
    focal = 50 / math.tan(0.5)
    assert torch.allclose(pixels[0], torch.tensor([[25.0, 50.0], [25.0, 50.0 - focal / 6]]), atol=1e-3)


@pytest.mark.parametrize("parent", [False, True])
def test_keys_are_interpolated_as_the_specification_says(tmp_path, parent):
    values = [[0, 0, 0], [2, 0, 0], [2, 4, 0]]
    halves = {None: [1, 0, 0], "LINEAR": [1, 0, 0], "STEP": [0, 0, 0]}
    for mode, half in halves.items():
        rig = load(tmp_path, *animated(values=values, mode=mode, parent=parent), fps=2.0).rig
        assert rig.frames == 7
        centers = rig.centers[0]
        assert torch.allclose(centers[[0, 1, 2, 6]], torch.tensor([values[0], half, values[1], values[2]]).float(), atol=1e-6)


def test_cubic_keys_follow_their_tangents(tmp_path):
    """(0, 0, 0) to (1, 0, 0) in 2 s, leaving at 3 m/s along y and arriving at rest."""
    values = [[0, 0, 0], [0, 0, 0], [0, 3, 0], [0, 0, 0], [1, 0, 0], [0, 0, 0]]
    rig = load(tmp_path, *animated(times=(0.0, 2.0), values=values, mode="CUBICSPLINE"), fps=2.0).rig
    u = np.array([0, 0.25, 0.5, 0.75, 1.0])
    wanted = np.stack([3 * u**2 - 2 * u**3, 2 * 3 * (u**3 - 2 * u**2 + u), 0 * u], -1)
    assert np.abs(rig.centers[0].numpy() - wanted).max() < 1e-6


def test_rotations_take_the_shorter_arc_at_an_even_pace(tmp_path):
    def quat(degrees, sign=1):
        return [0, sign * math.sin(math.radians(degrees) / 2), 0, sign * math.cos(math.radians(degrees) / 2)]

    rig = load(tmp_path, *animated(times=(0.0, 1.0), values=[quat(0), quat(100, -1)], path="rotation"), fps=4.0).rig
    for frame, degrees in enumerate((0, 25, 50, 75, 100)):
        expected = torch.tensor([-math.sin(math.radians(degrees)), 0, -math.cos(math.radians(degrees))])  # -Z turned about Y
        assert torch.allclose(rig.world_to_camera[0, frame, 2, :3], expected, atol=1e-6)


def test_an_animation_of_something_else_leaves_the_cameras_still(tmp_path):
    document, binary = animated(values=[[0, 0, 0], [2, 0, 0], [2, 4, 0]])
    document["nodes"].append({"name": "a ball"})
    document["animations"][0]["channels"][0]["target"]["node"] = 1
    assert load(tmp_path, document, binary).rig.frames is None


@pytest.mark.parametrize(
    ("nodes", "fields", "message"),
    [
        ([{}], {}, "no perspective camera"), ([{"camera": 1}], {}, "camera is 1, expected"),
        ([{"camera": 0}], {"cameras": [{"type": "orthographic"}]}, "only 1 orthographic"),
        ([{"camera": 0}], {"cameras": [{"type": "perspective"}]}, "yfov is None"),
        ([{"camera": 0}], {"cameras": [{"type": "perspective", "perspective": {"yfov": 4.0}}]}, "yfov is 4.0"),
        ([{"camera": 0}], {"cameras": [{"type": "perspective", "perspective": {"yfov": 1.0, "aspectRatio": "wide"}}]}, "aspectRatio 'wide'"),
        ([{"camera": 0, "scale": [1, 1, -1]}], {}, "mirrored"), ([{"camera": 0, "scale": [0, 1, 1]}], {}, "scale is 0"),
        ([{"camera": 0, "scale": [1, 1, 1e-30]}], {}, "scale is 0"),
        ([{"camera": 0, "children": [0]}], {}, "own ancestor"), ([{"camera": 0}] * 257, {}, "257 cameras"),
        ([{"camera": 0, "rotation": [1, 1, 1, 1]}], {}, "no unit quaternion"),
    ],
)  # fmt: skip
def test_scenes_without_usable_cameras_are_refused(tmp_path, nodes, fields, message):
    with pytest.raises(ValueError, match=message) as caught:
        load(tmp_path, scene(nodes) | fields)
    assert str(caught.value).startswith(f"{tmp_path / 'cameras.glb'}: ")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"times": (0.0, 2.0, 1.0)}, "do not ascend"), ({"times": (-1.0, 0.0, 1.0)}, "do not ascend"), ({"mode": "BEZIER"}, "BEZIER"),
        ({"times": (0.0, 1.0)}, r"shape \(3, 3\), expected \(2, 3\)"), ({"times": (0.0, 1.0, 1e30)}, "give the number of frames"),
        ({"path": "rotation"}, r"expected \(3, 4\)"), ({"path": "rotation", "values": [[0, 0, 0, 0]] * 3}, "no direction"),
        ({"node_fields": {"matrix": [1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 1]}}, "has a matrix"),
        ({"values": [[0, 0, 0], [0, math.nan, 0], [0, 0, 0]]}, "finite"), ({"path": "scale"}, "scale is 0"),
    ],
)  # fmt: skip
def test_damaged_animations_are_refused(tmp_path, changes, message):
    fields = {"values": [[0, 0, 0], [2, 0, 0], [2, 4, 0]]} | changes
    with pytest.raises(ValueError, match=message):
        load(tmp_path, *animated(**fields))


def test_a_file_that_is_not_there_and_a_rate_of_zero_are_refused(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_cameras(tmp_path / "nothing.glb")
    with pytest.raises(ValueError, match="fps is 0"):
        load(tmp_path, scene([{"camera": 0}]), fps=0.0)

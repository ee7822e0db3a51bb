"""The camera of ComfyUI's 3D viewports, in and out."""

import math

import pytest
import torch
from motion4d.core.formats.wires import load3d_from_rig, rig_from_load3d
from motion4d.core.geometry.camera_paths import turning_path
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.types import CameraRig

SIZE = (120, 200)


def load3d(**fields):
    return {"position": {"x": 0, "y": 1, "z": 4}, "target": {"x": 0, "y": 1, "z": 0}, "fov": 50, "zoom": 1, **fields}


def test_a_3d_view_looks_from_its_position_at_its_target():
    rig = rig_from_load3d(load3d(), SIZE)
    assert torch.allclose(rig.centers[0], torch.tensor([0.0, 1.0, 4.0]), atol=1e-6)
    assert torch.allclose(rig.project(torch.tensor([0.0, 1.0, 0.0]))[0][0], torch.tensor([100.0, 60.0]), atol=1e-4)
    top = 4 * math.tan(math.radians(25.0))
    assert rig.project(torch.tensor([0.0, 1.0 + top, 0.0]))[0][0, 1] == pytest.approx(0.0, abs=1e-3)


def test_a_3d_view_zooms_and_falls_back_to_the_given_field_of_view():
    plain, zoomed = rig_from_load3d(load3d(), SIZE), rig_from_load3d(load3d(zoom=2), SIZE)
    assert torch.allclose(zoomed.intrinsics[0, 0, 0], 2 * plain.intrinsics[0, 0, 0])
    without = {key: value for key, value in load3d().items() if key not in ("fov", "zoom")}
    assert torch.allclose(rig_from_load3d(without, SIZE, vertical_fov_deg=50.0).intrinsics, plain.intrinsics)


@pytest.mark.parametrize(
    "camera",
    [{}, load3d(position=None), load3d(target={"x": 0, "y": "far"}), load3d(cameraType="orthographic"), load3d(fov=200)],
)
def test_an_unusable_3d_view_is_refused(camera):
    with pytest.raises(ValueError):
        rig_from_load3d(camera, SIZE)


@pytest.mark.parametrize("frame", [0, 3])
def test_a_camera_goes_to_a_view_and_back(frame):
    path = turning_path(5, radius=3.0, image_size=SIZE, elevation_deg=30.0, vertical_fov_deg=23.0, center=(0.1, 0.9, -0.4))
    sent = load3d_from_rig(path, frame=frame)
    back = rig_from_load3d(sent, SIZE)
    assert torch.allclose(back.world_to_camera, path.at(frame).world_to_camera, atol=1e-5)
    assert torch.allclose(back.intrinsics, path.at(frame).intrinsics, rtol=1e-5)
    level = {key: value for key, value in sent.items() if key != "quaternion"}  # all that a viewport takes
    assert torch.allclose(rig_from_load3d(level, SIZE).world_to_camera, path.at(frame).world_to_camera, atol=1e-5)


def test_the_quaternion_is_the_one_of_three_js():
    """Of a camera on +X that looks at the origin: a quarter turn about Y takes its -Z to -X."""
    sent = load3d_from_rig(orbit_rig([90.0], radius=2.0, image_size=SIZE))
    half = math.sqrt(0.5)
    assert list(sent["quaternion"].values()) == pytest.approx([0, half, 0, half], abs=1e-6)
    assert list(sent["position"].values()) == pytest.approx([2, 0, 0], abs=1e-6) and sent["cameraType"] == "perspective"


def test_a_viewport_that_keeps_its_own_field_of_view_shows_the_same_picture():
    rig = orbit_rig([0.0], radius=2.0, image_size=SIZE, vertical_fov_deg=60.0)
    sent = load3d_from_rig(rig)
    shown = 2 * math.atan(math.tan(math.radians(35.0) / 2) / sent["zoom"])  # three.js: zoom over a field of view of 35 degrees
    assert sent["fov"] == 35.0 and math.degrees(shown) == pytest.approx(60.0, abs=1e-4)


def test_the_view_turns_about_the_person():
    rig = orbit_rig([20.0], radius=4.0, image_size=SIZE, target=(0.3, 1.0, 0.0))
    sent = load3d_from_rig(rig, focus=torch.tensor([0.3, 1.0, 0.0]))
    assert list(sent["target"].values()) == pytest.approx([0.3, 1.0, 0.0], abs=1e-5)


def test_a_roll_survives_in_the_quaternion():
    rig = orbit_rig([20.0], radius=4.0, image_size=SIZE)
    rolled = CameraRig(
        intrinsics=rig.intrinsics, world_to_camera=rotvec_to_matrix(torch.tensor([0.0, 0.0, 0.5])) @ rig.world_to_camera, image_size=SIZE
    )
    assert torch.allclose(rig_from_load3d(load3d_from_rig(rolled), SIZE).world_to_camera, rolled.world_to_camera, atol=1e-5)


def test_a_view_or_frame_that_is_not_there_is_refused():
    for wrong, message in (({"view": 1}, "views are"), ({"frame": 5}, "frame is 5")):
        with pytest.raises(ValueError, match=message):
            load3d_from_rig(turning_path(5, radius=3.0, image_size=SIZE), **wrong)


@pytest.mark.parametrize("camera", [None, [1, 2], load3d(quaternion={"x": 0}), load3d(position={"x": math.nan, "y": 0, "z": 1})])
def test_what_is_no_camera_is_refused(camera):
    with pytest.raises(ValueError, match="3D camera"):
        rig_from_load3d(camera, SIZE)

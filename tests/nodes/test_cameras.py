"""The camera nodes on real values."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.nodes.loaders.cameras import LoadCameras
from motion4d.nodes.motion.camera_files import ChangeLens, MakeCameraEmbedding, PreviewCameras, SaveCameras, SendCameraToView
from motion4d.nodes.motion.camera_paths import KeyCameras, MoveCamera
from motion4d.nodes.motion.cameras import PlaceOrbitCameras, TakeCameraFromView
from motion4d.nodes.motion.editing import ConvertSpace
from motion4d.nodes.motion.maps import DrawSkeleton

ORBIT = {
    "views": 4, "azimuth": 0.0, "arc": 360.0, "elevation": 5.0, "fov": 40.0, "margin": 1.15, "width": 64, "height": 96, "keep_own_camera": True,
}  # fmt: skip
MOVE = {
    "path": "turn", "azimuth": 0.0, "elevation": 5.0, "degrees": 360.0, "distance": 0.5, "fov": 40.0, "margin": 1.15, "follow": "stay",
    "ease": "linear", "width": 64, "height": 96,
}  # fmt: skip
KEYS = {"times": "", "interpolation": "catmull_rom", "fov": 35.0, "width": 64, "height": 96}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.8, fps=20.0)


@pytest.fixture(scope="module")
def orbit(walk):
    return run(PlaceOrbitCameras, motion=walk, **ORBIT)[0]


@pytest.mark.parametrize("path", ["turn", "dolly zoom in"])
def test_a_camera_moves_and_everything_is_drawn_with_it(host, walk, path):
    cameras, report = run(MoveCamera, motion=walk, **MOVE | {"path": path})
    assert cameras.frames == walk.frames and "100 % of the joints" in report and "warning" not in report
    (images,) = run(DrawSkeleton, motion=walk, cameras=cameras, style="motion4d", background=None)
    assert images.shape == (walk.frames, 96, 64, 3)


def test_a_close_camera_is_warned_about(walk):
    _, report = run(MoveCamera, motion=walk, **MOVE | {"path": "dolly in", "margin": 0.5, "distance": 1.0})
    assert "warning: view 0" in report


def test_keys_come_from_a_rig_and_from_viewports(walk, orbit):
    view = {"position": {"x": 0, "y": 1, "z": 6}, "target": {"x": 0, "y": 1, "z": 0}, "fov": 40, "zoom": 1}
    cameras, _ = run(KeyCameras, motion=walk, **KEYS, cameras=orbit, camera_info_1=view, camera_info_2=None)
    assert cameras.views == 1 and cameras.frames == walk.frames
    assert torch.allclose(cameras.world_to_camera[0, 0], orbit.world_to_camera[0], atol=1e-5)
    assert torch.allclose(cameras.centers[0, -1], torch.tensor([0.0, 1.0, 6.0]), atol=1e-5)
    with pytest.raises(ValueError, match="camera_info_1"):
        run(KeyCameras, motion=walk, **KEYS)
    with pytest.raises(ValueError, match="times are '0, 3'"):
        run(KeyCameras, motion=walk, **KEYS | {"times": "0, 3"}, cameras=orbit)


def test_saved_cameras_are_loaded_again(host, walk, orbit):
    moving, _ = run(MoveCamera, motion=walk, **MOVE)
    for cameras in (orbit, moving):
        path, report = run(SaveCameras, cameras=cameras, filename_prefix="motion4d/rig", fps=20.0)
        assert report == "everything is in the file"
        (host.inputs[0] / "rig.glb").write_bytes((host.output / path).read_bytes())
        found, contents = run(LoadCameras, file="rig.glb", width=64, height=96, fps=20.0, frames=0)
        assert torch.allclose(found.world_to_camera, cameras.world_to_camera, atol=1e-5) and contents.startswith("0: view 0")
    assert run(LoadCameras, file="none", width=64, height=96, fps=20.0, frames=0, default=orbit)[0] is orbit
    with pytest.raises(ValueError, match="no camera file"):
        run(LoadCameras, file="none", width=64, height=96, fps=20.0, frames=0)
    assert LoadCameras.validate_inputs("nothing.glb") is not True


def test_cameras_are_shown_with_and_without_the_person(walk, orbit):
    alone, count = run(PreviewCameras, cameras=orbit)
    shown, report = run(PreviewCameras, cameras=orbit, motion=walk)
    assert count == "4 views" and report.startswith("4 views, 16 frames")
    sizes = [len(model.get_source().getvalue()) for model in (alone, shown)]
    assert 10_000 < sizes[0] < sizes[1]


def test_a_camera_goes_to_a_view_and_comes_back(walk, orbit):
    (sent,) = run(SendCameraToView, cameras=orbit, view=2, frame=0, motion=walk)
    (back,) = run(TakeCameraFromView, camera_info=sent, width=64, height=96, fov=50.0)
    assert torch.allclose(back.world_to_camera[0], orbit.world_to_camera[2], atol=1e-5)
    assert torch.allclose(back.intrinsics[0], orbit.intrinsics[2], rtol=1e-5)


def test_the_lens_of_mtvcrafter_leads_to_its_camera_space(walk, orbit):
    (cameras,) = run(ChangeLens, cameras=orbit, lens="mtvcrafter", fov=40.0, width=0, height=0)
    motion, _ = run(ConvertSpace, motion=walk, space="camera", view=1, cameras=cameras)
    assert torch.equal(motion.intrinsics, motion_capture_intrinsics((96, 64))) and motion.image_size == (96, 64)
    assert torch.allclose(motion.joints, orbit.to_camera(walk.joints)[1], atol=1e-5)


def test_the_embedding_has_the_length_of_whole_latent_frames(walk):
    moving, _ = run(MoveCamera, motion=walk, **MOVE)
    embedding, images, width, height, length = run(MakeCameraEmbedding, cameras=moving, view=0, metres=1.0)
    assert (width, height, length) == (64, 96, 13)  # of 16 frames
    assert embedding.shape == (1, 24, 4, 96, 64) and images.shape == (13, 24, 32, 3)
    assert 0 <= float(images.min()) and float(images.max()) <= 1
    assert torch.allclose(embedding[0, 0:12, 0], torch.zeros(12, 96, 64), atol=1e-6)  # the first frame has no moment
    assert torch.allclose(images[0, :, 16:], torch.full((24, 16, 3), 0.5), atol=1e-6)

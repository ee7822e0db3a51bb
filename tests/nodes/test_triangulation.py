"""Calibrated cameras, their keypoints and triangulation as nodes, on the poses that the example brings along."""

import json
import shutil

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.openpose import openpose_joints
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.lens import distort_pixels
from motion4d.core.types import Keypoints, Rig, Skeleton
from motion4d.headless import EXAMPLE_INPUTS
from motion4d.nodes.loaders.calibration import LoadCameraCalibration
from motion4d.nodes.motion.triangulation import CollectCameraKeypoints, TriangulateJoints

LOAD = {"file": "motion4d_cameras.toml", "metres": 1.0, "up": "y", "width": 0, "height": 0}
COLLECT = {"person": 0, "least_confidence": 0.3, "start_frames": ""}
TRIANGULATE = {"skeleton": "openpose18", "bone_lengths": "estimate", "smoothness": 1.0, "fps": 30.0}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def poses():
    wires = [json.loads((EXAMPLE_INPUTS / f"motion4d_camera_{number}.json").read_text()) for number in (1, 2, 3, 4)]
    return {f"pose_keypoint_{number}": wire for number, wire in enumerate(wires, start=1)}


@pytest.fixture
def calibration(host):
    shutil.copy(EXAMPLE_INPUTS / LOAD["file"], host.inputs[0])
    return run(LoadCameraCalibration, **LOAD)[0]


def error(motion):
    truth = openpose_joints(demo_motion("walk", seconds=2.0, fps=30.0)).joints
    return (motion.joints - truth).norm(dim=-1)


def test_a_calibration_is_loaded_and_says_what_it_is(host, calibration):
    again, rig, contents = run(LoadCameraCalibration, **LOAD)
    assert rig is again.rig and rig.views == 4 and rig.image_size == (720, 1280)
    assert "0: camera_1, 1280x720" in contents and "distortion" in contents
    assert LoadCameraCalibration.validate_inputs(LOAD["file"]) is True and LoadCameraCalibration.fingerprint_inputs(**LOAD)
    half = run(LoadCameraCalibration, **LOAD | {"metres": 0.5})[1]
    assert torch.allclose(half.centers, 0.5 * rig.centers, atol=1e-5)
    for change, message in (({"file": "none"}, "no calibration is chosen"), ({"width": 640}, "give both")):
        with pytest.raises(ValueError, match=message):
            run(LoadCameraCalibration, **LOAD | change)


def test_four_films_become_a_motion(host, calibration, poses):
    keypoints, cameras, report = run(CollectCameraKeypoints, calibration=calibration, **COLLECT, **poses)
    assert keypoints.pixels.shape == (4, 60, 18, 2) and cameras is not None and report.startswith("60 frames\ncamera_1: ")
    motion, report, plot = run(TriangulateJoints, keypoints=keypoints, cameras=cameras, **TRIANGULATE)
    assert error(motion).mean() < 0.01 and motion.fps == 30
    assert "noise of the keypoints" in report and "check its calibration" not in report
    assert plot.ndim == 4 and plot.shape[0] == 1 and plot.shape[-1] == 3 and 0 <= plot.min() < plot.max() <= 1


def test_cameras_without_a_film_are_left_out(host, calibration, poses):
    wires = {name: poses[name] for name in ("pose_keypoint_1", "pose_keypoint_2", "pose_keypoint_4")}
    keypoints, cameras, report = run(CollectCameraKeypoints, calibration=calibration, **COLLECT, **wires)
    assert torch.equal(cameras.world_to_camera, calibration.rig.world_to_camera[[0, 1, 3]])
    assert len(keypoints.pixels) == 3 and "camera_4" in report and "camera_3" not in report
    assert error(run(TriangulateJoints, keypoints=keypoints, cameras=cameras, **TRIANGULATE)[0]).mean() < 0.015


def test_a_film_without_a_camera_is_refused(host, calibration, poses):
    with pytest.raises(ValueError, match=r"pose_keypoint_5 is connected, but the calibration has 4 cameras \(camera_1, camera_2"):
        run(CollectCameraKeypoints, calibration=calibration, **COLLECT, **poses, pose_keypoint_5=poses["pose_keypoint_1"])


def test_films_that_start_at_other_moments_are_brought_together(host, calibration, poses):
    late = {name: wire[start:] for (name, wire), start in zip(poses.items(), (0, 4, 0, 9), strict=True)}
    together = run(CollectCameraKeypoints, calibration=calibration, **COLLECT | {"start_frames": "9, 5 9,0"}, **late)[0]
    whole = run(CollectCameraKeypoints, calibration=calibration, **COLLECT, **poses)[0]
    assert torch.equal(together.confidence, whole.confidence[:, 9:])
    with pytest.raises(ValueError, match="expected whole numbers"):
        run(CollectCameraKeypoints, calibration=calibration, **COLLECT | {"start_frames": "1.5"}, **late)


def test_lenses_are_undone(host, calibration, poses):
    straight = run(CollectCameraKeypoints, calibration=calibration, **COLLECT, **poses)[0]
    for view, wire in enumerate(poses.values()):
        found = torch.tensor([frame["people"][0]["pose_keypoints_2d"] for frame in wire]).reshape(60, 18, 3)[..., :2]
        bent = distort_pixels(straight.pixels[view].double(), calibration.rig.intrinsics[view], calibration.distortion[view])
        seen = straight.seen[view]
        assert (bent - found)[seen].abs().max() < 1e-2 and (straight.pixels[view] - found)[seen].abs().max() > 0.5


def test_joints_of_a_rig_are_triangulated_with_its_lengths(host):
    names = ("hips", "neck", "hand")
    rest = torch.tensor([[0.0, 1, 0], [0, 1.5, 0], [0.6, 1.5, 0]])
    skeleton = Skeleton(names=names, parents=(-1, 0, 1), mirror=(0, 1, 2), rest=rest)
    rig = Rig(
        skeleton=skeleton,
        rest=torch.eye(4).expand(3, 4, 4),
        inverse_bind=torch.eye(4).expand(3, 4, 4),
        joint_nodes=(0, 1, 2),
        document={},
        binary=b"",
    )
    cameras = orbit_rig([0.0, 90.0], radius=4.0, image_size=(512, 512), target=(0.0, 1.2, 0.0))
    pixels = cameras.project(rest.expand(5, 3, 3))[0]
    keypoints = Keypoints(pixels=pixels, confidence=torch.ones(2, 5, 3), image_size=(512, 512))
    motion, report, _ = run(TriangulateJoints, keypoints=keypoints, cameras=cameras, rig=rig, **TRIANGULATE | {"bone_lengths": "rest pose"})
    assert motion.skeleton is skeleton and (motion.joints - rest).abs().max() < 1e-3
    assert "neck 0.500, hand 0.600" in report
    with pytest.raises(ValueError, match="choose the skeleton of the keypoints"):
        run(TriangulateJoints, keypoints=keypoints, cameras=cameras, **TRIANGULATE)

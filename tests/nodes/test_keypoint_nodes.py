"""From files of 2D poses and a calibration to a motion, through the nodes."""

import shutil

import pytest
from motion4d.core.body.motion_errors import motion_errors
from motion4d.core.body.openpose import openpose_joints
from motion4d.headless import EXAMPLE_INPUTS
from motion4d.headless.examples import filmed
from motion4d.nodes.loaders.calibration import LoadCameraCalibration
from motion4d.nodes.loaders.keypoints import LoadPoseKeypoints
from motion4d.nodes.motion.triangulation import CollectCameraKeypoints, TriangulateJoints


@pytest.fixture
def films(host):
    for name in (filmed.CALIBRATION, *filmed.POSES):
        shutil.copy(EXAMPLE_INPUTS / name, host.inputs[0] / name)
    calibration = LoadCameraCalibration.execute(filmed.CALIBRATION, 1.0, "auto", 0, 0).result[0]
    return calibration, [LoadPoseKeypoints.execute(name).result[0] for name in filmed.POSES]


def test_two_cameras_at_right_angles_are_enough_and_four_are_better(films):
    calibration, poses = films
    truth, errors = openpose_joints(filmed.walker()), {}
    for views in (2, 4):
        given = {f"pose_keypoint_{view}": wire for view, wire in enumerate(poses[:views], start=1)}
        keypoints, cameras, report = CollectCameraKeypoints.execute(calibration, 0, 0.3, "", **given).result
        assert cameras.views == views and "60 frames" in report
        motion, *_ = TriangulateJoints.execute(keypoints, cameras, "openpose18", "estimate", 1.0, filmed.FPS).result
        errors[views] = motion_errors(motion, truth).mean_mm()
    assert errors[4] < 5 and errors[4] < errors[2] < 20


def test_a_file_of_poses_is_a_choice(host, films):
    assert LoadPoseKeypoints.validate_inputs(filmed.POSES[0]) is True and LoadPoseKeypoints.fingerprint_inputs(filmed.POSES[0])
    frames, contents = LoadPoseKeypoints.execute(filmed.POSES[0]).result
    assert len(frames) == 60 and contents.startswith("60 frames of 1280x720")
    with pytest.raises(ValueError, match="no poses are chosen"):
        LoadPoseKeypoints.execute("none")

"""People of other packs become Detections."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.estimators.wires import detections_of
from motion4d.core.formats.wires import to_nlfpred, to_smpl_params
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.types import CameraRig

SIZE = (480, 640)
WALK = demo_motion("walk", seconds=0.4, fps=20.0)
CAMERA = CameraRig(
    intrinsics=motion_capture_intrinsics(SIZE)[None], world_to_camera=torch.tensor([[[1.0, 0, 0, 0], [0, -1, 0, 0.9], [0, 0, -1, 3]]]), image_size=SIZE
)  # fmt: skip
NLF = to_nlfpred([WALK], rig=CAMERA)[0]["joints3d_nonparam"]


def test_joints_are_metres_and_boxes_hold_them():
    found = detections_of({"joints3d_nonparam": NLF}, fps=20.0, image_size=SIZE)
    assert found.counts == (1,) * 8 and found.fps == 20.0 and found.image_size == SIZE
    for frame in range(8):
        assert torch.allclose(found.frames[frame].joints[0], CAMERA.to_camera(WALK.joints)[0, frame], atol=1e-6)
        pixels = found.camera.project(found.frames[frame].joints[0])[0][0]
        assert torch.allclose(found.frames[frame].boxes[0], torch.cat([pixels.amin(0), pixels.amax(0)]))


def test_nobody_is_not_a_person():
    frames = [NLF[0], torch.zeros(1, 24, 3), torch.cat([NLF[2], torch.zeros(1, 24, 3)]), torch.zeros(0, 24, 3)]
    assert detections_of({"joints3d_nonparam": frames}, fps=20.0, image_size=SIZE).counts == (1, 0, 1, 0)


def test_the_picture_size_is_needed_and_one_person_is_nothing_to_choose_from():
    with pytest.raises(ValueError, match="width and height"):
        detections_of({"joints3d_nonparam": NLF}, fps=20.0)
    with pytest.raises(ValueError, match="Convert to Motion"):
        detections_of(to_smpl_params(WALK)[0], fps=20.0, image_size=SIZE)

import pytest
import torch
from motion4d.core.estimators.nlf import load_nlf
from motion4d.core.estimators.tiny_nlf import write_tiny_nlf
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.types import CameraRig

pytestmark = pytest.mark.filterwarnings("ignore:.torch.jit.*deprecated:DeprecationWarning")


def test_figures_are_found_in_their_boxes_and_stand_upright_in_them(tmp_path):
    path = tmp_path / "tiny.torchscript"
    write_tiny_nlf(path)
    film = torch.zeros(3, 120, 200, 3, dtype=torch.uint8)
    film[1, 20:110, 30:60] = 200
    film[2, 20:110, 30:60] = 200
    film[2, 40:100, 120:140, 1] = 255
    camera = motion_capture_intrinsics((120, 200))
    nobody, one, two = load_nlf(path).detect(film, camera)
    assert (nobody.count, one.count, two.count) == (0, 1, 2)
    torch.testing.assert_close(two.boxes, torch.tensor([[30.0, 20, 60, 110], [120, 40, 140, 100]]))
    rig = CameraRig(intrinsics=camera[None], world_to_camera=torch.eye(3, 4)[None], image_size=(120, 200))
    pixels = rig.project(two.joints)[0][0]  # (2, 24, 2)
    for person, (_, top, _, bottom) in zip(pixels, two.boxes.tolist(), strict=True):
        assert (person[:, 1] >= top - 3).all() and (person[:, 1] <= bottom + 3).all()  # feet are nearer
        assert person[15, 1] < person[0, 1] < person[7, 1]  # head, pelvis, ankle
        assert person[16, 0] > person[17, 0]  # who faces the camera has the left shoulder on the right
    assert two.joints[1, 0, 2] > two.joints[0, 0, 2]  # the smaller one is farther away

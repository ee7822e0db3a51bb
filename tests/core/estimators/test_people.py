import pytest
import torch
from motion4d.core.estimators.people import Detections, FramePeople
from motion4d.core.geometry.cameras import motion_capture_intrinsics


def _people(count=2, **changed):
    fields = {"joints": torch.ones(count, 24, 3), "confidence": torch.ones(count, 24), "boxes": torch.zeros(count, 4)}
    return FramePeople(**(fields | changed))


def _detections(**changed):
    fields = {
        "frames": [FramePeople.none(), _people()],
        "fps": 25.0,
        "image_size": (48, 64),
        "intrinsics": motion_capture_intrinsics((48, 64)),
    }
    return Detections(**(fields | changed))


def test_a_frame_may_have_nobody():
    assert FramePeople.none().count == 0 and _detections().counts == (0, 2)


def test_nan_is_allowed_only_where_the_confidence_is_zero():
    joints, confidence = torch.ones(2, 24, 3), torch.ones(2, 24)
    joints[1, 3] = torch.nan
    with pytest.raises(ValueError, match="NaN"):
        _people(joints=joints)
    confidence[1, 3] = 0
    assert _people(joints=joints, confidence=confidence).count == 2


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"confidence": torch.full((2, 24), 1.1)}, "0..1"),
        ({"boxes": torch.full((2, 4), torch.inf)}, "boxes"),
        ({"shape": torch.zeros(1, 10)}, "P=2"),
        ({"rotations": torch.zeros(2, 24, 3)}, "rotations"),
    ],
)
def test_what_does_not_fit_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        _people(**changed)


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"frames": ()}, "no frames"),
        ({"fps": 0.0}, "fps"),
        ({"shots": (2,)}, "shots"),
        ({"shots": (1, 1)}, "shots"),
        ({"shots": (0,)}, "shots"),
        ({"intrinsics": torch.zeros(3, 3)}, "focal"),
        ({"image_size": (48.0, 64)}, "image_size"),
    ],
)
def test_a_clip_that_does_not_hold_together_is_refused(changed, message):
    with pytest.raises(ValueError, match=message):
        _detections(**changed)


def test_the_camera_projects_a_point_on_its_axis_to_the_middle():
    pixels, depth = _detections().camera.project(torch.tensor([[0.0, 0.0, 3.0]]))
    torch.testing.assert_close(pixels[0, 0], torch.tensor([32.0, 24.0]))
    assert depth.item() == 3.0

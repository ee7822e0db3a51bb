"""The report on a motion says what is true of it."""

import torch
from motion4d.core.body.measurements import joint_speed
from motion4d.core.body.report import describe_motion
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame, Motion


def moving(**changes) -> Motion:
    joints = SMPL24.rest + torch.arange(11.0)[:, None, None] * torch.tensor([0.0, 0.0, 0.1])
    base = {"joints": joints, "confidence": torch.ones(11, 24), "skeleton": SMPL24, "fps": 20.0, "frame": Frame.WORLD}
    return Motion(**(base | changes))


def test_speed_is_distance_times_frame_rate_and_unknown_beside_a_gap():
    assert torch.allclose(joint_speed(moving()), torch.tensor(2.0))
    confidence = torch.ones(11, 24)
    confidence[5, 3] = 0
    assert torch.equal(joint_speed(moving(confidence=confidence)).isnan().nonzero(), torch.tensor([[4, 3], [5, 3]]))


def test_the_report_names_length_gaps_speed_and_assumptions():
    confidence = torch.ones(11, 24)
    confidence[5, 3] = 0
    text = describe_motion(moving(confidence=confidence, notes=("30 fps assumed",)))
    for part in ("11 frames at 20 fps = 0.55 s", "24 joints in world space, positions only", "1 joint positions are missing, in 1 frames",
                 "fastest 2.00 m/s", "bone lengths vary by 0.0 mm", "note: 30 fps assumed"):  # fmt: skip
        assert part in text


def test_a_motion_without_anything_seen_is_still_described():
    assert "264 joint positions are missing" in describe_motion(moving(confidence=torch.zeros(11, 24)))
    assert "1 frame at" in describe_motion(moving().cut(0, 1))

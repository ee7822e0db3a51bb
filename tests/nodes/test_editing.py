"""The nodes that edit motions run on real values and say what they did."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.types import Frame
from motion4d.nodes.motion.editing import ConvertSkeleton, ConvertSpace, EditMotion, RetargetMotion

EDIT = {"start": 0, "frames": 0, "fps": 30.0, "blend": 0.4, "keep_drift": False}
BODY = {"torso": 1.0, "arms": 1.0, "legs": 1.0, "head": 1.0, "keep_contacts": True, "keep_stature": False}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=1.08, fps=20.0)


def test_each_operation_gives_a_motion_its_rate_and_a_report(walk, host):
    frames = {"trim": 6, "resample": 32, "loop": 22, "concatenate": 44, "mirror": 22}
    for operation, expected in frames.items():
        motion, fps, report = run(
            EditMotion, motion=walk, operation=operation, other=walk, **{**EDIT, "start": 16, "frames": 6 * (operation == "trim")}
        )
        assert (motion.frames, fps) == (expected, 30.0 if operation == "resample" else 20.0)
        assert report.startswith(f"{expected} frames at {fps:g} fps")
    with pytest.raises(ValueError, match="connect one to `other`"):
        run(EditMotion, motion=walk, operation="concatenate", **EDIT)


def test_sliders_and_targets_change_the_body(walk, host):
    longer, report = run(RetargetMotion, motion=walk, **{**BODY, "legs": 1.3})
    assert "legs: " in report and "x 1.300" in report and longer.joints[:, 15, 1].mean() > walk.joints[:, 15, 1].mean() + 0.15
    child, report = run(RetargetMotion, motion=walk, target=demo_motion("wave", seconds=0.1, stature=1.2), **BODY)
    assert "stature: 1.69 -> 1.20 m" in report and child.frames == walk.frames
    same, report = run(RetargetMotion, motion=walk, **BODY)
    assert torch.equal(same.joints, walk.joints) and "x 1.000" in report


def test_spaces_and_skeletons_are_converted_there_and_back(walk, host):
    cameras = orbit_rig([0.0, 90.0], radius=4.0, image_size=(240, 320), target=(0.0, 1.0, 0.0))
    seen, report = run(ConvertSpace, motion=walk, space="camera", view=1, cameras=cameras)
    assert seen.frame is Frame.CAMERA and "seen by a camera of 320x240" in report
    back, _ = run(ConvertSpace, motion=seen, space="world", view=1, cameras=cameras)
    assert torch.allclose(back.joints, walk.joints, atol=1e-5)
    _, report = run(ConvertSpace, motion=seen, space="ground", view=0)
    assert "footholds" in report
    coco, report = run(ConvertSkeleton, motion=walk, skeleton="coco17")
    assert len(coco.skeleton.names) == 17 and "derived: nose" in report

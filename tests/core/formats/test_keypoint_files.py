"""Files of 2D poses."""

import json

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats.keypoint_files import keypoints_report, load_pose_keypoints
from motion4d.core.formats.wires import from_pose_keypoints, to_pose_keypoints
from motion4d.core.geometry.cameras import orbit_rig


@pytest.fixture(scope="module")
def frames():
    rig = orbit_rig([0.0], radius=4.0, image_size=(360, 640), focal_px=500.0, target=(0.0, 0.9, 0.0))
    return to_pose_keypoints([demo_motion("wave", seconds=0.5)], rig=rig)


def written(tmp_path, content):
    path = tmp_path / "poses.json"
    path.write_text(content if isinstance(content, str) else json.dumps(content), encoding="utf-8")
    return path


def test_what_was_saved_is_read(tmp_path, frames):
    again = load_pose_keypoints(written(tmp_path, frames))
    assert torch.equal(from_pose_keypoints(again).pixels, from_pose_keypoints(frames).pixels)
    assert keypoints_report(again) == "15 frames of 640x360 pixels; 15 of them show somebody, at most 1 at once"
    assert load_pose_keypoints(written(tmp_path, frames[0])) == frames[:1]
    nobody = load_pose_keypoints(written(tmp_path, [frames[0] | {"people": None}, frames[1] | {"people": []}]))
    assert "0 of them show somebody" in keypoints_report(nobody)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("[", "does not parse: Expecting"),
        ("", "the file is empty"),
        ("[]", "without frames"),
        ("5", "expected a list"),
        ('[{"people": [], "canvas_width": NaN, "canvas_height": 4}]', "NaN, which is no JSON number"),
        ('{"version": 1.3, "people": []}', "the key 'canvas_width' is missing"),
        ('[{"people": {"0": []}, "canvas_width": 4, "canvas_height": 4}]', "expected a list"),
        ("[" * 100_000, "nested too deeply"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, content, told):
    with pytest.raises(ValueError, match=told) as refusal:
        load_pose_keypoints(written(tmp_path, content))
    assert "poses.json" in str(refusal.value)


def test_no_file_is_told_as_such(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"none\.json"):
        load_pose_keypoints(tmp_path / "none.json")

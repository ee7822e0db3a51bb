"""The nodes of the driving cues and of the pose cue: what they say of bad frames, options that reach the core, and bad input."""

import pytest
import torch
from motion4d.benchmarks.driving_cues import walking_figure
from motion4d.core.body.demo import demo_motion
from motion4d.core.cues import extract_cues
from motion4d.core.cues.face_boxes import choose_faces, faces_of_bounding_boxes
from motion4d.core.cues.quality_gate import GateLimits, gate_masks
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.nodes.motion.cue_parts import AlignToReference, MakeLocationCue
from motion4d.nodes.motion.cues import ExtractDrivingCues, ExtractPoseCue

POSE = {"look": "low_pass", "filter": "gaussian", "cutoff": 30.0, "missing": "zero", "fps": 30.0}
GATE = {"area": 2.0, "window": 12, "component": 0.8, "overlap": 0.4}
CUES = {
    "drop_bad_masks": True, "faces_by": "auto", "face_margin": 1.5, "face_placement": "enlarged", "scale_by": "auto", "softening": "mean",
    "grid": "pixels", "cell": 0,
}  # fmt: skip


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture
def film():
    """images (10, 96, 96, 3), masks, of which 3 is of the legs alone and 6 empty, BOUNDING_BOX, and the mask of the reference."""
    images, masks, boxes, reference = walking_figure(10, 96)
    masks[3, :60] = 0
    masks[6] = 0
    found = [[{"x": x0, "y": y0, "width": x1 - x0, "height": y1 - y0}] for x0, y0, x1, y1 in boxes.tolist()]
    return images, masks, found, reference[None]


def test_all_cues_with_one_node(host, film):
    images, masks, boxes, reference = film
    pose, face, body, place, preview, report = run(
        ExtractDrivingCues, images=images, mask=masks, reference_mask=reference, bboxes=boxes, reference=torch.ones(1, 96, 96, 3), **POSE, **CUES
    )  # fmt: skip
    assert pose.shape == face.shape == preview.shape == (10, 96, 96, 3) and body.shape == place.shape == (10, 96, 96)
    assert pose[[3, 6]].max() == 0 and pose[4].max() > 0 and face.flatten(1).amax(1).gt(0).tolist() == [frame != 6 for frame in range(10)]
    assert torch.equal(body[3], body[2]) and body[6].max() == 0
    for line in (
        "frame 3 dropped: area",
        "frame 6 dropped: the mask is empty",
        "8 of 10 frames have a good mask",
        "by the height",
        "a face in 9 of 10",
    ):
        assert line in report


def test_options_reach_the_cues(host, film):
    images, masks, boxes, reference = film
    given = {"images": images, "mask": masks, "reference_mask": reference, "bboxes": boxes}
    options = {
        "look": "rgb", "missing": "hold", "drop_bad_masks": False, "face_margin": 2.0, "face_placement": "in_place", "scale_by": "width",
        "softening": "max", "cell": 9,
    }  # fmt: skip
    pose, face, body, place, *_ = run(ExtractDrivingCues, **given, **(POSE | CUES | options))
    found = choose_faces(faces_of_bounding_boxes(boxes, 10), (96, 96), masks=masks).boxes
    cues = extract_cues(
        images, masks, found, reference[0], gate=gate_masks(masks, limits=GateLimits.open()), look="rgb", missing="hold", face_margin=2.0, enlarge_face=False,
        scale_by="width", cell=9, cell_mode="max",
    )  # fmt: skip
    for ours, theirs in ((pose, cues.pose), (face, cues.face), (body, cues.body_location), (place, cues.face_location)):
        assert torch.equal(ours, theirs)
    assert cues.kept[3] and not cues.kept[6]


def test_the_parts_are_the_whole(host, film):
    images, masks, _, reference = film
    pose, mask, kept, report = run(ExtractPoseCue, images=images, mask=masks, **POSE, **GATE)
    whole = run(ExtractDrivingCues, images=images, mask=masks, reference_mask=reference, **POSE, **(CUES | {"softening": "hard"}))
    assert torch.equal(pose, whole[0]) and kept == 8 and "frame 3 dropped" in report
    assert torch.equal(mask[3], masks[2]) and mask[6].max() == 0 and torch.equal(mask[[0, 9]], masks[[0, 9]])
    moved = run(AlignToReference, reference_mask=reference, masks=mask, scale_by="auto")[0]
    body = run(MakeLocationCue, masks=moved, softening="hard", grid="pixels", cell=0)[0]
    ours, theirs = (one[8].nonzero().double().mean(0) for one in (body, whole[2]))
    assert (ours - theirs).abs().max() < 1.5, "the stand-in counts once more in the mean"


def test_a_motion_gives_mask_and_faces(host):
    walk = demo_motion("walk", seconds=0.4, fps=10.0)
    rig = orbit_rig([0.0], radius=4.0, image_size=(160, 128), focal_px=150.0, target=(0.0, 0.85, 0.2))
    mask = render_bone_maps(walk, rig).mask[0].float()
    images = torch.rand(walk.frames, 160, 128, 3, generator=torch.Generator().manual_seed(0))
    given = {"images": images, "mask": mask, "motion": walk, "cameras": rig}
    _, face, body, place, _, report = run(ExtractDrivingCues, **given, **POSE, **CUES)
    assert face.flatten(1).amax(1).min() > 0 and place.amax((1, 2)).min() > 0.3 and body.amax((1, 2)).min() > 0.8
    assert f"{walk.frames} of {walk.frames} frames have a good mask" in report and "no reference mask" in report
    behind = orbit_rig([180.0], radius=4.0, image_size=(160, 128), focal_px=150.0, target=(0.0, 0.85, 0.2))
    mask = render_bone_maps(walk, behind).mask[0].float()
    assert run(ExtractDrivingCues, **(given | {"mask": mask, "cameras": behind}), **POSE, **CUES)[1].max() == 0, "seen from behind"


def test_limits_of_the_gate_reach_it(host, film):
    images, masks, *_ = film
    for change, kept in (({}, 8), ({"area": 1000.0}, 8), ({"area": 1000.0, "component": 0.0, "overlap": 0.0}, 9), ({"window": 1}, 8)):
        assert run(ExtractPoseCue, images=images, mask=masks, **POSE, **(GATE | change))[2] == kept, change


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"mask": torch.ones(4, 96, 96)}, "mask are 4 for 10 frames"),
        ({"mask": torch.ones(10, 64, 64)}, "mask have 64x64 pixels, the frames 96x96"),
        ({"mask": torch.zeros(10, 96, 96)}, "empty in all frames"),
        ({"reference_mask": torch.zeros(1, 50, 50)}, "shows nobody"),
        ({"reference": torch.zeros(1, 50, 50, 3)}, "reference has 50x50 pixels, the mask 96x96"),
        ({"look": "skeleton"}, "there are no pictures of one"),
        ({"bboxes": [[{"x": 10, "y": 10, "width": 5, "height": 0}]] * 10}, "height"),
        ({"faces_by": "motion"}, "nothing tells where faces are"),
    ],
)
def test_bad_input_is_refused(host, film, change, message):
    images, masks, boxes, reference = film
    given = {"images": images, "mask": masks, "reference_mask": reference, "bboxes": boxes} | POSE | CUES
    with pytest.raises(ValueError, match=message):
        run(ExtractDrivingCues, **(given | change))


def test_mediapipe_finds_the_face_of_the_reference_too(host, reference):
    pytest.importorskip("mediapipe", reason="MediaPipe is installed in an environment of its own")
    from motion4d.core.formats.pictures import read_picture

    picture = read_picture(reference("data", "human.png"))[0][None, ..., :3]
    mask = torch.zeros(picture.shape[:3])
    mask[:, 16:631, 205:411] = 1
    given = {"images": picture, "mask": mask, "reference": picture, "reference_mask": mask}
    report = run(ExtractDrivingCues, **given, **POSE, **(CUES | {"faces_by": "mediapipe", "scale_by": "face"}))[-1]
    assert (
        "mediapipe found the face of the reference at (278, 51, 341, 114)" in report
        and "scale 1.0000 by the face, shift (0.0, 0.0)" in report
    )

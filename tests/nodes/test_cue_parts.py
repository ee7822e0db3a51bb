"""The parts of the driving cues as nodes: a person walks through a video, the reference stands elsewhere."""

import pytest
import torch
from motion4d.core.cues.similarity import mask_boxes
from motion4d.nodes.motion.cue_parts import AlignToReference, ExtractFaceCue, MakeLocationCue

FACE = {"source": "auto", "margin": 1.5, "smoothing": 5, "placement": "enlarged", "width": 0, "height": 0, "mask_shape": "ellipse"}
LOCATION = {"softening": "mean", "grid": "pixels", "cell": 0}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


@pytest.fixture
def video(generator):
    """Images, masks and BOUNDING_BOX of somebody who goes to the right, seen from behind in frame 3."""
    images, masks = torch.rand(5, 96, 128, 3, generator=generator), torch.zeros(5, 96, 128)
    for frame, mask in enumerate(masks):
        mask[16:76, 20 + 4 * frame : 50 + 4 * frame] = 1
    boxes = [[{"x": 29 + 4 * frame, "y": 18, "width": 12, "height": 16}] if frame != 3 else [] for frame in range(5)]
    return images, masks, boxes


@pytest.fixture
def reference():
    mask = torch.zeros(1, 160, 120)
    mask[0, 30:150, 30:90] = 1
    return mask


def test_a_clip_through_all_parts(host, video, reference):
    images, masks, boxes = video
    face, face_mask, chosen, preview, report = run(ExtractFaceCue, images=images, bboxes=boxes, mask=masks, **FACE)
    assert face.shape == images.shape and face.flatten(1).amax(1).gt(0).tolist() == [True, True, True, False, True]
    assert [len(one) for one in chosen] == [1, 1, 1, 0, 1] and preview.shape == images.shape
    assert "a face in 4 of 5 frames; none in frames 3" in report

    moved, moved_face, pictures, scale, shift_x, shift_y, overlay, report = run(
        AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", face_mask=face_mask, images=images
    )
    assert scale == 2 and (shift_x, shift_y) == (60 - 2 * 43, 90 - 2 * 46) and "by the height" in report
    assert moved.shape == moved_face.shape == (5, 160, 120) and pictures.shape == overlay.shape == (5, 160, 120, 3)
    assert (mask_boxes(moved)[2] - mask_boxes(reference)[0]).abs().max() <= 1
    assert moved_face[3].max() == 0 and (moved_face[0] <= moved[0] + 1e-6).all()

    body, face_place, drawn, report = run(
        MakeLocationCue, masks=moved, face_mask=moved_face, reference=torch.zeros(1, 160, 120, 3), **LOCATION
    )
    assert body.shape == face_place.shape == (5, 160, 120) and drawn.shape == (5, 160, 120, 3)
    assert 0 < float(body[2, 90, 60]) <= 1 and float(body.max()) <= 1 and report.startswith("5 frames of 120x160")
    hard = run(MakeLocationCue, masks=moved, **(LOCATION | {"softening": "hard"}))
    assert torch.equal(hard[0], moved) and hard[1].max() == 0


def test_faces_compare_where_the_reference_is_cut_off(host, video):
    _, masks, boxes = video
    face_mask = run(ExtractFaceCue, images=torch.zeros(5, 96, 128, 3), bboxes=boxes, **(FACE | {"mask_shape": "box"}))[1]
    half = torch.zeros(1, 120, 120)
    half[0, 30:, 20:100] = 1
    own = [[{"x": 44, "y": 34, "width": 36, "height": 48}]]
    *_, scale, _, _, _, report = run(
        AlignToReference, reference_mask=half, masks=masks, scale_by="auto", face_mask=face_mask, reference_face=own
    )
    assert scale == 3 and "the reference is cut off below: the scale was read from the faces" in report


def test_a_canvas_of_another_size_and_a_face_in_its_place(host, video):
    images, _, boxes = video
    face = run(ExtractFaceCue, images=images, bboxes=boxes, **(FACE | {"width": 64, "height": 48}))[0]
    assert face.shape == (5, 48, 64, 3)
    still = run(ExtractFaceCue, images=images, bboxes=boxes, **(FACE | {"placement": "in_place", "width": 64, "height": 48}))[0]
    shown = still.amax(-1) > 0
    assert still.shape == images.shape and torch.equal(still[shown], images[shown]) and int(shown[0].sum()) == 24 * 24


def test_what_does_not_go_together_is_said(host, video, reference):
    images, masks, boxes = video
    with pytest.raises(ValueError, match="connect what a detector found, or take mediapipe"):
        run(ExtractFaceCue, images=images, **FACE)
    with pytest.raises(ValueError, match="boxes for 4 frames, the video has 5"):
        run(ExtractFaceCue, images=images, bboxes=boxes[:4], **FACE)
    with pytest.raises(ValueError, match="one for each frame, as large as the frames"):
        run(ExtractFaceCue, images=images, bboxes=boxes, mask=torch.zeros(1, 64, 64), **FACE)
    with pytest.raises(ValueError, match="face_mask are 4 of 128x96 pixels, the masks 5 of 128x96"):
        run(AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", face_mask=masks[:4])
    with pytest.raises(ValueError, match="reference has 99x99 pixels, the mask 120x160"):
        run(AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", reference=torch.zeros(1, 99, 99, 3))
    with pytest.raises(ValueError, match="reference mask shows nobody"):
        run(AlignToReference, reference_mask=reference * 0, masks=masks, scale_by="auto")
    with pytest.raises(ValueError, match="images are 5 of 64x64 pixels"):
        run(AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", images=torch.zeros(5, 64, 64, 3))
    with pytest.raises(ValueError, match="reference has 99x99 pixels"):
        run(MakeLocationCue, masks=masks, reference=torch.zeros(1, 99, 99, 3), **LOCATION)


def test_the_wire_is_comfyui_s_own_and_no_widget():
    for node, name in ((ExtractFaceCue, "bboxes"), (AlignToReference, "reference_face")):
        entry = next(one for one in node.define_schema().inputs if one.id == name)
        assert entry.get_io_type() == "BOUNDING_BOX" and entry.optional and entry.as_dict()["forceInput"] is True


def test_pictures_of_other_ranges_and_empty_clips_are_refused(host, video, reference):
    images, masks, boxes = video
    for change, message in (
        ({"images": images * 255}, "divide 8-bit values by 255"),
        ({"images": images * torch.nan}, "images reach from nan"),
    ):
        with pytest.raises(ValueError, match=message):
            run(AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", **change)
    with pytest.raises(ValueError, match="at least one frame"):
        run(MakeLocationCue, masks=masks[:0], **LOCATION)
    clear = torch.cat([images, torch.ones_like(images[..., :1])], -1)
    assert "transparent frames laid over black" in run(ExtractFaceCue, images=clear, bboxes=boxes, **FACE)[-1]
    as_bytes = run(AlignToReference, reference_mask=reference, masks=masks, scale_by="auto", images=(images * 255).round().byte())[2]
    assert as_bytes.max() <= 1

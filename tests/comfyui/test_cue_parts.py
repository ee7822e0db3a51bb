"""Face, alignment and location through the real ComfyUI: its own box and masks go in, its own nodes save what comes out."""

import pytest
from motion4d.core.formats.pictures import read_picture
from motion4d.headless.submit import Server, SubmitFailure, submit

pytestmark = pytest.mark.comfyui


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def masks(number: int, *, size, at, person, frames=3) -> dict:
    """Nodes from `number` on; the last, number + 5, gives a MASK batch of a white rectangle."""
    first = [str(number + step) for step in range(6)]
    return {
        first[0]: node("SolidMask", value=0.0, width=size[0], height=size[1]),
        first[1]: node("SolidMask", value=1.0, width=person[0], height=person[1]),
        first[2]: node("MaskComposite", destination=[first[0], 0], source=[first[1], 0], x=at[0], y=at[1], operation="add"),
        first[3]: node("MaskToImage", mask=[first[2], 0]),
        first[4]: node("RepeatImageBatch", image=[first[3], 0], amount=frames),
        first[5]: node("ImageToMask", image=[first[4], 0], channel="red"),
    }


def test_a_box_of_comfyui_leads_to_cues_on_the_reference(comfyui, tmp_path):
    if not comfyui.is_modern:
        pytest.skip("boxes come from nodes of newer versions of ComfyUI")
    flow = masks(10, size=(128, 96), at=(40, 16), person=(30, 60)) | masks(20, size=(120, 160), at=(30, 20), person=(60, 120), frames=1)
    flow["1"] = node("PrimitiveBoundingBox", x=48, y=18, width=14, height=16)
    flow["2"] = node(
        "Motion4D_ExtractFaceCue", images=["14", 0], bboxes=["1", 0], mask=["15", 0], source="auto", margin=1.5, smoothing=5,
        placement="enlarged", width=0, height=0, mask_shape="ellipse",
    )  # fmt: skip
    flow["3"] = node("Motion4D_AlignToReference", reference_mask=["25", 0], masks=["15", 0], face_mask=["2", 1], scale_by="auto")
    flow["4"] = node("Motion4D_MakeLocationCue", masks=["3", 0], face_mask=["3", 1], softening="hard", grid="pixels", cell=0)
    flow["5"] = node("SaveImage", images=["2", 0], filename_prefix="cues/face")
    flow["6"] = node("MaskToImage", mask=["4", 0])
    flow["7"] = node("SaveImage", images=["6", 0], filename_prefix="cues/body")
    flow["8"] = node("DrawBBoxes", image=["14", 0], bboxes=["2", 2])
    flow["9"] = node("SaveImage", images=["8", 0], filename_prefix="cues/boxes")
    submit(flow, Server(comfyui.url), tmp_path)
    folder = comfyui.base / "output" / "cues"
    faces, bodies, boxes = (sorted(folder.glob(f"{name}_*.png")) for name in ("face", "body", "boxes"))
    assert len(faces) == len(bodies) == len(boxes) == 3
    face, body = (read_picture(paths[0])[0].numpy() for paths in (faces, bodies))
    assert face.shape[:2] == (96, 128) and face[48, 64].min() > 0.98 and face[2, 2].max() == 0
    rows, columns = (body[..., 0] > body.max() / 2).any(1).nonzero()[0], (body[..., 0] > body.max() / 2).any(0).nonzero()[0]
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (20, 140, 30, 90)


def test_without_anything_that_tells_where_faces_are_the_node_says_what_to_connect(comfyui, tmp_path):
    flow = masks(10, size=(64, 64), at=(20, 16), person=(20, 40))
    flow["2"] = node(
        "Motion4D_ExtractFaceCue",
        images=["14", 0],
        source="auto",
        margin=1.5,
        smoothing=5,
        placement="enlarged",
        width=0,
        height=0,
        mask_shape="box",
    )
    flow["3"] = node("SaveImage", images=["2", 0], filename_prefix="cues/none")
    with pytest.raises(SubmitFailure, match="nothing tells where faces are"):
        submit(flow, Server(comfyui.url), tmp_path)

"""All driving cues of a rectangle that stands still, through the real ComfyUI."""

import numpy as np
import pytest
from motion4d.core.formats.pictures import read_picture
from motion4d.headless.submit import Server, SubmitFailure, submit

pytestmark = pytest.mark.comfyui

POSE = {"look": "low_pass", "filter": "gaussian", "cutoff": 6.0, "missing": "zero", "fps": 30.0}


def node(kind, **inputs):
    return {"class_type": kind, "inputs": inputs}


def rectangles(number: int, *, frames: int, x: int, y: int, width: int, height: int) -> dict:
    """Nodes from `number` on: IMAGE of number + 4 and MASK of number + 5, 128 x 96, white in a rectangle."""
    first = [str(number + step) for step in range(6)]
    return {
        first[0]: node("SolidMask", value=0.0, width=128, height=96),
        first[1]: node("SolidMask", value=1.0, width=width, height=height),
        first[2]: node("MaskComposite", destination=[first[0], 0], source=[first[1], 0], x=x, y=y, operation="add"),
        first[3]: node("MaskToImage", mask=[first[2], 0]),
        first[4]: node("RepeatImageBatch", image=[first[3], 0], amount=frames),
        first[5]: node("ImageToMask", image=[first[4], 0], channel="red"),
    }


def test_cues_of_a_rectangle(comfyui, tmp_path):
    flow = rectangles(10, frames=3, x=40, y=20, width=30, height=60) | rectangles(20, frames=1, x=80, y=40, width=20, height=40)
    flow["1"] = node(
        "Motion4D_ExtractDrivingCues", images=["14", 0], mask=["15", 0], reference_mask=["25", 0], drop_bad_masks=True, faces_by="auto", face_margin=1.5,
        face_placement="enlarged", scale_by="auto", softening="hard", grid="pixels", cell=0, **POSE,
    )  # fmt: skip
    flow["2"] = node(
        "Motion4D_ExtractPoseCue",
        images=["14", 0],
        mask=["15", 0],
        area=2.0,
        window=12,
        component=0.8,
        overlap=0.4,
        **(POSE | {"look": "grey"}),
    )
    flow["3"] = node("MaskToImage", mask=["1", 2])
    for number, (name, source) in enumerate({"pose": ["1", 0], "face": ["1", 1], "body": ["3", 0], "grey": ["2", 0]}.items(), start=30):
        flow[str(number)] = node("SaveImage", images=source, filename_prefix=f"driving_cues/{name}")
    submit(flow, Server(comfyui.url), tmp_path)
    folder = comfyui.base / "output" / "driving_cues"
    pose, face, body, grey = (
        np.asarray(read_picture(folder / f"{name}_00003_.png")[0])[..., 0] for name in ("pose", "face", "body", "grey")
    )
    assert pose.shape == (96, 128) and pose[50, 55] > 0.98 and 0.5 < pose[50, 40] < 0.65 and pose[50, 10] == 0 and face.max() == 0
    rows, columns = ((body > 0.5).any(axis).nonzero()[0] for axis in (1, 0))
    assert (rows[0], rows[-1] + 1, columns[0], columns[-1] + 1) == (40, 80, 80, 100)
    assert np.array_equal(grey > 0.5, np.pad(np.ones((60, 30), bool), ((20, 16), (40, 58))))


def test_masks_of_another_video_are_refused_with_the_reason(comfyui, tmp_path):
    flow = rectangles(10, frames=3, x=40, y=20, width=30, height=60) | rectangles(20, frames=2, x=40, y=20, width=30, height=60)
    flow["2"] = node("Motion4D_ExtractPoseCue", images=["14", 0], mask=["25", 0], area=2.0, window=12, component=0.8, overlap=0.4, **POSE)
    flow["3"] = node("SaveImage", images=["2", 0], filename_prefix="driving_cues/none")
    with pytest.raises(SubmitFailure, match="mask are 2 for 3 frames"):
        submit(flow, Server(comfyui.url), tmp_path)

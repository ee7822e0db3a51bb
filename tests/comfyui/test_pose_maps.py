"""Pose maps through the real ComfyUI: a fox is drawn, read, triangulated, solved and saved again."""

import shutil

import pytest
from motion4d.core.formats import load_rig
from motion4d.core.formats.rig_animation import list_animations
from motion4d.headless.submit import Server, submit

pytestmark = pytest.mark.comfyui

CAMERAS = {
    "azimuths": "0, 90, 180, 270",
    "paper_literal": False,
    "elevation": 0.0,
    "margin": 0.8,
    "distance": 2.7,
    "lens": 35.0,
    "width": 416,
    "height": 240,
}


def test_a_fox_walks_through_pose_maps_and_back(comfyui, reference, tmp_path):
    shutil.copy(reference("data", "fox.glb"), comfyui.base / "input" / "fox.glb")
    nodes = [
        ("Motion4D_LoadRig", {"file": "fox.glb", "skin": -1, "clip": 1, "fps": 12.0}),
        ("Motion4D_PlaceRigCameras", {"rig": ["1", 0], "animation": ["1", 1], **CAMERAS}),
        (
            "Motion4D_DrawPoseMaps",
            {"motion": ["1", 2], "cameras": ["2", 0], "radius": 4.0, "bone_width": 4.0, "order": "depth", "detail": False},
        ),
        ("Motion4D_ReadPoseMaps", {"images": ["3", 0], "pose_maps": ["3", 1], "views": 4, "temporal": True, "detail_images": ["3", 3]}),
        (
            "Motion4D_TriangulateJoints",
            {
                "keypoints": ["4", 0],
                "cameras": ["2", 0],
                "skeleton": "openpose18",
                "bone_lengths": "rest pose",
                "smoothness": 1.0,
                "fps": 12.0,
                "rig": ["1", 0],
            },
        ),
        (
            "Motion4D_SolveSkeleton",
            {
                "motion": ["5", 0],
                "skeleton": "of the motion",
                "twist": "inherit",
                "method": "direct",
                "aim": "positions",
                "size": "keep",
                "rig": ["1", 0],
            },
        ),
        (
            "Motion4D_SaveAnimatedRig",
            {"animation": ["6", 0], "filename_prefix": "poses/fox", "format": "glb", "key_degrees": 0.0, "key_metres": 1.0},
        ),
        ("SaveImage", {"images": ["3", 0], "filename_prefix": "poses/maps"}),
        ("SaveImage", {"images": ["4", 1], "filename_prefix": "poses/read"}),
    ]
    flow = {str(number): {"class_type": kind, "inputs": inputs} for number, (kind, inputs) in enumerate(nodes, start=1)}
    submit(flow, Server(comfyui.url), tmp_path)
    folder = comfyui.base / "output" / "poses"
    rig = load_rig(next(folder.glob("fox*.glb")))
    assert [info.name for info in list_animations(rig)] == ["Survey", "Walk", "Run", "Motion4D"]
    assert len(list(folder.glob("maps*.png"))) == len(list(folder.glob("read*.png"))) > 4

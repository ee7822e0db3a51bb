"""Bone maps of two people before moving lists, presets and files: the same in both hosts."""

import json

import pytest
import torch
from motion4d.core.formats.pictures import read_picture
from motion4d.headless.cli import main
from motion4d.headless.submit import Server, submit

pytestmark = pytest.mark.comfyui


def prompt():
    """Two people, one behind the other, rendered with soft edges, composed, encoded, masked and saved."""
    nodes = {
        "1": ("Motion4D_MakeDemoMotion", {"action": "walk", "seconds": 0.5, "fps": 20.0, "stature": 1.7}),
        "2": ("Motion4D_MakeDemoMotion", {"action": "wave", "seconds": 0.5, "fps": 20.0, "stature": 1.5}),
        "3": ("Motion4D_GatherPeople", {"motion_0": ["1", 0], "motion_1": ["2", 0], "spacing": 0.4, "width": 96, "height": 128}),
        "4": ("Motion4D_SplitPeople", {"people": ["3", 0], "most": 0, "absence": 2.0, "relink_shots": False}),
        "5": (
            "Motion4D_RenderBoneMaps",
            {
                "motion": ["4", 0], "depth_range": "root", "span": 1.25, "virtual_leaves": True, "opacity": 0.85, "fingertips": True,
                "soft_edges": True, "radii": "left_wrist 0.05",
            },
        ),
        "6": ("Motion4D_ComposeBoneMaps", {"bone_maps": ["5", 0], "depth_range": "root", "span": 2.5}),
        "7": ("Motion4D_EncodeBoneMaps", {"bone_maps": ["6", 0], "preset": "controlnet_normal"}),
        "8": ("Motion4D_EncodeBoneMaps", {"bone_maps": ["6", 0], "preset": "bones"}),
        "9": ("SaveImage", {"images": ["7", 0], "filename_prefix": "normals"}),
        "10": ("SaveImage", {"images": ["8", 0], "filename_prefix": "bones"}),
        "11": ("MaskToImage", {"mask": ["7", 2]}),
        "12": ("SaveImage", {"images": ["11", 0], "filename_prefix": "person"}),
        "13": ("Motion4D_SaveDepthMaps", {"bone_maps": ["6", 0], "filename_prefix": "maps/depth", "unit": "stretched"}),
        "14": ("Motion4D_DrawSkeleton", {"motion": ["4", 0], "style": "openpose"}),
        "15": ("SaveImage", {"images": ["14", 0], "filename_prefix": "pose"}),
    }  # fmt: skip
    return {number: {"class_type": kind, "inputs": inputs} for number, (kind, inputs) in nodes.items()}


def same(ours, theirs) -> bool:
    """Whether two files show the same pixels, or say the same."""
    if ours.suffix == ".png":
        return torch.equal(read_picture(ours)[0], read_picture(theirs)[0])
    return json.loads(ours.read_text()) == json.loads(theirs.read_text())


def test_two_people_are_drawn_encoded_and_saved_alike_in_both_hosts(comfyui, tmp_path, capsys):
    workflow = tmp_path / "workflow.json"
    only_there = ("11", "12")  # the headless host has no MaskToImage
    workflow.write_text(json.dumps({number: node for number, node in prompt().items() if number not in only_there}), encoding="utf-8")
    sent = submit(prompt(), Server(comfyui.url), tmp_path / "there", poll=0.2, timeout=300)
    assert main(["run", str(workflow), "--output", str(tmp_path / "here")]) == 0
    capsys.readouterr()
    theirs = {path.relative_to(tmp_path / "there").as_posix(): path for path in sent}
    assert len([name for name in theirs if name.startswith("person")]) == 2 * 10
    for name in theirs:
        assert name.startswith("person") or same(tmp_path / "here" / name, theirs[name]), name
    pictures = list((comfyui.base / "output" / "maps" / "depth_00001_").iterdir())
    assert len(pictures) == 10 and all(same(tmp_path / "here" / "maps" / "depth_00001_" / path.name, path) for path in pictures)

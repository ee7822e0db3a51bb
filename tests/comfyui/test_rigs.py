"""A rigged character through the real ComfyUI: loaded, saved in every format, and previewed."""

import shutil

import pytest
from motion4d.core.formats import list_animations, load_motion, load_rig
from motion4d.headless.submit import Server, submit

pytestmark = pytest.mark.comfyui

LOAD = {"class_type": "Motion4D_LoadRig", "inputs": {"file": "fox.glb", "skin": -1, "clip": 1, "fps": 0.0}}


def save(form, degrees=0.0):
    given = {"animation": ["1", 1], "filename_prefix": "rigs/fox", "format": form, "key_degrees": degrees, "key_metres": 1.0}
    return {"class_type": "Motion4D_SaveAnimatedRig", "inputs": given}


def test_a_fox_goes_in_and_comes_out(comfyui, reference, tmp_path):
    shutil.copy(reference("data", "fox.glb"), comfyui.base / "input" / "fox.glb")
    flow = {"1": LOAD, "2": save("glb"), "3": save("glb", 1.0), "4": save("bvh"), "5": save("npz")}
    flow["6"] = {"class_type": "Preview3D", "inputs": {"model_file": ["2", 1]}}
    flow["7"] = {"class_type": "Motion4D_PreviewMotion", "inputs": {"motion": ["1", 2]}}
    flow["8"] = {"class_type": "Preview3D", "inputs": {"model_file": ["7", 0]}}
    submit(flow, Server(comfyui.url), tmp_path)
    folder = comfyui.base / "output" / "rigs"
    written = sorted(path.name for path in folder.iterdir())
    assert [name.rsplit(".", 1)[1] for name in written] == ["bvh", "glb", "npz", "glb"]
    for path in folder.glob("*.glb"):
        rig = load_rig(path)
        assert [info.name for info in list_animations(rig)] == ["Survey", "Walk", "Run", "Motion4D"]
    assert load_motion(next(folder.glob("*.npz"))).frames == load_motion(next(folder.glob("*.bvh"))).frames == 18

"""The stand-in tells about a node what the real comfy_api tells."""

import json
import os
import subprocess
from pathlib import Path

import pytest

pytestmark = pytest.mark.comfyui

# Every keyword of every input, and every schema field, that the stand-in knows.
PROBES = """
import json
from comfy_api.latest import ComfyExtension, io, ui, Types


class Everything(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        named = dict(display_name="shown", tooltip="tip", lazy=True, raw_link=True, advanced=True, extra_dict={"more": [1]})
        return io.Schema(
            node_id="Everything", display_name="Every Thing", category="a/b", description="words", search_aliases=["all"], is_output_node=True,
            hidden=[io.Hidden.unique_id], is_experimental=True, is_deprecated=True, is_dev_only=True, is_input_list=True, not_idempotent=True,
            inputs=[
                io.Int.Input("i", default=1, min=0, max=9, step=2, control_after_generate=True, display_mode=io.NumberDisplay.slider, **named),
                io.Int.Input("i_plain"),
                io.Float.Input("f", default=1.5, min=0.0, max=9.0, step=0.5, round=0.1, display_mode=io.NumberDisplay.number, socketless=True, **named),
                io.Float.Input("f_optional", optional=True, force_input=True),
                io.String.Input("s", multiline=True, placeholder="here", default="x", dynamic_prompts=False, **named),
                io.String.Input("s_plain"),
                io.Boolean.Input("b", default=False, label_on="yes", label_off="no", **named),
                io.Combo.Input("c", options=["p", "q"], default="q", control_after_generate=True, upload=io.UploadType.video, image_folder=io.FolderType.output, **named),
                io.Combo.Input("c_enum", options=io.FolderType, optional=True),
                io.Combo.Input("c_file", ["a"], upload=io.UploadType.model, extra_dict={"motion4d_upload": [".bvh"]}),
                io.Image.Input("image", **named),
                io.Custom("MOTION4D_X").Input("custom", optional=True, tooltip="t"),
                io.MultiType.Input("several", types=[io.Image, io.Mask, io.Custom("MOTION4D_X")], tooltip="u"),
                io.MultiType.Input(io.String.Input("widget", default="d", multiline=False, tooltip="inner"), types=[io.File3DGLB, io.File3DAny], optional=True),
                io.AnyType.Input("any"),
                io.DynamicCombo.Input("d", options=[io.DynamicCombo.Option("one", []), io.DynamicCombo.Option("two", [io.Int.Input("n", default=3)])], tooltip="v"),
                io.Load3DCamera.Input("camera", optional=True),
            ],
            outputs=[
                io.Image.Output(), io.Mask.Output("mask"), io.Custom("MOTION4D_X").Output("x", display_name="X", tooltip="out"),
                io.String.Output(display_name="text", is_output_list=True), io.Combo.Output(display_name="choice"), io.File3DGLB.Output(), io.Audio.Output(),
                io.Video.Output(), io.Latent.Output(), io.Model.Output(), io.Vae.Output(), io.Clip.Output(), io.ClipVisionOutput.Output(),
            ],
        )

    @classmethod
    def execute(cls, **_):
        return io.NodeOutput()


class Nothing(io.ComfyNode):
    @classmethod
    def define_schema(cls):
        return io.Schema(node_id="Nothing")

    @classmethod
    def execute(cls):
        return io.NodeOutput()


def refusals():
    makers = [
        lambda: io.Schema(node_id="x", colour=1), lambda: io.Int.Input("x", colour=1), lambda: io.Image.Input("x", default=1),
        lambda: io.Combo.Input("x", ["a"], force_input=True), lambda: io.Custom("X").Input("x", min=1), lambda: io.Image.Output(colour=1),
    ]
    return [kind_of(maker) for maker in makers]


def kind_of(maker):
    try:
        maker()
    except Exception as error:
        return type(error).__name__
    return "accepted"


def shown():
    saved = ui.SavedResult("a.mp4", "sub", io.FolderType.output)
    return [ui.PreviewText("t").as_dict(), ui.PreviewVideo([saved]).as_dict(), ui.PreviewUI3D("a.glb", None).as_dict(), ui.SavedImages([saved]).as_dict()]


def report():
    infos = [node.GET_NODE_INFO_V1() for node in (Everything, Nothing)]
    inputs = [node.INPUT_TYPES() for node in (Everything, Nothing)]
    glb = Types.File3D("a/b.GLB")
    return json.loads(json.dumps([infos, inputs, refusals(), shown(), [glb.format, glb.is_disk_backed]]))
"""

# Fields that came after ComfyUI 0.12.1, and the module's name, which each loader gives in its own way.
NEWER = {"essentials_category", "has_intermediate_output", "python_module", "price_badge", "output_matchtypes"}


def known(info: dict) -> dict:
    return {key: value for key, value in info.items() if key not in NEWER}


def run_real(comfy_folder: Path, comfy_python: str, tmp_path: Path, code: str, **environment: str) -> str:
    (tmp_path / "code.py").write_text(f"import sys\nsys.path.insert(0, {str(comfy_folder)!r})\n{code}")
    command = [comfy_python, str(tmp_path / "code.py")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=180, env=os.environ | environment)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip().splitlines()[-1]


def test_every_keyword_is_told_as_the_real_one_tells_it(comfy_folder, comfy_python, tmp_path):
    namespace: dict = {}
    exec(compile(PROBES, "probes", "exec"), namespace)  # noqa: S102 - the text above, run once here and once beside ComfyUI
    ours = namespace["report"]()
    real = json.loads(run_real(comfy_folder, comfy_python, tmp_path, PROBES + "\nprint(json.dumps(report()))\n"))
    for mine, theirs in zip(ours[0], real[0], strict=True):
        assert known(mine) == known(theirs)
        assert list(mine["input"]["required"]) == list(theirs["input"]["required"])
    assert ours[1:] == real[1:]


def test_importing_the_pack_is_cheap(comfy_folder, comfy_python, tmp_path):
    package = Path(__file__).resolve().parents[2]
    code = f"""
import asyncio, importlib.util, json, sys, time
import torch, numpy
import comfy_api.latest
before = set(sys.modules)
start = time.process_time()  # another process on the machine adds nothing to it
spec = importlib.util.spec_from_file_location("pack", {str(package / "__init__.py")!r}, submodule_search_locations=[{str(package)!r}])
sys.modules["pack"] = pack = importlib.util.module_from_spec(spec)
spec.loader.exec_module(pack)
async def load():
    return await (await pack.comfy_entrypoint()).get_node_list()
count = len(asyncio.run(load()))
print(json.dumps([count, time.process_time() - start, sorted(set(sys.modules) - before)]))
"""
    # The pack is compiled once, as after its first start, wherever Python is told to keep what it compiles.
    kept = {"PYTHONDONTWRITEBYTECODE": "", "PYTHONPYCACHEPREFIX": str(tmp_path / "compiled")}
    runs = [json.loads(run_real(comfy_folder, comfy_python, tmp_path, code, **kept)) for _ in range(3)]
    assert runs[0][0] > 0
    heavy = {"diffusers", "transformers", "scipy", "cv2", "accelerate", "smplx", "av"} & {name.split(".")[0] for name in runs[0][2]}
    assert not heavy
    assert min(seconds for _, seconds, _ in runs) <= 0.3

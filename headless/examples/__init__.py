"""The example workflows: `python -m motion4d.headless.examples` writes both forms of each from the descriptions in this folder."""

import json
import tempfile
import uuid
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ...core.specs import list_specs, load_spec
from .. import EXAMPLES
from ..host import HeadlessHost
from ..registry import load_nodes
from ..workflow import Workflow
from .bridge import motion_bridge
from .capture import animate_from_video, video_to_motion
from .cues import cues_to_scail2, cues_to_wan_animate, driving_cues
from .inputs import inputs
from .motion import clean_motion, motion_to_bone_maps, tokens_round_trip
from .mvdit import mvdit_7b, mvdit_7b_cfg_sweep, mvdit_17b, mvdit_long
from .native import mvdit_7b_native, mvdit_17b_fast, mvdit_17b_native
from .people import two_people
from .rigs import animate_my_rig, cameras_to_animation
from .stock import STOCK
from .views import (
    long_video,
    long_video_native,
    multi_view_turntable,
    multi_view_turntable_native,
    novel_views,
    novel_views_native,
)

WORKFLOWS = {
    one.__name__: one
    for one in (
        motion_to_bone_maps,
        tokens_round_trip,
        video_to_motion,
        motion_bridge,
        clean_motion,
        two_people,
        animate_my_rig,
        cameras_to_animation,
        animate_from_video,
        driving_cues,
        cues_to_wan_animate,
        cues_to_scail2,
        mvdit_7b,
        mvdit_17b,
        mvdit_7b_cfg_sweep,
        mvdit_long,
        mvdit_7b_native,
        mvdit_17b_native,
        mvdit_17b_fast,
        multi_view_turntable,
        novel_views,
        long_video,
        multi_view_turntable_native,
        novel_views_native,
        long_video_native,
    )
}


def texts(name: str, infos: Mapping[str, Any]) -> dict[Path, str]:
    """What the files of an example contain: the graph, its API form and, where it needs something, NAME.requires.toml beside that."""
    flow = WORKFLOWS[name](infos)
    graph = flow.graph() | {"id": str(uuid.uuid5(uuid.NAMESPACE_URL, f"motion4d/{name}"))}
    forms = {EXAMPLES / f"{name}.json": graph, EXAMPLES / "api" / f"{name}.json": flow.api()}
    needs = requirements(flow)
    sidecar = {EXAMPLES / "api" / f"{name}.requires.toml": needs} if needs else {}
    return {path: json.dumps(form, indent=1, ensure_ascii=False) + "\n" for path, form in forms.items()} | sidecar


def requirements(flow: Workflow) -> str:
    """The nodes and models that a workflow needs beyond the pack and what a headless run has, as `headless.requirements` reads them."""
    nodes = sorted({step.kind for step in flow.steps if step.kind in STOCK})
    files = [(model["directory"], model["name"]) for step in flow.steps for model in step.models if model["name"] in step.values.values()]
    if not nodes and not files:
        return ""
    specs = {(spec.folder, file.name): spec.name for spec in map(load_spec, list_specs()) for file in spec.files}
    lines = [
        "# What the workflow needs beyond the pack's nodes and ComfyUI's nodes that the headless runner stands in for.",
        f"nodes = {json.dumps(nodes)}",
    ]
    for folder, file in dict.fromkeys(files):
        lines += ["", "[[models]]", *(f"{key} = {json.dumps(value)}" for key, value in
                  (("spec", specs[folder, file]), ("folder", folder), ("file", file)))]  # fmt: skip
    return "\n".join(lines) + "\n"


def node_infos() -> dict[str, Any]:
    """Info of every node, as in /object_info, with empty input and models folders: an example must not depend on the files of its author."""
    with tempfile.TemporaryDirectory() as empty:
        host = HeadlessHost(inputs=[Path(empty)], output=Path(empty), quiet=True)
        return STOCK | {name: node.GET_NODE_INFO_V1() for name, node in load_nodes(host).items()}


def main() -> None:
    """Write the files of every example, and those that they read."""
    infos = node_infos()
    for name in WORKFLOWS:
        for path, text in texts(name, infos).items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="\n")
            print(path)
    for path, data in inputs().items():
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        print(path)

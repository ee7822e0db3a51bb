"""The pack inside the real ComfyUI, over HTTP."""

import asyncio
import json
import urllib.error
import urllib.request
from pathlib import Path

import pytest
from motion4d.headless.cli import main
from motion4d.headless.graph import Prompt, sockets, validate
from motion4d.headless.page_graph import to_api
from motion4d.headless.registry import load_nodes
from motion4d.headless.submit import Server, SubmitFailure, submit

pytestmark = pytest.mark.comfyui

NEWER = {"essentials_category", "has_intermediate_output", "python_module", "price_badge", "output_matchtypes"}


def refusal(comfyui, prompt: Prompt) -> dict:
    """ComfyUI's answer to a workflow that it refuses."""
    request = urllib.request.Request(comfyui.url + "/prompt", json.dumps({"prompt": prompt}).encode(), {"Content-Type": "application/json"})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request, timeout=60)
    assert caught.value.code == 400
    return json.load(caught.value)


@pytest.fixture(scope="session")
def object_info(comfyui) -> dict:
    """/object_info."""
    return comfyui.json("/object_info")


def test_every_node_is_there_as_the_pack_describes_it(comfyui, object_info, same_folders):
    from motion4d.nodes.extension import Motion4DExtension

    nodes = asyncio.run(Motion4DExtension().get_node_list())
    ours = {node.GET_SCHEMA().node_id: json.loads(json.dumps(node.GET_NODE_INFO_V1())) for node in nodes}
    assert {name for name in object_info if name.startswith("Motion4D_")} == set(ours)
    for name, info in ours.items():
        theirs = object_info[name]
        assert theirs["python_module"] == "custom_nodes.Motion-4D.pack"
        assert {key: value for key, value in info.items() if key not in NEWER} == {key: theirs[key] for key in info if key not in NEWER}
        assert [list(group) for group in theirs["input"].values()] == [list(group) for group in info["input"].values()]


def interface(info: dict) -> dict:
    """What a link or a stored workflow can notice of a node: names, order, types, ranges and defaults."""

    def plain(entry):
        kind, options = entry[0], entry[1] if len(entry) > 1 else {}
        if isinstance(kind, list):
            kind, options = "COMBO", options | {"options": kind}
        kept = {
            key: options[key]
            for key in ("default", "min", "max", "step", "multiline", "widgetType", "image_upload", "video_upload")
            if key in options
        }
        if kind == "COMFY_DYNAMICCOMBO_V3":
            kept["options"] = [[one["key"], groups(one["inputs"])] for one in options["options"]]
        return kind, kept

    def groups(inputs):
        return [
            [group, [[name, plain(entry)] for name, entry in inputs[group].items()]]
            for group in ("required", "optional")
            if inputs.get(group)
        ]

    def words(names):
        return ["COMBO" if isinstance(name, list) else name for name in names]

    return {
        "input": groups(info["input"]),
        "output": words(info["output"]),
        "output_node": info["output_node"],
        "names": words(info["output_name"]),
    }


def test_the_stand_ins_for_comfyuis_nodes_have_its_interface(comfyui, object_info, same_folders):
    from motion4d.headless.core_nodes import NODES

    if not comfyui.is_modern:
        pytest.skip("the stand-ins follow the core nodes of ComfyUI 0.33; this one is older")
    for node in NODES:
        info = json.loads(json.dumps(node.GET_NODE_INFO_V1()))
        # A STRING that is not multiline says so in V3 and says nothing in V1.
        ours, theirs = (
            json.dumps(interface(one)).replace(', "multiline": false', "").replace('"multiline": false', "")
            for one in (info, object_info[info["name"]])
        )
        assert json.loads(ours) == json.loads(theirs), info["name"]


DEMO = {"class_type": "Motion4D_MakeDemoMotion", "inputs": {"action": "walk", "seconds": 1.0, "fps": 10.0, "stature": 1.7}}
SHOW = {"class_type": "Motion4D_InspectMotion", "inputs": {"motion": ["1", 0]}}


def demo(**changes) -> dict:
    return {"class_type": DEMO["class_type"], "inputs": DEMO["inputs"] | changes}


BAD: dict[str, Prompt] = {
    "unknown class": {"1": {"class_type": "Motion4D_Absent", "inputs": {}}, "2": SHOW},
    "no output": {"1": DEMO},
    "no such choice": {"1": demo(action="swim"), "2": SHOW},
    "too small": {"1": demo(seconds=0.1), "2": SHOW},
    "too big": {"1": demo(seconds=1000), "2": SHOW},
    "no number": {"1": demo(fps="many"), "2": SHOW},
    "two faults in two nodes": {"1": demo(fps="many", seconds=0), "2": SHOW, "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "x"}}},
    "missing value": {"1": {"class_type": DEMO["class_type"], "inputs": {"action": "walk"}}, "2": SHOW},
    "missing link": {"1": DEMO, "2": {"class_type": SHOW["class_type"], "inputs": {}}},
    "wrong type": {"1": DEMO, "2": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "x"}}},
    "half a link": {"1": DEMO, "2": {"class_type": SHOW["class_type"], "inputs": {"motion": ["1"]}}},
    "file that is not there": {"1": {"class_type": "LoadVideo", "inputs": {"file": "absent.mp4"}},
                               "2": {"class_type": "SaveVideo", "inputs": {"video": ["1", 0], "filename_prefix": "x", "format": "auto", "codec": "auto"}}},
    "file outside": {"1": {"class_type": "Motion4D_LoadMotion", "inputs": {"file": "../secret.npz", "clip": 0, "person": 0, "fps": 0, "video": "none", "max_side": 512}},
                     "2": SHOW},
}  # fmt: skip


@pytest.mark.parametrize("fault", BAD)
def test_both_hosts_refuse_with_the_same_words(comfyui, same_folders, fault):
    answer = refusal(comfyui, json.loads(json.dumps(BAD[fault])))
    ours = validate(json.loads(json.dumps(BAD[fault])), load_nodes(same_folders))
    theirs = {
        (error["type"], node, (error["extra_info"] or {}).get("input_name", ""))
        for node, entry in answer["node_errors"].items()
        for error in entry["errors"]
    }
    if theirs:
        # A node's own check is one reason here and a reason for each input that it looked at there.
        named = {(kind, node, "" if kind == "custom_validation_failed" else name) for kind, node, name in theirs}
        assert {(problem.kind, problem.node, problem.input) for problem in ours} == named
    else:
        assert [problem.kind for problem in ours] == [answer["error"]["type"]]


def test_both_hosts_refuse_a_cycle(comfyui, same_folders):
    entry = {
        "class_type": "Motion4D_LoadMotion",
        "inputs": {"file": "none", "clip": 0, "person": 0, "fps": 0, "video": "none", "max_side": 512},
    }
    flow = {
        name: {"class_type": entry["class_type"], "inputs": entry["inputs"] | {"default": [other, 0]}}
        for name, other in (("1", "3"), ("3", "1"))
    }
    flow["2"] = SHOW
    (problem,) = validate(json.loads(json.dumps(flow)), load_nodes(same_folders))
    assert problem.kind == "dependency_cycle"
    if comfyui.is_modern:
        errors = [error["type"] for one in refusal(comfyui, flow)["node_errors"].values() for error in one["errors"]]
        assert set(errors) == {"dependency_cycle"}


def test_submit_tells_what_the_server_refuses(comfyui, tmp_path):
    with pytest.raises(SubmitFailure, match=r"node 1 .*action.*value_not_in_list"):
        submit(json.loads(json.dumps(BAD["no such choice"])), Server(comfyui.url), tmp_path)
    with pytest.raises(SubmitFailure, match="no such node"):
        submit(json.loads(json.dumps(BAD["unknown class"])), Server(comfyui.url), tmp_path)


def test_submit_does_not_take_half_a_workflow_for_success(comfyui, tmp_path):
    """One output is sound, so the server accepts the workflow, with errors for the other."""
    flow = {"1": DEMO, "2": SHOW, "3": demo(action="swim"), "4": {"class_type": SHOW["class_type"], "inputs": {"motion": ["3", 0]}}}
    with pytest.raises(SubmitFailure, match=r"node 3 .*value_not_in_list"):
        submit(json.loads(json.dumps(flow)), Server(comfyui.url), tmp_path)


def test_submit_names_the_node_that_failed(comfyui, tmp_path):
    entry = {
        "class_type": "Motion4D_LoadMotion",
        "inputs": {"file": "none", "clip": 0, "person": 0, "fps": 0, "video": "none", "max_side": 512},
    }
    with pytest.raises(SubmitFailure, match=r"node 1 .*ValueError: file: no motion file is chosen"):
        submit({"1": entry, "2": SHOW}, Server(comfyui.url), tmp_path, poll=0.1)


def test_a_file_from_anywhere_reaches_the_server(comfyui, tmp_path, capsys):
    """Made here, saved as npz, sent as the input of another workflow, brought back as BVH."""
    flow = tmp_path / "flow.json"
    save = {"class_type": "Motion4D_SaveMotion", "inputs": {"motion": ["1", 0], "filename_prefix": "walk", "format": "npz"}}
    flow.write_text(json.dumps({"1": DEMO, "2": save}))
    assert main(["submit", str(flow), "--server", comfyui.url, "--output", str(tmp_path / "made")]) == 0
    (made,) = capsys.readouterr().out.splitlines()
    load = {
        "class_type": "Motion4D_LoadMotion",
        "inputs": {"file": "none", "clip": 0, "person": 0, "fps": 0, "video": "none", "max_side": 512},
    }
    flow.write_text(json.dumps({"1": load, "2": save}))
    command = [
        "submit",
        str(flow),
        "--server",
        comfyui.url,
        "--output",
        str(tmp_path / "back"),
        "--set",
        f"1.file={made}",
        "--set",
        "2.format=bvh",
    ]
    assert main(command) == 0
    (back,) = capsys.readouterr().out.splitlines()
    assert back.endswith(".bvh") and (tmp_path / "back").joinpath(back).is_file()
    assert Path(back).read_text(encoding="utf-8").startswith("HIERARCHY\n")


def test_help_pages_and_examples_are_served(comfyui, object_info):
    for name in (name for name in object_info if name.startswith("Motion4D_")):
        with urllib.request.urlopen(f"{comfyui.url}/extensions/Motion-4D.pack/docs/{name}.md", timeout=60) as answer:
            assert answer.status == 200
    assert "motion_to_bone_maps" in comfyui.json("/workflow_templates")["Motion-4D.pack"]


def test_graph_and_api_form_of_an_example_are_the_same_workflow(comfyui, object_info, example):
    if not comfyui.is_modern:
        pytest.skip("the graphs store a value for every widget of the core nodes of ComfyUI 0.33; this one is older")
    graph = json.loads((example.parent.parent / example.name).read_text(encoding="utf-8"))
    api = json.loads(example.read_text(encoding="utf-8"))
    read = to_api(graph, object_info)
    assert list(read) == list(api) or set(read) == set(api)
    for name, node in api.items():
        assert (read[name]["class_type"], read[name]["_meta"]) == (node["class_type"], node["_meta"])
        given = read[name]["inputs"]
        assert {key: given[key] for key in node["inputs"]} == node["inputs"]
        # The page stores the values of optional widgets too; where the API form leaves one out, it is the default.
        known = sockets(object_info[node["class_type"]]["input"], given)
        for key in set(given) - set(node["inputs"]):
            options = known[key][1]
            first = (options.get("options") or [None])[0]
            assert given[key] == options.get("default", first["key"] if isinstance(first, dict) else first), (name, key)

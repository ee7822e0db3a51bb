import json

import pytest
from motion4d.headless.graph import nested, read_workflow, sockets, types_meet, upstream, validate


def kinds(problems):
    return [(problem.kind, problem.node, problem.input) for problem in problems]


def test_a_sound_workflow_has_no_problems(prompt, nodes):
    flow = prompt(n1=("Number", {"value": 3}), n2=("Add", {"a": ["1", 0]}), n3=("Show", {"value": ["2", 0]}))
    assert validate(flow, nodes) == []


def test_widget_values_are_converted_as_in_comfyui(prompt, nodes):
    flow = prompt(n1=("Number", {"value": "3"}), n2=("Show", {"value": ["1", 0]}))
    assert validate(flow, nodes) == []
    assert flow["1"]["inputs"]["value"] == 3


@pytest.mark.parametrize(
    ("inputs", "kind", "name"),
    [
        ({}, "required_input_missing", "value"),
        ({"value": "three"}, "invalid_input_type", "value"),
        ({"value": None}, "invalid_input_type", "value"),
        ({"value": -1}, "value_smaller_than_min", "value"),
        ({"value": 101}, "value_bigger_than_max", "value"),
        ({"value": 1, "unit": "inch"}, "value_not_in_list", "unit"),
        ({"value": ["9", 0]}, "bad_linked_input", "value"),
        ({"value": ["2"]}, "bad_linked_input", "value"),
        ({"value": ["3", 4]}, "bad_linked_input", "value"),
        ({"value": ["3", 0]}, "return_type_mismatch", "value"),
    ],
)
def test_each_fault_is_named_with_its_node_and_input(prompt, nodes, inputs, kind, name):
    flow = prompt(n1=("Number", inputs), n2=("Show", {"value": ["1", 0]}), n3=("Text", {"text": ""}))
    problems = validate(flow, nodes)
    assert (kind, "1", name) in kinds(problems)
    assert "Number" in str(problems[0]) and kind in str(problems[0])


def test_an_unknown_class_is_refused_before_anything_else(prompt, nodes):
    assert kinds(validate(prompt(n1=("Numbre", {}), n2=("Show", {})), nodes)) == [("missing_node_type", "1", "")]


def test_a_workflow_without_output_has_nothing_to_do(prompt, nodes):
    assert kinds(validate(prompt(n1=("Number", {"value": 1})), nodes)) == [("prompt_no_outputs", "", "")]


def test_a_node_that_no_output_needs_is_not_checked(prompt, nodes):
    flow = prompt(n1=("Number", {"value": 1}), n2=("Show", {"value": ["1", 0]}), n3=("Number", {}))
    assert validate(flow, nodes) == []


def test_a_cycle_is_reported_with_its_path(prompt, nodes):
    flow = prompt(n1=("Add", {"a": ["2", 0]}), n2=("Add", {"a": ["1", 0]}), n3=("Show", {"value": ["2", 0]}))
    (problem,) = validate(flow, nodes)
    assert problem.kind == "dependency_cycle"
    assert problem.details == "2 (Add) -> 1 (Add) -> 2 (Add)"


def test_a_node_that_feeds_itself_is_a_cycle(prompt, nodes):
    flow = prompt(n1=("Add", {"a": ["1", 0]}), n2=("Show", {"value": ["1", 0]}))
    assert kinds(validate(flow, nodes)) == [("dependency_cycle", "1", "")]


def test_two_ways_to_the_same_node_are_no_cycle(prompt, nodes):
    flow = prompt(n1=("Number", {"value": 1}), n2=("Add", {"a": ["1", 0], "b": ["1", 0]}), n3=("Show", {"value": ["2", 0]}))
    assert validate(flow, nodes) == []


def test_a_fault_is_told_once_however_often_its_node_is_needed(prompt, nodes):
    flow = prompt(
        n1=("Number", {"value": -1}),
        n2=("Add", {"a": ["1", 0], "b": ["1", 0]}),
        n3=("Show", {"value": ["2", 0]}),
        n4=("Show", {"value": ["1", 0]}),
    )
    assert kinds(validate(flow, nodes)) == [("value_smaller_than_min", "1", "value")]


def test_nodes_come_after_their_sources_and_each_once(prompt):
    flow = prompt(
        n1=("Show", {"value": ["2", 0]}),
        n2=("Add", {"a": ["3", 0], "b": ["4", 0]}),
        n3=("Add", {"a": ["4", 0], "b": ["4", 0], "c": ["absent", 0]}),
        n4=("Number", {}),
        n5=("Number", {}),
    )
    assert upstream(flow, ["1", "2"]) == (["4", "3", "2", "1"], [])


@pytest.mark.parametrize(
    ("inputs", "expected"),
    [
        ({"even": 4, "small": 1}, []),
        # A name in validate_inputs loses the built-in limits: 12 is above the maximum of 10.
        ({"even": 12, "small": 1}, []),
        ({"even": 3, "small": 1}, ["custom_validation_failed"]),
        ({"even": 4, "small": 11}, ["value_bigger_than_max"]),
    ],
)
def test_a_node_checks_the_inputs_that_it_names_itself(prompt, nodes, inputs, expected):
    flow = prompt(n1=("Checked", inputs), n2=("Show", {"value": ["1", 0]}))
    assert [problem.kind for problem in validate(flow, nodes)] == expected


@pytest.mark.parametrize(
    ("given", "wanted", "meets"),
    [
        ("A", "A", True),
        ("A", "B", False),
        ("A,B", "B,C", True),
        ("*", "B", True),
        ("A", "*", True),
        ("A, B", "B", True),
        ("AB", "A", False),
    ],
)
def test_types_meet_where_they_overlap(given, wanted, meets):
    assert types_meet(given, wanted) is meets


def test_a_dynamic_choice_brings_its_own_inputs():
    from motion4d.headless.comfy_io import inputs_info
    from motion4d.headless.core_nodes import SaveVideo

    inputs = inputs_info(SaveVideo.define_schema().inputs)
    assert list(sockets(inputs, {"format": "mp4"})) == ["video", "filename_prefix", "format"]
    assert list(sockets(inputs, {"format": "mp4", "format.codec": "auto"})) == ["video", "filename_prefix", "format.codec", "format"]
    assert sockets(inputs, {"format": "flv"})["format"] == ("COMBO", {"options": ["auto", "mp4", "mkv", "webm"]})
    values = {"format": "mp4", "format.codec": "h264", "format.codec.encoding": "re-encode", "format.codec.encoding.crf": 30.0}
    found = sockets(inputs, values)
    assert found["format.codec.encoding.crf"][1]["max"] == 51.0
    settings = nested(values, {name: path for name, path in found.paths.items() if name in values})
    assert settings == {"format": {"format": "mp4", "codec": {"codec": "h264", "encoding": {"encoding": "re-encode", "crf": 30.0}}}}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not a JSON file"),
        ("[1]", "not a workflow"),
        ('{"1": {"inputs": [1]}}', "inputs of node 1"),
        ("[" * 10**5, "JSON"),
    ],
)
def test_a_file_that_is_no_workflow_is_refused_with_its_name(tmp_path, text, reason):
    path = tmp_path / "flow.json"
    path.write_text(text)
    with pytest.raises(ValueError, match=reason) as caught:
        read_workflow(path, from_page=lambda graph: graph)
    assert "flow.json" in str(caught.value)


def test_a_workflow_is_read_as_it_is(tmp_path, prompt):
    flow = prompt(n1=("Number", {"value": 1}))
    (tmp_path / "flow.json").write_text(json.dumps(flow))
    assert read_workflow(tmp_path / "flow.json", from_page=lambda graph: graph) == flow
    with pytest.raises(FileNotFoundError, match=r"other\.json"):
        read_workflow(tmp_path / "other.json", from_page=lambda graph: graph)


@pytest.mark.parametrize("value", [5, "text", None, [1, 2, 3]])
def test_a_value_where_only_a_link_can_go_is_refused(prompt, nodes, value):
    from comfy_api.latest import io

    class Seeing(nodes["Show"]):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Seeing", inputs=[io.Image.Input("image")], outputs=[], is_output_node=True)

    problems = validate(prompt(n1=("Seeing", {"image": value})), {**nodes, "Seeing": Seeing})
    assert [(problem.kind, problem.input) for problem in problems] in ([("invalid_input_type", "image")], [("bad_linked_input", "image")])


@pytest.mark.parametrize(("kind", "value"), [("Float", float("nan")), ("Float", "inf"), ("Boolean", "maybe")])
def test_numbers_are_finite_and_switches_are_true_or_false(prompt, nodes, kind, value):
    from comfy_api.latest import io

    class Taking(nodes["Show"]):
        @classmethod
        def define_schema(cls):
            return io.Schema(node_id="Taking", inputs=[getattr(io, kind).Input("one")], outputs=[], is_output_node=True)

    everything = {**nodes, "Taking": Taking}
    assert [problem.kind for problem in validate(prompt(n1=("Taking", {"one": value})), everything)] == ["invalid_input_type"]
    good = prompt(n1=("Taking", {"one": "false" if kind == "Boolean" else "2"}))
    assert validate(good, everything) == [] and good["1"]["inputs"]["one"] in (False, 2.0)


def test_an_input_without_options_is_known_too():
    """Nodes of ComfyUI's older kind leave them out: ("IMAGE",)."""
    found = sockets({"required": {"images": ["IMAGE"]}, "optional": {"name": [["a", "b"]]}}, {})
    assert found["images"] == ("IMAGE", {}) and found["name"] == (["a", "b"], {})

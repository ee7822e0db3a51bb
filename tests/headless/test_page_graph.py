import pytest
from motion4d.headless.page_graph import to_api

INFOS = {
    "Load": {
        "input": {
            "required": {
                "file": ["COMBO", {"options": ["a.bvh"], "file_upload": True}],
                "seed": ["INT", {"control_after_generate": True}],
                "motion": ["M", {}],
                "scale": ["FLOAT", {"default": 1.0}],
            },
            "optional": {"text": ["STRING,M", {"widgetType": "STRING"}], "linked": ["INT", {"forceInput": True}], "old": [["x", "y"], {}]},
        }
    },
    "Save": {
        "input": {
            "required": {
                "video": ["V", {}],
                "format": [
                    "COMFY_DYNAMICCOMBO_V3",
                    {
                        "options": [
                            {"key": "auto", "inputs": {"required": {"crf": ["INT", {}]}}},
                            {"key": "mp4", "inputs": {"required": {}}},
                        ]
                    },
                ],
                "name": ["STRING", {}],
            }
        }
    },
}


def node(number, kind, values, links=(), **more):
    return {"id": number, "type": kind, "widgets_values": values, "inputs": [{"name": name, "link": link} for name, link in links], **more}


def test_widget_values_go_to_their_inputs_in_order():
    graph = {"nodes": [node(1, "Load", ["a.bvh", 7, 0.5, "words", "y"])], "links": []}
    assert to_api(graph, INFOS)["1"]["inputs"] == {"file": "a.bvh", "seed": 7, "scale": 0.5, "text": "words", "old": "y"}


def test_values_that_only_the_page_needs_are_dropped():
    graph = {"nodes": [node(1, "Load", ["a.bvh", "image", 7, "randomize", 0.5, "words", "y"])], "links": []}
    assert to_api(graph, INFOS)["1"]["inputs"] == {"file": "a.bvh", "seed": 7, "scale": 0.5, "text": "words", "old": "y"}


def test_a_link_takes_the_place_of_a_value():
    entries = [node(1, "Load", ["a.bvh", 7, 0.5, "words", "y"], [("scale", 2), ("motion", 3), ("text", None)]), node(2, "Load", [])]
    graph = {"nodes": entries, "links": [[2, 2, 1, 1, 0, "FLOAT"], [3, 2, 0, 1, 1, "M"]]}
    assert to_api(graph, INFOS)["1"]["inputs"] == {
        "file": "a.bvh",
        "seed": 7,
        "scale": ["2", 1],
        "text": "words",
        "old": "y",
        "motion": ["2", 0],
    }


def test_a_dynamic_choice_takes_the_values_of_its_option():
    graph = {"nodes": [node(1, "Save", ["auto", 20, "clip"]), node(2, "Save", ["mp4", "clip"])], "links": []}
    read = to_api(graph, INFOS)
    assert read["1"]["inputs"] == {"format": "auto", "format.crf": 20, "name": "clip"}
    assert read["2"]["inputs"] == {"format": "mp4", "name": "clip"}


def test_notes_are_left_out_and_titles_kept():
    graph = {"nodes": [node(1, "Load", [], title="First"), node(2, "MarkdownNote", ["hello"]), node(3, "Save", [])], "links": []}
    assert {name: entry["_meta"]["title"] for name, entry in to_api(graph, INFOS).items()} == {"1": "First", "3": "Save"}


@pytest.mark.parametrize(
    ("entry", "reason"),
    [
        (node(1, "Load", [], mode=4), "muted or bypassed"),
        (node(1, "Reroute", []), "not a node of the host"),
        (node(1, "Save", ["mp4", "clip", "left over"]), "left over"),
    ],
)
def test_what_only_the_page_resolves_is_refused(entry, reason):
    with pytest.raises(ValueError, match=reason):
        to_api({"nodes": [entry], "links": []}, INFOS)

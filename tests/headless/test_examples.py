"""The example workflows are what their descriptions say, and can run."""

import json

import pytest
from motion4d.headless import EXAMPLES
from motion4d.headless.examples import WORKFLOWS, node_infos, texts
from motion4d.headless.workflow import Workflow


@pytest.fixture(scope="module")
def infos():
    return node_infos()


def forms(name, infos):
    """(graph, API form)."""
    return [json.loads(text) for path, text in texts(name, infos).items() if path.suffix == ".json"]


@pytest.mark.parametrize("name", WORKFLOWS)
def test_the_files_are_up_to_date(name, infos):
    for path, text in texts(name, infos).items():
        assert path.read_text(encoding="utf-8") == text, f"{path.name} is old: run python -m motion4d.headless.examples"


def test_every_workflow_file_has_a_description_a_thumbnail_and_a_twin():
    graphs = {path.stem for path in EXAMPLES.glob("*.json")}
    assert (
        graphs
        == set(WORKFLOWS)
        == {path.stem for path in (EXAMPLES / "api").glob("*.json")}
        == {path.stem for path in EXAMPLES.glob("*.jpg")}
    )


@pytest.mark.parametrize("name", WORKFLOWS)
def test_graph_and_api_form_name_the_same_links(name, infos):
    graph, api = forms(name, infos)
    kinds = {str(node["id"]): node for node in graph["nodes"]}
    by_api = {
        (value[0], value[1], step, key) for step, node in api.items() for key, value in node["inputs"].items() if isinstance(value, list)
    }
    by_graph = {(str(a), slot, str(b), kinds[str(b)]["inputs"][at]["name"]) for _, a, slot, b, at, _ in graph["links"]}
    assert by_api == by_graph
    for _, source, slot, _, _, kind in graph["links"]:
        assert kinds[str(source)]["outputs"][slot]["type"] == kind


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_two_nodes_lie_over_each_other(name, infos):
    graph, _ = forms(name, infos)
    boxes = [(*node["pos"], *node["size"], node["title"] if "title" in node else "note") for node in graph["nodes"]]
    for i, (x, y, w, h, a) in enumerate(boxes):
        for u, v, s, t, b in boxes[i + 1 :]:
            assert x + w <= u or u + s <= x or y + h <= v or v + t <= y, f"{a} and {b} overlap"


def test_an_unknown_node_or_input_is_refused(infos):
    flow = Workflow(infos)
    with pytest.raises(ValueError, match="no node class"):
        flow.add("1", "Motion4D_Nothing", "x", (0, 0))
    flow.add("1", "Motion4D_MakeDemoMotion", "x", (0, 0), colour="red")
    with pytest.raises(ValueError, match="no input colour"):
        flow.api()

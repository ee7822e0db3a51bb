"""The graph form that ComfyUI's page saves, read back as the API form that runs."""

from collections.abc import Mapping
from typing import Any

from .graph import Prompt, has_file_widget, has_widget

_TEXTS = {"Note", "MarkdownNote"}


def to_api(graph: Mapping[str, Any], infos: Mapping[str, Mapping[str, Any]]) -> Prompt:
    """Convert a graph (version 0.4); `infos` is /object_info, whose order of inputs says which widget value is whose.

    Raises:
        ValueError: for what only the page itself resolves: muted and bypassed nodes, reroutes, primitives, subgraphs, unknown nodes.
    """
    links = {link[0]: [str(link[1]), link[2]] for link in graph.get("links", ())}
    prompt: Prompt = {}
    for node in graph["nodes"]:
        if node["type"] in _TEXTS:
            continue
        if node.get("mode", 0) != 0:
            raise ValueError(f"node {node['id']} ({node['type']}) is muted or bypassed: export the workflow with 'Export (API)'")
        if node["type"] not in infos:
            raise ValueError(f"node {node['id']} ({node['type']}) is not a node of the host: export the workflow with 'Export (API)'")
        linked = {one["name"]: links[one["link"]] for one in node.get("inputs", ()) if one.get("link") is not None}
        values = list(node.get("widgets_values") or ())
        inputs: dict[str, Any] = {}
        _read(inputs, infos[node["type"]]["input"], linked, values, "")
        if values:
            raise ValueError(f"node {node['id']} ({node['type']}) has widget values that no input takes: {values}")
        prompt[str(node["id"])] = {"class_type": node["type"], "inputs": inputs, "_meta": {"title": node.get("title") or node["type"]}}
    return prompt


def _read(inputs: dict[str, Any], groups: Mapping[str, Mapping], linked: Mapping[str, list], values: list, prefix: str) -> None:
    """Give each input its link or the next widget value; a value behind a link is stored too, and dropped."""
    for group in ("required", "optional"):
        for name, entry in groups.get(group, {}).items():
            kind, options = entry[0], entry[1] if len(entry) > 1 else {}
            full = prefix + name
            if has_widget(kind, options) and values:
                value = values.pop(0)
                inputs[full] = value
                if kind == "COMFY_DYNAMICCOMBO_V3":
                    chosen = next((one for one in options["options"] if one["key"] == value), None)
                    _read(inputs, chosen["inputs"] if chosen else {}, linked, values, full + ".")
                if values and _has_companion(options, values[0]):
                    values.pop(0)
            if full in linked:
                inputs[full] = linked[full]


def _has_companion(options: Mapping[str, Any], value: Any) -> bool:
    """The page stores what happens to a seed after a run, and a mark behind an upload button."""
    if options.get("control_after_generate"):
        return value in ("fixed", "increment", "decrement", "randomize")
    return value in ("image", "video") and has_file_widget(options)

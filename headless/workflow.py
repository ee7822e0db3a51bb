"""One description of a workflow, written as both of ComfyUI's formats: the graph that people open and the API form that programs send."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from .graph import has_widget

_WIDTH, _TITLE, _ROW, _WIDGET = 300, 30, 20, 24  # pixels of a node, its title, a socket and a widget on ComfyUI's canvas


@dataclass(frozen=True)
class Link:
    """An output of a step."""

    step: str
    slot: int


@dataclass
class Step:
    """A node of the description: values by input name, a Link where another node feeds it."""

    id: str
    kind: str
    title: str
    values: dict[str, Any]
    at: tuple[int, int]
    models: list[dict[str, str]] = field(default_factory=list)
    room: int = 0


@dataclass
class Note:
    """A text on the canvas, in Markdown."""

    text: str
    at: tuple[int, int]
    size: tuple[int, int]


class Workflow:
    """A workflow under construction. `infos` gives the node info (as in /object_info) of every node class used."""

    def __init__(self, infos: Mapping[str, Mapping[str, Any]]):
        self.infos = infos
        self.steps: list[Step] = []
        self.notes: list[Note] = []
        self.groups: list[dict[str, Any]] = []

    def add(self, id: str, kind: str, title: str, at: tuple[int, int], /, *, models=(), room: int = 0, **values) -> Step:
        """Add a node; ids are given so that `--set 1.file=...` goes on meaning the same. room: pixels kept free for what it shows when it has run."""
        if kind not in self.infos:
            raise ValueError(f"workflow: no node class {kind}")
        step = Step(id, kind, title, values, at, list(models), room)
        self.steps.append(step)
        return step

    def out(self, id: str, output: str) -> Link:
        """The output called `output` of the node `id`."""
        kind = next(step.kind for step in self.steps if step.id == id)
        return Link(id, self.infos[kind]["output_name"].index(output))

    def below(self, id: str, gap: int = 40) -> tuple[int, int]:
        """A place under the node `id`."""
        step = next(step for step in self.steps if step.id == id)
        return step.at[0], step.at[1] + self._height(step) + gap

    def frame(self, title: str, *ids: str) -> None:
        """Frame these nodes."""
        steps = [step for step in self.steps if step.id in ids]
        left, top = min(step.at[0] for step in steps) - 20, min(step.at[1] for step in steps) - 60
        right, bottom = max(step.at[0] for step in steps) + _WIDTH + 20, max(step.at[1] + self._height(step) for step in steps) + 20
        self.group(title, left, top, right - left, bottom - top)

    def note(self, text: str, at: tuple[int, int], size: tuple[int, int]) -> None:
        """Add a note."""
        self.notes.append(Note(text, at, size))

    def group(self, title: str, x: int, y: int, width: int, height: int) -> None:
        """Frame a part of the canvas."""
        self.groups.append({"title": title, "bounding": [x, y, width, height], "color": "#3f5159", "font_size": 22, "flags": {}})

    def api(self) -> dict[str, Any]:
        """The API form."""
        return {
            step.id: {
                "class_type": step.kind,
                "inputs": {
                    name: [value.step, value.slot] if isinstance(value, Link) else value for name, value in self._values(step).items()
                },
                "_meta": {"title": step.title},
            }
            for step in sorted(self.steps, key=lambda step: int(step.id))
        }

    def graph(self) -> dict[str, Any]:
        """The graph form (version 0.4)."""
        links, nodes = self._links(), []
        for order, step in enumerate(self.steps):
            nodes.append(self._node(step, order, links))
        for number, note in enumerate(self.notes, start=1):
            nodes.append(
                {
                    "id": self._last() + number, "type": "MarkdownNote", "pos": list(note.at), "size": list(note.size), "flags": {},
                    "order": len(nodes), "mode": 0, "inputs": [], "outputs": [], "properties": {}, "widgets_values": [note.text],
                    "color": "#432", "bgcolor": "#653",
                }
            )  # fmt: skip
        return {
            "id": "",
            "revision": 0,
            "last_node_id": self._last() + len(self.notes),
            "last_link_id": len(links),
            "nodes": nodes,
            "links": links,
            "groups": [{"id": number, **group} for number, group in enumerate(self.groups, start=1)],
            "config": {},
            "extra": {},
            "version": 0.4,
        }

    def _last(self) -> int:
        return max(int(step.id) for step in self.steps)

    def _inputs(self, step: Step) -> dict[str, tuple[str, dict[str, Any]]]:
        """Type and options of each input, in the order of the node's info."""
        sections = self.infos[step.kind]["input"]
        specs = {**sections.get("required", {}), **sections.get("optional", {})}
        return {name: (_type(spec[0]), spec[1] if len(spec) > 1 else {}) for name, spec in specs.items()}

    def _values(self, step: Step) -> dict[str, Any]:
        """Given values, and the defaults of the widgets that were left alone (required ones only: optional ones stay the host's)."""
        specs = self._inputs(step)
        unknown = set(step.values) - set(specs)
        if unknown:
            raise ValueError(f"workflow: {step.kind} has no input {', '.join(sorted(unknown))}")
        required = self.infos[step.kind]["input"].get("required", {})
        filled = {}
        for name, (kind, options) in specs.items():
            if name in step.values:
                filled[name] = step.values[name]
            elif name in required and has_widget(kind, options):
                filled[name] = _default(options)
        return filled

    def _links(self) -> list[list[Any]]:
        links = []
        for step in self.steps:
            sockets = [name for name in self._inputs(step) if self._has_socket(step, name)]
            for name, value in step.values.items():
                if isinstance(value, Link):
                    source = next(other for other in self.steps if other.id == value.step)
                    kind = _type(self.infos[source.kind]["output"][value.slot])
                    links.append([len(links) + 1, int(value.step), value.slot, int(step.id), sockets.index(name), kind])
        return links

    def _has_socket(self, step: Step, name: str) -> bool:
        return not has_widget(*self._inputs(step)[name]) or isinstance(step.values.get(name), Link)

    def _widgets(self, step: Step) -> list[Any]:
        """Widget values in the page's order, also of widgets behind a link."""
        values, widgets = self._values(step), []
        for name, (kind, options) in self._inputs(step).items():
            if has_widget(kind, options):
                value = values.get(name, _default(options))
                value = _default(options) if isinstance(value, Link) else value
                # The page keeps beside a seed what becomes of it after a run; an example gives the same every time.
                widgets += [value, *_within(options, value), *(["fixed"] if options.get("control_after_generate") else [])]
        return widgets

    def _height(self, step: Step) -> int:
        rows = max(sum(self._has_socket(step, name) for name in self._inputs(step)), len(self.infos[step.kind]["output"]))
        return _TITLE + _ROW * rows + _WIDGET * len(self._widgets(step)) + 16 + step.room

    def _node(self, step: Step, order: int, links: list[list[Any]]) -> dict[str, Any]:
        info, specs = self.infos[step.kind], self._inputs(step)
        inputs = []
        for name, (kind, options) in specs.items():
            if not self._has_socket(step, name):
                continue
            number = next((link[0] for link in links if link[3] == int(step.id) and link[4] == len(inputs)), None)
            entry = {"name": name, "type": kind, "link": number}
            inputs.append(entry | ({"widget": {"name": name}} if has_widget(kind, options) else {}))
        outputs = [
            {"name": name, "type": _type(kind),
             "links": [link[0] for link in links if link[1:3] == [int(step.id), slot]]}
            for slot, (name, kind) in enumerate(zip(info["output_name"], info["output"], strict=True))
        ]  # fmt: skip
        properties: dict[str, Any] = {
            "Node name for S&R": step.kind,
            "cnr_id": "motion4d" if step.kind.startswith("Motion4D_") else "comfy-core",
        }
        if step.models:
            properties["models"] = step.models
        return {
            "id": int(step.id), "type": step.kind, "pos": list(step.at), "size": [_WIDTH, self._height(step)], "flags": {}, "order": order, "mode": 0,
            "inputs": inputs, "outputs": outputs, "title": step.title, "properties": properties, "widgets_values": self._widgets(step),
        }  # fmt: skip


def _type(kind: str | list) -> str:
    """The type of an input or output; a node of the older kind names a combo by the list of its choices."""
    return "COMBO" if isinstance(kind, list) else kind


def _default(options: Mapping[str, Any]) -> Any:
    first = (options.get("options") or [""])[0]
    return options.get("default", first["key"] if isinstance(first, Mapping) else first)


def _within(options: Mapping[str, Any], value: Any) -> list[Any]:
    """Values of the widgets that the choice `value` brings along, at their defaults; the page stores them right behind it."""
    chosen = next((one for one in options.get("options", ()) if isinstance(one, Mapping) and one["key"] == value), {"inputs": {}})
    found = []
    for group in ("required", "optional"):
        for kind, inner in chosen["inputs"].get(group, {}).values():
            if has_widget(kind, inner):
                found += [_default(inner), *_within(inner, _default(inner))]
    return found

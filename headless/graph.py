"""Workflows in ComfyUI's API format, and whether they can run: the checks, the order of the checks and the words of ComfyUI."""

import asyncio
import inspect
import json
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

# {"1": {"class_type": ..., "inputs": {name: value | [node id, slot]}, "_meta": {"title": ...}}}
Prompt = dict[str, dict[str, Any]]
Nodes = Mapping[str, type]

_WIDGETS = {"INT", "FLOAT", "STRING", "BOOLEAN", "COMBO", "COMFY_DYNAMICCOMBO_V3"}
_FILE_WIDGETS = ("image_upload", "video_upload", "audio_upload", "file_upload", "motion4d_upload")


@dataclass(frozen=True)
class Problem:
    """One reason why a workflow cannot run; `kind` is ComfyUI's word for it."""

    kind: str
    message: str
    details: str = ""
    node: str = ""
    class_type: str = ""
    title: str = ""
    input: str = ""

    def __str__(self):
        place = f"node {self.node} ({self.title or self.class_type})" if self.node else "workflow"
        if self.title and self.class_type and self.title != self.class_type:
            place = f"node {self.node} ({self.title}, {self.class_type})"
        named = f", input {self.input}" if self.input else ""
        return f"{place}{named}: {self.message}" + (f" ({self.details})" if self.details else "") + f" [{self.kind}]"


def read_workflow(path: str | Path, *, from_page: Callable[[dict], Prompt]) -> Prompt:
    """Read a workflow in API format, or a graph as ComfyUI's page saves it, which `from_page` converts.

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is no workflow; names the file.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no workflow {path}")
    try:
        prompt = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:
        raise ValueError(f"{path} is not a JSON file: {error}") from None
    if isinstance(prompt, dict) and isinstance(prompt.get("nodes"), list):
        try:
            return from_page(prompt)
        except ValueError as error:
            raise ValueError(f"{path}: {error}") from None
        except (KeyError, TypeError, IndexError, AttributeError) as error:
            raise ValueError(
                f"{path} is a damaged graph ({type(error).__name__}: {error}): save it again, or export it with 'Export (API)'"
            ) from None
    if not isinstance(prompt, dict) or not all(isinstance(node, dict) for node in prompt.values()):
        raise ValueError(f'{path} is not a workflow in API format: expected {{"1": {{"class_type": ..., "inputs": ...}}, ...}}')
    for name, node in prompt.items():
        if not isinstance(node.setdefault("inputs", {}), dict):
            raise ValueError(f"{path}: the inputs of node {name} are {type(node['inputs']).__name__}, expected an object of name: value")
    return prompt


def title(prompt: Prompt, node: str) -> str:
    """What the workflow calls a node: its title, else its class."""
    meta = prompt[node].get("_meta")
    return str((meta.get("title") if isinstance(meta, dict) else None) or prompt[node].get("class_type") or "")


def is_link(value: Any) -> bool:
    """Whether an input's value stands for another node's output: [node id, slot]."""
    return isinstance(value, list)


def has_widget(kind: str | list, options: Mapping[str, Any]) -> bool:
    """Whether an input of the node info has a widget on ComfyUI's page, and so a value where no link feeds it."""
    return not options.get("forceInput") and (isinstance(kind, list) or options.get("widgetType", kind) in _WIDGETS)


def has_file_widget(options: Mapping[str, Any]) -> bool:
    """Whether that widget has a button for uploading a file."""
    return any(options.get(widget) for widget in _FILE_WIDGETS)


def choices(kind: str | list, options: Mapping[str, Any]) -> Sequence[Any]:
    """What there is to choose from: the type itself in the node info of old nodes, an option in that of new ones."""
    return kind if isinstance(kind, list) else options.get("options", ())


@dataclass
class Sockets:
    """The inputs that a node has, given the values it was given: {name: (type, options)}. `paths` are the names that a dynamic choice brought."""

    required: dict[str, tuple[str, dict]] = field(default_factory=dict)
    optional: dict[str, tuple[str, dict]] = field(default_factory=dict)
    paths: dict[str, str] = field(default_factory=dict)

    def __iter__(self):
        return iter(self.required | self.optional)

    def __getitem__(self, name: str) -> tuple[str, dict]:
        return (self.required | self.optional)[name]

    def __contains__(self, name) -> bool:
        return name in self.required or name in self.optional


def sockets(inputs: Mapping[str, dict], given: Mapping[str, Any]) -> Sockets:
    """The inputs of a node, from its entry "input" in the node info, with the dynamic choices of `given` unfolded."""
    found = Sockets()
    _unfold(found, {group: entries for group, entries in inputs.items() if group != "hidden"}, given, "")
    return found


def _unfold(found: Sockets, groups: Mapping[str, dict], given: Mapping[str, Any], prefix: str) -> None:
    for group, entries in groups.items():
        for name, entry in entries.items():
            kind, options = entry[0], entry[1] if len(entry) > 1 else {}  # nodes of the older kind may leave the options out
            full = prefix + name
            if kind == "COMFY_DYNAMICCOMBO_V3":
                if full not in given and (prefix or group == "optional"):
                    # As in ComfyUI, a choice within a choice may be left out, even one that calls itself required.
                    continue
                chosen = next((one for one in options["options"] if one["key"] == given.get(full)), None)
                if chosen is not None:
                    _unfold(found, chosen["inputs"], given, full + ".")
                elif full in given:
                    # ComfyUI drops a choice it does not know and fails later; here it is refused with the list of choices.
                    kind, options = "COMBO", options | {"options": [one["key"] for one in options["options"]]}
                found.paths[full] = f"{full}.{name}"
            elif prefix:
                found.paths[full] = full
            getattr(found, group)[full] = (kind, options)


def nested(values: dict[str, Any], paths: Mapping[str, str]) -> dict[str, Any]:
    """Values as a node's `execute` takes them: {"format": "mp4", "format.codec": "auto"} -> {"format": {"format": "mp4", "codec": "auto"}}."""
    result = {name: value for name, value in values.items() if name not in paths}
    for name, path in paths.items():
        *folders, last = path.split(".")
        place = result
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = values.get(name, place.get(last))
    return result


def types_meet(given: str, wanted: str) -> bool:
    """Whether an output of type `given` may go into an input of type `wanted`: "A,B" meets each of its parts, "*" everything."""
    given_parts, wanted_parts = ({part.strip() for part in names.split(",")} for names in (given, wanted))
    return "*" in given_parts | wanted_parts or bool(given_parts & wanted_parts)


def validate(prompt: Prompt, nodes: Nodes) -> list[Problem]:
    """Everything that keeps `prompt` from running, empty if nothing does; widget values are converted in place, as ComfyUI does."""
    for name, node in prompt.items():
        if node.get("class_type") not in nodes:
            kind = node.get("class_type") or "a node without class_type"
            message = f"{kind} is not among the headless nodes (motion4d nodes lists them; motion4d submit sends a workflow to ComfyUI)"
            return [Problem("missing_node_type", message, node=name, class_type=str(node.get("class_type")), title=title(prompt, name))]
    outputs = [name for name, node in prompt.items() if nodes[node["class_type"]].GET_SCHEMA().is_output_node]
    if not outputs:
        return [Problem("prompt_no_outputs", "Prompt has no outputs", "no node saves or shows anything")]
    order, cycle = upstream(prompt, outputs)
    problems = [problem for name in order for problem in _check_node(prompt, nodes, name)]
    if cycle:
        way = " -> ".join(f"{name} ({prompt[name]['class_type']})" for name in cycle)
        ends = {"node": cycle[0], "class_type": prompt[cycle[0]]["class_type"], "title": title(prompt, cycle[0])}
        problems.append(Problem("dependency_cycle", "Dependency cycle detected", way, **ends))
    return problems


def upstream(prompt: Prompt, outputs: list[str]) -> tuple[list[str], list[str]]:
    """The nodes that `outputs` need, each once and after its own sources; and the first cycle among them, from a node back to it."""
    order: dict[str, None] = {}
    cycle: list[str] = []
    for output in outputs:
        path = {output: iter(sources(prompt, output))}
        while path:
            step = next(path[next(reversed(path))], None)
            if step is None:
                order[path.popitem()[0]] = None
            elif step in path:
                cycle = cycle or [*list(path)[list(path).index(step) :], step]
            elif step in prompt and step not in order:
                path[step] = iter(sources(prompt, step))
    return list(order), cycle


def sources(prompt: Prompt, node: str) -> list[str]:
    """The nodes that `node` takes something from."""
    return [value[0] for value in prompt[node]["inputs"].values() if is_link(value) and len(value) == 2 and isinstance(value[0], str)]


def _check_node(prompt: Prompt, nodes: Nodes, name: str) -> list[Problem]:
    node, given = nodes[prompt[name]["class_type"]], prompt[name]["inputs"]
    place = {"node": name, "class_type": prompt[name]["class_type"], "title": title(prompt, name)}
    own = override(node, "validate_inputs")
    parameters = inspect.getfullargspec(own) if own else None
    named = set(parameters.args[1:]) if parameters else set()
    entries = sockets(node.INPUT_TYPES(), given)
    problems, linked_types = [], {}
    for one in entries:
        if one not in given:
            if one in entries.required:
                problems.append(Problem("required_input_missing", "Required input is missing", one, input=one, **place))
            continue
        if is_link(given[one]):
            found, linked_types[one] = _check_link(prompt, nodes, given[one], entries[one][0], free="input_types" in named)
        else:
            free = one in named or bool(parameters and parameters.varkw)
            found = _check_value(given, one, *entries[one], free=free)
        problems += [Problem(*reason, input=one, **place) for reason in found]
    if own and not problems:
        problems += [Problem(*reason, **place) for reason in _ask_node(node, given, entries, parameters, linked_types)]
    return problems


def _check_link(prompt: Prompt, nodes: Nodes, link: list, wanted: str, *, free: bool) -> tuple[list[tuple[str, str, str]], str | None]:
    if len(link) != 2 or not isinstance(link[1], int) or isinstance(link[1], bool):
        return [("bad_linked_input", "Bad linked input, must be a length-2 list of [node_id, slot_index]", f"got {link}")], None
    source, slot = link
    if not isinstance(source, str) or source not in prompt:
        return [("bad_linked_input", "Bad linked input, the workflow has no such node", f"got {link}")], None
    types = [output.io_type for output in nodes[prompt[source]["class_type"]].GET_SCHEMA().outputs]
    if not 0 <= slot < len(types):
        return [("bad_linked_input", f"Bad linked input, node {source} has {len(types)} outputs, counted from 0", f"got {link}")], None
    if not free and not types_meet(types[slot], wanted):
        details = f"received_type({types[slot]}) mismatch input_type({wanted})"
        return [("return_type_mismatch", "Return type mismatch between linked nodes", details)], types[slot]
    return [], types[slot]


def _check_value(given: dict[str, Any], name: str, kind: str, options: dict, *, free: bool) -> list[tuple[str, str, str]]:
    value = given[name]
    if isinstance(value, dict) and "__value__" in value:
        value = given[name] = value["__value__"]
    if not has_widget(kind, options) and kind != "*" and "," not in kind:
        return [("invalid_input_type", f"Expected a link to an output of type {kind}", f"got the value {value!r}")]
    try:
        convert = {"INT": int, "FLOAT": _finite, "STRING": str, "BOOLEAN": _truth}.get(kind)
        if convert:
            value = given[name] = convert(value)
    except (ValueError, TypeError, OverflowError) as error:
        return [("invalid_input_type", f"Failed to convert an input value to a {kind} value", f"{value!r}, {error}")]
    if free:
        return []
    if (least := options.get("min")) is not None and value < least:
        return [("value_smaller_than_min", f"Value {value} smaller than min of {least}", "")]
    if (most := options.get("max")) is not None and value > most:
        return [("value_bigger_than_max", f"Value {value} bigger than max of {most}", "")]
    choices = options.get("options", []) if kind == "COMBO" else None
    if choices is not None and any(
        one not in choices for one in (value if options.get("multiselect") and isinstance(value, list) else [value])
    ):
        listed = f"(list of length {len(choices)})" if len(choices) > 20 else str(choices)
        return [("value_not_in_list", "Value not in list", f"{value!r} not in {listed}")]
    return []


def _finite(value: Any) -> float:
    number = float(value)
    if not math.isfinite(number):
        raise ValueError("expected a finite number")
    return number


def _truth(value: Any) -> bool:
    # ComfyUI takes any text for true, "false" as well; here a text that says neither is a mistake.
    if isinstance(value, str) and value.lower() not in ("true", "false"):
        raise ValueError("expected true or false")
    return value.lower() == "true" if isinstance(value, str) else bool(value)


def _ask_node(node: type, given: dict[str, Any], entries: Sockets, parameters, linked_types: dict) -> list[tuple[str, str, str]]:
    """The node's own `validate_inputs`: constants as they are, links as None."""
    values = {name: None if is_link(value) else value for name, value in given.items() if name in entries}
    if not parameters.varkw:
        values = {name: value for name, value in values.items() if name in parameters.args}
    if "input_types" in parameters.args:
        values["input_types"] = linked_types
    try:
        answer = node.PREPARE_CLASS_CLONE(None).validate_inputs(
            **nested(values, {one: path for one, path in entries.paths.items() if one in values})
        )
        answer = asyncio.run(answer) if inspect.iscoroutine(answer) else answer
    except Exception as error:
        return [("exception_during_validation", "Exception when validating node", f"{type(error).__name__}: {error}")]
    if answer is True:
        return []
    return [("custom_validation_failed", "Custom validation failed for node", "" if answer is False else str(answer))]


def override(node: type, method: str):
    """The node's own `method`, or None where it has only the one every node inherits."""
    own = getattr(node, method, None)
    bases = [base for base in node.__mro__ if base.__name__ in ("ComfyNode", "_ComfyNodeBaseInternal", "_ComfyNodeInternal")]
    inherited = [vars(base).get(method) for base in bases]
    found = inspect.getattr_static(node, method, None)
    return None if found is None or any(found is one for one in inherited) else own

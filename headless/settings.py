"""--set NODE.INPUT=VALUE: changes to a workflow from the command line."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from .graph import Prompt, Sockets, choices, has_file_widget, title

_BOOLEANS = {"true": True, "yes": True, "on": True, "1": True, "false": False, "no": False, "off": False, "0": False}


class UsageError(ValueError):
    """The command was given something that makes no sense; nothing has run."""


def apply_settings(prompt: Prompt, settings: Sequence[str], *, inputs: Callable[[str], Sockets], take: Callable[[Path], str]) -> None:
    """Change the inputs of `prompt` in place.

    settings: "NODE.INPUT=VALUE", NODE being an id or a title. inputs: id -> the inputs which that node has. take: copies a file to where nodes read
    from and returns its name there; it is asked for every file that goes into an input with a file widget.

    Raises:
        UsageError: no such node, input or file, or two nodes of that title.
    """
    for setting in settings:
        left, sign, text = setting.partition("=")
        if not sign or "." not in left:
            raise UsageError(f"--set {setting}: expected NODE.INPUT=VALUE, as in --set 1.file=walk.bvh")
        node, name, found = _place(prompt, left, inputs)
        prompt[node]["inputs"][name] = _value(setting, text, *found[name], prompt=prompt, take=take)


def _place(prompt: Prompt, left: str, inputs: Callable[[str], Sockets]) -> tuple[str, str, Sockets]:
    """Titles and inputs may hold dots themselves: the first split that names a node decides."""
    dots = [at for at, letter in enumerate(left) if letter == "."]
    for at in dots:
        nodes, name = _named(prompt, left[:at]), left[at + 1 :]
        if len(nodes) > 1:
            raise UsageError(f"--set {left}: {len(nodes)} nodes are called '{left[:at]}': use one of their ids {', '.join(nodes)}")
        if nodes:
            found = inputs(nodes[0])
            if name not in found:
                raise UsageError(
                    f"--set {left}: node {nodes[0]} ({title(prompt, nodes[0])}) has no input '{name}': it has {', '.join(found)}"
                )
            return nodes[0], name, found
    listed = ", ".join(f"{node} ({title(prompt, node)})" for node in prompt)
    raise UsageError(f"--set {left}: the workflow has no node '{left[: dots[0]]}': it has {listed}")


def _named(prompt: Prompt, name: str) -> list[str]:
    if name in prompt:
        return [name]
    exact = [node for node in prompt if title(prompt, node) == name]
    return exact or [node for node in prompt if title(prompt, node).casefold() == name.casefold()]


def _value(setting: str, text: str, kind: str, options: Mapping[str, Any], *, prompt: Prompt, take: Callable[[Path], str]) -> Any:
    link = _parsed(text)
    if isinstance(link, list) and len(link) == 2 and str(link[0]) in prompt and isinstance(link[1], int):
        return [str(link[0]), link[1]]
    if has_file_widget(options):
        path = Path(text).expanduser()
        if path.is_file():
            return take(path)
        if text not in choices(kind, options):
            raise UsageError(f"--set {setting}: there is no file {text}")
        return text
    if kind == "BOOLEAN":
        return _BOOLEANS.get(text.strip().lower(), text)
    if kind == "STRING" or text in choices(kind, options):
        return text
    return _parsed(text)


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return text


def file_inputs(prompt: Prompt, inputs: Callable[[str], Sockets]) -> list[tuple[str, str, str]]:
    """(node, input, value) of every file that the workflow names in a file widget."""
    found = []
    for node, entry in prompt.items():
        known = inputs(node)
        for name, value in entry["inputs"].items():
            if isinstance(value, str) and name in known and has_file_widget(known[name][1]):
                found.append((node, name, value))
    return found

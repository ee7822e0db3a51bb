"""Runs a validated workflow: each node once its inputs are there, each result once for the same inputs."""

import asyncio
import hashlib
import inspect
import json
import math
import uuid
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import torch

from .graph import Nodes, Prompt, is_link, nested, override, sockets, title, upstream


class NodeFailure(Exception):
    """A node has raised `cause`; nothing after it ran. is_fault: whether that is a fault of the program, not of a file, a value, the disk or an optional package."""

    def __init__(self, node: str, class_type: str, name: str, cause: Exception):
        self.is_fault = not isinstance(cause, (ValueError, OSError, ImportError))
        kind = f"{type(cause).__name__}: " if self.is_fault else ""
        place = f"{name}, {class_type}" if name != class_type else class_type
        super().__init__(f"node {node} ({place}): {kind}{cause}")
        self.node, self.class_type, self.title, self.cause = node, class_type, name, cause


@dataclass(frozen=True)
class Done:
    """What a node has made. outputs: one list of values for each slot, several where the slot is a list. ui: what it shows."""

    outputs: list[list[Any]]
    ui: dict[str, Any]


@dataclass
class Result:
    """ui: what each output node shows. executed, reused: ids of the nodes that ran and of those whose result was already there."""

    ui: dict[str, dict] = field(default_factory=dict)
    executed: list[str] = field(default_factory=list)
    reused: list[str] = field(default_factory=list)


class Executor:
    """Runs workflows of `nodes`, and a node only if its result for the same inputs is not there already.

    on_start(node, title), on_done(node, title): called around every node, also around one whose result is reused. remember: keep every result for
    the next run; otherwise each is let go as soon as no node of the run still wants it, which is what long videos need.
    """

    def __init__(self, nodes: Nodes, *, on_start: Callable = lambda *_: None, on_done: Callable = lambda *_: None, remember: bool = True):
        self._nodes, self._on_start, self._on_done, self._remember = nodes, on_start, on_done, remember
        self._results: dict[str, Done] = {}

    def run(self, prompt: Prompt) -> Result:
        """Run every output node of a workflow that `validate` accepts, and what they need; NodeFailure names the node that raised."""
        outputs = [name for name, node in prompt.items() if self._nodes[node["class_type"]].GET_SCHEMA().is_output_node]
        run = _Run(prompt, self._nodes, self._results, outputs)
        waiting = outputs[::-1]
        # Every node is looked at again when what it waits for is done; no recursion, so the length of a chain does not matter.
        with torch.inference_mode():
            while waiting:
                name = waiting[-1]
                if name in run.done:
                    waiting.pop()
                    continue
                missing = [source for source in run.needed(name) if source not in run.done]
                if missing:
                    waiting += missing[::-1]
                elif not run.ask_for_more(name):
                    self._on_start(name, title(prompt, name))
                    run.finish(name)
                    if not self._remember:
                        run.let_go(name)
                    self._on_done(name, title(prompt, name))
        return run.result


class _Run:
    def __init__(self, prompt: Prompt, nodes: Nodes, results: dict[str, Done], outputs: list[str]):
        self.prompt, self.outputs, self.results = prompt, outputs, results
        self.done: dict[str, Done] = {}
        self.result = Result()
        order, _ = upstream(prompt, outputs)
        self.classes = {name: nodes[prompt[name]["class_type"]] for name in order}
        self.schemas = {name: self.classes[name].GET_SCHEMA() for name in order}
        self.sockets = {name: sockets(self.classes[name].INPUT_TYPES(), prompt[name]["inputs"]) for name in order}
        self.given = {
            name: {
                one: value
                for one, value in prompt[name]["inputs"].items()
                if one in self.sockets[name] or self.schemas[name].accept_all_inputs
            }
            for name in order
        }
        self.wanted = {name: {one for one in self.given[name] if not self._is_lazy(name, one)} for name in order}
        self.signatures: dict[str, str] = {}
        for name in order:
            self.signatures[name] = self._signature(name)
        # How often each result is still wanted: by the nodes that make it and by the inputs that take it.
        self.uses = Counter([*self.signatures.values(), *(self.signatures[source] for name in order for source in self._linked(name))])

    def _is_lazy(self, name: str, one: str) -> bool:
        return one in self.sockets[name] and bool(self.sockets[name][one][1].get("lazy"))

    def needed(self, name: str) -> list[str]:
        """The nodes that must be done before `name`; none if its result is there already."""
        if self.signatures[name] in self.results:
            return []
        return [value[0] for one, value in self.given[name].items() if is_link(value) and one in self.wanted[name]]

    def ask_for_more(self, name: str) -> bool:
        """Let a node with lazy inputs say which of them it wants; whether it wants one that is not there yet."""
        lazy = [one for one in self.given[name] if one not in self.wanted[name]]
        if not lazy or self.signatures[name] in self.results:
            return False
        values = {one: cell[0] if cell else None for one, cell in self._values(name).items()}
        asked = self._call(name, "check_lazy_status", values) if override(self.classes[name], "check_lazy_status") else lazy
        more = set(asked or ()) & set(lazy)
        self.wanted[name] |= more
        return bool(more)

    def finish(self, name: str) -> None:
        """Make the node's result, or take the one that is there."""
        known = self.results.get(self.signatures[name])
        if known is None:
            known = self.results[self.signatures[name]] = self._execute(name)
            self.result.executed.append(name)
        else:
            self.result.reused.append(name)
        self.done[name] = known
        if known.ui:
            self.result.ui[name] = known.ui

    def let_go(self, name: str) -> None:
        """Forget what nobody wants any more now that `name` is done."""
        for signature in (self.signatures[name], *(self.signatures[source] for source in self._linked(name))):
            self.uses[signature] -= 1
            if self.uses[signature] == 0:
                self.results.pop(signature, None)
                for other in self.done:
                    if self.signatures[other] == signature:
                        self.done[other] = Done([], {})

    def _linked(self, name: str) -> list[str]:
        """The source of every link into `name`, as often as it is linked."""
        return [value[0] for value in self.given[name].values() if is_link(value)]

    def _values(self, name: str) -> dict[str, list[Any]]:
        """{input: values}; an empty list for a lazy input that nobody has asked for."""
        values = {}
        for one, value in self.given[name].items():
            if not is_link(value):
                values[one] = [value]
            elif one not in self.wanted[name]:
                values[one] = []
            elif self.sockets[name][one][1].get("rawLink"):
                values[one] = [value]
            else:
                values[one] = self.done[value[0]].outputs[value[1]]
        return values

    def _execute(self, name: str) -> Done:
        schema, values = self.schemas[name], self._values(name)
        outputs: list[list[Any]] = [[] for _ in schema.outputs]
        shown: dict[str, list] = {}
        for call in _calls(values, whole_lists=schema.is_input_list):
            answer = self._call(name, "execute", call)
            results, ui = self._unpack(name, answer)
            for slot, (output, value) in enumerate(zip(schema.outputs, results, strict=True)):
                outputs[slot] += value if output.is_output_list else [value]
            for key, entries in ui.items():
                shown.setdefault(key, []).extend(entries)
        return Done(outputs, shown)

    def _call(self, name: str, method: str, values: dict[str, Any]) -> Any:
        node, prompt = self.classes[name], self.prompt
        offers = {"unique_id": name, "prompt": prompt}
        hidden = {one: offers.get(one.name) for one in self.schemas[name].hidden}
        clone = node.PREPARE_CLASS_CLONE({"hidden_inputs": hidden})
        try:
            answer = getattr(clone, method)(**nested(values, self.sockets[name].paths))
            return asyncio.run(answer) if inspect.iscoroutine(answer) else answer
        except Exception as error:
            raise NodeFailure(name, prompt[name]["class_type"], title(prompt, name), error) from error

    def _unpack(self, name: str, answer: Any) -> tuple[tuple, dict]:
        results = answer if isinstance(answer, tuple) else getattr(answer, "args", ())
        count = len(self.schemas[name].outputs)
        ends = (self.prompt[name]["class_type"], title(self.prompt, name))
        if getattr(answer, "expand", None) is not None or getattr(answer, "block_execution", None) is not None:
            raise NodeFailure(name, *ends, ValueError("it grows or blocks the workflow, which only ComfyUI can do: run it there"))
        if len(results) not in (count, 0):
            raise NodeFailure(name, *ends, RuntimeError(f"{len(results)} results, its schema has {count} outputs"))
        ui = getattr(answer, "ui", None)
        return tuple(results) or (None,) * count, (ui.as_dict() if hasattr(ui, "as_dict") else ui) or {}

    def _signature(self, name: str) -> str:
        """A digest of everything that the node's result depends on."""
        schema = self.schemas[name]
        own = schema.not_idempotent or any(one.name == "unique_id" for one in schema.hidden)
        inputs = {
            one: ["link", self.signatures[value[0]], value[1]] if is_link(value) else ["value", value]
            for one, value in sorted(self.given[name].items())
        }
        content = [self.prompt[name]["class_type"], self._fingerprint(name), inputs, name if own else None]
        return hashlib.sha256(json.dumps(content, default=repr).encode()).hexdigest()

    def _fingerprint(self, name: str) -> Any:
        if override(self.classes[name], "fingerprint_inputs") is None:
            return None
        constants = {one: None if is_link(value) else value for one, value in self.given[name].items()}
        try:
            answer = self._call(name, "fingerprint_inputs", constants)
        except NodeFailure:
            # A node that cannot tell is run; if something is wrong, it says so itself.
            answer = math.nan
        return uuid.uuid4().hex if isinstance(answer, float) and math.isnan(answer) else answer


def _calls(values: Mapping[str, list], *, whole_lists: bool) -> list[dict[str, Any]]:
    """The arguments of each call: once with all lists, or once for each entry of the longest list, the shorter ones repeating their last."""
    if whole_lists:
        return [dict(values)]
    count = max((len(cell) for cell in values.values()), default=1)
    return [{one: cell[min(index, len(cell) - 1)] if cell else None for one, cell in values.items()} for index in range(max(count, 1))]

import gc
import weakref

import pytest
import torch
from comfy_api.latest import io
from motion4d.headless.executor import Executor, NodeFailure
from motion4d.headless.graph import validate


def run(flow, nodes, executor=None):
    assert validate(flow, nodes) == []
    return (executor or Executor(nodes)).run(flow)


def test_values_flow_from_node_to_node(prompt, nodes):
    flow = prompt(n1=("Number", {"value": 3}), n2=("Add", {"a": ["1", 0], "b": 4}), n3=("Show", {"value": ["2", 0]}))
    assert run(flow, nodes).ui == {"3": {"text": ["7"]}}


def test_identical_nodes_run_once(prompt, nodes, runs):
    flow = prompt(
        n1=("Number", {"value": 3}),
        n2=("Number", {"value": 3}),
        n3=("Add", {"a": ["1", 0], "b": ["2", 0]}),
        n4=("Show", {"value": ["3", 0]}),
    )
    result = run(flow, nodes)
    assert runs == ["Number", "Add", "Show"]
    assert (result.executed, result.reused) == (["1", "3", "4"], ["2"])


def test_a_second_run_repeats_only_what_has_changed(prompt, nodes, runs):
    executor = Executor(nodes)
    flow = prompt(n1=("Number", {"value": 3}), n2=("Add", {"a": ["1", 0], "b": 1}), n3=("Show", {"value": ["2", 0]}))
    first = run(flow, nodes, executor)
    assert run(flow, nodes, executor).ui == first.ui
    assert runs == ["Number", "Add", "Show"]
    flow["2"]["inputs"]["b"] = 2
    assert run(flow, nodes, executor).ui == {"3": {"text": ["5"]}}
    assert runs == ["Number", "Add", "Show", "Add", "Show"]


def test_a_number_and_its_text_are_different_inputs(prompt, nodes):
    flow = prompt(
        n1=("Text", {"text": "1"}), n2=("Show", {"value": ["1", 0]}), n3=("Number", {"value": 1}), n4=("Show", {"value": ["3", 0]})
    )
    assert run(flow, nodes).executed == ["1", "2", "3", "4"]


def test_only_the_wanted_side_of_a_lazy_switch_runs(prompt, nodes, runs):
    entries = {"n1": ("Number", {"value": 1}), "n2": ("Add", {"a": 2}), "n4": ("Show", {"value": ["3", 0]})}
    flow = prompt(**entries, n3=("Switch", {"which": False, "yes": ["1", 0], "no": ["2", 0]}))
    assert run(flow, nodes).ui == {"4": {"text": ["2"]}}
    assert runs == ["Add", "Show"]


def test_lists_fan_out_and_come_together_again(prompt, nodes):
    flow = prompt(
        n1=("Count", {"upto": 4}),
        n2=("Add", {"a": ["1", 0], "b": 20}),
        n3=("Total", {"values": ["2", 0]}),
        n4=("Show", {"value": ["3", 0]}),
    )
    assert run(flow, nodes).ui == {"4": {"text": ["86"]}}
    flow["4"]["inputs"]["value"] = ["2", 0]
    assert run(flow, nodes).ui == {"4": {"text": ["20", "21", "22", "23"]}}


def test_a_chain_longer_than_the_recursion_limit_runs(prompt, nodes):
    length = 1500
    links = {f"n{number}": ("Add", {"a": [str(number - 1), 0], "b": 1}) for number in range(1, length)}
    flow = prompt(n0=("Number", {"value": 0}), **links, n9999=("Show", {"value": [str(length - 1), 0]}))
    assert run(flow, nodes).ui == {"9999": {"text": [str(length - 1)]}}


def test_a_failure_names_the_node_and_keeps_the_rest_from_running(prompt, nodes, runs):
    flow = prompt(
        n1=("Number", {"value": 13}), n2=("Show", {"value": ["1", 0]}), n3=("Show", {"value": ["4", 0]}), n4=("Number", {"value": 5})
    )
    flow["2"]["_meta"] = {"title": "The last step"}
    with pytest.raises(NodeFailure, match=r"node 2 \(The last step, Show\): 13 is not shown: take another number") as caught:
        run(flow, nodes)
    assert isinstance(caught.value.cause, ValueError)
    assert runs == ["Number", "Show"]


def test_nodes_with_an_id_of_their_own_are_not_shared(prompt, nodes):
    flow = prompt(n1=("Own", {}), n2=("Own", {}), n3=("Show", {"value": ["1", 0]}), n4=("Show", {"value": ["2", 0]}))
    assert run(flow, nodes).ui == {"3": {"text": ["node 1"]}, "4": {"text": ["node 2"]}}


def test_a_changed_file_is_read_again(prompt, nodes, tmp_path):
    path = tmp_path / "number.txt"

    class Read(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Read", outputs=[io.Int.Output()])

        @classmethod
        def fingerprint_inputs(cls):
            return path.read_text()

        @classmethod
        def execute(cls):
            return io.NodeOutput(int(path.read_text()))

    executor, flow, all_nodes = (
        Executor({**nodes, "Read": Read}),
        prompt(n1=("Read", {}), n2=("Show", {"value": ["1", 0]})),
        {**nodes, "Read": Read},
    )
    for text in ("1", "1", "2"):
        path.write_text(text)
        assert run(flow, all_nodes, executor).ui == {"2": {"text": [text]}}
    assert run(flow, all_nodes, executor).executed == []


def test_a_fingerprint_of_nan_always_runs(prompt, nodes, runs):
    class Clock(nodes["Number"]):
        @classmethod
        def fingerprint_inputs(cls, value):
            return float("nan")

    executor, all_nodes = Executor({**nodes, "Clock": Clock}), {**nodes, "Clock": Clock}
    for _ in range(2):
        run(prompt(n1=("Clock", {"value": 1}), n2=("Show", {"value": ["1", 0]})), all_nodes, executor)
    assert runs == ["Number", "Show"] * 2


def test_nodes_run_in_inference_mode_and_cannot_keep_state(prompt, nodes):
    seen = {}

    class Probe(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Probe", is_output_node=True)

        @classmethod
        def execute(cls):
            seen["inference"] = torch.is_inference_mode_enabled()
            seen["prompt"] = cls.hidden.prompt
            with pytest.raises(AttributeError):
                cls.memory = 1

    flow = prompt(n1=("Probe", {}))
    run(flow, {**nodes, "Probe": Probe})
    assert seen == {"inference": True, "prompt": flow}
    assert Probe.hidden is None


def test_a_node_is_announced_before_and_after(prompt, nodes):
    told = []
    flow = prompt(n1=("Number", {"value": 1}), n2=("Show", {"value": ["1", 0]}))
    flow["1"]["_meta"] = {"title": "One"}
    Executor(nodes, on_start=lambda *one: told.append(("start", *one)), on_done=lambda *one: told.append(("done", *one))).run(flow)
    assert told == [("start", "1", "One"), ("done", "1", "One"), ("start", "2", "Show"), ("done", "2", "Show")]


def test_interruption_is_not_taken_for_a_failure_of_the_node(prompt, nodes):
    class Patient(nodes["Show"]):
        @classmethod
        def execute(cls, value):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(prompt(n1=("Patient", {"value": 1})), {**nodes, "Patient": Patient})


def test_results_are_let_go_when_nobody_wants_them_any_more(prompt, nodes, runs):
    """A chain of large results: at no time do more than two of them exist, and shared ones live until their last use."""
    alive = weakref.WeakSet()

    class Large:
        def __init__(self, size):
            self.size = size
            alive.add(self)

    class Grow(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                "Grow", inputs=[io.AnyType.Input("of"), io.AnyType.Input("other", optional=True)], outputs=[io.AnyType.Output()]
            )

        @classmethod
        def execute(cls, of, other=None):
            gc.collect()
            most.append(len(alive))
            return io.NodeOutput(Large(of.size + (other.size if other else 0) if isinstance(of, Large) else of))

    class Size(nodes["Show"]):
        @classmethod
        def execute(cls, value):
            return io.NodeOutput(ui={"text": (str(value.size),)})

    most: list[int] = []
    class_types = {**nodes, "Grow": Grow, "Size": Size}
    chain = {f"n{number}": ("Grow", {"of": [str(number - 1), 0]}) for number in range(2, 9)}
    flow = prompt(n1=("Grow", {"of": 1}), **chain, n9=("Grow", {"of": ["8", 0], "other": ["1", 0]}), n10=("Size", {"value": ["9", 0]}))
    assert Executor(class_types, remember=False).run(flow).ui == {"10": {"text": ["2"]}}
    # The first result, the one at hand, nothing else; then the two that the last one joins.
    assert max(most) == 2
    gc.collect()
    assert len(alive) == 0
    most.clear()
    executor = Executor(class_types)
    executor.run(flow)
    assert max(most) == 8 and executor.run(flow).executed == []


def test_letting_go_does_not_run_an_identical_node_again(prompt, nodes, runs):
    flow = prompt(
        n1=("Number", {"value": 3}),
        n2=("Show", {"value": ["1", 0]}),
        n3=("Number", {"value": 3}),
        n4=("Add", {"a": ["3", 0]}),
        n5=("Show", {"value": ["4", 0]}),
    )
    result = Executor(nodes, remember=False).run(flow)
    assert result.ui == {"2": {"text": ["3"]}, "5": {"text": ["3"]}}
    assert runs == ["Number", "Show", "Add", "Show"]

"""Tiny real nodes for the executor: numbers, a choice, a lazy switch, lists, a counter."""

import asyncio

import pytest
from comfy_api.latest import io
from motion4d.headless import graph


def make_nodes(runs: list[str]) -> dict[str, type]:
    """Node classes that note their runs in `runs`."""

    class Number(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            value = io.Int.Input("value", default=1, min=0, max=100)
            choices = io.Combo.Input("unit", options=["m", "mm"], default="m", optional=True)
            return io.Schema("Number", inputs=[value, choices], outputs=[io.Int.Output()])

        @classmethod
        def execute(cls, value, unit="m"):
            runs.append("Number")
            return io.NodeOutput(value * (1000 if unit == "mm" else 1))

    class Add(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema(
                "Add",
                display_name="Add Numbers",
                inputs=[io.Int.Input("a"), io.Int.Input("b", default=0, optional=True)],
                outputs=[io.Int.Output()],
            )

        @classmethod
        async def execute(cls, a, b=0):
            await asyncio.sleep(0)
            runs.append("Add")
            return io.NodeOutput(a + b)

    class Text(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Text", inputs=[io.String.Input("text", default="")], outputs=[io.String.Output()])

        @classmethod
        def execute(cls, text):
            return io.NodeOutput(text)

    class Switch(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            lazy = [io.AnyType.Input(name, lazy=True, optional=True) for name in ("yes", "no")]
            return io.Schema("Switch", inputs=[io.Boolean.Input("which"), *lazy], outputs=[io.AnyType.Output()])

        @classmethod
        def check_lazy_status(cls, which, yes=None, no=None):
            return ["yes" if which else "no"]

        @classmethod
        def execute(cls, which, yes=None, no=None):
            return io.NodeOutput(yes if which else no)

    class Count(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Count", inputs=[io.Int.Input("upto")], outputs=[io.Int.Output(is_output_list=True)])

        @classmethod
        def execute(cls, upto):
            return io.NodeOutput(list(range(upto)))

    class Total(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Total", inputs=[io.Int.Input("values")], outputs=[io.Int.Output()], is_input_list=True)

        @classmethod
        def execute(cls, values):
            return io.NodeOutput(sum(values))

    class Checked(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            inputs = [io.Int.Input("even", max=10), io.Int.Input("small", max=10)]
            return io.Schema("Checked", inputs=inputs, outputs=[io.Int.Output()])

        @classmethod
        def validate_inputs(cls, even):
            return True if even % 2 == 0 else f"{even} is odd"

        @classmethod
        def execute(cls, even, small):
            return io.NodeOutput(even + small)

    class Show(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            inputs = [io.MultiType.Input("value", types=[io.Int, io.String])]
            return io.Schema("Show", inputs=inputs, outputs=[], is_output_node=True)

        @classmethod
        def execute(cls, value):
            runs.append("Show")
            if value == 13:
                raise ValueError("13 is not shown: take another number")
            return io.NodeOutput(ui={"text": (str(value),)})

    class Own(io.ComfyNode):
        @classmethod
        def define_schema(cls):
            return io.Schema("Own", inputs=[], outputs=[io.String.Output()], hidden=[io.Hidden.unique_id])

        @classmethod
        def execute(cls):
            return io.NodeOutput(f"node {cls.hidden.unique_id}")

    return {node.__name__: node for node in (Number, Add, Text, Switch, Count, Total, Checked, Show, Own)}


@pytest.fixture
def runs() -> list[str]:
    """The nodes that have run, in order."""
    return []


@pytest.fixture
def nodes(runs) -> dict[str, type]:
    """The tiny nodes."""
    return make_nodes(runs)


@pytest.fixture
def prompt():
    """prompt(one=("Number", {"value": 3}), ...) -> a workflow in API format."""

    def build(**entries) -> graph.Prompt:
        return {name.lstrip("n"): {"class_type": kind, "inputs": dict(inputs)} for name, (kind, inputs) in entries.items()}

    return build

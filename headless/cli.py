"""The command `motion4d`. Files written go to stdout, one a line; everything else to stderr. Status 0: done, 1: failed, 2: wrong usage."""

import argparse
import json
import os
import signal
import sys
import tempfile
import traceback
from collections.abc import Sequence
from pathlib import Path

from . import EXAMPLE_INPUTS, EXAMPLES
from .graph import read_workflow, sockets, title, validate
from .page_graph import to_api
from .settings import UsageError, apply_settings


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command and return its exit status."""
    options = _parser().parse_args(arguments)
    _heed_signals()
    try:
        return options.command(options)
    except (UsageError, FileNotFoundError) as error:
        print(f"motion4d: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("motion4d: interrupted", file=sys.stderr)
        return 130
    except BrokenPipeError:
        # Whoever read our stdout has gone; keep Python from complaining about it once more at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    except (ValueError, OSError) as error:
        print(f"motion4d: {error}", file=sys.stderr)
        return 1


def _heed_signals() -> None:
    """Let SIGTERM and a closed terminal end the command as Ctrl-C does: unfinished files are deleted, a run on a server is cancelled."""
    for name in ("SIGTERM", "SIGHUP"):
        number = getattr(signal, name, None)
        # Not where somebody has decided otherwise, as nohup does for SIGHUP.
        if number is not None and signal.getsignal(number) == signal.SIG_DFL:
            signal.signal(number, signal.default_int_handler)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="motion4d", description="4D human motion: run the pack's workflows without ComfyUI, or send them to it."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    def command(name, function, summary, *, workflow=True):
        added = commands.add_parser(name, help=summary, description=summary)
        added.set_defaults(command=function, input=[], output=Path("output"), models=[])
        if workflow:
            added.add_argument("workflow", metavar="WORKFLOW.json", help="a workflow, in API format or as ComfyUI's page saves it")
            _settings(added)
        return added

    demo = command("demo", _demo, "Run the main example on a motion made by code.", workflow=False)
    run = command("run", _run, "Run a workflow here.")
    check = command("validate", _validate, "Say whether a workflow can run here, without running it.")
    for one in (demo, run, check):
        _folders(one)
    listing = command("nodes", _nodes, "List the nodes that a workflow may use here.", workflow=False)
    listing.add_argument("--json", action="store_true", help="everything about them, as ComfyUI's /object_info tells it")
    tiny = command("tiny-models", _tiny_models, "Write tiny random models under the names that the examples use.", workflow=False)
    tiny.add_argument("folder", metavar="DIR", help="a models folder")
    make = command("convert", _convert, "Write a checkpoint of any form as one .safetensors file.", workflow=False)
    _conversion(make)
    send = command("submit", _submit, "Run a workflow on a ComfyUI server and bring its outputs back.")
    send.add_argument("--server", metavar="URL", action="append", required=True, help="address of ComfyUI, as http://127.0.0.1:8188")
    send.add_argument("--output", metavar="DIR", type=Path, help="where the outputs go (default: output)")
    send.add_argument("--timeout", metavar="SECONDS", type=float, help="give up and cancel the run after this long")
    return parser


def _settings(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--set",
        "-s",
        action="append",
        default=[],
        metavar="NODE.INPUT=VALUE",
        help="change an input; NODE is an id or a title; a file from anywhere may be given where the node has a file widget",
    )
    parser.add_argument(
        "--input", metavar="DIR", type=Path, action="append", help="a folder that the workflow's files are in (default: input)"
    )


def _conversion(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("source", metavar="INPUT", type=Path, help="a checkpoint: .pt, .pth, .safetensors, an index, or a folder of shards")
    parser.add_argument("target", metavar="OUTPUT.safetensors", type=Path, help="the file to write")
    told = "what the weights become: as stored (default), bfloat16, float16, float32 or fp8 scaled"
    parser.add_argument("--precision", metavar="NAME", default="as stored", help=told)
    parser.add_argument("--adapter-only", action="store_true", help="the motion attention of a 17B alone, for a stock Wan2.1 model")


def _folders(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--output", metavar="DIR", type=Path, help="where results go (default: output)")
    parser.add_argument(
        "--models",
        metavar="DIR",
        type=Path,
        action="append",
        help="a folder with the models folders in it (default: MOTION4D_MODELS, else models)",
    )


class _Setup:
    """The folders and nodes of one run; the folder that takes the files of --set is deleted when it ends."""

    def __init__(self, options: argparse.Namespace):
        from .host import HeadlessHost
        from .registry import load_nodes

        self._own = tempfile.TemporaryDirectory(prefix="motion4d_input_", ignore_cleanup_errors=True)
        models = options.models or [Path(os.environ.get("MOTION4D_MODELS") or "models")]
        inputs = [Path(self._own.name), *(options.input or [Path("input")]), EXAMPLE_INPUTS]
        self.host = HeadlessHost(inputs=inputs, output=options.output, models=models)
        self.nodes = load_nodes(self.host)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self._own.cleanup()

    def prepare(self, path: Path, settings: Sequence[str]) -> tuple[dict, list[str]]:
        """The workflow with its settings, and everything that keeps it from running."""
        from .requirements import missing, read_requirements

        prompt = read_workflow(
            path, from_page=lambda graph: to_api(graph, {name: node.GET_NODE_INFO_V1() for name, node in self.nodes.items()})
        )
        if all(node.get("class_type") in self.nodes for node in prompt.values()):
            apply_settings(
                prompt,
                settings,
                inputs=lambda name: sockets(self.nodes[prompt[name]["class_type"]].INPUT_TYPES(), prompt[name]["inputs"]),
                take=self.host.take,
            )
        lacking = missing(read_requirements(path), prompt, self.nodes, self.host)
        return prompt, lacking or [str(problem) for problem in validate(prompt, self.nodes)]


def _run(options: argparse.Namespace) -> int:
    with _Setup(options) as setup:
        return _execute(setup, Path(options.workflow), options.set)


def _demo(options: argparse.Namespace) -> int:
    with _Setup(options) as setup:
        status = _execute(setup, EXAMPLES / "api" / "motion_to_bone_maps.json", [])
        if status == 0:
            print(f"The results are in {options.output.resolve()}: videos of bone maps and skeleton, and the motion", file=sys.stderr)
            print("as npz, BVH and GLB. For your own motion: motion4d run WORKFLOW.json --set 1.file=FILE", file=sys.stderr)
        return status


def _execute(setup: _Setup, path: Path, settings: Sequence[str]) -> int:
    from tqdm import tqdm

    from .executor import Executor, NodeFailure

    prompt, problems = setup.prepare(path, settings)
    if problems:
        print("\n".join(problems), file=sys.stderr)
        return 1
    # Over the nodes of the workflow; a node's own bar hangs below it.
    bar = tqdm(total=len(prompt), unit="node", file=sys.stderr, dynamic_ncols=True)

    def start(_, name):
        setup.host.label = f"  {name}"
        bar.set_description(name)

    ending, failure = "stopped", None
    try:
        result = Executor(setup.nodes, on_start=start, on_done=lambda *_: bar.update(), remember=False).run(prompt)
        ending = "done"
    except NodeFailure as error:
        ending, failure = f"failed in {error.title}", error
    finally:
        bar.set_description(ending)
        bar.close()
        for file in setup.host.written():
            print(file)
    if failure:
        if failure.is_fault:
            traceback.print_exception(failure.cause)
        print(failure, file=sys.stderr)
        return 1
    for node, shown in result.ui.items():
        for text in shown.get("text", ()):
            print(f"{title(prompt, node)}:\n{text}", file=sys.stderr)
    return 0


def _validate(options: argparse.Namespace) -> int:
    with _Setup(options) as setup:
        _, problems = setup.prepare(Path(options.workflow), options.set)
    print("\n".join(problems) if problems else f"{options.workflow} can run", file=sys.stderr)
    return 1 if problems else 0


def _nodes(options: argparse.Namespace) -> int:
    with _Setup(options) as setup:
        infos = {name: node.GET_NODE_INFO_V1() for name, node in setup.nodes.items()}
    if options.json:
        print(json.dumps(infos, indent=1))
        return 0
    for name, info in infos.items():
        line = (info["description"] or "").split(". ")[0].rstrip(".")
        print("\t".join((name, info["display_name"] or name, info["category"], line)))
    return 0


def _tiny_models(options: argparse.Namespace) -> int:
    from .tiny_models import write_tiny_models

    for path in write_tiny_models(options.folder):
        print(path)
    return 0


def _convert(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from ..core.conversion import convert
    from ..core.precision import PRECISIONS

    if options.precision not in PRECISIONS:
        raise UsageError(f"--precision {options.precision}: expected one of {', '.join(PRECISIONS)}")
    with tqdm(unit="B", unit_scale=True, file=sys.stderr, dynamic_ncols=True, delay=1) as bar:
        adapter_only = options.adapter_only
        path = convert(options.source, options.target, precision=options.precision, adapter_only=adapter_only, advance=bar.update)
    print(path)
    return 0


def _submit(options: argparse.Namespace) -> int:
    from .submit import Server, SubmitFailure, server_inputs, submit

    if len(options.server) > 1:
        raise UsageError(f"--server: expected one address, got {len(options.server)}: start the command once for each")
    server = Server(options.server[0])
    folders = [*(options.input or [Path("input")]), EXAMPLE_INPUTS]
    try:
        prompt = read_workflow(options.workflow, from_page=lambda graph: to_api(graph, server.json("/object_info")))
        inputs = server_inputs(server, prompt)
        apply_settings(prompt, options.set, inputs=inputs, take=server.upload)
        report = lambda state: print(f"{server.url}: {state}", file=sys.stderr)  # noqa: E731
        files = submit(prompt, server, options.output, inputs=inputs, folders=folders, timeout=options.timeout, on_state=report)
    except SubmitFailure as failure:
        print(failure, file=sys.stderr)
        return 1
    for file in files:
        print(file)
    return 0


if __name__ == "__main__":
    sys.exit(main())

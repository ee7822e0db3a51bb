"""NAME.requires.toml beside an example workflow: the models and nodes that it needs beyond the pack itself.

nodes = ["KSampler"]            # ids of nodes that neither the pack nor the headless runner has
[[models]]
spec = "4dmot"                  # an entry of model_specs/
folder = "motion_tokenizers"    # of the models folder
file = "mp_rank_00_model_states.pt"
"""

import tomllib
from dataclasses import dataclass
from pathlib import Path

from .graph import Nodes, Prompt
from .host import HeadlessHost


@dataclass(frozen=True)
class Model:
    """A checkpoint that a workflow names."""

    spec: str
    folder: str
    file: str


@dataclass(frozen=True)
class Requirements:
    """What a workflow says that it needs."""

    models: tuple[Model, ...] = ()
    nodes: tuple[str, ...] = ()


def read_requirements(workflow: str | Path) -> Requirements:
    """The sidecar of a workflow; empty where it has none. ValueError if the sidecar cannot be read."""
    path = Path(workflow).with_suffix(".requires.toml")
    if not path.is_file():
        return Requirements()
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return Requirements(tuple(Model(**model) for model in table.pop("models", [])), tuple(table.pop("nodes", [])))
    except (ValueError, TypeError) as error:
        raise ValueError(f"{path}: {error}; expected nodes = [...] and [[models]] with spec, folder and file") from None


def missing(requirements: Requirements, prompt: Prompt, nodes: Nodes, host: HeadlessHost) -> list[str]:
    """One sentence for each thing that is required and not there, or for all nodes that are not; a model that the workflow no longer names is not missed."""
    from ..core.specs import load_spec, missing_message

    used = {entry.get("class_type") for entry in prompt.values()}
    foreign = [name for name in requirements.nodes if name in used - set(nodes)]
    if foreign:  # what else is missing here does not matter
        return [f"only ComfyUI has {', '.join(foreign)}: send the workflow to it with motion4d submit WORKFLOW.json --server URL"]
    lacking = []
    values = [value for entry in prompt.values() for value in entry["inputs"].values() if isinstance(value, str)]
    for model in requirements.models:
        if model.file in values:
            try:
                host.model_file(model.folder, model.file)
            except FileNotFoundError:
                folders = ", ".join(str(root / model.folder) for root in host.models)
                lacking.append(missing_message(load_spec(model.spec), folders))
    return lacking

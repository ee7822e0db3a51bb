"""Checkpoints as data: what model_specs/*.toml says about each."""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import torch
from torch import Tensor

from .checkpoints import CHECKPOINT_SUFFIXES, shard_names

TORCHSCRIPT = ".torchscript"
SPEC_FOLDER = Path(__file__).resolve().parents[1] / "model_specs"


@dataclass(frozen=True, kw_only=True)
class ReleasedFile:
    """One file to get.

    name: path below the models folder. repository: on the host of the url, Hugging Face or GitHub. size in bytes and sha256, None where they
    are not known. note: what is special about this one among the files of its spec.
    """

    name: str
    repository: str
    url: str
    size: int | None = None
    sha256: str | None = None
    note: str = ""

    @property
    def home(self) -> str:
        """Host and repository."""
        return f"{urlsplit(self.url).hostname}/{self.repository}"


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelSpec:
    """One checkpoint.

    architecture: which class builds it. config: its arguments, the full sizes. key_layout: layout (name), wrapper (key around the tensors,
    where there is one), tensors (how many) and parameters (how many numbers in them). folder: models folder. skeleton: name in
    skeletons.STANDARD, or "". statistics: name -> float32 tensor, such as mean_mm (J, 3). recipe: how it is sampled, if it is: solver,
    steps, guidance, shift, frames, width, height, fps. notice: limits of the licences that whoever loads it should know.
    """

    name: str
    title: str
    architecture: str
    licence: str
    source: str
    folder: str
    config: Mapping[str, Any]
    key_layout: Mapping[str, Any]
    files: tuple[ReleasedFile, ...]
    skeleton: str = ""
    statistics: Mapping[str, Tensor]
    recipe: Mapping[str, Any] = field(default_factory=dict)
    notice: str = ""

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that can hold it: of any checkpoint, or of the one program that it is."""
        return (TORCHSCRIPT,) if self.files[0].name.endswith(TORCHSCRIPT) else CHECKPOINT_SUFFIXES

    @property
    def choices(self) -> tuple[tuple[ReleasedFile, ...], ...]:
        """What to choose from, the recommended first: one file each, or all the files that belong to the same checkpoint."""
        groups: dict[str, list[ReleasedFile]] = {}
        for file in self.files:
            groups.setdefault(shard_names(file.name)[0], []).append(file)
        return tuple(map(tuple, groups.values()))


def list_specs() -> tuple[str, ...]:
    """Names of all specs, sorted."""
    return tuple(sorted(path.stem for path in SPEC_FOLDER.glob("*.toml")))


def load_spec(name: str) -> ModelSpec:
    """The spec called `name`; ValueError lists the names if there is none."""
    if name not in list_specs():
        raise ValueError(f"there is no model spec '{name}': there are {', '.join(list_specs())}")
    return read_spec(SPEC_FOLDER / f"{name}.toml")


def read_spec(path: Path) -> ModelSpec:
    """Read a TOML file; ValueError names the file and what is wrong with it."""
    try:
        table = tomllib.loads(Path(path).read_text(encoding="utf-8"))
        files = tuple(ReleasedFile(**file) for file in table.pop("files"))
        statistics = {key: torch.tensor(value, dtype=torch.float32) for key, value in table.pop("statistics", {}).items()}
        spec = ModelSpec(**table, files=files, statistics=statistics)
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(f"{path} is no model spec: {error}") from error
    if spec.name != Path(path).stem or not spec.files:
        raise ValueError(
            f"{path} calls itself '{spec.name}' and names {len(spec.files)} files: expected its own name and at least one file"
        )
    return spec


def missing_message(spec: ModelSpec, folder: Path | str) -> str:
    """What to tell somebody who has no file of this spec in `folder`."""
    wanted = "; or ".join(" and ".join(map(_described, files)) for files in spec.choices)
    notice = f" {spec.notice}" if spec.notice else ""
    other = "" if TORCHSCRIPT in spec.suffixes else " A .safetensors file with the same keys will do as well"
    return f"no file of {spec.title} in {folder}: put there {wanted}; licence {spec.licence}.{notice}{other}"


def _described(file: ReleasedFile) -> str:
    size = f", {file.size / 1e9:.2f} GB" if file.size else ""
    note = f", {file.note}" if file.note else ""
    return f"{file.name} from {file.home} ({file.url}{size}{note})"

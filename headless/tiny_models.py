"""Tiny random checkpoints under the names that the example workflows use, so that every example runs anywhere."""

from pathlib import Path

import torch

from ..core.formats.atomic import replacing
from . import EXAMPLES
from .requirements import Model, read_requirements


def example_models() -> list[Model]:
    """Every model that an example workflow requires, once."""
    found = (model for path in sorted(EXAMPLES.glob("api/*.json")) for model in read_requirements(path).models)
    return list(dict.fromkeys(found))


def write_tiny_models(folder: str | Path) -> list[Path]:
    """Write the models into a models folder and return the paths; ValueError if a file of such a name is there, since it may be the real one."""
    from ..core.specs import load_spec
    from ..core.tiny_models import tiny_checkpoint

    targets = {model: Path(folder, model.folder, model.file) for model in example_models()}
    for path in targets.values():
        if path.exists():
            raise ValueError(f"{path} exists: give an empty folder, the real model stays as it is")
    for model, path in targets.items():
        _write(tiny_checkpoint(load_spec(model.spec)), path)
    return list(targets.values())


def _write(tensors: dict[str, torch.Tensor], path: Path) -> None:
    from safetensors.torch import save_file

    with replacing(path) as temporary:
        if path.suffix == ".safetensors":
            save_file(tensors, temporary)
        else:
            torch.save(tensors, temporary)

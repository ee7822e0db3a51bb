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
    from ..core.checkpoints import shard_names

    targets = {}
    for model in example_models():
        path = Path(folder, model.folder, model.file)
        targets |= {path.with_name(name): (model, number) for number, name in enumerate(shard_names(path.name))}
    for path in targets:
        if path.exists():
            raise ValueError(f"{path} exists: give an empty folder, the real model stays as it is")
    for path, (model, number) in targets.items():
        _write(model, path, number, len(shard_names(path.name)))
    return list(targets)


def _write(model: Model, path: Path, number: int, count: int) -> None:
    """Write every `count`-th tensor of a tiny model, from `number` on."""
    from safetensors.torch import save_file

    from ..core.estimators.tiny_nlf import write_tiny_nlf
    from ..core.specs import load_spec
    from ..core.tiny_models import tiny_checkpoint, tiny_metadata

    spec = load_spec(model.spec)
    if spec.architecture == "nlf":
        write_tiny_nlf(path)
        return
    tensors = dict(list(tiny_checkpoint(spec).items())[number::count])
    with replacing(path) as temporary:
        if path.suffix == ".safetensors":
            save_file({key: value.contiguous() for key, value in tensors.items()}, temporary, metadata=tiny_metadata(spec))
        else:
            wrapper = spec.key_layout.get("wrapper")
            torch.save({wrapper: tensors} if wrapper else tensors, temporary)

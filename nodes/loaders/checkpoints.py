"""Checkpoints of a spec in the models folders of the host: what there is to choose from, and where the chosen one is."""

from pathlib import Path

from comfy_api.latest import io

from ...core.specs import ModelSpec, load_spec, missing_message
from .. import host


def file_choice(*names: str, tooltip: str) -> io.Combo.Input:
    """A combo of the files in the folders of these specs; where there are none yet, of the names under which they are released."""
    specs = [load_spec(name) for name in names]
    found = [file for folder, suffixes in _places(specs) for file in host.current().model_files(folder, suffixes)]
    released = [file.name for spec in specs for file in spec.files]
    return io.Combo.Input("file", options=list(dict.fromkeys(found or released)), tooltip=tooltip)


def chosen_file(file: str, *names: str) -> Path:
    """The file that was chosen; FileNotFoundError says for each spec what to get, from where, under which licence."""
    specs = [load_spec(name) for name in names]
    lacking = []
    for folder, _ in _places(specs):
        try:
            return host.current().model_file(folder, file)
        except FileNotFoundError as error:
            lacking.append(str(error))
    wanted = [spec for spec in specs if file in (one.name for one in spec.files)] or specs
    told = ". ".join(missing_message(spec, f"models/{spec.folder}") for spec in wanted)
    raise FileNotFoundError(f"{'; '.join(lacking)}. {told}")


def _places(specs: list[ModelSpec]) -> list[tuple[str, tuple[str, ...]]]:
    """Each folder once, in the order of the specs."""
    return list({spec.folder: (spec.folder, spec.suffixes) for spec in specs}.values())

"""The only door to the program that runs the nodes: folders, device, progress and interruption.

A node asks `current()` and never knows which program answers. ComfyUI is found by itself; the headless runner announces itself with `use`.
"""

import os
import re
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Protocol

import torch

from ..core.formats.untrusted import confined as confined


class Progress(Protocol):
    """A progress bar that also listens for interruption."""

    def advance(self, steps: int = 1) -> None:
        """Move on; raises the host's own exception if the user has interrupted the run."""


class Host(Protocol):
    """What a node may ask of the program that runs it."""

    def input_files(self, suffixes: Iterable[str]) -> list[str]:
        """Names, relative to the input folder, of the files with one of these suffixes (".npz"), sorted."""

    def input_file(self, name: str) -> Path:
        """A file of the input folder; ValueError if the name leads outside it, FileNotFoundError if there is no such file."""

    def output_file(self, prefix: str, suffix: str) -> Path:
        """A new path in the output folder, numbered; the folder exists, the file does not."""

    def saved(self, path: Path) -> dict[str, str]:
        """The entry {filename, subfolder, type} by which the program's pages find a file of the output folder."""

    def model_files(self, folder: str, suffixes: Iterable[str]) -> list[str]:
        """Names of the model files of a models folder."""

    def model_file(self, folder: str, name: str) -> Path:
        """A file of a models folder; FileNotFoundError names the folders that were searched."""

    def device(self) -> torch.device:
        """Where models and heavy arithmetic run."""

    def progress(self, total: int) -> Progress:
        """A new bar of `total` steps."""


_announced: Host | None = None


def use(host: Host) -> None:
    """Answer `current` with this host from now on (the headless runner and the tests call it)."""
    global _announced
    _announced = host


def current() -> Host:
    """The host that runs this process."""
    return _announced or ComfyHost()


@contextmanager
def on_device(module: torch.nn.Module) -> Iterator[torch.device]:
    """Lend a small module to the host's device for the length of a `with` block."""
    device = current().device()
    try:
        module.to(device)
        yield device
    finally:
        module.to("cpu")


def numbered(folder: Path, name: str, suffix: str, *, taken: Iterable[Path] = ()) -> Path:
    """The path after the last "name_00001_suffix" of a folder; files of another suffix have numbers of their own.

    Args:
        taken: paths that have been given out and need not exist yet.
    """
    pattern = re.compile(re.escape(name) + r"_(\d+)_?" + re.escape(suffix))
    present = {path.name for path in folder.iterdir()} | {path.name for path in taken if path.parent == folder}
    numbers = [int(found[1]) for one in present if (found := pattern.fullmatch(one))]
    return folder / f"{name}_{max(numbers, default=0) + 1:05}_{suffix}"


def files_below(root: Path, suffixes: Iterable[str]) -> list[str]:
    """Names, relative to `root`, of the files in it and in its folders that end in one of the suffixes."""
    wanted = tuple(suffixes)
    found = (Path(base, file) for base, _, files in os.walk(root) for file in files if file.lower().endswith(wanted))
    return [path.relative_to(root).as_posix() for path in found]


def saved_entry(output: Path, path: Path) -> dict[str, str]:
    """What `Host.saved` answers for a file of the output folder."""
    folder = path.parent.relative_to(output)
    return {"filename": path.name, "subfolder": "" if folder == Path() else folder.as_posix(), "type": "output"}


class _ComfyProgress:
    def __init__(self, total: int):
        from comfy.utils import ProgressBar

        self._bar = ProgressBar(total)

    def advance(self, steps: int = 1) -> None:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        self._bar.update(steps)


class ComfyHost:
    """ComfyUI."""

    def input_files(self, suffixes):
        import folder_paths

        return sorted(files_below(Path(folder_paths.get_input_directory()), suffixes))

    def input_file(self, name):
        import folder_paths

        root = Path(folder_paths.get_input_directory())
        path = confined(root, name.removesuffix(" [input]"))  # ComfyUI's pages may mark the folder of a file
        if not path.is_file():
            raise FileNotFoundError(f"{name} is not in the input folder {root}: upload it there")
        return path

    def output_file(self, prefix, suffix):
        import folder_paths

        folder, name, *_ = folder_paths.get_save_image_path(prefix, folder_paths.get_output_directory())
        Path(folder).mkdir(parents=True, exist_ok=True)
        return numbered(Path(folder), name, suffix)

    def saved(self, path):
        import folder_paths

        return saved_entry(Path(folder_paths.get_output_directory()), path)

    def model_files(self, folder, suffixes):
        import folder_paths

        _register(folder_paths, folder)
        found = (name.replace(os.sep, "/") for name in folder_paths.get_filename_list(folder))  # as workflows from other systems write them
        return [name for name in found if name.lower().endswith(tuple(suffixes))]

    def model_file(self, folder, name):
        import folder_paths

        _register(folder_paths, folder)
        path = folder_paths.get_full_path(folder, name)
        if path is None:
            places = ", ".join(folder_paths.get_folder_paths(folder))
            raise FileNotFoundError(f"{name} is not in {places}")
        return Path(path)

    def device(self):
        from comfy.model_management import get_torch_device

        return get_torch_device()

    def progress(self, total):
        return _ComfyProgress(total)


def _register(folder_paths, folder: str) -> None:
    if folder not in folder_paths.folder_names_and_paths:
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))

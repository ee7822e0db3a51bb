"""ComfyUI as a host: its folders, devices and progress bar."""

import os
from pathlib import Path

from ..host import confined, files_below, numbered, saved_entry


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

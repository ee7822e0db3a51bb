"""ComfyUI as a host: its folders, devices and progress bar, and the models it manages."""

import os
from pathlib import Path

from ..host import confined, files_below, numbered, saved_entry

_EXAMPLE_INPUTS = Path(__file__).resolve().parents[2] / "example_workflows" / "inputs"  # so that examples run as they are opened


class _ComfyProgress:
    def __init__(self, total: int):
        from comfy.utils import ProgressBar

        self._bar = ProgressBar(total)

    def advance(self, steps: int = 1) -> None:
        from comfy.model_management import throw_exception_if_processing_interrupted

        throw_exception_if_processing_interrupted()
        self._bar.update(steps)


class ComfyHost:
    """ComfyUI. What needs its models is imported when it is asked for: node schemas are built before that."""

    def input_files(self, suffixes):
        import folder_paths

        roots = (Path(folder_paths.get_input_directory()), _EXAMPLE_INPUTS)
        return sorted({name for root in roots for name in files_below(root, suffixes)})

    def input_file(self, name):
        import folder_paths

        plain, root = (
            name.removesuffix(" [input]"),
            Path(folder_paths.get_input_directory()),
        )  # ComfyUI's pages may mark the folder of a file
        for folder in (root, _EXAMPLE_INPUTS):
            if (path := confined(folder, plain)).is_file():
                return path
        raise FileNotFoundError(f"{plain} is not in the input folder {root}: upload it there")

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
        wanted = tuple(suffixes)
        found = {name.replace(os.sep, "/") for name in folder_paths.get_filename_list(folder)}  # as workflows from other systems write them
        known = folder_paths.folder_names_and_paths[folder][1]
        if passed := [suffix for suffix in wanted if known and f".{suffix.rpartition('.')[2]}" not in known]:  # such as .index.json
            found |= {name for root in folder_paths.get_folder_paths(folder) for name in files_below(Path(root), passed)}
        return sorted(name for name in found if name.lower().endswith(wanted))

    def model_file(self, folder, name):
        import folder_paths

        _register(folder_paths, folder)
        path = folder_paths.get_full_path(folder, name)
        if path is None:
            places = ", ".join(folder_paths.get_folder_paths(folder))
            raise FileNotFoundError(f"{name} is not in {places}")
        return Path(path)

    def new_model_folder(self, folder):
        import folder_paths

        _register(folder_paths, folder)
        places = [Path(place) for place in folder_paths.get_folder_paths(folder)]
        return next((place for place in places if place.name == folder), places[0])  # the first may be an older name, as models/unet

    def device(self):
        from comfy.model_management import get_torch_device

        return get_torch_device()

    def progress(self, total):
        return _ComfyProgress(total)

    def load_video_model(self, path, *, precision):
        from .video_models import load

        return load(Path(path), precision)

    def load_motion_adapter(self, path):
        from .wan_motion import load_adapter

        return load_adapter(Path(path))

    def apply_motion(self, model, adapter, strength):
        from .video_models import apply_motion

        return apply_motion(model, adapter, strength)

    def apply_windows(self, model, planner):
        from .windows import apply_windows

        return apply_windows(model, planner)

    def video_model(self, model):
        from .video_models import describe

        return describe(model)

    def load_text_encoder(self, path):
        from .side_models import load_text_encoder

        return load_text_encoder(Path(path))

    def load_image_encoder(self, path):
        from .side_models import load_image_encoder

        return load_image_encoder(Path(path))

    def load_video_vae(self, path):
        from .video_vae import load_video_vae

        return load_video_vae(Path(path))

    def vae_kind(self, vae):
        from .video_vae import vae_kind

        return vae_kind(vae)

    def encode_video(self, vae, frames, *, seed=None):
        from .video_vae import encode_video

        return encode_video(vae, frames, seed)

    def decode_video(self, vae, latents):
        from .video_vae import decode_video

        return decode_video(vae, latents)

    def encode_image(self, encoder, image):
        from .side_models import encode_image

        return encode_image(encoder, image)

    def condition(self, conditioning, condition, *, image=None):
        from .conditions import conditioned

        return conditioned(conditioning, condition, image)

    def condition_of(self, conditioning):
        from .conditions import condition_of

        return condition_of(conditioning)

    def gather_views(self, conditionings):
        from .conditions import gather_views

        return gather_views(conditionings)

    def guider(self, model, positive, negative, guidance):
        from .guidance import MotionGuider

        return MotionGuider(model, positive, negative, guidance)

    def sample(self, guider, latents, recipe, *, seed, windows=None, reuse=0.0):
        from .sampling import sample

        return sample(guider, latents, recipe, seed=seed, windows=windows, reuse=reuse)

    def motion_attention(self, guider, latents, *, progress, blocks, seed):
        from .sampling import motion_attention

        return motion_attention(guider, latents, progress=progress, blocks=blocks, seed=seed)


def _register(folder_paths, folder: str) -> None:
    if folder not in folder_paths.folder_names_and_paths:
        folder_paths.add_model_folder_path(folder, os.path.join(folder_paths.models_dir, folder))

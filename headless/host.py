"""HeadlessHost: folders, device, progress and models where ComfyUI is not."""

import filecmp
import shutil
import sys
from collections.abc import Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..core.conditions import Strength, VideoCondition
from ..core.models import load_motion_adapter
from ..core.networks.motion_adapter import MotionAdapter
from ..core.sampling.guidance import Guidance
from ..core.sampling.recipes import Recipe
from ..core.sampling.windows import WindowPlan
from ..core.views import gather_conditioning
from ..nodes.host import Planner, VideoModel, confined, files_below, numbered, saved_entry
from . import denoising, side_models, video_models
from .conditioning import Conditioning, Guider, condition_of, conditioned
from .side_models import VAE, ImageEncoder, ImageTokens, TextEncoder
from .video_models import HeadlessModel


class HeadlessHost:
    """The folders of one run.

    inputs: folders that nodes may read files from; the first one belongs to the run, and `take` copies files into it. output: where results go.
    models: folders that hold the models folders ("motion_tokenizers", ...). quiet: no progress bars.
    """

    def __init__(self, *, inputs: Sequence[Path], output: Path, models: Sequence[Path] = (), quiet: bool = False):
        if not inputs:
            raise ValueError("a headless run has no input folder: name at least one, it is where --set puts files")
        self.inputs, self.output, self.models = [Path(one) for one in inputs], Path(output), [Path(one) for one in models]
        self.label = ""
        self._quiet = quiet
        self._given: list[Path] = []

    def input_files(self, suffixes: Iterable[str]) -> list[str]:
        return sorted({name for root in self.inputs for name in files_below(root, suffixes)})

    def input_file(self, name: str) -> Path:
        # ComfyUI marks the folder of a file with a suffix; a run has input files only.
        plain = name.removesuffix(" [input]")
        for root in self.inputs:
            if (path := confined(root, plain)).is_file():
                return path
        raise FileNotFoundError(f"{plain} is not in the input folders {_listed(self.inputs)}: give the file with --set NODE.INPUT=FILE")

    def take(self, path: Path) -> str:
        """Copy a file into the run's input folder and return its name there; another file of that name keeps its own."""
        path = Path(path)
        folder, number = self.inputs[0], 1
        folder.mkdir(parents=True, exist_ok=True)
        target = folder / path.name
        while target.exists() and not filecmp.cmp(path, target, shallow=False):
            number += 1
            target = folder / f"{path.stem}_{number}{path.suffix}"
        if not target.exists():
            shutil.copyfile(path, target)
        return target.name

    def output_file(self, prefix: str, suffix: str) -> Path:
        stem = confined(self.output, prefix)
        if stem == self.output.resolve() or not stem.name:
            raise ValueError(f"filename_prefix '{prefix}' has no file name: write something like 'motion4d/walk'")
        stem.parent.mkdir(parents=True, exist_ok=True)
        path = numbered(stem.parent, stem.name, suffix, taken=self._given)
        self._given.append(path)
        return path

    def saved(self, path: Path) -> dict[str, str]:
        return saved_entry(self.output.resolve(), Path(path))

    def written(self) -> list[Path]:
        """The files that nodes have written to the output folder, in order, as paths that begin with `output` as it was given."""
        return [self.output / path.relative_to(self.output.resolve()) for path in self._given if path.exists()]

    def model_files(self, folder: str, suffixes: Iterable[str]) -> list[str]:
        return sorted({name for root in self.models for name in files_below(root / folder, suffixes)})

    def model_file(self, folder: str, name: str) -> Path:
        for root in self.models:
            if (path := confined(root / folder, name, links=True)).is_file():
                return path
        raise FileNotFoundError(f"{name} is not in {_listed(root / folder for root in self.models)}")

    def new_model_folder(self, folder: str) -> Path:
        if not self.models:
            raise ValueError("this run has no models folder: name one with --models")
        return self.models[0] / folder

    def device(self) -> torch.device:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")

    def progress(self, total: int) -> "Bar":
        return Bar(self.label, total, quiet=self._quiet)

    def load_video_model(self, path: Path, *, precision: str) -> HeadlessModel:
        return video_models.load_video_model(path, precision, self.device())

    def load_motion_adapter(self, path: Path) -> MotionAdapter:
        return load_motion_adapter(path)

    def apply_motion(self, model: HeadlessModel, adapter: MotionAdapter | None, strength: Strength) -> HeadlessModel:
        return model.with_motion(adapter, strength)

    def apply_windows(self, model: HeadlessModel, planner: Planner) -> HeadlessModel:
        return replace(model, planner=planner)

    def video_model(self, model: HeadlessModel) -> VideoModel:
        return model.describe()

    def load_text_encoder(self, path: Path) -> TextEncoder:
        return side_models.load_text_encoder(path, self.device())

    def load_image_encoder(self, path: Path) -> ImageEncoder:
        return side_models.load_image_encoder(path, self.device())

    def load_video_vae(self, path: Path) -> VAE:
        return side_models.load_video_vae(path, self.device())

    def vae_kind(self, vae: Any) -> str | None:
        return vae.kind if isinstance(vae, VAE) else None

    def encode_video(self, vae: VAE, frames: Tensor, *, seed: int | None = None) -> Tensor:
        return vae.encode(frames, seed=seed)

    def decode_video(self, vae: VAE, latents: Tensor) -> Tensor:
        return vae.decode(latents)

    def encode_image(self, encoder: ImageEncoder, image: Tensor) -> ImageTokens:
        return encoder.encode(image[None])

    def condition(self, conditioning: Conditioning | None, condition: VideoCondition, *, image: ImageTokens | None = None) -> Conditioning:
        return conditioned(conditioning, condition, image)

    def condition_of(self, conditioning: Conditioning) -> VideoCondition:
        return condition_of(conditioning)

    def gather_views(self, conditionings: Sequence[Conditioning]) -> Conditioning:
        return gather_conditioning(conditionings)

    def guider(self, model: HeadlessModel, positive: Conditioning, negative: Conditioning | None, guidance: Guidance) -> Guider:
        return Guider.of(model, positive, negative, guidance)

    def sample(
        self, guider: Guider, latents: Tensor, recipe: Recipe, *, seed: int, windows: WindowPlan | None = None, reuse: float = 0.0
    ) -> Tensor:
        options = {"windows": windows, "reuse": reuse, "device": self.device(), "progress": self.progress}
        return denoising.sample(guider, latents, recipe, seed=seed, **options)

    def motion_attention(self, guider: Guider, latents: Tensor, *, progress: float, blocks: Sequence[int], seed: int) -> Tensor:
        return denoising.motion_attention(guider, latents, progress=progress, blocks=blocks, seed=seed, device=self.device())


class Bar:
    """One tqdm bar on stderr. Ctrl-C arrives as KeyboardInterrupt wherever the node is, so there is nothing to ask for."""

    def __init__(self, label: str, total: int, *, quiet: bool):
        from tqdm import tqdm

        self._left = total
        self._bar = tqdm(total=total, desc=label, file=sys.stderr, disable=quiet, dynamic_ncols=True, mininterval=0.2, leave=False)

    def advance(self, steps: int = 1) -> None:
        self._left -= steps
        self._bar.update(steps)
        if self._left <= 0:
            self._bar.close()


def _listed(folders: Iterable[Path]) -> str:
    return ", ".join(str(folder) for folder in folders) or "(no folder)"

"""The only door to the program that runs the nodes: folders, device, progress, interruption, and the models it manages.

A node asks `current()` and never knows which program answers. ComfyUI (`nodes/comfyui`) is found by itself; the headless runner announces
itself with `use`.
"""

import os
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import torch
from torch import Tensor

from ..core.conditions import Strength, VideoCondition
from ..core.formats.untrusted import confined as confined
from ..core.sampling.guidance import Guidance
from ..core.sampling.progressive import ViewTimePlan
from ..core.sampling.recipes import Recipe
from ..core.sampling.windows import WindowPlan

# planner(views, frames) -> how latents of so many views and latent frames are cut
Planner = Callable[[int, int], ViewTimePlan]


class Progress(Protocol):
    """A progress bar that also listens for interruption."""

    def advance(self, steps: int = 1) -> None:
        """Move on; raises the host's own exception if the user has interrupted the run."""


@dataclass(frozen=True)
class VideoModel:
    """What a node must know of a host's MODEL before it does any work with it.

    kind: "mvdit_7b" or "mvdit_17b". channels: C of its latents. motion_width: channels of the motion tokens it takes, None without motion
    attention. motion_slots: tokens of its learned unconditional motion (7B), None where it has none. motion_blocks: numbers of the blocks that
    have motion attention, in order.
    """

    kind: str
    channels: int
    motion_width: int | None
    motion_slots: int | None = None
    motion_blocks: tuple[int, ...] = ()


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

    def new_model_folder(self, folder: str) -> Path:
        """Where a file that is new to a models folder goes; it need not exist yet."""

    def device(self) -> torch.device:
        """Where models and heavy arithmetic run."""

    def progress(self, total: int) -> Progress:
        """A new bar of `total` steps."""

    # The host's own objects (MODEL, MODEL_PATCH, CLIP, CLIP_VISION, VAE, CONDITIONING, GUIDER) are `Any`: nodes only hand them on.

    def load_video_model(self, path: Path, *, precision: str) -> Any:
        """A MODEL from an MV-DiT 7B or 17B checkpoint, or from a plain Wan2.1 image-to-video one. precision: of core.precision.PRECISIONS."""

    def load_motion_adapter(self, path: Path) -> Any:
        """A MODEL_PATCH with the motion attention of 17B from an adapter file, or from a whole checkpoint that holds it."""

    def apply_motion(self, model: Any, adapter: Any | None, strength: Strength) -> Any:
        """A copy of a MODEL with motion attention of this strength; ValueError where it has none and no adapter is given, or cannot take one."""

    def apply_windows(self, model: Any, planner: Planner) -> Any:
        """A copy of a MODEL that whatever samples it asks piece by piece, as planned for the size of the latents (V, C, F, h, w); in place of
        pieces it is asked in already."""

    def video_model(self, model: Any) -> VideoModel:
        """What a MODEL is; ValueError if it is none that motion can drive."""

    def load_text_encoder(self, path: Path) -> Any:
        """A CLIP of UMT5-XXL."""

    def load_image_encoder(self, path: Path) -> Any:
        """A CLIP_VISION of CLIP ViT-H."""

    def load_video_vae(self, path: Path) -> Any:
        """A VAE of CogVideoX or Wan2.1, told apart by their keys."""

    def vae_kind(self, vae: Any) -> str | None:
        """ "cogvideox_vae" or "wan_vae"; None where it cannot be told, as of another pack's."""

    def encode_video(self, vae: Any, frames: Tensor, *, seed: int | None = None) -> Tensor:
        """Frames (T, H, W, 3) in 0..1 -> latents (C, F, h, w) on the CPU as the VAE gives them, unscaled: the mean of the posterior, or with
        a seed a sample of it (ValueError where the VAE of the host has no posterior to sample)."""

    def decode_video(self, vae: Any, latents: Tensor) -> Tensor:
        """Latents (C, F, h, w) as of `encode_video` -> frames (T, H, W, 3) in 0..1 on the CPU."""

    def encode_image(self, encoder: Any, image: Tensor) -> Any:
        """A picture (H, W, 3) in 0..1 -> CLIP_VISION_OUTPUT; the picture is stretched to the encoder's square, as in the release."""

    def condition(self, conditioning: Any | None, condition: VideoCondition, *, image: Any | None = None) -> Any:
        """CONDITIONING that carries a video condition and a CLIP_VISION_OUTPUT beside the text of `conditioning` (None: no text)."""

    def condition_of(self, conditioning: Any) -> VideoCondition:
        """The video condition in a CONDITIONING; ValueError if there is none, or if there are several."""

    def gather_views(self, conditionings: Sequence[Any]) -> Any:
        """One CONDITIONING of several views from one for each, in order; ValueError where they do not go together."""

    def guider(self, model: Any, positive: Any, negative: Any | None, guidance: Guidance) -> Any:
        """A GUIDER."""

    def sample(
        self, guider: Any, latents: Tensor, recipe: Recipe, *, seed: int, windows: WindowPlan | None = None, reuse: float = 0.0
    ) -> Tensor:
        """Run a recipe from the noise of a seed.

        Args:
            latents: (B, C, F, h, w), B being views where the conditions are of several: their shape is that of the result.
            windows: of latent frames, denoised together at every step; they take the place of what `apply_windows` has planned.
            reuse: threshold of a `core.networks.residual_cache.ResidualCache` over the run; 0 is exact. ValueError where the host has
                no place for it in this model.

        Returns:
            Latents like those of `encode_video`, with the batch, on the CPU in float32.
        """

    def motion_attention(self, guider: Any, latents: Tensor, *, progress: float, blocks: Sequence[int], seed: int) -> Tensor:
        """Where the video looks at each joint: one step of the model at a point of the schedule (0 noise, 1 video).

        Args:
            latents: (1, C, F, h, w) of a finished video; noise of the seed is added to them as the schedule has it there.

        Returns:
            (blocks, joints, F, h / 2, w / 2) share of attention, mean over heads and over the latent frames of the motion.
        """


_announced: Host | None = None


def use(host: Host) -> None:
    """Answer `current` with this host from now on (the headless runner and the tests call it)."""
    global _announced
    _announced = host


def current() -> Host:
    """The host that runs this process."""
    if _announced is not None:
        return _announced
    from .comfyui.host import ComfyHost

    return ComfyHost()


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

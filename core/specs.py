"""Checkpoints as data: what model_specs/*.toml says about each, reading the files, and building the models they hold."""

import tomllib
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from .networks.motion_tokenizer import MotionTokenizer, MotionTokenizerConfig
from .networks.tiny_tokenizer import tiny_tokenizer

SPEC_FOLDER = Path(__file__).resolve().parents[1] / "model_specs"
CHECKPOINT_SUFFIXES = (".pt", ".pth", ".safetensors")


@dataclass(frozen=True, kw_only=True)
class ReleasedFile:
    """name: path below the models folder. repository: on Hugging Face. size in bytes and sha256, None where they are not known."""

    name: str
    repository: str
    url: str
    size: int | None = None
    sha256: str | None = None


@dataclass(frozen=True, eq=False, kw_only=True)
class ModelSpec:
    """One checkpoint.

    architecture: which class builds it. config: its arguments. key_layout: layout (name), wrapper (key around the tensors) and
    tensors (how many). folder: models folder. skeleton: name in skeletons.STANDARD, or "". statistics: name -> float32 tensor, such as
    mean_mm (J, 3).
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

    @property
    def suffixes(self) -> tuple[str, ...]:
        """Endings of the files that can hold it."""
        return CHECKPOINT_SUFFIXES


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
    wanted = "; ".join(f"{file.name} from huggingface.co/{file.repository} ({file.url})" for file in spec.files)
    return (
        f"no file of {spec.title} in {folder}: put there {wanted}; licence {spec.licence}. "
        "A .safetensors file with the same keys will do as well"
    )


def read_checkpoint(path: Path | str) -> dict[str, Tensor]:
    """Tensors of a checkpoint on the CPU, without running anything in it; those under "module" if that is where they are (DeepSpeed).

    Args:
        path: .safetensors, or .pt and .pth in torch's zip format. Tensors stay mapped to the file until they are used.

    Raises:
        FileNotFoundError: no such file.
        ValueError: names the file: malformed, unsafe, or not a mapping from names to tensors.
    """
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"there is no file {path}")
    if path.suffix.lower() not in CHECKPOINT_SUFFIXES:
        raise ValueError(f"{path} is no checkpoint: expected a file that ends in {', '.join(CHECKPOINT_SUFFIXES)}")
    read = _read_safetensors if path.suffix.lower() == ".safetensors" else _read_torch
    try:
        content = read(path)
    except Exception as error:  # the parsers raise many types on malformed input, MemoryError and RecursionError among them
        reason = str(error).strip().splitlines()
        raise ValueError(
            f"{path} cannot be read as a checkpoint ({reason[0] if reason else type(error).__name__}): download it again"
        ) from error
    if isinstance(content, dict) and isinstance(content.get("module"), dict):
        content = content["module"]
    if (
        not isinstance(content, dict)
        or not content
        or not all(isinstance(key, str) and isinstance(v, Tensor) for key, v in content.items())
    ):
        raise ValueError(f"{path} is no checkpoint of a model: expected tensors by name, or such a table under 'module'")
    return dict(content)


def _read_safetensors(path: Path) -> dict[str, Tensor]:
    from safetensors.torch import load_file

    return load_file(path)


def _read_torch(path: Path) -> Any:
    if not zipfile.is_zipfile(path):
        raise ValueError("not in the zip format that torch.save has written since 1.6")
    with zipfile.ZipFile(path) as archive:
        if any(entry.compress_type != zipfile.ZIP_STORED for entry in archive.infolist()):
            raise ValueError("its entries are compressed, which torch.save never does")
        if sum(entry.file_size for entry in archive.infolist()) > path.stat().st_size:
            raise ValueError("its entries claim more bytes than the file has")
    return torch.load(path, map_location="cpu", weights_only=True, mmap=True)


def load_tokenizer(path: Path | str, spec: ModelSpec) -> MotionTokenizer:
    """The tokenizer in a checkpoint: float32, on the CPU, in eval mode, without gradients.

    Sizes come from the tensors, so that small checkpoints with the same keys load as well.

    Raises:
        FileNotFoundError, ValueError: as `read_checkpoint`, or keys, shapes or values that are no tokenizer's.
    """
    if spec.architecture != "motion_tokenizer":
        raise ValueError(f"{spec.name} is a {spec.architecture}, expected a motion_tokenizer: choose another spec")
    state = read_checkpoint(path)
    released = f"expected the keys of {spec.files[0].name} from {spec.files[0].repository}"
    try:
        with torch.device("meta"):
            tokenizer = MotionTokenizer(_tokenizer_config(state))
    except (KeyError, IndexError, ValueError) as error:
        raise ValueError(f"{path} is no {spec.title} ({error}): {released}") from error
    problems = _differences({key: tuple(value.shape) for key, value in tokenizer.state_dict().items()}, state)
    if problems:
        raise ValueError(f"{path} is no {spec.title} ({problems}): {released}")
    broken = [key for key, value in state.items() if not torch.isfinite(value).all()]
    if broken:
        raise ValueError(f"{path} has NaN or infinite values in {_shortly(broken)}: download it again")
    tokenizer.load_state_dict({key: value.float() for key, value in state.items()}, strict=True, assign=True)
    return tokenizer.eval().requires_grad_(False)


def _tokenizer_config(state: Mapping[str, Tensor]) -> MotionTokenizerConfig:
    codes, channels = (*state["vq.codebook"].shape, 0)[:2]
    widths = (state["encoder.conv_in.weight"].shape[0], state["encoder.resnet2.block.2.weight"].shape[0])
    return MotionTokenizerConfig(widths=widths, code_dim=channels, codebook_size=codes)


def _shortly(names: list[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")


def _differences(expected: Mapping[str, tuple[int, ...]], state: Mapping[str, Tensor]) -> str:
    """What keeps a state dict from fitting, in one line; empty if it fits."""
    missing = [key for key in expected if key not in state]
    unexpected = [key for key in state if key not in expected]
    misshapen = [key for key, shape in expected.items() if key in state and tuple(state[key].shape) != shape]
    parts = [(missing, "missing"), (unexpected, "unexpected"), (misshapen, "of another shape")]
    return "; ".join(f"{len(keys)} {kind}: {_shortly(keys)}" for keys, kind in parts if keys)


def tiny_checkpoint(spec: ModelSpec, *, seed: int = 0) -> dict[str, Tensor]:
    """State dict of a small model with the keys of the spec's checkpoint, the same for the same seed.

    Raises:
        ValueError: an architecture without a small model.
    """
    if spec.architecture != "motion_tokenizer":
        raise ValueError(f"{spec.name} is a {spec.architecture}: there is a tiny model for motion_tokenizer only")
    return dict(tiny_tokenizer(len(spec.statistics["mean_mm"]), seed=seed).state_dict())

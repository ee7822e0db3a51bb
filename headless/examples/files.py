"""What examples say of the files they need and write."""

from collections.abc import Mapping
from typing import Any

from ...core.specs import load_spec

VIDEO_FORMAT = {"format": "auto", "codec": "auto"}  # what old and new versions of Save Video both understand


def file_of(spec: str, number: int = 0) -> str:
    """Name of a released file of a spec, the first unless told."""
    return load_spec(spec).files[number].name


def models(spec: str, number: int = 0) -> list[dict[str, str]]:
    """Name, address and folder of that file, and of those that make one checkpoint with it, for ComfyUI's missing-model dialog."""
    found = load_spec(spec)
    files = next(files for files in found.choices if found.files[number] in files)
    return [{"name": file.name, "url": file.url, "directory": found.folder} for file in files]


def loader(spec: str, number: int = 0, *, input: str = "file") -> dict[str, Any]:
    """What a loader node of the description is given."""
    return {input: file_of(spec, number), "models": models(spec, number)}


def save(video: Any, prefix: str) -> Mapping[str, Any]:
    """Inputs of Save Video."""
    return {"video": video, "filename_prefix": f"motion4d/{prefix}", **VIDEO_FORMAT}

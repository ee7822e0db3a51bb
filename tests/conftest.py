"""Reference data beside the repository is used where it is present; nothing here needs it to be."""

import os
from pathlib import Path

import pytest
import torch
from motion4d.headless import comfy_api
from motion4d.headless.host import HeadlessHost
from motion4d.nodes import host as door

# The nodes import `comfy_api`: a stand-in where ComfyUI is not.
comfy_api.install()

REPOSITORY = Path(__file__).resolve().parents[1]
REFERENCE = Path(os.environ.get("MOTION4D_REFERENCE", REPOSITORY.parent / "shared"))


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


def reference_file(*parts: str) -> Path:
    """A file of the reference data; skips the test, saying why, where the data is absent."""
    path = REFERENCE.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference data {'/'.join(parts)} is absent (set MOTION4D_REFERENCE to its folder)")
    return path


@pytest.fixture
def reference():
    """reference("goldens", "rope.safetensors") -> path, or skip."""
    return reference_file


@pytest.fixture
def host(tmp_path, monkeypatch) -> HeadlessHost:
    """A headless host with folders of its own, announced to the nodes for the length of the test."""
    ours = HeadlessHost(inputs=[tmp_path / "input"], output=tmp_path / "output", models=[tmp_path / "models"], quiet=True)
    for folder in (*ours.inputs, ours.output, *ours.models):
        folder.mkdir()
    monkeypatch.setattr(door, "_announced", ours)
    return ours

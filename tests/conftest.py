"""Reference data beside the repository is used where it is present; nothing here needs it to be."""

import os
from pathlib import Path

import pytest
import torch

REPOSITORY = Path(__file__).resolve().parents[1]
SHARED = Path(os.environ.get("MOTION4D_REFERENCE", REPOSITORY.parent / "shared"))


@pytest.fixture
def generator() -> torch.Generator:
    """A seeded generator."""
    return torch.Generator().manual_seed(0)


def reference_file(*parts: str) -> Path:
    """A file of the reference data; skips the test, saying why, where the data is absent."""
    path = SHARED.joinpath(*parts)
    if not path.exists():
        pytest.skip(f"reference data {'/'.join(parts)} is absent (set MOTION4D_REFERENCE to its folder)")
    return path


@pytest.fixture
def reference():
    """reference("goldens", "rope.safetensors") -> path, or skip."""
    return reference_file

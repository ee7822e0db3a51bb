"""Reference data beside the repository is used where it is present; nothing here needs it to be."""

import os
from pathlib import Path

import numpy as np
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


_BODY = [-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19]


def _fingers(*hands: tuple[int, int]) -> list[int]:
    """Parents of the fingers of hands (wrist, first finger joint)."""
    return [joint for wrist, first in hands for finger in range(first, first + 15, 3) for joint in (wrist, finger, finger + 1)]


@pytest.fixture(scope="session")
def body_model_arrays():
    """body_model_arrays(joints=24): arrays under the keys of official SMPL (24), SMPL-H (52) and SMPL-X (55) files, of random numbers: the files are licensed."""
    trees = {24: [*_BODY, 20, 21], 52: [*_BODY, *_fingers((20, 22), (21, 37))], 55: [*_BODY, 15, 15, 15, *_fingers((20, 25), (21, 40))]}

    def make(joints: int = 24, *, vertices: int = 60, betas: int = 10) -> dict[str, np.ndarray]:
        draw = np.random.default_rng(0)

        def shares(rows: int, columns: int) -> np.ndarray:
            table = draw.uniform(size=(rows, columns)) ** 4
            return table / table.sum(1, keepdims=True)

        tree = np.array([trees[joints], range(joints)], np.int64)
        tree[0, 0] = 2**32 - 1  # as the official files write "none"
        return {
            "v_template": draw.uniform(-0.9, 0.9, (vertices, 3)),
            "shapedirs": 0.02 * draw.normal(size=(vertices, 3, betas)),
            "posedirs": 0.01 * draw.normal(size=(vertices, 3, 9 * (joints - 1))),
            "J_regressor": shares(joints, vertices),
            "weights": shares(vertices, joints),
            "f": draw.integers(0, vertices, (40, 3)).astype(np.uint32),
            "kintree_table": tree,
        }

    return make

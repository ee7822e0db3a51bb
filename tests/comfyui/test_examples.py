"""Every example workflow gives the same in both hosts."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from motion4d.core.formats import load_motion, read_video
from motion4d.headless.cli import main
from motion4d.headless.submit import Server, submit

pytestmark = pytest.mark.comfyui


def by_name(files: list[Path], root: Path) -> dict[str, Path]:
    """Files by name without the number, which differs where a server has run before."""
    named = {re.sub(r"_\d{5}_", "", path.relative_to(root).as_posix()): path for path in files}
    assert len(named) == len(files)
    return named


def assert_same_arrays(ours: Path, theirs: Path) -> None:
    with np.load(ours, allow_pickle=False) as first, np.load(theirs, allow_pickle=False) as second:
        assert set(first.files) == set(second.files)
        for key in first.files:
            if first[key].dtype.kind == "f":
                np.testing.assert_allclose(first[key], second[key], rtol=1e-6, atol=1e-6, err_msg=key)
            else:
                np.testing.assert_array_equal(first[key], second[key], err_msg=key)


def assert_same_frames(ours: Path, theirs: Path, *, at_least_db: float) -> None:
    first, second = (read_video(path) for path in (ours, theirs))
    assert (len(first), first.image_size, first.fps) == (len(second), second.image_size, second.fps)
    error = (first.frames() - second.frames()).square().mean(dim=(1, 2, 3)).clamp(min=1e-12)
    worst = float((-10 * error.log10()).min())
    assert worst >= at_least_db, f"{ours.name}: the least alike frames differ by {worst:.1f} dB"


def test_both_hosts_give_the_same(comfyui, same_folders, example, tmp_path, capsys):
    here, there = tmp_path / "here", tmp_path / "there"
    status = main(["run", str(example), "--output", str(here), "--models", str(comfyui.base / "models")])
    told = capsys.readouterr()
    assert status == 0, told.err
    # Before 0.33 ComfyUI encoded other shades (BT.601, untagged): two lossy copies of the same pictures, not the same copy.
    ours = by_name([Path(line) for line in told.out.splitlines()], here)
    theirs = by_name(submit(json.loads(example.read_text(encoding="utf-8")), Server(comfyui.url), there, poll=0.2, timeout=300), there)
    assert set(ours) == set(theirs) and ours
    for name, path in ours.items():
        assert theirs[name].stat().st_size > 0
        if path.suffix == ".npz":
            assert_same_arrays(path, theirs[name])
        elif path.suffix == ".mp4":
            assert_same_frames(path, theirs[name], at_least_db=40 if comfyui.is_modern else 38)
        elif path.suffix == ".bvh":
            first, second = load_motion(path), load_motion(theirs[name])
            np.testing.assert_allclose(first.joints.numpy(), second.joints.numpy(), atol=1e-5)
        else:
            assert path.read_bytes() == theirs[name].read_bytes(), name

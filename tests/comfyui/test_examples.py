"""Every example workflow runs in ComfyUI, and gives the same in both hosts where it runs in both."""

import json
import re
from pathlib import Path

import numpy as np
import pytest
from motion4d.core.formats import load_motion, read_video
from motion4d.core.formats.pictures import read_picture
from motion4d.headless import EXAMPLE_INPUTS, EXAMPLES
from motion4d.headless.cli import main
from motion4d.headless.examples.stock import STOCK
from motion4d.headless.requirements import read_requirements
from motion4d.headless.submit import Server, submit

pytestmark = pytest.mark.comfyui


def by_name(files: list[Path], root: Path) -> dict[tuple[str, int], Path]:
    """Files by name and place among those of that name; their numbers differ where a server has run before."""
    named: dict[tuple[str, int], Path] = {}
    for path in sorted(files):
        name = re.sub(r"_\d{5}_", "", path.relative_to(root).as_posix())
        named[name, sum(known == name for known, _ in named)] = path
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


# Small videos and few steps: what is compared is the way, and the models are tiny anyway.
SMALL = {
    "Motion4D_ConditionVideoOnMotion": {"width": 32, "height": 32},
    "Motion4D_SampleMVDiT": {"steps": 2},
    "Motion4D_SampleLongVideo": {"steps": 2},
    "Motion4D_ReleasedSigmas": {"steps": 2},
    "Motion4D_CompareVideos": {"height": 64},
    "KSampler": {"steps": 2},
    "WanAnimateToVideo": {"width": 48, "height": 64, "length": 9},
    "WanSCAILToVideo": {"width": 64, "height": 96, "length": 9},
}
DRIVEN = {"Motion4D_CutMotion": {"frames": 9}, "Motion4D_TakeVideoFrames": {"max_side": 128}}
MAKERS = ("Motion4D_ConditionVideoOnMotion", "WanAnimateToVideo", "WanSCAILToVideo")


def small(prompt: dict) -> dict:
    """An example that makes a video, changed for a quick run; its pictures are saved too, since video turns the least difference of noise
    into a large one. Those of one that reads a video are saved as well: of a film, encoders keep less than of drawings."""
    if not makes_video(prompt) and not reads_video(prompt):
        return prompt
    size = {"Motion4D_PlaceOrbitCameras": {"width": 96, "height": 96}}
    size |= DRIVEN if any(node["class_type"] in MAKERS[1:] for node in prompt.values()) else {}
    for node in prompt.values() if makes_video(prompt) else ():
        node["inputs"] |= (SMALL | size).get(node["class_type"], {})
    videos = {number: node["inputs"]["images"] for number, node in prompt.items() if node["class_type"] == "CreateVideo"}
    saved = {f"9{number}": {"images": images, "filename_prefix": f"frames/{number}"} for number, images in videos.items()}
    return prompt | {number: {"class_type": "SaveImage", "inputs": inputs} for number, inputs in saved.items()}


def makes_video(prompt: dict) -> bool:
    return any(node["class_type"] in MAKERS for node in prompt.values())


def reads_video(prompt: dict) -> bool:
    return any(node["class_type"] == "LoadVideo" for node in prompt.values())


def assert_same_pictures(ours: list[Path], theirs: list[Path]) -> None:
    assert len(ours) == len(theirs) > 0
    for first, second in zip(sorted(ours), sorted(theirs), strict=True):
        error = (read_picture(first)[0] - read_picture(second)[0]).abs()
        assert error.max() <= 2.5 / 255 and error.mean() < 0.5 / 255, (
            f"{first.name}: {255 * error.max():.0f} of 255, {255 * error.mean():.2f} in the mean"
        )


def test_both_hosts_give_the_same(comfyui, same_folders, example, tmp_path, capsys):
    here, there, workflow = tmp_path / "here", tmp_path / "there", tmp_path / "workflow.json"
    prompt = small(json.loads(example.read_text(encoding="utf-8")))
    workflow.write_text(json.dumps(prompt), encoding="utf-8")
    sent = submit(prompt, Server(comfyui.url), there, folders=[EXAMPLE_INPUTS], poll=0.2, timeout=300)
    assert sent and all(path.stat().st_size > 0 for path in sent)
    foreign = read_requirements(example).nodes
    status = main(["run", str(example if foreign else workflow), "--output", str(here), "--models", str(comfyui.base / "models")])
    told = capsys.readouterr()
    if foreign:
        assert status == 1 and f"only ComfyUI has {', '.join(foreign)}" in told.err and "submit" in told.err
        return
    assert status == 0, told.err
    made = [Path(line) for line in told.out.splitlines()]
    if makes_video(prompt) or reads_video(prompt):
        for number in (name for name, node in prompt.items() if node["class_type"] == "CreateVideo"):
            assert_same_pictures(*([path for path in files if path.match(f"frames/{number}_*.png")] for files in (made, sent)))
        made, sent = ([path for path in files if path.parent.name != "frames"] for files in (made, sent))
    ours, theirs = by_name(made, here), by_name(sent, there)
    assert set(ours) == set(theirs) and ours
    # Before 0.33 ComfyUI encoded other shades (BT.601, untagged): two lossy copies of the same pictures, not the same copy.
    at_least_db = 15 if makes_video(prompt) else 35 if reads_video(prompt) else 40 if comfyui.is_modern else 38
    for name, path in ours.items():
        if path.suffix == ".npz":
            assert_same_arrays(path, theirs[name])
        elif path.suffix == ".png":
            assert_same_pictures([path], [theirs[name]])
        elif path.suffix == ".mp4":
            assert_same_frames(path, theirs[name], at_least_db=at_least_db)
        elif path.suffix == ".bvh":
            first, second = load_motion(path), load_motion(theirs[name])
            np.testing.assert_allclose(first.joints.numpy(), second.joints.numpy(), atol=1e-5)
        else:
            assert path.read_bytes() == theirs[name].read_bytes(), name[0]


def test_comfyuis_sampler_with_the_released_schedule_is_the_released_recipe(comfyui, tmp_path):
    """A plain Wan2.1 with the adapter through SamplerCustomAdvanced, against the whole 17B through Sample MV-DiT."""
    videos = []
    for name in ("mvdit_17b", "mvdit_17b_native"):
        prompt = small(json.loads((EXAMPLES / "api" / f"{name}.json").read_text(encoding="utf-8")))
        sent = submit(prompt, Server(comfyui.url), tmp_path / name, poll=0.2, timeout=300)
        videos.append([path for path in sent if path.match("frames/25_*.png")])
    assert_same_pictures(*videos)


@pytest.mark.parametrize(("name", "video"), [("multi_view_turntable", 22), ("novel_views", 22), ("long_video", 25)])
def test_comfyuis_sampler_in_windows_is_the_released_recipe_in_windows(comfyui, tmp_path, name, video):
    """The windows are on the model: with the same noise and schedule both samplers give the same video."""
    videos = []
    for one in (name, f"{name}_native"):
        prompt = small(json.loads((EXAMPLES / "api" / f"{one}.json").read_text(encoding="utf-8")))
        for node in prompt.values():
            alike = {"Motion4D_SampleMVDiT": {"recipe": "7B DDIM"}, "Motion4D_MultiViewNoise": {"kind": "independent"}}
            node["inputs"] |= alike.get(node["class_type"], {})
        others = ("SaveVideo", "SaveImage", "PreviewImage", "Motion4D_InspectDrift", "Motion4D_InspectConsistency")
        prompt = {number: node for number, node in prompt.items() if number == f"9{video}" or node["class_type"] not in others}
        videos.append(submit(prompt, Server(comfyui.url), tmp_path / one, poll=0.2, timeout=300))
    assert_same_pictures(*videos)


@pytest.mark.parametrize("name", STOCK)
def test_what_examples_believe_of_stock_nodes_is_true(comfyui, name):
    real, ours = comfyui.json(f"/object_info/{name}")[name], STOCK[name]
    assert (ours["output"], ours["output_name"]) == (real["output"], real["output_name"])
    for group in ("required", "optional"):
        given, found = ours["input"].get(group, {}), real["input"].get(group, {})
        assert list(given) == list(found)
        for one, (kind, options) in given.items():
            real_kind, real_options = found[one][0], found[one][1] if len(found[one]) > 1 else {}
            choices = real_kind if isinstance(real_kind, list) else real_options.get("options", [])
            assert kind == ("COMBO" if isinstance(real_kind, list) else real_kind), one
            assert set(options.get("options", [])) <= set(choices), one
            assert all(real_options.get(key) == value for key, value in options.items() if key != "options"), one

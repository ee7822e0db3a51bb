"""The ground of the scripts that measure inside ComfyUI's Python, and print what they found as one line of JSON.

Usage of each: SCRIPT FOLDER_OF_COMFYUI FOLDER_OF_THE_PACK FOLDER_TO_WORK_IN. Importing this makes ComfyUI and the pack importable.
"""

# ruff: noqa: E402, TID251 - ComfyUI's own modules, importable once its folder and its arguments are set

import importlib.util
import json
import sys
import traceback
from pathlib import Path

COMFYUI, PACK, WORK = (Path(argument).resolve() for argument in sys.argv[1:4])
sys.path.insert(0, str(COMFYUI))
sys.argv = [sys.argv[0], "--cpu", "--base-directory", str(WORK)]

import comfy.options

comfy.options.enable_args_parsing()

import torch

spec = importlib.util.spec_from_file_location("motion4d", PACK / "__init__.py", submodule_search_locations=[str(PACK)])
sys.modules["motion4d"] = importlib.util.module_from_spec(spec)
spec.loader.exec_module(sys.modules["motion4d"])

from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint, tiny_metadata
from motion4d.headless.host import HeadlessHost
from motion4d.nodes.host import current
from safetensors.torch import save_file

SEED, SIDE = 7, 4
HERE = current()
THERE = HeadlessHost(inputs=[WORK], output=WORK, models=[WORK / "models"], quiet=True)
POSITIONS = load_spec("4dmot").statistics["mean_mm"]
_CASES, _MODELS = {}, {}


def case(function):
    """A measurement; it answers with a table of numbers, words and truths."""
    _CASES[function.__name__] = function
    return function


def file_of(name: str) -> Path:
    """A tiny checkpoint of a spec."""
    path = WORK / f"{name}.safetensors"
    if not path.exists():
        tensors = {key: value.contiguous() for key, value in tiny_checkpoint(load_spec(name)).items()}
        save_file(tensors, path, metadata=tiny_metadata(load_spec(name)))
    return path


def model(name: str):
    """A MODEL, loaded once."""
    if name not in _MODELS:
        _MODELS[name] = HERE.load_video_model(file_of(name), precision="as stored")
    return _MODELS[name]


def difference(first, second) -> float:
    return float((first - second).abs().max())


def message(call) -> str:
    """What a refused call says."""
    try:
        call()
    except ValueError as error:
        return str(error)
    return "accepted"


def measure() -> None:
    """Run all cases."""
    torch.set_num_threads(1)
    found = {}
    with torch.inference_mode():
        for name, function in _CASES.items():
            try:
                found[name] = function()
            except Exception:
                found[name] = {"error": traceback.format_exc()}
    print(json.dumps(found))

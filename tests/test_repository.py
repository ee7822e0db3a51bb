"""The repository keeps its own rules: packaging, layers, cheap imports, help for every node."""

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
CARD = {
    "torch", "diffusers", "transformers", "smplx", "einops", "safetensors", "opencv-python", "numpy", "accelerate", "comfyui-frontend-package",
}  # fmt: skip
LAYERS = [
    "metrics",
    "cues",
    "estimators",
    "formats",
    "maps",
    "body",
    "geometry",
    "skeletons",
    "types",
    "shapes",
    "wording",
]  # each may import those to its right
HEAVY = {"diffusers", "transformers", "scipy", "cv2", "av", "accelerate", "smplx"}


def sources(folder: str) -> list[Path]:
    return sorted((ROOT / folder).rglob("*.py"))


def test_every_package_folder_is_listed_for_installation():
    folders = {"motion4d"} | {
        "motion4d." + ".".join(path.parent.relative_to(ROOT).parts)
        for path in ROOT.rglob("__init__.py")
        if path.parent != ROOT and not any(part.startswith(".") or part in {"tests", "build"} for part in path.relative_to(ROOT).parts)
    }
    assert folders == set(PROJECT["tool"]["setuptools"]["packages"])


def test_requirements_are_the_packages_of_the_card_as_ranges():
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    assert {re.split(r"[<>=!~]", line)[0] for line in lines} == CARD
    assert all(">=" in line and "==" not in line for line in lines)


def test_the_headless_extra_brings_the_card_with_the_display_free_opencv():
    names = {
        re.split(r"[<>=!~]", line)[0]
        for line in PROJECT["project"]["optional-dependencies"]["headless"] + PROJECT["project"]["dependencies"]
    }
    assert CARD - {"opencv-python", "comfyui-frontend-package"} | {"opencv-python-headless"} <= names


def imported_parts(path: Path) -> list[tuple[int, str]]:
    """(level, module) of every import statement of a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom):
            found.append((node.level, node.module or ""))
        elif isinstance(node, ast.Import):
            found += [(0, alias.name) for alias in node.names]
    return found


@pytest.mark.parametrize("path", sources("core"), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_core_imports_only_downwards(path):
    inside = path.relative_to(ROOT / "core").with_suffix("").parts
    own = inside[0]
    for level, module in imported_parts(path):
        if level == 0:
            assert module.split(".")[0] not in {"comfy", "comfy_api", "folder_paths", "nodes", "headless", "motion4d"}
            continue
        base = inside[: len(inside) - level]
        target = (*base, *module.split("."))[0] if module else (base[0] if base else "")
        if own in LAYERS and target in LAYERS and target != own:
            assert LAYERS.index(target) > LAYERS.index(own), f"{own} imports {target}"
        assert not (own == "networks" and target in LAYERS[: LAYERS.index("skeletons")]), "networks know neither files nor bodies"
        assert not (own == "sampling" and target == "networks"), "sampling knows no network"
        assert level <= len(inside), "core imports from outside core"


def test_importing_the_library_loads_nothing_heavy():
    modules = [
        ".".join(("motion4d", *path.relative_to(ROOT).with_suffix("").parts)) for path in sources("core") if path.name != "__init__.py"
    ]
    code = f"import sys, importlib\nfor m in {modules!r}: importlib.import_module(m)\nprint([m for m in {sorted(HEAVY)!r} if m in sys.modules])"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent)
    assert answer.returncode == 0, answer.stderr
    assert answer.stdout.strip() == "[]"


def test_the_pack_itself_imports_nothing_until_it_is_asked_for_its_nodes():
    code = "import sys; before = set(sys.modules); import motion4d; print(sorted(m for m in set(sys.modules) - before if m.startswith('torch')))"
    answer = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=ROOT.parent, check=True)
    assert answer.stdout.strip() == "[]"

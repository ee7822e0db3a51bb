"""The real ComfyUI as a subprocess with folders of its own: COMFYUI_DIR names its folder, COMFYUI_PYTHON a Python that runs it."""

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path

import pytest
from motion4d.headless import EXAMPLE_INPUTS, EXAMPLES
from motion4d.headless.host import HeadlessHost
from motion4d.headless.tiny_models import write_tiny_models
from motion4d.nodes import host as door

REPOSITORY = Path(__file__).resolve().parents[2]
BOOT_SECONDS = 180


@dataclass
class ComfyUI:
    """A running server. base: its base directory, with input, output, models and custom_nodes below it."""

    url: str
    base: Path

    @property
    def is_modern(self) -> bool:
        """Whether it is ComfyUI 0.33 or later, whose core nodes the stand-ins and the example graphs follow."""
        version = self.json("/system_stats")["system"]["comfyui_version"]
        return tuple(int(part) for part in version.split(".")[:2]) >= (0, 33)

    def json(self, path: str):
        with urllib.request.urlopen(self.url + path, timeout=60) as answer:
            return json.load(answer)


@pytest.fixture(scope="session")
def comfy_folder() -> Path:
    """The folder of ComfyUI; skips where there is none."""
    if not os.environ.get("COMFYUI_DIR"):
        pytest.skip("ComfyUI is not here: set COMFYUI_DIR to its folder and COMFYUI_PYTHON to a Python that runs it")
    return Path(os.environ["COMFYUI_DIR"]).resolve()


@pytest.fixture(scope="session")
def comfy_python() -> str:
    """The Python that runs ComfyUI."""
    return os.environ.get("COMFYUI_PYTHON") or sys.executable


@pytest.fixture(scope="module")
def measured(request, comfy_folder, comfy_python, tmp_path_factory) -> dict:
    """What the script SCRIPT of the test's module measured inside ComfyUI without a server, by the name of the measurement."""
    script, work = request.module.SCRIPT, tmp_path_factory.mktemp("inside")
    command = [comfy_python, str(REPOSITORY / "tests" / "comfyui" / script), str(comfy_folder), str(REPOSITORY), str(work)]
    done = subprocess.run(command, cwd=work, capture_output=True, text=True, timeout=600, env=os.environ | {"OMP_NUM_THREADS": "1"})
    assert done.returncode == 0, done.stderr[-4000:]
    return json.loads(done.stdout.strip().splitlines()[-1])


@pytest.fixture
def found(measured, request) -> dict:
    """The measurement that a test is named after."""
    result = measured[request.node.name.removeprefix("test_")]
    assert "error" not in result, result["error"]
    return result


@pytest.fixture(scope="session")
def comfyui(comfy_folder, comfy_python, tmp_path_factory) -> ComfyUI:
    """One server for the whole session, with the pack linked in and tiny models."""
    base = tmp_path_factory.mktemp("comfyui")
    for name in ("custom_nodes", "user", "input", "output", "models"):
        (base / name).mkdir()
    (base / "custom_nodes" / "Motion-4D.pack").symlink_to(REPOSITORY, target_is_directory=True)
    write_tiny_models(base / "models")
    port = _free_port()
    command = [comfy_python, "main.py", "--cpu", "--listen", "127.0.0.1", "--port", str(port), "--base-directory", str(base)]
    command += ["--database-url", f"sqlite:///{base / 'user' / 'comfyui.db'}", "--disable-api-nodes"]
    log = base / "comfyui.log"
    with log.open("wb") as sink:
        process = subprocess.Popen(command, cwd=comfy_folder, stdout=sink, stderr=subprocess.STDOUT)
    server = ComfyUI(f"http://127.0.0.1:{port}", base)
    try:
        _wait(server, process, log)
        yield server
    finally:
        process.terminate()
        try:
            process.wait(20)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


@pytest.fixture
def same_folders(comfyui, tmp_path, monkeypatch) -> HeadlessHost:
    """A headless host that reads the same inputs and models as the server."""
    ours = HeadlessHost(
        inputs=[comfyui.base / "input", EXAMPLE_INPUTS], output=tmp_path / "output", models=[comfyui.base / "models"], quiet=True
    )
    ours.output.mkdir()
    monkeypatch.setattr(door, "_announced", ours)
    return ours


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def _wait(server: ComfyUI, process: subprocess.Popen, log: Path) -> None:
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        if process.poll() is not None:
            break
        try:
            server.json("/system_stats")
            return
        except (urllib.error.URLError, ConnectionError, TimeoutError):
            time.sleep(0.3)
    tail = log.read_text(errors="replace")[-4000:]
    pytest.fail(f"ComfyUI did not answer within {BOOT_SECONDS} s (exit status {process.poll()}):\n{tail}")


def pytest_generate_tests(metafunc):
    if "example" in metafunc.fixturenames:
        paths = sorted(EXAMPLES.glob("api/*.json"))
        metafunc.parametrize("example", paths, ids=[path.stem for path in paths])

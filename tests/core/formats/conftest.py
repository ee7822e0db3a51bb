"""What every hostile file and every written GLB is measured by."""

import os
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from motion4d.core.formats import load_motion

REPOSITORY = Path(__file__).resolve().parents[3]
SECONDS = 2.0  # of this process, whatever else the machine does
BYTES = 160 << 20


@pytest.fixture
def refused(tmp_path):
    """refused(data, name, match): reading these bytes raises a ValueError that names the file, soon and without much memory."""

    def check(data: bytes, name: str, match: str | None = None) -> str:
        path = tmp_path / name
        path.write_bytes(data)
        start = time.process_time()
        with pytest.raises(ValueError, match=match):
            load_motion(path)
        seconds = time.process_time() - start
        # Measured apart: tracing makes everything several times slower.
        tracemalloc.start()
        try:
            with pytest.raises(ValueError) as caught:
                load_motion(path)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert name in str(caught.value)
        assert seconds < SECONDS, f"{seconds:.2f} s"
        assert peak < BYTES, f"{peak / 2**20:.0f} MiB"
        return str(caught.value)

    return check


@pytest.fixture
def validate():
    """Runs the Khronos validator over files; any error or warning fails."""
    folder = os.environ.get("GLTF_VALIDATOR_DIR")
    if not folder:
        reason = "GLTF_VALIDATOR_DIR is not set: npm install gltf-validator in a folder and name it there"
        (pytest.fail if os.environ.get("MOTION4D_REQUIRE_VALIDATOR") else pytest.skip)(reason)

    def run(*files):
        return subprocess.run(
            ["node", str(REPOSITORY / ".ci" / "validate_glb.mjs"), *map(str, files)], capture_output=True, text=True, check=False
        )

    return run

"""What every hostile file and every written GLB is measured by."""

import copy
import os
import subprocess
import time
import tracemalloc
from pathlib import Path

import pytest
from hypothesis import strategies as st
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


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.integers(-3, 200)
    | st.floats()
    | st.text(max_size=5)
    | st.sampled_from([10**12, 10**40, 5126, "VEC3"]),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(
                ["count", "bufferView", "indices", "values", "name", "index", "POSITION", "node", "source", "extensions", "uri"]
            ),
            inner,
            max_size=3,
        )
    ),
    max_leaves=6,
)


@pytest.fixture
def change():
    """change(data, document): a copy in which one to three entries, anywhere, are something else."""

    def spots(item, trail=()):
        pairs = item.items() if isinstance(item, dict) else enumerate(item) if isinstance(item, list) else ()
        for key, value in pairs:
            yield (*trail, key)
            yield from spots(value, (*trail, key))

    def changed(data, document):
        document = copy.deepcopy(document)
        for _ in range(data.draw(st.integers(1, 3))):
            trail = data.draw(st.sampled_from(list(spots(document))))
            item = document
            for key in trail[:-1]:
                item = item[key]
            item[trail[-1]] = data.draw(JSON)
        return document

    return changed

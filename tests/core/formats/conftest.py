"""What every hostile file is measured by."""

import time
import tracemalloc

import pytest
from motion4d.core.formats import load_motion

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

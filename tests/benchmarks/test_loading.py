"""The benchmark's bounds hold for a small file, too."""

import sys

import pytest
from motion4d.benchmarks.loading import main, own_growth, peak_growth, write_model
from motion4d.benchmarks.measures import in_new_process

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="reads its memory from /proc")


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "model.safetensors"
    size = write_model(path, 0.26, heads=16)
    yield path, size
    path.unlink()


def test_a_model_as_stored_is_held_once_and_is_the_file_s_own_pages(model):
    path, size = model
    assert 0.2e9 < size < 0.3e9
    assert in_new_process(peak_growth, str(path), "as stored") < 1.15 * size
    assert in_new_process(own_growth, str(path), "as stored") < 0.1 * size


def test_it_prints_what_it_measures(capsys, tmp_path):
    main(["--gigabytes", "0.01", "--heads", "4", "--forms", "pt", "--precisions", "as stored", "--folder", str(tmp_path)])
    printed = capsys.readouterr().out
    assert "as stored" in printed and "x the file; of its own" in printed and list(tmp_path.iterdir()) == []

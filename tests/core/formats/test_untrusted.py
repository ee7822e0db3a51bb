from pathlib import Path

import pytest
from motion4d.core.formats.untrusted import confined


def test_names_below_the_folder_are_paths(tmp_path):
    assert confined(tmp_path, "deep/er/a.npz") == tmp_path.resolve() / "deep" / "er" / "a.npz"
    assert confined(tmp_path, "deep/../a.npz") == tmp_path.resolve() / "a.npz"


def test_names_that_lead_out_are_refused(tmp_path):
    (tmp_path / "inside").mkdir()
    (tmp_path / "inside" / "link").symlink_to(tmp_path)
    for name in ("../a.npz", "deep/../../a.npz", "link/a.npz"):
        with pytest.raises(ValueError, match="leads out of the folder"):
            confined(tmp_path / "inside", name)


@pytest.mark.parametrize("name", ["//host/share/x", r"\\host\share\x", "C:x", r"C:\x", "c:/x", r"\x", "/x", r"\\?\C:\x"])
def test_a_drive_a_host_or_a_root_is_refused_before_anything_looks_at_it(tmp_path, monkeypatch, name):
    def touched(path, *_, **__):
        raise AssertionError(f"{path} was looked at")

    monkeypatch.setattr(Path, "resolve", touched)
    with pytest.raises(ValueError, match="leads out of the folder"):
        confined(tmp_path, name)

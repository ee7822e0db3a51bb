"""A file appears complete or not at all."""

import pytest
from motion4d.core.formats.atomic import replacing


def test_the_file_takes_its_place_when_complete(tmp_path):
    target = tmp_path / "new" / "folder" / "clip.npz"
    with replacing(target) as temporary:
        temporary.write_bytes(b"done")
        assert temporary.suffix == ".npz" and temporary.parent == target.parent and not target.exists()
    assert target.read_bytes() == b"done"
    assert list(target.parent.iterdir()) == [target]


def test_a_failed_write_keeps_the_old_file_and_leaves_nothing_else(tmp_path):
    target = tmp_path / "clip.bvh"
    target.write_text("old")

    def fail():
        with replacing(target) as temporary:
            temporary.write_text("half")
            raise RuntimeError("disk")

    with pytest.raises(RuntimeError, match="disk"):
        fail()
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]

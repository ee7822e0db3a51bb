"""Every form of a checkpoint reads back as the same tensors, without running anything in it and without a copy; malformed files are refused."""

import io
import pickle
import zipfile

import pytest
import torch
from motion4d.core.checkpoints import read_checkpoint


class _Code:
    def __reduce__(self):
        return (print, ("executed",))


def _archive(compression, name="data.pkl", content=b"\x80\x02}."):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        archive.writestr(f"x/{name}", content)
    return buffer.getvalue()


def _saved(value):
    buffer = io.BytesIO()
    torch.save(value, buffer)
    return buffer.getvalue()


MALFORMED = {
    "empty.pt": b"",
    "text.pt": b"not a checkpoint",
    "memo.pt": b"\x80\x02r\xff\xff\xff\x7f.",
    "plain_pickle.pt": pickle.dumps({"a": 1}),
    "code.pt": _saved({"module": _Code()}),
    "bomb.pt": _archive(zipfile.ZIP_DEFLATED, content=b"0" * 10_000_000),
    "no_data.pt": _archive(zipfile.ZIP_STORED, name="other"),
    "truncated.pt": _saved({"a": torch.zeros(1000)})[:-500],
    "numbers.pt": _saved({"a": 1}),
    "list.pt": _saved([torch.zeros(1)]),
    "nothing.pt": _saved({}),
    "keys.pt": _saved({1: torch.zeros(1)}),
    "empty.safetensors": b"",
    "header.safetensors": (2**62).to_bytes(8, "little") + b"{}",
    "json.safetensors": (4).to_bytes(8, "little") + b"{{{{",
    "beyond.safetensors": (67).to_bytes(8, "little") + b'{"a":{"dtype":"F32","shape":[1000000],"data_offsets":[0,4000000]}}  ',
}


@pytest.mark.parametrize("name", MALFORMED)
def test_malformed_files_are_refused_without_running_them(tmp_path, capsys, name):
    path = tmp_path / name
    path.write_bytes(MALFORMED[name])
    with pytest.raises(ValueError, match=name.replace(".", r"\.")):
        read_checkpoint(path)
    assert "executed" not in capsys.readouterr().out


def test_missing_files_and_other_endings(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere"):
        read_checkpoint(tmp_path / "nowhere.pt")
    (tmp_path / "model.bin").write_bytes(b"")
    with pytest.raises(ValueError, match="safetensors"):
        read_checkpoint(tmp_path / "model.bin")

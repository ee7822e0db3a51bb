"""Every form of a checkpoint reads back as the same tensors, without running anything in it and without a copy; malformed files are refused."""

import io
import json
import pickle
import subprocess
import sys
import zipfile

import pytest
import torch
from motion4d.core.checkpoints import check_finite, read_checkpoint, read_metadata, shard_names
from safetensors.torch import save_file

SAMPLE = {"a.weight": torch.arange(6.0).reshape(2, 3), "a.bias": torch.ones(2), "b.modulation": torch.full((1, 2), 0.5)}


def same(found, expected):
    assert set(found) == set(expected)
    for key, value in expected.items():
        assert found[key].dtype == value.dtype and torch.equal(found[key], value), key


# --- forms ---


@pytest.mark.parametrize("prefix", ["", "diffusion_model.", "model.diffusion_model."])
@pytest.mark.parametrize("name", ["one.safetensors", "one.pt", "deepspeed.pth"])
def test_every_form_is_the_same_checkpoint(tmp_path, name, prefix):
    state, path = {f"{prefix}{key}": value for key, value in SAMPLE.items()}, tmp_path / name
    if name.endswith(".safetensors"):
        save_file(state, path)
    else:
        torch.save({"module": state, "optimizer": None} if name.startswith("deepspeed") else state, path)
    same(read_checkpoint(path), SAMPLE)


def test_a_prefix_that_only_some_names_have_is_part_of_them(tmp_path):
    state = {"diffusion_model.a": torch.ones(1), "b": torch.ones(1)}
    save_file(state, tmp_path / "some.safetensors")
    same(read_checkpoint(tmp_path / "some.safetensors"), state)


@pytest.mark.parametrize("end", ["lora_down.weight", "lora_A.weight", "diff_b", "diff"])
def test_the_names_of_a_lora_keep_their_prefix(tmp_path, end):
    state = {f"diffusion_model.blocks.0.self_attn.q.{end}": torch.ones(2)}
    save_file(state, tmp_path / "lora.safetensors")
    same(read_checkpoint(tmp_path / "lora.safetensors"), state)


def write_shards(folder, **metadata):
    """One tensor in each of three files, and their index."""
    names = [f"diffusion_pytorch_model-{number:05}-of-00003.safetensors" for number in (1, 2, 3)]
    placed = dict(zip(SAMPLE, names, strict=True))
    for key, name in placed.items():
        save_file({key: SAMPLE[key]}, folder / name, metadata=metadata or None)
    index = folder / "diffusion_pytorch_model.safetensors.index.json"
    index.write_text(json.dumps({"metadata": {"total_size": 40}, "weight_map": placed}))
    return index, names


def test_shards_are_one_checkpoint_by_index_by_folder_and_by_each_of_them(tmp_path):
    index, names = write_shards(tmp_path)
    for path in (index, tmp_path, *(tmp_path / name for name in names)):
        same(read_checkpoint(path), SAMPLE)
    index.unlink()
    for path in (tmp_path, tmp_path / names[1]):
        same(read_checkpoint(path), SAMPLE)


def test_a_folder_may_hold_a_single_file_beside_other_things(tmp_path):
    save_file(SAMPLE, tmp_path / "model.safetensors")
    (tmp_path / "config.json").write_text("{}")
    same(read_checkpoint(tmp_path), SAMPLE)


@pytest.mark.parametrize(("names", "message"), [((), "holds 0 checkpoints"), (("a", "b"), "holds 2 checkpoints .a.safetensors, b.safe")])
def test_a_folder_must_hold_one_checkpoint(tmp_path, names, message):
    for name in names:
        save_file(SAMPLE, tmp_path / f"{name}.safetensors")
    with pytest.raises(ValueError, match=message):
        read_checkpoint(tmp_path)


def test_a_missing_shard_is_named(tmp_path):
    index, names = write_shards(tmp_path)
    (tmp_path / names[1]).unlink()
    for path in (index, tmp_path / names[0], tmp_path):
        with pytest.raises(FileNotFoundError, match=r"00002-of-00003\.safetensors is not in"):
            read_checkpoint(path)


def test_shards_with_the_same_tensor_are_refused(tmp_path):
    _, names = write_shards(tmp_path)
    save_file(SAMPLE, tmp_path / names[2])
    with pytest.raises(ValueError, match="another file of the checkpoint has as well"):
        read_checkpoint(tmp_path)


INDICES = {
    "outside": '{"weight_map": {"a": "../secret.safetensors"}}',
    "absolute": '{"weight_map": {"a": "/etc/secret.safetensors"}}',
    "other": '{"weight_map": {"a": "secret.pt"}}',
    "number": '{"weight_map": {"a": 7}}',
    "none": '{"weight_map": {}}',
    "list": "[1, 2]",
    "text": "not json",
    "deep": "[" * 100_000,
}


@pytest.mark.parametrize("name", INDICES)
def test_broken_indices_are_refused(tmp_path, name):
    (tmp_path / "inside").mkdir()
    save_file(SAMPLE, tmp_path / "secret.safetensors")
    path = tmp_path / "inside" / "model.safetensors.index.json"
    path.write_text(INDICES[name])
    with pytest.raises(ValueError, match=r"index of a checkpoint|leads out of the folder"):
        read_checkpoint(path)


def test_names_of_shards():
    assert shard_names("a.safetensors") == ["a.safetensors"]
    assert shard_names("a-00002-of-00002.safetensors") == ["a-00001-of-00002.safetensors", "a-00002-of-00002.safetensors"]
    with pytest.raises(ValueError, match="file 3 of 2"):
        shard_names("a-00003-of-00002.safetensors")


# --- metadata ---


def test_metadata_is_read_of_all_files(tmp_path):
    save_file(SAMPLE, tmp_path / "a.safetensors", metadata={"motion4d.motion_dim": "64"})
    torch.save(SAMPLE, tmp_path / "a.pt")
    save_file(SAMPLE, tmp_path / "plain.safetensors")
    assert read_metadata(tmp_path / "a.safetensors") == {"motion4d.motion_dim": "64"}
    assert read_metadata(tmp_path / "a.pt") == read_metadata(tmp_path / "plain.safetensors") == {}
    (tmp_path / "shards").mkdir()
    write_shards(tmp_path / "shards", said="once")
    assert read_metadata(tmp_path / "shards") == {"said": "once"}


@pytest.mark.parametrize(
    "content", [b"", (2**62).to_bytes(8, "little"), (4).to_bytes(8, "little") + b"{{{{", (2).to_bytes(8, "little") + b"[]"]
)
def test_metadata_of_malformed_files(tmp_path, content):
    path = tmp_path / "broken.safetensors"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"broken\.safetensors"):
        read_metadata(path)


# --- values ---


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16, torch.float16, torch.float8_e4m3fn, torch.float8_e5m2])
def test_every_value_that_is_not_finite_is_found_wherever_it_is(dtype, generator):
    good = (torch.randn(3000, generator=generator) * 20).to(dtype)
    good[7] = torch.finfo(dtype).max
    good[8] = torch.finfo(dtype).min
    check_finite({"good": good, "empty": torch.empty(0, dtype=dtype), "scalar": good[0]}, "file")
    values = [torch.nan] if dtype == torch.float8_e4m3fn else [torch.nan, torch.inf, -torch.inf]
    for value in values:
        for place in (0, 1, 1500, 2998, 2999):
            bad = good.clone()
            bad[place] = value
            with pytest.raises(ValueError, match="file has NaN or infinite values in bad: download"):
                check_finite({"good": good, "bad": bad.reshape(50, 60)}, "file")
    if dtype in (torch.float8_e4m3fn, torch.float8_e5m2):
        negative = good.clone()
        negative.view(torch.uint8)[5] = 0xFF
        with pytest.raises(ValueError, match="bad"):
            check_finite({"bad": negative}, "file")


def test_whole_numbers_are_always_finite():
    check_finite({"indices": torch.tensor([2**62]), "flags": torch.tensor([True])}, "file")


# --- memory ---

MEMORY = r"""
import re, sys
import torch
from motion4d.core.checkpoints import check_finite, read_checkpoint

def peak():
    return int(re.search(r"VmHWM:\s+(\d+) kB", open("/proc/self/status").read())[1]) * 1024

torch.ones(1000).aminmax()
before = peak()
check_finite(read_checkpoint(sys.argv[1]), "file")
print(peak() - before)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="reads the peak of its memory from /proc")
@pytest.mark.parametrize("name", ["big.safetensors", "big.pt"])
def test_reading_a_file_takes_no_second_copy_of_it(tmp_path, generator, name):
    """The pages of the file that are mapped count as well: all of it once, and little more."""
    numbers = torch.randn(1 << 22, generator=generator).bfloat16()
    tensors = {str(number): numbers.clone() for number in range(32)}  # 256 MiB
    path = tmp_path / name
    if name.endswith("safetensors"):
        save_file(tensors, path)
    else:
        torch.save({"module": tensors}, path)
    answer = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
    path.unlink()
    assert int(answer.stdout) < 1.15 * 32 * numbers.nbytes


# --- malformed files ---


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

"""Pickles: everything that plain pickles of arrays hold comes back; nothing else does, and nothing runs."""

import collections
import io
import os
import pickle
import struct
import time
import zipfile

import numpy as np
import pytest
import torch
from motion4d.core.formats.pickled_arrays import Pickled
from motion4d.core.formats.pickles import MAX_STEPS, read_pickle


def opened(value):
    """Arrays instead of their stand-ins, all the way down."""
    if isinstance(value, Pickled):
        return value.array()
    if isinstance(value, dict):
        return {key: opened(part) for key, part in value.items()}
    if isinstance(value, (list, tuple)):
        return type(value)(opened(part) for part in value)
    return value


def assert_same(read, written):
    if isinstance(written, torch.Tensor):
        assert np.array_equal(read, written.float().numpy() if written.dtype is torch.bfloat16 else written.numpy())
    elif isinstance(written, np.ndarray):
        assert read.dtype == written.dtype and np.array_equal(read, written)
    elif isinstance(written, dict):
        assert list(read) == list(written)
        for key in written:
            assert_same(read[key], written[key])
    elif isinstance(written, (list, tuple)):
        assert type(read) is type(written) and len(read) == len(written)
        for one, other in zip(read, written, strict=True):
            assert_same(one, other)
    else:
        assert type(read) is type(written) and read == written


VALUES = {
    "numbers": [
        0,
        1,
        -1,
        255,
        65536,
        -(2**40),
        2**80,
        0.5,
        True,
        False,
        None,
        "text",
        "naïve 舞",
        b"bytes",
        (),
        (1,),
        (1, 2),
        (1, 2, 3),
        (1, 2, 3, 4),
    ],
    "numpy": [
        np.arange(6.0).reshape(2, 3),
        np.arange(6, dtype=np.int16).reshape(2, 3).T,
        np.zeros((0, 24, 3), np.float32),
        np.array([True, False]),
    ],
    "big endian": np.arange(4, dtype=">i4"),
    "text array": np.array("female"),
    "torch": [
        torch.randn(2, 24, 3),
        torch.arange(12).reshape(3, 4).T[1:],
        torch.zeros(0, 24, 3),
        torch.randn(5).half(),
        torch.randn(5).bfloat16(),
    ],
    "expanded": torch.randn(1, 10).expand(7, 10),
    "ordered": collections.OrderedDict(b=1, a=[2]),
}


@pytest.mark.parametrize("protocol", range(pickle.HIGHEST_PROTOCOL + 1))
def test_plain_pickles_come_back(protocol):
    assert_same(opened(read_pickle(pickle.dumps(VALUES, protocol))), {**VALUES, "ordered": dict(VALUES["ordered"])})


@pytest.mark.parametrize("zipped", [True, False])
def test_torch_files_come_back(zipped):
    file = io.BytesIO()
    torch.save(VALUES, file, _use_new_zipfile_serialization=zipped)
    assert_same(opened(read_pickle(file.getvalue())), {**VALUES, "ordered": dict(VALUES["ordered"])})


def test_scalars_of_numpy_become_numbers():
    assert read_pickle(pickle.dumps([np.float32(1.5), np.int64(-3), np.bool_(True)])) == [1.5, -3, True]


def test_tensors_that_share_a_storage_share_it_still():
    whole = torch.arange(10.0)
    file = io.BytesIO()
    torch.save([whole[:5], whole[5:]], file)
    first, second = opened(read_pickle(file.getvalue()))
    assert np.array_equal(np.concatenate([first, second]), whole.numpy())


@pytest.mark.parametrize("device", ["cuda:0", "cuda:7", "mps", "xpu:1"])
@pytest.mark.parametrize("zipped", [True, False])
def test_tensors_of_any_device_are_read_without_it(device, zipped):
    written = torch.randn(3, 4)
    file = io.BytesIO()
    torch.save(written, file, _use_new_zipfile_serialization=zipped)
    data, name = file.getvalue(), device.encode()
    cpu = b"X" + struct.pack("<I", 3) + b"cpu"
    moved = b"X" + struct.pack("<I", len(name)) + name
    if zipped:
        source, target = zipfile.ZipFile(io.BytesIO(data)), io.BytesIO()
        with zipfile.ZipFile(target, "w") as archive:
            for member in source.namelist():
                archive.writestr(member, source.read(member).replace(cpu, moved))
        data = target.getvalue()
    else:
        data = data.replace(cpu, moved)
    assert moved in data
    assert np.array_equal(read_pickle(data).array(), written.numpy())


def chumpy_pickle(array: np.ndarray) -> bytes:
    """What `pickle.dumps(chumpy.Ch(array), 2)` writes: an instance without __init__, then its attributes."""
    state = pickle.dumps({"x": array, "_dirty_vars": []}, 2)[2:-1]
    return b"\x80\x02cchumpy.ch\nCh\n)\x81" + state + b"b."


def test_chumpy_arrays_are_read_without_chumpy():
    array = np.linspace(0, 1, 30).reshape(10, 3)
    assert np.array_equal(read_pickle(chumpy_pickle(array)).array(), array)


def test_old_chumpy_arrays_are_read_without_chumpy():
    array = np.arange(3.0)
    state = pickle.dumps({"x": array}, 0)[:-1]
    # Memo numbers of the state must not collide with those of the instance.
    data = b"ccopy_reg\n_reconstructor\n(cchumpy.ch\nCh\nc__builtin__\nobject\nNtR" + state + b"b."
    assert np.array_equal(read_pickle(data).array(), array)


class Attack:
    def __init__(self, call, *arguments):
        self.call, self.arguments = call, arguments

    def __reduce__(self):
        return self.call, self.arguments


@pytest.mark.parametrize("protocol", range(6))
@pytest.mark.parametrize("call", [os.system, eval, exec, __import__, getattr, open])
def test_code_in_a_pickle_is_named_and_not_run(refused, tmp_path, protocol, call):
    trace = tmp_path / "ran"
    arguments = {os.system: (f"touch {trace}",), open: (str(trace), "w"), getattr: (os, "system") if protocol > 9 else ("", "join")}
    data = pickle.dumps({"pose": Attack(call, *arguments.get(call, (f"open({str(trace)!r}, 'w')",)))}, protocol)
    message = refused(data, "evil.pkl", "was not run")
    assert call.__name__ in message and not trace.exists()


def test_code_inside_a_torch_stream_is_not_run(refused, tmp_path):
    trace = tmp_path / "ran"
    inner = pickle.dumps(Attack(os.system, f"touch {trace}"), 2)
    data = b"\x80\x02ctorch.storage\n_load_from_bytes\n" + pickle.dumps((inner,), 4)[2:-1].replace(b"\x95", b"\x95") + b"R."
    refused(data, "evil.pt", "was not run")
    file = io.BytesIO()
    torch.save({"a": torch.zeros(2), "b": Attack(os.system, f"touch {trace}")}, file)
    refused(file.getvalue(), "evil.pth", "was not run")
    assert not trace.exists()


def global_(module: str, name: str) -> bytes:
    return f"c{module}\n{name}\n".encode()


def short(number: int) -> bytes:
    return b"\x8a\x08" + struct.pack("<q", number)


ARRAY = global_("numpy.core.multiarray", "_reconstruct") + global_("numpy", "ndarray") + b"K\x00\x85C\x01b\x87R"
FLOAT = global_("numpy", "dtype") + b"\x8c\x02f4\x89\x88\x87R"
NESTED_LISTS = b"\x80\x02" + b"]" * 200_000 + b"a" * 199_999 + b"."


def built_array(shape: bytes, data: bytes, dtype: bytes = FLOAT) -> bytes:
    return b"\x80\x04" + ARRAY + b"(K\x01" + shape + dtype + b"\x89" + data + b"tb."


def tensor(storage_count: int, offset: bytes, size: bytes, stride: bytes) -> bytes:
    """A legacy torch stream of one tensor whose storage has `storage_count` floats."""
    head = b"".join(pickle.dumps(part, 2) for part in (0x1950A86A20F9469CFC6C, 1001, {"little_endian": True}))
    identity = b"(\x8c\x07storage" + global_("torch", "FloatStorage") + b"\x8c\x010\x8c\x03cpu" + short(storage_count) + b"NtQ"
    value = b"\x80\x02" + global_("torch._utils", "_rebuild_tensor_v2") + b"(" + identity + offset + size + stride + b"\x89}tR."
    return head + value + pickle.dumps(["0"], 2) + struct.pack("<q", storage_count) + bytes(16)


HOSTILE = {
    "memo of 2**31 in nine bytes": (b"\x80\x02Nr\xff\xff\xff\x7f.", "no motion|malicious"),
    "memo of text": (b"\x80\x02Np99999999999999\n.", "malicious|damaged"),
    "negative memo": (b"\x80\x02Np-1\n.", "malicious|damaged"),
    "unknown memo": (b"\x80\x02h\x05.", "damaged"),
    "bytes of 2**62": (b"\x80\x04\x8e" + struct.pack("<Q", 1 << 62) + b"abc.", None),
    "text of 2**62": (b"\x80\x04\x8d" + struct.pack("<Q", 1 << 62) + b"abc.", None),
    "bytearray of 2**62": (b"\x80\x05\x96" + struct.pack("<Q", 1 << 62) + b"abc.", None),
    "frame of 2**62": (b"\x80\x04\x95" + struct.pack("<Q", 1 << 62) + b"N.", "cut short"),
    "number of 2**31 bytes": (b"\x80\x02\x8b\xff\xff\xff\x7f\x01.", None),
    "negative length": (b"\x80\x02T\xff\xff\xff\xffab.", None),
    "number of a million digits": (b"L" + b"9" * 1_000_000 + b"L\n.", None),
    "deep lists": (NESTED_LISTS, "no motion"),
    "deep tuples": (b"\x80\x02)" + b"\x85" * 200_000 + b".", "no motion"),
    "deep dictionaries": (b"\x80\x02" + b"}K\x01" * 100_000 + b"N" + b"s" * 100_000 + b".", "no motion"),
    "tuples as keys": (b"\x80\x02})" + b"q\x00h\x00\x86" * 60 + b"Ns.", "keys"),
    "doubled tuples": (b"\x80\x02)" + b"q\x00h\x00\x86" * 100_000 + b".", "no motion"),
    "list in itself": (b"\x80\x02]q\x00h\x00a.", "no motion"),
    "frames in themselves": (b"\x80\x02}\x8c\x11joints3d_nonparam]q\x00h\x00as.", "no tensor"),
    "only marks": (b"\x80\x02" + b"(" * 1000 + b".", "damaged"),
    "no marks": (b"\x80\x02t.", "damaged"),
    "empty stack": (b"\x80\x02a.", "damaged"),
    "values left behind": (b"\x80\x02NN.", "behind"),
    "object of a class": (b"\x80\x02(ios\nsystem\n.", "INST"),
    "extension": (b"\x80\x02\x82\x01.", "EXT1"),
    "set": (b"\x80\x04\x8f.", "EMPTY_SET"),
    "buffer from outside": (b"\x80\x05\x97.", "NEXT_BUFFER"),
    "protocol 200": (b"\x80\xc8N.", "protocol"),
    "persistent id": (b"\x80\x02NQ.", "stored elsewhere"),
    "array of 2**60": (built_array(short(1 << 40) + b"\x85", b"C\x04abcd"), "do not fit"),
    "array of negative size": (built_array(short(-1) + b"\x85", b"C\x04abcd"), "unknown form"),
    "array of many sizes": (built_array(b"(" + b"K\x01" * 40 + b"t", b"C\x04abcd"), "unknown form"),
    "array too short": (built_array(b"K\x02\x85", b"C\x04abcd"), "do not fit"),
    "array of objects": (built_array(b"K\x01\x85", b"]Na", global_("numpy", "dtype") + b"\x8c\x02O8\x89\x88\x87R"), "objects"),
    "array from a list": (built_array(b"K\x01\x85", b"]Na"), "unknown form"),
    "array never filled": (b"\x80\x04" + ARRAY + b".", "shape"),
    "type of a type": (b"\x80\x04" + global_("numpy", "dtype") + b"}\x85R.", "type dict"),
    "type of records": (b"\x80\x04" + global_("numpy", "dtype") + b"\x8c\x08f4,f4,f4\x89\x88\x87R.", "records"),
    "type with metadata": (b"\x80\x04" + FLOAT + b"(K\x04\x8c\x01<N)}K\x08K\x04K\x10}tb.", "parts of its own|no motion"),
    "type with fields": (b"\x80\x04" + FLOAT + b"(K\x03\x8c\x01<N\x8c\x01a\x85}\x8c\x01aK\x01sK\x08K\x04K\x10tb.", "parts of its own"),
    "state of a number": (b"\x80\x04K\x01}b.", "state"),
    "call of a number": (b"\x80\x04K\x01)R.", "no constructor"),
    "call by a list": (b"\x80\x04" + global_("numpy", "dtype") + b"]R.", "no constructor"),
    "encoding by rot13": (b"\x80\x02" + global_("_codecs", "encode") + b"\x8c\x01a\x8c\x05rot13\x86R.", "encodes"),
    "storage of 2**40": (tensor(1 << 40, b"K\x00", b"K\x04\x85", b"K\x01\x85"), "cut short"),
    "tensor beyond its storage": (tensor(4, b"K\x02", b"K\x04\x85", b"K\x01\x85"), "beyond"),
    "tensor by a huge stride": (tensor(4, b"K\x00", b"K\x02\x85", short(1 << 40) + b"\x85"), "beyond"),
    "tensor by a negative stride": (tensor(4, b"K\x03", b"K\x02\x85", short(-1) + b"\x85"), "unknown form"),
    "tensor of repeated elements": (tensor(4, b"K\x00", short(1 << 40) + b"\x85", b"K\x00\x85"), "beyond"),
    "torch stream in a torch stream": (
        b"\x80\x02" + global_("torch.storage", "_load_from_bytes") + b"C" + bytes([0]) + b"\x85R.", "cut short|exhausted|damaged|not a"),
}  # fmt: skip


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_pickles_are_refused(refused, case):
    data, match = HOSTILE[case]
    refused(data, "hostile.pkl", match)


def test_bytes_that_are_encoded_again_and_again_run_out_of_budget(refused):
    text = "x" * 1_000_000
    again = b"h\x00h\x01h\x02\x86R"
    data = (
        b"\x80\x04("
        + global_("_codecs", "encode")
        + b"q\x00"
        + pickle.dumps(text, 3)[2:-1].replace(b"q\x00", b"q\x01")
        + b"\x8c\x06latin1q\x02"
    )
    refused(data + again * 100_000 + b"t.", "bomb.pkl", "far more bytes")


def test_a_tensor_that_is_named_many_times_is_not_copied_for_each(tmp_path):
    people = torch.randn(50, 24, 3)
    path = tmp_path / "repeated.pkl"
    path.write_bytes(pickle.dumps({"joints3d_nonparam": [people] * 20_000}))
    from motion4d.core.formats import describe_motions, load_motion

    assert describe_motions(path)[0].people == 50
    motion = load_motion(path, person=49)
    assert torch.equal(motion.joints[-1], people[49] * 1e-3)


def test_the_number_of_steps_is_bounded(tmp_path):
    start = time.process_time()
    with pytest.raises(ValueError, match="steps"):
        read_pickle(b"\x80\x02" + b"N" * (MAX_STEPS + 1) + b".")
    assert time.process_time() - start < 4

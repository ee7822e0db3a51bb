"""npz: a Motion comes back exactly; bombs, objects and damage are refused before they cost anything."""

import io
import struct
import zipfile
import zlib
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motion4d.core.formats import describe_motions, load_motion, save_motion
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Frame, Motion, Skeleton

SKELETONS = [
    SMPL24,
    SMPLX55,
    COCO17,
    Skeleton(names=("höfte", "arm left"), parents=(-1, 0), mirror=(0, 1), rest=torch.randn(2, 3, dtype=torch.float64)),
    Skeleton(names=SMPL24.names, parents=SMPL24.parents, mirror=SMPL24.mirror, rest=SMPL24.rest * 1.1),
]


def random_motion(skeleton: Skeleton, seed: int, *, dtype=torch.float32, camera: bool, full: bool) -> Motion:
    draw = torch.Generator().manual_seed(seed)
    frames, joints = int(torch.randint(1, 9, (), generator=draw)), len(skeleton.names)
    confidence = torch.rand(frames, joints, generator=draw) * (torch.rand(frames, joints, generator=draw) > 0.3)
    positions = torch.randn(frames, joints, 3, generator=draw, dtype=dtype)
    positions[confidence == 0] = torch.nan
    return Motion(
        joints=positions, confidence=confidence, skeleton=skeleton, fps=float(torch.rand((), generator=draw, dtype=torch.float64)) * 100 + 1,
        frame=Frame.CAMERA if camera else Frame.WORLD, rotations=torch.randn(frames, joints, 3, 3, generator=draw, dtype=dtype) if full else None,
        translation=torch.randn(frames, 3, generator=draw, dtype=dtype) if full else None, shape=torch.randn(10, generator=draw) if full else None,
        intrinsics=torch.eye(3) if camera else None, image_size=(480, 640) if camera else None,
        notes=("30 fps assumed: the file names none", "naïve 舞", "") if full else (),
    )  # fmt: skip


def assert_equal(one: Motion, other: Motion) -> None:
    for name in ("joints", "confidence", "rotations", "translation", "shape", "intrinsics"):
        a, b = getattr(one, name), getattr(other, name)
        assert (a is None) == (b is None), name
        assert a is None or (a.dtype == b.dtype and np.array_equal(a.numpy(), b.numpy(), equal_nan=True)), name
    for name in ("fps", "frame", "image_size", "notes"):
        assert getattr(one, name) == getattr(other, name), name
    for name in ("names", "parents", "mirror"):
        assert getattr(one.skeleton, name) == getattr(other.skeleton, name), name
    a, b = one.skeleton.rest, other.skeleton.rest
    assert a is b or (a.dtype == b.dtype and torch.equal(a, b))


@pytest.mark.parametrize("skeleton", SKELETONS, ids=["smpl24", "smplx55", "coco17", "own", "smpl24 with another rest"])
@settings(max_examples=15, deadline=None)
@given(seed=st.integers(0, 10**6), camera=st.booleans(), full=st.booleans(), double=st.booleans())
def test_every_motion_comes_back_exactly(tmp_path_factory, skeleton, seed, camera, full, double):
    path = tmp_path_factory.mktemp("npz") / "motion.npz"
    motion = random_motion(skeleton, seed, dtype=torch.float64 if double else torch.float32, camera=camera, full=full)
    save_motion(motion, path)
    assert_equal(load_motion(path), motion)


def test_standard_skeletons_come_back_as_themselves(tmp_path):
    save_motion(random_motion(SMPL24, 0, camera=False, full=False), tmp_path / "a.npz")
    assert load_motion(tmp_path / "a.npz").skeleton is SMPL24


def test_numpy_reads_the_layout_too(tmp_path):
    motion = random_motion(SMPL24, 1, camera=True, full=True)
    save_motion(motion, tmp_path / "a.npz")
    with np.load(tmp_path / "a.npz", allow_pickle=False) as file:
        assert file["frame"] == "camera" and file["fps"] == motion.fps and tuple(file["names"]) == SMPL24.names
        assert np.array_equal(file["joints"], motion.joints.numpy(), equal_nan=True)


def test_the_same_motion_makes_the_same_bytes(tmp_path):
    motion = random_motion(SMPL24, 2, camera=True, full=True)
    save_motion(motion, tmp_path / "a.npz")
    save_motion(motion, tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def test_fps_overrides_the_file(tmp_path):
    save_motion(random_motion(SMPL24, 3, camera=False, full=False), tmp_path / "a.npz")
    assert load_motion(tmp_path / "a.npz", fps=12.5).fps == 12.5
    info = describe_motions(tmp_path / "a.npz")[0]
    assert (info.kind, info.joints, info.people) == ("motion4d", 24, 1)


def own_arrays(**changes) -> bytes:
    motion = random_motion(SMPL24, 4, camera=False, full=False)
    buffer = io.BytesIO()
    arrays = {
        "motion4d_version": 1, "joints": motion.joints.nan_to_num().numpy(), "confidence": motion.confidence.numpy(), "fps": 30.0, "frame": "world",
        "names": np.array(SMPL24.names), "parents": np.array(SMPL24.parents), "mirror": np.array(SMPL24.mirror), "notes": np.array([], "U1"),
    }  # fmt: skip
    np.savez(buffer, **{name: array for name, array in {**arrays, **changes}.items() if array is not None})
    return buffer.getvalue()


@pytest.mark.parametrize(
    ("changes", "match"),
    [
        ({"motion4d_version": 2}, "update Motion4D"),
        ({"joints": np.zeros((3, 23, 3), np.float32)}, "23"),
        ({"joints": np.zeros((0, 24, 3), np.float32)}, "0 frames"),
        ({"joints": np.zeros((24, 3), np.float32)}, "expected .frames, joints, 3"),
        ({"joints": None}, "joints"),
        ({"joints": np.zeros((3, 24, 3), np.int64)}, "floating-point"),
        ({"joints": np.array([None])}, "joints"),
        ({"confidence": np.array([None], object)}, "Python objects"),
        ({"frame": "sideways"}, "sideways"),
        ({"parents": np.full(24, 30)}, "parents"),
        ({"names": np.array(["a"] * 24)}, "names"),
        ({"fps": float("nan")}, "fps"),
        ({"image_size": np.array([1.5, 2.0])}, "whole numbers"),
        ({"image_size": np.array([480, 640])}, "come together"),
    ],
)
def test_a_wrong_layout_is_named(refused, changes, match):
    refused(own_arrays(**changes), "own.npz", match)


def header(shape: str, descr: str = "<f4", version: int = 1, length: int | None = None) -> bytes:
    text = f"{{'descr': '{descr}', 'fortran_order': False, 'shape': {shape}, }}\n".encode()
    width = "<H" if version == 1 else "<I"
    return b"\x93NUMPY" + bytes([version, 0]) + struct.pack(width, len(text) if length is None else length) + text


def npz(members: dict[str, bytes], compression=zipfile.ZIP_DEFLATED) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", compression) as archive:
        for name, data in members.items():
            archive.writestr(name, data)
    return buffer.getvalue()


FRAME = np.linspace(-900, 900, 72, dtype=np.float32).tobytes()
HOSTILE = {
    "shape of 2**60": ({"clip0.npy": header("(1152921504606846976, 24, 3)") + FRAME}, "frames"),
    "shape larger than the data": ({"clip0.npy": header("(100000, 24, 3)") + FRAME}, "does not fit"),
    "shape smaller than the data": ({"clip0.npy": header("(1, 24, 3)") + FRAME * 2}, "does not fit"),
    "objects": ({"clip0.npy": header("(1, 24, 3)", "|O") + FRAME}, "Python objects"),
    "records": ({"clip0.npy": header("(1, 24, 3)").replace(b"'<f4'", b"[('a', '<f4')]") + FRAME}, "no motion"),
    "negative shape": ({"clip0.npy": header("(-1, 24, 3)") + FRAME}, "no motion"),
    "code in the head": ({"clip0.npy": header("__import__('os').abort()") + FRAME}, "no motion"),
    "deep head": ({"clip0.npy": header("(" * 2000 + ")" * 2000) + FRAME}, "no motion|head"),
    "many digits": ({"clip0.npy": header("(" + "9" * 3000 + ",)") + FRAME}, "no motion"),
    "head of 4 GB": ({"clip0.npy": header("(1, 24, 3)", version=2, length=0xFFFFFFFF) + FRAME}, "head"),
    "version 9": ({"clip0.npy": header("(1, 24, 3)", version=9) + FRAME}, "version 9"),
    "no array": ({"clip0.npy": b"hello"}, "not a numpy array"),
    "other members": ({"readme.txt": b"hello"}, "readme.txt"),
    "a path": ({"../../clip0.npy": header("(1, 24, 3)") + FRAME}, "leads out"),
    "an absolute path": ({"/etc/clip0.npy": header("(1, 24, 3)") + FRAME}, "leads out"),
    "a folder": ({"a/clip0.npy": header("(1, 24, 3)") + FRAME}, "expected only"),
    "no members": ({}, None),
    "no motion": ({"x.npy": header("(3,)") + bytes(12)}, "no motion"),
    "22 joints": ({"x.npy": header("(1, 22, 3)") + bytes(264)}, "no motion"),
    "nobody": ({"clip0.npy": header("(1, 24, 3)") + bytes(288)}, "no joints"),
    "text for numbers": ({"clip0.npy": header("(1, 24, 3)", "<U1") + bytes(288)}, "expected numbers"),
}


@pytest.mark.parametrize("case", HOSTILE)
def test_hostile_archives_are_refused(refused, case):
    members, match = HOSTILE[case]
    refused(npz(members), "hostile.npz", match)


def test_a_bomb_is_refused_before_it_unpacks(refused):
    frames = 190_000
    data = header(f"({frames}, 24, 3)", "<f8") + bytes(frames * 24 * 3 * 8)
    bomb = npz({"clip0.npy": data})
    assert len(bomb) < len(data) / 500
    refused(bomb, "bomb.npz", "honestly")


def test_a_name_that_comes_twice_is_refused(refused):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive, pytest.warns(UserWarning, match="Duplicate"):
        archive.writestr("clip0.npy", header("(1, 24, 3)") + FRAME)
        archive.writestr("clip0.npy", header("(1, 24, 3)") + FRAME)
    refused(buffer.getvalue(), "twice.npz", "twice")


def test_a_wrong_checksum_is_refused(refused):
    data = npz({"clip0.npy": header("(1, 24, 3)") + FRAME}, zipfile.ZIP_STORED)
    place = data.index(FRAME)
    refused(data[:place] + b"\xff" + data[place + 1 :], "crc.npz", "damaged")


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_with_large_dictionaries_are_refused(refused, method):
    refused(npz({"clip0.npy": header("(1, 24, 3)") + FRAME}, method), "method.npz", "deflate")


def test_sizes_that_the_directory_invents_are_refused(refused):
    data = npz({"clip0.npy": header("(1, 24, 3)") + FRAME})
    place = data.rindex(b"PK\x01\x02")
    for claimed in (0xFFFFFFF0, 1 << 20, 0):
        forged = data[: place + 24] + struct.pack("<I", claimed) + data[place + 28 :]
        refused(forged, "forged.npz")


def test_more_members_than_a_motion_needs_are_refused(refused):
    refused(npz({f"a{number}.npy": b"" for number in range(2001)}), "many.npz", "arrays")
    entry = b"PK\x01\x02" + bytes(42)
    refused(b"PK\x03\x04" + entry * 60_000, "directory.npz", "members")


def test_a_failed_write_keeps_the_old_file(tmp_path):
    motion = random_motion(SMPL24, 5, camera=False, full=False)
    path = tmp_path / "a.npz"
    save_motion(motion, path)
    before = path.read_bytes()
    broken = replace(motion, joints=motion.joints.to(torch.bfloat16))  # numpy has no such type
    with pytest.raises(TypeError):
        save_motion(broken, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]
    assert zlib.crc32(before) == zlib.crc32(path.read_bytes())

"""Any file: its contents decide what it is, and no bytes whatever raise anything but ValueError."""

import io
import pickle
import time
import warnings
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from motion4d.core.formats import describe_motions, load_motion, load_rig, save_motion
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame, Motion

SECONDS = 2.0  # of this process, whatever else the machine does


def standing(frames: int = 3) -> Motion:
    joints = SMPL24.rest.expand(frames, 24, 3) + torch.linspace(0, 0.2, frames)[:, None, None]
    return Motion(joints=joints, confidence=torch.ones(frames, 24), skeleton=SMPL24, fps=30, frame=Frame.WORLD)


def valid_files(folder) -> dict[str, bytes]:
    """One small file of each kind."""
    motion = standing()
    millimetres = (motion.joints.numpy() * [1000, -1000, -1000] + [0, 900, 1800]).astype(np.float32)
    pose = {"video_path": "a.mp4", "video_length": 3, "video_height": 100, "video_width": 200}
    frames = [[torch.from_numpy(frame[None])] for frame in millimetres]
    arrays, amass, torch_file = io.BytesIO(), io.BytesIO(), io.BytesIO()
    np.savez(arrays, clip0_joints_mm=millimetres, clip0_fps=np.float32(15))
    np.savez_compressed(amass, poses=np.zeros((3, 72)), trans=np.zeros((3, 3)), betas=np.zeros(10), mocap_framerate=np.array(60.0))
    torch.save({"joints3d_nonparam": frames}, torch_file)
    save_motion(motion, folder / "a.npz")
    save_motion(motion, folder / "a.bvh")
    return {
        "mtvcrafter.pkl": pickle.dumps([{**pose, "pose": millimetres}]),
        "old.pkl": pickle.dumps([{**pose, "pose": millimetres}], 0),
        "nlf.pkl": pickle.dumps({**pose, "pose": {"joints3d_nonparam": frames}}),
        "nlf.pt": torch_file.getvalue(),
        "arrays.npz": arrays.getvalue(),
        "amass.npz": amass.getvalue(),
        "own.npz": (folder / "a.npz").read_bytes(),
        "motion.bvh": (folder / "a.bvh").read_bytes(),
    }


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    return valid_files(tmp_path_factory.mktemp("valid"))


KINDS = ("mtvcrafter.pkl", "old.pkl", "nlf.pkl", "nlf.pt", "arrays.npz", "amass.npz", "own.npz", "motion.bvh")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_is_read(files, tmp_path, kind):
    path = tmp_path / kind
    path.write_bytes(files[kind])
    (info,) = describe_motions(path)
    motion = load_motion(path)
    assert motion.frames == info.frames == 3 and len(motion.skeleton.names) == info.joints == 24


@pytest.mark.parametrize("kind", ("mtvcrafter.pkl", "nlf.pt", "arrays.npz", "own.npz", "motion.bvh"))
@pytest.mark.parametrize("suffix", (".pkl", ".dat", ""))
def test_contents_decide_over_the_suffix(files, tmp_path, kind, suffix):
    (tmp_path / kind).write_bytes(files[kind])
    (tmp_path / f"renamed{suffix}").write_bytes(files[kind])
    assert torch.equal(load_motion(tmp_path / f"renamed{suffix}").joints, load_motion(tmp_path / kind).joints)


def attempt(path) -> None:
    """Read it; anything but success, ValueError and FileNotFoundError, or more than the time, is a failure of the reader."""
    start = time.process_time()
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            load_motion(path)
    except ValueError as error:
        assert str(path) in str(error)
    assert time.process_time() - start < SECONDS


QUICK = settings(max_examples=120, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(data=st.data())
def test_a_changed_byte_is_read_or_refused(files, tmp_path, kind, data):
    content = bytearray(files[kind])
    for _ in range(data.draw(st.integers(1, 3))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    path = tmp_path / kind
    path.write_bytes(content)
    attempt(path)


@pytest.mark.parametrize("kind", KINDS)
@QUICK
@given(data=st.data())
def test_a_truncated_file_is_refused(files, tmp_path, kind, data):
    path = tmp_path / kind
    # The last bytes of a BVH are digits behind the comma and the end of the line, which are not missed.
    path.write_bytes(files[kind][: data.draw(st.integers(0, len(files[kind]) - (10 if kind == "motion.bvh" else 1)))])
    with pytest.raises(ValueError, match=kind):
        load_motion(path)


@pytest.mark.parametrize("name", ("a.pkl", "a.npz", "a.bvh", "a.pt", "a.xyz"))
@QUICK
@given(
    content=st.binary(max_size=400),
    start=st.sampled_from([b"", b"\x80\x04", b"\x80\x02", b"PK\x03\x04", b"HIERARCHY\nROOT a\n{\n", b"\x93NUMPY"]),
)
def test_any_bytes_are_refused(tmp_path, name, content, start):
    path = tmp_path / name
    path.write_bytes(start + content)
    attempt(path)


WORDS = st.sampled_from(
    "HIERARCHY ROOT JOINT End Site { } OFFSET CHANNELS MOTION Frames: Frame Time: Xposition Zrotation 3 0 1.5 -2 1e9 a b".split()
)


@QUICK
@given(lines=st.lists(st.lists(WORDS, min_size=1, max_size=6).map(" ".join), max_size=30))
def test_any_words_of_bvh_are_refused(tmp_path, lines):
    path = tmp_path / "words.bvh"
    path.write_text("HIERARCHY\n" + "\n".join(lines))
    attempt(path)


OPCODES = [
    bytes([code])
    for code in b"(.0123FGIJKLMNPQRSTUVXabcdeghijlopqrstu}])\x80\x81\x82\x85\x86\x87\x88\x89\x8a\x8b\x8c\x8d\x8e\x8f\x90\x93\x94\x95\x96\x97"
]
PIECES = st.one_of(
    st.sampled_from(OPCODES),
    st.binary(max_size=4),
    st.sampled_from(
        [
            b"cnumpy\ndtype\n",
            b"cnumpy.core.multiarray\n_reconstruct\n",
            b"ctorch._utils\n_rebuild_tensor_v2\n",
            b"\x8c\x02f4",
            b"K\x01\x85",
            b"q\x00",
            b"h\x00",
        ]
    ),
)


@settings(max_examples=600, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(pieces=st.lists(PIECES, max_size=40))
def test_any_opcodes_are_refused(tmp_path, pieces):
    path = tmp_path / "opcodes.pkl"
    path.write_bytes(b"\x80\x04" + b"".join(pieces) + b".")
    attempt(path)


def test_what_is_no_file(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.npz"):
        load_motion(tmp_path / "nothing.npz")
    with pytest.raises(ValueError, match="folder"):
        load_motion(tmp_path)
    (tmp_path / "empty.pkl").touch()
    with pytest.raises(ValueError, match=r"empty\.pkl.*empty"):
        load_motion(tmp_path / "empty.pkl")


def test_a_file_of_gigabytes_is_not_read(tmp_path):
    with (tmp_path / "sparse.npz").open("wb") as file:
        file.truncate(1 << 34)
    start = time.process_time()
    with pytest.raises(ValueError, match="at most"):
        load_motion(tmp_path / "sparse.npz")
    assert time.process_time() - start < 0.5


@pytest.mark.parametrize(
    ("content", "name", "match"),
    [
        (b"hello", "a.npz", "not like an npz"),
        (b"\x80\x04N.", "a.npz", "not like an npz"),
        (b"glTF" + bytes(20), "a.glb", "load it as a rig"),
        (b"hello", "a.xyz", r"expected one of \.npz"),
        (b"hello", "a.bvh", "HIERARCHY"),
    ],
)
def test_other_files_are_named(refused, content, name, match):
    refused(content, name, match)


def test_an_array_that_mentions_a_pickle_stays_an_array(tmp_path):
    """The members of an archive decide what it is, not the bytes in them."""
    np.savez(tmp_path / "a.npz", joints_m=standing().joints.numpy(), source=np.frombuffer(b"clip/data.pkl", np.uint8))
    assert load_motion(tmp_path / "a.npz").frames == 3


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf")])
def test_a_frame_rate_must_be_a_number_above_zero(files, tmp_path, fps):
    path = tmp_path / "a.npz"
    path.write_bytes(files["own.npz"])
    with pytest.raises(ValueError, match="fps"):
        load_motion(path, fps=fps)


def test_writing_by_suffix(tmp_path):
    motion = standing()
    for suffix in ("npz", "bvh", "glb", "NPZ"):
        save_motion(motion, tmp_path / "deep" / f"a.{suffix}")
    assert len(load_rig(tmp_path / "deep" / "a.glb").skeleton.names) == 24
    with pytest.raises(ValueError, match=r"not written as '\.fbx'.*\.npz, \.bvh, \.glb"):
        save_motion(motion, tmp_path / "a.fbx")
    assert sorted(path.name for path in tmp_path.rglob("*") if path.is_file()) == ["a.NPZ", "a.bvh", "a.glb", "a.npz"]


@pytest.mark.parametrize("suffix", ["npz", "bvh", "glb"])
@pytest.mark.parametrize("posed", [False, True])
def test_a_motion_with_gradients_is_written_like_any_other(tmp_path, suffix, posed):
    motion = standing()
    if posed:
        motion = replace(motion, rotations=torch.eye(3).expand(3, 24, 3, 3), translation=motion.joints[:, 0])
    learned = replace(motion, joints=motion.joints.clone().requires_grad_())
    learned = replace(learned, translation=learned.joints[:, 0]) if posed else learned
    save_motion(motion, tmp_path / f"plain.{suffix}")
    save_motion(learned, tmp_path / f"learned.{suffix}")
    assert (tmp_path / f"plain.{suffix}").read_bytes() == (tmp_path / f"learned.{suffix}").read_bytes()


@pytest.mark.parametrize("suffix", ["bvh", "glb"])
def test_a_motion_that_cannot_be_written_leaves_the_old_file(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    save_motion(standing(), path)
    before = path.read_bytes()
    rootless = Motion(
        joints=standing().joints, confidence=torch.ones(3, 24) * (torch.arange(24) > 0), skeleton=SMPL24, fps=30, frame=Frame.WORLD
    )
    with pytest.raises(ValueError, match="root joint"):
        save_motion(rootless, path)
    assert path.read_bytes() == before and list(tmp_path.iterdir()) == [path]

"""Calibrations as other programs write them: what was written comes back, and nothing hostile gets through."""

import struct
import time

import numpy as np
import pytest
import torch
from motion4d.core.formats.camera_files import UPS, load_cameras
from motion4d.core.formats.quaternions import matrix_to_quat_xyzw
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.rotations import matrix_to_rotvec

LENS = (-0.2, 0.05, 1e-3, -5e-4, 0.01)
SIZE = (720, 1280)
RIG = orbit_rig([10.0, 120.0, 230.0], radius=4.0, elevation_deg=10.0, image_size=SIZE, focal_px=1000.0, target=(0.0, 1.0, 0.0))
K = RIG.intrinsics.double().numpy()
K_OPENCV = K - np.array([[0, 0, 0.5], [0, 0, 0.5], [0, 0, 0]])
R = RIG.world_to_camera[..., :3].double()
T = RIG.world_to_camera[..., 3].double().numpy()


def same(cameras, views=3):
    assert cameras.rig.image_size == SIZE and cameras.rig.views == views
    assert torch.allclose(cameras.rig.intrinsics, RIG.intrinsics, atol=1e-3)
    assert torch.allclose(cameras.rig.world_to_camera, RIG.world_to_camera, atol=1e-5)


def toml(lens=LENS, extra="", size="size = [1280, 720]"):
    text = ""
    for view in range(3):
        text += f'[cam_{view}]\nname = "c{view}"\n{size}\nmatrix = {K_OPENCV[view].tolist()}\ndistortions = {list(lens)}\n'
        text += f"rotation = {matrix_to_rotvec(R[view]).tolist()}\ntranslation = {T[view].tolist()}\n{extra}\n"
    return text + "[metadata]\nadjusted = false\nerror = 0.0\n"


def test_toml_of_anipose_and_pose2sim(tmp_path):
    path = tmp_path / "calibration.toml"
    path.write_text(toml())
    cameras = load_cameras(path)
    same(cameras)
    assert cameras.names == ("c0", "c1", "c2") and cameras.fisheye == (False,) * 3
    assert np.allclose(cameras.distortion[:, :5], LENS) and not cameras.distortion[:, 5:].any()
    path.write_text(toml(LENS[:4], "fisheye = true"))
    assert load_cameras(path).fisheye == (True,) * 3


def test_units_are_converted(tmp_path):
    path = tmp_path / "calibration.toml"
    path.write_text(toml())
    assert torch.allclose(load_cameras(path, metres=0.001).rig.centers, RIG.centers / 1000, atol=1e-6)


@pytest.mark.parametrize("up", UPS[1:])
def test_any_axis_that_points_up_becomes_y(tmp_path, up):
    sign = -1.0 if up[0] == "-" else 1.0
    axis = torch.zeros(3, dtype=torch.float64)
    axis["xyz".index(up[-1])] = sign
    other = torch.roll(axis.abs(), 1)
    world = torch.stack([other, axis, torch.linalg.cross(other, axis)])  # rows: where our x, y, z lie in the foreign world
    lines = toml().replace("\n\n", "\n")
    for view in range(3):
        foreign = matrix_to_rotvec(R[view] @ world)
        lines = lines.replace(f"rotation = {matrix_to_rotvec(R[view]).tolist()}", f"rotation = {foreign.tolist()}")
    path = tmp_path / "calibration.toml"
    path.write_text(lines)
    for chosen in (up, "auto"):
        rig = load_cameras(path, up=chosen).rig
        assert torch.allclose(rig.centers[:, 1], RIG.centers[:, 1], atol=1e-4)
        assert torch.allclose(torch.linalg.det(rig.world_to_camera[..., :3]), torch.ones(3), atol=1e-5)
        assert torch.allclose(torch.cdist(rig.centers, rig.centers), torch.cdist(RIG.centers, RIG.centers), atol=1e-4)


@pytest.mark.parametrize("suffix", [".yml", ".xml"])
def test_what_opencv_writes(tmp_path, suffix):
    cv2 = pytest.importorskip("cv2")
    path = tmp_path / f"cameras{suffix}"
    storage = cv2.FileStorage(str(path), cv2.FILE_STORAGE_WRITE)
    storage.write("image_width", 1280)
    storage.write("image_height", 720)
    storage.write("comment", "made by a test")
    storage.write("image_points", np.ones((40, 54, 2), np.float32))
    for view in range(3):
        for key, value in (("K", K_OPENCV[view]), ("dist", np.array(LENS)), ("Rot", R[view].numpy()), ("T", T[view])):
            storage.write(f"{key}_{view}", np.asarray(value))
    storage.release()
    cameras = load_cameras(path)
    same(cameras)
    assert np.allclose(cameras.distortion[:, :5], LENS) and cameras.names == ("0", "1", "2")


def opencv_matrix(name, array):
    array = np.atleast_2d(np.asarray(array, float))
    numbers = ", ".join(map(repr, array.reshape(-1).tolist()))
    return f"{name}: !!opencv-matrix\n   rows: {array.shape[0]}\n   cols: {array.shape[1]}\n   dt: d\n   data: [ {numbers} ]\n"


@pytest.mark.parametrize("ending", ["", "_left", "3"])
@pytest.mark.parametrize(
    "keys",
    [
        ("camera_matrix", "distortion_coefficients", "rotation_matrix", "translation_vector"),
        ("intrinsic_matrix", "distortion_coeffs", "rotation", "translation"),
        ("CameraMatrix", "distCoeffs", "rvec", "tvec"),
        ("K", "D", "R", "T"),
    ],
)
def test_every_usual_name_is_read_with_and_without_an_ending(tmp_path, keys, ending):
    text = "%YAML:1.0\n---\nimage_width: 1280\nimage_height: 720\n"
    turn = matrix_to_rotvec(R[1]) if keys[2] == "rvec" else R[1]
    for key, array in zip(keys, (K_OPENCV[1], LENS, turn, T[1][:, None]), strict=True):
        text += opencv_matrix(key + ending, array)
    path = tmp_path / "camera.yml"
    path.write_text(text)
    cameras = load_cameras(path)
    assert np.allclose(cameras.distortion[0, :5], LENS) and cameras.names == (ending.strip("_") or "camera",)
    assert torch.allclose(cameras.rig.world_to_camera, RIG.world_to_camera[1:2], atol=1e-5)


def test_a_lens_is_shared_or_told_of_but_never_dropped_silently(tmp_path):
    text = "".join(
        opencv_matrix(f"{key}_{view}", array)
        for view in range(2)
        for key, array in (("K", K_OPENCV[view]), ("R", R[view]), ("T", T[view][:, None]))
    )
    path = tmp_path / "cameras.yml"
    path.write_text(text + opencv_matrix("dist", LENS))
    assert np.allclose(load_cameras(path).distortion[:, :5], LENS)
    path.write_text(text + opencv_matrix("dist_left", LENS))
    cameras = load_cameras(path)
    assert not cameras.distortion.any() and any("distortion of 'left' is not used" in note for note in cameras.notes)


@pytest.mark.parametrize(
    ("middle", "size"),
    [((975.0, 525.0), (1080, 1920)), ((541.0, 950.0), (1920, 1080)), ((200.0, 350.0), (700, 400))],
)
def test_pictures_of_a_usual_size_are_assumed_where_none_is_told(tmp_path, middle, size):
    matrix = np.array([[1000.0, 0, middle[0] - 0.5], [0, 1000, middle[1] - 0.5], [0, 0, 1]])
    path = tmp_path / "camera.yml"
    path.write_text(opencv_matrix("K", matrix) + opencv_matrix("R", np.eye(3)) + opencv_matrix("T", np.zeros((3, 1))))
    cameras = load_cameras(path)
    assert cameras.rig.image_size == size and any("give width and height" in note for note in cameras.notes)


def test_intrinsics_and_extrinsics_in_two_files(tmp_path):
    cv2 = pytest.importorskip("cv2")
    for name, keys in (("intri.yml", {"K": K_OPENCV}), ("extri.yml", {"R": matrix_to_rotvec(R).numpy(), "T": T})):
        storage = cv2.FileStorage(str(tmp_path / name), cv2.FILE_STORAGE_WRITE)
        for key, stack in keys.items():
            for view in range(3):
                storage.write(f"{key}_{view:02}", stack[view])
        storage.release()
    for name in ("intri.yml", "extri.yml"):
        cameras = load_cameras(tmp_path / name, image_size=SIZE)
        same(cameras)
    assert any("assumed" in note for note in load_cameras(tmp_path / "intri.yml").notes)
    (tmp_path / "extri.yml").unlink()
    with pytest.raises(ValueError, match="lacks rotation and translation"):
        load_cameras(tmp_path / "intri.yml")


def test_a_stereo_pair_has_its_world_in_the_first_camera(tmp_path):
    cv2 = pytest.importorskip("cv2")
    turn = R[1] @ R[0].T
    shift = T[1] - (turn.numpy() @ T[0])
    storage = cv2.FileStorage(str(tmp_path / "stereo.yml"), cv2.FILE_STORAGE_WRITE)
    for key, value in (
        ("M1", K_OPENCV[0]),
        ("D1", np.zeros(5)),
        ("M2", K_OPENCV[1]),
        ("D2", np.zeros(5)),
        ("R", turn.numpy()),
        ("T", shift),
    ):
        storage.write(key, value)
    storage.write("R1", np.eye(3))
    storage.release()
    rig = load_cameras(tmp_path / "stereo.yml", image_size=SIZE).rig
    assert torch.allclose(rig.world_to_camera[0], torch.eye(3, 4))
    assert (rig.centers[1] - rig.centers[0]).norm() == pytest.approx(float((RIG.centers[1] - RIG.centers[0]).norm()), rel=1e-5)


def test_npz_stacked_and_numbered(tmp_path):
    path = tmp_path / "cameras.npz"
    np.savez(path, K=K_OPENCV, dist=np.tile(LENS, (3, 1)), R=R.numpy(), t=T[..., None], image_size=SIZE, names=["a", "b", "c"])
    cameras = load_cameras(path)
    same(cameras)
    assert cameras.names == ("a", "b", "c") and np.allclose(cameras.distortion[:, :5], LENS)
    numbered = {
        f"{key}_{view}": stack[view] for view in range(3) for key, stack in (("mtx", K_OPENCV), ("extrinsics", RIG.world_to_camera.numpy()))
    }
    np.savez(path, **numbered)
    same(load_cameras(path, image_size=SIZE))
    np.savez(path, K=K_OPENCV, R=R.numpy()[:2], t=T)
    with pytest.raises(ValueError, match="one for each"):
        load_cameras(path)


def colmap_text(folder, model="OPENCV", points=True):
    rows = "".join(
        f"{view + 1} {model} 1280 720 {K[view, 0, 0]} {K[view, 1, 1]} {K[view, 0, 2]} {K[view, 1, 2]} -0.2 0.05 0.001 -0.0005\n"
        for view in range(3)
    )
    (folder / "cameras.txt").write_text("# Camera list\n" + rows)
    lines = "# Image list\n"
    for view in (2, 0, 1):
        x, y, z, w = matrix_to_quat_xyzw(R[view]).tolist()
        lines += f"{view + 7} {w} {x} {y} {z} {' '.join(map(str, T[view]))} {view + 1} view {view}.png\n"
        lines += ("10.5 20.5 -1 30.0 40.0 5\n" if view else "\n") if points else ""
    (folder / "images.txt").write_text(lines)


def test_colmap_text(tmp_path):
    colmap_text(tmp_path)
    for name in ("cameras.txt", "images.txt"):
        cameras = load_cameras(tmp_path / name)
        same(cameras)
        assert cameras.names == ("view 0.png", "view 1.png", "view 2.png")
        assert np.allclose(cameras.distortion[:, :4], LENS[:4])
    colmap_text(tmp_path, points=False)  # as people write it by hand
    same(load_cameras(tmp_path / "images.txt"))
    colmap_text(tmp_path, "OPENCV_FISHEYE")
    assert load_cameras(tmp_path / "cameras.txt").fisheye == (True,) * 3
    colmap_text(tmp_path, "FOV")
    with pytest.raises(ValueError, match="lens that is read"):
        load_cameras(tmp_path / "cameras.txt")
    (tmp_path / "images.txt").unlink()
    with pytest.raises((FileNotFoundError, ValueError)):
        load_cameras(tmp_path / "cameras.txt")


def colmap_binary(folder):
    cameras = struct.pack("<Q", 3)
    images = struct.pack("<Q", 3)
    for view in range(3):
        params = [K[view, 0, 0], K[view, 1, 1], K[view, 0, 2], K[view, 1, 2], *LENS[:4]]
        cameras += struct.pack("<iiQQ8d", view + 1, 4, 1280, 720, *params)
        x, y, z, w = matrix_to_quat_xyzw(R[view]).tolist()
        images += struct.pack("<i7di", view, w, x, y, z, *T[view], view + 1) + f"{view}.png".encode() + b"\0"
        images += struct.pack("<Q", 2) + struct.pack("<ddq", 1.0, 2.0, -1) * 2
    (folder / "cameras.bin").write_bytes(cameras)
    (folder / "images.bin").write_bytes(images)


def test_colmap_binary(tmp_path):
    colmap_binary(tmp_path)
    same(load_cameras(tmp_path / "images.bin"))
    for name in ("cameras.bin", "images.bin"):
        whole = (tmp_path / name).read_bytes()
        for length in (1, 7, 9, 30, len(whole) - 1):
            (tmp_path / name).write_bytes(whole[:length])
            with pytest.raises(ValueError, match=r"cut short|no end"):
                load_cameras(tmp_path / "cameras.bin")
        (tmp_path / name).write_bytes(b"\xff" * 100)
        with pytest.raises(ValueError, match="claims"):
            load_cameras(tmp_path / "cameras.bin")
        (tmp_path / name).write_bytes(whole)


def test_pictures_of_different_size_are_brought_to_the_first(tmp_path):
    path = tmp_path / "calibration.toml"
    half = K_OPENCV[1] * np.array([[0.5], [0.5], [1.0]]) - np.array([[0, 0, 0.25], [0, 0, 0.25], [0, 0, 0]])
    text = toml().replace(str(K_OPENCV[1].tolist()), str(half.tolist()), 1) if K_OPENCV[1].tolist() != K_OPENCV[0].tolist() else toml()
    parts = text.split("[cam_1]")
    middle = parts[1].replace("[1280, 720]", "[640, 360]", 1).replace(str(K_OPENCV[1].tolist()), str(half.tolist()), 1)
    path.write_text(parts[0] + "[cam_1]" + middle)
    cameras = load_cameras(path)
    same(cameras)
    assert cameras.image_sizes == (SIZE, (360, 640), SIZE)
    assert any("different size" in note for note in cameras.notes)


GOOD_TOML = toml()
HOSTILE = {
    "empty.toml": b"",
    "no_cameras.toml": b"[metadata]\nerror = 1\n",
    "nan.toml": GOOD_TOML.replace("1000.0", "nan").encode(),
    "text.toml": GOOD_TOML.replace("matrix = [[1000.0", 'matrix = [["x"').encode(),
    "negative.toml": GOOD_TOML.replace("[[1000.0", "[[-1000.0").encode(),
    "huge.toml": GOOD_TOML.replace("1000.0", "1e300").encode(),
    "nested.toml": b"a = " + b"[" * 100_000,
    "count.toml": GOOD_TOML.replace("distortions = [-0.2,", "distortions = [-0.2, 1.0,").encode(),
    "no_pose.toml": GOOD_TOML.replace("rotation", "spin").encode(),
    "binary.toml": bytes(range(256)) * 40,
    "large.toml": b"a" * (2 << 20),
    "entities.xml": b'<!DOCTYPE a [<!ENTITY b "x">]><opencv_storage>&b;</opencv_storage>',
    "broken.xml": b"<opencv_storage><K>",
    "deep.xml": b"<a>" * 100_000,
    "claims.yml": b"K: !!opencv-matrix\n   rows: 999999\n   cols: 999999\n   dt: d\n   data: [ 1. ]\n",
    "short.yml": b"K: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ 1. ]\n",
    "code.yml": b"!!python/object/apply:os.system ['true']\n",
    "many.yml": b"K: !!opencv-matrix\n   rows: 3\n   cols: 3\n   dt: d\n   data: [ 1\n" * 50_000,
    "brackets.yml": b"a: [\n" * 400_000,
    "spaces.yml": b" " * (3 << 20) + b"a",
    "sheared.npz": None,
    "objects.npz": None,
    "other.json": b"{}",
    "points.txt": b"1 2 3",
    "cameras.txt": b"1 PINHOLE x y 1 1 1 1\n",
}


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_broken_or_hostile_is_refused_by_name(tmp_path, name):
    path = tmp_path / name
    if HOSTILE[name] is not None:
        path.write_bytes(HOSTILE[name])
    elif name == "sheared.npz":
        np.savez(path, K=K_OPENCV, R=R.numpy() * 1.3, t=T)
    else:
        np.savez(path, K=np.array([{"a": 1}], dtype=object))
    start = time.process_time()
    with pytest.raises(ValueError, match=name):
        load_cameras(path)
    assert time.process_time() - start < 2


def test_a_missing_file_and_bad_arguments(tmp_path):
    with pytest.raises(FileNotFoundError):
        load_cameras(tmp_path / "nothing.toml")
    with pytest.raises(ValueError, match="metres"):
        load_cameras(tmp_path / "nothing.toml", metres=0)
    with pytest.raises(ValueError, match="up is"):
        load_cameras(tmp_path / "nothing.toml", up="north")

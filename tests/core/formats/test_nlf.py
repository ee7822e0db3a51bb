"""NLF and MTVCrafter files: the units, the camera and the missing people of the files that users have."""

import io
import pickle

import numpy as np
import pytest
import torch
from motion4d.core.formats import describe_motions, load_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics, own_camera
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame


def upright(frames: int, seed: int = 0) -> np.ndarray:
    """(T, 24, 3) millimetres in camera space of somebody upright, 1.8 m away."""
    rest = SMPL24.rest.numpy() * 1000 * [1, -1, -1] + [0, 900, 1800]
    return (rest + np.random.default_rng(seed).normal(0, 40, (frames, 24, 3))).astype(np.float32)


def entry(frames: int, seed: int, **changes) -> dict:
    known = {"video_path": f"./data/videos/dance {seed}.mp4", "pose": upright(frames, seed), "video_length": frames, "video_height": 1080}
    return {**known, "video_width": 604, **changes}


def write(tmp_path, value, name="motion.pkl"):
    path = tmp_path / name
    path.write_bytes(pickle.dumps(value))
    return path


def test_mtvcrafter_clips_come_in_metres_with_their_camera(tmp_path):
    path = write(tmp_path, [entry(5, 1), entry(9, 2)])
    assert [(info.name, info.frames, info.kind, info.image_size) for info in describe_motions(path)] == [
        ("dance 1", 5, "mtvcrafter", (1080, 604)),
        ("dance 2", 9, "mtvcrafter", (1080, 604)),
    ]
    motion = load_motion(path, clip=1)
    assert np.array_equal(motion.joints.numpy(), upright(9, 2) * np.float32(1e-3))
    assert motion.frame is Frame.CAMERA and motion.skeleton is SMPL24 and motion.fps == 30.0 and motion.seen.all()
    assert torch.equal(motion.intrinsics, motion_capture_intrinsics((1080, 604)))
    assert motion.notes == ("30 fps assumed: the file names none",)


def test_the_camera_of_the_file_projects_like_the_formula_of_the_format(tmp_path):
    motion = load_motion(write(tmp_path, [entry(3, 1)]))
    pixels, _ = own_camera(motion).project(motion.joints)
    x, y, z = upright(3, 1).astype(np.float64).transpose(2, 0, 1)
    focal = 1080 / (2 * np.tan(np.radians(27.5)))
    assert np.allclose(pixels[0].numpy(), np.stack([focal * x / z + 302, focal * y / z + 540], -1), atol=2e-3)


def nlf(people: list[int], seed: int = 0) -> list[torch.Tensor]:
    return [torch.from_numpy(upright(count, seed + frame)) if count else torch.zeros(0, 24, 3) for frame, count in enumerate(people)]


@pytest.mark.parametrize("saved", ["pickle", "torch", "torch before 1.6"])
@pytest.mark.parametrize("wrapped", [True, False])
def test_the_most_people_of_any_frame_can_be_chosen_and_gaps_are_missing(tmp_path, saved, wrapped):
    frames = nlf([1, 3, 0, 2])
    listed = [[frame] for frame in frames] if wrapped else frames
    value = {"pose": {"joints3d_nonparam": listed}, "video_path": "a.mp4", "video_length": 4, "video_height": 100, "video_width": 200}
    buffer = io.BytesIO()
    if saved == "pickle":
        pickle.dump(value, buffer)
    else:
        torch.save(value, buffer, _use_new_zipfile_serialization=saved == "torch")
    path = tmp_path / "people.pkl"
    path.write_bytes(buffer.getvalue())
    info = describe_motions(path)[0]
    assert (info.people, info.frames, info.kind, info.name) == (3, 4, "nlf", "a")
    for person, present in enumerate([[1, 1, 0, 1], [0, 1, 0, 1], [0, 1, 0, 0]]):
        motion = load_motion(path, person=person)
        assert motion.seen.all(1).tolist() == [bool(frame) for frame in present]
        assert motion.joints.isnan().all(-1).equal(~motion.seen)
        assert torch.equal(motion.joints[1], frames[1][person] * np.float32(1e-3))
        assert any("not tracked" in note for note in motion.notes) and any("without the person" in note for note in motion.notes)
    with pytest.raises(ValueError, match=r"no person 3.*has 3"):
        load_motion(path, person=3)


def test_results_as_other_programs_hand_them_on(tmp_path):
    frames = nlf([1, 1])
    for value in (
        {"joints3d_nonparam": frames},
        {"joints3d_nonparam": [frames[0][0], frames[1][0]]},
        torch.stack(frames)[:, 0],
        upright(1, 0),
    ):
        motion = load_motion(write(tmp_path, value))
        assert torch.equal(motion.joints[0], frames[0][0] * np.float32(1e-3))
        assert motion.intrinsics is None and any("picture size unknown" in note for note in motion.notes)


def test_zeros_and_nan_are_missing_joints(tmp_path):
    pose = upright(4)
    pose[1] = 0
    pose[2, 5, 1] = np.nan
    motion = load_motion(write(tmp_path, [entry(4, 0, pose=pose)]))
    expected = torch.ones(4, 24, dtype=torch.bool)
    expected[1], expected[2, 5] = False, False
    assert motion.seen.equal(expected)


def test_a_length_that_differs_from_the_video_is_noted(tmp_path):
    assert any("names 7 frames" in note for note in load_motion(write(tmp_path, [entry(4, 0, video_length=7)])).notes)


def save_arrays(tmp_path, **arrays):
    path = tmp_path / "arrays.npz"
    np.savez(path, **arrays)
    return path


def test_arrays_of_an_npz_are_clips_with_their_frame_rates(tmp_path):
    path = save_arrays(tmp_path, mean_mm=upright(1)[0], clip0_joints_mm=upright(3), clip0_fps=np.float32(15), clip1_joints_mm=upright(4, 1))
    assert [(info.name, info.frames, info.fps) for info in describe_motions(path)] == [("clip0", 3, 15.0), ("clip1", 4, None)]
    assert load_motion(path).fps == 15.0 and load_motion(path, clip=1, fps=24).fps == 24.0
    assert torch.equal(load_motion(path, clip=1).joints, torch.from_numpy(upright(4, 1)) * np.float32(1e-3))
    with pytest.raises(ValueError, match=r"no clip 2.*has 2.*clip0 .nlf.: 3 frames"):
        load_motion(path, clip=2)
    with pytest.raises(ValueError, match="no clip -1"):
        load_motion(path, clip=-1)


def test_units_of_a_bare_array_are_told_by_its_size_unless_named(tmp_path):
    metres = torch.from_numpy(upright(2)) * np.float32(1e-3)
    for arrays, note in (
        ({"a": upright(2)}, "millimetres assumed"),
        ({"a": metres.numpy()}, " metres assumed"),
        ({"a_m": metres.numpy()}, None),
    ):
        motion = load_motion(save_arrays(tmp_path, **arrays))
        assert torch.allclose(motion.joints, metres, atol=1e-6)
        assert note is None or any(note in f" {text}" for text in motion.notes)
    tiny = load_motion(save_arrays(tmp_path, a_mm=metres.numpy()))
    assert torch.allclose(tiny.joints, metres * 1e-3, atol=1e-6)


def test_axes_of_a_bare_array_are_told_by_its_head(tmp_path):
    assert load_motion(save_arrays(tmp_path, a=upright(2))).frame is Frame.CAMERA
    assert load_motion(save_arrays(tmp_path, a=upright(2) * np.float32([1, -1, -1]))).frame is Frame.WORLD


@pytest.mark.parametrize(
    ("value", "match"),
    [
        ([], "no motion"),
        ([{"pose": upright(2)}, {"other": 1}], "no motion"),
        ({"a": 1}, "no motion"),
        (None, "no motion"),
        ([entry(2, 0, pose=upright(2)[:, :22])], "24, 3"),
        ([entry(2, 0, pose=upright(2)[0])], "24, 3"),
        ([entry(2, 0, pose=np.zeros((0, 24, 3), np.float32))], "0 frames"),
        ([entry(2, 0, pose=np.full((2, 24, 3), np.nan))], "no joints"),
        ([entry(2, 0, pose=np.full((2, 24, 3), "x"))], "expected numbers"),
        ([entry(2, 0, pose="text")], "type str"),
        ([entry(2, 0, pose={"joints3d_nonparam": []})], "0 frames"),
        ([entry(2, 0, pose={"joints3d_nonparam": [torch.zeros(0, 24, 3)]})], "nobody"),
        ([entry(2, 0, pose={"joints3d_nonparam": [torch.zeros(1, 24, 3), torch.zeros(1, 55, 3)]})], "joint counts"),
        ([entry(2, 0, pose={"joints3d_nonparam": [torch.zeros(2000, 24, 3)]})], "people"),
        ([entry(2, 0, pose={"joints3d_nonparam": ["x"]})], "no tensor"),
        ([entry(2, 0, pose={"joints3d_nonparam": 5})], "type int"),
    ],
)
def test_other_contents_are_refused(refused, value, match):
    refused(pickle.dumps(value), "other.pkl", match)


@pytest.mark.parametrize("size", [(0, 0), (-5, 10), (10**30, 10), (None, 10), ("a", "b"), (float("nan"), 4.0)])
def test_a_picture_of_no_size_gives_no_camera(tmp_path, size):
    motion = load_motion(write(tmp_path, [entry(2, 0, video_height=size[0], video_width=size[1])]))
    assert motion.intrinsics is None and any("picture size unknown" in note for note in motion.notes)


def test_one_list_of_frames_named_by_many_clips_is_refused(refused):
    frames = [torch.zeros(0, 24, 3)] * 2000
    refused(pickle.dumps([{"pose": frames} for _ in range(2000)]), "many.pkl", "split it")


def test_real_dances(reference):
    for name, kind in (("mtvcrafter_layout.pkl", "mtvcrafter"), ("nlf_dance_motions.npz", "nlf")):
        path = reference("data", name)
        for number, info in enumerate(describe_motions(path)):
            motion = load_motion(path, clip=number)
            depth = motion.joints[:, 0, 2]
            assert info.kind == kind and motion.joints.shape == (info.frames, 24, 3) and motion.seen.all()
            assert 0.8 < depth.min() and depth.max() < 2.5, "metres from the camera to the pelvis"
            assert motion.frame is Frame.CAMERA and (motion.joints[:, 15, 1] < motion.joints[:, 10, 1]).all()


def test_the_same_dance_in_both_layouts(reference):
    pickled, arrays = reference("data", "mtvcrafter_layout.pkl"), reference("data", "nlf_dance_motions.npz")
    for clip in (0, 1):
        assert torch.equal(load_motion(pickled, clip=clip).joints, load_motion(arrays, clip=clip).joints[:60])
    assert [info.frames for info in describe_motions(arrays)] == [127, 299, 584]
    assert [info.image_size for info in describe_motions(pickled)] == [(1080, 604), (1024, 1024)]

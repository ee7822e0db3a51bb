"""AMASS and GVHMR parameters: what the file says exactly stays exact, and the person stands upright."""

import io
import pickle

import numpy as np
import pytest
import torch
from motion4d.core.formats import describe_motions, load_motion
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import Frame

QUARTER_TURN = np.array([np.pi / 2, 0, 0])  # stands a Y-up body up in Z-up axes


def amass(frames: int = 6, width: int = 156, seed: int = 0, **changes) -> dict:
    draw = np.random.default_rng(seed)
    poses = draw.normal(0, 0.3, (frames, width))
    poses[:, :3] = QUARTER_TURN
    trans = np.stack([np.linspace(0, 1, frames), np.linspace(0, 2, frames), np.full(frames, 0.9)], 1)
    arrays = {
        "poses": poses,
        "trans": trans,
        "betas": draw.normal(size=16),
        "mocap_framerate": np.array(120.0),
        "gender": np.array("female"),
    }
    return {name: array for name, array in {**arrays, **changes}.items() if array is not None}


def write(tmp_path, arrays: dict):
    path = tmp_path / "params.npz"
    np.savez(path, **arrays)
    return path


def naive_joints(rotations: torch.Tensor, root: torch.Tensor, skeleton) -> torch.Tensor:
    """Forward kinematics one joint and one frame at a time."""
    joints = torch.zeros(len(rotations), len(skeleton.names), 3, dtype=torch.float64)
    rest = skeleton.rest.double()
    for frame in range(len(rotations)):
        world = []
        for joint, parent in enumerate(skeleton.parents):
            world.append(rotations[frame, joint] if parent < 0 else world[parent] @ rotations[frame, joint])
            joints[frame, joint] = root[frame] if parent < 0 else joints[frame, parent] + world[parent] @ (rest[joint] - rest[parent])
    return joints


@pytest.mark.parametrize(("width", "skeleton"), [(72, SMPL24), (156, SMPL24), (165, SMPLX55)])
def test_amass_rotations_and_path_stay_exact(tmp_path, width, skeleton):
    arrays = amass(width=width)
    motion = load_motion(write(tmp_path, arrays))
    used = min(width // 3, 22 if width == 156 else 55)
    expected = rotvec_to_matrix(torch.from_numpy(arrays["poses"]).unflatten(1, (-1, 3)))[:, :used]
    z_up = torch.tensor([[1.0, 0, 0], [0, 0, 1], [0, -1, 0]], dtype=torch.float64)
    expected[:, 0] = z_up @ expected[:, 0]
    assert motion.skeleton is skeleton and motion.frame is Frame.WORLD and motion.fps == 120.0
    assert torch.allclose(motion.rotations[:, :used].double(), expected, atol=1e-6)
    assert torch.equal(motion.rotations[:, used:], torch.eye(3).expand(6, len(skeleton.names) - used, 3, 3))
    path = torch.from_numpy(arrays["trans"]) @ z_up.T
    assert torch.allclose((motion.translation - motion.translation[:1]).double(), path - path[:1], atol=1e-6)
    assert torch.allclose(motion.joints.double(), naive_joints(motion.rotations.double(), motion.translation.double(), skeleton), atol=1e-5)
    assert np.allclose(motion.shape, arrays["betas"][:10], atol=1e-6)


def test_somebody_standing_in_amass_stands_on_the_floor_facing_z(tmp_path):
    arrays = amass(width=156)
    arrays["poses"][:, 3:] = 0
    motion = load_motion(write(tmp_path, arrays))
    assert torch.allclose(motion.rotations[:, 0], torch.eye(3), atol=1e-6)
    head, feet = motion.joints[:, 15], motion.joints[:, [10, 11]]
    assert (head[:, 1] > 1.4).all() and (feet[..., 1].abs() < 0.1).all()
    assert (feet[..., 2].mean(1) > motion.joints[:, [7, 8], 2].mean(1)).all(), "toes point to +Z"
    for part in ("30 fps", "fingers", "stature 1.692", "template", "Z-up"):
        assert any(part in note for note in motion.notes) == (part != "30 fps")


@pytest.mark.parametrize("key", ["mocap_framerate", "mocap_frame_rate"])
def test_both_spellings_of_the_frame_rate(tmp_path, key):
    path = write(
        tmp_path, amass(mocap_framerate=None, **({key: np.array(59.94)} if key != "mocap_framerate" else {})) | {key: np.array(59.94)}
    )
    assert load_motion(path).fps == pytest.approx(59.94) and describe_motions(path)[0].fps == pytest.approx(59.94)
    assert load_motion(path, fps=30).fps == 30


def test_a_missing_frame_rate_is_assumed_and_noted(tmp_path):
    motion = load_motion(write(tmp_path, amass(mocap_framerate=None)))
    assert motion.fps == 30.0 and "30 fps assumed: the file names none" in motion.notes


def gvhmr(frames: int = 5, seed: int = 0) -> dict:
    draw = np.random.default_rng(seed)
    intrinsics = np.array([[1000.0, 0, 320], [0, 1000.0, 240], [0, 0, 1]])
    arrays = {
        "body_pose": draw.normal(0, 0.3, (frames, 63)), "betas": np.repeat(draw.normal(size=(1, 10)), frames, 0),
        "global_orient": draw.normal(0, 0.1, (frames, 3)), "transl": draw.normal((0, 1.3, 0), 0.1, (frames, 3)),
        "global_orient_incam": np.repeat([[np.pi, 0, 0]], frames, 0) + draw.normal(0, 0.05, (frames, 3)),
        "transl_incam": draw.normal((0, 0, 3), 0.1, (frames, 3)), "K_fullimg": np.repeat(intrinsics[None], frames, 0),
    }  # fmt: skip
    return {name: array.astype(np.float32) for name, array in arrays.items()} | {"img_width": np.array(640), "img_height": np.array(480)}


def test_gvhmr_gives_the_world_first_and_then_the_camera(tmp_path):
    arrays = gvhmr()
    path = write(tmp_path, arrays)
    assert [(info.name, info.image_size, info.kind) for info in describe_motions(path)] == [
        ("world", None, "gvhmr"),
        ("camera", (480, 640), "gvhmr"),
    ]
    world, seen = load_motion(path), load_motion(path, clip=1)
    assert world.frame is Frame.WORLD and world.intrinsics is None
    assert seen.frame is Frame.CAMERA and seen.image_size == (480, 640) and np.array_equal(seen.intrinsics, arrays["K_fullimg"][0])
    for motion, suffix in ((world, ""), (seen, "_incam")):
        root = rotvec_to_matrix(torch.from_numpy(arrays[f"global_orient{suffix}"]).double())
        assert torch.allclose(motion.rotations[:, 0].double(), root, atol=1e-6)
        assert torch.allclose(
            motion.translation - motion.translation[:1],
            torch.from_numpy(arrays[f"transl{suffix}"] - arrays[f"transl{suffix}"][:1]),
            atol=1e-5,
        )
        assert torch.allclose(
            motion.joints.double(), naive_joints(motion.rotations.double(), motion.translation.double(), SMPL24), atol=1e-5
        )
        assert np.allclose(motion.shape, arrays["betas"][0], atol=1e-6)
    assert (world.joints[:, 15, 1] > world.joints[:, 10, 1]).all() and (seen.joints[:, 15, 1] < seen.joints[:, 10, 1]).all()


def test_gvhmr_in_the_camera_alone(tmp_path):
    arrays = {name: array for name, array in gvhmr().items() if name not in ("global_orient", "transl", "img_width", "img_height")}
    motion = load_motion(write(tmp_path, arrays))
    assert motion.frame is Frame.CAMERA and motion.image_size == (480, 640)
    assert any("principal point" in note for note in motion.notes)


@pytest.mark.parametrize("saved", ["torch", "pickle"])
def test_gvhmr_results_nested_as_its_own_program_writes_them(tmp_path, saved):
    flat = {name: torch.from_numpy(np.asarray(array)) for name, array in gvhmr().items()}
    shared = {name: flat[name] for name in ("body_pose", "betas")}
    value = {
        "smpl_params_global": {**shared, "global_orient": flat["global_orient"], "transl": flat["transl"]},
        "smpl_params_incam": {**shared, "global_orient": flat["global_orient_incam"], "transl": flat["transl_incam"]},
        "K_fullimg": flat["K_fullimg"],
        "net_outputs": {"anything": [torch.zeros(3)]},
    }  # fmt: skip
    buffer = io.BytesIO()
    torch.save(value, buffer) if saved == "torch" else pickle.dump(value, buffer)
    path = tmp_path / "hmr4d_results.pt"
    path.write_bytes(buffer.getvalue())
    for clip in (0, 1):
        assert torch.equal(load_motion(path, clip=clip).joints, load_motion(write(tmp_path, gvhmr()), clip=clip).joints)


@pytest.mark.parametrize(
    ("arrays", "match"),
    [
        (amass(width=150), r"150\), expected"),
        (amass(trans=np.zeros((5, 3))), r"trans has shape \(5, 3\), expected \(6, 3\)"),
        (amass(poses=np.full((6, 156), np.nan)), "NaN"),
        (amass(poses=np.full((6, 156), 1e300)), "infinite"),
        (amass(poses=np.full((6, 156), "a")), "expected numbers"),
        (amass(poses=np.array([None] * 6)), "expected"),
        (amass(poses=np.zeros((0, 156)), trans=np.zeros((0, 3))), "0 frames"),
        (amass(trans=np.array([[None] * 3] * 6)), "Python objects"),
        (gvhmr() | {"body_pose": np.zeros((5, 62))}, "expected .frames, 63"),
        (gvhmr() | {"transl": np.zeros((4, 3))}, "transl"),
        (gvhmr() | {"K_fullimg": np.zeros((4, 3, 3)), "global_orient": np.zeros((5, 3))}, "K_fullimg"),
        ({"body_pose": np.zeros((5, 63))}, "no motion"),
    ],
)
def test_wrong_parameters_are_named(refused, arrays, match):
    buffer = io.BytesIO()
    np.savez(buffer, **arrays)
    refused(buffer.getvalue(), "params.npz", match)


def test_a_camera_without_focal_length_is_no_camera(tmp_path):
    motion = load_motion(write(tmp_path, gvhmr() | {"K_fullimg": np.zeros((5, 3, 3))}), clip=1)
    assert motion.intrinsics is None and any("no camera" in note for note in motion.notes)

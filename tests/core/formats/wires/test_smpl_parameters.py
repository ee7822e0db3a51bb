"""SMPL_PARAMS under GVHMR's keys: rotations and path go round exactly, in the world and in the camera."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.animation import to_world
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import describe_motions, load_motion
from motion4d.core.formats.wires import from_smpl_params, save_smpl_params, to_smpl_params
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.geometry.similarity import HALF_TURN, transformed
from motion4d.core.types import Frame

SIZE = (480, 640)
WALK = demo_motion("walk", seconds=0.5, fps=20.0)


def filmed(motion=WALK):
    seen = transformed(motion, turn=HALF_TURN, shift=torch.tensor([0.1, 0.9, 3.0]))
    return replace(seen, frame=Frame.CAMERA, intrinsics=motion_capture_intrinsics(SIZE), image_size=SIZE)


def test_the_keys_are_those_of_gvhmr():
    world, _ = to_smpl_params(WALK)
    assert {name: value.shape for name, value in world.items()} == {
        "body_pose": (10, 63), "betas": (10, 10), "global_orient": (10, 3), "transl": (10, 3),
    }  # fmt: skip
    assert all(value.dtype == np.float32 for value in world.values())
    seen, _ = to_smpl_params(filmed())
    assert set(seen) - set(world) == {"global_orient_incam", "transl_incam", "K_fullimg", "img_height", "img_width"}
    assert seen["K_fullimg"].shape == (10, 3, 3) and (int(seen["img_height"]), int(seen["img_width"])) == SIZE


def test_a_world_motion_comes_back_with_its_rotations_path_and_shape():
    shaped = replace(WALK, shape=torch.linspace(-1, 1, 10))
    found = from_smpl_params(to_smpl_params(shaped)[0], fps=20.0)
    assert found.frame is Frame.WORLD
    assert torch.allclose(found.rotations[:, :22], WALK.rotations[:, :22], atol=1e-5)
    assert torch.allclose(found.translation, WALK.translation, atol=1e-6)
    assert torch.allclose(found.joints[:, :22], WALK.joints[:, :22], atol=1e-5)
    assert torch.allclose(found.shape, shaped.shape, atol=1e-6)


def test_a_filmed_motion_comes_back_in_both_spaces():
    params, _ = to_smpl_params(filmed())
    seen = from_smpl_params(params, fps=20.0, space="camera")
    assert seen.frame is Frame.CAMERA and seen.image_size == SIZE and torch.equal(seen.intrinsics, filmed().intrinsics)
    assert torch.allclose(seen.joints[:, :22], filmed().joints[:, :22], atol=1e-5)
    assert torch.allclose(from_smpl_params(params, fps=20.0).joints[:, :22], to_world(filmed()).joints[:, :22], atol=1e-5)


def test_positions_alone_are_solved_for_rotations_and_it_says_so():
    bare = replace(filmed(), rotations=None, translation=None)
    params, notes = to_smpl_params(bare)
    assert any("solved from the joints" in note for note in notes)
    found = from_smpl_params(params, fps=20.0, space="camera")
    assert (found.joints - bare.joints)[:, :22].norm(dim=-1).mean() < 0.01


def test_the_file_is_one_that_the_loader_knows(tmp_path):
    path = tmp_path / "params.npz"
    save_smpl_params(filmed(), path)
    assert [clip.kind for clip in describe_motions(path)] == ["gvhmr", "gvhmr"]
    assert torch.allclose(load_motion(path, clip=1, fps=20.0).joints[:, :22], filmed().joints[:, :22], atol=1e-5)
    with np.load(path, allow_pickle=False) as plain:
        assert set(plain) == set(to_smpl_params(filmed())[0])


def test_half_precision_is_read():
    params = {name: torch.from_numpy(value).bfloat16() for name, value in to_smpl_params(WALK)[0].items()}
    assert torch.allclose(from_smpl_params(params, fps=20.0).joints, WALK.joints, atol=0.03)


def test_other_keys_beside_them_do_not_matter():
    params = to_smpl_params(WALK)[0]
    beside = params | {"poses": np.zeros((10, 72)), "trans": np.zeros((10, 3))}
    assert torch.equal(from_smpl_params(beside, fps=20.0).joints, from_smpl_params(params, fps=20.0).joints)


@pytest.mark.parametrize("convert", [torch.from_numpy, np.ndarray.tolist], ids=["tensors", "lists"])
def test_tensors_and_lists_are_read_like_arrays(convert):
    params = {name: convert(value) for name, value in to_smpl_params(WALK)[0].items()}
    assert torch.allclose(from_smpl_params(params, fps=20.0).joints[:, :22], WALK.joints[:, :22], atol=1e-5)


def test_gvhmrs_own_nested_result_is_read():
    flat, _ = to_smpl_params(filmed())
    nested = {
        "smpl_params_global": {key: flat[key] for key in ("body_pose", "betas", "global_orient", "transl")},
        "smpl_params_incam": {
            "body_pose": flat["body_pose"],
            "betas": flat["betas"],
            "global_orient": flat["global_orient_incam"],
            "transl": flat["transl_incam"],
        },
        "K_fullimg": flat["K_fullimg"],
    }
    for space in ("world", "camera"):
        assert torch.equal(from_smpl_params(nested, fps=20.0, space=space).joints, from_smpl_params(flat, fps=20.0, space=space).joints)


@pytest.mark.parametrize("gone", ["body_pose", "global_orient", "transl"])
def test_a_missing_key_is_named(gone):
    params = {name: value for name, value in to_smpl_params(WALK)[0].items() if name != gone}
    with pytest.raises(ValueError, match=f"SMPL_PARAMS in world space: the key '{gone}' is missing"):
        from_smpl_params(params, fps=20.0)


def test_other_contents_are_refused():
    params, _ = to_smpl_params(WALK)
    with pytest.raises(ValueError, match="'global_orient_incam' is missing"):
        from_smpl_params(params, fps=20.0, space="camera")
    with pytest.raises(ValueError, match=r"transl has shape \(9, 3\)"):
        from_smpl_params(params | {"transl": params["transl"][1:]}, fps=20.0)
    with pytest.raises(ValueError, match="NaN"):
        from_smpl_params(params | {"transl": params["transl"] * np.nan}, fps=20.0)
    with pytest.raises(ValueError, match="space is 'sky'"):
        from_smpl_params(params, fps=20.0, space="sky")
    with pytest.raises(ValueError, match="expected a dictionary"):
        from_smpl_params("file.npz", fps=20.0)

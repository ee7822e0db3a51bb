"""The nodes to and from other packs, on what those hand on."""

import numpy as np
import pytest
import torch
from comfy_api.latest import Types
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.specs import load_spec
from motion4d.core.tiny_models import tiny_checkpoint
from motion4d.core.types import Frame
from motion4d.nodes.loaders.body_model import LoadBodyModel
from motion4d.nodes.loaders.tokenizer import LoadMotionTokenizer
from motion4d.nodes.motion.body import MakeBodyMesh, PoseBodyModel
from motion4d.nodes.motion.bridges import ConvertToKeypoints, ConvertToMotion, ConvertToPeople, ConvertToTokens
from motion4d.nodes.motion.bridges_out import (
    ConvertMotionToNLF,
    ConvertMotionToOpenPose,
    ConvertMotionToSMPL,
    ConvertTokens,
    SaveSMPLParameters,
)
from motion4d.nodes.motion.placement import FitMotionToTokenizer
from motion4d.nodes.motion.tokens import EncodeMotionTokens

WALK = demo_motion("walk", seconds=0.8, fps=20.0)
RIG = orbit_rig([0.0], radius=3.5, image_size=(480, 640), target=(0.0, 0.9, 0.0))
SIZED = {"width": 640, "height": 480}
UNSIZED = {"width": 0, "height": 0}


def run(node, **inputs) -> tuple:
    with torch.inference_mode():
        return node.execute(**inputs).result


def into(pose_data, **changes) -> tuple:
    return run(ConvertToMotion, **({"pose_data": pose_data, "fps": 20.0, "person": 0, "space": "world"} | SIZED | changes))


def test_nlf_poses_go_out_and_come_back_as_a_motion_and_as_people():
    poses, report = run(ConvertMotionToNLF, motion=WALK, view=0, cameras=RIG, motion_2=WALK)
    assert "16 frames for a video of 20 fps" in report
    motion, _ = into(poses, person=1)
    assert torch.allclose(motion.joints, RIG.to_camera(WALK.joints)[0], atol=1e-6) and motion.image_size == (480, 640)
    people, told = run(ConvertToPeople, pose_data=poses, fps=0.0, **SIZED)
    assert people.counts == (2,) * 16 and people.fps == 30.0 and "30 fps assumed" in told
    with pytest.raises(ValueError, match="width and height"):
        run(ConvertToPeople, pose_data=poses, fps=0.0, **UNSIZED)
    with pytest.raises(ValueError, match="give both"):
        into(poses, width=640, height=0)


def test_smpl_parameters_go_out_and_come_back_and_are_saved(host):
    params, report = run(ConvertMotionToSMPL, motion=WALK)
    motion, _ = into(params, **UNSIZED)
    assert "16 frames of 20 fps" in report and torch.allclose(motion.joints[:, :22], WALK.joints[:, :22], atol=1e-5)
    path, _ = run(SaveSMPLParameters, motion=WALK, filename_prefix="a/smpl")
    assert path == str((host.output / "a" / "smpl_00001_.npz").resolve())
    assert torch.allclose(load_motion(path, fps=20.0).joints, motion.joints)


def test_keypoints_go_out_and_come_back():
    (keypoints,) = run(ConvertMotionToOpenPose, motion=WALK, view=0, cameras=RIG)
    found, report = run(ConvertToKeypoints, pose_keypoint=keypoints, person=0)
    assert found.pixels.shape == (1, 16, 18, 2) and report == "16 frames of 640x480, the person in 16 of them, 100% of all joints"


def test_tokens_go_out_and_come_back(host):
    from safetensors.torch import save_file

    spec = load_spec("4dmot")
    path = host.models[0] / spec.folder / "tiny.safetensors"
    path.parent.mkdir(parents=True)
    save_file(tiny_checkpoint(spec), path)
    (tokenizer,) = run(LoadMotionTokenizer, file="tiny.safetensors")
    fitted = run(FitMotionToTokenizer, motion=WALK, tokenizer=tokenizer, fit_stature=True, fill_gaps=True)[0]
    tokens = run(EncodeMotionTokens, motion=fitted, tokenizer=tokenizer, length="pad")[0]
    (payload,) = run(ConvertTokens, tokens=tokens, tokenizer=tokenizer)
    assert payload["mtv_motion_tokens"].shape == (1, *tokens.tokens.shape)
    found, report = run(ConvertToTokens, mtvcrafter_motion=payload, tokenizer=tokenizer, fps=20.0)
    assert torch.equal(found.indices, tokens.indices) and torch.equal(found.tokens, tokens.tokens) and found.frames == tokens.frames
    assert "note: 16 frames, all that the tokens decode to" in report


@pytest.fixture
def body_model(host, body_model_arrays):
    folder = host.models[0] / "smpl"
    folder.mkdir(parents=True)
    np.savez(folder / "SMPL_NEUTRAL.npz", **body_model_arrays())
    return run(LoadBodyModel, file="SMPL_NEUTRAL.npz")


def test_a_body_model_is_offered_loaded_and_posed(body_model):
    model, report = body_model
    assert LoadBodyModel.GET_SCHEMA().inputs[0].options == ["SMPL_NEUTRAL.npz"]
    assert report == "SMPL of SMPL_NEUTRAL.npz: 60 vertices, 40 faces, 24 joints, 10 betas"
    motion, told = run(PoseBodyModel, body_model=model, motion=WALK)
    assert motion.frames == WALK.frames and torch.equal(motion.joints[:, 0], WALK.translation) and "its mean shape" in told


def test_a_mesh_stands_where_the_motion_is(body_model):
    pytest.importorskip("smplx")
    model, _ = body_model
    (mesh,) = run(MakeBodyMesh, body_model=model, motion=WALK, frame=3)
    assert isinstance(mesh, Types.MESH) and mesh.vertices.shape == (1, 60, 3) and mesh.faces.shape == (1, 40, 3)
    (later,) = run(MakeBodyMesh, body_model=model, motion=WALK, frame=4)
    assert (later.vertices - mesh.vertices).abs().max() < 1.0 and not torch.equal(later.vertices, mesh.vertices)
    with pytest.raises(ValueError, match="frame is 16, the motion has 16"):
        run(MakeBodyMesh, body_model=model, motion=WALK, frame=16)


def test_without_a_file_the_official_names_are_offered_and_the_error_says_where_they_come_from(host):
    assert "SMPL_NEUTRAL.pkl" in LoadBodyModel.GET_SCHEMA().inputs[0].options
    with pytest.raises(FileNotFoundError, match=r"smpl\.is\.tue\.mpg\.de"):
        run(LoadBodyModel, file="SMPL_NEUTRAL.pkl")


def test_sam_3d_body_says_that_it_is_unverified():
    joints = np.zeros((127, 3), np.float32)
    joints[:, 1] = np.linspace(0, 1, 127)
    person = {"pred_joint_coords": joints, "pred_cam_t": np.array([0, 0, 3.0]), "focal_length": 500.0}
    motion, report = into({"frames": [[person]] * 3, "image_size": (480, 640)}, **UNSIZED)
    assert motion.frame is Frame.CAMERA and "unverified" in report and "unverified" in ConvertToMotion.GET_SCHEMA().description

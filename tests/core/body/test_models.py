"""Body models: joints and vertices against the package smplx, and motions on their bones."""

import contextlib
import io
import sys
from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.models import FAMILY, chained_joints, pose_model
from motion4d.core.formats.body_models import load_body_model
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation

TIPS = ["nose", "reye", "leye", "rear", "lear", "LBigToe", "LSmallToe", "LHeel", "RBigToe", "RSmallToe", "RHeel"]
TIPS += [side + tip for side in "lr" for tip in ("thumb", "index", "middle", "ring", "pinky")]


@pytest.fixture(params=[24, 52, 55])
def model(request, tmp_path, body_model_arrays):
    np.savez(tmp_path / "model.npz", **body_model_arrays(request.param))
    return load_body_model(tmp_path / "model.npz")


def pose(joints: int, frames: int = 5, seed: int = 1):
    generator = torch.Generator().manual_seed(seed)
    rotvecs = 0.4 * torch.randn(frames, joints, 3, generator=generator)
    return rotvecs, torch.randn(frames, 3, generator=generator), torch.randn(10, generator=generator)


def naive_vertices(model, rotations, transl, betas):
    """Shape, pose and skin one vertex at a time, in float64 (Loper et al. 2015, equations 2 to 9)."""
    template = model.template.double() + model.shapes.double() @ betas.double()
    rest = model.regressor.double() @ template
    vertices = []
    for turns, shift in zip(rotations.double(), transl.double(), strict=True):
        posed = template + model.poses.double() @ (turns[1:] - torch.eye(3)).reshape(-1)
        moves = []
        for joint, parent in enumerate(model.skeleton.parents):
            move = torch.eye(4, dtype=torch.float64)
            move[:3, :3] = turns[joint]
            move[:3, 3] = rest[joint] - (rest[parent] if parent >= 0 else 0)
            moves.append(move if parent < 0 else moves[parent] @ move)
        away = torch.stack([move[:3, 3] - move[:3, :3] @ at for move, at in zip(moves, rest, strict=True)])
        turned = torch.stack([move[:3, :3] for move in moves])
        vertices.append(
            torch.stack(
                [
                    sum(w * (r @ v + t) for w, r, t in zip(weights, turned, away, strict=True))
                    for weights, v in zip(model.weights.double(), posed, strict=True)
                ]
            )
            + shift
        )
    return torch.stack(vertices)


def test_joints_are_those_of_smplx(tmp_path, body_model_arrays):
    smplx = pytest.importorskip("smplx")
    from smplx.utils import Struct

    arrays = body_model_arrays()
    np.savez(tmp_path / "model.npz", **arrays)
    ours = load_body_model(tmp_path / "model.npz")
    with contextlib.redirect_stdout(io.StringIO()):
        theirs = smplx.SMPL("", data_struct=Struct(**arrays), vertex_ids=dict.fromkeys(TIPS, 0), batch_size=5)
    rotvecs, transl, betas = pose(24)
    with torch.no_grad():
        expected = theirs(betas=betas.expand(5, 10), body_pose=rotvecs[:, 1:].flatten(1), global_orient=rotvecs[:, 0], transl=transl)
    rotations, path = rotvec_to_matrix(rotvecs), transl + ours.root(betas)
    assert (ours.joints(rotations, path, betas) - expected.joints[:, :24]).abs().max() < 2e-6
    assert (ours.vertices(rotations, path, betas) - expected.vertices).abs().max() < 2e-6


def test_vertices_are_those_of_a_naive_twin(model):
    pytest.importorskip("smplx")
    rotvecs, transl, betas = pose(len(model.skeleton.names), frames=2)
    rotations, done = rotvec_to_matrix(rotvecs), []
    found = model.vertices(rotations, transl + model.root(betas), betas, advance=done.append)
    assert (found - naive_vertices(model, rotations, transl, betas)).abs().max() < 1e-5
    assert sum(done) == 2


def test_chunks_do_not_show(model, monkeypatch):
    pytest.importorskip("smplx")
    from motion4d.core.body import models

    rotvecs, transl, betas = pose(len(model.skeleton.names))
    whole = model.vertices(rotvec_to_matrix(rotvecs), transl, betas)
    monkeypatch.setattr(models, "_CHUNK", 2)
    assert torch.allclose(model.vertices(rotvec_to_matrix(rotvecs), transl, betas), whole, atol=1e-6)


def test_without_smplx_the_mesh_says_what_to_install_and_joints_need_nothing(model, monkeypatch):
    monkeypatch.setitem(sys.modules, "smplx", None)
    monkeypatch.setitem(sys.modules, "smplx.lbs", None)
    rotvecs, transl, _ = pose(len(model.skeleton.names))
    with pytest.raises(ImportError, match="pip install smplx"):
        model.vertices(rotvec_to_matrix(rotvecs), transl)
    assert model.joints(rotvec_to_matrix(rotvecs), transl).shape == (5, len(model.skeleton.names), 3)


def test_bone_after_bone_is_level_by_level():
    for skeleton in (SMPL24, SMPLX55):
        rotvecs, path, _ = pose(len(skeleton.names), frames=7)
        animation = Animation(rotations=rotvec_to_matrix(rotvecs), translation=path, fps=30.0, rig=skeleton)
        found = chained_joints(animation.rotations, path, skeleton.rest, skeleton.parents)
        assert torch.allclose(found, forward(animation).joints, atol=1e-6)


def test_at_rest_the_body_stands_on_the_floor_with_the_bones_of_its_shape(model):
    betas = torch.linspace(-1, 1, 10)
    skeleton = model.rest_skeleton(betas)
    still = torch.eye(3).expand(1, len(skeleton.names), 3, 3)
    assert torch.allclose(model.joints(still, skeleton.rest[:1], betas)[0], skeleton.rest, atol=1e-6)
    shaped = model.template + model.shapes @ betas
    assert torch.allclose(
        skeleton.rest - model.rest_joints(betas), torch.tensor([0.0, -float(shaped[:, 1].min()), 0.0]).expand_as(skeleton.rest), atol=1e-6
    )
    assert not torch.allclose(model.rest_joints(betas), model.rest_joints())


def test_a_posed_motion_keeps_rotations_and_path_on_other_bones(model):
    walk = demo_motion("walk", seconds=0.4, fps=20.0)
    found = pose_model(model, walk)
    names = found.skeleton.names
    assert (len(names), found.frames, found.fps, found.frame) == (len(model.skeleton.names), walk.frames, walk.fps, walk.frame)
    assert torch.equal(found.joints[:, 0], walk.translation)
    assert torch.equal(found.rotations[:, :22], walk.rotations[:, :22])
    lengths = torch.stack([(found.joints[:, child] - found.joints[:, parent]).norm(dim=-1) for child, parent in found.skeleton.bones])
    rest = torch.stack([(found.skeleton.rest[child] - found.skeleton.rest[parent]).norm() for child, parent in found.skeleton.bones])
    assert torch.allclose(lengths, rest[:, None].expand_as(lengths), atol=1e-5)
    assert "mean shape" in found.notes[-1] and "its betas" in pose_model(model, walk, shape=torch.ones(10)).notes[-1]


def test_a_motion_of_smpl_x_fits_smpl(tmp_path, body_model_arrays):
    np.savez(tmp_path / "model.npz", **body_model_arrays(24))
    walk = demo_motion("walk", seconds=0.4, fps=20.0)
    rotations = torch.eye(3).repeat(walk.frames, 55, 1, 1)
    rotations[:, :22] = walk.rotations[:, :22]
    whole = forward(Animation(rotations=rotations, translation=walk.translation, fps=20.0, rig=SMPLX55))
    found = pose_model(load_body_model(tmp_path / "model.npz"), whole)
    assert len(found.skeleton.names) == 24 and torch.equal(found.rotations[:, :22], walk.rotations[:, :22])


def test_frames_without_anybody_stay_so_and_positions_alone_are_refused(model):
    walk = demo_motion("walk", seconds=0.4, fps=20.0)
    confidence = walk.confidence.clone()
    confidence[3] = 0
    found = pose_model(model, replace(walk, confidence=confidence))
    assert (~found.seen.any(-1)).nonzero().flatten().tolist() == [3]
    with pytest.raises(ValueError, match="no rotations"):
        pose_model(model, replace(walk, rotations=None))
    flat = replace(walk, joints=walk.joints[:, :17], confidence=walk.confidence[:, :17], rotations=walk.rotations[:, :17], skeleton=COCO17)
    with pytest.raises(ValueError, match="17 joints"):
        pose_model(model, flat)


def test_smpl_h_is_smpl_x_without_jaw_and_eyes():
    names = FAMILY[52][1].names
    assert set(SMPLX55.names) - set(names) == {"jaw", "left_eye", "right_eye"} and len(names) == 52

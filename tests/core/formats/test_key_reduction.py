"""Reduced keys against what a player makes of them, frame by frame."""

import numpy as np
import pytest
import torch
from motion4d.core.formats import load_animation, load_rig
from motion4d.core.formats.glb_writer import animated_glb
from motion4d.core.formats.key_reduction import KeyTolerance, kept_frames, reduce_keys, slerp
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Animation
from scipy.spatial.transform import Rotation, Slerp


def smooth(generator, *, frames=60, rig=SMPL24):
    """Slow waves in every joint and along the path."""
    joints = len(rig.names)
    phase, speed = (torch.randn(joints, 3, generator=generator) for _ in range(2))
    at = torch.arange(frames)[:, None, None] / 30
    turns = rotvec_to_matrix(torch.sin(phase + speed * 3 * at))
    path = torch.stack([at[:, 0, 0], torch.sin(4 * at[:, 0, 0]), 0 * at[:, 0, 0]], 1)
    return Animation(rotations=turns, translation=path, fps=30.0, rig=rig)


def angles(one, other):
    turn = one.double().mT @ other.double()
    return torch.rad2deg(torch.acos(((turn.diagonal(dim1=-2, dim2=-1).sum(-1) - 1) / 2).clamp(-1, 1)))


@pytest.mark.parametrize(("degrees", "metres"), [(0.05, 1.0), (1.0, 1.0), (5.0, 0.002), (30.0, 10.0)])
def test_the_bound_holds_at_every_frame(generator, tmp_path, validate, degrees, metres):
    """By an independent slerp on the kept keys for the turns, and by playing the written file for the places."""
    animation, tolerance = smooth(generator), KeyTolerance(degrees=degrees, metres=metres)
    keys = reduce_keys(animation, tolerance)
    for joint, kept in enumerate(keys.rotations):
        turns = Rotation.from_matrix(animation.rotations[:, joint].double().numpy())
        played = Slerp(kept, turns[kept])(np.arange(60)) if len(kept) > 1 else Rotation.from_quat(np.tile(turns[kept].as_quat(), (60, 1)))
        assert np.degrees((played.inv() * turns).magnitude()).max() <= degrees + 1e-4
    (tmp_path / "out.glb").write_bytes(animated_glb(animation, tolerance=tolerance))
    again = load_animation(tmp_path / "out.glb", fps=30)
    assert len(again.rotations) == 60
    assert angles(again.rotations, animation.rotations).max() <= degrees + 0.05  # acos in float32 input
    assert (forward(again).joints - forward(animation).joints).norm(dim=-1).max() <= metres + 1e-5
    assert keys.count < 25 * 60 * (0.5 if degrees >= 1 and metres >= 1 else 0.95)
    result = validate(tmp_path / "out.glb")
    assert result.returncode == 0, result.stderr


def test_the_fox_within_a_degree(reference, tmp_path):
    rig = load_rig(reference("data", "fox.glb"))
    survey = load_animation(rig, 0)
    full, fewer = animated_glb(survey), animated_glb(survey, tolerance=KeyTolerance(degrees=1.0, metres=1.0))
    (tmp_path / "out.glb").write_bytes(fewer)
    again = load_animation(tmp_path / "out.glb", 3, fps=24)
    assert angles(again.rotations, survey.rotations).max() <= 1.05
    assert (forward(again).joints - forward(survey).joints).norm(dim=-1).max() <= 1.001
    assert len(fewer) - len(rig.binary) < 0.5 * (len(full) - len(rig.binary))


def test_still_joints_keep_one_key_and_steady_ones_two():
    frames = 21
    turns = torch.eye(3).repeat(frames, 24, 1, 1)
    turns[:, 3] = rotvec_to_matrix(torch.linspace(0, 2.5, frames)[:, None] * torch.tensor([0.0, 0.6, 0.8]))
    path = torch.linspace(0, 1, frames)[:, None] * torch.tensor([1.0, 2, 3])
    keys = reduce_keys(Animation(rotations=turns, translation=path, fps=30.0, rig=SMPL24), KeyTolerance(degrees=0.01, metres=1e-4))
    assert [len(kept) for kept in keys.rotations] == [1, 1, 1, 2] + [1] * 20
    assert keys.translations[0].tolist() == [0, 20]


def test_a_clip_of_a_still_figure_keeps_its_length(tmp_path):
    still = Animation(rotations=torch.eye(3).repeat(31, 24, 1, 1), translation=torch.zeros(31, 3), fps=30.0, rig=SMPL24)
    (tmp_path / "a.glb").write_bytes(animated_glb(still, tolerance=KeyTolerance()))
    assert len(load_animation(tmp_path / "a.glb", fps=30).rotations) == 31


def test_spins_are_not_cut_short():
    """Three turns in 60 frames: keys further apart than half a turn would lead back."""
    turns = torch.eye(3).repeat(61, 24, 1, 1)
    turns[:, 0] = rotvec_to_matrix(torch.linspace(0, 6 * torch.pi, 61)[:, None] * torch.tensor([0.0, 1.0, 0.0]))
    keys = reduce_keys(Animation(rotations=turns, translation=torch.zeros(61, 3), fps=30.0, rig=SMPL24), KeyTolerance(degrees=1, metres=1))
    assert 6 < len(keys.rotations[0]) and np.diff(keys.rotations[0]).max() < 10


def test_a_placed_joint_is_reduced_like_a_root(generator, tmp_path):
    moved = smooth(generator)
    places = forward(moved).joints[:, [1]] + 0.2 * torch.sin(torch.arange(60) / 9)[:, None, None]
    animation = Animation(rotations=moved.rotations, translation=moved.translation, fps=30.0, rig=SMPL24, placed=(1,), places=places)
    tolerance = KeyTolerance(degrees=2.0, metres=0.01)
    keys = reduce_keys(animation, tolerance)
    assert set(keys.translations) == {0, 1} and len(keys.translations[1]) < 60
    (tmp_path / "out.glb").write_bytes(animated_glb(animation, tolerance=tolerance))
    again = load_animation(tmp_path / "out.glb", fps=30)
    assert (forward(again).joints - forward(animation).joints).norm(dim=-1).max() <= 0.01 + 1e-5


def test_slerp_agrees_with_scipy():
    draw = np.random.default_rng(0)
    for size in (2.0, 0.3, 1e-4, 1e-8):
        first = Rotation.random(random_state=draw)
        second = Rotation.from_rotvec(size * draw.normal(size=3) / 2) * first
        u = np.linspace(0, 1, 7)
        found = Rotation.from_quat(slerp(first.as_quat(), -second.as_quat(), u))
        expected = Slerp([0, 1], Rotation.concatenate([first, second]))(u)
        assert (found.inv() * expected).magnitude().max() < 1e-7


def test_kept_frames_of_one_frame_and_of_a_corner():
    track = np.array([0.0, 0, 0, 1, 2, 3])

    def error(first, last):
        if first == last:
            return np.abs(track - track[first])
        return np.abs(track[first + 1 : last] - np.interp(np.arange(first + 1, last), [first, last], [track[first], track[last]]))

    assert kept_frames(error, 6, 1e-9).tolist() == [0, 2, 5]
    assert kept_frames(error, 1, 1e-9).tolist() == [0]


@pytest.mark.parametrize("values", [{"degrees": 0}, {"metres": -1}, {"degrees": float("nan")}])
def test_tolerances_are_above_zero(values):
    with pytest.raises(ValueError, match="above 0"):
        KeyTolerance(**values)

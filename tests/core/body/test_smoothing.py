"""Noise goes, strikes stay, bones keep their length, rotations keep leading to the joints."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gait import ease
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.measurements import bone_distances
from motion4d.core.body.smoothing import CHAINS, chain_of, smooth
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation, Motion

STRIKER = (19, 21, 23)  # elbow, wrist and hand of the right arm


def striking(action: str, fps: float) -> Motion:
    """Someone who, in the middle of something else, strikes 0.6 m ahead in 0.2 s: 5.6 m/s at most."""
    motion = demo_motion(action, seconds=4.0, fps=fps)
    time = torch.arange(motion.frames, dtype=torch.float64) / fps
    strike = 0.6 * (ease((time - 1.6) / 0.2) - ease((time - 1.85) / 0.32))
    joints = motion.joints.clone()
    for joint, share in zip(STRIKER, (0.5, 1.0, 1.0), strict=True):
        joints[:, joint, 2] += share * strike.float()
    return replace(motion, joints=joints, rotations=None, translation=None)


def noise(motion: Motion, millimetres: float, seed: int = 0) -> torch.Tensor:
    return torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(seed)) * millimetres / 1000


def peak(motion: Motion) -> torch.Tensor:
    return motion.joints[:, 21].diff(dim=0).norm(dim=-1).max() * motion.fps


@pytest.mark.parametrize("fps", [30.0, 60.0])
@pytest.mark.parametrize("millimetres", [2.0, 5.0, 10.0])
def test_noise_goes_and_a_strike_stays(fps, millimetres):
    clean = striking("wave", fps)
    added = noise(clean, millimetres)
    result = smooth(replace(clean, joints=clean.joints + added), seconds=0.25)
    left = (result.joints - clean.joints).square().sum() / added.square().sum()
    assert left < 0.3
    assert 0.95 < peak(result) / peak(clean) < 1.1


@pytest.mark.parametrize("fps", [24.0, 30.0, 60.0])
@pytest.mark.parametrize("millimetres", [2.0, 10.0, 20.0])
def test_even_the_steps_of_a_walk_are_never_made_worse(fps, millimetres):
    clean = striking("walk", fps)
    added = noise(clean, millimetres)
    result = smooth(replace(clean, joints=clean.joints + added), seconds=0.25)
    left = (result.joints - clean.joints).square().sum() / added.square().sum()
    assert left < {2.0: 1.0, 10.0: 0.5, 20.0: 0.4}[millimetres]


def test_one_width_for_all_kills_the_strike_that_adapting_keeps():
    clean = striking("wave", 30.0)
    noisy = replace(clean, joints=clean.joints + noise(clean, 5.0))
    assert peak(smooth(noisy, seconds=0.25, adaptive=False)) < 0.75 * peak(clean)
    assert peak(smooth(noisy, seconds=0.25)) > 0.95 * peak(clean)


def test_the_frame_rate_does_not_matter():
    """The same clip, with the same slow tremble, at 30 and 60 fps."""
    results = []
    for fps in (30.0, 60.0):
        clean = striking("wave", fps)
        time = torch.arange(clean.frames)[:, None, None] / fps
        phase = torch.randn(1, 24, 3, generator=torch.Generator().manual_seed(3)) * 3
        shaken = replace(clean, joints=clean.joints + 0.005 * torch.sin(40.0 * time + phase))
        results.append(smooth(shaken, seconds=0.25).joints)
    apart = (results[1][::2] - results[0]).norm(dim=-1)[4:-4]
    assert apart.mean() < 0.001 and apart.quantile(0.99) < 0.008


def test_rotations_are_smoothed_and_lead_to_the_joints(generator):
    clean = demo_motion("wave", seconds=4.0)
    turns = clean.rotations @ rotvec_to_matrix(0.05 * torch.randn(120, 24, 3, generator=generator))
    root = clean.translation + 0.01 * torch.randn(120, 3, generator=generator)
    noisy = forward(Animation(rotations=turns, translation=root, fps=30.0, rig=clean.skeleton))
    result = smooth(noisy, seconds=0.25)
    assert is_posed(result)
    assert torch.allclose(bone_distances(result).nan_to_num(), bone_distances(clean).nan_to_num(), atol=1e-5)
    left = (result.joints - clean.joints).square().sum() / (noisy.joints - clean.joints).square().sum()
    assert left < 0.3
    turned = (result.rotations - clean.rotations).square().sum() / (noisy.rotations - clean.rotations).square().sum()
    assert turned < 0.35
    assert torch.allclose(result.rotations @ result.rotations.mT, torch.eye(3).expand(120, 24, 3, 3), atol=1e-5)


def test_rotations_that_do_not_lead_to_the_joints_are_smoothed_beside_them(generator):
    clean = demo_motion("wave", seconds=2.0)
    other = replace(
        clean,
        joints=clean.joints * 1.1 + noise(clean, 5.0),
        rotations=clean.rotations @ rotvec_to_matrix(0.05 * torch.randn(60, 24, 3, generator=generator)),
    )
    result = smooth(other, seconds=0.25)
    alone = smooth(replace(other, rotations=None, translation=None), seconds=0.25)
    assert torch.equal(result.joints, alone.joints)
    assert (result.rotations - clean.rotations).norm() < 0.6 * (other.rotations - clean.rotations).norm()
    assert torch.allclose(result.translation - other.translation, result.joints[:, 0] - other.joints[:, 0], atol=1e-5)


def test_bones_that_are_constant_stay_so_without_rotations():
    clean = demo_motion("tour", seconds=4.0)
    positions = replace(clean, rotations=None, translation=None)
    result = smooth(positions, seconds=0.5)
    assert not torch.equal(result.joints, clean.joints)
    assert torch.allclose(bone_distances(result).nan_to_num(), bone_distances(clean).nan_to_num(), atol=1e-5)


@pytest.mark.parametrize("posed", [True, False])
def test_what_is_missing_stays_missing_and_gives_nothing(posed):
    motion = demo_motion("walk", seconds=2.0)
    motion = motion if posed else replace(motion, rotations=None, translation=None, joints=motion.joints + noise(motion, 5.0))
    confidence, joints = motion.confidence.clone(), motion.joints.clone()
    confidence[20:30], joints[20:30] = 0.0, torch.nan
    confidence[40:44, 22], joints[40:44, 22] = 0.0, torch.nan
    gappy = replace(motion, joints=joints, confidence=confidence)
    result = smooth(gappy, seconds=0.25)
    assert result.seen.equal(gappy.seen) and result.joints[~gappy.seen].isnan().all() and torch.isfinite(result.joints[gappy.seen]).all()
    before = smooth(gappy.cut(0, 20), seconds=0.25)
    assert torch.allclose(before.joints, result.joints[:20], atol=1e-5)


def test_chains_have_their_own_strength():
    motion = demo_motion("walk", seconds=2.0)
    motion = replace(motion, rotations=None, translation=None, joints=motion.joints + noise(motion, 5.0))
    chains = chain_of(SMPL24)
    result = smooth(motion, seconds=0.25, chains={"torso": 0.0, "legs": 0.0, "head": 0.0, "arms": 0.0})
    changed = (result.joints - motion.joints).norm(dim=-1).amax(0) > 1e-6
    assert changed.tolist() == [chain == "hands" for chain in chains]
    assert smooth(motion, seconds=0.25, chains=dict.fromkeys(CHAINS, 0.0)) is motion
    double = smooth(motion, seconds=0.25, chains=dict.fromkeys(CHAINS, 2.0))
    assert torch.equal(double.joints, smooth(motion, seconds=0.5).joints)


def test_joints_know_their_chain():
    for skeleton in (SMPL24, SMPLX55, COCO17):
        chains = dict(zip(skeleton.names, chain_of(skeleton), strict=True))
        assert chains["left_wrist"] == "arms" and chains["right_knee"] == "legs" and set(chains.values()) <= set(CHAINS)
    assert dict(zip(SMPLX55.names, chain_of(SMPLX55), strict=True))["left_index2"] == "hands"
    assert [name for name, chain in zip(SMPL24.names, chain_of(SMPL24), strict=True) if chain == "torso"] == [
        "pelvis", "spine1", "spine2", "spine3", "left_collar", "right_collar",
    ]  # fmt: skip


def test_nothing_to_do_is_nothing_done():
    motion = demo_motion("walk", seconds=1.0)
    assert smooth(motion, seconds=0.0) is motion
    assert smooth(motion.cut(0, 2), seconds=0.2).joints.equal(motion.joints[:2])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seconds": -0.1}, "seconds is -0.1"),
        ({"seconds": 3.0}, "seconds is 3.0"),
        ({"seconds": 0.1, "chains": {"tail": 1.0}}, "chains has tail: expected torso"),
        ({"seconds": 0.1, "chains": {"arms": -1.0}}, "the factor of arms is -1.0"),
    ],
)
def test_what_makes_no_sense_is_refused(options, message):
    with pytest.raises(ValueError, match=message):
        smooth(demo_motion("walk", seconds=1.0), **options)

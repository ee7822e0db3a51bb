"""A real rig with its own animations: positions come back exactly, rotations where positions show them."""

import pytest
import torch
from motion4d.core.formats import load_rig
from motion4d.core.formats.rig_animation import load_animation
from motion4d.core.geometry.ik import TWISTS, solve_rotations
from motion4d.core.geometry.kinematics import forward, world_rotations
from motion4d.core.geometry.rotations import matrix_to_rotvec

HEIGHT = 78.0  # its unit is the centimetre
CLIPS = ("Survey", "Walk", "Run")


@pytest.fixture
def fox(reference):
    return load_rig(reference("data", "fox.glb"))


def errors(found, known):
    """(T, J) degrees between world rotations of the joints that carry others."""
    parents = known.skeleton.parents
    inner = [joint for joint, below in enumerate(known.skeleton.children) if below and joint > 1]  # two roots in one place show nothing
    turns = (world_rotations(part.rotations.double(), parents)[:, inner] for part in (found, known))
    first, second = turns
    return torch.rad2deg(matrix_to_rotvec(first.mT @ second).norm(dim=-1))


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("clip", range(3), ids=CLIPS)
def test_the_fox_is_reached_in_its_own_animations(fox, clip, twist):
    known = load_animation(fox, clip)
    motion = forward(known)
    found = solve_rotations(motion, fox, twist=twist)
    # Its hips leave the root bone on the floor, and nothing else leaves its parent.
    assert [fox.skeleton.names[joint] for joint in found.placed] == ["b_Hip_01"]
    assert (forward(found).joints - motion.joints).norm(dim=-1).max() < 2e-5 * HEIGHT
    off = errors(found, known)
    hips = off[:, 0]
    assert hips.max() < 0.1  # many children settle it
    assert off.mean() < (0.3, 1.5, 4)[clip]


def test_a_fit_is_nearer_to_the_rotations_under_noise(fox, generator):
    known = load_animation(fox, 0)
    motion = forward(known)
    joints = motion.joints + 0.5 * torch.randn(motion.joints.shape, generator=generator)
    noisy = type(motion)(joints=joints, confidence=motion.confidence, skeleton=fox.skeleton, fps=motion.fps, frame=motion.frame)
    once, fitted = (solve_rotations(noisy, fox, twist=twist) for twist in ("inherit", "optimise"))
    assert errors(fitted, known).mean() < errors(once, known).mean()
    assert (fitted.residual.square().sum(1) <= once.residual.square().sum(1) * 1.0001).all()

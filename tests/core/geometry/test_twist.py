import math

import pytest
import torch
from motion4d.core.geometry.rotations import align_vectors, matrix_to_rotvec, rotvec_to_matrix
from motion4d.core.geometry.twist import carried_twist, foreseen_twist, hold

BONE = torch.tensor([0.0, -0.4, 0.0], dtype=torch.float64)
ABOUT_Y = torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)


def degrees(a, b):
    return torch.rad2deg(matrix_to_rotvec(a.mT @ b).norm(dim=-1))


def spinless(generator, frames=200):
    """Turns (T, 3, 3) that never spin about the bone: small turns across it, one after the other."""
    turns = [torch.eye(3, dtype=torch.float64)]
    for step in 0.2 * torch.randn(frames - 1, 3, generator=generator, dtype=torch.float64):
        axis = turns[-1] @ BONE / BONE.norm()
        turns.append(rotvec_to_matrix(step - (step @ axis) * axis) @ turns[-1])
    return torch.stack(turns)


def test_a_bone_that_never_spins_gets_its_turns_back_from_its_directions(generator):
    known = spinless(generator)
    swing = align_vectors(BONE.expand(200, 3), known @ BONE)
    found = carried_twist(swing, BONE)
    assert torch.allclose(found @ BONE, known @ BONE, atol=1e-12)
    assert degrees(found, known).max() < 1e-5
    assert degrees(swing, known).max() > 60  # what the smallest swing from rest makes of it


def test_what_is_carried_does_not_depend_on_the_twist_it_starts_with(generator):
    known = spinless(generator, 40)
    spun = known @ rotvec_to_matrix(torch.randn(40, 1, generator=generator, dtype=torch.float64) * ABOUT_Y)
    spun[0] = known[0]
    assert degrees(carried_twist(spun, BONE), known).max() < 1e-5
    assert torch.equal(carried_twist(known[:1], BONE), known[:1])


def test_carrying_agrees_with_going_through_the_frames(generator):
    known = spinless(generator, 50) @ rotvec_to_matrix(torch.randn(50, 1, generator=generator, dtype=torch.float64) * ABOUT_Y)
    turn, expected = known[0], [known[0]]
    for frame in range(1, 50):
        turn = align_vectors(turn @ BONE, known[frame] @ BONE) @ turn
        expected.append(turn)
    assert torch.allclose(carried_twist(known, BONE), torch.stack(expected), atol=1e-9)


def hinge(angles):
    """An upper arm twisted by 70 degrees and an elbow that bends by `angles` beyond its 30 degrees at rest."""
    ahead = rotvec_to_matrix(torch.tensor([math.radians(30), 0, 0], dtype=torch.float64)) @ BONE
    upper = rotvec_to_matrix(torch.tensor([0.4, 0.0, -0.9], dtype=torch.float64)) @ rotvec_to_matrix(math.radians(70) * ABOUT_Y)
    bend = rotvec_to_matrix(torch.stack([angles, 0 * angles, 0 * angles], -1))
    return upper.expand(len(angles), 3, 3), ahead, upper @ bend @ ahead


def test_a_hinge_tells_how_the_bone_before_it_is_twisted():
    known, ahead, target = hinge(torch.linspace(0, 1.5, 20, dtype=torch.float64))
    swing = align_vectors(BONE.expand(20, 3), known @ BONE)
    found = foreseen_twist(swing, BONE, ahead[None], target[:, None], torch.ones(20, 1, dtype=torch.bool))
    assert degrees(found, known).max() < 1e-6
    assert degrees(swing, known).min() > 50


@pytest.mark.parametrize("gap", ["straight", "missing"])
def test_frames_in_which_the_limb_tells_nothing_are_led_over(gap):
    angles = torch.linspace(0.2, 1.0, 21, dtype=torch.float64)
    seen = torch.ones(21, 1, dtype=torch.bool)
    if gap == "straight":
        angles[8:12] = -math.radians(30)
    else:
        seen[8:12] = False
    known, ahead, target = hinge(angles)
    swing = align_vectors(BONE.expand(21, 3), known @ BONE)
    assert degrees(foreseen_twist(swing, BONE, ahead[None], target[:, None], seen), known).max() < 1e-6
    untold = foreseen_twist(swing, BONE, ahead[None], target[:, None], torch.zeros(21, 1, dtype=torch.bool))
    assert torch.allclose(untold, swing, atol=1e-12)


def test_a_gap_is_crossed_on_the_shorter_way():
    angles = torch.tensor([3.0, 0.0, 0.0, -3.0], dtype=torch.float64)  # through half a turn, not back through 0
    ahead = torch.tensor([[0.3, -0.4, 0.0]], dtype=torch.float64)
    turns = rotvec_to_matrix(angles[:, None] * ABOUT_Y)
    target = torch.einsum("tij,gj->tgi", turns, ahead)
    found = foreseen_twist(torch.eye(3, dtype=torch.float64).expand(4, 3, 3), BONE, ahead, target, torch.tensor([[1], [0], [0], [1]]) > 0)
    steps = degrees(found[1:], found[:-1])
    assert torch.allclose(steps, steps[0].expand(3), atol=1e-9) and steps[0] < 6


def test_missing_rows_are_held():
    track = torch.arange(5.0)[:, None]
    assert hold(track, torch.tensor([False, True, False, False, True]))[:, 0].tolist() == [1, 1, 1, 1, 4]
    assert torch.equal(hold(track, torch.zeros(5, dtype=torch.bool)), track)

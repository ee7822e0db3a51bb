"""World, camera and floor: there and back exactly, and feet that stand level."""

import math
from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import is_posed
from motion4d.core.body.spaces import convert_space, from_camera, ground, to_camera
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import orbit_rig, own_camera
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.similarity import transformed
from motion4d.core.types import Frame, Motion, Skeleton


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=2.16, fps=30.0)


@pytest.fixture(scope="module")
def rig():
    return orbit_rig([20.0, 140.0], elevation_deg=25.0, radius=5.0, image_size=(480, 640), target=(0.0, 1.0, 0.0))


@lru_cache
def authored(action: str) -> Motion:
    return demo_motion(action, seconds=3.0, fps=30.0)


def tilted(motion: Motion, degrees: float, about: tuple[float, float] = (0.8, 0.6)) -> tuple[Motion, torch.Tensor]:
    """The motion turned about a level axis (x, z), and the turn."""
    turn = rotvec_to_matrix(math.radians(degrees) * torch.tensor([about[0], 0.0, about[1]], dtype=torch.float64))
    return transformed(motion, turn=turn, shift=torch.tensor([0.3, 0.5, -1.0])), turn


def remaining_tilt(before: Motion, after: Motion, turn: torch.Tensor) -> float:
    """Degrees between the vertical and where the true vertical has gone, from the rigid move between the two motions."""
    a, b = (motion.joints.reshape(-1, 3).double() for motion in (before, after))
    move = torch.linalg.lstsq(a - a.mean(0), b - b.mean(0)).solution.T
    up = move @ turn @ torch.tensor([0.0, 1.0, 0.0], dtype=torch.float64)
    return math.degrees(math.acos(min(1.0, float(up[1]))))


@pytest.mark.parametrize("view", [0, 1])
def test_before_a_camera_and_back_nothing_changes(walk, rig, view):
    seen = to_camera(walk, rig, view=view)
    back = from_camera(seen, rig, view=view)
    assert torch.allclose(back.joints, walk.joints, atol=2e-6) and torch.allclose(back.rotations, walk.rotations, atol=2e-6)
    assert torch.allclose(back.translation, walk.translation, atol=2e-6)
    assert back.frame is Frame.WORLD and back.intrinsics is None and is_posed(seen) and is_posed(back)


def test_the_motion_is_where_the_camera_sees_it_and_knows_its_camera(walk, rig):
    seen = to_camera(walk, rig, view=1)
    assert seen.frame is Frame.CAMERA and seen.image_size == (480, 640) and torch.equal(seen.intrinsics, rig.intrinsics[1])
    pixels, depth = rig.project(walk.joints)
    own_pixels, own_depth = own_camera(seen).project(seen.joints)
    assert torch.allclose(own_pixels[0], pixels[1], atol=1e-2) and torch.allclose(own_depth[0], depth[1], atol=1e-5)


def test_missing_joints_stay_missing(walk, rig):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[3:5, 7], confidence[3:5, 7] = torch.nan, 0.0
    seen = to_camera(replace(walk, joints=joints, confidence=confidence), rig)
    assert torch.equal(seen.joints.isnan().any(-1), confidence == 0)
    assert torch.isfinite(ground(seen).joints[confidence > 0]).all()


def test_a_level_floor_stays_where_it_is(walk):
    level = ground(walk)
    assert (level.joints - walk.joints).norm(dim=-1).max() < 1e-3 and "turned by 0.0 degrees" in level.notes[-1]


@pytest.mark.parametrize("degrees", [4.0, -12.0])
@pytest.mark.parametrize("action", ["walk", "tour", "turn"])
def test_a_tilted_floor_becomes_level_again(action, degrees):
    motion = authored(action)
    leaning, turn = tilted(motion, degrees)
    level = ground(leaning)
    doubt = 0.25 if action == "turn" else 0.1  # on the spot a tilt shows less
    assert remaining_tilt(leaning, level, turn) < doubt * abs(degrees)
    assert level.joints[:, [10, 11], 1].amin() == pytest.approx(0.022, abs=0.03), "the balls of the feet stand over y = 0"
    assert is_posed(level)


def test_trembling_does_not_hide_the_floor(generator):
    motion = demo_motion("walk", seconds=4.0, fps=30.0)
    leaning, turn = tilted(motion, 10.0)
    noise = 0.008 * torch.randn(leaning.joints.shape, generator=generator)
    noisy = replace(leaning, joints=leaning.joints + noise, rotations=None, translation=None)
    assert remaining_tilt(noisy, ground(noisy), turn) < 2.0


def test_a_foot_held_in_the_air_does_not_tilt_the_floor(walk):
    stand = demo_motion("wave", seconds=4.0, fps=30.0)
    joints = stand.joints.clone()
    joints[40:80, [7, 10], 1] += 0.4
    lifted = replace(stand, joints=joints, rotations=None, translation=None)
    level = ground(lifted)
    assert (level.joints - joints).norm(dim=-1).max() < 0.03


def test_without_a_standing_foot_nothing_is_guessed(walk):
    flying = replace(walk, joints=walk.joints + torch.arange(walk.frames)[:, None, None] * 0.05, rotations=None, translation=None)
    assert torch.equal(ground(flying).joints, flying.joints) and "no foot ever stands still" in ground(flying).notes[-1]


def test_a_real_dance_comes_to_stand_on_the_floor(reference):
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1)
    level = ground(motion)
    assert level.frame is Frame.WORLD and "footholds" in level.notes[-1]
    assert level.joints[:, 15, 1].median() > 1.2 and level.joints[:, [10, 11], 1].amin(-1).median().abs() < 0.06


def test_spaces_go_by_name(walk, rig):
    seen = convert_space(walk, "camera", rig=rig, view=1)
    assert torch.allclose(convert_space(seen, "world", rig=rig, view=1).joints, walk.joints, atol=2e-6)
    assumed = convert_space(seen, "world")
    assert assumed.frame is Frame.WORLD and "camera taken as level" in assumed.notes[-1]
    assert convert_space(walk, "world", rig=rig) is walk
    assert (convert_space(seen, "ground", rig=rig, view=1).joints - walk.joints).norm(dim=-1).max() < 2e-3


def test_what_cannot_be_converted_is_refused(walk, rig):
    seen = to_camera(walk, rig)
    cases = [
        (lambda: to_camera(seen, rig), "axes of a camera already"), (lambda: from_camera(walk, rig), "world axes already"),
        (lambda: to_camera(walk, rig, view=2), "the rig has 2"), (lambda: convert_space(walk, "camera"), "connect `cameras`"),
        (lambda: convert_space(walk, "moon"), "expected one of world, camera, ground"),
    ]  # fmt: skip
    for attempt, reason in cases:
        with pytest.raises(ValueError, match=reason):
            attempt()
    blob = Motion(
        joints=torch.zeros(3, 1, 3),
        confidence=torch.ones(3, 1),
        skeleton=Skeleton(names=("a",), parents=(-1,), mirror=(0,)),
        fps=30.0,
        frame=Frame.WORLD,
    )
    with pytest.raises(ValueError, match="left_ankle"):
        ground(blob)

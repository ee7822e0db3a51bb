"""The unit of the world plays no part, from pose maps to rotations: powers of two change no bit, other factors only the rounding."""

from dataclasses import replace

import pytest
import torch
from motion4d.benchmarks.made_rigs import height_of, lively, quadruped
from motion4d.benchmarks.pose_maps import cameras_around, scaled
from motion4d.core.geometry.ik import METHODS, TWISTS, solve_rotations
from motion4d.core.geometry.triangulation import LENGTHS, triangulate
from motion4d.core.maps.pose_maps import auto_radius, draw_pose_maps, read_again
from motion4d.core.types import Keypoints


@pytest.fixture(scope="module")
def motion():
    return lively(quadruped(), seconds=0.5, fps=16.0)


def there_and_back(motion):
    """Pixels as drawn, keypoints as read, and joints as triangulated with each choice of bone lengths, in units of the height."""
    cameras = cameras_around(motion)
    drawn = draw_pose_maps(motion, cameras, radius=auto_radius(motion, cameras))
    found = read_again(drawn.images, drawn)
    ways = {how: triangulate(found, cameras, motion.skeleton, bone_lengths=how, fps=motion.fps) for how in LENGTHS}
    return drawn, found, {how: way.motion.joints.double() / height_of(motion.skeleton) for how, way in ways.items()}


@pytest.fixture(scope="module")
def plain(motion):
    return there_and_back(motion)


@pytest.mark.parametrize("factor", [2.0**-10, 2.0**10])
def test_powers_of_two_change_no_bit(motion, plain, factor):
    drawn, found, joints = there_and_back(scaled(motion, factor))
    assert drawn.radius == plain[0].radius and torch.equal(drawn.images, plain[0].images)
    assert torch.equal(found.confidence, plain[1].confidence)
    for how in LENGTHS:
        assert torch.equal(joints[how], plain[2][how])


@pytest.mark.parametrize("factor", [1e-3, 1e3])
def test_other_factors_change_only_the_rounding(motion, plain, factor):
    drawn, found, joints = there_and_back(scaled(motion, factor))
    assert (drawn.keypoints.pixels - plain[0].keypoints.pixels).abs().nan_to_num().max() < 1e-3
    assert (drawn.images - plain[0].images).abs().max() < 1e-3
    assert (found.seen == plain[1].seen).float().mean() > 0.995
    for how in LENGTHS:
        assert (joints[how] - plain[2][how]).norm(dim=-1).mean() < 2e-5


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
def test_gaps_are_filled_alike_in_every_unit(motion, factor):
    cameras, generator = cameras_around(motion), torch.Generator().manual_seed(0)
    pixels = cameras.project(motion.joints)[0]
    confidence = (torch.rand(pixels.shape[:3], generator=generator) < 0.7).float()
    confidence[:, :, -1] = 0
    keypoints = Keypoints(pixels=pixels, confidence=confidence, image_size=cameras.image_size)
    pose = cameras.world_to_camera * torch.tensor([1.0, 1.0, 1.0, factor])
    one = triangulate(keypoints, cameras, motion.skeleton)
    other = triangulate(keypoints, replace(cameras, world_to_camera=pose), scaled(motion, factor).skeleton)
    assert torch.equal(one.motion.joints * factor, other.motion.joints) and torch.equal(one.deviation * factor, other.deviation)
    assert torch.equal(one.motion.confidence, other.motion.confidence)


@pytest.mark.parametrize("factor", [2.0**-20, 2.0**20])
@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("method", METHODS)
def test_rotations_are_the_same_in_every_unit(motion, factor, twist, method):
    noisy = motion.joints + 0.01 * torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(0))
    asked = replace(motion, joints=noisy, rotations=None, translation=None)
    large = scaled(asked, factor)
    one, other = (solve_rotations(each, each.skeleton, twist=twist, method=method) for each in (asked, large))
    assert torch.equal(one.rotations, other.rotations) and torch.equal(one.residual * factor, other.residual)

"""Trees of 1, 2 and 500 joints, wide and deep, the whole way from keypoints to a file; none and too many are refused in words."""

import time

import pytest
import torch
from motion4d.core.formats import load_rig, save_animation
from motion4d.core.formats.rig_animation import load_animation
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.ik import METHODS, TWISTS, solve_rotations
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.triangulation import triangulate
from motion4d.core.maps.pose_maps import draw_pose_maps, read_pose_maps
from motion4d.core.types import Frame, Keypoints, Motion, Skeleton

RIG = orbit_rig([20.0, 110.0, 200.0, 290.0], radius=3.5, image_size=(512, 512), focal_px=550.0, target=(0.0, 1.0, 0.0))


def tree(kind, joints):
    """A chain along a helix, or a star, about two metres high."""
    along = torch.linspace(0, 1, joints)
    if kind == "deep":
        parents = range(-1, joints - 1)
        rest = torch.stack([0.4 * (9 * along).cos(), 2 * along, 0.4 * (9 * along).sin()], 1)
    else:
        parents = [-1, *[0] * (joints - 1)]
        rest = torch.stack([(80 * along).cos() * along, 2 * along, (80 * along).sin() * along], 1)
    return Skeleton(names=[f"j{n}" for n in range(joints)], parents=parents, mirror=range(joints), rest=rest)


def moving(skeleton, frames=6):
    path = torch.linspace(0, 0.1, frames)[:, None, None] * torch.tensor([1.0, 0.0, 0.5])
    joints = skeleton.rest + path
    return Motion(joints=joints, confidence=torch.ones(joints.shape[:2]), skeleton=skeleton, fps=30.0, frame=Frame.WORLD)


def keypoints_of(motion, noise):
    pixels = RIG.project(motion.joints)[0]
    pixels = pixels + noise * torch.randn(pixels.shape, generator=torch.Generator().manual_seed(0))
    return Keypoints(pixels=pixels, confidence=torch.ones(pixels.shape[:3]), image_size=RIG.image_size)


@pytest.fixture
def one_thread():
    """Threads that wait for each other count as busy where something else wants the processor too."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.mark.parametrize(("kind", "joints"), [("deep", 1), ("deep", 2), ("wide", 3), ("deep", 500), ("wide", 500)])
def test_trees_of_any_size_go_the_whole_way(kind, joints, one_thread, tmp_path):
    motion = moving(tree(kind, joints))
    start = time.process_time()
    found = triangulate(keypoints_of(motion, 0.5), RIG, motion.skeleton).motion
    animation = solve_rotations(found, motion.skeleton)
    assert time.process_time() - start < 20  # a chain of 500 takes 1.5 s, without care for its depth 20 s
    assert (found.joints - motion.joints).norm(dim=-1).mean() < 5e-3
    assert animation.residual.max() < 0.1
    save_animation(animation, tmp_path / "tree.glb")
    played = forward(load_animation(load_rig(tmp_path / "tree.glb")))
    assert torch.allclose(played.joints, forward(animation).joints, atol=2e-3)


@pytest.mark.parametrize("twist", TWISTS)
@pytest.mark.parametrize("method", METHODS)
def test_rounding_does_not_grow_along_a_long_chain(twist, method):
    motion = moving(tree("deep", 200), frames=3)
    noisy = motion.joints + 0.002 * torch.randn(motion.joints.shape, generator=torch.Generator().manual_seed(1))
    turns = solve_rotations(Motion(**{**vars(motion), "joints": noisy.double()}), motion.skeleton, twist=twist, method=method).rotations
    assert (turns @ turns.mT - torch.eye(3)).abs().max() < 1e-12


@pytest.mark.parametrize("joints", [1, 2, 200])
def test_pose_maps_of_up_to_200_joints_are_drawn_and_read(joints):
    motion = moving(tree("wide", joints), frames=1)
    drawn = draw_pose_maps(motion, RIG.take_views([0]), radius=4)
    read = read_pose_maps(drawn.images, drawn.palette, radius=4, skeleton=motion.skeleton)
    assert read.pixels.shape == (1, 1, joints, 2)
    off = (read.pixels - drawn.keypoints.pixels).norm(dim=-1)[read.seen]
    assert len(off) >= 0.5 * joints and off.median() < 0.5


def test_more_joints_than_colours_are_refused():
    motion = moving(tree("wide", 201), frames=1)
    with pytest.raises(ValueError, match=r"201.*1 to 200"):
        draw_pose_maps(motion, RIG)


def test_no_joints_are_refused():
    with pytest.raises(ValueError, match="joint"):
        Skeleton(names=(), parents=(), mirror=())
    with pytest.raises(ValueError, match="0 joints"):
        Keypoints(pixels=torch.zeros(2, 1, 0, 2), confidence=torch.zeros(2, 1, 0), image_size=(8, 8))

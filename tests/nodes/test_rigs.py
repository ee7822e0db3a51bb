"""Solve Skeleton runs on rigs and on skeletons by name, and says what it reached."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.formats import load_rig
from motion4d.core.formats.rig_animation import load_animation
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.ik import TWISTS
from motion4d.core.geometry.kinematics import forward
from motion4d.core.skeletons import COCO17
from motion4d.core.types import Frame, Motion
from motion4d.nodes.motion.rigs import SolveSkeleton

GIVEN = {"skeleton": "of the motion", "twist": "inherit", "method": "direct", "aim": "positions", "size": "keep"}


def run(motion, **inputs):
    with torch.inference_mode():
        return SolveSkeleton.execute(motion=motion, **{**GIVEN, **inputs}).result


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.5, fps=20.0)


@pytest.mark.parametrize("twist", TWISTS)
def test_a_walk_is_solved_on_its_own_skeleton(walk, twist, host):
    animation, motion, report = run(walk, twist=twist)
    assert animation.rig is walk.skeleton
    assert (motion.joints - walk.joints).norm(dim=-1).max() < 2e-5
    assert report.startswith("10 frames at 20 fps, 24 joints")


def test_skeletons_by_name_take_the_size_of_the_person_or_keep_theirs(walk, host):
    child = demo_motion("walk", seconds=0.5, fps=20.0, stature=1.2)
    own, _, _ = run(child, skeleton="smplx55", size="fit")
    kept, _, _ = run(child, skeleton="smplx55", size="keep")
    assert len(own.skeleton.names) == 55 and own.residual.nanmean() < 0.01
    assert torch.isfinite(kept.rotations).all()
    keypoints = Motion(joints=walk.joints[:, :17], confidence=torch.ones(10, 17), skeleton=COCO17, fps=20.0, frame=Frame.WORLD)
    animation, _, _ = run(keypoints)
    assert len(animation.skeleton.names) == 17 and animation.skeleton.rest is not None


def test_a_rig_is_moved_by_its_joints_whatever_their_order_and_unit(reference, host):
    fox = load_rig(reference("data", "fox.glb"))
    known = forward(load_animation(fox, 1))
    cameras = orbit_rig([0.0, 90.0], radius=400.0, image_size=(480, 832), target=(0.0, 40.0, 0.0))
    animation, motion, report = run(known, rig=fox, cameras=cameras)
    assert animation.rig is fox and (motion.joints - known.joints).norm(dim=-1).max() < 2e-3
    assert "moved by themselves: b_Hip_01" in report and "pixels" in report
    metres = Motion(joints=known.joints / 100, confidence=known.confidence, skeleton=known.skeleton, fps=known.fps, frame=Frame.WORLD)
    fitted, again, report = run(metres, rig=fox, size="fit")
    assert (again.joints - known.joints).norm(dim=-1).max() < 0.5 and "multiplied by" in report
    assert torch.allclose(fitted.rotations, animation.rotations, atol=2e-2)


def test_a_rig_of_other_joints_is_refused(walk, reference, host):
    fox = load_rig(reference("data", "fox.glb"))
    with pytest.raises(ValueError, match=r"the motion has pelvis.*the rig has _rootJoint"):
        run(walk, rig=fox)

"""Cameras placed around a motion see all of it."""

import pytest
import torch
from motion4d.core.body.framing import frame_motion
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame, Motion


def travelling(generator) -> Motion:
    joints = SMPL24.rest + torch.cumsum(torch.randn(40, 1, 3, generator=generator) * torch.tensor([0.1, 0.0, 0.1]), 0)
    return Motion(joints=joints, confidence=torch.ones(40, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)


@pytest.mark.parametrize("size", [(768, 512), (256, 640)])
@pytest.mark.parametrize("elevation", [0.0, 30.0, -20.0])
def test_every_joint_of_every_frame_is_in_every_picture(generator, size, elevation):
    motion = travelling(generator)
    rig = frame_motion(motion, views=6, image_size=size, elevation_deg=elevation)
    pixels, depth = rig.project(motion.joints)
    assert rig.closed and (depth > 0).all()
    assert (pixels > 0).all() and (pixels < torch.tensor(size[::-1])).all()


def test_a_margin_of_one_nearly_fills_the_picture(generator):
    motion = travelling(generator).cut(0, 1)
    pixels, _ = frame_motion(motion, views=1, image_size=(512, 512), margin=1.0).project(motion.joints)
    assert 0.6 * 512 < float(pixels[..., 1].max() - pixels[..., 1].min()) < 512


def test_missing_joints_do_not_count(generator):
    motion = travelling(generator)
    joints, confidence = motion.joints.clone(), motion.confidence.clone()
    joints[3, 4], confidence[3, 4] = torch.nan, 0.0
    joints[5, 6], confidence[5, 6] = 100.0, 0.0
    holed = Motion(joints=joints, confidence=confidence, skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    full = frame_motion(motion, views=1, image_size=(64, 64))
    assert torch.allclose(frame_motion(holed, views=1, image_size=(64, 64)).centers, full.centers, atol=0.2)
    nothing = Motion(joints=joints, confidence=torch.zeros_like(confidence), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    with pytest.raises(ValueError, match="nothing to look at"):
        frame_motion(nothing, views=1, image_size=(64, 64))


def test_an_arc_ends_with_a_camera():
    motion = Motion(joints=SMPL24.rest[None], confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD)
    rig = frame_motion(motion, views=3, image_size=(64, 64), arc_deg=90.0)
    offsets = rig.centers - (SMPL24.rest.amin(0) + SMPL24.rest.amax(0)) / 2
    assert not rig.closed
    assert torch.allclose(torch.rad2deg(torch.atan2(offsets[:, 0], offsets[:, 2])), torch.tensor([0.0, 45.0, 90.0]), atol=1e-3)


def test_a_filmed_motion_keeps_the_proportions_of_its_video():
    size = (1080, 604)
    motion = Motion(
        joints=SMPL24.rest[None] * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([0.0, 1.0, 3.0]), confidence=torch.ones(1, 24), skeleton=SMPL24,
        fps=30.0, frame=Frame.CAMERA, intrinsics=motion_capture_intrinsics(size), image_size=size,
    )  # fmt: skip
    rig = frame_motion(motion, views=4, image_size=(768, 512), keep_own_camera=True)
    assert rig.views == 1 and rig.image_size == (768, 432)
    pixels, _ = rig.project(motion.joints)
    full, _ = frame_motion(motion, views=1, image_size=(1080, 1080), keep_own_camera=True).project(motion.joints)
    assert torch.allclose(pixels / torch.tensor([432.0, 768.0]), full / torch.tensor([608.0, 1080.0]), atol=1e-5)
    with pytest.raises(ValueError, match="keep_own_camera"):
        frame_motion(motion, views=4, image_size=(768, 512))


def test_no_view_is_refused(generator):
    with pytest.raises(ValueError, match="expected at least one view"):
        frame_motion(travelling(generator), views=0, image_size=(64, 64))

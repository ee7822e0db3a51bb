"""Pose maps as nodes: from a motion to pictures and, through the triangulation, back to the motion."""

import pytest
import torch
from motion4d.benchmarks.made_rigs import height_of, lively, quadruped
from motion4d.benchmarks.pose_maps import cameras_around
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import Rig
from motion4d.nodes.motion.pose_maps import DrawPoseMaps, ReadPoseMaps
from motion4d.nodes.motion.triangulation import TriangulateJoints

DRAWN = {"radius": 0.0, "bone_width": 5.0, "order": "depth", "detail": False}


def test_a_quadruped_goes_out_and_comes_back(host):
    motion = lively(quadruped(), seconds=0.4, fps=16)
    cameras = cameras_around(motion)
    images, maps, mask, detail, report = DrawPoseMaps.execute(motion, cameras=cameras, **DRAWN).args
    assert images.shape == detail.shape == (24, 480, 832, 3) and mask.shape == (24, 480, 832)
    assert (detail == 1).all() and (images[mask == 0] == 1).all() and 0.002 < mask.mean() < 0.1
    assert "4 views of 6 frames of 832 x 480 pixels, 25 joints" in report
    keypoints, overlay, report = ReadPoseMaps.execute(images, maps, 0, True).args
    assert overlay.shape == images.shape and "from where they were drawn" in report
    joints = len(motion.skeleton.names)
    eyes = torch.eye(4).repeat(joints, 1, 1)
    rig = Rig(skeleton=motion.skeleton, rest=eyes, inverse_bind=eyes, joint_nodes=range(joints), document={}, binary=b"")
    again = TriangulateJoints.execute(keypoints, cameras, "smpl24", "rest pose", 1.0, 16.0, rig=rig).args[0]
    assert (again.joints - motion.joints).norm(dim=-1).mean() < 0.0015 * height_of(motion.skeleton)


def test_one_frame_as_a_template_tells_how_to_read_a_clip_of_other_views(host):
    motion = lively(SMPL24, seconds=0.3, fps=16)
    cameras = cameras_around(motion)
    template = DrawPoseMaps.execute(motion.cut(0, 1), cameras=cameras, **(DRAWN | {"radius": 5.0})).args[1]
    images, maps, *_ = DrawPoseMaps.execute(motion, cameras=cameras.take_views([0, 2]), **(DRAWN | {"radius": 5.0})).args
    keypoints, _, report = ReadPoseMaps.execute(images, template, 2, True).args
    assert keypoints.pixels.shape[:2] == (2, 5) and "from where" not in report
    assert (keypoints.pixels - maps.keypoints.pixels).norm(dim=-1)[keypoints.seen].quantile(0.95) < 0.5


def test_fingers_are_read_from_the_detail_pictures(host):
    motion = lively(SMPLX55, seconds=0.1, fps=16)
    images, maps, _, detail, report = DrawPoseMaps.execute(motion, cameras=cameras_around(motion), **(DRAWN | {"detail": True})).args
    assert "15 joints at left_wrist" in report and (detail < 1).any()
    with_detail, without = (ReadPoseMaps.execute(images, maps, 0, True, large).args[0] for large in (detail, None))
    assert with_detail.seen.float().mean() > 0.8 and without.seen[:, :, 25:].float().mean() == 0
    plain = DrawPoseMaps.execute(motion, cameras=cameras_around(motion), **DRAWN).args
    assert ReadPoseMaps.execute(plain[0], plain[1], 0, True, plain[3]).args[0].seen.float().mean() > 0.4


def test_pictures_that_are_not_of_so_many_views_are_refused(host):
    motion = lively(SMPL24, seconds=0.1, fps=16)
    images, maps, *_ = DrawPoseMaps.execute(motion, cameras=cameras_around(motion), **DRAWN).args
    with pytest.raises(ValueError, match="images: 7 pictures are not of 4 views"):
        ReadPoseMaps.execute(images[:7], maps, 0, True)

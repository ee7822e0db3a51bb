import numpy as np
import pytest
import torch
from motion4d.core.body.openpose import openpose_joints
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.maps.drawing import draw_skeleton
from motion4d.core.skeletons import COCO17, OPENPOSE18, SMPL24
from motion4d.core.types import Frame, Motion

# Hues of OpenPose's 18 keypoints, once round the circle in steps of 20 degrees, and the limbs in the order of its drawing.
JOINTS = {"nose": (255, 0, 0), "right_shoulder": (255, 170, 0), "left_elbow": (0, 255, 0), "left_wrist": (0, 255, 85), "right_knee": (0, 255, 255), "left_ankle": (85, 0, 255)}  # fmt: skip
LIMBS = {
    ("neck", "right_shoulder"): (255, 0, 0), ("right_shoulder", "right_elbow"): (255, 170, 0), ("left_elbow", "left_wrist"): (85, 255, 0),
    ("right_knee", "right_ankle"): (0, 255, 170), ("left_hip", "left_knee"): (0, 170, 255), ("neck", "nose"): (0, 0, 255),
}  # fmt: skip


def resting(**fields):
    return Motion(joints=SMPL24.rest[None], confidence=torch.ones(1, 24), skeleton=SMPL24, fps=30.0, frame=Frame.WORLD, **fields)


def front():
    return orbit_rig([0.0], radius=3.0, image_size=(512, 512), focal_px=700.0, target=(0, 0.86, 0))


def test_joints_and_limbs_have_openpose_s_colours():
    motion, rig = resting(), front()
    picture = (draw_skeleton(motion, rig, style="openpose")[0, 0] * 255).round().int()
    body = openpose_joints(motion)
    pixels = rig.project(body.joints)[0][0, 0]
    for name, colour in JOINTS.items():
        x, y = pixels[OPENPOSE18.index(name)].int().tolist()
        assert tuple(picture[y, x].tolist()) == colour, name
    for (a, b), colour in LIMBS.items():
        x, y = ((pixels[OPENPOSE18.index(a)] + pixels[OPENPOSE18.index(b)]) / 2).int().tolist()
        assert tuple(picture[y, x].tolist()) == tuple(int(0.6 * part) for part in colour), (a, b)
    assert 0.003 < (picture.amax(-1) > 0).float().mean() < 0.1


def test_limbs_are_four_pixels_to_each_side_of_their_axis():
    rig = front()
    picture = draw_skeleton(resting(), rig, style="openpose")[0, 0]
    pixels = rig.project(openpose_joints(resting()).joints)[0][0, 0]
    knee, ankle = pixels[OPENPOSE18.index("left_knee")], pixels[OPENPOSE18.index("left_ankle")]
    row = int((knee[1] + ankle[1]) / 2)
    half = slice(int(knee[0]) - 30, int(knee[0]) + 30)
    assert int((picture[row, half].amax(-1) > 0).sum()) in (8, 9, 10)


def test_its_own_joints_are_drawn_as_they_are():
    motion, rig = resting(), front()
    own = openpose_joints(motion)
    assert torch.equal(draw_skeleton(own, rig, style="openpose"), draw_skeleton(motion, rig, style="openpose"))


def test_other_joints_are_refused():
    other = Motion(joints=torch.zeros(1, 17, 3), confidence=torch.ones(1, 17), skeleton=COCO17, fps=30.0, frame=Frame.WORLD)
    with pytest.raises(ValueError, match="Convert Skeleton"):
        draw_skeleton(other, front(), style="openpose")


def test_a_background_stays_where_nothing_is_drawn():
    plain, over = (
        draw_skeleton(resting(), front(), style="openpose", background=background)
        for background in (None, torch.full((1, 512, 512, 3), 1.0))
    )
    empty = plain.amax(-1) == 0
    assert (over[empty] == 1).all() and np.allclose(over[~empty], plain[~empty])

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.spaces import from_camera
from motion4d.core.estimators.gathering import gather
from motion4d.core.estimators.selection import in_order
from motion4d.core.estimators.tracking import motions_of, track
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.skeletons import COCO17


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=1.0, fps=20.0)


@pytest.fixture(scope="module")
def wave():
    return demo_motion("wave", seconds=1.5, fps=20.0)


def test_motions_come_back_as_they_were_gathered(walk, wave):
    rig = orbit_rig([30.0], radius=6.0, image_size=(480, 640), vertical_fov_deg=45.0, target=(0, 1, 0))
    people = gather([walk, wave], spacing=1.2, rig=rig)
    assert people.counts == (2,) * 20 + (1,) * 10
    back = motions_of(people, in_order(people, track(people)))
    for motion, one, aside in zip(back, (walk, wave), (-0.6, 0.6), strict=True):
        world = from_camera(motion.cut(0, one.frames), rig)
        assert torch.allclose(world.joints, one.joints + torch.tensor([aside, 0, 0]), atol=1e-5)
        assert torch.allclose(world.rotations, one.rotations, atol=1e-5)
    assert not back[0].seen[20:].any() and "absent in frames 20-29" in back[0].notes[-1]


def test_without_a_camera_one_in_front_holds_everybody(walk, wave):
    people = gather([walk, wave, walk], spacing=1.0, image_size=(300, 500))
    assert people.image_size == (300, 500)
    for frame in people.frames:
        assert (frame.boxes[:, :2] > 0).all() and (frame.boxes[:, 2] < 500).all() and (frame.boxes[:, 3] < 300).all()
    assert (people.frames[0].boxes[:, 0].diff() > 0).all()  # from left to right


def test_filmed_motions_keep_their_camera_and_missing_people(walk, wave):
    rig = orbit_rig([0.0], radius=6.0, image_size=(480, 640), vertical_fov_deg=45.0, target=(0, 1, 0))
    first, second = motions_of(filmed := gather([walk, wave], spacing=1.0, rig=rig), track(filmed))
    again = gather([first, second])
    assert torch.equal(again.intrinsics, rig.intrinsics[0]) and again.counts == filmed.counts
    assert torch.equal(again.frames[3].joints, torch.stack([first.joints[3], second.joints[3]]))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda motion: replace(motion, fps=25.0), "25 fps, the first 20"),
        (lambda motion: replace(motion, joints=motion.joints[:, :17], confidence=motion.confidence[:, :17], skeleton=COCO17, rotations=None), "SMPL's 24"),
    ],
)  # fmt: skip
def test_what_does_not_go_together_is_refused(walk, wave, change, message):
    with pytest.raises(ValueError, match=message):
        gather([walk, change(wave)])


def test_no_motions_and_spacing_of_filmed_ones_are_refused(walk, wave):
    with pytest.raises(ValueError, match="no motion to gather"):
        gather([])
    filmed = gather([walk])
    (motion,) = motions_of(filmed, track(filmed))
    with pytest.raises(ValueError, match="spacing to 0"):
        gather([motion], spacing=1.0)
    with pytest.raises(ValueError, match="camera space, the first in world"):
        gather([walk, motion])
    with pytest.raises(ValueError, match="another camera"):
        gather([motion, replace(motion, image_size=(9, 9))])

from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.rig_matching import match_joints, motion_on, size_ratio, solving_report
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.ik import solve_rotations
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import Frame, Motion, Skeleton

MIXAMO = ("Hips", "LeftUpLeg", "RightUpLeg", "Spine", "LeftLeg", "RightLeg", "Spine1", "LeftFoot", "RightFoot", "Spine2", "LeftToeBase")


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.5, fps=20.0)


def renamed(names, skeleton=SMPL24):
    count = len(names)
    return Skeleton(names=names, parents=skeleton.parents[:count], mirror=tuple(range(count)), rest=skeleton.rest[:count])


def test_joints_are_put_in_the_order_of_the_rig(walk):
    order = [0, 3, 2, 1, *range(4, 24)]
    rows = {old: new for new, old in enumerate(order)}
    other = Skeleton(
        names=tuple(SMPL24.names[j] for j in order), parents=tuple(-1 if SMPL24.parents[j] < 0 else rows[SMPL24.parents[j]] for j in order),
        mirror=tuple(range(24)), rest=SMPL24.rest[order],
    )  # fmt: skip
    found = match_joints(walk, other)
    assert torch.equal(found.joints, walk.joints[:, order]) and found.rotations is None and found.skeleton is other


@pytest.mark.parametrize(
    "names",
    [
        tuple(f"Armature|{name.upper().replace('_', '.')}" for name in SMPL24.names[:11]),
        tuple(f"mixamorig:{name}" for name in MIXAMO),
        tuple(f"mixamorig9:{name}" for name in MIXAMO),
    ],
    ids=["prefix", "mixamo", "numbered"],
)
def test_names_are_matched_without_prefix_and_as_mixamos(walk, names):
    found = match_joints(walk, renamed(names))
    assert torch.equal(found.joints, walk.joints[:, :11])
    assert "the rig lacks 13 joints of the motion" in found.notes[-1]


VRM = {
    "hips": "pelvis", "spine": "spine1", "chest": "spine2", "upperChest": "spine3", "neck": "neck", "head": "head", "leftUpperLeg": "left_hip",
    "leftLowerLeg": "left_knee", "leftFoot": "left_ankle", "leftToes": "left_foot", "rightShoulder": "right_collar", "rightUpperArm": "right_shoulder",
    "rightLowerArm": "right_elbow", "rightHand": "right_wrist", "leftLittleIntermediate": "left_pinky2", "rightIndexDistal": "right_index3",
}  # fmt: skip
THUMBS = {
    "0.x": {"leftThumbProximal": "left_thumb1", "leftThumbIntermediate": "left_thumb2", "leftThumbDistal": "left_thumb3"},
    "1.0": {"leftThumbMetacarpal": "left_thumb1", "leftThumbProximal": "left_thumb2", "leftThumbDistal": "left_thumb3"},
}


@pytest.mark.parametrize("version", THUMBS)
def test_the_human_bones_of_a_vrm_are_those_of_smpl(generator, version):
    names = VRM | THUMBS[version]
    rows = [SMPLX55.index(name) for name in names.values()]
    vrm = Skeleton(names=(*names, "hairJoint"), parents=(-1,) * (len(rows) + 1), mirror=tuple(range(len(rows) + 1)))
    joints = torch.randn(3, 55, 3, generator=generator)
    motion = Motion(joints=joints, confidence=torch.ones(3, 55), skeleton=SMPLX55, fps=30.0, frame=Frame.WORLD)
    found = match_joints(motion, vrm)
    assert torch.equal(found.joints[:, :-1], joints[:, rows]) and (found.confidence[:, -1] == 0).all()
    assert torch.equal(match_joints(found, SMPLX55).joints[:, rows], joints[:, rows])


def test_what_the_motion_lacks_is_missing_and_named(walk):
    found = match_joints(walk, SMPLX55)
    lacking = [name not in SMPL24.names for name in SMPLX55.names]
    assert (found.confidence[:, lacking] == 0).all() and found.joints[:, lacking].isnan().all()
    assert f"lacks {sum(lacking)} joints of the rig: jaw" in " ".join(found.notes)
    animation = solve_rotations(found, SMPLX55)
    assert torch.isfinite(animation.rotations).all()
    assert f"{sum(lacking) * walk.frames} joint positions are missing" in solving_report(animation, found)


def test_other_joints_are_refused_with_both_lists(walk):
    names = tuple(f"bone {n}" for n in range(24))
    with pytest.raises(ValueError, match=r"only 0 of .* pelvis, left_hip.* bone 0, bone 1.*and 12 more"):
        match_joints(walk, renamed(names))


def test_a_motion_is_brought_to_the_size_of_the_rig(walk):
    large = replace(SMPL24, rest=SMPL24.rest * 100)
    ratio = size_ratio(replace(walk, skeleton=large, rotations=None, translation=None))
    own = size_ratio(replace(walk, skeleton=SMPL24, rotations=None, translation=None))
    assert ratio == pytest.approx(100 * own, rel=1e-5)
    grown = motion_on(walk, large, fit_size=True)
    assert torch.allclose(grown.joints, walk.joints * ratio, rtol=1e-5)
    assert torch.equal(motion_on(walk, large, fit_size=False).joints, walk.joints)


def test_the_report_tells_millimetres_pixels_and_the_worst_joint(walk):
    off = walk.joints.clone()
    off[:, 20] += torch.tensor([0.0, 0.1, 0.0])
    motion = replace(walk, joints=off, rotations=None, translation=None)
    animation = solve_rotations(motion, walk.skeleton)
    cameras = orbit_rig([0.0, 90.0], radius=4.0, image_size=(480, 640), target=(0.0, 1.0, 0.0))
    report = solving_report(animation, motion, cameras)
    largest = 1000 * float(animation.residual.max())
    assert f"largest {largest:.3g} mm" in report and "pixels" in report and 1 < largest < 200
    assert "furthest on average: left_" in report

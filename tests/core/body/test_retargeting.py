"""Another body for a motion: its lengths, the same directions, and feet that stay where they are planted."""

from dataclasses import replace
from functools import lru_cache

import pytest
import torch
from motion4d.core.body.contacts import detect_contacts, foot_slide
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import is_posed, runs
from motion4d.core.body.measurements import bone_distances, bone_lengths, estimate_stature
from motion4d.core.body.proportions import limb_lengths, limb_of
from motion4d.core.body.retargeting import proportions_of, ratio_report, retarget, target_lengths
from motion4d.core.body.spaces import to_camera
from motion4d.core.formats import load_motion
from motion4d.core.geometry.cameras import orbit_rig, own_camera
from motion4d.core.geometry.kinematics import forward
from motion4d.core.skeletons import COCO17, SMPL24, SMPLX55
from motion4d.core.types import Animation, Frame, Motion

FEET = [10, 11]


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


def directions(motion: Motion) -> torch.Tensor:
    above = [max(parent, 0) for parent in motion.skeleton.parents]
    return torch.nn.functional.normalize(motion.joints - motion.joints[:, above], dim=-1)[:, 1:]


@lru_cache
def authored(action: str) -> Motion:
    return demo_motion(action, seconds=3.0, fps=30.0)


def child_skeleton(generator) -> torch.Tensor:
    """Rest positions of a body of other proportions, left and right alike."""
    factors = 0.6 + 0.5 * torch.rand(24, generator=generator)
    factors = (factors + factors[list(SMPL24.mirror)]) / 2
    rest = SMPL24.rest.clone()
    for joint, parent in SMPL24.bones:
        rest[joint] = rest[parent] + factors[joint] * (SMPL24.rest[joint] - SMPL24.rest[parent])
    rest[:, 1] -= rest[:, 1].min()
    return rest


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=3.24, fps=30.0)


@pytest.mark.parametrize("posed", [True, False])
@pytest.mark.parametrize("kind", ["skeleton", "lengths", "motion", "frame"])
def test_bones_take_the_lengths_of_the_target_and_keep_their_directions(walk, generator, posed, kind):
    child = replace(SMPL24, rest=child_skeleton(generator))
    other = demo_motion("wave", seconds=0.5)
    other = forward(Animation(rotations=other.rotations, translation=other.translation, fps=30.0, rig=child))
    target = {"skeleton": child, "lengths": target_lengths(child), "motion": positions_only(other), "frame": other.cut(4, 5)}[kind]
    motion = walk if posed else positions_only(walk)
    result = retarget(motion, target)
    wanted = target_lengths(child).float()
    assert torch.allclose(bone_distances(result), wanted.expand(97, 24), atol=2e-5, equal_nan=True)
    assert torch.allclose(directions(result), directions(motion), atol=2e-4)
    assert is_posed(result) == posed and result.notes[-1].startswith("bones retargeted: torso x")
    if posed:
        assert torch.equal(result.rotations, walk.rotations)


@pytest.mark.parametrize("action", ["walk", "tour", "turn"])
@pytest.mark.parametrize("factors", [{"legs": 0.6}, {"legs": 1.5}, {"torso": 1.6, "legs": 0.7, "arms": 1.3}])
def test_planted_feet_stay_planted(action, factors):
    motion = authored(action)
    contacts = detect_contacts(motion)
    before, after, loose = (
        foot_slide(one, contacts)
        for one in (motion, retarget(motion, factors=factors), retarget(motion, factors=factors, keep_contacts=False))
    )
    steps = sum(len(runs(foot.any(1))) for foot in contacts.split(2, dim=1))
    # A foot that rolls moves in the demo as well, and that grows with the leg. While both feet stand, hips that turn and have another width move them apart.
    assert after < 1.05 * factors["legs"] * before + 4.0 * steps, "centimetres"
    assert after < 0.75 * loose and steps > 5


def test_feet_stay_on_the_floor_and_the_root_rises_with_the_legs(walk):
    for legs in (0.6, 1.5):
        result = retarget(walk, factors={"legs": legs})
        assert result.joints[:, FEET, 1].amin() == pytest.approx(legs * float(walk.joints[:, FEET, 1].amin()), abs=3e-3)
        rise = (result.joints[:, 0, 1] / walk.joints[:, 0, 1]).mean()
        assert float(rise) == pytest.approx(legs, rel=0.08), "hips and their width stay, so not exactly"
        steps = [float((m.joints[-1, 0] - m.joints[0, 0]).norm()) for m in (walk, result)]
        assert steps[1] == pytest.approx(legs * steps[0], rel=0.03)


def test_a_body_scaled_as_a_whole_is_the_motion_scaled(walk):
    twice = retarget(walk, 2 * target_lengths(SMPL24))
    start = walk.joints[0, [7, 8, 10, 11]].mean(0) * torch.tensor([1.0, 0.0, 1.0])
    assert torch.allclose(twice.joints, start + 2 * (walk.joints - start), atol=5e-3)


def test_arms_alone_leave_everything_else_where_it_is(walk):
    result = retarget(walk, factors={"arms": 1.4})
    arms = [joint for joint, limb in enumerate(limb_of(SMPL24)) if limb == "arms"]
    others = [joint for joint in range(24) if joint not in arms]
    assert torch.allclose(result.joints[:, others], walk.joints[:, others], atol=1e-5)
    assert [SMPL24.names[joint] for joint in arms] == [
        f"{side}_{name}" for name in ("elbow", "wrist", "hand") for side in ("left", "right")
    ]
    assert limb_lengths(result)["arms"] == pytest.approx(1.4 * limb_lengths(walk)["arms"], rel=1e-4)


def test_the_own_body_changes_nothing(walk):
    assert retarget(walk) is walk and retarget(walk, walk) is not None
    assert torch.equal(retarget(walk, factors={"legs": 1.0}).joints, walk.joints)
    assert torch.allclose(retarget(positions_only(walk), walk).joints, walk.joints, atol=1e-4)


def test_one_bone_measured_wrong_is_held_within_limits_and_named(walk):
    lengths = target_lengths(SMPL24)
    lengths[18] *= 5
    lengths[4] *= 0.1
    result = retarget(walk, lengths)
    ratio = bone_lengths(result) / bone_lengths(walk)
    assert float(ratio[18]) == pytest.approx(2.0, rel=1e-3) and float(ratio[4]) == pytest.approx(0.5, rel=1e-3)
    assert result.notes[-1].endswith("of the body's ratio: left_knee, left_elbow")
    assert float((bone_lengths(retarget(walk, lengths, clamp=(0.9, 1.1))) / bone_lengths(walk))[18]) == pytest.approx(1.1, rel=1e-3)
    small = retarget(walk, 0.3 * target_lengths(SMPL24))
    assert estimate_stature(small) == pytest.approx(0.3 * estimate_stature(walk), rel=1e-3), "a baby is no wrong measure"


def test_bones_that_the_target_does_not_show_grow_with_their_limb(walk):
    lengths = torch.full((24,), torch.nan, dtype=torch.float64)
    own = target_lengths(SMPL24)
    for joint, factor in ((18, 0.8), (19, 0.8), (4, 1.2), (5, 1.2), (6, 1.0)):
        lengths[joint] = factor * own[joint]
    ratio = bone_lengths(retarget(walk, lengths)) / bone_lengths(walk)
    assert ratio[20:24].tolist() == pytest.approx([0.8] * 4, rel=1e-3) and ratio[[7, 10]].tolist() == pytest.approx([1.2] * 2, rel=1e-3)


def test_proportions_without_the_size(walk):
    child = demo_motion("wave", seconds=0.2, stature=1.1)
    assert torch.allclose(retarget(walk, child, keep_stature=True).joints, walk.joints, atol=1e-4)
    assert estimate_stature(retarget(walk, child)) == pytest.approx(1.1, rel=1e-3)
    assert torch.allclose(proportions_of(child), proportions_of(walk), atol=1e-5, equal_nan=True)
    assert torch.allclose(retarget(walk, 1.1 * proportions_of(walk)).joints, retarget(walk, child).joints, atol=1e-4)


def test_a_foreshortened_limb_of_a_picture_takes_the_length_of_the_other_side(walk):
    picture = positions_only(walk).cut(10, 11)
    joints = picture.joints.clone()
    joints[0, [18, 20, 22]] = joints[0, 16] + 0.4 * (joints[0, [18, 20, 22]] - joints[0, 16])
    found, true = proportions_of(replace(picture, joints=joints)), proportions_of(walk)
    assert torch.allclose(found, true, atol=2e-3, equal_nan=True)
    unseen = replace(picture, confidence=picture.confidence.clone())
    unseen.confidence[0, [4, 7]] = 0
    assert torch.allclose(proportions_of(unseen)[[4, 7]], true[[4, 7]], atol=2e-3)


def test_before_a_camera_the_feet_keep_their_place_in_the_picture():
    stand = demo_motion("wave", seconds=1.0, fps=30.0)
    rig = orbit_rig([30.0], elevation_deg=8.0, radius=4.0, image_size=(720, 1280), target=(0.0, 1.0, 0.0))
    seen = to_camera(stand, rig)
    for motion in (seen, positions_only(seen)):
        child = retarget(motion, factors={"torso": 0.7, "arms": 0.7, "legs": 0.6, "head": 0.9})
        before, after = (own_camera(one).project(one.joints)[0][0] for one in (motion, child))
        middle = (before[:, FEET].mean(1) - after[:, FEET].mean(1)).norm(dim=-1)
        assert middle.max() < 8, "pixels; the person is 430 tall"
        assert (before[:, 15, 1] - after[:, 15, 1]).max() < -90, "the head comes down"
        assert child.intrinsics is motion.intrinsics and child.frame is Frame.CAMERA


def test_gaps_stay_gaps_and_neighbours_keep_their_place(walk):
    joints, confidence = walk.joints.clone(), walk.confidence.clone()
    joints[30:40, [7, 10, 8, 11]], confidence[30:40, [7, 10, 8, 11]] = torch.nan, 0.0
    joints[60:65, 0], confidence[60:65, 0] = torch.nan, 0.0
    joints[70, 18], confidence[70, 18] = torch.nan, 0.0
    gappy = replace(positions_only(walk), joints=joints, confidence=confidence)
    result, whole = retarget(gappy, factors={"legs": 0.8}), retarget(walk, factors={"legs": 0.8})
    assert torch.equal(result.seen, gappy.seen) and torch.isfinite(result.joints[result.seen]).all()
    apart = (result.joints - whole.joints).norm(dim=-1)
    assert apart[:30][result.seen[:30]].max() < 0.03 and apart[30:40, 0].max() < 0.06


def test_joints_of_other_skeletons_are_matched_by_their_bones(walk):
    rest = 0.8 * SMPLX55.rest
    result = retarget(walk, replace(SMPLX55, rest=rest))
    ratio = (bone_lengths(result) / bone_lengths(walk))[1:]
    assert ratio.tolist() == pytest.approx([0.8] * 23, rel=1e-3)
    coco = Motion(joints=torch.rand(1, 17, 3), confidence=torch.ones(1, 17), skeleton=COCO17, fps=30.0, frame=Frame.WORLD)
    arms = retarget(walk, coco)
    assert "bones retargeted" in arms.notes[-1], "forearms and shins are the same bones"


def test_the_report_is_measured_on_the_joints(walk):
    result = retarget(walk, factors={"legs": 0.5, "arms": 1.2})
    report = ratio_report(walk, result)
    assert (
        "legs: " in report and "x 0.500" in report and "x 1.200" in report and "stature: " in report and "note: bones retargeted" in report
    )


def test_wrong_values_are_refused(walk):
    own = target_lengths(SMPL24)
    face = replace(COCO17, rest=torch.rand(17, 3))
    cases = [
        ({"target": own[:5]}, "expected one for each of 24"), ({"target": -own}, "not above 0"), ({"target": 1000 * own}, "in metres"),
        ({"target": COCO17}, "no rest positions"), ({"factors": {"tail": 2.0}}, "expected torso, arms, legs, head"),
        ({"factors": {"legs": 9.0}}, "expected 0.2 to 5"), ({"clamp": (1.5, 2.0), "target": own}, "clamp"),
        ({"target": torch.full((24,), torch.nan)}, "no bone in common"),
    ]  # fmt: skip
    for given, reason in cases:
        with pytest.raises(ValueError, match=reason):
            retarget(walk, **given)
    nobody = replace(walk, confidence=torch.zeros_like(walk.confidence), joints=torch.full_like(walk.joints, torch.nan))
    with pytest.raises(ValueError, match="nothing to retarget"):
        retarget(nobody, factors={"legs": 0.7})
    assert retarget(walk, face) is not None
    blob = replace(face, names=tuple(f"x{n}" for n in range(17)))
    strange = Motion(joints=torch.rand(2, 17, 3), confidence=torch.ones(2, 17), skeleton=blob, fps=30.0, frame=Frame.WORLD)
    with pytest.raises(ValueError, match="Convert Skeleton"):
        proportions_of(strange)


def test_a_real_dance_for_a_child_slides_no_more_than_it_did(reference):
    child = demo_motion("wave", seconds=0.1, stature=1.15)
    for clip in (0, 1):
        motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=clip)
        contacts = detect_contacts(motion)
        result = retarget(motion, child)
        assert estimate_stature(result) == pytest.approx(1.15, rel=0.02)
        assert foot_slide(result, contacts) < 1.05 * foot_slide(motion, contacts)

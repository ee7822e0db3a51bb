"""The values that travel between nodes check themselves."""

import dataclasses

import pytest
import torch
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.shapes import check_shapes
from motion4d.core.skeletons import COCO17, OPENPOSE18, SMPL24, SMPLX55
from motion4d.core.types import BoneMaps, CameraRig, Frame, Motion, MotionTokens, Skeleton


def motion(**changes) -> Motion:
    base = {
        "joints": SMPL24.rest.expand(3, 24, 3).clone(),
        "confidence": torch.ones(3, 24),
        "skeleton": SMPL24,
        "fps": 30.0,
        "frame": Frame.WORLD,
    }
    return Motion(**(base | changes))


def test_a_letter_means_one_size_in_a_whole_call():
    assert check_shapes("x", a=(torch.zeros(2, 3), "T J"), b=(torch.zeros(3, 3), "J 3")) == {"T": 2, "J": 3}
    with pytest.raises(ValueError, match=r"x: b has shape \(2, 3\), expected \(J 3\) with J=3"):
        check_shapes("x", a=(torch.zeros(2, 3), "T J"), b=(torch.zeros(2, 3), "J 3"))


def test_a_known_size_binds_its_letter():
    with pytest.raises(ValueError, match="with J=3"):
        check_shapes("x", count=(3, "J"), a=(torch.zeros(2), "J"))


def test_shapes_refuse_what_is_no_tensor_and_skip_what_is_absent():
    assert check_shapes("x", a=(None, "T J")) == {}
    with pytest.raises(ValueError, match="list"):
        check_shapes("x", a=([1.0], "T"))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"joints": torch.zeros(0, 24, 3), "confidence": torch.ones(0, 24)}, "no frames"),
        ({"joints": torch.zeros(3, 22, 3), "confidence": torch.ones(3, 22)}, "22 joints, but its skeleton has 24"),
        ({"confidence": torch.full((3, 24), 1.5)}, "0..1"),
        ({"joints": torch.full((3, 24, 3), torch.nan)}, "set it to 0 where a joint is missing"),
        ({"fps": 0.0}, "fps is 0.0"),
        ({"fps": float("nan")}, "fps is nan"),
        ({"frame": "world"}, "Frame.WORLD"),
        ({"rotations": torch.zeros(2, 24, 3, 3)}, "rotations has shape"),
        ({"intrinsics": torch.eye(3)}, "come together"),
        ({"intrinsics": torch.eye(3), "image_size": (0, 5)}, "image_size"),
    ],
)
def test_a_motion_that_makes_no_sense_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        motion(**changes)


def test_missing_joints_may_be_nan_where_the_confidence_is_zero():
    joints, confidence = SMPL24.rest.expand(3, 24, 3).clone(), torch.ones(3, 24)
    joints[1, 5], confidence[1, 5] = torch.nan, 0.0
    assert (~motion(joints=joints, confidence=confidence).seen).sum() == 1


def test_values_are_frozen():
    with pytest.raises(dataclasses.FrozenInstanceError):
        motion().fps = 25.0


@pytest.mark.parametrize("skeleton", [SMPL24, SMPLX55, COCO17, OPENPOSE18], ids=["smpl24", "smplx55", "coco17", "openpose18"])
def test_standard_skeletons_pair_left_with_right_at_the_same_height(skeleton):
    for joint, other in enumerate(skeleton.mirror):
        name, partner = skeleton.names[joint], skeleton.names[other]
        assert partner == name.replace("left", "#").replace("right", "left").replace("#", "right")
        if skeleton.rest is not None:
            assert torch.allclose(skeleton.rest[joint] * torch.tensor([-1.0, 1.0, 1.0]), skeleton.rest[other])


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("a", "a")}, "one name for each joint"),
        ({"parents": (1, -1)}, "earlier joint"),
        ({"parents": (-1, -2)}, "earlier joint"),
        ({"mirror": (1, 1)}, "mirror"),
        ({"rest": torch.zeros(3, 3)}, "rest has shape"),
    ],
)
def test_a_skeleton_that_is_no_tree_is_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        Skeleton(**({"names": ("a", "b"), "parents": (-1, 0), "mirror": (0, 1)} | changes))


def test_an_unknown_joint_name_lists_the_names():
    with pytest.raises(ValueError, match="it has pelvis, left_hip"):
        SMPL24.index("tail")


def test_a_rig_needs_views_size_and_focal_length():
    good = orbit_rig([0.0], radius=3.0, image_size=(8, 8))
    for changes in ({"image_size": (8, 0)}, {"intrinsics": -good.intrinsics}, {"intrinsics": good.intrinsics[:0]}):
        with pytest.raises(ValueError):
            dataclasses.replace(good, **changes)


def test_maps_and_tokens_check_their_shapes():
    maps = {"depth": torch.zeros(1, 2, 4, 5), "normal": torch.zeros(1, 2, 4, 5, 3), "mask": torch.zeros(1, 2, 4, 5, dtype=torch.bool)}
    BoneMaps(**maps)
    assert BoneMaps(**maps, ids=torch.zeros(1, 2, 4, 5, dtype=torch.int16), parts=(("a",), ("b", "c"))).people == 2
    for wrong in ({"mask": torch.zeros(1, 2, 4, 5)}, {"normal": torch.zeros(1, 2, 4, 5)}, {"ids": torch.zeros(1, 2, 4, 5)}):
        with pytest.raises(ValueError):
            BoneMaps(**(maps | wrong))
    tokens = {"tokens": torch.zeros(48, 8), "frames": 8, "joints": 24, "spec": "4dmot", "commit_loss": 0.0}
    assert MotionTokens(indices=torch.zeros(48, dtype=torch.long), **tokens).latent_frames == 2
    with pytest.raises(ValueError, match="no whole number of frames"):
        MotionTokens(indices=torch.zeros(47, dtype=torch.long), **(tokens | {"tokens": torch.zeros(47, 8)}))


def test_a_rig_type_error_names_the_field():
    with pytest.raises(ValueError, match="intrinsics is list"):
        CameraRig(intrinsics=[], world_to_camera=torch.zeros(1, 3, 4), image_size=(4, 4))


def test_frames_are_taken_in_any_order():
    rotations = torch.eye(3).expand(3, 24, 3, 3)
    moving = motion(joints=torch.randn(3, 24, 3), rotations=rotations, translation=torch.randn(3, 3), notes=("a note",))
    taken = moving.take([2, 0, 2])
    assert torch.equal(taken.joints, moving.joints[[2, 0, 2]]) and torch.equal(taken.translation, moving.translation[[2, 0, 2]])
    assert taken.rotations.shape == (3, 24, 3, 3) and taken.notes == moving.notes
    assert torch.equal(moving.take(torch.tensor([1, 2])).joints, moving.cut(1, 3).joints)


def test_a_motion_leaves_its_gradients_behind_on_the_way_to_the_cpu():
    still = motion()
    assert still.cpu() is still
    learned = motion(joints=still.joints.clone().requires_grad_(), translation=torch.zeros(3, 3))
    assert torch.equal(learned.cpu().joints, still.joints) and not learned.cpu().joints.requires_grad


@pytest.mark.parametrize("joints", [0, -24])
def test_tokens_need_joints(joints):
    with pytest.raises(ValueError, match=f"frames of {joints} joints"):
        MotionTokens(
            indices=torch.zeros(48, dtype=torch.long), tokens=torch.zeros(48, 8), frames=8, joints=joints, spec="4dmot", commit_loss=0.0
        )

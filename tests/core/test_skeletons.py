import pytest
import torch
from motion4d.core.geometry.kinematics import tree_levels
from motion4d.core.skeletons import COCO17, OPENPOSE18, REST_STATURE, SMPL24, SMPLX55, STANDARD, mirror_pairs
from motion4d.core.types import Skeleton

SMPL_PARENTS = (-1, 0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 9, 9, 12, 13, 14, 16, 17, 18, 19, 20, 21)


def test_the_trees_are_those_of_the_public_models():
    assert SMPL24.parents == SMPL_PARENTS
    left = (20, 25, 26, 20, 28, 29, 20, 31, 32, 20, 34, 35, 20, 37, 38)
    right = (21, 40, 41, 21, 43, 44, 21, 46, 47, 21, 49, 50, 21, 52, 53)
    assert SMPLX55.parents == (*SMPL_PARENTS[:22], 15, 15, 15, *left, *right)
    assert len(COCO17.names) == 17 and len(OPENPOSE18.names) == 18
    assert SMPLX55.names[25] == "left_index1" and SMPLX55.names[54] == "right_thumb3"


def test_smplx_begins_with_smpl_without_its_hands():
    assert SMPLX55.names[:22] == SMPL24.names[:22]
    assert torch.equal(SMPLX55.rest[:22], SMPL24.rest[:22])


@pytest.mark.parametrize("name", STANDARD)
def test_left_and_right_are_paired(name):
    skeleton = STANDARD[name]
    for joint, other in enumerate(skeleton.mirror):
        expected = skeleton.names[joint].replace("left_", "@").replace("right_", "left_").replace("@", "right_")
        assert skeleton.names[other] == expected
    assert len(tree_levels(skeleton.parents)[0]) == 1


@pytest.mark.parametrize("name", ["smpl24", "smplx55"])
def test_the_rest_pose_is_its_own_mirror_image(name):
    skeleton = STANDARD[name]
    flipped = skeleton.rest[list(skeleton.mirror)] * torch.tensor([-1.0, 1.0, 1.0])
    assert torch.allclose(flipped, skeleton.rest, atol=1e-6)


@pytest.mark.parametrize("name", ["smpl24", "smplx55"])
def test_the_rest_pose_faces_plus_z_with_its_left_on_plus_x(name):
    skeleton = STANDARD[name]
    place = {joint: skeleton.rest[index] for index, joint in enumerate(skeleton.names)}
    assert place["left_shoulder"][0] > 0.1 and place["left_foot"][2] > place["left_ankle"][2] + 0.1
    assert 0 < float(skeleton.rest[:, 1].min()) < 0.03
    assert float(skeleton.rest[:, 1].max()) < REST_STATURE
    assert abs(float(place["left_wrist"][1] - place["left_shoulder"][1])) < 0.02  # a T-pose


def test_every_bone_of_the_rest_poses_can_be_drawn():
    for skeleton in (SMPL24, SMPLX55):
        child, parent = (list(ends) for ends in zip(*skeleton.bones, strict=True))
        assert (skeleton.rest[child] - skeleton.rest[parent]).norm(dim=-1).min() > 0.005


def test_names_without_a_partner_are_their_own_mirror():
    assert mirror_pairs(("left_hand", "tail", "right_leg")) == (0, 1, 2)


@pytest.mark.parametrize(
    "names",
    [
        ("LeftArm", "RightArm"), ("mixamorig:LeftArm", "mixamorig:RightArm"), ("left_hip", "right_hip"), ("arm_l", "arm_r"), ("L_Hip", "R_Hip"),
        ("hand.L", "hand.R"), ("lShldr", "rShldr"), ("Bip01 L Thigh", "Bip01 R Thigh"), ("LHip", "RHip"), ("Arm_LEFT", "Arm_RIGHT"),
    ],
)  # fmt: skip
def test_sides_are_found_in_names(names):
    assert mirror_pairs(("Spine", *names, "Lamp", "Roll")) == (0, 2, 1, 3, 4)


def test_names_that_only_look_like_sides_stay_alone():
    assert mirror_pairs(("Lamp", "Ramp", "l", "Larm", "leg")) == (0, 1, 2, 3, 4)


def test_roots_and_children_are_the_tree_downwards():
    skeleton = Skeleton(names=tuple("abcde"), parents=(-1, 0, -1, 0, 2), mirror=(0, 1, 2, 3, 4))
    assert skeleton.roots == (0, 2) and skeleton.children == ((1, 3), (), (4,), (), ())


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"names": (), "parents": (), "mirror": ()}, "0 names"),
        ({"names": ("a", "a"), "parents": (-1, 0), "mirror": (0, 1)}, "1 of them different"),
        ({"names": ("a", "b"), "parents": (1, -1), "mirror": (0, 1)}, "earlier joint"),
        ({"names": ("a", "b"), "parents": (-1,), "mirror": (0, 1)}, "do not fit"),
        ({"names": ("a", "b", "c"), "parents": (-1, 0, 0), "mirror": (1, 2, 0)}, "pair the joints"),
        ({"names": ("a",), "parents": (-1,), "mirror": (0,), "rest": torch.zeros(2, 3)}, "rest has shape"),
        ({"names": ("a",), "parents": (-1,), "mirror": (0,), "rest": torch.full((1, 3), torch.nan)}, "NaN"),
    ],
)
def test_a_broken_tree_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        Skeleton(**fields)


def test_a_joint_is_found_by_name():
    assert SMPL24.index("left_wrist") == 20
    with pytest.raises(ValueError, match="no joint 'tail'"):
        SMPL24.index("tail")

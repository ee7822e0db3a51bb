"""BVH: what is written comes back, any tree is read, and what is wrong is named by its line."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from motion4d.core.formats import describe_motions, load_motion, save_motion
from motion4d.core.formats.bvh import save_bvh
from motion4d.core.formats.bvh_text import MAX_JOINTS, parse_bvh, written_rate
from motion4d.core.geometry.kinematics import forward
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.skeletons import SMPL24, SMPLX55
from motion4d.core.types import Animation, Frame, Skeleton

MIXED = """HIERARCHY
ROOT hip {
  OFFSET 1 2 3
  CHANNELS 6 Zposition Xposition Yposition Yrotation Zrotation Xrotation
  JOINT chest
  {
    OFFSET 0 50 0
    CHANNELS 1 Xrotation
    JOINT arm.L
    {
      OFFSET 20 0 0
      CHANNELS 6 Xrotation Xposition Yrotation Yposition Zrotation Zposition
      End Site
      {
        OFFSET 30 0 0
      }
    }
    JOINT arm.R
    {
      OFFSET -20 0 0
      CHANNELS 0
      End Site {
        OFFSET -30 0 0
      }
    }
  }
}
ROOT ball
{
  OFFSET 100 0 0
  CHANNELS 3 Xposition Yposition Zposition
}
MOTION
Frames: 2
Frame Time: 0.0333333
3 1 2  0 0 0  0  0 20 0 0 0 0  100 0 0
3 1 2  90 0 0  90  0 25 90 0 0 0  100 5 0
"""


def read(tmp_path, text: str, name="motion.bvh"):
    path = tmp_path / name
    path.write_bytes(text.encode())
    return load_motion(path)


def test_mixed_channels_several_roots_and_moving_joints(tmp_path):
    motion = read(tmp_path, MIXED)
    assert motion.skeleton.names == ("hip", "chest", "arm.L", "arm.R", "ball")
    assert motion.skeleton.parents == (-1, 0, 1, 1, -1) and motion.skeleton.mirror == (0, 1, 3, 2, 4)
    assert motion.fps == 30.0 and motion.frame is Frame.WORLD
    expected = torch.tensor([[1.0, 2, 3], [1, 52, 3], [21, 52, 3], [-19, 52, 3], [100, 0, 0]]) / 100
    assert torch.allclose(motion.joints[0], expected, atol=1e-6)
    # Second frame: the hip turns 90 degrees about Y (x -> -z), the chest 90 about its X (y -> z, which the hip turned to x).
    expected = torch.tensor([[1.0, 2, 3], [1, 52, 3], [1, 52, -22], [1, 52, 23], [100, 5, 0]]) / 100
    assert torch.allclose(motion.joints[1], expected, atol=1e-6)
    assert torch.allclose(motion.rotations[1, 2], rotvec_to_matrix(torch.tensor([0.0, math.pi / 2, 0])), atol=1e-6)
    assert any("change their length" in note for note in motion.notes)
    assert torch.allclose(motion.skeleton.rest, torch.tensor([[1.0, 2, 3], [1, 52, 3], [21, 52, 3], [-19, 52, 3], [100, 0, 0]]) / 100)


@pytest.mark.parametrize(("factor", "unit"), [(1, "centimetres"), (0.01, "metres"), (10, "millimetres")])
def test_units_are_told_by_the_longest_chain(tmp_path, factor, unit):
    text = (
        f"HIERARCHY\nROOT a\n{{\nOFFSET 0 0 0\nCHANNELS 3 Xposition Yposition Zposition\nEnd Site\n{{\nOFFSET 0 {100 * factor} 0\n}}\n}}\n"
    )
    motion = read(tmp_path, text + f"MOTION\nFrames: 1\nFrame Time: 0.04\n{factor * 50} 0 0\n")
    assert torch.allclose(motion.joints[0, 0], torch.tensor([0.5, 0, 0]))
    assert f"{unit} assumed: the longest chain of bones is {100 * factor:.4g} units" in motion.notes
    assert motion.fps == 25.0


def test_text_of_other_programs(tmp_path):
    plain = read(tmp_path, MIXED)
    for text in (
        MIXED.replace("\n", "\r\n"),
        MIXED.replace("\n", "\r"),
        "\ufeff" + MIXED,
        MIXED.replace("Xrotation", "XROTATION"),
        MIXED + "\n\n",
    ):
        assert torch.equal(read(tmp_path, text).joints, plain.joints)


@pytest.mark.parametrize(
    ("written", "fps"),
    [
        ("0.0333333", 30),
        ("0.033333", 30),
        ("0.0333", 30),
        ("0.041667", 24),
        ("0.0083333", 120),
        ("0.04170833", 24000 / 1001),
        ("0.0166667", 60),
    ],
)
def test_rounded_frame_times_are_the_rates_they_round(written, fps):
    assert written_rate(written) == fps


@given(fps=st.floats(1, 240))
def test_written_frame_times_are_exact(fps):
    assert written_rate(f"{1 / fps:.15f}") == pytest.approx(fps, rel=1e-11)


def random_animation(skeleton: Skeleton, seed: int, frames: int = 4, angle: float = 3.0, fps: float = 30.0) -> Animation:
    draw = torch.Generator().manual_seed(seed)
    rotations = rotvec_to_matrix((torch.rand(frames, len(skeleton.names), 3, generator=draw) - 0.5) * 2 * angle)
    return Animation(rotations=rotations, translation=torch.randn(frames, 3, generator=draw) * 3, fps=fps, rig=skeleton)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), fps=st.floats(1, 240), which=st.booleans())
def test_positions_and_rotations_come_back(tmp_path_factory, seed, fps, which):
    skeleton = SMPL24 if which else SMPLX55
    animation = random_animation(skeleton, seed, fps=fps)
    path = tmp_path_factory.mktemp("bvh") / "a.bvh"
    save_bvh(animation, path)
    motion = load_motion(path)
    assert motion.skeleton is skeleton and motion.fps == pytest.approx(fps, rel=1e-9)
    assert (motion.joints - forward(animation).joints).abs().max() < 1e-5
    assert (motion.rotations - animation.rotations).abs().max() < 1e-5
    assert (motion.translation - animation.translation).abs().max() < 1e-6


def test_gimbal_lock_comes_back(tmp_path):
    turns = torch.tensor([[math.pi / 2, 0.3, 0], [math.pi / 2 - 1e-4, 0, 0.2], [-math.pi / 2, 0, 0], [math.pi / 2, 0, 0]])
    rotations = rotvec_to_matrix(turns)[:, None].repeat(1, 24, 1, 1)
    animation = Animation(rotations=rotations, translation=torch.zeros(4, 3), fps=30, rig=SMPL24)
    save_bvh(animation, tmp_path / "a.bvh")
    assert (load_motion(tmp_path / "a.bvh").joints - forward(animation).joints).abs().max() < 1e-4


def test_a_measured_person_comes_back_with_own_bones_and_order(tmp_path):
    rest = SMPL24.rest * torch.linspace(0.9, 1.1, 24)[:, None]
    skeleton = Skeleton(names=SMPL24.names, parents=SMPL24.parents, mirror=SMPL24.mirror, rest=rest)
    animation = random_animation(skeleton, 1)
    save_motion(forward(animation), tmp_path / "a.bvh")
    motion = load_motion(tmp_path / "a.bvh")
    assert motion.skeleton.names == SMPL24.names and motion.skeleton.mirror == SMPL24.mirror
    assert torch.allclose(motion.skeleton.rest, rest, atol=1e-6)
    assert (motion.joints - forward(animation).joints).abs().max() < 1e-5


def test_other_skeletons_with_several_roots_and_names_of_two_words_come_back(tmp_path):
    skeleton = Skeleton(
        names=("Bip01 Pelvis", "Bip01 L Thigh", "Bip01 R Thigh", "box", "lid"), parents=(-1, 0, 0, -1, 3), mirror=(0, 2, 1, 3, 4),
        rest=torch.tensor([[0.0, 0.9, 0], [0.1, 0.5, 0], [-0.1, 0.5, 0], [2, 0, 0], [2, 0.5, 0]]),
    )  # fmt: skip
    animation = random_animation(skeleton, 2)
    save_bvh(animation, tmp_path / "a.bvh")
    motion = load_motion(tmp_path / "a.bvh")
    assert (
        motion.skeleton.names == skeleton.names
        and motion.skeleton.parents == skeleton.parents
        and motion.skeleton.mirror == skeleton.mirror
    )
    assert (motion.joints - forward(animation).joints).abs().max() < 1e-5


def test_angles_run_on_without_jumps(tmp_path):
    angle = torch.linspace(0, 4 * math.pi, 200)
    rotations = torch.eye(3).repeat(200, 24, 1, 1)
    rotations[:, 0] = rotvec_to_matrix(torch.stack([0 * angle, angle, 0 * angle], -1))
    save_bvh(Animation(rotations=rotations, translation=torch.zeros(200, 3), fps=30, rig=SMPL24), tmp_path / "a.bvh")
    values = parse_bvh((tmp_path / "a.bvh").read_bytes()).values
    assert np.abs(np.diff(values, axis=0)).max() < 10


def edit(old: str, new: str) -> str:
    assert old in MIXED
    return MIXED.replace(old, new, 1)


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("hello", "line 1: expected HIERARCHY"),
        ("HIERARCHY\n", "line 1: the file ends"),
        ("HIERARCHY\nMOTION\n", "line 2: there is no ROOT"),
        (edit("ROOT hip", "JOINT hip"), "line 2: 'JOINT'"),
        (edit("JOINT chest", "ROOT chest"), "line 5: 'ROOT'"),
        (edit("JOINT chest", "JOINT hip"), "line 5: .*'hip'.*no other joint"),
        (edit("JOINT chest", "JOINT"), "line 5: .*name"),
        (edit("OFFSET 0 50 0", "OFFSET 0 50"), "line 7: OFFSET needs 3"),
        (edit("OFFSET 0 50 0", "OFFSET 0 x 0"), "line 7: OFFSET needs 3"),
        (edit("OFFSET 0 50 0", "OFFSET 0 nan 0"), "line 7: OFFSET needs 3"),
        (edit("OFFSET 0 50 0", "OFFSET 0 1e300 0"), "line 7: OFFSET needs 3"),
        (edit("    OFFSET 0 50 0\n", ""), "has no OFFSET"),
        (edit("CHANNELS 1 Xrotation", "CHANNELS 2 Xrotation"), "line 8: CHANNELS"),
        (edit("CHANNELS 1 Xrotation", "CHANNELS 1 Xscale"), "line 8: CHANNELS"),
        (edit("CHANNELS 1 Xrotation", "CHANNELS 2 Xposition Xposition"), "line 8: .*twice"),
        (edit("CHANNELS 1 Xrotation", "CHANNELS " + "9" * 100), "line 8: CHANNELS"),
        (edit("CHANNELS 1 Xrotation", "SCALE 1"), "line 8: 'SCALE'"),
        (edit("Frames: 2", "Frames: 0"), "0 frames"),
        (edit("Frames: 2", "Frames: -1"), "Frames: COUNT"),
        (edit("Frames: 2", "Frames: 999999999999"), "too many|frames"),
        (edit("Frames: 2", "Frames: 3"), "cut short"),
        (edit("Frames: 2", "Frames: 1"), "more lines"),
        (edit("Frame Time: 0.0333333", "Time: 1"), "Frame Time"),
        (edit("100 5 0", "100 5"), "line 37: 15 values"),
        (edit("100 5 0", "100 5 x"), "line 37: .*no number"),
        (edit("100 5 0", "100 5 inf"), "line 37: .*infinite"),
        (MIXED[: MIXED.index("MOTION")], "line 32: the file ends"),
        (MIXED + "}" * 5, "more lines"),
        ("HIERARCHY\n}\n", "line 2: '}'"),
        ("HIERARCHY\nEnd Site\n{\n", "line 2: 'End'"),
        ("HIERARCHY\nROOT a\n{\nEnd Site\n{\nJOINT b\n{\n", "line 6: 'JOINT'"),
        ("HIERARCHY\nROOT a\nOFFSET 0 0 0\n", "line 3: expected {"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_by_its_line(refused, text, match):
    refused(text.encode(), "wrong.bvh", match)


def test_too_much_is_refused_early(refused):
    chain = "HIERARCHY\nROOT r\n{\nOFFSET 0 0 0\n" + "".join(f"JOINT j{n}\n{{\nOFFSET 0 1 0\n" for n in range(1_000_000 // 4))
    refused(chain.encode(), "chain.bvh", f"more than {MAX_JOINTS} joints")
    refused(("HIERARCHY" + "\n" * 3_000_000).encode(), "empty.bvh", "empty lines")
    refused(("HIERARCHY\nROOT a\n{\nOFFSET " + "0 " * 3_000_000).encode(), "wide.bvh", "characters")
    refused(b"HIERARCHY\n\x00\xff\xfe\n", "bytes.bvh", "line 2")


def test_a_frame_time_of_zero_is_no_rate(tmp_path):
    motion = read(tmp_path, edit("Frame Time: 0.0333333", "Frame Time: 0"))
    assert motion.fps == 30.0 and any("30 fps assumed" in note for note in motion.notes)


def test_a_joint_without_channels_stands_still(tmp_path):
    motion = read(tmp_path, "HIERARCHY\nROOT a\n{\nOFFSET 0 1 0\nCHANNELS 0\n}\nMOTION\nFrames: 3\nFrame Time: .1\n")
    assert torch.equal(motion.joints, torch.tensor([0.0, 1, 0]).expand(3, 1, 3))


def test_names_that_bvh_cannot_hold_are_refused(tmp_path):
    skeleton = Skeleton(names=("a{",), parents=(-1,), mirror=(0,), rest=torch.zeros(1, 3))
    with pytest.raises(ValueError, match="braces"):
        save_bvh(random_animation(skeleton, 0), tmp_path / "a.bvh")
    assert list(tmp_path.iterdir()) == []


def test_description(tmp_path):
    read(tmp_path, MIXED, "walk.bvh")
    (info,) = describe_motions(tmp_path / "walk.bvh")
    assert (info.name, info.frames, info.people, info.joints, info.fps, info.kind) == ("walk", 2, 1, 5, 30.0, "bvh")

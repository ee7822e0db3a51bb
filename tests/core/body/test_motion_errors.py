"""Distances between two motions, and the alignments before them."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.flaws import with_flaws
from motion4d.core.body.motion_errors import ALIGNMENTS, motion_errors
from motion4d.core.body.openpose import openpose_joints
from motion4d.core.geometry.rotations import rotvec_to_matrix
from motion4d.core.geometry.similarity import transformed
from motion4d.core.types import Frame, Skeleton
from scipy.spatial.transform import Rotation


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=1.0)


def moved(motion, *, turn=(0.0, 0.0, 0.0), scale=1.0, shift=(0.0, 0.0, 0.0)):
    return transformed(motion, turn=rotvec_to_matrix(torch.tensor(turn, dtype=torch.float64)), scale=scale, shift=torch.tensor(shift))


def test_a_motion_has_no_distance_from_itself(walk):
    errors = motion_errors(walk, walk)
    assert errors.mean_mm() == errors.bone_mm == 0 and errors.within(0.01) == 100 and not errors.notes
    assert all(errors.mean_mm(kind) < 1e-3 for kind in ALIGNMENTS)
    assert errors.jitter[0] == errors.jitter[1] > 0 and errors.bone_std_mm[0] < 1e-3


@pytest.mark.parametrize(
    ("place", "vanishes"),
    [
        ({"shift": (0.0, 0.03, 0.04)}, ("rigid", "similarity", "each frame")),
        ({"turn": (0.3, -2.9, 0.5), "shift": (9.0, 0.0, -4.0)}, ("rigid", "similarity", "each frame")),
        ({"turn": (0.3, -0.9, 0.5), "shift": (1.0, 0.0, 2.0), "scale": 0.7}, ("similarity", "each frame")),
    ],
)
def test_an_alignment_takes_out_what_it_may_and_nothing_else(walk, place, vanishes):
    errors = motion_errors(moved(walk, **place), walk)
    for kind in ALIGNMENTS:
        assert (errors.mean_mm(kind) < 5e-3) == (kind in vanishes), kind


def test_a_shift_is_told_in_millimetres_and_percent(walk):
    errors = motion_errors(moved(walk, shift=(0.0, 0.03, 0.04)), walk)
    rest = walk.skeleton.rest
    assert errors.mean_mm() == pytest.approx(50, rel=1e-4)
    assert errors.percent() == pytest.approx(5 / float((rest.amax(0) - rest.amin(0)).max()), rel=1e-4)
    assert (errors.within(errors.percent() * 1.001), errors.within(errors.percent() * 0.999)) == (100, 0)
    assert errors.bone_mm < 1e-3 and "50 mm" in errors.text()


def test_each_frame_is_aligned_for_itself_and_the_clip_as_one(walk, generator):
    frames = [
        moved(walk.cut(t, t + 1), turn=(0.0, 0.1 * t, 0.0), scale=1 + 0.01 * t, shift=(0.0, 0.1 * t, 0.0)) for t in range(walk.frames)
    ]
    errors = motion_errors(replace(walk, joints=torch.cat([one.joints for one in frames]), rotations=None, translation=None), walk)
    assert errors.mean_mm("each frame") < 5e-3 < 50 < errors.mean_mm("similarity") <= errors.mean_mm("none")


def test_a_mirror_image_is_another_pose(walk):
    wave = demo_motion("wave", seconds=1.0)
    errors = motion_errors(replace(wave, joints=wave.joints * torch.tensor([-1.0, 1.0, 1.0]), rotations=None, translation=None), wave)
    assert errors.mean_mm("each frame") > 50


def test_alignments_agree_with_scipy(walk):
    trembling = with_flaws(moved(walk, turn=(0.2, 0.4, 0.1), scale=1.2, shift=(0.5, 0.0, 0.0)), tremble_m=0.05, gap_seconds=0.3)
    errors = motion_errors(trembling, walk)
    both = trembling.seen.numpy()
    ours, theirs = (np.where(both[..., None], one.joints.numpy().astype(float), 0) for one in (trembling, walk))

    def fit(points, onto, scaled):
        middle, center = points.mean(0), onto.mean(0)
        turn, _ = Rotation.align_vectors(onto - center, points - middle)
        turned = turn.apply(points - middle)
        scale = np.linalg.lstsq(turned.reshape(-1, 1), (onto - center).ravel(), rcond=None)[0][0] if scaled else 1.0
        return np.linalg.norm(scale * turned + center - onto, axis=-1)

    by_frame = np.concatenate([fit(ours[t][both[t]], theirs[t][both[t]], True) for t in range(len(both))])
    expected = {"rigid": fit(ours[both], theirs[both], False), "similarity": fit(ours[both], theirs[both], True), "each frame": by_frame}
    for kind, distance in expected.items():
        np.testing.assert_allclose(errors.distance_m[kind].numpy()[both], distance, atol=1e-9)
        assert errors.distance_m[kind].isfinite().numpy().sum() == both.sum()
    assert f"{both.mean():.1%} of the positions" in errors.text()


def test_a_joint_that_one_motion_lacks_is_left_out(walk):
    gone = with_flaws(moved(walk, shift=(0.0, 0.0, 0.02)), gap_seconds=10.0)
    errors = motion_errors(gone, walk)
    assert errors.mean_mm() == pytest.approx(20, rel=1e-4)
    assert any("right_wrist" in note and "right_hand" in note for note in errors.notes)
    assert errors.distance_m["none"][:, walk.skeleton.index("right_hand")].isnan().all()
    with pytest.raises(ValueError, match="nothing can be compared"):
        motion_errors(walk, replace(walk, confidence=torch.zeros_like(walk.confidence)))


def test_joints_go_by_their_names_in_any_order(walk):
    order = list(range(24))[::-1]
    names = tuple(f"rig:{walk.skeleton.names[joint]}" for joint in order)
    turned = Skeleton(names=names, parents=(-1,) * 24, mirror=tuple(range(24)))
    shuffled = replace(
        walk, joints=walk.joints[:, order], confidence=walk.confidence[:, order], skeleton=turned, rotations=None, translation=None
    )
    assert motion_errors(shuffled, walk).mean_mm() == 0
    shuffled.joints[:, 0, 0] += 0.24
    assert motion_errors(shuffled, walk).distance_m["none"].nanmean(0).nonzero().tolist() == [[order[0]]]


def test_a_name_that_means_two_points_is_left_out(walk):
    errors = motion_errors(openpose_joints(walk), walk)
    assert errors.mean_mm() < 1e-3 and errors.distance_m["none"].isfinite().any(0).sum() == 12
    assert any(note.startswith("the neck is left out") for note in errors.notes)


def test_without_a_rest_pose_the_size_is_that_of_the_frames(walk):
    points = openpose_joints(walk)
    extents = (points.joints.amax(1) - points.joints.amin(1)).amax(-1)
    assert motion_errors(points, points).size_m == pytest.approx(float(extents.median()), rel=1e-6)


def test_other_times_are_refused_or_read_at_the_times_of_the_reference(walk):
    fast = demo_motion("walk", seconds=1.0, fps=60.0)
    with pytest.raises(ValueError, match=r"60 frames at 60 fps, the reference 30 at 30: set timing to resample"):
        motion_errors(fast, walk)
    errors = motion_errors(fast, walk, timing="resample")
    assert errors.mean_mm() < 0.5 and len(errors.distance_m["none"]) == 30 and "from 60 to 30 fps" in errors.notes[0]
    errors = motion_errors(walk.cut(0, 12), walk, timing="resample")
    assert errors.mean_mm() == 0 and "18 frames at the end of the reference" in errors.notes[0]
    with pytest.raises(ValueError, match="timing is 'stretch'"):
        motion_errors(walk, walk, timing="stretch")


def test_motions_in_other_axes_are_refused(walk):
    with pytest.raises(ValueError, match="reference in camera space: bring both into one with Convert Space"):
        motion_errors(walk, replace(walk, frame=Frame.CAMERA))


def test_bones_and_jitter_are_measured_apart_from_places(walk):
    grown = moved(walk, scale=1.1)
    lengths = [float((walk.joints[:, child] - walk.joints[:, parent]).norm(dim=-1).mean()) for child, parent in walk.skeleton.bones]
    errors = motion_errors(grown, walk)
    assert errors.bone_mm == pytest.approx(100 * np.mean(lengths), rel=1e-3)
    assert errors.jitter[0] == pytest.approx(1.1 * errors.jitter[1], rel=1e-3)
    trembling = motion_errors(with_flaws(walk, tremble_m=0.01), walk)
    # The length of a long bone whose ends tremble by s in each axis varies by s sqrt(2); the second difference has s sqrt(6) in each axis.
    assert trembling.bone_std_mm[0] == pytest.approx(10 * 2**0.5, rel=0.1) and trembling.bone_std_mm[1] < 1e-3
    assert trembling.jitter[0] == pytest.approx(10 * 6**0.5 * (8 / np.pi) ** 0.5, rel=0.1)


def test_the_table_names_every_joint_and_the_largest_error(walk):
    off = replace(walk, joints=walk.joints.clone())
    off.joints[3, 20, 1] += 0.3
    table = motion_errors(off, walk).text().split("\n\n")[1].splitlines()
    assert len(table) == 25 and [line.split()[0] for line in table[1:]] == list(walk.skeleton.names)
    assert table[21].split()[1:] == ["10", "300", "100%"]


def test_two_frames_of_two_joints_are_no_reason_to_fail(walk):
    few = walk.cut(0, 2)
    seen = torch.zeros_like(few.confidence)
    seen[:, :2] = 1
    errors = motion_errors(replace(few, confidence=seen), few)
    assert errors.mean_mm() == 0 and np.isnan(errors.mean_mm("each frame")) and np.isnan(errors.jitter[0])
    assert "nan" in errors.text()

"""Gaps are bridged within the limit, bones keep their lengths, what was seen never changes, and the notes tell."""

import math
from dataclasses import replace

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.gaps import fill_gaps, is_posed, known_rotations, reached, runs
from motion4d.core.body.measurements import bone_distances
from motion4d.core.formats import load_motion
from motion4d.core.skeletons import COCO17
from motion4d.core.types import Frame, Motion

WRIST, HAND, ELBOW, SHOULDER = 20, 22, 18, 16


@pytest.fixture(scope="module")
def walk() -> Motion:
    return demo_motion("walk", seconds=3.0)


def positions_only(motion: Motion) -> Motion:
    return replace(motion, rotations=None, translation=None)


def holed(motion: Motion, frames, joints=slice(None)) -> Motion:
    """Without these joints in these frames; rotations that nothing is seen of are spoilt too."""
    points, confidence = motion.joints.clone(), motion.confidence.clone()
    for frame in frames:
        points[frame, joints], confidence[frame, joints] = torch.nan, 0.0
    result = replace(motion, joints=points, confidence=confidence)
    if motion.rotations is None:
        return result
    spoilt = torch.where(known_rotations(result)[..., None, None], motion.rotations, torch.eye(3))
    translation = torch.where(result.seen[:, :1], motion.translation, torch.zeros(3))
    return replace(result, rotations=spoilt, translation=translation)


def test_a_whole_motion_stays_as_it_is(walk):
    assert fill_gaps(walk, limit_seconds=0.5) is walk


@pytest.mark.parametrize("posed", [True, False])
def test_a_person_lost_for_a_moment_comes_back_whole(walk, posed):
    motion = walk if posed else positions_only(walk)
    filled = fill_gaps(holed(motion, range(20, 26)), limit_seconds=0.3)
    assert filled.seen.all()
    assert (filled.joints - walk.joints)[20:26].norm(dim=-1).mean() < 0.02
    assert torch.equal(filled.joints[:20], walk.joints[:20]) and torch.equal(filled.joints[26:], walk.joints[26:])
    assert torch.allclose(bone_distances(filled).nan_to_num(), bone_distances(walk).nan_to_num(), atol=1e-5)
    assert filled.notes[-1] == "144 joint positions bridged in frames 20-25"
    if posed:
        assert torch.allclose(reached(filled), filled.joints, atol=1e-5)
        assert torch.equal(filled.rotations[:20], walk.rotations[:20])


@pytest.mark.parametrize("posed", [True, False])
def test_a_limb_out_of_sight_is_bridged_on_its_parent(walk, posed):
    motion = walk if posed else positions_only(walk)
    gappy = holed(motion, range(30, 36), [ELBOW, WRIST, HAND])
    filled = fill_gaps(gappy, limit_seconds=0.2)
    assert (filled.joints - walk.joints).norm(dim=-1).max() < 0.02
    assert torch.equal(filled.joints[gappy.seen], walk.joints[gappy.seen])
    assert torch.allclose(bone_distances(filled).nan_to_num(), bone_distances(walk).nan_to_num(), atol=1e-5)
    assert is_posed(filled) is posed


@pytest.mark.parametrize("posed", [True, False])
def test_a_gap_longer_than_the_limit_stays(walk, posed):
    gappy = holed(walk if posed else positions_only(walk), [3, *range(40, 50)], [HAND])
    filled = fill_gaps(gappy, limit_seconds=0.3)
    assert filled.seen[3].all() and not filled.seen[40:50, HAND].any() and filled.joints[40:50, HAND].isnan().all()
    assert filled.notes[-2:] == (
        "1 joint positions bridged in frames 3",
        "10 joint positions stay missing in frames 40-49: gaps above 0.3 s",
    )


def test_the_limit_is_in_seconds(walk):
    gappy = holed(positions_only(walk), range(40, 46), [HAND])
    assert fill_gaps(gappy, limit_seconds=6 / 30).seen.all()
    assert not fill_gaps(replace(gappy, fps=25.0), limit_seconds=6 / 30).seen.all()
    assert fill_gaps(replace(gappy, fps=60.0), limit_seconds=0.1).seen.all()


def test_ends_are_held_relative_to_the_body_within_the_limit(walk):
    gappy = holed(positions_only(walk), [0, 1, 88, 89], [HAND])
    filled = fill_gaps(gappy, limit_seconds=0.1)
    bone = filled.joints[:, HAND] - filled.joints[:, WRIST]
    assert torch.allclose(bone[:2], bone[2].expand(2, 3), atol=1e-6) and torch.allclose(bone[88:], bone[87].expand(2, 3), atol=1e-6)
    assert fill_gaps(gappy, limit_seconds=0.05).seen.equal(gappy.seen)


def test_a_joint_that_is_never_seen_stays_missing_without_a_word(walk):
    gappy = holed(positions_only(walk), range(90), [HAND])
    assert fill_gaps(gappy) is gappy


def test_a_bone_turns_at_an_even_rate_by_the_shortest_way():
    """Two joints: the second goes round the first by a right angle while nobody looks."""
    angle = torch.linspace(0, math.pi / 2, 7)
    joints = torch.zeros(7, 17, 3)
    joints[:, 1, 0], joints[:, 1, 1] = 0.3 * angle.cos(), 0.3 * angle.sin()
    joints[:, 0] += torch.linspace(0, 1, 7)[:, None]
    joints[:, 1] += joints[:, 0].clone()
    motion = Motion(joints=joints, confidence=torch.full((7, 17), 0.5), skeleton=COCO17, fps=30, frame=Frame.WORLD)
    filled = fill_gaps(holed(motion, range(1, 6), [1]), limit_seconds=1.0)
    assert torch.allclose(filled.joints, joints, atol=1e-5)


def test_the_filled_are_as_sure_as_the_less_sure_end(walk):
    confidence = walk.confidence.clone()
    confidence[9, HAND], confidence[12, HAND] = 0.4, 0.7
    filled = fill_gaps(holed(replace(positions_only(walk), confidence=confidence), [10, 11], [HAND]))
    assert torch.allclose(filled.confidence[10:12, HAND], torch.tensor([0.4, 0.4]))


def test_what_is_thrown_is_found_on_its_parabola():
    """A cubic with the speeds of its ends is exact on a parabola, up to what two frames tell of a speed."""
    time = torch.arange(40) / 60.0
    height = 3.0 * time - 4.9 * time**2
    joints = torch.zeros(40, 17, 3)
    joints[..., 1] = height[:, None]
    motion = Motion(joints=joints, confidence=torch.ones(40, 17), skeleton=COCO17, fps=60, frame=Frame.WORLD)
    filled = fill_gaps(holed(motion, range(15, 25))).joints[:, 0, 1]
    straight = torch.lerp(height[14], height[25], torch.linspace(0, 1, 12)[1:-1])
    assert (filled - height)[15:25].abs().max() < 0.4 * (straight - height[15:25]).abs().max()


def test_a_negative_limit_is_refused(walk):
    with pytest.raises(ValueError, match="limit_seconds is -1"):
        fill_gaps(walk, limit_seconds=-1)
    with pytest.raises(ValueError, match="limit_seconds is nan"):
        fill_gaps(walk, limit_seconds=math.nan)


def test_stretches():
    assert runs(torch.tensor([1, 1, 0, 0, 1]).bool()) == [(0, 2), (4, 5)]
    assert runs(torch.zeros(3, dtype=torch.bool)) == []


def test_a_real_dance_with_holes_is_bridged_to_centimetres(reference):
    motion = load_motion(reference("data", "nlf_dance_motions.npz"), clip=1)
    lost = [frame for start in range(20, 290, 30) for frame in range(start, start + 3)]
    filled = fill_gaps(holed(motion, lost), limit_seconds=0.5)
    error = (filled.joints - motion.joints)[lost].norm(dim=-1)
    assert filled.seen.all() and error.mean() < 0.04 and error.median() < 0.02

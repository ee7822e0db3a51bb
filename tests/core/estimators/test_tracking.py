import math
import time
from dataclasses import replace
from functools import cache
from itertools import pairwise

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.estimators.people import Detections, FramePeople
from motion4d.core.estimators.tracking import Track, motion_of, motions_of, track
from motion4d.core.geometry.cameras import orbit_rig
from motion4d.core.geometry.rotations import rotvec_to_matrix

FPS, SIZE = 30.0, (720, 1280)
RIG = orbit_rig([20.0], radius=7.0, elevation_deg=10.0, image_size=SIZE, vertical_fov_deg=50.0, target=(0, 1, 0))


@cache
def _walk(stature, frames):
    return demo_motion("walk", seconds=frames / FPS, fps=FPS, stature=stature).joints


@cache
def crossing(seed, *, statures, frames=180):
    """(4, T, 24, 3) walkers who come from all sides and pass the middle together, less than 0.3 m from it and from one another."""
    generator = torch.Generator().manual_seed(seed)
    spread = torch.rand(4, 3, generator=generator) - 0.5
    start = 2 * math.pi * float(torch.rand((), generator=generator))
    people = []
    for number, (aside, ahead, turn) in enumerate(spread.tolist()):
        stature = statures[0] + (statures[1] - statures[0]) * float(torch.rand((), generator=generator))
        walk = _walk(round(stature, 1) if statures[0] < statures[1] else stature, frames)
        heading = rotvec_to_matrix(torch.tensor([0.0, start + number * math.pi / 2 + 0.5 * turn, 0.0]))
        people.append(walk @ heading.mT + torch.tensor([0.2 * aside, 0.0, 0.2 * ahead]))
    return torch.stack(people)


def filmed(world, seed, *, missed=0.1, hidden=30, noise=0.02, ghosts=0.0, rig=RIG):
    """World joints (P, T, 24, 3) as Detections, and who is who in each frame (-1 for a ghost).

    Everybody trembles as a whole and in each joint, is missed at random, is hidden for `hidden` frames around the middle, and comes in another order
    in each frame; ghosts are people who are not there, near to one who is.
    """
    generator = torch.Generator().manual_seed(1000 + seed)
    seen = rig.to_camera(world)[0]
    people, frames = seen.shape[:2]
    away = torch.rand(people, frames, generator=generator) < missed
    for number in range(people if hidden else 0):
        first = frames // 2 - int(torch.randint(0, hidden + 1, (), generator=generator))
        away[number, first : first + hidden] = True
    seen = seen + noise * torch.randn(seen.shape, generator=generator) + noise * torch.randn(people, frames, 1, 3, generator=generator)
    found, truth = [], []
    for frame in range(frames):
        who = [number for number in torch.randperm(people, generator=generator).tolist() if not away[number, frame]]
        joints = seen[who, frame]
        if float(torch.rand((), generator=generator)) < ghosts:
            model = int(torch.randint(0, people, (), generator=generator))
            joints, who = torch.cat([joints, (seen[model, frame] + 0.5 * torch.randn(3, generator=generator))[None]]), [*who, -1]
        found.append(_frame(joints, rig))
        truth.append(who)
    return Detections(frames=found, fps=FPS, image_size=rig.image_size, intrinsics=rig.intrinsics[0]), truth


def _frame(joints, rig):
    if len(joints) == 0:
        return FramePeople.none()
    pixels = joints @ rig.intrinsics[0].mT
    pixels = pixels[..., :2] / pixels[..., 2:]
    return FramePeople(joints=joints, confidence=torch.ones(joints.shape[:2]), boxes=torch.cat([pixels.amin(1), pixels.amax(1)], -1))


def swaps_and_splits(tracks, truth):
    """How often a track goes from one person to another, and how many tracks people have beyond one each."""
    swaps, owners = 0, {}
    for one in tracks:
        who = [truth[frame][pick] for frame, pick in zip(one.frames.tolist(), one.picks.tolist(), strict=True)]
        real = [person for person in who if person >= 0]
        swaps += sum(a != b for a, b in pairwise(real))
        for person in set(real):
            owners.setdefault(person, set()).add(one.id)
    return swaps, sum(len(ids) - 1 for ids in owners.values())


def test_the_walkers_do_cross_and_vanish_as_told():
    for seed in range(20):
        world = crossing(seed, statures=(1.55, 1.9))
        trunks = world[:, :, 0]
        nearest = torch.stack([(trunks[a] - trunks[b])[:, [0, 2]].norm(dim=-1).amin() for a in range(4) for b in range(a)])
        assert (nearest < 0.3).all()
    _, truth = filmed(world, 0)
    assert all(max(run) >= 30 for run in ([0, *_gaps(truth, person)] for person in range(4)))
    assert 0.7 < sum(map(len, truth)) / (4 * 180 * 0.9 * 150 / 180) < 1.3
    assert any(truth[frame] != sorted(truth[frame]) for frame in range(180))


def _gaps(truth, person):
    shown = [frame for frame, who in enumerate(truth) if person in who]
    return [b - a - 1 for a, b in pairwise(shown)]


@pytest.mark.parametrize("statures", [(1.55, 1.9), (1.692, 1.692)], ids=["people of all sizes", "four equal bodies"])
def test_nobody_is_swapped_where_four_people_cross_unseen(statures):
    outcomes = {}
    for seed in range(20):
        detections, truth = filmed(crossing(seed, statures=statures), seed)
        outcomes[seed] = swaps_and_splits(track(detections), truth)
    print(
        f"\nswaps {sum(swaps for swaps, _ in outcomes.values())}, people split {sum(splits for _, splits in outcomes.values())} on 20 seeds"
    )
    assert all(outcome == (0, 0) for outcome in outcomes.values()), outcomes


def test_ghosts_break_no_track():
    for seed in range(20):
        detections, truth = filmed(crossing(seed, statures=(1.692, 1.692)), seed, ghosts=0.3)
        tracks = track(detections)
        assert len(tracks) == 4 and swaps_and_splits(tracks, truth) == (0, 0)


def test_the_order_within_a_frame_changes_nothing(generator):
    detections, _ = filmed(crossing(1, statures=(1.55, 1.9)), 1)
    orders = [torch.randperm(frame.count, generator=generator) for frame in detections.frames]
    shuffled = replace(
        detections,
        frames=[
            FramePeople(joints=frame.joints[order], confidence=frame.confidence[order], boxes=frame.boxes[order])
            for frame, order in zip(detections.frames, orders, strict=True)
        ],
    )
    for one, other in zip(track(detections), track(shuffled), strict=True):
        back = [int(orders[frame][pick]) for frame, pick in zip(other.frames.tolist(), other.picks.tolist(), strict=True)]
        assert torch.equal(one.frames, other.frames) and one.picks.tolist() == back


def test_played_backwards_the_same_people_are_found():
    detections, truth = filmed(crossing(3, statures=(1.55, 1.9)), 3)
    back = replace(detections, frames=detections.frames[::-1])
    assert swaps_and_splits(track(back), truth[::-1]) == (0, 0)


def test_one_frame_is_enough_for_a_track_where_there_is_only_one():
    detections, _ = filmed(crossing(0, statures=(1.55, 1.9)), 0, missed=0, hidden=0)
    alone = replace(detections, frames=detections.frames[:1])
    tracks = track(alone)
    assert [len(one) for one in tracks] == [1, 1, 1, 1] and [one.id for one in tracks] == [0, 1, 2, 3]
    assert motion_of(alone, tracks[0]).frames == 1


def test_nobody_gives_no_tracks():
    empty = Detections(frames=[FramePeople.none()] * 3, fps=FPS, image_size=SIZE, intrinsics=RIG.intrinsics[0])
    assert track(empty) == ()


def test_joints_that_are_missing_or_people_without_any_do_not_hinder(generator):
    detections, truth = filmed(crossing(2, statures=(1.55, 1.9)), 2, hidden=0)
    frames = []
    for frame in detections.frames:
        confidence = (torch.rand(frame.confidence.shape, generator=generator) > 0.3).float()
        joints = torch.where(confidence[..., None] > 0, frame.joints, torch.nan)
        frames.append(replace(frame, joints=joints, confidence=confidence))
    frames[50] = replace(
        frames[50], joints=torch.full_like(frames[50].joints, torch.nan), confidence=torch.zeros_like(frames[50].confidence)
    )
    tracks = track(replace(detections, frames=frames))
    assert swaps_and_splits(tracks, truth) == (0, 0)
    assert all(50 not in one.frames for one in tracks)


def test_a_cut_ends_everybody_and_sizes_link_them_again_only_when_asked():
    detections, truth = filmed(crossing(0, statures=(1.55, 1.9)), 0, missed=0, hidden=0, noise=0.005)
    cut = replace(detections, shots=(60,))
    tracks = track(cut)
    assert len(tracks) == 8 and all(int(one.frames[-1]) < 60 or int(one.frames[0]) >= 60 for one in tracks)
    joined = track(cut, relink_shots=True)
    assert len(joined) == 4 and swaps_and_splits(joined, truth) == (0, 0)
    told = [motion_of(cut, one).notes[-1] for one in (joined[0], track(cut)[0])]
    assert f"jumps at cuts, frames {cut.shots[0]}:" in told[0] and "jumps" not in told[1]


def test_a_long_absence_makes_a_new_person():
    detections, _ = filmed(crossing(0, statures=(1.55, 1.9))[:1], 0, missed=0, hidden=45)
    assert len(track(detections, absence=1.0)) == 2 and len(track(detections, absence=1.6)) == 1
    with pytest.raises(ValueError, match="absence is -1"):
        track(detections, absence=-1)


def test_time_grows_with_the_frames():
    detections, _ = filmed(crossing(0, statures=(1.55, 1.9)), 0, hidden=0)

    def seconds(times):
        began = time.process_time()
        track(replace(detections, frames=detections.frames * times))
        return time.process_time() - began

    seconds(1)
    short, long = seconds(4), seconds(16)
    print(f"\n{720 * 16 // 4} frames of 4 people: {long:.2f} s")
    assert long < 8 * short + 0.5


def _posed(count=6):
    """A clip of one person with rotations, absent in frames 0 and 3."""
    turn = rotvec_to_matrix(torch.arange(count)[:, None, None] * torch.tensor([0.0, 0.1, 0.0])).expand(count, 24, 3, 3)
    body = torch.ones(1, 24, 3) * torch.tensor([0.0, 0.0, 3.0])
    frames = [
        FramePeople(
            joints=body + number, confidence=torch.full((1, 24), 0.5), boxes=torch.zeros(1, 4), rotations=turn[number][None],
            translation=torch.full((1, 3), float(number)), shape=torch.full((1, 10), float(number)),
        ) if number not in (0, 3) else FramePeople.none()
        for number in range(count)
    ]  # fmt: skip
    detections = Detections(frames=frames, fps=FPS, image_size=SIZE, intrinsics=RIG.intrinsics[0], notes=("as filmed",))
    return detections, Track(id=0, frames=torch.tensor([1, 2, 4, 5]), picks=torch.zeros(4, dtype=torch.long)), turn


def test_a_motion_is_the_clip_with_its_person_missing_where_absent():
    detections, one, turn = _posed()
    motion = motion_of(detections, one)
    assert motion.frames == 6 and motion.image_size == SIZE and torch.equal(motion.intrinsics, RIG.intrinsics[0])
    assert motion.seen.all(1).tolist() == [False, True, True, False, True, True]
    assert torch.isnan(motion.joints[[0, 3]]).all() and torch.equal(motion.joints[4], detections.frames[4].joints[0])
    assert motion.translation[:, 0].tolist() == [1, 1, 2, 2, 4, 5]  # held from the last frame that shows the person
    assert torch.equal(motion.rotations, turn[[1, 1, 2, 2, 4, 5]])
    assert motion.shape.tolist() == [2.0] * 10
    assert motion.notes[0] == "as filmed" and "absent in frames 0, 3, where rotations and translation are held" in motion.notes[1]
    part = motion_of(detections, one, whole=False)
    assert part.frames == 5 and torch.equal(part.joints[0], motion.joints[1]) and "frames 2," in part.notes[1]


def test_rotations_go_where_a_frame_lacks_them():
    detections, one, _ = _posed()
    frames = list(detections.frames)
    frames[4] = replace(frames[4], rotations=None)
    (motion,) = motions_of(replace(detections, frames=frames), [one])
    assert motion.rotations is None and motion.translation is not None
    assert "where translation" in motion.notes[1]


def test_a_track_of_another_clip_is_refused():
    detections, one, _ = _posed()
    with pytest.raises(ValueError, match="goes to frame 5, the detections have 3"):
        motion_of(replace(detections, frames=detections.frames[:3]), one)
    with pytest.raises(ValueError, match="picks person 7 of frame 1"):
        motion_of(detections, replace(one, picks=torch.full((4,), 7)))
    with pytest.raises(ValueError, match="increasing"):
        Track(id=0, frames=torch.tensor([2, 2]), picks=torch.tensor([0, 1]))

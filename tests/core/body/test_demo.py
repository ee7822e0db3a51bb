import pytest
import torch
from motion4d.core.body.demo import ACTIONS, demo_motion
from motion4d.core.body.measurements import estimate_stature
from motion4d.core.geometry.kinematics import forward
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Animation, Frame

LEGS = ((1, 4, 7, 10), (2, 5, 8, 11))


@pytest.fixture(scope="module")
def tours():
    return {action: demo_motion(action, seconds=8.0 if action == "tour" else 4.0, fps=60.0) for action in ACTIONS}


def speed(track, fps):
    return track.diff(dim=0).norm(dim=-1) * fps


def knee_angles(motion):
    for hip, knee, ankle, _ in LEGS:
        thigh, shin = motion.joints[:, knee] - motion.joints[:, hip], motion.joints[:, ankle] - motion.joints[:, knee]
        yield torch.rad2deg(
            torch.acos((torch.nn.functional.normalize(thigh, dim=-1) * torch.nn.functional.normalize(shin, dim=-1)).sum(-1))
        )


@pytest.mark.parametrize("action", ACTIONS)
def test_a_motion_is_complete(action, tours):
    motion = tours[action]
    assert (
        motion.frames == (480 if action == "tour" else 240)
        and motion.fps == 60.0
        and motion.frame is Frame.WORLD
        and motion.skeleton is SMPL24
    )
    assert motion.seen.all() and motion.joints.dtype == torch.float32
    again = forward(Animation(rotations=motion.rotations, translation=motion.translation, fps=60.0, rig=SMPL24))
    assert torch.equal(again.joints, motion.joints)
    identity = torch.eye(3).expand(motion.frames, 24, 3, 3)
    assert torch.allclose(motion.rotations @ motion.rotations.mT, identity, atol=1e-5)


@pytest.mark.parametrize("action", ACTIONS)
def test_feet_never_sink_into_the_floor(action, tours):
    assert tours[action].joints[..., 1].min() > 0.0219  # the balls of the feet at rest


@pytest.mark.parametrize("action", ACTIONS)
def test_one_foot_always_stands_still(action, tours):
    """Of the two balls of the feet one is planted at any time: it does not move."""
    motion = tours[action]
    balls = torch.stack([speed(motion.joints[:, leg[3]], 60.0) for leg in LEGS], -1)
    assert balls.min(-1).values.quantile(0.9) < 0.005
    # where heel or ball of both feet turn about their contact, the slower one still hardly moves
    assert balls.min(-1).values.max() < 0.5


@pytest.mark.parametrize("action", ACTIONS)
def test_a_planted_foot_does_not_slide(action, tours):
    """While the ball of a foot is on the floor and its heel is not behind it in the air, it stays within a millimetre of one place."""
    motion = tours[action]
    for *_, ankle, ball in LEGS:
        flat = (motion.joints[:, ball, 1] < 0.0225) & (motion.joints[:, ankle, 1] < 0.0755)
        runs = torch.cat([torch.tensor([0]), torch.cumsum(flat.diff().int().abs(), 0)])
        for run in runs[flat].unique():
            place = motion.joints[(runs == run) & flat, ball][:, [0, 2]]
            assert (place - place.mean(0)).norm(dim=-1).max() < 0.001


@pytest.mark.parametrize("action", ACTIONS)
def test_nothing_jumps(action, tours):
    motion = tours[action]
    assert speed(motion.joints, 60.0).max() < 6.0
    acceleration = motion.joints.diff(n=2, dim=0).norm(dim=-1) * 60.0**2
    assert acceleration[:, [0, 3, 6, 9, 12, 15]].max() < 15.0  # the trunk glides
    assert acceleration.max() < 120.0


@pytest.mark.parametrize("action", ACTIONS)
def test_knees_and_elbows_bend_the_way_they_do(action, tours):
    motion = tours[action]
    for angle in knee_angles(motion):
        assert angle.min() > 5.0 and angle.max() < 85.0
    heading = motion.rotations[:, 0, :, 2]  # where the pelvis looks
    for hip, knee, ankle, _ in LEGS:
        middle = (motion.joints[:, hip] + motion.joints[:, ankle]) / 2
        assert ((motion.joints[:, knee] - middle) * heading).sum(-1).min() > 0  # the knee is before the line from hip to ankle
    for shoulder, elbow, wrist in ((16, 18, 20), (17, 19, 21)):
        upper = torch.nn.functional.normalize(motion.joints[:, elbow] - motion.joints[:, shoulder], dim=-1)
        lower = torch.nn.functional.normalize(motion.joints[:, wrist] - motion.joints[:, elbow], dim=-1)
        assert (upper * lower).sum(-1).max() < 0.999 and (upper * lower).sum(-1).min() > -0.8


def test_a_walk_goes_ahead_at_a_steady_pace(tours):
    path = tours["walk"].translation
    pace = path[:, 2].diff() * 60.0
    assert 0.8 < float(pace.mean()) < 1.4 and pace.std() < 0.05
    assert path[:, 0].abs().max() < 0.06
    middle = (path[0, 2] + path[-1, 2]) / 2
    assert abs(float(middle)) < 0.05


def test_a_walk_lifts_both_feet_in_turn_and_strikes_with_the_heel(tours):
    motion = tours["walk"]
    ball, ankle = motion.joints[:, [10, 11]], motion.joints[:, [7, 8]]
    assert (ball[..., 1].amax(0) > 0.06).all()
    assert not (ball[..., 1] > 0.05).all(-1).any()  # never both in the air
    toes_up = ball[..., 1] - ankle[..., 1] + (SMPL24.rest[7, 1] - SMPL24.rest[10, 1])
    assert (toes_up.amax(0) > 0.02).all() and (toes_up.amin(0) < -0.04).all()


def test_arms_swing_against_the_legs(tours):
    joints = tours["walk"].joints
    wrists, ankles = joints[:, 20, 2] - joints[:, 21, 2], joints[:, 7, 2] - joints[:, 8, 2]
    assert torch.corrcoef(torch.stack([wrists, ankles]))[0, 1] < -0.9


def test_a_walk_loops():
    """The frame after the last would be the first one, further along."""
    motion, longer = demo_motion("walk", seconds=3.24, fps=25.0), demo_motion("walk", seconds=6.48, fps=25.0)
    assert motion.frames == 81
    assert torch.allclose(motion.rotations, longer.rotations[:81], atol=1e-4)
    assert torch.allclose(longer.rotations[81:], longer.rotations[:81], atol=1e-4)
    travel = longer.translation[81:] - longer.translation[:81]
    assert torch.allclose(travel, travel[:1].expand(81, 3), atol=1e-4) and travel[0, 2] > 3.0 and travel[:, :2].abs().max() < 1e-4


@pytest.mark.parametrize("action", ["turn", "wave"])
def test_turn_and_wave_end_as_they_begin(action, tours):
    motion = tours[action]
    assert torch.allclose(motion.joints[-1], motion.joints[0], atol=0.01)


def test_a_turn_goes_once_round_to_the_left_on_the_spot(tours):
    motion = tours["turn"]
    ahead = motion.rotations[:, 0, :, 2]
    heading = torch.atan2(ahead[:, 0], ahead[:, 2])
    turned = (torch.remainder(heading.diff() + torch.pi, 2 * torch.pi) - torch.pi).sum()
    assert float(turned) == pytest.approx(2 * torch.pi, abs=0.02)
    assert motion.translation[:, [0, 2]].norm(dim=-1).max() < 0.08


def test_the_right_hand_waves_beside_the_head(tours):
    joints = tours["wave"].joints[90:150]
    assert (joints[:, 23, 1] > joints[:, 15, 1]).all() and (joints[:, 23, 0] < -0.2).all()
    assert joints[:, 22, 1].max() < 1.0
    assert joints[:, 23, 0].max() - joints[:, 23, 0].min() > 0.12
    arm = joints[:, 19, 0] - joints[:, 17, 0]
    assert arm.max() - arm.min() < 0.03  # the forearm waves, the upper arm stays


def test_a_tour_walks_turns_and_waves(tours):
    motion = tours["tour"]
    assert motion.translation[0, 2] < -1.5 and motion.translation[-1, [0, 2]].norm() < 0.1
    assert (motion.rotations[:, 0, 2, 2] < -0.9).any()
    assert motion.joints[:, 23, 1].argmax() > 320 and motion.joints[:, 23, 1].max() > 1.6


@pytest.mark.parametrize("stature", [0.8, 1.55, 1.95])
def test_a_person_of_any_stature_walks_the_same_way(stature):
    motion, usual = demo_motion("walk", seconds=1.0, stature=stature), demo_motion("walk", seconds=1.0)
    assert estimate_stature(motion) == pytest.approx(stature, rel=1e-4)
    assert torch.equal(motion.rotations, usual.rotations)
    assert torch.allclose(motion.joints, usual.joints * (stature / 1.692), atol=1e-5)


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize(("seconds", "fps", "frames"), [(0.03, 30.0, 1), (0.5, 24.0, 12), (1.0, 7.0, 7), (2.0, 1.0, 2)])
def test_short_and_coarse_motions_are_whole(action, seconds, fps, frames):
    motion = demo_motion(action, seconds=seconds, fps=fps)
    assert motion.frames == frames
    assert motion.joints[..., 1].min() > 0.0219


def test_the_frame_rate_only_samples():
    fine, coarse = demo_motion("turn", seconds=3.0, fps=60.0), demo_motion("turn", seconds=3.0, fps=20.0)
    assert torch.allclose(fine.joints[::3], coarse.joints, atol=1e-4)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"action": "fly", "seconds": 1.0}, "expected one of walk, wave, turn, tour"),
        ({"action": "walk", "seconds": 0.0}, "seconds is 0.0"),
        ({"action": "walk", "seconds": float("nan")}, "seconds is nan"),
        ({"action": "walk", "seconds": 1.0, "fps": -1.0}, "fps is -1.0"),
        ({"action": "walk", "seconds": 1.0, "stature": 0.1}, "stature is 0.1"),
    ],
)
def test_what_cannot_be_authored_is_refused(fields, message):
    with pytest.raises(ValueError, match=message):
        demo_motion(**fields)

import pytest
import torch
from motion4d.core.estimators.people import Detections, FramePeople
from motion4d.core.estimators.selection import describe_people, in_order, sam_track_masks, select
from motion4d.core.estimators.tracking import track
from motion4d.core.geometry.cameras import motion_capture_intrinsics
from motion4d.core.skeletons import SMPL24

SIZE, FRAMES = (240, 320), 30
K = motion_capture_intrinsics(SIZE)


def _standing(x, z):
    """(24, 3) at rest, `x` metres right of and `z` metres before the camera, hips at its height."""
    return (SMPL24.rest - SMPL24.rest[0]) * torch.tensor([1.0, -1.0, -1.0]) + torch.tensor([x, 0.0, z])


PLACES = {"far left": (-1.2, 5.0), "near right": (0.9, 3.0), "late": (0.0, 4.0)}


@pytest.fixture
def detections():
    """Two people throughout, the far one on the left, and a third between them from frame 10 on; in another order in every other frame."""
    frames = []
    for frame in range(FRAMES):
        names = ["far left", "near right"] + (["late"] if frame >= 10 else [])
        joints = torch.stack([_standing(*PLACES[name]) for name in (names if frame % 2 else names[::-1])])
        if frame in (20, 21):  # the near one, the second or the one before the last, is unseen
            joints = joints[[number for number in range(len(joints)) if joints[number, 0, 0] < 0.5]]
        pixels = joints @ K.mT
        pixels = pixels[..., :2] / pixels[..., 2:]
        frames.append(
            FramePeople(joints=joints, confidence=torch.ones(joints.shape[:2]), boxes=torch.cat([pixels.amin(1), pixels.amax(1)], -1))
        )
    return Detections(frames=frames, fps=30.0, image_size=SIZE, intrinsics=K)


@pytest.fixture
def tracks(detections):
    return track(detections)


def _name(detections, one):
    """Who a track shows, in all of its frames."""
    middles = {
        float(detections.frames[frame].joints[pick, 0, 0]) for frame, pick in zip(one.frames.tolist(), one.picks.tolist(), strict=True)
    }
    (x,) = middles
    return next(name for name, place in PLACES.items() if abs(place[0] - x) < 1e-6)


def _pixel(name):
    x, z = PLACES[name]
    return float(K[0, 0] * x / z + K[0, 2]), float(K[1, 2])


def _mask(name, shape=SIZE):
    """True on a strip of the picture around a person."""
    mask = torch.zeros(shape)
    middle = _pixel(name)[0] * shape[1] / SIZE[1]
    mask[:, max(0, round(middle - 0.06 * shape[1])) : round(middle + 0.06 * shape[1])] = 1
    return mask


def test_numbers_go_from_left_to_right(detections, tracks):
    assert [_name(detections, one) for one in in_order(detections, tracks)] == ["far left", "late", "near right"]
    assert [_name(detections, select(detections, tracks, "index", index=number)) for number in range(3)] == [
        "far left",
        "late",
        "near right",
    ]


def test_the_largest_is_the_nearest_and_the_longest_the_one_never_hidden(detections, tracks):
    assert _name(detections, select(detections, tracks, "largest")) == "near right"
    assert _name(detections, select(detections, tracks, "longest")) == "far left"


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("frame", [12, 25])
def test_a_point_finds_who_is_there(detections, tracks, name, frame):
    x, y = _pixel(name)
    assert _name(detections, select(detections, tracks, "point", point=(x + 3, y), frame=frame)) == name


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("shape", [SIZE, (60, 80), (480, 640), (288, 288)])
def test_masks_of_any_size_find_who_is_inside(detections, tracks, name, shape):
    mask = _mask(name, shape)
    assert _name(detections, select(detections, tracks, "mask", masks=mask, frame=15)) == name
    assert _name(detections, select(detections, tracks, "mask", masks=mask.expand(FRAMES, *shape))) == name


def test_masks_that_are_empty_at_times_still_count_where_they_are_not(detections, tracks):
    masks = torch.zeros(FRAMES, *SIZE)
    masks[23] = _mask("late")
    assert _name(detections, select(detections, tracks, "mask", masks=masks)) == "late"


def test_packed_masks_of_another_tracker_are_read_bit_by_bit(detections, tracks, generator):
    plain = torch.rand(FRAMES, 2, 6, 16, generator=generator) > 0.5
    packed = torch.zeros(FRAMES, 2, 6, 2, dtype=torch.uint8)
    for column in range(16):  # the leftmost pixel of eight is the lowest bit
        packed[..., column // 8] |= plain[..., column].to(torch.uint8) << (column % 8)
    data = {"packed_masks": packed, "n_frames": FRAMES, "scores": [1.0, 1.0], "orig_size": SIZE}
    assert torch.equal(sam_track_masks(data, 1), plain[:, 1])
    with pytest.raises(ValueError, match="object 2 does not exist: track_data has 2"):
        sam_track_masks(data, 2)
    with pytest.raises(ValueError, match="found nothing"):
        sam_track_masks(data | {"packed_masks": None}, 0)
    with pytest.raises(ValueError, match=r"no SAM3_TRACK_DATA: .* it has masks"):
        sam_track_masks({"masks": 1}, 0)
    with pytest.raises(ValueError, match="bytes"):
        sam_track_masks({"packed_masks": plain}, 0)


@pytest.mark.parametrize(
    ("how", "given", "message"),
    [
        ("tallest", {}, "expected one of largest"),
        ("index", {"index": 3}, "person 3 does not exist: 3 people"),
        ("point", {}, "give the point"),
        ("point", {"point": (400, 10)}, "320 wide and 240 high"),
        ("point", {"point": (4, 10), "frame": 30}, "the clip has 30"),
        ("mask", {}, "give one mask for each frame"),
        ("mask", {"masks": torch.ones(29, *SIZE)}, "29 masks and 30 frames"),
        ("mask", {"masks": torch.zeros(SIZE)}, "no joint of the 3 people"),
        ("mask", {"masks": torch.zeros(1, 1, 30, *SIZE)}, "expected"),
    ],
)
def test_what_does_not_fit_is_refused_with_the_numbers(detections, tracks, how, given, message):
    with pytest.raises(ValueError, match=message):
        select(detections, tracks, how, **given)


def test_nobody_is_refused(detections):
    with pytest.raises(ValueError, match="nobody is seen"):
        select(detections, (), "largest")


def test_a_frame_without_anybody_says_where_people_are(detections):
    frames = (FramePeople.none(), *detections.frames[1:])
    later = Detections(frames=frames, fps=30.0, image_size=SIZE, intrinsics=K)
    with pytest.raises(ValueError, match="people are in frames 1-29"):
        select(later, track(later), "point", point=(10, 10), frame=0)


def test_the_report_tells_who_is_there_when(detections, tracks):
    lines = describe_people(detections, tracks).splitlines()
    assert lines[0] == "3 people in 30 frames"
    assert lines[1].startswith("person 0: in 30 frames, from 0 to 29")
    assert lines[2].startswith("person 1: in 20 frames, from 10 to 29") and "unseen" not in lines[2]
    assert lines[3].startswith("person 2: in 28 frames") and lines[3].endswith("unseen in between in 2: 20-21")

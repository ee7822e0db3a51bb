"""Faces from what other nodes hand on, and one of several."""

import math

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.cues.face_boxes import choose_faces, faces_of_bounding_boxes, faces_of_pose_keypoints, to_bounding_boxes
from motion4d.core.cues.face_finding import draw_face_boxes, find_faces
from motion4d.core.cues.mediapipe_faces import mediapipe_faces
from motion4d.core.cues.motion_faces import faces_of_motion
from motion4d.core.formats import load_motion, read_video
from motion4d.core.geometry.cameras import orbit_rig, with_camera
from motion4d.core.geometry.similarity import transformed

SIZE = (100, 120)


def box(x, y, width, height, **more) -> dict:
    return {"x": x, "y": y, "width": width, "height": height, **more}


def candidates(*frames) -> list[torch.Tensor]:
    return [torch.tensor(frame, dtype=torch.float64).reshape(-1, 4) for frame in frames]


def face_points(x, y, width, height, *, confidence=1.0, count=70) -> list[float]:
    """68 points whose box is the one given, and pupils far off."""
    points = [(x + width * (n % 8) / 7, y + height * (n // 8) / 8, confidence) for n in range(68)] + [(900.0, 900.0, confidence)] * 2
    points[67] = (x + width, y + height, confidence)
    return [number for point in points[:count] for number in point]


def pose_frames(*faces, size=SIZE) -> list[dict]:
    """POSE_KEYPOINT whose frames have people with these face points (None: none)."""
    body = [0.0] * 54
    return [
        {
            "people": [{"pose_keypoints_2d": body, "face_keypoints_2d": face} for face in people],
            "canvas_width": size[1],
            "canvas_height": size[0],
        }
        for people in faces
    ]


def test_boxes_of_every_shape_that_comfyui_hands_on():
    one, two = box(10, 20, 30, 40), box(1.5, 2.5, 3, 4, label="face", score=0.9)
    first, second = [[10, 20, 40, 60]], [[1.5, 2.5, 4.5, 6.5]]
    for payload, expected in (
        (one, [first] * 3), ([one, two], [first + second] * 3), ([[one]], [first] * 3), ([[one], [], [two, one]], [first, [], second + first]),
    ):  # fmt: skip
        assert [found.tolist() for found in faces_of_bounding_boxes(payload, 3)] == expected


def test_boxes_of_other_things_are_left_out_or_refused():
    found = faces_of_bounding_boxes([[box(0, 0, 50, 90, label="person"), box(10, 5, 9, 9, label="face")]], 1)
    assert found[0].tolist() == [[10, 5, 19, 14]]
    with pytest.raises(ValueError, match=r"labelled person.*face detector"):
        faces_of_bounding_boxes([[box(0, 0, 50, 90, label="person")]], 1)


@pytest.mark.parametrize(
    ("payload", "said"),
    [
        ([[box(1, 2, 3, 0)], [], []], "frame 0: a box at .* height 0.*above 0"),
        ([[], [], [box(1, 2, -3, 5)]], "frame 2: .*width -3"),
        ([[], [], [box(math.nan, 2, 3, 5)]], "frame 2"),
        ([[], []], "boxes for 2 frames, the video has 3"),
        ([[{"x": 1, "y": 2}], [], []], "key 'width' is missing"),
        ([[box("1", 2, 3, 4)], [], []], "x is '1'"),
        ("face", "expected a list"),
        ([3, 4, 5], "frame 0 is int"),
        ([], "without frames"),
    ],
)
def test_malformed_boxes_are_refused_with_the_frame(payload, said):
    with pytest.raises(ValueError, match=said):
        faces_of_bounding_boxes(payload, 3)


def test_face_points_have_a_forehead_and_no_pupils():
    found = faces_of_pose_keypoints(
        pose_frames([face_points(40, 30, 20, 20)], [None], [face_points(40, 30, 20, 20, confidence=0.1)]), 3, SIZE
    )
    assert found[0].tolist() == [pytest.approx([40, 24, 60, 50], abs=1e-4)] and len(found[1]) == len(found[2]) == 0
    people = [face_points(40, 30, 20, 20), face_points(80, 30, 10, 10)]
    assert len(faces_of_pose_keypoints(pose_frames(people, people[:1]), 2, SIZE)[0]) == 2


def test_face_points_in_parts_of_the_canvas_and_of_a_resized_video():
    parts = [value / (SIZE[1], SIZE[0], 1)[n % 3] for n, value in enumerate(face_points(40, 30, 20, 20, count=68))]
    assert faces_of_pose_keypoints(pose_frames([parts]), 1, SIZE)[0].tolist() == [pytest.approx([40, 24, 60, 50], abs=1e-3)]
    double = faces_of_pose_keypoints(pose_frames([face_points(40, 30, 20, 20)]), 1, (200, 240))
    assert double[0].tolist() == [pytest.approx([80, 48, 120, 100], abs=1e-3)]


def test_face_points_that_do_not_go_with_the_video():
    with pytest.raises(ValueError, match="no face points in any frame"):
        faces_of_pose_keypoints(pose_frames([None], []), 2, SIZE)
    with pytest.raises(ValueError, match="has 1 frames, the video 2"):
        faces_of_pose_keypoints(pose_frames([face_points(40, 30, 20, 20)]), 2, SIZE)
    with pytest.raises(ValueError, match="120x100 pixels, the video has 100x100"):
        faces_of_pose_keypoints(pose_frames([face_points(40, 30, 20, 20)]), 1, (100, 100))


def person(left: int, top: int = 20) -> torch.Tensor:
    """A mask (H, W) 30 wide and 60 tall."""
    mask = torch.zeros(SIZE)
    mask[top : top + 60, left : left + 30] = 1
    return mask


def test_of_several_faces_the_one_on_the_upper_third_of_the_mask():
    ours, theirs, knee = [15, 20, 25, 30], [75, 10, 95, 30], [10, 60, 40, 80]
    found = choose_faces(
        candidates([theirs, knee, ours], [theirs], [ours, knee], [], [theirs, ours]),
        SIZE,
        masks=torch.stack([person(10)] * 4 + [torch.zeros(SIZE)]),
    )
    assert found.boxes[[0, 2]].tolist() == [ours, ours] and found.there.tolist() == [True, False, True, False, False]
    assert (
        "several faces in frames 0, 2, 4: the one on the person's mask" in found.report()
        and "only other faces in frames 1, 4" in found.report()
    )


def test_intersection_over_union_prefers_the_face_that_fits():
    tight, huge = [12, 20, 38, 42], [0, 0, 110, 90]
    for order in ([tight, huge], [huge, tight]):
        assert choose_faces(candidates(order), SIZE, masks=person(10)[None]).boxes.tolist() == [tight]


def test_the_face_of_somebody_who_bends_down_is_still_on_the_mask():
    assert choose_faces(candidates([[12, 62, 28, 78]]), SIZE, masks=person(10)[None]).there.all()


def test_without_masks_the_largest_face_is_followed():
    def at(x, side=16):
        return [x, 20, x + side, 20 + side]

    other = at(80, 15)
    found = choose_faces(candidates([other, at(20)], [at(24), other], [other], [other, at(30, 18)], [at(33), other]), SIZE)
    assert found.boxes[:, 0].nan_to_num(-1).tolist() == [20, 24, -1, 30, 33]
    assert "several faces in frames 0-1, 3-4" in found.report() and "only other faces in frames 2" in found.report()
    assert "frames 2, where the cue is black" in found.report()


def test_a_single_face_may_jump():
    found = choose_faces(candidates([[0, 0, 10, 10]], [[80, 60, 100, 80]]), SIZE)
    assert found.there.all() and found.notes == ()


def test_faces_beyond_the_picture():
    found = choose_faces(candidates([[130, 0, 140, 10], [5, 5, 15, 15]], [[-20, 5, -3, 15]]), SIZE)
    assert found.boxes[0].tolist() == [5, 5, 15, 15] and not found.there[1] and "2 faces beyond the edges" in found.report()
    with pytest.raises(ValueError, match=r"all 1 faces lie beyond .*120x100"):
        choose_faces(candidates([[300, 20, 340, 60]]), SIZE)


def test_masks_of_another_size_or_number_are_refused():
    for masks in (torch.zeros(2, *SIZE), torch.zeros(1, 64, 64)):
        with pytest.raises(ValueError, match="one for each frame, as large as the frames"):
            choose_faces(candidates([[5, 5, 15, 15]]), SIZE, masks=masks)


def test_chosen_boxes_go_out_and_come_back():
    found = choose_faces(candidates([[5, 5, 15, 25]], []), SIZE)
    wire = to_bounding_boxes(found.boxes)
    assert wire == [[box(5, 5, 10, 20, label="face")], []]
    assert [boxes.tolist() for boxes in faces_of_bounding_boxes(wire, 2)] == [[[5, 5, 15, 25]], []]


@pytest.fixture(scope="module")
def walk():
    return demo_motion("walk", seconds=0.4, fps=10.0)


def test_the_face_of_a_motion_is_on_the_head_from_the_front_and_gone_from_behind(walk):
    head = walk.joints[:, walk.skeleton.index("head")]
    front, side, back = (
        orbit_rig([angle], radius=3.0, image_size=(400, 400), focal_px=400.0, target=(0.0, 1.2, 0.0)) for angle in (0.0, 75.0, 180.0)
    )
    found = faces_of_motion(walk, front, (400, 400))
    pixels = front.project(head)[0][0]
    assert found.there.all() and (found.boxes[:, :2] < pixels).all() and (found.boxes[:, 2:] > pixels).all()
    height = found.boxes[:, 3] - found.boxes[:, 1]
    assert ((height > 0.14 * 400 / 3.1) & (height < 0.26 * 400 / 2.3)).all()
    assert faces_of_motion(walk, side, (400, 400)).there.all()
    gone = faces_of_motion(walk, back, (400, 400))
    assert not gone.there.any() and "seen from behind" in gone.report()


def test_without_rotations_the_shoulders_tell_the_same(walk):
    from dataclasses import replace

    front = orbit_rig([20.0], radius=3.0, image_size=(400, 400), focal_px=400.0, target=(0.0, 1.2, 0.0))
    with_them, without = (
        faces_of_motion(motion, front, (400, 400)).boxes for motion in (walk, replace(walk, rotations=None, translation=None))
    )
    assert (with_them - without).abs().max() < 12  # pixels; a face is about 25 wide


def test_a_head_that_is_missing_or_out_of_the_picture_has_no_face(walk):
    from dataclasses import replace

    front = orbit_rig([0.0], radius=3.0, image_size=(400, 400), focal_px=400.0, target=(0.0, 1.2, 0.0))
    confidence = walk.confidence.clone()
    confidence[1, walk.skeleton.index("head")] = 0
    found = faces_of_motion(replace(walk, confidence=confidence), front, (400, 400))
    assert found.there.tolist() == [True, False, *[True] * (walk.frames - 2)] and "the head is missing in frames 1" in found.report()
    aside = transformed(walk, turn=torch.eye(3), shift=torch.tensor([0.0, 3.0, 0.0]))
    assert "out of the picture" in faces_of_motion(aside, front, (400, 400)).report()
    with pytest.raises(ValueError, match="view is 1"):
        faces_of_motion(walk, front, (400, 400), view=1)


def test_faces_are_found_by_what_is_given(walk, generator):
    frames = torch.rand(walk.frames, 50, 60, 3, generator=generator)
    wire, poses = [[box(10, 5, 12, 14)]] * walk.frames, pose_frames(*[[face_points(40, 30, 20, 20)]] * walk.frames, size=(50, 60))
    rig = orbit_rig([0.0], radius=3.0, image_size=(100, 120), focal_px=100.0, target=(0.0, 1.2, 0.0))
    assert find_faces(frames, bounding_boxes=wire, pose_keypoint=poses).boxes[0].tolist() == [10, 5, 22, 19]
    assert find_faces(frames, "pose_keypoint", bounding_boxes=wire, pose_keypoint=poses).boxes[0, 0] == 40
    assert find_faces(frames, motion=walk, rig=rig).there.all()
    for arguments, said in (
        ({}, "nothing tells where faces are"), ({"source": "motion", "bounding_boxes": wire}, "motion missing"), ({"source": "luck"}, "'luck'"),
        ({"motion": walk.cut(0, 2), "rig": rig}, "motion has 2 frames"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=said):
            find_faces(frames, **arguments)


def test_the_preview_shows_the_boxes_on_small_pictures():
    frames = torch.zeros(2, 600, 800, 3)
    found = choose_faces(candidates([[200, 100, 400, 300]], []), (600, 800))
    drawn = draw_face_boxes(frames, found)
    assert drawn.shape == (2, 288, 384, 3) and drawn[1].max() == 0
    assert drawn[0, 48, 96:192].max(-1).values.min() == 1 and drawn[0, 60:130, 110:180].max() == 0


# Middles of the boxes that MediaPipe 0.10.14 (face detection, full range) finds in frames of dance_b.mp4; their sides are 77 pixels.
SEEN = {0: (515, 190), 30: (506, 247), 60: (576, 249), 90: (477, 216), 120: (538, 188), 180: (493, 115), 240: (520, 170)}


def test_faces_of_a_real_motion_lie_where_a_detector_saw_them(reference):
    motion = with_camera(load_motion(reference("data", "nlf_dance_motions.npz"), clip=1), (1024, 1024))
    found = faces_of_motion(motion, None, (1024, 1024))
    assert found.there.all()
    middles = ((found.boxes[:, :2] + found.boxes[:, 2:]) / 2)[list(SEEN)]
    away = (middles - torch.tensor(list(SEEN.values()), dtype=torch.float64)).norm(dim=-1)
    assert away.mean() < 10 and away.max() < 20


def test_faces_of_real_dances_by_their_motions_and_by_mediapipe(reference):
    pytest.importorskip("mediapipe", reason="MediaPipe is installed in an environment of its own")
    frames = read_video(reference("data", "dance_b.mp4")).frames(range(0, 299, 30))
    motion = with_camera(load_motion(reference("data", "nlf_dance_motions.npz"), clip=1), (1024, 1024)).take(slice(0, 299, 30))
    seen = find_faces(frames, "mediapipe")
    told = find_faces(frames, motion=motion)
    assert seen.there.all() and told.there.all()
    assert len(mediapipe_faces(frames[:1])) == 1
    middles = [(faces.boxes[:, :2] + faces.boxes[:, 2:]) / 2 for faces in (seen, told)]
    assert (middles[0] - middles[1]).norm(dim=-1).mean() < 12  # pixels; the faces are 77 wide

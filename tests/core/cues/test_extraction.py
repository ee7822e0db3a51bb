"""The three cues together: the parts they are made of, people who leave, batches, real films, and bad input."""

import pytest
import torch
from motion4d.benchmarks.driving_cues import walking_figure
from motion4d.core.cues import extract_cues
from motion4d.core.cues.face_cue import face_cue
from motion4d.core.cues.location_cue import location_cue
from motion4d.core.cues.pose_cue import pose_cue
from motion4d.core.cues.quality_gate import gate_masks
from motion4d.core.cues.similarity import align_foreground, mask_boxes
from motion4d.core.types import DrivingCues

CUES = ("pose", "face", "body_location", "face_location")


@pytest.fixture(scope="module")
def film():
    """frames (16, 96, 96, 3), masks, boxes, of which 7 is missing, and the mask of the reference."""
    frames, masks, boxes, reference = walking_figure(16, 96)
    boxes[7] = torch.nan
    masks[11] = 0
    return frames, masks, boxes, reference


def test_it_is_its_parts(film):
    frames, masks, boxes, reference = film
    masks = masks.clone()
    masks[4] = masks[4] * (torch.arange(96) % 12 < 9)[:, None]
    cues = extract_cues(*film[:1], masks, boxes, reference)
    gate = gate_masks(masks)
    assert torch.equal(cues.kept, gate.kept) and not cues.kept[4] and not cues.kept[11]
    assert torch.equal(cues.pose, pose_cue(frames, masks, gate))
    face, face_mask = face_cue(frames, boxes)
    alignment = align_foreground(reference, masks, kept=gate.kept, driving_faces=boxes)
    places = location_cue(masks, face_mask, alignment, tuple(reference.shape), kept=gate.kept)
    assert torch.equal(cues.face, face) and cues.alignment.scale == alignment.scale and torch.equal(cues.alignment.shift, alignment.shift)
    assert torch.equal(cues.body_location, places.body) and torch.equal(cues.face_location, places.face)


def test_frames_that_are_dropped_and_people_who_leave(film):
    frames, masks, boxes, reference = film
    masks = masks.clone()
    masks[4, :60] = 0  # a segmenter that found the legs alone
    cues = extract_cues(frames, masks, boxes, reference)
    assert cues.kept.tolist() == [frame not in (4, 11) for frame in range(16)]
    assert cues.pose[[4, 11]].max() == 0 and cues.face[7].max() == 0 and cues.face[11].max() > 0
    assert torch.equal(cues.body_location[4], cues.body_location[3]), "the place is needed in every frame"
    assert cues.body_location[11].max() == 0 and cues.face_location[7].max() == 0
    told = "\n".join(cues.notes)
    assert "frame 4 dropped: area" in told and "frame 11 dropped: the mask is empty" in told


def test_a_still_figure_comes_to_the_box_of_the_reference(film):
    masks = film[1][:1].expand(3, -1, -1)
    cues = extract_cues(film[0][:3], masks, None, film[3], hard_masks=True)
    assert (mask_boxes(cues.body_location) - mask_boxes(film[3][None])).abs().max() <= 1
    assert cues.face.max() == 0 and cues.face_location.max() == 0 and any("no face boxes" in note for note in cues.notes)


def test_the_reference_may_have_another_size_or_be_the_video_itself(film):
    frames, masks, boxes, reference = film
    large = torch.nn.functional.interpolate(reference[None, None], (150, 130))[0, 0]
    assert extract_cues(frames, masks, boxes, large).body_location.shape == (16, 150, 130)
    own = extract_cues(frames, masks, boxes, None, hard_masks=True)
    assert own.alignment.scale == 1 and torch.equal(own.body_location[0], masks[0])


def test_any_split_into_batches_gives_the_same_bits(film):
    whole, told = extract_cues(*film), []
    for batch in (1, 3, 16):
        other = extract_cues(*film, batch=batch, advance=told.append)
        assert all(torch.equal(getattr(whole, name), getattr(other, name)) for name in CUES)
    assert sum(told) == 3 * 2 * 16


def test_ablations_change_their_cue_alone(film):
    plain = extract_cues(*film)
    for options, changed in (
        ({"look": "rgb"}, {"pose"}), ({"look": "grey"}, {"pose"}), ({"look": "skeleton", "skeleton": film[0]}, {"pose"}),
        ({"hard_masks": True}, {"body_location", "face_location"}), ({"enlarge_face": False}, {"face"}),
    ):  # fmt: skip
        other = extract_cues(*film, **options)
        assert {name for name in CUES if not torch.equal(getattr(plain, name), getattr(other, name))} == changed


def test_colours_a_little_beyond_their_range_are_clipped_and_told(film):
    frames, *rest = film
    cues = extract_cues(frames * 1.08 - 0.04, *rest)
    assert any("clipped to 0..1" in note for note in cues.notes) and cues.face.max() <= 1
    assert torch.equal(cues.pose, extract_cues((frames * 1.08 - 0.04).clamp(0, 1), *rest).pose)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda f, m, b, r: (f, m * 0, b, r), "empty in all frames"),
        (lambda f, m, b, r: (f, m, b, r * 0), "the reference mask shows nobody"),
        (lambda f, m, b, r: (f, m[:9], b, r), "9 for 16 frames"),
        (lambda f, m, b, r: (f, m[:, :, :50], b, r), "have 50x96 pixels, the frames 96x96"),
        (lambda f, m, b, r: (f * 255, m, b, r), "divide 8-bit values by 255"),
        (lambda f, m, b, r: (f, m, b[:3], r), r"face boxes are \(3, 4\) for 16 frames"),
        (lambda f, m, b, r: (f, m, b * torch.tensor([1.0, 0, 1, 0]), r), "width and height above 0"),
        (lambda f, m, b, r: (f, torch.maximum(m[:1], m[:1].roll(45, 2)).expand(16, -1, -1), b, r), "give masks of one person"),
    ],
)
def test_bad_input_is_refused_with_the_reason(film, change, message):
    with pytest.raises(ValueError, match=message):
        extract_cues(*change(*film))


def test_the_value_refuses_what_is_no_cue(film):
    cues = extract_cues(*film)
    fields = {name: getattr(cues, name) for name in (*CUES, "kept", "alignment")}
    for change, message in (
        ({"kept": cues.kept.float()}, "kept is torch.float32"), ({"face": cues.face[:3]}, "face has shape"), ({"pose": cues.pose + 0.9}, "pose reaches from 0.9"),
        ({"face_location": cues.face_location / 0}, "face_location reaches"), ({"body_location": cues.body_location[:, :50]}, "face_location has shape"),
    ):  # fmt: skip
        with pytest.raises(ValueError, match=message):
            DrivingCues(**(fields | change))
    assert DrivingCues(**fields).frames == 16


def test_a_real_film(reference):
    from motion4d.core.formats import read_video

    film = read_video(reference("data", "dance_a.mp4"), max_side=256)
    frames = torch.stack([film[number] for number in range(0, 24, 2)])
    height, width = frames.shape[1:3]
    background = frames.float().median(0).values
    masks = ((frames.float() - background).abs().amax(-1) > 25).float()
    moving = torch.nn.functional.max_pool2d(masks[:, None], 15, 1, 7)[:, 0]  # what moves, roughly: one piece
    cues = extract_cues(frames, moving, None, None, missing="neighbour", fps=film.fps / 2)
    assert cues.pose.shape == (12, height, width, 3) and cues.kept.sum() >= 6
    sharp = extract_cues(frames, moving, None, None, missing="neighbour", look="grey").pose
    bend = [(cue[:, 2:, :, 0] - 2 * cue[:, 1:-1, :, 0] + cue[:, :-2, :, 0]).abs().mean() for cue in (cues.pose, sharp)]
    assert bend[0] < 0.5 * bend[1] and (cues.pose.mean() / sharp.mean() - 1).abs() < 0.03

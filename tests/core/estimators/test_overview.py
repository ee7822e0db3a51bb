import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.estimators.gathering import gather
from motion4d.core.estimators.overview import draw_people
from motion4d.core.estimators.selection import in_order
from motion4d.core.estimators.tracking import track

YELLOW = torch.tensor([255, 214, 64]) / 255


@pytest.fixture(scope="module")
def people():
    return gather([demo_motion("wave", seconds=0.5, fps=20.0)] * 2, spacing=1.2, image_size=(480, 640))


def test_only_the_chosen_person_is_framed_in_yellow(people):
    tracks = in_order(people, track(people))
    for number, side in ((0, slice(0, 320)), (1, slice(320, 640))):
        picture = draw_people(people, tracks, 4, chosen=tracks[number])
        yellow = (picture - YELLOW).abs().amax(-1) < 0.02
        assert yellow.sum() > 100 and yellow[:, side].sum() == yellow.sum()
    assert not ((draw_people(people, tracks, 4) - YELLOW).abs().amax(-1) < 0.02).any()


def test_it_is_drawn_over_the_frame_asked_for(people, generator):
    images = torch.rand(len(people.frames), 240, 320, 3, generator=generator) * 0.2
    images[4] += 0.5
    bright, dark = (draw_people(people, track(people), frame, images=images)[:20, :20].mean() for frame in (4, 5))
    assert bright > 0.4 > 0.2 > dark
    assert torch.equal(draw_people(people, (), 4, images=images[4:5].float()), draw_people(people, (), 4, images=images))


def test_other_frames_are_refused(people):
    with pytest.raises(ValueError, match="frame is 10, the clip has 10"):
        draw_people(people, (), 10)
    with pytest.raises(ValueError, match="3 images and 10 frames"):
        draw_people(people, (), 0, images=torch.zeros(3, 8, 8, 3))

"""Views of several films side by side."""

import pytest
import torch
from motion4d.core.geometry.keypoint_views import gather_views
from motion4d.core.types import Keypoints


def view(frames, size=(100, 200), joints=3, trust=1.0):
    pixels = torch.arange(frames).float()[None, :, None, None].expand(1, frames, joints, 2).clone()
    return Keypoints(pixels=pixels, confidence=torch.full((1, frames, joints), trust), image_size=size)


def test_views_start_together_and_end_with_the_shortest():
    found, notes = gather_views([view(10), view(12)], image_size=(100, 200), starts=(1, 5))
    assert found.pixels.shape == (2, 7, 3, 2)
    assert found.pixels[0, :, 0, 0].tolist() == [1, 2, 3, 4, 5, 6, 7]
    assert found.pixels[1, :, 0, 0].tolist() == [5, 6, 7, 8, 9, 10, 11]
    assert "cut to the 7 frames" in notes[0]


def test_pixels_are_scaled_to_the_cameras():
    found, notes = gather_views([view(4), view(4, size=(50, 400))], image_size=(100, 200))
    assert torch.equal(found.pixels[1], view(4).pixels[0] * torch.tensor([0.5, 2.0]))
    assert any("proportions differ" in note for note in notes)


def test_doubtful_keypoints_count_as_not_seen():
    found, notes = gather_views([view(2, trust=0.2), view(2, trust=0.5)], image_size=(100, 200), least_confidence=0.3)
    assert found.seen.flatten(1).all(1).tolist() == [False, True] and not found.seen[0].any() and notes == ()


@pytest.mark.parametrize(
    ("views", "starts", "message"),
    [
        ([view(3)], (), "at least 2"),
        ([view(3), view(3, joints=4)], (), "same joints"),
        ([view(3), view(3)], (1,), "2 cameras"),
        ([view(3), view(3)], (0, 3), "starts in frame 3"),
        ([view(3), view(3)], (0, -1), "starts in frame -1"),
    ],
)
def test_what_does_not_go_together_is_refused(views, starts, message):
    with pytest.raises(ValueError, match=message):
        gather_views(views, image_size=(100, 200), starts=starts)

"""Two motions side by side, backgrounds and curves."""

import pytest
import torch
from motion4d.core.maps.backgrounds import fit_background, maps_beside
from motion4d.core.maps.comparison import compare_motions, draw_comparison
from motion4d.core.maps.motion_plots import plot_motion
from motion4d.core.skeletons import SMPL24
from motion4d.core.types import Frame, Motion


def still(frames: int = 6, **changes) -> Motion:
    base = {"joints": SMPL24.rest.expand(frames, 24, 3).clone(), "confidence": torch.ones(frames, 24), "skeleton": SMPL24, "fps": 30.0}
    return Motion(**(base | {"frame": Frame.WORLD} | changes))


def test_a_shift_of_a_centimetre_is_an_error_of_ten_millimetres():
    moved = still(joints=still().joints + torch.tensor([0.0, 0.006, 0.008]))
    difference = compare_motions(still(), moved)
    assert difference.mean_mm == pytest.approx(10.0, rel=1e-4)
    assert "10.0 mm on average" in difference.text()


def test_missing_joints_are_left_out_and_the_shorter_motion_decides():
    confidence = torch.ones(4, 24)
    confidence[:, 3] = 0
    joints = still(4).joints.clone()
    joints[:, 3] = torch.nan
    difference = compare_motions(still(6), still(4, joints=joints, confidence=confidence))
    assert difference.distance_m.shape == (4, 24) and difference.distance_m[:, 3].isnan().all() and difference.mean_mm == 0


def test_motions_in_different_axes_are_not_compared():
    with pytest.raises(ValueError, match="world space, the other in camera space"):
        compare_motions(still(), still(frame=Frame.CAMERA))


def test_where_both_agree_the_colours_cover_the_grey():
    alone = draw_comparison(still(1), None)
    both = draw_comparison(still(1), still(1))
    coloured = (both.amax(-1) - both.amin(-1)) > 0.15
    assert coloured.sum() > 500
    assert torch.allclose(both[coloured], alone[coloured], atol=0.12)
    apart = draw_comparison(still(1, joints=still(1).joints + torch.tensor([0.3, 0.0, 0.0])), still(1))
    grey = (apart.amax(-1) > 0.3) & ((apart.amax(-1) - apart.amin(-1)) < 0.02)
    assert grey.sum() > 500


def test_backgrounds_are_resized_cut_and_counted():
    frames = torch.rand(5, 8, 6, 4)
    fitted = fit_background(frames, (16, 12), 3)
    assert fitted.shape == (3, 16, 12, 3)
    assert torch.allclose(fit_background(frames, (8, 6), 5), frames[..., :3])
    assert torch.allclose(
        fit_background(frames, (4, 3), 5), frames[..., :3].unflatten(1, (4, 2)).unflatten(3, (3, 2)).mean((2, 4)), atol=1e-6
    )
    assert fit_background(frames[:1], (16, 12), 30).shape[0] == 1
    assert fit_background(None, (16, 12), 3) is None
    wide = fit_background(torch.arange(12.0)[None, None, :, None].expand(1, 6, 12, 3), (6, 6), 1)
    assert torch.equal(wide[0, 0, :, 0], torch.arange(3.0, 9.0))
    assert torch.equal(fit_background(frames[..., :3], (8, 6), 4), frames[:4, ..., :3])
    with pytest.raises(ValueError, match="the motion 6"):
        fit_background(frames, (16, 12), 6)


def test_maps_cover_their_background_where_the_mask_says_so(generator):
    left, right = (torch.rand(2, 3, 4, 5, 3, generator=generator) for _ in range(2))
    background = torch.rand(3, 4, 5, 3, generator=generator)
    mask = torch.rand(2, 3, 4, 5, generator=generator) > 0.5
    both = maps_beside(left, right, mask, background, opacity=0.75)
    assert both.shape == (2, 3, 4, 10, 3)
    for half, picture in ((both[..., :5, :], left), (both[..., 5:, :], right)):
        behind = background.expand_as(picture)
        assert torch.allclose(half[mask], 0.75 * picture[mask] + 0.25 * behind[mask], atol=1e-6)
        assert torch.equal(half[~mask], behind[~mask])
    assert torch.equal(maps_beside(left, right, mask, None, opacity=0.5), torch.cat([left, right], 3))


def test_curves_are_drawn_for_any_length_and_skeleton():
    assert plot_motion(still(1)).shape == plot_motion(still(50)).shape
    moving = still(joints=still().joints + torch.linspace(0, 1, 6)[:, None, None])
    assert not torch.equal(plot_motion(moving), plot_motion(still()))

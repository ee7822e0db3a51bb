"""Heat stands where the attention is, in one scale, and the words agree with the picture."""

import pytest
import torch
from motion4d.core.maps.attention_maps import (
    attention_shares,
    chosen_blocks,
    chosen_joints,
    describe_attention,
    draw_attention,
)
from motion4d.core.skeletons import SMPL24

WRIST, ANKLE = (SMPL24.index(name) for name in ("left_wrist", "right_ankle"))


def even(blocks=1, frames=3, height=8, width=6):
    return torch.full((blocks, 24, frames, height, width), 1 / 24)


def with_spot(joint, frame, row, column, share=0.5, **sizes):
    """All even but one token, which gives `share` of its attention to one joint."""
    shares = even(**sizes)
    shares[0, :, frame, row, column] = (1 - share) / 23
    shares[0, joint, frame, row, column] = share
    return shares


def brightest(picture):
    """(row, column) of the lightest pixel."""
    light = picture.sum(-1)
    return divmod(int(light.argmax()), light.shape[1])


def test_shares_sum_to_one_whatever_the_frames_of_the_motion_were_averaged_to(generator):
    maps = torch.rand(2, 24, 3, 4, 5, generator=generator)
    shares = attention_shares(maps / 13)
    assert torch.allclose(shares.sum(1), torch.ones(2, 3, 4, 5))
    assert torch.allclose(shares, attention_shares(maps), atol=1e-6)


@pytest.mark.parametrize(
    ("maps", "told"), [(torch.zeros(24, 3, 4, 5), "24, 3, 4, 5"), (torch.full((1, 24, 1, 2, 2), torch.nan), "numbers")]
)
def test_maps_of_another_layout_or_without_numbers_are_refused(maps, told):
    with pytest.raises(ValueError, match=told):
        attention_shares(maps)


def test_the_spot_is_where_the_attention_is():
    shares = with_spot(WRIST, 1, 5, 2)
    pictures = draw_attention(shares, blocks=[0], joints=[WRIST], height=128)
    assert pictures.shape[0] == 3
    bar = pictures.shape[1] - 128 - 28
    panels = pictures[:, bar : bar + 128]
    row, column = brightest(panels[1])
    assert abs(row - 5.5 * 16) < 8 and abs(column - 2.5 * 16) < 8
    assert panels[0].max() < panels[1].max() / 2


def test_a_scale_is_shared_by_all_panels_and_named_below():
    shares = torch.cat([with_spot(WRIST, 0, 2, 2, share=0.6), with_spot(WRIST, 0, 2, 2, share=0.3)])
    pictures = draw_attention(shares, blocks=[0, 4], joints=[WRIST, ANKLE], height=64)
    half = (pictures.shape[1] - 28) // 2
    strong, weak = pictures[0, half - 64 : half, :48], pictures[0, 2 * half - 64 : 2 * half, :48]
    assert strong.sum(-1).max() > 1.2 * weak.sum(-1).max()
    other = draw_attention(with_spot(WRIST, 0, 2, 2, share=0.3), blocks=[0], joints=[WRIST, ANKLE], height=64)
    assert not torch.equal(pictures[:, -28:], other[:, -28:])  # the legend tells another number


def test_heat_lies_over_the_frame_that_its_latent_frame_decodes_to():
    shares = with_spot(WRIST, 1, 4, 3)
    frames = torch.zeros(9, 16, 12, 3)
    pictures = draw_attention(shares, blocks=[0], joints=[WRIST], frames=frames, height=64)
    assert len(pictures) == 9
    lit = [frame for frame in range(9) if not torch.equal(pictures[frame], pictures[0])]
    assert lit == [1, 2, 3, 4]


def test_frames_shine_through_where_there_is_no_heat():
    shares = torch.zeros(1, 24, 2, 4, 4)
    shares[:, ANKLE] = 1
    frames = torch.rand(5, 32, 32, 3, generator=torch.Generator().manual_seed(0))
    pictures = draw_attention(shares, blocks=[0], joints=[WRIST, ANKLE], frames=frames, height=32)
    top = pictures.shape[1] - 28 - 32
    cold = pictures[:, top : top + 32, :32]
    grey = 0.45 * frames.mean(-1, keepdim=True)
    assert torch.allclose(cold, torch.maximum(grey, torch.tensor((13, 14, 20)) / 255), atol=1e-6)
    hot = pictures[:, top : top + 32, 40:72]
    assert torch.allclose(hot, (torch.tensor((253, 250, 205)) / 255).expand_as(hot), atol=1e-6)


def test_sizes_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"4 frames .* over 3 latent frames: connect the 9"):
        draw_attention(even(frames=3), blocks=[0], joints=[0], frames=torch.zeros(4, 8, 8, 3))
    with pytest.raises(ValueError, match="2 are named"):
        draw_attention(even(), blocks=[0, 4], joints=[0])
    with pytest.raises(ValueError, match="choose fewer"):
        draw_attention(even(blocks=5), blocks=range(5), joints=range(24))
    with pytest.raises(ValueError, match="22 joints"):
        draw_attention(even()[:, :22], blocks=[0], joints=[0])


def test_the_report_tells_the_highest_share_and_its_place():
    report = describe_attention(with_spot(WRIST, 2, 3, 1), blocks=[8], joints=[WRIST, ANKLE])
    lines = report.splitlines()
    assert "4.17%" in lines[0] and len(lines) == 3
    assert lines[1].startswith("block 8, left_wrist: ") and "50.00% at most (latent frame 2, 25% across and 44% down)" in lines[1]
    assert "right_ankle" in lines[2]


def test_joints_and_blocks_are_chosen_by_name_once():
    assert chosen_joints("left_wrist, right_ankle,left_wrist") == [WRIST, ANKLE]
    assert chosen_blocks("8, 0, 8", [0, 4, 8]) == [8, 0]
    assert chosen_blocks("middle", [0, 4, 8]) == [4] and chosen_blocks("middle, 0", range(42)) == [21, 0]


@pytest.mark.parametrize("wanted", ["", "1", "4, -4", "first", "middle, 3"])
def test_blocks_without_motion_attention_are_refused_with_those_that_have_it(wanted):
    with pytest.raises(ValueError, match="middle, or some of 0, 4, 8"):
        chosen_blocks(wanted, [0, 4, 8])


def test_unknown_joints_and_models_without_motion_are_refused():
    with pytest.raises(ValueError, match="no joint 'tail'"):
        chosen_joints("left_wrist, tail")
    with pytest.raises(ValueError, match="no joint is named"):
        chosen_joints(" , ")
    with pytest.raises(ValueError, match="Apply Motion Attention"):
        chosen_blocks("middle", [])

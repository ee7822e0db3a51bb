"""The gate: what is dropped and why, what stands in, and a naive twin of the overlap."""

import numpy as np
import pytest
import torch
from motion4d.core.cues.quality_gate import GateLimits, _measure, _overlap, gate_masks


def disc(x: float, y: float = 32.0, radius: float = 10.0, *, size=(64, 96), stretch: float = 1.0) -> torch.Tensor:
    rows, columns = torch.meshgrid(*(torch.arange(side) + 0.5 for side in size), indexing="ij")
    return (((columns - x) * stretch) ** 2 + ((rows - y) / stretch) ** 2 <= radius**2).float()


def walk(frames: int = 30) -> torch.Tensor:
    return torch.stack([disc(20 + 1.5 * frame) for frame in range(frames)])


def dropped(gate) -> list[int]:
    return sorted(gate.reasons)


def test_a_person_who_walks_through_the_picture_is_kept_whole():
    gate = gate_masks(walk())
    assert gate.kept.all() and gate.present.all() and gate.reasons == {} and gate.notes == ()
    assert gate.report() == "30 of 30 frames have a good mask"


def test_every_kind_of_bad_mask_is_dropped_with_its_reason():
    masks, scores = walk(), torch.full((30,), 0.9)
    masks[3] = 0
    scores[6] = 0.2
    masks[10] = disc(35, radius=30)
    masks[14] = disc(20 + 21, radius=5)
    masks[18] = torch.maximum(disc(20, radius=7), disc(70, radius=7))
    masks[22] = disc(20 + 33, stretch=2.6)
    gate = gate_masks(masks, scores=scores)
    assert dropped(gate) == [3, 6, 10, 14, 18, 22]
    assert [gate.reasons[frame].split()[0].rstrip(":") for frame in dropped(gate)] == ["the", "score", "area", "area", "component", "jump"]
    assert gate.present.tolist() == [frame != 3 for frame in range(30)]
    assert gate.kept.tolist() == [frame not in gate.reasons for frame in range(30)]
    assert "score 0.20 below 0.5" in gate.report() and "frame 18 dropped: component: 5" in gate.report()


def test_what_is_dropped_does_not_lean_on_what_is_dropped():
    masks, scores = walk(9), torch.ones(9)
    masks[2:7] = torch.stack([disc(40, radius=25)] * 5)  # the larger half, but the segmenter does not trust it
    scores[2:7] = 0.1
    assert dropped(gate_masks(masks, scores=scores)) == [2, 3, 4, 5, 6]


def test_the_limits_are_exact():
    masks = torch.zeros(7, 20, 40)
    masks[:, 5:10, 4:14] = 1  # 50 pixels
    masks[3, 10:15, 4:14] = 1  # 100
    assert dropped(gate_masks(masks, limits=GateLimits(area=2.0, overlap=0.0))) == []
    assert dropped(gate_masks(masks, limits=GateLimits(area=1.99, overlap=0.0))) == [3]
    masks[3] = 0
    masks[3, 5:9, 4:14], masks[3, 15, 30:40] = 1, 1  # 40 of 50 in one piece
    assert dropped(gate_masks(masks, limits=GateLimits(component=0.8, overlap=0.0))) == []
    assert dropped(gate_masks(masks, limits=GateLimits(component=0.81, overlap=0.0))) == [3]


def test_a_mask_that_only_moves_never_jumps():
    masks = torch.stack([disc(x) for x in (15, 80, 20, 60, 15, 70)])
    assert gate_masks(masks).kept.all()


def test_what_lasts_is_no_jump():
    upright, lying = disc(40, stretch=2.6), disc(40, stretch=1 / 2.6)
    slip = torch.stack([upright] * 20 + [lying] * 12 + [upright] * 20)
    assert dropped(gate_masks(slip)) == list(range(20, 32))
    cut = torch.stack([upright] * 20 + [lying] * 13 + [upright] * 20)
    assert gate_masks(cut).kept.all()


def test_somebody_who_changes_bit_by_bit_is_kept():
    masks = torch.stack([disc(48, stretch=1 + 0.04 * frame) for frame in range(40)])
    assert _overlap(_measure(masks[0]), _measure(masks[-1])) < 0.4
    assert gate_masks(masks).kept.all()


def test_the_overlap_is_that_of_masks_moved_by_hand(generator):
    for _ in range(20):
        one, other = ((torch.rand(24, 30, generator=generator) > 0.4).float() for _ in range(2))
        for mask in (one, other):
            mask[: int(torch.randint(8, (1,), generator=generator))] = 0
            mask[:, : int(torch.randint(12, (1,), generator=generator))] = 0
        shapes = _measure(one), _measure(other)
        middles = [mask.nonzero().double().mean(0).numpy() for mask in (one, other)]
        shift = np.rint(middles[0] - middles[1]).astype(int)
        places = {tuple(place) for place in one.nonzero().tolist()}
        moved = {(y + shift[0], x + shift[1]) for y, x in other.nonzero().tolist()}
        assert _overlap(*shapes) == pytest.approx(len(places & moved) / len(places | moved))
        assert np.allclose(shapes[0].middle, middles[0]) and shapes[0].area == len(places)


def test_soft_masks_count_where_they_are_above_one_half():
    assert torch.equal(gate_masks(0.6 * walk()).kept, gate_masks(walk()).kept)
    with pytest.raises(ValueError, match="empty in all frames"):
        gate_masks(0.5 * walk())


def test_stand_ins():
    masks = walk(16)
    masks[[0, 1, 4, 5, 6]] = disc(40, stretch=2.6)
    masks[8] = 0
    gate = gate_masks(masks, limits=GateLimits(window=4))
    assert dropped(gate) == [0, 1, 4, 5, 6, 8]
    assert gate.sources("zero").tolist()[:10] == [-1, -1, 2, 3, -1, -1, -1, 7, -1, 9]
    assert gate.sources("hold").tolist()[:10] == [2, 2, 2, 3, 3, 3, 3, 7, -1, 9]
    assert gate.sources("neighbour").tolist()[:10] == [2, 2, 2, 3, 3, 3, 7, 7, -1, 9]
    assert all(gate.sources(missing).tolist()[10:] == list(range(10, 16)) for missing in ("zero", "hold", "neighbour"))
    filled = gate.filled(masks)
    assert torch.equal(filled[:8], masks[[2, 2, 2, 3, 3, 3, 7, 7]]) and filled[8].max() == 0 and torch.equal(filled[9:], masks[9:])
    with pytest.raises(ValueError, match="missing is 'blur', expected one of zero, hold, neighbour"):
        gate.sources("blur")


def test_many_dropped_frames_and_long_gaps_are_warned_of():
    masks = walk(40)
    masks[5:30] = 0
    gate = gate_masks(masks, fps=10.0)
    assert [note.split(":")[0] for note in gate.notes] == ["warning", "warning"]
    assert "25 of 40 frames were dropped" in gate.notes[0] and "2.5 seconds without a good mask, frames 5-29" in gate.notes[1]
    assert len(gate_masks(masks).notes) == 1 and len(gate_masks(masks, fps=12.5).notes) == 1
    assert gate_masks(walk(40), fps=10.0).notes == ()


def test_two_people_in_every_mask_are_refused_with_the_reason():
    masks = torch.stack([torch.maximum(disc(20), disc(70))] * 5)
    with pytest.raises(ValueError, match=r"none of the 5 person masks is good.*component: 50%.*give masks of one person"):
        gate_masks(masks)
    assert gate_masks(masks, limits=GateLimits.open()).kept.all()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"score": 1.5}, "score is 1.5, expected 0 or more up to 1"), ({"area": 0.5}, "area is 0.5, expected 1 or more"), ({"window": 0}, "window is 0"),
        ({"component": -0.1}, "component is -0.1"), ({"overlap": float("nan")}, "overlap is nan"),
    ],
)  # fmt: skip
def test_limits_outside_their_ranges_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        GateLimits(**options)


def test_scores_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"scores has shape \(3\), expected \(T\)|scores has shape \(3,\)"):
        gate_masks(walk(4), scores=torch.ones(3))
    with pytest.raises(ValueError, match="scores reach from 0 to 90"):
        gate_masks(walk(2), scores=torch.tensor([0.0, 90.0]))


def test_each_mask_is_told_to_the_progress_bar():
    told = []
    gate_masks(walk(7), advance=told.append)
    assert told == [1] * 7


def test_masks_that_cut_nothing_out_are_told():
    masks = torch.ones(3, 20, 20)
    assert "all of every picture" in gate_masks(masks).report()
    masks[1, 0, 0] = 0
    assert "all of every picture" not in gate_masks(masks).report()

"""People taken apart who are in one mask: everybody keeps who they are, and no pixel is lost or shared."""

import pytest
import torch
from motion4d.core.cues.cut_outs import COLOURS, colour_people, cut_out
from motion4d.core.cues.mask_people import separate_people

SIZE = (40, 80)


def disc(x, y=20.0, radius=8.0):
    rows, columns = torch.meshgrid(torch.arange(SIZE[0]), torch.arange(SIZE[1]), indexing="ij")
    return ((rows - y) ** 2 + (columns - x) ** 2 <= radius**2).float()


def film(*people):
    """(P, T, H, W) from (T) columns of each person; None: absent."""
    return torch.stack([torch.stack([torch.zeros(SIZE) if x is None else disc(x) for x in track]) for track in people])


def test_people_apart_are_who_they_are():
    people = film(range(10, 25), range(70, 55, -1))
    found = separate_people(people.amax(0))
    assert torch.equal(found, people)


def test_one_person_is_the_mask_itself_with_its_soft_edges():
    soft = disc(30)[None] * 0.8 + 0.1
    assert torch.equal(separate_people(soft), soft[None])


def test_people_who_touch_keep_who_they_are_and_share_no_pixel():
    there = [15, 20, 25, 28, 31, 33, 33, 31, 27, 20]
    people = film(there, [80 - x for x in there])
    found = separate_people(people.amax(0))
    assert len(found) == 2 and torch.equal(found.sum(0), people.amax(0))
    overlap = (found * people).sum((2, 3)) / people.sum((2, 3))
    assert overlap.min() > 0.9


def test_somebody_who_was_away_is_the_same_again():
    people = film([20, 21, None, None, 23, 24], [60, 60, 60, 61, 61, 61])
    assert torch.equal(separate_people(people.amax(0)), people)


def test_a_small_piece_belongs_to_who_is_nearest():
    mask = film([20, 20], [60, 60]).amax(0)
    mask[1, 18:22, 34:36] = 1
    found = separate_people(mask)
    assert len(found) == 2 and found[0, 1, 18:22, 34:36].all() and torch.equal(found.sum(0), mask)


def test_somebody_who_comes_later_is_new_and_the_largest_are_kept():
    people = film([20] * 5, [None, None, 60, 60, 60])
    assert torch.equal(separate_people(people.amax(0)), people)
    assert torch.equal(separate_people(people.amax(0), most=1), people[:1])


def test_nobody_is_refused():
    with pytest.raises(ValueError, match="there is nobody"):
        separate_people(torch.zeros(2, *SIZE))


# --- pictures of masks ---


def test_every_person_has_a_colour_and_the_first_is_above():
    people = film([20, 20], [30, 30])
    for ground, value in (("black", 0.0), ("white", 1.0)):
        pictures = colour_people(people, ground=ground)
        for number in (1, 0):
            only = people[number] > 0.5 if number == 0 else (people[1] > 0.5) & (people[0] < 0.5)
            assert (pictures[only] == torch.tensor(COLOURS[number])).all()
        assert (pictures[people.amax(0) == 0] == value).all()
    with pytest.raises(ValueError, match="there are 7 people, expected 1 to 6"):
        colour_people(people[:1].expand(7, -1, -1, -1))
    with pytest.raises(ValueError, match="ground is 'red'"):
        colour_people(people, ground="red")


def test_the_colours_lie_on_different_corners_of_the_cube():
    assert len(set(COLOURS)) == 6 and {value for colour in COLOURS for value in colour} == {0.0, 1.0}
    assert not {(0.0, 0.0, 0.0), (1.0, 1.0, 1.0)} & set(COLOURS)


@pytest.mark.parametrize("in_cells", [False, True])
def test_the_person_is_gone_and_the_rest_stays(in_cells, generator):
    frames, masks = torch.rand(2, *SIZE, 3, generator=generator), film([20, 50])[0]
    pictures, place = cut_out(frames, masks, in_cells=in_cells, cells=(4, 2))
    assert set(place.unique().tolist()) == {0.0, 1.0} and (place >= masks).all() and torch.equal(place, masks) != in_cells
    assert not pictures[place > 0].any() and torch.equal(pictures[place == 0], frames[place == 0])
    if in_cells:  # every cell of this disc's box is touched
        assert place[0, 12:29, 12:29].all() and place[0].sum() == 17 * 17


def test_unfit_pictures_are_refused():
    with pytest.raises(ValueError, match="T"):
        cut_out(torch.zeros(3, *SIZE, 3), torch.zeros(2, *SIZE))
    with pytest.raises(ValueError, match=r"expected \(T, H, W, 3\)"):
        cut_out(torch.zeros(2, *SIZE, 2), torch.zeros(2, *SIZE))
    with pytest.raises(ValueError, match="divide 8-bit values by 255"):
        cut_out(torch.full((2, *SIZE, 3), 255.0), torch.zeros(2, *SIZE))
    with pytest.raises(ValueError, match="values of masks reach from nan"):
        colour_people(torch.full((1, 2, *SIZE), torch.nan))


def test_bytes_and_transparency_are_what_they_are_elsewhere(generator):
    frames, masks = torch.rand(2, *SIZE, 4, generator=generator), film([20, 50])[0]
    within = cut_out(frames, masks, in_cells=False)[0]
    on_black = torch.where(masks[..., None] > 0.5, 0.0, frames[..., :3] * frames[..., 3:])
    torch.testing.assert_close(within, on_black)
    exact = (frames[..., :3] * 255).round().byte()
    assert torch.equal(cut_out(exact, masks, in_cells=False)[0], cut_out(exact.float() / 255, masks, in_cells=False)[0])

"""The nodes of person masks, as a graph uses them."""

import pytest
import torch
from motion4d.core.body.demo import demo_motion
from motion4d.core.body.framing import frame_motion
from motion4d.core.maps.bone_maps import render_bone_maps
from motion4d.nodes.motion.person_masks import ColourPeople, CutOutPerson, MakePersonMasks

SIZE = (48, 64)


def people(images, **inputs):
    """(mask, masks, count, report)."""
    given = {"source": "auto", "person": "largest", "index": 0, "separate": True, "grow": 0.0} | inputs
    return MakePersonMasks.execute(images, **given).args


@pytest.fixture(scope="module")
def walk():
    motion = demo_motion("walk", seconds=0.2)
    return motion, frame_motion(motion, views=1, image_size=SIZE)


@pytest.fixture
def two():
    masks = torch.zeros(6, *SIZE)
    masks[:, 10:40, 5:15] = 1
    masks[:, 20:40, 40:50] = 1
    return masks


def test_each_source_gives_masks_for_each_person(host, walk, two):
    motion, rig = walk
    images = torch.rand(motion.frames, *SIZE, 3)
    maps = render_bone_maps(motion, rig)
    for given in ({"bone_maps": maps}, {"motion": motion, "cameras": rig}):
        mask, masks, count, report = people(images, **given)
        assert count == len(masks) == 1 and torch.equal(mask, maps.mask[0].float()) and f"masks of {next(iter(given))}" in report
    mask, masks, count, report = people(images, mask=two, motion=motion, cameras=rig)
    assert count == 2 and torch.equal(mask, masks[0]) and torch.equal(masks[0] + masks[1], two) and "masks of mask" in report
    assert torch.equal(people(images, mask=two, separate=False)[0], two) and torch.equal(people(images, mask=two, person="all")[0], two)
    assert torch.equal(people(images, mask=two, person="index", index=1)[0], masks[1])


def test_a_source_that_is_not_connected_is_refused(host, two):
    with pytest.raises(ValueError, match="source is motion, but nothing is connected to motion"):
        people(torch.rand(6, *SIZE, 3), source="motion", mask=two)


def test_people_have_their_colours_and_leave_their_place(host, two):
    images = torch.rand(6, *SIZE, 3)
    _, masks, _, _ = people(images, mask=two)
    coloured = ColourPeople.execute(masks, ["white"]).args[0]
    assert (
        coloured[0, 15, 10].tolist() == [0, 0, 1] and coloured[0, 30, 45].tolist() == [1, 0, 0] and coloured[0, 0, 0].tolist() == [1, 1, 1]
    )
    with pytest.raises(ValueError, match="the same frames"):
        ColourPeople.execute([two, two[:3]], ["white"])
    with pytest.raises(ValueError, match="masks is an empty list"):
        ColourPeople.execute([], ["white"])
    background, place, report = CutOutPerson.execute(images, two, True, 5, 5, "black").args
    gone = two.clone()
    gone[3:] = 0
    assert (
        "nobody" not in report
        and "nobody in frames 3-5, which stay as they are" in CutOutPerson.execute(images, gone, True, 5, 5, "black").args[2]
    )
    assert background.shape == images.shape and (place >= two).all() and not background[place > 0.5].any()

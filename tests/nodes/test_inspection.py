"""Videos side by side, with the words that were asked for."""

import pytest
import torch
from motion4d.core.maps.comparison_strip import strip
from motion4d.nodes.samplers.inspection import CompareVideos


def compare(**inputs):
    return CompareVideos.execute(**({"height": 32, "show_captions": True, "captions": ""} | inputs)).result[0]


def clip(frames, seed=0, channels=3):
    return torch.rand(frames, 24, 16, channels, generator=torch.Generator().manual_seed(seed))


def test_inputs_stand_in_the_order_of_the_paper_under_their_names(host):
    reference, generated = clip(1), clip(4, seed=1)
    whole = compare(generated=generated, reference=reference, pose=None)
    assert torch.equal(whole, strip([("reference", reference), ("generated", generated)], height=32))


def test_captions_replace_names_from_the_left(host):
    videos = {"generated": clip(2), "generated_2": clip(2, seed=1), "generated_3": clip(2, seed=2)}
    panels = [*zip(("cfg 1", "cfg 2", "generated 3"), videos.values(), strict=True)]
    assert torch.equal(compare(captions="cfg 1, cfg 2", **videos), strip(panels, height=32))
    assert torch.equal(compare(show_captions=False, **videos), strip(panels, height=32, labels=False))


def test_transparency_is_left_out(host):
    pictures = clip(2, channels=4)
    assert torch.equal(compare(driving=pictures), compare(driving=pictures[..., :3]))


def test_more_captions_than_pictures_or_no_pictures_are_refused(host):
    with pytest.raises(ValueError, match="2 words for 1 connected"):
        compare(captions="a, b", pose=clip(1))
    with pytest.raises(ValueError, match="connect at least one"):
        compare()

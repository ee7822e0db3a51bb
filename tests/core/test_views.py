"""Conditionings of several views brought together."""

import pytest
import torch
from motion4d.core.conditions import MotionCondition, VideoCondition
from motion4d.core.views import gather_conditioning


def entry(view, **values):
    return [[torch.full((1, 2, 3), float(view)), values]]


def test_tensors_follow_each_other_and_a_text_that_all_share_stays_one():
    shared, video = torch.ones(1, 2, 3), [torch.full((1, 4, 5, 2, 2), float(view)) for view in range(3)]
    made = gather_conditioning([[[shared.clone(), {"vace_frames": [one], "strength": 1.0}]] for one in video])
    assert made[0][0].shape == (1, 2, 3) and made[0][1]["strength"] == 1.0
    assert made[0][1]["vace_frames"][0][:, 0, 0, 0, 0].tolist() == [0, 1, 2]
    assert gather_conditioning([entry(0), entry(1)])[0][0][:, 0, 0].tolist() == [0, 1]


def test_videos_are_never_left_alone_as_models_join_them():
    same = torch.ones(1, 4, 5, 2, 2)
    values = gather_conditioning([entry(0, masks=[same]), entry(0, masks=[same])])[0][1]
    assert values["masks"][0].shape[0] == 2


def test_conditions_become_a_tuple_in_order():
    conditions = [
        VideoCondition(motion=MotionCondition(tokens=None, positions=torch.zeros(2, 3), frames=5), reference=torch.zeros(4, 5, 2, 2))
        for _ in range(2)
    ]
    values = gather_conditioning([entry(0, motion4d=one) for one in conditions])[0][1]
    assert values["motion4d"] == tuple(conditions)


@pytest.mark.parametrize(
    ("views", "words"),
    [
        ([], "no view to gather"),
        ([entry(0), [*entry(0), *entry(0)]], "1, 2 parts"),
        ([entry(0, mask=torch.zeros(1)), entry(0)], "view 1 has no mask"),
        ([entry(0, strength=1.0), entry(0, strength=2.0)], "strength: it differs between the views"),
        ([entry(0, image=torch.zeros(1, 2)), entry(0, image=torch.zeros(1, 3))], r"image: the views have shapes \(1, 2\), \(1, 3\)"),
    ],
)
def test_what_does_not_go_together_is_named(views, words):
    with pytest.raises(ValueError, match=words):
        gather_conditioning(views)

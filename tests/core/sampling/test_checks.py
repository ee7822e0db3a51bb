"""What does not go together is told with both numbers and the remedy; what does passes."""

from dataclasses import replace

import pytest
import torch
from motion4d.core.conditions import MotionCondition, VideoCondition
from motion4d.core.sampling.checks import check_condition, check_length, check_recipe, check_run, check_text_and_image
from motion4d.core.sampling.recipes import RECIPES, recipes_of
from motion4d.core.sampling.windows import plan_windows

LATENTS = torch.zeros(2, 16, 13, 4, 6)
MOTION = MotionCondition(tokens=torch.zeros(13 * 24, 64), positions=torch.zeros(24, 3), frames=13)
CONDITION = VideoCondition(motion=MOTION, reference=torch.zeros(16, 13, 4, 6))
SIZES = {"kind": "mvdit_7b", "channels": 16}


def test_a_recipe_is_one_of_its_model():
    assert [[one.name for one in recipes_of(kind)] for kind in ("mvdit_7b", "mvdit_17b")] == [
        ["7B DPM", "7B DDIM"],
        ["17B", "17B distilled"],
    ]
    for recipe in RECIPES.values():
        check_recipe(recipe, recipe.kind)
    with pytest.raises(ValueError, match="recipe: 17B is for mvdit_17b, the model is mvdit_7b: choose one of 7B DPM, 7B DDIM"):
        check_recipe(RECIPES["17B"], "mvdit_7b")


@pytest.mark.parametrize(
    ("shape", "words"),
    [((16, 13, 4, 6), r"\(16, 13, 4, 6\).*\(B, 16, F, h, w\)"), ((1, 12, 13, 4, 6), r"\(1, 12, "), ((0, 16, 13, 4, 6), r"\(0, 16, ")],
)
def test_latents_of_another_shape_are_refused(shape, words):
    check_run(RECIPES["7B DPM"], LATENTS, windows=plan_windows(13, 5, 2), **SIZES)
    with pytest.raises(ValueError, match=words):
        check_run(RECIPES["7B DPM"], torch.zeros(shape), **SIZES)


def test_windows_over_another_length_are_refused():
    with pytest.raises(ValueError, match="windows cover 20 latent frames, the latents have 13"):
        check_run(RECIPES["7B DPM"], LATENTS, windows=plan_windows(20, 13, 3), **SIZES)


def test_a_condition_is_for_its_video_and_model():
    check_condition("positive", CONDITION, LATENTS, 64)
    check_condition("negative", CONDITION.without_motion(), LATENTS, None)
    with pytest.raises(ValueError, match=r"^positive: its reference has .*\(16, 13, 4, 6\), the video of \(16, 12, 4, 6\)"):
        check_condition("positive", CONDITION, LATENTS[:, :, 1:], 64)
    with pytest.raises(ValueError, match=r"^still: it has motion, the model no motion attention: connect Load Motion Adapter"):
        check_condition("still", CONDITION, LATENTS, None)
    with pytest.raises(ValueError, match=r"^positive: tokens have 64 channels, this model expects 32: use the tokenizer"):
        check_condition("positive", CONDITION, LATENTS, 32)


def test_no_motion_has_the_length_that_was_learned():
    still = replace(MOTION, tokens=None)
    check_length("negative", still, [13], 312)
    check_length("negative", still, [9, 10], None)
    check_length("positive", MOTION, [9, 10], 312)
    with pytest.raises(ValueError, match=r"^negative: .*312 tokens .* are for 13 latent frames, not for 9, 10: set cfg to 1"):
        check_length("negative", still, [10, 9, 13], 312)


def test_text_and_picture_have_the_widths_that_are_read():
    text, image, widths = torch.zeros(1, 5, 48), torch.zeros(1, 9, 20), {"text_width": 48, "image_width": 20}
    check_text_and_image("positive", text, image, **widths)
    for given, words in ((None, "no text"), (torch.zeros(1, 1, 1), "no text"), (text[..., :7], "text of 7 channels")):
        with pytest.raises(ValueError, match=f"^positive: it has {words}, this model reads 48 .* UMT5-XXL"):
            check_text_and_image("positive", given, image, **widths)
    for given, words in ((None, "no picture"), (image[..., :8], "a picture of 8 channels")):
        with pytest.raises(ValueError, match=f"^positive: it has {words} from the image encoder, this model reads 20"):
            check_text_and_image("positive", text, given, **widths)

"""What can be wrong with a run, said in the same words by every host before any model is loaded for it."""

from collections.abc import Collection

from torch import Tensor

from ..conditions import MotionCondition, VideoCondition
from .progressive import ViewTimePlan, check_grid, over_time
from .recipes import Recipe, recipes_of
from .windows import WindowPlan


def check_recipe(recipe: Recipe, kind: str) -> None:
    """ValueError where a recipe is for another kind of model."""
    if recipe.kind != kind:
        mine = ", ".join(one.name for one in recipes_of(kind))
        raise ValueError(f"recipe: {recipe.name} is for {recipe.kind}, the model is {kind}: choose one of {mine}")


def check_run(recipe: Recipe, latents: Tensor, *, kind: str, channels: int, windows: WindowPlan | ViewTimePlan | None = None) -> None:
    """ValueError where the recipe, the latents (B, C, F, h, w) or the windows over them are not for a model of this kind and channels."""
    check_recipe(recipe, kind)
    if latents.ndim != 5 or latents.shape[1] != channels or 0 in latents.shape:
        raise ValueError(f"latents have shape {tuple(latents.shape)}, this model expects (B, {channels}, F, h, w)")
    if windows is not None:
        check_grid(over_time(windows, len(latents)) if isinstance(windows, WindowPlan) else windows, latents)


def check_condition(name: str, condition: VideoCondition, latents: Tensor, motion_width: int | None) -> None:
    """ValueError where a condition is not for these latents, or its motion not for the model.

    Args:
        name: of the condition, "positive". latents: (B, C, F, h, w). motion_width: channels of the motion tokens that the model takes, None
            without motion attention.
    """
    given, expected = tuple(condition.reference.shape), tuple(latents.shape[1:])
    if given != expected:
        sizes = f"latents (C, F, h, w) of {given}, the video of {expected}"
        raise ValueError(f"{name}: its reference has {sizes}: take both from one Condition Video on Motion")
    tokens = condition.motion.tokens
    if tokens is None:
        return
    if motion_width is None:
        raise ValueError(f"{name}: it has motion, the model no motion attention: connect Load Motion Adapter and Apply Motion Attention")
    if tokens.shape[1] != motion_width:
        raise ValueError(
            f"{name}: tokens have {tokens.shape[1]} channels, this model expects {motion_width}: use the tokenizer it was trained with"
        )


def check_length(name: str, motion: MotionCondition, lengths: Collection[int], slots: int | None) -> None:
    """ValueError where a condition without motion is sampled in another length than the model has learned tokens for.

    Args:
        lengths: latent frames that the model sees at a time. slots: of the learned tokens, None where the model has none.
    """
    if motion.tokens is not None or slots is None:
        return
    learned = slots // len(motion.positions)
    if other := sorted(set(lengths) - {learned}):
        raise ValueError(
            f"{name}: it has no motion, and the {slots} tokens that the model has learned for that are for {learned} latent frames, not for "
            f"{', '.join(map(str, other))}: set cfg to 1, or sample in windows of {learned} latent frames"
        )


def check_text_and_image(name: str, text: Tensor | None, image: Tensor | None, *, text_width: int, image_width: int) -> None:
    """ValueError unless text (..., text_width) and the image encoder's look at the picture (..., image_width) are there; a text of one channel
    stands for none."""
    if text is None or text.shape[-1] != text_width:
        given = "no text" if text is None or text.shape[-1] == 1 else f"text of {text.shape[-1]} channels"
        raise ValueError(
            f"{name}: it has {given}, this model reads {text_width} channels: connect CLIP Text Encode with UMT5-XXL (umt5_xxl)"
        )
    if image is None or image.shape[-1] != image_width:
        given = "no picture" if image is None else f"a picture of {image.shape[-1]} channels"
        raise ValueError(
            f"{name}: it has {given} from the image encoder, this model reads {image_width} channels: connect CLIP Vision with CLIP ViT-H to "
            "Condition Video on Motion"
        )

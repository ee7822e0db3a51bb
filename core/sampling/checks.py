"""What can be wrong with a run, said in the same words by every host before any model is loaded for it."""

from collections.abc import Collection, Sequence

from torch import Tensor

from ..conditions import MotionCondition, VideoCondition
from .progressive import ViewTimePlan, check_grid, is_turned, over_time
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


def check_views(name: str, conditions: Sequence[VideoCondition], latents: Tensor) -> None:
    """ValueError unless there is one condition for each row of latents (B, C, F, h, w), or one for all."""
    if len(conditions) not in (1, len(latents)):
        raise ValueError(
            f"{name}: it has {len(conditions)} views, the latent {len(latents)}: take both from Gather Views, or make the latent with Empty "
            "Multi-View Latent"
        )


def check_whole(views: int, planner: object | None) -> None:
    """ValueError where one clip is to be seen whole, and there are several views or a model that is asked in pieces."""
    if views > 1 or planner is not None:
        what = f"{views} views" if views > 1 else "a model from Sample in View and Time Windows"
        raise ValueError(
            f"one clip is looked at as a whole, and this is {what}: take model and conditioning from before they are put together"
        )


def put_back_of(conditions: Sequence[VideoCondition]) -> Tensor | None:
    """The leading latents (C, k, h, w) that stand again after every step; ValueError where several views have some."""
    found = [one.put_back for one in conditions]
    if len(found) > 1 and any(one is not None for one in found):
        raise ValueError("latents are carried over in several views: clips go on from one another with one view only")
    return found[0]


def clip_lengths(plan: ViewTimePlan | None, latents: Tensor) -> set[int]:
    """Frames of the clips that a model is asked for, whose frames may be views. latents: (B, C, F, h, w)."""
    if plan is None:
        return {latents.shape[2]}
    windows = {window for step in (0, 1) for at in (0.0, 0.5, 1.0) for window, _ in plan.pieces(step, at)}
    return {len(window.views if is_turned(window, plan.views_as) else window.frames) for window in windows}


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

"""What can be wrong with a run is said before any model is loaded for it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...core.sampling.checks import check_condition, check_length, check_text_and_image, check_views, clip_lengths
from .conditions import IMAGE, conditions_in
from .windows import windows_of

IMAGE_WIDTH = 1280  # of what ComfyUI's Wan model reads of a picture


@dataclass(frozen=True)
class RunCheck:
    """A wrapper around a whole run that compares its conditions with its latents and with the model.

    width: channels of the motion tokens that the model takes. text_width: of its text, None where it reads none. slots: motion tokens of its
    learned unconditional motion, None where it has none.
    """

    width: int
    text_width: int | None = None
    slots: int | None = None

    def __call__(self, executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Raises ValueError that names the positive or negative, and the two things that do not go together."""
        guider = executor.class_obj
        if noise.ndim == 5:
            for name, conds in guider.conds.items():
                for cond in conds:
                    self._check(name, cond, noise)
                    if not (name == "negative" and guider.cfg == 1) and "context_handler" not in guider.model_options:
                        self._check_length(name, cond, noise, guider.model_options)
        return executor(noise, *args, **kwargs)

    def _check(self, name: str, cond: dict[str, Any], noise: Tensor) -> None:
        conditions = conditions_in(cond)
        if not conditions:
            raise ValueError(f"{name}: it has no motion and no reference: connect the {name} of Condition Video on Motion")
        check_views(name, conditions, noise)
        for condition in conditions:
            check_condition(name, condition, noise, self.width)
        if self.text_width is not None:
            image = getattr(cond.get(IMAGE), "penultimate_hidden_states", None)
            check_text_and_image(name, cond.get("cross_attn"), image, text_width=self.text_width, image_width=IMAGE_WIDTH)

    def _check_length(self, name: str, cond: dict[str, Any], noise: Tensor, model_options: dict[str, Any]) -> None:
        windows = windows_of(model_options)
        for condition in conditions_in(cond):
            lengths = {condition.motion.frames} if windows is None else clip_lengths(windows.plan(noise.shape), noise)
            check_length(name, condition.motion, lengths, self.slots)

"""What can be wrong with a run is said before any model is loaded for it."""

from dataclasses import dataclass
from typing import Any

from torch import Tensor

from .conditions import IMAGE, KEY


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
                        self._check_length(name, cond)
        return executor(noise, *args, **kwargs)

    def _check(self, name: str, cond: dict[str, Any], noise: Tensor) -> None:
        condition = cond.get(KEY)
        if condition is None:
            raise ValueError(f"{name}: it has no motion and no reference: connect the {name} of Condition Video on Motion")
        if condition.reference.shape != noise.shape[1:]:
            sizes = f"latents (C, F, h, w) of {tuple(condition.reference.shape)}, the video of {tuple(noise.shape[1:])}"
            raise ValueError(f"{name}: its reference has {sizes}: sample the latent of Condition Video on Motion")
        tokens = condition.motion.tokens
        if tokens is not None and tokens.shape[1] != self.width:
            raise ValueError(
                f"{name}: tokens have {tokens.shape[1]} channels, this model expects {self.width}: use the tokenizer it was trained with"
            )
        if self.text_width is not None:
            self._check_text_and_image(name, cond)

    def _check_text_and_image(self, name: str, cond: dict[str, Any]) -> None:
        text = cond.get("cross_attn")
        if text is None or text.shape[-1] != self.text_width:
            given = "no text" if text is None else f"text of {text.shape[-1]} channels"
            raise ValueError(f"{name}: it has {given}, this model reads {self.text_width} channels: use the text encoder of Wan (umt5_xxl)")
        if cond.get(IMAGE) is None:
            raise ValueError(f"{name}: the image encoder has not looked at the reference: connect CLIP Vision to Condition Video on Motion")

    def _check_length(self, name: str, cond: dict[str, Any]) -> None:
        motion = cond[KEY].motion
        length = motion.frames * len(motion.positions)
        if motion.tokens is None and self.slots not in (None, length):
            learned = f"the learned unconditional motion has {self.slots} tokens, a video of {motion.frames} latent frames {length}"
            raise ValueError(
                f"{name}: {learned}: set cfg to 1, or sample in windows of {self.slots // len(motion.positions)} latent frames"
            )

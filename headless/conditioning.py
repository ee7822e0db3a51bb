"""CONDITIONING and GUIDER of a headless run, in ComfyUI's layout: [[text (1, L, D), {key: value}]]."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ..core.conditions import VideoCondition, only_view
from ..core.sampling.guidance import Guidance
from .side_models import ImageTokens
from .video_models import HeadlessModel

KEY, IMAGE_KEY = "motion4d", "clip_vision_output"
Conditioning = list[list[Any]]


def conditioned(conditioning: Conditioning | None, condition: VideoCondition, image: ImageTokens | None) -> Conditioning:
    """A conditioning that carries a video condition and an image beside its text; without one, text of one zero stands for none."""
    entries = [[torch.zeros(1, 1, 1), {}]] if conditioning is None else conditioning
    added = {KEY: condition} | ({} if image is None else {IMAGE_KEY: image})
    return [[text, values | added] for text, values in entries]


def conditions_of(conditioning: Conditioning) -> tuple[VideoCondition, ...]:
    """The video conditions, one for each view; ValueError where there is none, or where several conditionings were put together."""
    found = [values[KEY] for _, values in conditioning if KEY in values]
    if not found:
        raise ValueError("the conditioning has no motion and no reference: connect Condition Video on Motion between text and sampler")
    if len(conditioning) > 1:
        raise ValueError(f"the conditioning has {len(conditioning)} parts, expected 1: combined conditionings run in ComfyUI only")
    return found[0] if isinstance(found[0], tuple) else (found[0],)


def condition_of(conditioning: Conditioning) -> VideoCondition:
    """The only video condition; ValueError as `conditions_of`, or where there are several views."""
    return only_view(conditions_of(conditioning))


@dataclass(frozen=True, eq=False)
class Branch:
    """What one prediction is made under. conditions: of the views; one holds for all rows of a batch. text: (1 or V, L, D). image: (1 or V,
    N, D), None without."""

    conditions: tuple[VideoCondition, ...]
    text: Tensor
    image: Tensor | None

    @classmethod
    def of(cls, conditioning: Conditioning) -> "Branch":
        """The one that a conditioning stands for."""
        conditions = conditions_of(conditioning)
        text, values = conditioning[0]
        image = values.get(IMAGE_KEY)
        return cls(conditions, text, None if image is None else image.penultimate_hidden_states)

    def without_motion(self) -> "Branch":
        """The same without the motion."""
        return Branch(tuple(one.without_motion() for one in self.conditions), self.text, self.image)


@dataclass(frozen=True, eq=False)
class Guider:
    """A model, the branches that its guidance asks for ("positive", "negative", "still"), and the guidance."""

    model: HeadlessModel
    branches: dict[str, Branch]
    guidance: Guidance

    @classmethod
    def of(cls, model: HeadlessModel, positive: Conditioning, negative: Conditioning | None, guidance: Guidance) -> "Guider":
        """ValueError where guidance asks for a negative that is not there, or a conditioning is without its video condition."""
        if negative is None and guidance.scale != 1:
            raise ValueError(f"cfg is {guidance.scale:g} and there is no negative: connect one, or set cfg to 1")
        branches = {"positive": Branch.of(positive)}
        if negative is not None:
            branches["negative"] = Branch.of(negative)
        if guidance.motion != 1:
            branches["still"] = branches["positive"].without_motion()
        return cls(model, branches, guidance)

    def needed(self, progress: float) -> Sequence[str]:
        """The branches that have to be predicted at a point of the schedule, in the order in which they make a batch, as released."""
        positive, negative, still = self.guidance.needs(progress)
        wanted = (("negative", negative), ("positive", positive), ("still", still))
        return [name for name, is_wanted in wanted if is_wanted]

"""CONDITIONING that carries motion: what a cond dict holds, how ComfyUI batches it, and what is checked before a run."""

from typing import Any

import torch
from comfy.conds import CONDNoiseShape, CONDRegular
from torch import Tensor

from ...core.conditions import MotionCondition, VideoCondition, known_mask

KEY = "motion4d"  # of the VideoCondition in a cond dict, and of the motions in what a model is called with
IMAGE = "clip_vision_output"


class MotionCond(CONDRegular):
    """The motions of a batch, a tuple of MotionCondition: they are no tensors, so that nothing rounds them to the dtype of a model."""

    def process_cond(self, batch_size: int, **_: Any) -> "MotionCond":
        return self._copy_with(tuple(self.cond[row % len(self.cond)] for row in range(batch_size)))

    def can_concat(self, other: Any) -> bool:
        if not isinstance(other, MotionCond):
            return False
        return len({(one.frames, len(one.positions)) for one in (*self.cond, *other.cond)}) == 1

    def concat(self, others: list["MotionCond"]) -> tuple[MotionCondition, ...]:
        return sum((other.cond for other in others), self.cond)

    def size(self) -> list[int]:
        return [1]


class ReferenceCond(CONDNoiseShape):
    """Reference latents of a video that shows one picture throughout: every context window sees them from their beginning, as a video."""

    def _copy_with(self, cond: Tensor) -> "ReferenceCond":
        frames = cond.shape[2]
        if frames != self.cond.shape[2]:  # cut to a window
            cond = self.cond[:, :, :frames].to(cond.device)
        return ReferenceCond(cond)


def conditioned(conditioning: Any | None, condition: VideoCondition, image: Any | None) -> Any:
    """CONDITIONING with a video condition in the keys that ComfyUI's own Wan model reads, and that ours reads as well."""
    carried: dict[str, Any] = {
        KEY: condition,
        "model_conds": {KEY: MotionCond((condition.motion,))},
        "concat_latent_image": condition.reference[None],
        "concat_mask": 1 - known_mask(condition)[None],  # ComfyUI marks what is unknown
    }
    if image is not None:
        carried[IMAGE] = image
    entries = [[torch.zeros(1, 1, 1), {}]] if conditioning is None else conditioning
    return [[text, values | carried] for text, values in entries]


def condition_of(conditioning: Any) -> VideoCondition:
    """The video condition of a CONDITIONING."""
    for _, values in conditioning:
        if KEY in values:
            return values[KEY]
    raise ValueError("the conditioning has no motion and no reference: connect Condition Video on Motion between text and sampler")


def without_motion(conditioning: Any) -> Any:
    """The same conditioning with the motion taken out of its video conditions."""
    entries = []
    for text, values in conditioning:
        if KEY in values:
            still = values[KEY].without_motion()
            values = values | {KEY: still, "model_conds": values["model_conds"] | {KEY: MotionCond((still.motion,))}}
        entries.append([text, values])
    return entries

"""CONDITIONING that carries motion: what a cond dict holds, how ComfyUI batches it, and what is checked before a run."""

from collections.abc import Sequence
from typing import Any

import torch
from comfy.conds import CONDNoiseShape, CONDRegular
from torch import Tensor

from ...core.conditions import MotionCondition, Pieces, VideoCondition, hold, known_mask, only_view
from ...core.sampling.progressive import Window, is_turned
from ...core.views import gather_conditioning

KEY = "motion4d"  # of the VideoCondition in a cond dict, a tuple of them where there are several views, and of the motions in what a model is called with
MADE = "model_conds"  # ComfyUI's own: what is ready for a model
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

    def piece(self, window: Window, views: int, pieces: Pieces) -> "MotionCond":
        """The motions of the rows of a piece."""
        return MotionCond(pieces.of(self.cond, window))


class ReferenceCond(CONDNoiseShape):
    """Reference latents of a video that shows one picture throughout: every context window sees them from their beginning, as a video."""

    def _copy_with(self, cond: Tensor) -> "ReferenceCond":
        frames = cond.shape[2]
        if frames != self.cond.shape[2]:  # cut to a window
            cond = self.cond[:, :, :frames].to(cond.device)
        return ReferenceCond(cond)

    def piece(self, window: Window, views: int, pieces: Pieces) -> "ReferenceCond":
        """Of each row of a piece; a clip whose frames are views has at place k what view k shows there."""
        shown = [self.cond[view % len(self.cond)] for view in window.views.tolist()]
        if not is_turned(window, pieces.views_as):
            return ReferenceCond(torch.stack([hold(one, len(window.frames)) for one in shown]))
        across = torch.stack([hold(one, place + 1)[:, place] for place, one in enumerate(shown)], 1)
        return ReferenceCond(across[None].expand(len(window.frames), -1, -1, -1, -1))


def conditioned(conditioning: Any | None, condition: VideoCondition, image: Any | None) -> Any:
    """CONDITIONING with a video condition in the keys that ComfyUI's own Wan model reads, and that ours reads as well."""
    carried: dict[str, Any] = {
        KEY: condition,
        MADE: {KEY: MotionCond((condition.motion,))},
        "concat_latent_image": condition.reference[None],
        "concat_mask": 1 - known_mask(condition)[None],  # ComfyUI marks what is unknown
    }
    if image is not None:
        carried[IMAGE] = image
    entries = [[torch.zeros(1, 1, 1), {}]] if conditioning is None else conditioning
    return [[text, values | carried] for text, values in entries]


def conditions_in(values: dict[str, Any]) -> tuple[VideoCondition, ...]:
    """The video conditions of the views in a cond dict; none where there are none."""
    found = values.get(KEY, ())
    return found if isinstance(found, tuple) else (found,)


def condition_of(conditioning: Any) -> VideoCondition:
    """The video condition of a CONDITIONING of one view."""
    for _, values in conditioning:
        if KEY in values:
            return only_view(conditions_in(values))
    raise ValueError("the conditioning has no motion and no reference: connect Condition Video on Motion between text and sampler")


def without_motion(conditioning: Any) -> Any:
    """The same conditioning with the motion taken out of its video conditions."""
    entries = []
    for text, values in conditioning:
        if KEY in values:
            still = tuple(one.without_motion() for one in conditions_in(values))
            values = values | {KEY: still, MADE: values[MADE] | {KEY: MotionCond(tuple(one.motion for one in still))}}
        entries.append([text, values])
    return entries


def gather_views(conditionings: Sequence[Any]) -> Any:
    """See `Host.gather_views`."""
    plain = [[[text, {key: value for key, value in values.items() if key != MADE}] for text, values in one] for one in conditionings]
    gathered = gather_conditioning(plain)
    for number, (_, values) in enumerate(gathered):
        made = [one[number][1].get(MADE, {}) for one in conditionings]
        if len({frozenset(one) for one in made}) > 1:
            raise ValueError("the views have conditions of different kinds: condition all views the same way")
        if made[0]:
            values[MADE] = {key: _joined([one[key] for one in made]) for key in made[0]}
    return gathered


def _joined(conds: Sequence[Any]) -> Any:
    """One of ComfyUI's COND objects for all views."""
    if all(one is conds[0] for one in conds):
        return conds[0]
    return conds[0]._copy_with(conds[0].concat(list(conds[1:])))

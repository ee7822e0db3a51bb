"""What a model is given beside its latents, cut to a piece of a grid of views and frames along the axes that it has."""

from collections.abc import Sequence
from typing import Any

from torch import Tensor

from ...core.conditions import Pieces
from ...core.sampling.progressive import Window, is_turned, taken

# Where ComfyUI's models have their frames, if not at axis 2 of five (comfy/model_base.py, extra_conds of the class named).
FRAME_AXES = {"vace_context": 3}  # WAN21_Vace: (V, n, C, F, h, w)
# What goes whole although it looks like a video: frames that a model sees beside its own.
WHOLE = {"time_dim_concat"}  # WAN21
# What goes over time in steps of its own, which no window of latent frames names.
OTHER_CLOCKS = {
    "audio_embed": "WAN21_HuMo, WAN22_S2V",
    "face_pixel_values": "WAN22_Animate",
    "pose_latents": "WAN22_Animate, WAN_Animate2",
    "reference_motion": "WAN22_S2V",
    "lq_latent": "PixelDiT super-resolution",
}
_REFUSED = {"control": "a ControlNet", "gligen": "GLIGEN"}


def check_cond(name: str, cond: dict[str, Any], views: int, frames: int) -> None:
    """What a condition holds before a model has looked at it.

    Args:
        name: of the branch, "positive". views, frames: of the latents.

    Raises:
        ValueError: something that cannot be cut, or is for another number of views.
    """
    for key, what in _REFUSED.items():
        if key in cond:
            raise ValueError(
                f"{name}: it has {what}, whose pictures cannot be cut to views and frames: leave it out, or use a model that reads its control "
                "among its channels, such as VACE or Fun Control"
            )
    _check_area(name, cond.get("area"), frames)
    for key, value in cond.items():
        for tensor in _tensors(key, value):
            if tensor.shape[0] not in (1, views):
                raise ValueError(
                    f"{name}: its {key} is for {tensor.shape[0]} views, the latent has {views}: gather as many conditionings as views"
                )


def _tensors(key: str, value: Any) -> list[Tensor]:
    """The tensors of a value that may be of several views."""
    values = value if isinstance(value, list) else [getattr(value, "penultimate_hidden_states", value)]
    least = 3 if key in ("cross_attn", "clip_vision_output") else 5
    return [one for one in values if isinstance(one, Tensor) and one.ndim >= least]


def _check_area(name: str, area: Sequence[Any] | None, frames: int) -> None:
    if area is None:
        return
    numbers, is_share = (area[1:], True) if area[0] == "percentage" else (area, False)
    if len(numbers) == 6 and (numbers[0] < (1 if is_share else frames) or numbers[3] > 0):
        raise ValueError(f"{name}: its area is a part of the time, which windows would cut anew: set its temporal size to everything")


def cut_cond(cond: dict[str, Any], window: Window, views: int, frames: int, pieces: Pieces) -> dict[str, Any]:
    """A condition as ComfyUI batches it, for one piece.

    What has a batch of one and no frames goes whole. A clip whose frames are views takes what has no frames, as text, from its first view.

    Raises:
        ValueError: something has other views or frames than the latents.
    """
    cutter = _Cutter(window, views, frames, pieces)
    made = cond | {"model_conds": {key: cutter.value(key, value) for key, value in cond["model_conds"].items()}}
    if "mask" in cond:
        made["mask"] = cutter.tensor("mask", cond["mask"].unsqueeze(1)).squeeze(1)
    return made


class _Cutter:
    def __init__(self, window: Window, views: int, frames: int, pieces: Pieces):
        self.window, self.views, self.frames, self.pieces = window, views, frames, pieces
        self.turned = is_turned(window, pieces.views_as)

    def value(self, key: str, value: Any) -> Any:
        """One of ComfyUI's COND objects."""
        if key in OTHER_CLOCKS:
            raise ValueError(
                f"{key} ({OTHER_CLOCKS[key]}) is not cut to windows of views and time: leave it out, or sample without windows"
            )
        if key in WHOLE:
            return value
        if hasattr(value, "piece"):
            return value.piece(self.window, self.views, self.pieces)
        held = getattr(value, "cond", None)
        if isinstance(held, Tensor) and held.ndim:
            return value._copy_with(self.tensor(key, held))
        if isinstance(held, list) and held and all(isinstance(one, Tensor) and one.ndim for one in held):
            return value._copy_with([self.tensor(key, one) for one in held])
        return value

    def tensor(self, key: str, held: Tensor) -> Tensor:
        """A tensor whose axis 0 is the views, or one for all of them."""
        axis = self._frame_axis(key, held)
        if held.shape[0] not in (1, self.views):
            raise ValueError(f"{key} has {held.shape[0]} views, the latent {self.views}: gather as many conditionings as views")
        if not self.turned:
            held = taken(held, 0, self.window.views) if held.shape[0] > 1 else held
            return held if axis is None else taken(held, axis, self.window.frames)
        if axis is None:
            return taken(held, 0, self.window.views[:1]) if held.shape[0] > 1 else held
        held = held.expand(self.views, *held.shape[1:])
        return taken(taken(held, 0, self.window.views), axis, self.window.frames).transpose(0, axis)

    def _frame_axis(self, key: str, held: Tensor) -> int | None:
        axis = FRAME_AXES.get(key, 2)
        if held.ndim < (5 if axis == 2 else axis + 1) or held.shape[axis] == 1 != self.frames:
            return None  # it has no frames: text, a picture
        if held.shape[axis] != self.frames:
            raise ValueError(
                f"{key} has {held.shape[axis]} latent frames, the latent {self.frames}: make them of one length, or sample without windows"
            )
        return axis

"""CONDITIONING of one view each, brought together as that of all views: [[text (1, L, D), {key: value}], ...], as ComfyUI has it."""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from .conditions import VideoCondition


def gather_conditioning(views: Sequence[list[list[Any]]]) -> list[list[Any]]:
    """One conditioning of several views, in their order.

    Tensors are put together over their batch (`gather_tensors`); lists are gathered entry by entry, video conditions
    become a tuple, and everything else has to be the same in all views.

    Raises:
        ValueError: no views, views of different parts, or a value that differs where it cannot be gathered; it is named.
    """
    if not views:
        raise ValueError("there is no view to gather: connect a list with one conditioning for each view")
    if len({len(one) for one in views}) > 1:
        given = ", ".join(str(len(one)) for one in views)
        raise ValueError(f"the conditionings of the views have {given} parts, expected the same: combine all of them, or none")
    gathered = []
    for parts in zip(*views, strict=True):
        keys = list(dict.fromkeys(key for _, values in parts for key in values))
        for key in keys:
            if lacking := [number for number, (_, values) in enumerate(parts) if key not in values]:
                raise ValueError(f"view {lacking[0]} has no {key}, other views have: condition all views the same way")
        values = {key: _gathered(key, [values[key] for _, values in parts]) for key in keys}
        gathered.append([_gathered("text", [text for text, _ in parts]), values])
    return gathered


def gather_tensors(name: str, tensors: Sequence[Tensor]) -> Tensor:
    """Tensors put together over their batch. One stays one where all are the same, but for videos (five axes), which models join to others.

    Raises:
        ValueError: they differ in more than their batch.
    """
    first = tensors[0]
    if (
        first.ndim < 5
        and first.shape[0] == 1
        and all(one is first or (one.shape == first.shape and torch.equal(one, first)) for one in tensors)
    ):
        return first
    if len({one.shape for one in tensors}) > 1:
        sizes = ", ".join(str(tuple(one.shape)) for one in tensors[:4])
        raise ValueError(f"{name}: the views have shapes {sizes}, expected the same: give all views one size and length")
    return torch.cat(list(tensors))


def _gathered(key: str, values: Sequence[Any]) -> Any:
    first = values[0]
    if all(value is first for value in values) and not isinstance(first, VideoCondition | Tensor | list):
        return first
    if all(isinstance(value, Tensor) for value in values):
        return gather_tensors(key, values)
    if all(isinstance(value, VideoCondition) for value in values):
        return first if all(value is first for value in values) else tuple(values)
    if all(isinstance(value, list) for value in values) and len({len(value) for value in values}) == 1:
        return [_gathered(key, parts) for parts in zip(*values, strict=True)]
    if all(hasattr(value, "penultimate_hidden_states") for value in values):  # CLIP_VISION_OUTPUT of either host
        return _gathered_look(key, values)
    if all(
        type(value) is type(first) and isinstance(value, int | float | str | bool | None | tuple) and value == first for value in values
    ):
        return first
    raise ValueError(f"{key}: it differs between the views and cannot be put together: give all views the same")


def _gathered_look(key: str, values: Sequence[Any]) -> Any:
    """What an image encoder saw of each view."""
    looks = [vars(value) for value in values]
    made = {name: gather_tensors(key, [look[name] for look in looks]) if isinstance(one, Tensor) else one for name, one in looks[0].items()}
    twin = copy.copy(values[0])
    for name, value in made.items():
        object.__setattr__(twin, name, value)
    return twin

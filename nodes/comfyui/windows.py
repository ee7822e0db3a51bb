"""A MODEL of any kind that is asked piece by piece: windows over views and time around ComfyUI's own batching of conditions.

Samplers, guiders, LoRA, hooks on conditions and previews stay ComfyUI's: the wrapper cuts the latents (V, C, F, h, w) and what a model is
given beside them, calls ComfyUI for each piece, and blends what comes back. Memory is asked for the largest piece.
"""

import uuid
from collections.abc import Sequence
from typing import Any

import torch
from comfy import model_management
from comfy.patcher_extension import CallbacksMP, WrappersMP
from torch import Tensor

from ...core.conditions import Pieces
from ...core.sampling.progressive import ViewTimePlan, Window, add_piece, check_grid, cut, is_turned
from ..host import Planner
from .steps import WINDOWS, progress_of, step_number
from .window_conds import check_cond, cut_cond


class GridWindows:
    """The wrappers of one MODEL, and what they keep of a run: the plan for its latents, and the conditions of its pieces."""

    def __init__(self, planner: Planner):
        self.planner = planner
        self.forget()

    def forget(self, patcher: Any = None) -> None:
        """Called when a run is over."""
        self._size: tuple[int, int] | None = None
        self._plan: ViewTimePlan | None = None
        self._pieces = Pieces()
        self._names: dict[tuple, uuid.UUID] = {}

    def plan(self, shape: Sequence[int]) -> ViewTimePlan:
        """The plan for latents of a shape (V, C, F, h, w), made once for a run; ValueError for another number of axes."""
        if len(shape) != 5:
            raise ValueError(
                f"the latent has {len(shape)} axes, {tuple(shape)}, windows go over (views, channels, frames, height, width): make it with Empty "
                "Multi-View Latent or as the latent of a video"
            )
        size = int(shape[0]), int(shape[2])
        if size != self._size:
            self.forget()
            self._size, self._plan = size, self.planner(*size)
            self._pieces = Pieces(self._plan.views_as)
        return self._plan

    def check(self, executor: Any, noise: Tensor, *args: Any, **kwargs: Any) -> Any:
        """Around a whole run: what cannot be cut is said before anything is loaded.

        Raises:
            ValueError: latents that are no grid, ComfyUI's own context windows, or conditions that cannot be cut.
        """
        guider = executor.class_obj
        check_grid(self.plan(noise.shape), noise)
        if guider.model_options.get("context_handler") is not None:
            raise ValueError("the model has ComfyUI's context windows as well: leave out that node, these windows go over time too")
        for name, conds in guider.conds.items():
            for cond in conds:
                check_cond(name, cond, noise.shape[0], noise.shape[2])
        return executor(noise, *args, **kwargs)

    def prepare(self, executor: Any, model: Any, noise_shape: Sequence[int], conds: Any, *args: Any, **kwargs: Any) -> Any:
        """Around the estimate of memory: a piece is what has to fit."""
        plan = self.plan(noise_shape)
        pieces = [window for step in (0, 1) for window, _ in plan.pieces(step, 0.5)]
        rows, frames = max((_size(window, plan) for window in pieces), key=lambda size: size[0] * size[1])
        return executor(model, [rows, noise_shape[1], frames, *noise_shape[3:]], conds, *args, **kwargs)

    def predict(
        self, executor: Any, model: Any, conds: list[list[dict] | None], x: Tensor, timestep: Tensor, model_options: dict[str, Any]
    ) -> list[Tensor]:
        """Around every call of the model: the predictions under each list of conditions, put together from those of the pieces."""
        plan, options = self.plan(x.shape), model_options.get("transformer_options", {})
        step, progress = step_number(options, timestep), progress_of(options, model, timestep)
        totals = [torch.zeros_like(x) for _ in conds]
        for window, weights in plan.pieces(step, progress):
            model_management.throw_exception_if_processing_interrupted()
            part = cut(x, window, plan.views_as)
            given = [None if one is None else [self._cut(cond, window, x.shape) for cond in one] for one in conds]
            found = executor(model, given, part, timestep[:1].expand(len(part)), model_options)
            for total, prediction in zip(totals, found, strict=True):
                add_piece(total, prediction, window, weights, plan.views_as)
        return totals

    def _cut(self, cond: dict[str, Any], window: Window, shape: Sequence[int]) -> dict[str, Any]:
        # What other packs keep of a condition they keep by its uuid, and a piece is another one.
        key = (cond["uuid"], window)
        name = self._names.setdefault(key, uuid.uuid4())
        return cut_cond(cond, window, shape[0], shape[2], self._pieces) | {"uuid": name}


def apply_windows(model: Any, planner: Planner) -> Any:
    """See `Host.apply_windows`."""
    copy, windows = model.clone(), GridWindows(planner)
    wrappers = {
        WrappersMP.OUTER_SAMPLE: windows.check,
        WrappersMP.PREPARE_SAMPLING: windows.prepare,
        WrappersMP.CALC_COND_BATCH: windows.predict,
    }
    for kind, wrapper in wrappers.items():
        copy.remove_wrappers_with_key(kind, WINDOWS)
        copy.add_wrapper_with_key(kind, WINDOWS, wrapper)
    copy.remove_callbacks_with_key(CallbacksMP.ON_CLEANUP, WINDOWS)
    copy.add_callback_with_key(CallbacksMP.ON_CLEANUP, WINDOWS, windows.forget)
    copy.model_options["transformer_options"][WINDOWS] = windows
    return copy


def windows_of(model_options: dict[str, Any]) -> GridWindows | None:
    """The windows that a run is asked in, if it is."""
    return model_options.get("transformer_options", {}).get(WINDOWS)


def _size(window: Window, plan: ViewTimePlan) -> tuple[int, int]:
    """(rows, frames) of a piece as the model takes it."""
    views, frames = len(window.views), len(window.frames)
    return (frames, views) if is_turned(window, plan.views_as) else (views, frames)

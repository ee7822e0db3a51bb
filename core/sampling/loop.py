"""The denoising loop. It sees a model as a function, and knows no network."""

import copy
import inspect
from collections.abc import Callable

import torch
from torch import Tensor

from .guidance import Branch, Guidance

# predict(latents, timestep ()) -> prediction of the latents' shape, guided already
Predict = Callable[[Tensor, Tensor], Tensor]
# denoise(latents, timestep (), conditional) -> prediction of the latents' shape
Denoise = Callable[[Tensor, Tensor, bool], Tensor]
# on_step(steps done, latents) -> latents to go on with, or None for the same
OnStep = Callable[[int, Tensor], Tensor | None]


def sample(
    denoise: Denoise,
    latents: Tensor,
    scheduler,
    *,
    guidance: float = 1.0,
    generator: torch.Generator | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Walk latents down a schedule with classifier-free guidance.

    Args:
        denoise: called with the latents, one timestep of the schedule (on the CPU) and whether the condition applies.
        guidance: u + guidance (c - u) of the unconditional and the conditional prediction; 1 asks for c alone and 0 for u alone.
        latents, scheduler, generator, on_step: as of `walk`.

    Raises:
        ValueError: as `walk`, and guidance that is no number.
    """
    scale = Guidance(scale=guidance)

    def predict(latents: Tensor, timestep: Tensor) -> Tensor:
        def of_branch(branch: Branch) -> Tensor:
            return checked(denoise(latents, timestep, branch == "positive"), latents)

        return scale.guided(of_branch, 0.0)

    return walk(predict, latents, scheduler, generator=generator, on_step=on_step)


@torch.no_grad()
def walk(
    predict: Predict, latents: Tensor, scheduler, *, generator: torch.Generator | None = None, on_step: OnStep | None = None
) -> Tensor:
    """Walk latents down a schedule.

    Args:
        predict: called with the latents and one timestep of the schedule (on the CPU).
        latents: any shape, noise of the first timestep; their dtype is kept from step to step.
        scheduler: one of `schedules`, with its timesteps set; it is copied, so that it can be used again.
        generator: of the noise that the DPM schedule adds at every step (twice as many draws as it uses, as released).
        on_step: called after every step with the number of steps done and the latents; what it returns, if anything, replaces them. What it
            raises ends the loop.

    Returns:
        The latents at the end of the schedule.

    Raises:
        ValueError: a scheduler without timesteps.
    """
    if getattr(scheduler, "num_inference_steps", None) is None:
        raise ValueError("the scheduler has no timesteps: call its set_timesteps(steps), or take one of core.sampling.schedules")
    scheduler = copy.deepcopy(scheduler)
    advance = _Steps(scheduler, generator)
    for number, timestep in enumerate(scheduler.timesteps):
        latents = advance(predict(latents, timestep), timestep, latents).to(latents.dtype)
        if on_step is not None:
            replaced = on_step(number + 1, latents)
            latents = latents if replaced is None else replaced
    return latents


def checked(prediction: Tensor, latents: Tensor) -> Tensor:
    """A prediction in float32; ValueError if it is not shaped like the latents."""
    if prediction.shape != latents.shape:
        raise ValueError(f"the prediction has shape {tuple(prediction.shape)}, the latents {tuple(latents.shape)}")
    return prediction.float()


class _Steps:
    """One call for the steps of all schedulers: CogVideoX's DPM wants its own last estimate and timestep back, others remember alone."""

    def __init__(self, scheduler, generator: torch.Generator | None):
        self.scheduler = scheduler
        parameters = inspect.signature(scheduler.step).parameters
        self.options = {"generator": generator} if "generator" in parameters else {}
        self.hands_back = "old_pred_original_sample" in parameters
        self.estimate: Tensor | None = None
        self.timestep: Tensor | None = None

    def __call__(self, prediction: Tensor, timestep: Tensor, latents: Tensor) -> Tensor:
        if not self.hands_back:
            return self.scheduler.step(prediction, timestep, latents, return_dict=False, **self.options)[0]
        latents, self.estimate = self.scheduler.step(
            prediction, self.estimate, timestep, self.timestep, latents, return_dict=False, **self.options
        )
        self.timestep = timestep
        return latents

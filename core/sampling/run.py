"""A released recipe, run: its schedule, guidance along two axes, windows over time and views, and frames that are known beforehand."""

from collections.abc import Callable

import torch
from torch import Tensor

from ..shapes import check_shapes
from .guidance import Branch, Guidance
from .loop import OnStep, checked, walk
from .noise import noise_like, noised
from .progressive import StepCount, ViewTimePlan, Window, check_grid, fuse, over_time
from .recipes import Recipe
from .schedules import TRAIN_TIMESTEPS
from .windows import WindowPlan

# predict(latents (rows, C, n, h, w), timestep (), branch, window or None) -> prediction of the same shape
BranchPredict = Callable[[Tensor, Tensor, Branch, Window | None], Tensor]
UNGUIDED = Guidance()


def run_recipe(
    recipe: Recipe,
    noise: Tensor,
    predict: BranchPredict,
    *,
    guidance: Guidance = UNGUIDED,
    generator: torch.Generator | None = None,
    windows: WindowPlan | ViewTimePlan | None = None,
    pinned: Tensor | None = None,
    on_step: OnStep | None = None,
) -> Tensor:
    """Sample as a recipe tells, in float32 and in the model's space.

    Args:
        noise: (B, C, F, h, w) of unit variance, on the device to work on; with a plan over views B are the views.
        predict: called with the latents of a window as `progressive.cut` gives them, a timestep (on the CPU), the branch ("positive",
            "negative", or "still" for the positive without its motion) and the window; None without `windows`.
        guidance: how the branches become one; `recipe.guidance` is only what the release recommends.
        generator: of the noise of the DPM solver and of the pinned frames.
        windows: over the F latent frames, each with all of B, or over views and frames. Each is denoised and guided alone at every step, and
            their predictions are blended.
        pinned: (C, k, h, w) known leading frames. After every step they are put back with the noise of the next (17B's release of the next clip).
        on_step: as of `loop.walk`.

    Returns:
        (B, C, F, h, w) float32.

    Raises:
        ValueError: windows or pinned frames that do not fit the noise, before the first step; a prediction of another shape, or not finite.
    """
    plan = over_time(windows, len(noise)) if isinstance(windows, WindowPlan) else windows
    _check(noise, plan, pinned)
    scheduler, steps = recipe.scheduler(), StepCount()

    def guided(latents: Tensor, timestep: Tensor, window: Window | None) -> Tensor:
        def of_branch(branch: Branch) -> Tensor:
            return checked(predict(latents, timestep, branch, window), latents)

        return _finite(guidance.guided(of_branch, progress_of(timestep, recipe)), timestep)

    def whole(latents: Tensor, timestep: Tensor) -> Tensor:
        if plan is None:
            return guided(latents, timestep, None)
        return fuse(guided, plan)(latents, timestep, step=steps.at(timestep)[0], progress=progress_of(timestep, recipe))

    def after(done: int, latents: Tensor) -> Tensor | None:
        if pinned is not None:
            latents = _put_back(pinned, latents, scheduler, done, generator)
        replaced = None if on_step is None else on_step(done, latents)
        return latents if replaced is None else replaced

    return walk(whole, noise.float(), scheduler, generator=generator, on_step=after)


def progress_of(timestep: Tensor | float, recipe: Recipe) -> float:
    """How far a timestep is from noise (0) to video (1), as ComfyUI counts percents: evenly in training's time, before any shift."""
    if recipe.solver != "flow":
        return 1 - float(timestep) / (TRAIN_TIMESTEPS - 1)
    sigma = float(timestep) / TRAIN_TIMESTEPS
    return min(max(1 - sigma / (recipe.shift - (recipe.shift - 1) * sigma), 0.0), 1.0)


def timestep_at(progress: float, recipe: Recipe) -> Tensor:
    """The timestep () of a recipe's schedule that is nearest to a point of it, 0 noise and 1 video."""
    if not 0 <= progress <= 1:
        raise ValueError(f"progress is {progress}, expected 0 (noise) to 1 (video)")
    return min(recipe.scheduler().timesteps, key=lambda timestep: abs(progress_of(timestep, recipe) - progress))


def _put_back(pinned: Tensor, latents: Tensor, scheduler, done: int, generator: torch.Generator | None) -> Tensor:
    """Latents whose leading frames are the known ones, as noisy as the next step expects them, clean after the last."""
    known = pinned.to(latents).expand(len(latents), -1, -1, -1, -1)
    if done < len(scheduler.timesteps):
        known = noised(known, noise_like(known, generator), scheduler.timesteps[done], scheduler)
    return torch.cat([known, latents[:, :, known.shape[2] :]], 2)


def _check(noise: Tensor, plan: ViewTimePlan | None, pinned: Tensor | None) -> None:
    sizes = check_shapes("run_recipe", noise=(noise, "B C F h w"), pinned=(pinned, "C k h w"))
    if plan is not None:
        check_grid(plan, noise)
    if sizes.get("k", 0) > sizes["F"]:
        raise ValueError(
            f"{sizes['k']} latent frames are pinned of {sizes['F']}: a clip keeps some frames of the one before, not more than it has"
        )


def _finite(prediction: Tensor, timestep: Tensor) -> Tensor:
    if not prediction.isfinite().all():
        raise ValueError(
            f"the model predicts values that are no numbers at timestep {float(timestep):.0f}: its weights are damaged, or too large for the "
            "dtype it computes in: load it with precision bfloat16"
        )
    return prediction

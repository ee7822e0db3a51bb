"""The released recipes as a sampler of ComfyUI's, and one look at the attention of a model: both run through a GUIDER, so that loading,
offloading, LoRA, hooks, previews and interruption are ComfyUI's."""

import copy
import logging
from collections.abc import Sequence
from typing import Any

import comfy.utils
import latent_preview
import torch
from comfy import model_management, model_patcher
from comfy.samplers import CFGGuider, Sampler, calc_cond_batch
from torch import Tensor

from ...core.conditions import VideoCondition
from ...core.networks.residual_cache import ResidualCache
from ...core.sampling.attention import MotionLook
from ...core.sampling.checks import check_condition, check_run, check_views, check_whole, put_back_of
from ...core.sampling.noise import noised, starting_noise, step_generator
from ...core.sampling.progressive import over_time
from ...core.sampling.recipes import Recipe, recipes_of
from ...core.sampling.run import progress_of, run_recipe, timestep_at
from ...core.sampling.windows import WindowPlan
from ..host import VideoModel
from .cogvideox_model import EXACT
from .conditions import conditions_in
from .steps import CACHE, OBSERVE, PROGRESS, WINDOWS
from .video_models import describe
from .windows import apply_windows, windows_of

log = logging.getLogger(__name__)


def sample(
    guider: CFGGuider, latents: Tensor, recipe: Recipe, *, seed: int, windows: WindowPlan | None = None, reuse: float = 0.0
) -> Tensor:
    """See `Host.sample`."""
    conditions, model = _conditions(guider), describe(guider.model_patcher)
    _check(model, conditions, latents, recipe, windows)
    cache = _cache(model, reuse) if reuse else None
    run = _of_its_own(guider, windows)
    preview = latent_preview.prepare_callback(guider.model_patcher, recipe.steps)
    noise = starting_noise(latents.shape, seed)
    quiet = not comfy.utils.PROGRESS_BAR_ENABLED
    if cache is not None:
        run.model_options.setdefault("transformer_options", {})[CACHE] = cache
    sampler, sigmas = RecipeSampler(recipe, put_back_of(conditions), seed), recipe.sigmas()
    result = run.sample(noise, torch.zeros(latents.shape), sampler, sigmas, callback=preview, disable_pbar=quiet, seed=seed)
    if cache is not None:
        log.info("%s", cache.report())
    return result.float().cpu()


def motion_attention(guider: CFGGuider, latents: Tensor, *, progress: float, blocks: Sequence[int], seed: int) -> Tensor:
    """See `Host.motion_attention`."""
    conditions, model = _conditions(guider), describe(guider.model_patcher)
    recipe = recipes_of(model.kind)[0]
    check_whole(len(conditions), windows_of(guider.model_options))
    _check(model, conditions, latents, recipe, None)
    look = MotionLook(conditions[0].motion, blocks, motion_blocks=model.motion_blocks, slots=model.motion_slots)
    noise = starting_noise(latents.shape, seed)
    sampler = LookingSampler(recipe, timestep_at(progress, recipe), look)
    _of_its_own(guider).sample(noise, latents.float(), sampler, recipe.sigmas(), disable_pbar=True, seed=seed)
    return look.shares(latents.shape[2:])


class RecipeSampler(Sampler):
    """Walks a recipe with the predictions of a guider. put_back: (C, k, h, w) leading latents that stand again after every step."""

    def __init__(self, recipe: Recipe, put_back: Tensor | None, seed: int):
        self.recipe, self.put_back, self.seed = recipe, put_back, seed

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor,
        latent_image: Tensor | None = None, denoise_mask: Tensor | None = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        model, options, seed = model_wrap.inner_model, extra_args["model_options"], extra_args.get("seed")
        told, last = options.setdefault("transformer_options", {}), {}

        def predict(latents: Tensor, timestep: Tensor, branch: str, window: Tensor | None) -> Tensor:
            model_management.throw_exception_if_processing_interrupted()
            told[PROGRESS] = progress_of(timestep, self.recipe)
            scale = _Scale(model.model_sampling, self.recipe, timestep, latents)
            last["denoised"] = model_wrap(latents / scale.of_input, scale.sigma, model_options=options, seed=seed)
            return scale.prediction(last["denoised"], latents)

        def on_step(done: int, latents: Tensor) -> None:
            if callback is not None:
                callback(done - 1, last["denoised"], latents, self.recipe.steps)

        told[EXACT] = True
        pinned = None if self.put_back is None else model.process_latent_in(self.put_back[None].to(noise))[0]
        generator = step_generator(self.seed)
        return run_recipe(self.recipe, noise, predict, generator=generator, pinned=pinned, on_step=on_step)


class LookingSampler(Sampler):
    """Calls the model once, at a point of a recipe's schedule and on the positive alone, and lets `observe` see its motion attention."""

    def __init__(self, recipe: Recipe, timestep: Tensor, observe: Any):
        self.recipe, self.timestep, self.observe = recipe, timestep, observe

    def sample(
        self, model_wrap: Any, sigmas: Tensor, extra_args: dict[str, Any], callback: Any, noise: Tensor,
        latent_image: Tensor | None = None, denoise_mask: Tensor | None = None, disable_pbar: bool = False,
    ) -> Tensor:  # fmt: skip
        model, options = model_wrap.inner_model, extra_args["model_options"]
        told = options.setdefault("transformer_options", {})
        told |= {OBSERVE: self.observe, PROGRESS: progress_of(self.timestep, self.recipe)}
        noisy = noised(latent_image, noise, self.timestep, self.recipe.scheduler())
        scale = _Scale(model.model_sampling, self.recipe, self.timestep, noisy)
        calc_cond_batch(model, [model_wrap.conds["positive"]], noisy / scale.of_input, scale.sigma, options)
        return latent_image


class _Scale:
    """Between the numbers of a recipe and those of ComfyUI's samplers, whichever its model sampling is: latents are divided by `of_input`,
    and what comes back is a x - b prediction."""

    def __init__(self, sampling: Any, recipe: Recipe, timestep: Tensor, like: Tensor):
        at = timestep.float().to(like.device)
        sigma = at / sampling.multiplier if recipe.solver == "flow" else sampling.sigma(at)
        self.sigma, self._sampling = sigma.expand(len(like)), sampling
        one, zero = like.new_ones(len(like), 1, 1, 1, 1), like.new_zeros(len(like), 1, 1, 1, 1)
        self.of_input = sampling.calculate_input(self.sigma, one.clone())
        self._of_x = sampling.calculate_denoised(self.sigma, zero, one)
        self._of_prediction = sampling.calculate_denoised(self.sigma, one, zero)

    def prediction(self, denoised: Tensor, latents: Tensor) -> Tensor:
        """What the network said."""
        return (denoised - self._of_x * (latents / self.of_input)) / self._of_prediction


def _cache(model: VideoModel, reuse: float) -> ResidualCache:
    if model.kind != "mvdit_7b":
        raise ValueError(
            f"reuse is {reuse:g}, and MV-DiT 17B runs in ComfyUI's own Wan model, which has another way to leave out steps: set reuse to 0 and put "
            "ComfyUI's node EasyCache between the model and this one"
        )
    return ResidualCache(reuse)


def _of_its_own(guider: CFGGuider, windows: WindowPlan | None = None) -> CFGGuider:
    """The guider with options that may be changed for one run, and with windows over time in place of those that its model has."""
    run = copy.copy(guider)
    run.model_options = model_patcher.create_model_options_clone(guider.model_options)
    if windows is not None:
        run.model_patcher = apply_windows(guider.model_patcher, lambda views, _: over_time(windows, views))
        run.model_options["transformer_options"][WINDOWS] = windows_of(run.model_patcher.model_options)
    return run


def _conditions(guider: CFGGuider) -> tuple[VideoCondition, ...]:
    """The video conditions of the positive, one for each view."""
    found = next((conditions_in(cond) for cond in guider.original_conds.get("positive", []) if conditions_in(cond)), None)
    if found is None:
        raise ValueError("positive: it has no motion and no reference: connect Condition Video on Motion between text and sampler")
    return found


def _check(
    model: VideoModel, conditions: Sequence[VideoCondition], latents: Tensor, recipe: Recipe, windows: WindowPlan | None
) -> None:  # fmt: skip
    check_run(recipe, latents, kind=model.kind, channels=model.channels, windows=windows)
    check_views("positive", conditions, latents)
    for condition in conditions:
        check_condition("positive", condition, latents, model.motion_width)

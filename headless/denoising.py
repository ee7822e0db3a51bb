"""Sampling of a headless run: the released recipes over a module, with everything that stays over the steps made once."""

import logging
from collections.abc import Callable, Sequence

import torch
from torch import Tensor

from ..core.conditions import VideoCondition, known_mask
from ..core.networks.motion_attention import Kept, Observe
from ..core.networks.mvdit_wan import PATCH
from ..core.networks.residual_cache import ResidualCache
from ..core.sampling.attention import MotionLook
from ..core.sampling.checks import check_condition, check_length, check_run, check_text_and_image
from ..core.sampling.latents import LATENT_SCALES
from ..core.sampling.noise import noised, starting_noise, step_generator
from ..core.sampling.progressive import Window
from ..core.sampling.recipes import Recipe, recipes_of
from ..core.sampling.run import progress_of, run_recipe, timestep_at
from ..core.sampling.windows import WindowPlan
from ..nodes.host import Progress
from .conditioning import Branch, Guider
from .devices import computing_dtype, lent

log = logging.getLogger(__name__)
Frames = tuple[int, ...] | None
KEPT_BYTES = 8 << 30  # text and image of 17B take 0.6 GB for each row of a batch in bfloat16


def sample(
    guider: Guider,
    latents: Tensor,
    recipe: Recipe,
    *,
    seed: int,
    device: torch.device,
    progress: Callable[[int], Progress],
    windows: WindowPlan | None = None,
    reuse: float = 0.0,
) -> Tensor:
    """See `nodes.host.Host.sample`. progress: makes a bar of that many steps."""
    model = guider.model
    _check(guider, latents, recipe, windows)
    cache = ResidualCache(reuse) if reuse else None
    scale, put_back = LATENT_SCALES[model.kind], guider.branches["positive"].condition.put_back
    pinned = None if put_back is None else scale.to_model(put_back).to(device)
    noise = starting_noise(latents.shape, seed).to(device)
    dtype = computing_dtype(model.module, device)
    denoiser, bar = Denoiser(guider, recipe, device, dtype, cache=cache), progress(recipe.steps)
    try:
        with lent(model.module, device, dtype):
            result = run_recipe(
                recipe,
                noise,
                denoiser,
                guidance=guider.guidance,
                generator=step_generator(seed),
                windows=windows,
                pinned=pinned,
                on_step=lambda *_: bar.advance(),
            )
        if cache is not None:
            log.info("%s", cache.report())
    finally:
        denoiser.clear()
    return scale.from_model(result.float()).cpu()


def motion_attention(guider: Guider, latents: Tensor, *, progress: float, blocks: Sequence[int], seed: int, device: torch.device) -> Tensor:
    """See `nodes.host.Host.motion_attention`."""
    model = guider.model.describe()
    recipe = recipes_of(model.kind)[0]
    _check(guider, latents, recipe, None)
    motion = guider.branches["positive"].condition.motion
    look = MotionLook(motion, blocks, motion_blocks=model.motion_blocks, slots=model.motion_slots)
    timestep = timestep_at(progress, recipe)
    clean = LATENT_SCALES[model.kind].to_model(latents.float())
    noisy = noised(clean, starting_noise(latents.shape, seed), timestep, recipe.scheduler()).to(device)
    dtype = computing_dtype(guider.model.module, device)
    denoiser = Denoiser(guider, recipe, device, dtype)
    try:
        with lent(guider.model.module, device, dtype):
            denoiser.predict(noisy, timestep, ["positive"], None, observe=look)
    finally:
        denoiser.clear()
    return look.shares(latents.shape[2:])


class Denoiser:
    """`predict` of `run_recipe`: the branches that a step needs go through the model as one batch, and wait until they are asked for.

    cache: leaves out the blocks of the model at some steps; None is exact.
    """

    def __init__(self, guider: Guider, recipe: Recipe, device: torch.device, dtype: torch.dtype, *, cache: ResidualCache | None = None):
        self.guider, self.recipe, self.device, self.dtype, self.cache = guider, recipe, device, dtype, cache
        self.kept = Kept(KEPT_BYTES)
        self._pass = {"mvdit_7b": self._cogvideox, "mvdit_17b": self._wan}[guider.model.kind]
        self._place: tuple[float, Frames] | None = None
        self._ready: dict[str, Tensor] = {}

    def __call__(self, latents: Tensor, timestep: Tensor, branch: str, window: Window | None) -> Tensor:
        frames = None if window is None else tuple(window.frames.tolist())
        place = (float(timestep), frames)
        if place != self._place or branch not in self._ready:
            names = self.guider.needed(progress_of(timestep, self.recipe))
            self._place, self._ready = place, dict(zip(names, self.predict(latents, timestep, names, frames), strict=True))
        return self._ready.pop(branch)

    @torch.no_grad()
    def predict(
        self, latents: Tensor, timestep: Tensor, names: Sequence[str], frames: Frames, *, observe: Observe | None = None
    ) -> Sequence[Tensor]:
        """One pass of the model: latents (B, C, n, h, w) of some latent frames -> a prediction in float32 for each branch."""
        batch, branches = len(latents), [self.guider.branches[name] for name in names]
        x = latents.to(self.dtype).repeat(len(branches), 1, 1, 1, 1)
        times = timestep.to(self.device).expand(len(x))
        strength = self.guider.model.strength.at(progress_of(timestep, self.recipe))
        rows = [branch for branch in branches for _ in range(batch)]
        options = {"strength": strength, "observe": observe, "cache": self.cache, "branch": (tuple(names), frames)}
        return self._pass(x, times, rows, frames, **options).float().chunk(len(branches))

    def clear(self) -> None:
        """Let go of everything that was kept."""
        self.kept.clear()
        if self.cache is not None:
            self.cache.clear()
        self._place, self._ready = None, {}

    def _cogvideox(self, x: Tensor, times: Tensor, rows: Sequence[Branch], frames: Frames, **options) -> Tensor:
        module = self.guider.model.module
        # Reference latents go in as the VAE gave them: only what is sampled is scaled.
        reference = self._each(rows, ("reference", frames), lambda branch: _windowed(branch, frames).reference)
        grid = x.shape[2], x.shape[3] // module.config.patch, x.shape[4] // module.config.patch
        read = module.read_motion([row.condition.motion for row in rows], like=x, window=frames, kept=self.kept)
        vision = module.read_vision(grid, like=x, kept=self.kept)
        return module(torch.cat([x, reference], 1).transpose(1, 2), times, read, vision, **options).transpose(1, 2)

    def _each(self, rows: Sequence[Branch], key: tuple, make: Callable[[Branch], Tensor]) -> Tensor:
        """What `make` gives for each row, stacked, in the model's dtype on its device; made once for the rows of a key."""
        return self.kept.keep((*key, *rows), lambda: torch.stack([make(row) for row in rows]).to(self.device, self.dtype))

    def _wan(self, x: Tensor, times: Tensor, rows: Sequence[Branch], frames: Frames, **options) -> Tensor:
        module = self.guider.model.module
        grid = x.shape[2], x.shape[3] // PATCH, x.shape[4] // PATCH
        given = self._each(rows, ("condition", frames), lambda branch: _masked_video(_windowed(branch, frames)))
        context = self.kept.keep(
            ("context", *rows), lambda: module.prepare([row.text.to(x) for row in rows], torch.stack([row.image for row in rows]).to(x))
        )
        read = module.read_motion([row.condition.motion for row in rows], like=x, window=frames, kept=self.kept)
        vision = module.read_vision(grid, like=x, kept=self.kept)
        return module(x, times, condition=given, motion=read, vision_rope=vision, context=context, **options)


def _windowed(branch: Branch, frames: Frames) -> VideoCondition:
    return branch.condition if frames is None else branch.condition.window(frames)


def _masked_video(condition: VideoCondition) -> Tensor:
    """What 17B reads of the pictures: (4 + C, F, h, w), which frames are given, and their latents in the space of the model."""
    latents = LATENT_SCALES["mvdit_17b"].to_model(condition.reference)
    return torch.cat([known_mask(condition).to(latents), latents])


def _check(guider: Guider, latents: Tensor, recipe: Recipe, windows: WindowPlan | None) -> None:
    """Everything that can be wrong with what is sampled, before anything is loaded onto the device.

    Raises:
        ValueError: as it says.
    """
    model, config = guider.model.describe(), guider.model.module.config
    check_run(recipe, latents, kind=model.kind, channels=model.channels, windows=windows)
    for name, branch in guider.branches.items():
        check_condition(name, branch.condition, latents, model.motion_width)
    used = {name for at in _points(recipe) for name in guider.needed(at)}
    lengths = {latents.shape[2]} if windows is None else {len(indices) for indices in windows.indices}
    for name in sorted(used):
        branch = guider.branches[name]
        check_length(name, branch.condition.motion, lengths, model.motion_slots)
        if model.kind == "mvdit_17b":
            check_text_and_image(name, branch.text, branch.image, text_width=config.text_dim, image_width=config.image_dim)


def _points(recipe: Recipe) -> list[float]:
    """Where in the schedule the model is asked."""
    return [progress_of(timestep, recipe) for timestep in recipe.scheduler().timesteps]

"""Sampling of a headless run: the released recipes over a module, with everything that stays over the steps made once."""

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from ..core.conditions import Pieces, VideoCondition, known_mask
from ..core.networks.motion_attention import Kept, Observe
from ..core.networks.mvdit_wan import PATCH
from ..core.networks.residual_cache import ResidualCache
from ..core.sampling.attention import MotionLook
from ..core.sampling.checks import (
    check_condition,
    check_length,
    check_run,
    check_text_and_image,
    check_views,
    check_whole,
    clip_lengths,
    put_back_of,
)
from ..core.sampling.latents import LATENT_SCALES
from ..core.sampling.noise import noised, starting_noise, step_generator
from ..core.sampling.progressive import ViewTimePlan, Window, is_turned, over_time
from ..core.sampling.recipes import Recipe, recipes_of
from ..core.sampling.run import progress_of, run_recipe, timestep_at
from ..core.sampling.windows import WindowPlan
from ..nodes.host import Progress
from .conditioning import Branch, Guider
from .devices import computing_dtype, lent
from .video_models import HeadlessModel

log = logging.getLogger(__name__)
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
    plan = _planned(model, latents, windows)
    _check(guider, latents, recipe, plan)
    cache = ResidualCache(reuse) if reuse else None
    scale, put_back = LATENT_SCALES[model.kind], put_back_of(guider.branches["positive"].conditions)
    pinned = None if put_back is None else scale.to_model(put_back).to(device)
    noise = starting_noise(latents.shape, seed).to(device)
    dtype = computing_dtype(model.module, device)
    denoiser, bar = Denoiser(guider, recipe, device, dtype, plan=plan, cache=cache), progress(recipe.steps)
    try:
        with lent(model.module, device, dtype):
            result = run_recipe(
                recipe,
                noise,
                denoiser,
                guidance=guider.guidance,
                generator=step_generator(seed),
                windows=plan,
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
    check_whole(len(guider.branches["positive"].conditions), guider.model.planner)
    _check(guider, latents, recipe, None)
    motion = guider.branches["positive"].conditions[0].motion
    look = MotionLook(motion, blocks, motion_blocks=model.motion_blocks, slots=model.motion_slots)
    timestep = timestep_at(progress, recipe)
    clean = LATENT_SCALES[model.kind].to_model(latents.float())
    noisy = noised(clean, starting_noise(latents.shape, seed), timestep, recipe.scheduler()).to(device)
    dtype = computing_dtype(guider.model.module, device)
    denoiser = Denoiser(guider, recipe, device, dtype)
    try:
        with lent(guider.model.module, device, dtype):
            denoiser.predict(noisy, timestep, ["positive"], observe=look)
    finally:
        denoiser.clear()
    return look.shares(latents.shape[2:])


def _planned(model: HeadlessModel, latents: Tensor, windows: WindowPlan | None) -> ViewTimePlan | None:
    """The plan over latents (B, C, F, h, w), if they are sampled in pieces."""
    if latents.ndim != 5:
        return None  # the check says it
    if windows is not None:
        return over_time(windows, len(latents))
    return None if model.planner is None else model.planner(len(latents), latents.shape[2])


class Denoiser:
    """`predict` of `run_recipe`: the branches that a step needs go through the model as one batch, and wait until they are asked for.

    plan: how windows are cut; None without windows. cache: leaves out the blocks of the model at some steps; None is exact.
    """

    def __init__(
        self, guider: Guider, recipe: Recipe, device: torch.device, dtype: torch.dtype, *,
        plan: ViewTimePlan | None = None, cache: ResidualCache | None = None,
    ):  # fmt: skip
        self.guider, self.recipe, self.device, self.dtype, self.cache = guider, recipe, device, dtype, cache
        self.kept = Kept(KEPT_BYTES)
        self._pieces = Pieces() if plan is None else Pieces(plan.views_as)
        self._pass = {"mvdit_7b": self._cogvideox, "mvdit_17b": self._wan}[guider.model.kind]
        self._place: tuple[float, Window | None] | None = None
        self._ready: dict[str, Tensor] = {}

    def __call__(self, latents: Tensor, timestep: Tensor, branch: str, window: Window | None) -> Tensor:
        place = (float(timestep), window)
        if place != self._place or branch not in self._ready:
            names = self.guider.needed(progress_of(timestep, self.recipe))
            self._place, self._ready = place, dict(zip(names, self.predict(latents, timestep, names, window), strict=True))
        return self._ready.pop(branch)

    @torch.no_grad()
    def predict(
        self, latents: Tensor, timestep: Tensor, names: Sequence[str], window: Window | None = None, *, observe: Observe | None = None
    ) -> Sequence[Tensor]:
        """One pass of the model: latents (rows, C, n, h, w) of a window, or of everything -> a prediction in float32 for each branch."""
        x = latents.to(self.dtype).repeat(len(names), 1, 1, 1, 1)
        times = timestep.to(self.device).expand(len(x))
        strength = self.guider.model.strength.at(progress_of(timestep, self.recipe))
        rows = [row for name in names for row in self._rows(self.guider.branches[name], window, len(latents))]
        options = {"strength": strength, "observe": observe, "cache": self.cache, "branch": (tuple(names), window)}
        return self._pass(x, times, rows, **options).float().chunk(len(names))

    def clear(self) -> None:
        """Let go of everything that was kept."""
        self.kept.clear()
        self._pieces = Pieces(self._pieces.views_as)
        if self.cache is not None:
            self.cache.clear()
        self._place, self._ready = None, {}

    def _rows(self, branch: Branch, window: Window | None, batch: int) -> list["_Row"]:
        """What each row of a part is made under. A clip whose frames are views reads text and image of its first view."""
        if window is None:
            conditions, views = [branch.conditions[row % len(branch.conditions)] for row in range(batch)], range(batch)
        else:
            conditions, views = self._pieces.of(branch.conditions, window), window.views.tolist()
            views = views[:1] * batch if is_turned(window, self._pieces.views_as) else views
        return [_Row(condition, branch, view) for condition, view in zip(conditions, views, strict=True)]

    def _cogvideox(self, x: Tensor, times: Tensor, rows: Sequence["_Row"], **options) -> Tensor:
        module = self.guider.model.module
        # Reference latents go in as the VAE gave them: only what is sampled is scaled.
        reference = self._each(rows, lambda condition: condition.reference)
        grid = x.shape[2], x.shape[3] // module.config.patch, x.shape[4] // module.config.patch
        read = module.read_motion([row.condition.motion for row in rows], like=x, kept=self.kept)
        vision = module.read_vision(grid, like=x, kept=self.kept)
        return module(torch.cat([x, reference], 1).transpose(1, 2), times, read, vision, **options).transpose(1, 2)

    def _each(self, rows: Sequence["_Row"], make: Callable[[VideoCondition], Tensor]) -> Tensor:
        """What `make` gives for the condition of each row, stacked, in the model's dtype on its device; made once for the same conditions."""
        conditions = [row.condition for row in rows]
        return self.kept.keep(("condition", *conditions), lambda: torch.stack(list(map(make, conditions))).to(self.device, self.dtype))

    def _wan(self, x: Tensor, times: Tensor, rows: Sequence["_Row"], **options) -> Tensor:
        module = self.guider.model.module
        grid = x.shape[2], x.shape[3] // PATCH, x.shape[4] // PATCH
        given = self._each(rows, _masked_video)
        context = self.kept.keep(
            ("context", *(row.reads for row in rows)),
            lambda: module.prepare([row.text.to(x) for row in rows], torch.stack([row.image for row in rows]).to(x)),
        )
        read = module.read_motion([row.condition.motion for row in rows], like=x, kept=self.kept)
        vision = module.read_vision(grid, like=x, kept=self.kept)
        return module(x, times, condition=given, motion=read, vision_rope=vision, context=context, **options)


@dataclass(frozen=True, eq=False)
class _Row:
    """What one row of a batch is made under: its own condition, and the text and image of a view."""

    condition: VideoCondition
    branch: Branch
    view: int

    @property
    def text(self) -> Tensor:
        """(L, D)."""
        return self.branch.text[self.view % len(self.branch.text)]

    @property
    def image(self) -> Tensor:
        """(N, D)."""
        return self.branch.image[self.view % len(self.branch.image)]

    @property
    def reads(self) -> tuple[Branch, int, int]:
        """What rows with the same text and image have in common."""
        return self.branch, self.view % len(self.branch.text), self.view % len(self.branch.image)


def _masked_video(condition: VideoCondition) -> Tensor:
    """What 17B reads of the pictures: (4 + C, F, h, w), which frames are given, and their latents in the space of the model."""
    latents = LATENT_SCALES["mvdit_17b"].to_model(condition.reference)
    return torch.cat([known_mask(condition).to(latents), latents])


def _check(guider: Guider, latents: Tensor, recipe: Recipe, plan: ViewTimePlan | None) -> None:
    """Everything that can be wrong with what is sampled, before anything is loaded onto the device.

    Raises:
        ValueError: as it says.
    """
    model, config = guider.model.describe(), guider.model.module.config
    check_run(recipe, latents, kind=model.kind, channels=model.channels, windows=plan)
    for name, branch in guider.branches.items():
        check_views(name, branch.conditions, latents)
        for condition in branch.conditions:
            check_condition(name, condition, latents, model.motion_width)
    used = {name for at in _points(recipe) for name in guider.needed(at)}
    for name in sorted(used):
        branch = guider.branches[name]
        for condition in branch.conditions:
            check_length(name, condition.motion, clip_lengths(plan, latents), model.motion_slots)
        if model.kind == "mvdit_17b":
            check_text_and_image(name, branch.text, branch.image, text_width=config.text_dim, image_width=config.image_dim)


def _points(recipe: Recipe) -> list[float]:
    """Where in the schedule the model is asked."""
    return [progress_of(timestep, recipe) for timestep in recipe.scheduler().timesteps]

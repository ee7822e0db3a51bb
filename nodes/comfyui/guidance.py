"""GUIDER with core's guidance: the positive against the negative, and against itself without its motion, for a part of the sampling."""

from typing import Any

from comfy.samplers import CFGGuider, calc_cond_batch, cfg_function, sampling_function
from torch import Tensor

from ...core.sampling.guidance import Guidance
from .conditions import without_motion
from .steps import progress_of

_BRANCHES = ("positive", "negative", "still")


class MotionGuider(CFGGuider):
    """With a scale alone it is ComfyUI's CFG guider, patches of cfg included; a scale of 0 or 1 runs one branch."""

    def __init__(self, model: Any, positive: Any, negative: Any | None, guidance: Guidance):
        if negative is None and guidance.scale != 1:
            raise ValueError(f"cfg is {guidance.scale:g} and there is no negative: connect one, or set cfg to 1")
        super().__init__(model)
        conds = {"positive": positive} | ({} if negative is None else {"negative": negative})
        if guidance.motion != 1:
            conds["still"] = without_motion(positive)
        self.inner_set_conds(conds)
        self.set_cfg(guidance.scale)
        self.guidance = guidance

    def predict_noise(self, x: Tensor, timestep: Tensor, model_options: dict[str, Any] = {}, seed: int | None = None) -> Tensor:  # noqa: B006
        """The denoised latents, as ComfyUI's samplers want them."""
        wanted = self._wanted(timestep, model_options)
        conds = {name: self.conds.get(name) if is_wanted else None for name, is_wanted in zip(_BRANCHES, wanted, strict=True)}
        run = {"model_options": model_options, "seed": seed}
        if conds["still"] is None:
            only = conds["negative"] if conds["positive"] is None else conds["positive"]
            both = None not in (conds["positive"], conds["negative"])
            scale = self.guidance.scale if both else 1.0
            return sampling_function(self.inner_model, x, timestep, conds["negative"] if both else None, only, scale, **run)
        found = calc_cond_batch(self.inner_model, list(conds.values()), x, timestep, model_options)
        parts = [part if is_wanted else None for part, is_wanted in zip(found, wanted, strict=True)]
        guided = self.guidance.combine(*parts)
        # What other packs do to the result they do through this one function.
        given = {"model_options": model_options, "cond": conds["positive"], "uncond": conds["negative"]}
        return cfg_function(self.inner_model, guided, guided, 1.0, x, timestep, **given)

    def _wanted(self, sigma: Tensor, model_options: dict[str, Any]) -> tuple[bool, bool, bool]:
        start, end = self.guidance.start, self.guidance.end
        if start == 0 and end == 1:
            return self.guidance.needs(start)
        return self.guidance.needs(progress_of(model_options.get("transformer_options", {}), self.inner_model, sigma))

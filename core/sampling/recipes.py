"""How the released models are sampled: solver, steps and guidance, by name."""

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from .schedules import cogvideox_ddim, cogvideox_dpm, wan_flow

# The share of signal that stands for none where the ratio of noise to signal is divided by: ComfyUI's number for a zero terminal signal.
_LEAST_SIGNAL = 4.8973451890853435e-08


@dataclass(frozen=True)
class Recipe:
    """kind: of the model, "mvdit_7b" or "mvdit_17b". solver: "dpm", "ddim" or "flow". shift: of the flow's schedule."""

    name: str
    kind: str
    solver: str
    steps: int
    guidance: float
    shift: float = 5.0

    def with_steps(self, steps: int) -> "Recipe":
        """The same with another number of steps; 0 keeps it."""
        return replace(self, steps=steps) if steps else self

    def scheduler(self):
        """The scheduler of diffusers, its timesteps set."""
        if self.solver == "flow":
            return wan_flow(self.steps, self.shift)
        return (cogvideox_dpm if self.solver == "dpm" else cogvideox_ddim)(self.steps)

    def sigmas(self) -> Tensor:
        """(steps + 1) float32 for a sampler of ComfyUI: the share of noise of a flow, else noise over signal; 0 at the end."""
        scheduler = self.scheduler()
        if self.solver == "flow":
            return scheduler.sigmas.float()
        signal = scheduler.alphas_cumprod[scheduler.timesteps].clamp(min=_LEAST_SIGNAL)
        return torch.cat([((1 - signal) / signal) ** 0.5, signal.new_zeros(1)]).float()


# As released: infer_7b.py, and infer_17b.py without and with its distilled LoRA.
RECIPES = {
    recipe.name: recipe
    for recipe in (
        Recipe("7B DPM", "mvdit_7b", "dpm", 50, 3.0),
        Recipe("7B DDIM", "mvdit_7b", "ddim", 50, 3.0),
        Recipe("17B", "mvdit_17b", "flow", 50, 6.0),
        Recipe("17B distilled", "mvdit_17b", "flow", 10, 1.0),
    )
}


def recipes_of(kind: str) -> list[Recipe]:
    """The recipes of a kind of model, as released first."""
    return [recipe for recipe in RECIPES.values() if recipe.kind == kind]

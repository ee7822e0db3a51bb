"""Noise: where sampling starts, what its steps add, and a video as the schedule has it with noise."""

from collections.abc import Sequence

import torch
from torch import Tensor

# Separates the noise of the steps from that of the start. It changes the low 32 bits, all that torch's generator on the CPU looks at.
_STEPS = 0x9E3779B9


def starting_noise(shape: Sequence[int], seed: int) -> Tensor:
    """Float32 of the normal distribution on the CPU: the numbers that ComfyUI starts with for this seed."""
    return torch.randn(tuple(shape), generator=torch.Generator().manual_seed(seed))


def step_generator(seed: int) -> torch.Generator:
    """The generator of what a run draws after its start, on the CPU, so that the device changes nothing; independent of `starting_noise`."""
    return torch.Generator().manual_seed(seed ^ _STEPS)


def noise_like(like: Tensor, generator: torch.Generator | None) -> Tensor:
    """Noise of the shape, dtype and device of a tensor, drawn where the generator lives."""
    device = like.device if generator is None else generator.device
    return torch.randn(like.shape, generator=generator, device=device, dtype=like.dtype).to(like.device)


def noised(clean: Tensor, noise: Tensor, timestep: Tensor, scheduler) -> Tensor:
    """Latents as they are at a timestep of one of `schedules`: (1 - s) clean + s noise of a flow, sqrt(a) clean + sqrt(1 - a) noise else."""
    if hasattr(scheduler, "add_noise"):
        return scheduler.add_noise(clean, noise, timestep)
    sigma = float(timestep) / scheduler.config.num_train_timesteps
    return (1 - sigma) * clean + sigma * noise

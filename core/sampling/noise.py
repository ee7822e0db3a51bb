"""Noise: where sampling starts, what its steps add, and a video as the schedule has it with noise."""

from collections.abc import Sequence
from typing import Literal, get_args

import torch
from torch import Tensor

# Separates the noise of the steps from that of the start. It changes the low 32 bits, all that torch's generator on the CPU looks at.
_STEPS = 0x9E3779B9
# Likewise of the order in which noise is repeated.
_SHUFFLE = 0x85EBCA6B
NoiseKind = Literal["independent", "views", "repeat_shuffle"]
NOISE_KINDS = get_args(NoiseKind)


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


def shared_noise(
    shape: Sequence[int], seed: int, *, kind: NoiseKind = "independent", window: int | None = None, overlap: int = 0, axis: int = 2
) -> Tensor:
    """Starting noise of several views (V, C, F, h, w) whose parts may share numbers, which makes windows agree; each value alone stays normal.

    Args:
        kind: "independent": `starting_noise`. "views": one noise for all views. "repeat_shuffle": along an axis the noise of the first window
            goes on in another order, so that windows start with the same set of noises (FreeNoise).
        window, overlap: of the windows, for "repeat_shuffle"; a window None, or not below the length, leaves nothing to repeat.
        axis: 2 repeats over time, 0 over views.

    Raises:
        ValueError: another kind, a shape that is not of five axes, or an overlap outside 0 to window - 1.
    """
    if kind not in NOISE_KINDS:
        raise ValueError(f"noise is {kind!r}, expected {', '.join(NOISE_KINDS)}")
    if len(shape) != 5:
        raise ValueError(f"noise of shape {tuple(shape)}, expected (V, C, F, h, w)")
    if kind == "views":
        return starting_noise((1, *shape[1:]), seed).repeat(shape[0], 1, 1, 1, 1)
    noise, length = starting_noise(shape, seed), shape[axis]
    if kind == "independent" or window is None or window >= length:
        return noise
    if not 0 <= overlap < window:
        raise ValueError(f"windows of {window} overlap by {overlap}, expected 0 to {window - 1}")
    generator, order, stride = torch.Generator().manual_seed(seed ^ _SHUFFLE), list(range(window)), window - overlap
    while len(order) < length:
        block = order[len(order) - window : len(order) - window + stride]
        order += [block[place] for place in torch.randperm(stride, generator=generator).tolist()]
    return noise.index_select(axis, torch.tensor(order[:length]))

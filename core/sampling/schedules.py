"""The schedules of the released models, as schedulers of diffusers with their timesteps set."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from diffusers import CogVideoXDDIMScheduler, CogVideoXDPMScheduler, FlowMatchEulerDiscreteScheduler

TRAIN_TIMESTEPS = 1000
# CogVideoX-5B: velocity prediction, the last step pure noise (zero terminal signal), no shift of the signal-to-noise ratio.
_COGVIDEOX = {
    "num_train_timesteps": TRAIN_TIMESTEPS,
    "beta_schedule": "scaled_linear",
    "beta_start": 0.00085,
    "beta_end": 0.012,
    "prediction_type": "v_prediction",
    "rescale_betas_zero_snr": True,
    "snr_shift_scale": 1.0,
    "timestep_spacing": "trailing",
    "clip_sample": False,
    "set_alpha_to_one": True,
    "steps_offset": 0,
}


def cogvideox_dpm(steps: int) -> "CogVideoXDPMScheduler":
    """DPM-Solver++ of second order with noise (SDE), the sampler of MTVCrafter 7B, released with 50 steps.

    As in diffusers, a step ends 1000 // steps timesteps below its start: only numbers of steps that divide 1000 end where the next begins.

    Raises:
        ValueError: steps outside 1 to 1000.
    """
    from diffusers import CogVideoXDPMScheduler

    return _with_timesteps(CogVideoXDPMScheduler(**_COGVIDEOX), steps)


def cogvideox_ddim(steps: int) -> "CogVideoXDDIMScheduler":
    """DDIM without noise on the same schedule; steps as in `cogvideox_dpm`."""
    from diffusers import CogVideoXDDIMScheduler

    return _with_timesteps(CogVideoXDDIMScheduler(**_COGVIDEOX), steps)


def wan_flow(steps: int, shift: float = 5.0) -> "FlowMatchEulerDiscreteScheduler":
    """Flow matching with Euler steps, the sampler of MTVCrafter 17B, released with 10 steps (distilled) or 50.

    The sigmas are those of the release, which shifts the low end twice: evenly spaced from S(1) to S(1 / 1000), then through
    S(s) = shift s / (1 + (shift - 1) s) again.

    Raises:
        ValueError: steps outside 1 to 1000, or shift not above 0.
    """
    from diffusers import FlowMatchEulerDiscreteScheduler

    if not 0 < shift < float("inf"):
        raise ValueError(f"shift is {shift}, expected a number above 0")
    # Not sigmas=...: those would be shifted once.
    return _with_timesteps(FlowMatchEulerDiscreteScheduler(num_train_timesteps=TRAIN_TIMESTEPS, shift=shift), steps)


def _with_timesteps(scheduler, steps: int):
    if not 1 <= steps <= TRAIN_TIMESTEPS:
        raise ValueError(f"{steps} steps, expected 1 to {TRAIN_TIMESTEPS}")
    scheduler.set_timesteps(steps)
    # diffusers' trailing spacing counts down in floating point, and for some numbers of steps (61, 103, ...) gives one timestep more, -1.
    scheduler.timesteps = scheduler.timesteps[:steps]
    return scheduler

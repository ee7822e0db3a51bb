"""What one call of a model is told about the run it belongs to, beside its latents and conditions."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import Tensor

from ...core.conditions import MotionCondition, Strength
from ...core.networks.motion_attention import Kept, Observe
from ...core.networks.residual_cache import ResidualCache

# Keys of ComfyUI's transformer_options.
STRENGTH = "motion4d_strength"  # Strength
PROGRESS = "motion4d_progress"  # float, where a recipe knows it better than the model's own schedule
OBSERVE = "motion4d_observe"  # Observe
CACHE = "motion4d_cache"  # ResidualCache
STEP = "motion4d_step"  # Step
WINDOWS = "motion4d_windows"  # windows.GridWindows

CONDS = "uuids"  # ComfyUI's own: of the conditions that are batched in a call, in order

_HALVINGS = 40
_ALMOST = 1 - 1e-4  # samplers carry noise levels in float32, and some make them anew


@dataclass(frozen=True, eq=False)
class Step:
    """rows: a motion for each row of the batch; None without. strength: at this step. kept: None keeps nothing. weights: stands for the
    state of the weights that read the motion. cache: leaves out blocks, under the key `branch`; None leaves out none."""

    rows: Sequence[MotionCondition] | None
    strength: float
    observe: Observe | None
    kept: Kept | None
    weights: Hashable
    cache: ResidualCache | None = None


def step_of(
    options: dict[str, Any], rows: Sequence[MotionCondition] | None, model: Any, sigma: Tensor, kept: Kept, weights: Hashable
) -> Step:
    """The step of a call of ComfyUI's BaseModel.

    Args:
        options: transformer_options. sigma: (B,), the same for all rows.
        weights: None where they may change between two calls (hooks on the conditioning): then nothing is kept.
    """
    strength = options.get(STRENGTH, Strength())
    whole = strength.start == 0 and strength.end == 1  # then there is nothing to ask the schedule, which is on the device
    factor = strength.value if whole else strength.at(progress_of(options, model, sigma))
    cache = options.get(CACHE) if options.get(CONDS) else None  # of conditions that are not named it cannot tell one from another
    return Step(rows, factor, options.get(OBSERVE), None if weights is None else kept, weights, cache)


def progress_of(options: dict[str, Any], model: Any, sigma: Tensor) -> float:
    """How far a run is, 0 at noise and 1 at the video: as its recipe says, else as ComfyUI counts percents for this model."""
    told = options.get(PROGRESS)
    return progress_at(model.model_sampling, float(sigma.flatten()[0])) if told is None else told


def step_number(options: dict[str, Any], sigma: Tensor) -> int:
    """Which step of a run asks for a noise level (B,): the last that starts at it or above, counted from 0."""
    sigmas = options.get("sample_sigmas")
    if sigmas is None:
        return 0
    reached = sigmas[:-1] >= sigma.flatten()[0].to(sigmas) * _ALMOST
    return max(int(reached.sum()) - 1, 0)


def progress_at(sampling: Any, sigma: float) -> float:
    """Undo `percent_to_sigma` of a model sampling object, whichever schedule it has, to 6 digits."""
    low, high = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (middle, high) if float(sampling.percent_to_sigma(middle)) > sigma else (low, middle)
    return round(high, 6)


def window_of(rows: Sequence[MotionCondition], frames: int, options: dict[str, Any]) -> list[int] | None:
    """The latent frames of the motion that a call sees of it; None for all of them.

    Under ComfyUI's context windows the latents are cut and the motion arrives whole. The frame that its causal_window_fix puts in front of
    a window counts as one of the window.

    Raises:
        ValueError: the video has another length than the motion, and there are no context windows that would explain it.
    """
    if rows[0].frames == frames:
        return None
    window = options.get("context_window")
    if window is None:
        raise ValueError(
            f"the motion has {rows[0].frames} latent frames, the video {frames}: make them equal, or fit the motion in Condition Video on Motion"
        )
    anchor = getattr(window, "causal_anchor_index", None)
    indices = [*([] if anchor is None or anchor < 0 else [anchor]), *window.index_list]
    if len(indices) != frames:
        raise ValueError(f"a context window of {len(indices)} latent frames holds {frames}: context windows have to go over time, dim 2")
    return indices

"""Weights in eight bits with one scale for each matrix: half the memory of bfloat16, computed in the dtype of the input.

A weight w is kept as float8_e4m3fn w / s with s = max |w| / 448, the name of the scale being that of the weight with `scale_weight` in place
of `weight`, as in the files that the community repackages. Three bits of mantissa: the error of a weight is at most a sixteenth of it.
"""

from collections.abc import Iterable, Mapping

import torch
from torch import Tensor, nn
from torch.nn import functional

FP8 = (torch.float8_e4m3fn, torch.float8_e5m2)  # that checkpoints come in
MADE = torch.float8_e4m3fn  # that is made here
LARGEST = torch.finfo(MADE).max  # 448
SCALE = ".scale_weight"  # beside an fp8 weight X.weight: X.scale_weight, float32, what its numbers are multiplied by


class ScaledLinear(nn.Linear):
    """A linear layer whose weight may be fp8 with a scale; loads both kinds of checkpoints, and works as an ordinary one without a scale.

    scale_weight: float32 scalar, None without one. Not for training.
    """

    def __init__(self, *args, **kwargs):
        super().__init__(*args, **kwargs)
        self.register_buffer("scale_weight", None)
        self.requires_grad_(False)

    def dequantised(self, dtype: torch.dtype) -> Tensor:
        """The weight in the dtype to compute in."""
        if self.scale_weight is None:
            return self.weight.to(dtype)
        # float16 has no room for small scales.
        wide = torch.float32 if dtype == torch.float16 else dtype
        return (self.weight.to(wide) * self.scale_weight.to(wide)).to(dtype)

    def requantise(self, weight: Tensor) -> None:
        """Take another weight, with a scale of its own; memory that is shared or mapped is not written to."""
        quantised, scale = _quantise(weight)
        self.weight = nn.Parameter(quantised, requires_grad=False)
        self.scale_weight = scale

    def forward(self, x: Tensor) -> Tensor:
        """(..., in) -> (..., out) in the dtype of `x`."""
        return functional.linear(x, self.dequantised(x.dtype), None if self.bias is None else self.bias.to(x.dtype))

    def _load_from_state_dict(self, state_dict, prefix, *args):
        scale = state_dict.get(f"{prefix}scale_weight")
        self.scale_weight = None if scale is None else torch.empty_like(scale, dtype=torch.float32)
        super()._load_from_state_dict(state_dict, prefix, *args)


class _ScaledOps:
    """torch.nn, but for the linear layers."""

    Linear = ScaledLinear

    def __getattr__(self, name: str):
        return getattr(nn, name)


ScaledOps = _ScaledOps()


def _quantise(weight: Tensor) -> tuple[Tensor, Tensor]:
    """(fp8 weight, float32 scalar)."""
    wide = weight.float()
    largest = wide.abs().max()
    scale = torch.where(largest == 0, torch.ones_like(largest), largest / LARGEST)
    # The conversion makes NaN of what rounding has put above the largest number.
    return (wide / scale).clamp(-LARGEST, LARGEST).to(MADE), scale


def quantise(state: Mapping[str, Tensor], keys: Iterable[str]) -> dict[str, Tensor]:
    """The state with the weights of some keys in fp8, and their scales beside them; weights of eight bits stay.

    Args:
        keys: names of matrices that end in "weight", as of `linear_weights`.

    Raises:
        ValueError: a key that is not there or no weight matrix, or a weight with NaN or infinity.
    """
    result = dict(state)
    for key in keys:
        weight = state.get(key)
        if weight is None or weight.ndim != 2 or not key.endswith("weight"):
            given = "missing" if weight is None else f"of shape {tuple(weight.shape)}"
            raise ValueError(f"{key} is {given}, expected the weight matrix of a linear layer: quantise those alone")
        if weight.dtype.itemsize == 1:
            continue
        quantised, scale = _quantise(weight)
        if not torch.isfinite(scale):
            raise ValueError(f"{key} holds NaN or infinity, expected finite weights: download the file again")
        result[key], result[scale_of(key)] = quantised, scale
    return result


def scale_of(weight: str) -> str:
    """X.scale_weight of X.weight; of a layer alone, scale_weight of weight."""
    return weight.removesuffix("weight") + SCALE[1:]


def linear_weights(module: nn.Module) -> list[str]:
    """Keys of the weights of all linear layers."""
    return [f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, nn.Linear)]


def scales_of(module: nn.Module, state: Mapping[str, Tensor]) -> set[str]:
    """Keys of a state that are scales of the module's linear layers; a strict comparison leaves them out."""
    layers = [f"{name}.weight" for name, layer in module.named_modules() if isinstance(layer, ScaledLinear)]
    return {scale_of(key) for key in layers if scale_of(key) in state}


def check_fp8(device: torch.device | str) -> None:
    """Raise ValueError where a device cannot convert fp8 weights."""
    try:
        torch.tensor([1.5], dtype=MADE).to(device).to(torch.float32)
    except (RuntimeError, TypeError, NotImplementedError, AssertionError) as error:  # the last: torch was built without it
        raise ValueError(f"fp8 weights do not work on {device}: load the model with precision bfloat16 or float16 ({error})") from error

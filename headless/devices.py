"""The weights of a model on the device that computes, for as long as it computes."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from ..core.networks.scaled_fp8 import FP8, SCALE

_SCALE = SCALE.removeprefix(".")  # of an fp8 weight; stays as it is


def computing_dtype(module: nn.Module, device: torch.device) -> torch.dtype:
    """What a model computes in: the dtype of its weights; where they are fp8, bfloat16, and float32 on the CPU."""
    dtypes = [tensor.dtype for tensor in module.parameters() if tensor.is_floating_point()]
    if any(dtype in FP8 for dtype in dtypes):
        return torch.float32 if device.type == "cpu" else torch.bfloat16
    return dtypes[0] if dtypes else torch.float32


@contextmanager
def lent(module: nn.Module, device: torch.device, dtype: torch.dtype | None = None) -> Iterator[None]:
    """Put a model on a device for the length of a `with` block.

    Afterwards it has the very tensors it had before, mapped to their file where they were: nothing is copied back. Models that share
    tensors with it notice nothing.

    Args:
        dtype: of everything but fp8 weights and their scales; None keeps what they have.
    """
    places = [
        (layer, name, tensor)
        for layer in module.modules()
        for name, tensor in (*layer.named_parameters(recurse=False, remove_duplicate=False), *layer.named_buffers(recurse=False))
    ]
    moved: dict[Tensor, Tensor] = {}
    try:
        for layer, name, tensor in places:
            if tensor not in moved:
                moved[tensor] = _at(tensor, device, None if name == _SCALE else dtype)
            setattr(layer, name, moved[tensor])
        yield
    finally:
        for layer, name, tensor in places:
            setattr(layer, name, tensor)


def _at(tensor: Tensor, device: torch.device, dtype: torch.dtype | None) -> Tensor:
    casts = tensor.is_floating_point() and tensor.dtype not in FP8
    there = tensor.to(device, dtype if casts else None)
    if there is tensor or not isinstance(tensor, nn.Parameter):
        return there
    return nn.Parameter(there, requires_grad=False)

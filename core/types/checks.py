"""What several values are held against where they are made."""

import math
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

ImageSize = tuple[int, int]


def check_image_size(owner: str, image_size: ImageSize) -> None:
    if len(image_size) != 2 or not all(isinstance(side, int) and side > 0 for side in image_size):
        raise ValueError(f"{owner}: image_size is {image_size}, expected (height, width) in whole pixels above 0")


def check_fps(owner: str, fps: float) -> None:
    if not (math.isfinite(fps) and fps > 0):
        raise ValueError(f"{owner}: fps is {fps}, expected a finite number above 0")


def check_finite(owner: str, **arrays: Tensor | None) -> None:
    for name, array in arrays.items():
        if array is not None and not torch.isfinite(array).all():
            raise ValueError(f"{owner}: {name} has NaN or infinite values")


def on_cpu(value: Any) -> Any:
    """A dataclass with its own tensors on the CPU and without gradients; itself where they are."""
    tensors = {field.name: held for field in fields(value) if isinstance(held := getattr(value, field.name), Tensor)}
    if all(held.device.type == "cpu" and not held.requires_grad for held in tensors.values()):
        return value
    return replace(value, **{name: held.detach().cpu() for name, held in tensors.items()})

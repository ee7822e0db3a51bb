"""Rotary position tables and their use, with adjacent channels as pairs (MTVCrafter, section 3.3, Algorithm 1; RoFormer, 3.4)."""

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

THETA = 10000.0


@dataclass(frozen=True, eq=False)
class RotaryTable:
    """cos, sin: (N, D), every value twice in a row: channels 2i and 2i + 1 turn together."""

    cos: Tensor
    sin: Tensor

    def __post_init__(self):
        if self.cos.ndim != 2 or self.cos.shape != self.sin.shape or self.cos.shape[1] % 2:
            raise ValueError(
                f"RotaryTable: cos {tuple(self.cos.shape)} and sin {tuple(self.sin.shape)}, expected the same (N, D) with D even"
            )

    def to(self, *args, **kwargs) -> "RotaryTable":
        """The table on another device or in another dtype (the 7B model reads it in bfloat16)."""
        return RotaryTable(self.cos.to(*args, **kwargs), self.sin.to(*args, **kwargs))


def _angles(positions: Tensor, channels: int) -> Tensor:
    """(N,) positions -> (N, channels / 2) radians: position times THETA^(-2i / channels)."""
    if channels <= 0 or channels % 2:
        raise ValueError(f"a rotary band has {channels} channels, expected an even number above 0")
    exponents = torch.arange(0, channels, 2, dtype=torch.float32) / channels
    return torch.outer(positions.to(torch.float32), 1.0 / THETA**exponents)


def _table(bands: Sequence[Tensor]) -> RotaryTable:
    """Bands of angles (N, channels / 2), side by side."""
    angles = torch.cat(list(bands), dim=1)
    return RotaryTable(angles.cos().repeat_interleave(2, dim=1), angles.sin().repeat_interleave(2, dim=1))


def vision_rope(frames: int, height: int, width: int, *, split: Sequence[int] = (16, 24, 24)) -> RotaryTable:
    """Table of a grid of video patches, rows in the order frame, row, column.

    Args:
        frames, height, width: size of the patch grid; positions are the integers from 0.
        split: channels for frame, row and column; (16, 24, 24) for CogVideoX. Wan's table, with its angles in float64, is `wan_blocks.wan_rope`.

    Returns:
        RotaryTable of frames * height * width rows, float32.
    """
    if len(split) != 3:
        raise ValueError(f"split is {tuple(split)}, expected channels for frame, row and column")
    if min(frames, height, width) < 1:
        raise ValueError(f"the patch grid is {frames} x {height} x {width}, expected at least 1 each way")
    grid = torch.meshgrid(*(torch.arange(size) for size in (frames, height, width)), indexing="ij")
    return _table([_angles(axis.flatten(), channels) for axis, channels in zip(grid, split, strict=True)])


def motion_rope(mean_joints: Tensor, frames: int, *, split: Sequence[int] = (16, 16, 16, 16)) -> RotaryTable:
    """Table of motion tokens from their time and the mean place of their joint, frame-major like the tokens.

    Args:
        mean_joints: (J, 3) in the unit the model was trained with (MTVCrafter: millimetres); centred here over the joints.
        frames: latent frames. split: channels for t, x, y, z; (44, 28, 28, 28) for the 17B model.

    Returns:
        RotaryTable of frames * J rows, float32.
    """
    if len(split) != 4:
        raise ValueError(f"split is {tuple(split)}, expected channels for t, x, y and z")
    if mean_joints.ndim != 2 or mean_joints.shape[1] != 3 or frames < 1:
        raise ValueError(f"mean_joints {tuple(mean_joints.shape)} and {frames} frames: expected (J, 3) and at least 1 frame")
    positions = mean_joints.detach().to("cpu", torch.float32).numpy()
    # numpy's float32 mean of one axis at a time: torch sums in another order, and bfloat16 tables show the difference.
    centred = [torch.from_numpy(positions[:, axis] - positions[:, axis].mean()).repeat(frames) for axis in range(3)]
    time = torch.arange(frames).repeat_interleave(len(positions))
    return _table([_angles(axis, channels) for axis, channels in zip([time, *centred], split, strict=True)])


def rotate(x: Tensor, table: RotaryTable) -> Tensor:
    """Turn the channel pairs of x (..., N, D) by the angles of a table of N rows, in float32; the dtype of `x` is kept."""
    if x.shape[-2:] != table.cos.shape:
        raise ValueError(f"rotate: x has {tuple(x.shape[-2:])} tokens and channels, its table {tuple(table.cos.shape)}")
    wide = torch.promote_types(x.dtype, torch.float32)
    first, second = x.to(wide).unflatten(-1, (-1, 2)).unbind(-1)
    turned = torch.stack([-second, first], -1).flatten(-2)
    return (x.to(wide) * table.cos.to(x.device) + turned * table.sin.to(x.device)).to(x.dtype)

"""Rotation matrices to and from the quaternions of files, (..., 4) as x, y, z, w."""

import torch
from torch import Tensor


def quat_xyzw_to_matrix(quat_xyzw: Tensor) -> Tensor:
    """Quaternions (..., 4) of any length but 0 to rotation matrices (..., 3, 3)."""
    x, y, z, w = (quat_xyzw / quat_xyzw.norm(dim=-1, keepdim=True)).unbind(-1)
    rows = [
        1 - 2 * (y * y + z * z), 2 * (x * y - z * w), 2 * (x * z + y * w),
        2 * (x * y + z * w), 1 - 2 * (x * x + z * z), 2 * (y * z - x * w),
        2 * (x * z - y * w), 2 * (y * z + x * w), 1 - 2 * (x * x + y * y),
    ]  # fmt: skip
    return torch.stack(rows, -1).unflatten(-1, (3, 3))


def matrix_to_quat_xyzw(matrix: Tensor) -> Tensor:
    """Rotation matrices (..., 3, 3) to unit quaternions (..., 4), w >= 0.

    Four times the outer product of the quaternion with itself is linear in the matrix; its row with the largest diagonal is free of cancellation
    at every angle (Shepperd 1978).
    """
    m = matrix
    trace = m[..., 0, 0] + m[..., 1, 1] + m[..., 2, 2]
    diagonal = torch.stack([1 - trace + 2 * m[..., axis, axis] for axis in range(3)] + [1 + trace], -1)
    xy, xz, yz = m[..., 1, 0] + m[..., 0, 1], m[..., 0, 2] + m[..., 2, 0], m[..., 2, 1] + m[..., 1, 2]
    xw, yw, zw = m[..., 2, 1] - m[..., 1, 2], m[..., 0, 2] - m[..., 2, 0], m[..., 1, 0] - m[..., 0, 1]
    xx, yy, zz, ww = diagonal.unbind(-1)
    outer = torch.stack([xx, xy, xz, xw, xy, yy, yz, yw, xz, yz, zz, zw, xw, yw, zw, ww], -1).unflatten(-1, (4, 4))
    largest = diagonal.argmax(-1)[..., None, None].expand(*diagonal.shape[:-1], 1, 4)
    quat = outer.gather(-2, largest)[..., 0, :]
    quat = quat / quat.norm(dim=-1, keepdim=True)
    return torch.where(quat[..., 3:] < 0, -quat, quat)


def continuous(quat_xyzw: Tensor) -> Tensor:
    """Signs chosen along the first axis of (T, ..., 4), so that every quaternion lies in the hemisphere of the one before it.

    The rotations stay the same; interpolation between two frames then takes the short way.
    """
    dots = (quat_xyzw[1:] * quat_xyzw[:-1]).sum(-1, keepdim=True)
    flips = torch.where(dots < 0, -torch.ones_like(dots), torch.ones_like(dots)).cumprod(0)
    return torch.cat([quat_xyzw[:1], quat_xyzw[1:] * flips])

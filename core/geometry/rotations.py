"""Rotations as matrices (..., 3, 3) acting on column vectors; all functions broadcast over the leading axes and keep the dtype."""

import torch
from torch import Tensor


def cross_matrix(vectors: Tensor) -> Tensor:
    """(..., 3) -> (..., 3, 3) such that cross_matrix(a) @ b = a x b."""
    x, y, z = vectors.unbind(-1)
    zero = torch.zeros_like(x)
    return torch.stack([zero, -z, y, z, zero, -x, -y, x, zero], -1).unflatten(-1, (3, 3))


def rotvec_to_matrix(rotvec: Tensor) -> Tensor:
    """Rotation vectors (..., 3) in radians to matrices, by Rodrigues' formula; smooth at 0."""
    square = (rotvec * rotvec).sum(-1)[..., None, None]
    small = square < 1e-8
    angle = square.clamp(min=1e-16).sqrt()
    sine = torch.where(small, 1 - square / 6, angle.sin() / angle)
    cosine = torch.where(small, 0.5 - square / 24, (1 - angle.cos()) / square.clamp(min=1e-16))
    generator = cross_matrix(rotvec)
    identity = torch.eye(3, dtype=rotvec.dtype, device=rotvec.device)
    return identity + sine * generator + cosine * (generator @ generator)


def matrix_to_rotvec(matrix: Tensor) -> Tensor:
    """Inverse of `rotvec_to_matrix`: (..., 3, 3) to rotation vectors (..., 3) of 0 to pi radians.

    Up to a right angle the axis is read from the antisymmetric part, beyond it from the symmetric part, which does not vanish at pi.
    """
    antisymmetric = (matrix - matrix.mT) / 2
    vector = torch.stack([antisymmetric[..., 2, 1], antisymmetric[..., 0, 2], antisymmetric[..., 1, 0]], -1)
    sine, cosine = vector.norm(dim=-1, keepdim=True), (matrix.diagonal(dim1=-2, dim2=-1).sum(-1, keepdim=True) - 1) / 2
    angle = torch.atan2(sine, cosine)
    small = sine < 1e-12
    near = vector * torch.where(small, 1.0, angle / sine.clamp(min=1e-12))
    identity = torch.eye(3, dtype=matrix.dtype, device=matrix.device)
    outer = (matrix + matrix.mT) / 2 - cosine[..., None] * identity  # (1 - cos) axis axis^T
    largest = outer.diagonal(dim1=-2, dim2=-1).argmax(-1)[..., None, None].expand(*outer.shape[:-2], 1, 3)
    axis = torch.nn.functional.normalize(outer.gather(-2, largest)[..., 0, :], dim=-1)
    axis = torch.where((axis * vector).sum(-1, keepdim=True) < 0, -axis, axis)
    return torch.where(cosine >= 0, near, axis * angle)


def orthonormal(matrix: Tensor) -> Tensor:
    """Rotations (..., 3, 3) without the rounding of many products: one Newton step for the polar factor, which squares what is amiss."""
    return matrix @ (1.5 * torch.eye(3).to(matrix) - 0.5 * matrix.mT @ matrix)


def align_vectors(source: Tensor, target: Tensor) -> Tensor:
    """Smallest rotation that turns the direction of `source` (..., 3) onto that of `target` (..., 3), also when they are opposite.

    Beyond a right angle the turn is made by a half turn first, which keeps the formula well conditioned (Möller and Hughes, 1999, treat the
    same singularity).
    """
    source, target = torch.broadcast_tensors(source, target)
    u = source / source.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(source.dtype).tiny)
    b = target / target.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(target.dtype).tiny)
    identity = torch.eye(3, dtype=u.dtype, device=u.device)
    # Half turn about the axis of the plane (u, b), or about any axis normal to u when both are parallel.
    axis = torch.linalg.cross(u, b)
    smallest = u.abs().argmin(-1, keepdim=True)
    fallback = torch.linalg.cross(u, torch.zeros_like(u).scatter(-1, smallest, 1.0))
    axis = torch.where(axis.norm(dim=-1, keepdim=True) > 1e-6, axis, fallback)
    axis = axis / axis.norm(dim=-1, keepdim=True).clamp(min=torch.finfo(u.dtype).tiny)
    half_turn = 2 * axis[..., :, None] * axis[..., None, :] - identity
    opposite = ((u * b).sum(-1) < 0)[..., None]
    start = torch.where(opposite, (half_turn @ u[..., None])[..., 0], u)
    v = torch.linalg.cross(start, b)
    generator = cross_matrix(v)
    turn = identity + generator + generator @ generator / (1 + (start * b).sum(-1))[..., None, None]
    return torch.where(opposite[..., None], turn @ half_turn, turn)


def nearest_rotation(matrix: Tensor) -> Tensor:
    """Rotation closest to `matrix` (..., 3, 3) in the Frobenius norm (Kabsch 1976; Umeyama 1991)."""
    u, _, vh = torch.linalg.svd(matrix)
    sign = torch.linalg.det(u @ vh)
    u = torch.cat([u[..., :2], u[..., 2:] * sign[..., None, None]], -1)
    return u @ vh


_AXES = {"X": (1.0, 0.0, 0.0), "Y": (0.0, 1.0, 0.0), "Z": (0.0, 0.0, 1.0)}


def euler_to_matrix(angles: Tensor, order: str) -> Tensor:
    """Intrinsic Euler angles (..., 3) in radians, applied in `order` such as "ZXY" (the order of BVH channels): R = R_Z R_X R_Y."""
    axes = torch.tensor([_AXES[axis] for axis in order], dtype=angles.dtype, device=angles.device)
    first, second, third = rotvec_to_matrix(angles[..., None] * axes).unbind(-3)
    return first @ second @ third


def matrix_to_euler(matrix: Tensor, order: str) -> Tensor:
    """Inverse of `euler_to_matrix` for the six orders of three different axes, (..., 3) radians.

    The second and third angle are read from what the first leaves, so that the three together give the matrix to rounding, in gimbal lock too.
    """
    i, j, k = ("XYZ".index(axis) for axis in order)
    sign = 1.0 if (i, j, k) in {(0, 1, 2), (1, 2, 0), (2, 0, 1)} else -1.0
    first = torch.atan2(-sign * matrix[..., j, k], matrix[..., k, k])
    axis = torch.tensor(_AXES[order[0]], dtype=matrix.dtype, device=matrix.device)
    left = rotvec_to_matrix(first[..., None] * axis).mT @ matrix
    middle = torch.atan2(sign * left[..., i, k], left[..., k, k])
    third = torch.atan2(sign * left[..., j, i], left[..., j, j])
    return torch.stack([first, middle, third], -1)

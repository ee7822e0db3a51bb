"""Turns of all joints over a whole clip that follow positions with small local turns and little change over time, by Gauss-Newton.

The sum to be made small: squared distances from the joints asked for (in extents of the rest pose, by confidence), local turns (angle squared, roots left
out) and the change of local turns from frame to frame. Unknowns are small world turns of every joint and frame. The gradient of log(R) under a turn from the
left needs no Jacobian of the logarithm (it leaves its own axis alone), so only the quadratic model is approximate, and damping covers that.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .joint_trees import apply, inverse
from .rotations import matrix_to_rotvec, orthonormal, rotvec_to_matrix

STILL = 1e-3
STEADY = 1e-2  # at 30 frames a second
_RATE = 30.0
_STEPS, _ROUNDS = 8, 24  # of Gauss-Newton, and of conjugate gradients in each
_CLOSE = 1e-2  # of the residual at which conjugate gradients end
_DAMPING = (1e-4, 1e-9, 1e4)  # first, least, most
_SETTLED = 1e-4  # relative decrease of the sum that counts as none
_EXACT = 1e-18  # of the sum: a billionth of the extent


@dataclass(frozen=True)
class Fit:
    """What positions are asked of turns; joints come first.

    target: (J, T, 3). weight: (J, T). base: (J, T, 3) where a joint's chain starts. bones: (J, 3) at rest. above: (J) the parent or the joint itself.
    path: (J, J) 1 where a bone leads to a joint. tied: (J, 1) 0 for roots and placed joints. calm: (J, 1) 0 for those among them that carry bones, of which
    any turn is as good as none.
    """

    target: Tensor
    weight: Tensor
    base: Tensor
    bones: Tensor
    above: Tensor
    path: Tensor
    tied: Tensor
    calm: Tensor

    @classmethod
    def of(cls, joints: Tensor, weight: Tensor, rest: Tensor, parents: tuple[int, ...], placed: dict[int, Tensor]) -> "Fit":
        """joints (T, J, 3), weight (T, J), rest (J, 3); placed: joint -> (T, 3), among them all roots."""
        count = len(parents)
        above = torch.tensor([joint if joint in placed else parent for joint, parent in enumerate(parents)], device=rest.device)
        path, start = torch.zeros(count, count), list(range(count))
        for joint, parent in enumerate(parents):
            if joint not in placed:
                path[joint] = path[parent]
                path[joint, joint], start[joint] = 1.0, start[parent]
        base = torch.stack([placed[joint] for joint in start])
        extent = (rest.amax(0) - rest.amin(0)).max()
        extent = torch.where(extent > 0, extent, 1.0)
        tied = torch.tensor([[float(joint not in placed)] for joint in range(count)])
        carriers = {parent for joint, parent in enumerate(parents) if joint not in placed}
        calm = torch.tensor([[float(joint not in placed or joint not in carriers)] for joint in range(count)])
        return cls(
            target=joints.transpose(0, 1).contiguous(), weight=weight.T / extent.square(), base=base, bones=rest - rest[above], above=above,
            path=path.to(rest), tied=tied.to(rest), calm=calm.to(rest),
        )  # fmt: skip

    def vectors(self, turns: Tensor) -> Tensor:
        """(J, T, 3) bones above the joints under world turns (J, T, 3, 3)."""
        return torch.einsum("jtab,jb->jta", turns[self.above], self.bones)

    def positions(self, vectors: Tensor) -> Tensor:
        """(J, T, 3) joints at the ends of bones."""
        return self.base + self.along(vectors)

    def along(self, vectors: Tensor) -> Tensor:
        """Sums of (J, ...) down the chains."""
        return (self.path @ vectors.flatten(1)).view_as(vectors)

    def gathered(self, pulls: Tensor) -> Tensor:
        """Sums of (J, ...) from all joints that a bone leads to: the adjoint of `along`."""
        return (self.path.T @ pulls.flatten(1)).view_as(pulls)

    def misses(self, turns: Tensor) -> Tensor:
        """(T) weighted sum of squared distances, in extents, under world turns (T, J, 3, 3)."""
        away = positions_of(self, turns).transpose(0, 1) - self.target
        return (away.square().sum(-1) * self.weight).sum(0)

    def local(self, turns: Tensor) -> Tensor:
        """(J, T, 3, 3) turns relative to the parent's, of roots and placed joints to the world."""
        return torch.where(self.tied[:, :, None, None] > 0, turns[self.above].mT @ turns, turns)


def positions_of(fit: Fit, turns: Tensor) -> Tensor:
    """Joints (T, J, 3) under world turns (T, J, 3, 3) away from the rest pose."""
    return fit.positions(fit.vectors(turns.transpose(0, 1))).transpose(0, 1)


def fitted_turns(fit: Fit, turns: Tensor, *, fps: float, still: float = STILL, steady: float = STEADY) -> Tensor:
    """World turns (T, J, 3, 3) that make the sum smaller, starting from `turns`.

    Args:
        still: weight of the squared angles of local turns. steady: of their changes, at 30 fps; it grows with the square of the rate, so that the same movement
            costs the same. Where it is 0 each frame is fitted for itself and none gets worse.
    """
    weights = (still, steady * (fps / _RATE) ** 2)
    turns = turns.transpose(0, 1).contiguous()
    alone = steady == 0
    energy = _energy(fit, turns, weights, alone)
    damping = torch.full_like(energy, _DAMPING[0])
    for _ in range(_STEPS):
        step = _step(fit, turns, weights, damping, alone)
        trial = rotvec_to_matrix(step) @ turns
        found = _energy(fit, trial, weights, alone)
        better = found < energy
        turns = torch.where(better[:, None, None], trial, turns)
        settled = (found <= energy) & (energy - found <= _SETTLED * energy) | (energy <= _EXACT) | (damping >= _DAMPING[2])
        energy = torch.where(better, found, energy)
        damping = torch.where(better, damping / 4, damping * 6).clamp(*_DAMPING[1:])
        if bool(settled.all()):
            break
    return orthonormal(turns).transpose(0, 1)


def _energy(fit: Fit, turns: Tensor, weights: tuple[float, float], alone: bool) -> Tensor:
    """The sum, (1); or (T) one of each frame."""
    still, steady = weights
    total = ((fit.positions(fit.vectors(turns)) - fit.target).square().sum(-1) * fit.weight).sum(0)
    if still or steady:
        local = fit.local(turns)
        total = total + still * (matrix_to_rotvec(local).square().sum(-1) * fit.calm).sum(0)
        if steady and turns.shape[1] > 1:
            total = total.sum() + steady * matrix_to_rotvec(local[:, 1:] @ local[:, :-1].mT).square().sum()
    return total if alone else total.sum().reshape(1)


def _step(fit: Fit, turns: Tensor, weights: tuple[float, float], damping: Tensor, alone: bool) -> Tensor:
    """World turns (J, T, 3) as rotation vectors that solve the damped normal equations.

    Inside, vectors are (J, 3, T), so that arithmetic runs along memory.
    """
    still, steady = weights
    frames, tied = turns.shape[1], fit.tied[:, :, None]
    steady *= frames > 1
    vectors = fit.vectors(turns)
    bones = vectors.mT.contiguous()
    weight = fit.weight[:, None]
    own = torch.full((1, 1, frames), 2.0 * steady).to(turns)
    own[..., [0, -1]] -= steady
    own = own + still * fit.calm[:, :, None]  # (J, 1, T) weight of a turn relative to the parent

    def spread(relative: Tensor, pulls: Tensor) -> Tensor:
        """What pulls on relative turns and on positions make of world turns."""
        torque = _cross(bones, fit.gathered(pulls)) - relative
        return relative.index_add(0, fit.above, torque * tied)

    def normal(x: Tensor) -> Tensor:
        up = x[fit.above] * tied
        seen = x - up
        pulled = own * seen
        if steady:  # as if parents stood still from one frame to the next
            pulled[..., 1:] -= steady * seen[..., :-1]
            pulled[..., :-1] -= steady * seen[..., 1:]
        return spread(pulled, weight * fit.along(_cross(up, bones))) + damping * x

    away = (fit.positions(vectors) - fit.target).mT.contiguous()
    right = -spread(_relative_pull(fit, turns, weights), weight * away)
    return _conjugate_gradients(normal, right, _preconditioner(fit, bones, own, damping), alone).mT


def _relative_pull(fit: Fit, turns: Tensor, weights: tuple[float, float]) -> Tensor:
    """(J, 3, T) gradient of the sum for turns relative to the parent, positions left out."""
    still, steady = weights
    relative = torch.zeros_like(turns[..., 0])
    if still or steady:
        local = fit.local(turns)
        relative = still * matrix_to_rotvec(local) * fit.calm[:, :, None]
        if steady and turns.shape[1] > 1:
            change = steady * matrix_to_rotvec(local[:, 1:] @ local[:, :-1].mT)
            relative[:, 1:] += change
            relative[:, :-1] -= change  # log(M) is its own image under M, so the earlier frame is pulled by the same vector
        parent = torch.where(fit.tied[:, :, None, None] > 0, turns[fit.above], torch.eye(3).to(turns))
        relative = (parent @ relative[..., None])[..., 0]
    return relative.mT.contiguous()


def _cross(a: Tensor, b: Tensor) -> Tensor:
    """Cross products of (J, 3, T)."""
    (ax, ay, az), (bx, by, bz) = a.unbind(1), b.unbind(1)
    return torch.stack([ay * bz - az * by, az * bx - ax * bz, ax * by - ay * bx], 1)


def _preconditioner(fit: Fit, bones: Tensor, own: Tensor, damping: Tensor) -> Tensor:
    """(J, 3, 3, T) inverses of the blocks of each joint and frame."""
    identity = torch.eye(3).to(own)[None, :, :, None]
    moved = (fit.path.T @ fit.weight)[:, None, None]
    # -[v]x [v]x = |v|^2 - v v^T
    lever = moved * (bones.square().sum(1)[:, None, None] * identity - bones[:, :, None] * bones[:, None])
    own = own[:, :, None] * identity
    blocks = own.index_add(0, fit.above, (lever + own) * fit.tied[:, :, None, None])
    return inverse(blocks + damping * identity)


def _conjugate_gradients(normal: Callable[[Tensor], Tensor], right: Tensor, inverses: Tensor, alone: bool) -> Tensor:
    """Solution (J, 3, T); with `alone` every frame is a system of its own."""
    tiny = torch.finfo(right.dtype).tiny

    def dot(a: Tensor, b: Tensor) -> Tensor:
        product = (a * b).sum((0, 1))
        return product if alone else product.sum()

    solution, left = torch.zeros_like(right), right
    ready = apply(inverses, left)
    way, size = ready, dot(left, ready)
    enough = _CLOSE**2 * size + tiny
    for _ in range(_ROUNDS):
        if bool((size <= enough).all()):
            break
        image = normal(way)
        length = size / dot(way, image).clamp(min=tiny)
        solution, left = solution + length * way, left - length * image
        ready = apply(inverses, left)
        size, last = dot(left, ready), size
        way = ready + size / last.clamp(min=tiny) * way
    return solution

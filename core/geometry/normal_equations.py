"""Normal equations of points over a whole clip, tied within frames by bones and between frames by smoothness, and their solution by conjugate gradients.

Layout as in `joint_trees`: joints first, frames last.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from torch import Tensor

from .deep_trees import factor_tree
from .joint_trees import TreeOrder, apply, outer

_PCG_STEPS = 60


@dataclass(frozen=True, eq=False)
class State:
    """Points (J, 3, T) and lengths of bones (J)."""

    points: Tensor
    lengths: Tensor


@dataclass(frozen=True, eq=False, kw_only=True)
class System:
    """The normal equations at a state: `blocks` (J, 3, 3, T) of single joints, `pulls` (J, 3, T) of bones along them and `ties` (J) of bones of length 0,
    `lengthening` (J, T) of the bones' own lengths, `jolts` (J, T - 2) of second differences; right-hand sides for points and lengths."""

    tree: TreeOrder
    blocks: Tensor
    pulls: Tensor
    ties: Tensor
    lengthening: Tensor
    jolts: Tensor
    right: State

    def multiply(self, given: State) -> State:
        """The matrix on a direction."""
        out = apply(self.blocks, given.points)
        stretch = bone_vectors(self.tree, given.points)
        along = (self.pulls * stretch).sum(1) - self.lengthening * given.lengths[:, None]
        bone = self.pulls * along[:, None] + self.ties[:, None, None] * stretch
        out += bone
        self.tree.add_all_to_parents(out, bone, factor=-1)
        if self.jolts.shape[-1]:
            add_jolt(out, self.jolts[:, None] * second_difference(given.points))
        return State(out, -(self.lengthening * along).sum(-1))

    @property
    def bones(self) -> Tensor:
        """(J, 3, 3, T) what ties a joint to its parent."""
        eye = torch.eye(3).to(self.blocks)[None, :, :, None]
        return outer(self.pulls, self.pulls) + self.ties[:, None, None, None] * eye

    def factor(self, damping: Tensor) -> Callable[[State], State]:
        """The exact solution frame by frame, of the system damped by (T), without what ties frames to each other and to the lengths."""
        blocks, bones = self.diagonal_blocks(), self.bones
        scale = blocks.diagonal(dim1=1, dim2=2).mean(-1)
        blocks = blocks + (damping * scale + 1e-9 * scale.median())[:, None, None] * torch.eye(3).to(blocks)[None, :, :, None]
        tree = factor_tree(self.tree, blocks, bones)
        lengths = (1 + damping.min()) * (self.lengthening**2).sum(-1)
        lengths = torch.where(lengths > 0, lengths, torch.inf)
        return lambda right: State(tree.solve(right.points), right.lengths / lengths)

    def diagonal_blocks(self) -> Tensor:
        """(J, 3, 3, T) the blocks of single joints, with what bones and second differences add to them."""
        bones = self.bones
        blocks = self.blocks + bones
        self.tree.add_all_to_parents(blocks, bones)
        if self.jolts.shape[-1]:
            extra = torch.zeros(len(blocks), blocks.shape[-1]).to(blocks)
            extra[:, 2:] += self.jolts
            extra[:, 1:-1] += 4 * self.jolts
            extra[:, :-2] += self.jolts
            blocks = blocks + extra[:, None, None] * torch.eye(3).to(blocks)[None, :, :, None]
        return blocks


def second_difference(points: Tensor) -> Tensor:
    """(..., T - 2) of (..., T)."""
    return points[..., 2:] - 2 * points[..., 1:-1] + points[..., :-2]


def add_jolt(out: Tensor, jolt: Tensor) -> None:
    """Add the transpose of `second_difference` of (..., T - 2) to (..., T)."""
    out[..., 2:] += jolt
    out[..., 1:-1] -= 2 * jolt
    out[..., :-2] += jolt


def bone_vectors(tree: TreeOrder, points: Tensor) -> Tensor:
    """(J, 3, T) from the parent of each joint to the joint, 0 for roots."""
    bones = torch.zeros_like(points)
    bones[tree.below] = points[tree.below] - points[tree.bone_above]
    return bones


def inner(a: State, b: State) -> Tensor:
    """The product of two directions."""
    return (a.points * b.points).sum() + (a.lengths * b.lengths).sum()


def conjugate_gradients(system: System, damping: Tensor, tolerance: float, steps: int = _PCG_STEPS) -> State:
    """A step that solves the system damped by (T) of each frame, up to `tolerance` of the preconditioned right-hand side."""
    solve = system.factor(damping)
    diagonal = damping * system.diagonal_blocks().diagonal(dim1=1, dim2=2).mean(-1)[:, None]
    stiff = damping.min() * (system.lengthening**2).sum(-1)
    rest = system.right
    answer = State(torch.zeros_like(rest.points), torch.zeros_like(rest.lengths))
    ready = solve(rest)
    direction, square = ready, inner(rest, ready)
    goal = tolerance**2 * square
    for _ in range(steps):
        if not square > goal:
            break
        image = system.multiply(direction)
        image = State(image.points + diagonal * direction.points, image.lengths + stiff * direction.lengths)
        stride = square / inner(direction, image)
        answer = State(answer.points + stride * direction.points, answer.lengths + stride * direction.lengths)
        rest = State(rest.points - stride * image.points, rest.lengths - stride * image.lengths)
        ready = solve(rest)
        previous, square = square, inner(rest, ready)
        turn = square / previous
        direction = State(ready.points + turn * direction.points, ready.lengths + turn * direction.lengths)
    return answer

"""Linear systems whose unknowns sit on the joints of trees, many at once: solved exactly from the leaves to the roots, without fill-in.

Layout: (J, 3, N) vectors and (J, 3, 3, N) blocks, joints first so that a level is one slice, systems last so that arithmetic runs along memory.
"""

from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor

from .kinematics import tree_levels

_MANY = 32  # levels, beyond which scattered additions are faster than one product of matrices for each


@dataclass(frozen=True)
class TreeOrder:
    """The joints of a tree by level: order[i] is the joint in row i, place[j] the row of joint j; levels are slices of rows, roots first.

    above: for each level the rows of the parents of its joints. gathers: for each level the matrix that sums its joints into those of the level above.
    """

    order: Tensor
    place: Tensor
    levels: tuple[slice, ...]
    above: tuple[Tensor, ...]
    gathers: tuple[Tensor, ...]

    @classmethod
    def of(cls, parents: tuple[int, ...], device: torch.device | str = "cpu") -> "TreeOrder":
        """Of parents (J), -1 for roots."""
        groups = tree_levels(parents)
        order = torch.tensor([joint for group in groups for joint in group], device=device)
        place = torch.empty_like(order)
        place[order] = torch.arange(len(order), device=device)
        levels, start = [], 0
        for group in groups:
            levels.append(slice(start, start + len(group)))
            start += len(group)
        above = tuple(place[[max(parents[joint], 0) for joint in group]] for group in groups)
        gathers = [torch.zeros(0, device=device)]
        for level in range(1, len(levels)):
            rows = torch.arange(levels[level - 1].start, levels[level - 1].stop, device=device)
            gathers.append((rows[:, None] == above[level]).double())
        return cls(order=order, place=place, levels=tuple(levels), above=above, gathers=tuple(gathers))

    @property
    def below(self) -> slice:
        """Rows of the joints that have a parent."""
        return slice(self.levels[0].stop, None)

    @cached_property
    def bone_above(self) -> Tensor:
        """Rows of the parents of `below`."""
        return torch.cat([self.order[:0], *self.above[1:]])

    def add_to_parents(self, out: Tensor, values: Tensor, level: int, *, factor: float = 1.0) -> None:
        """Add `factor` times the values (n, ...) of the joints of a level to the rows of their parents in `out` (J, ...).

        As a product of matrices: scattered additions are many times slower.
        """
        rows = out[self.levels[level - 1]]
        rows.flatten(1).addmm_(self.gathers[level].to(values), values.flatten(1), alpha=factor)

    def add_all_to_parents(self, out: Tensor, values: Tensor, *, factor: float = 1.0) -> None:
        """`add_to_parents` of values (J, ...) of all joints; those of roots are not read."""
        if len(self.levels) > _MANY:
            out.index_add_(0, self.bone_above, values[self.below], alpha=factor)
            return
        for level in range(1, len(self.levels)):
            self.add_to_parents(out, values[self.levels[level]], level, factor=factor)


def apply(blocks: Tensor, vectors: Tensor) -> Tensor:
    """Blocks (J, 3, 3, N) on vectors (J, 3, N)."""
    out = blocks[:, :, 0] * vectors[:, None, 0]
    for axis in (1, 2):
        out.addcmul_(blocks[:, :, axis], vectors[:, None, axis])
    return out


def compose(first: Tensor, second: Tensor) -> Tensor:
    """The products of blocks (J, 3, 3, N)."""
    out = first[:, :, 0, None] * second[:, None, 0]
    for axis in (1, 2):
        out.addcmul_(first[:, :, axis, None], second[:, None, axis])
    return out


def outer(first: Tensor, second: Tensor) -> Tensor:
    """Blocks (J, 3, 3, N) of the products of vectors (J, 3, N)."""
    return first[:, :, None] * second[:, None]


def inverse(blocks: Tensor) -> Tensor:
    """Inverses of symmetric positive definite blocks (J, 3, 3, N), in closed form."""
    a, b, c = blocks[:, 0, 0], blocks[:, 0, 1], blocks[:, 0, 2]
    d, e, f = blocks[:, 1, 1], blocks[:, 1, 2], blocks[:, 2, 2]
    aa, ab, ac = d * f - e * e, c * e - b * f, b * e - c * d
    bb, bc, cc = a * f - c * c, b * c - a * e, a * d - b * b
    whole = torch.stack([aa, ab, ac, ab, bb, bc, ac, bc, cc], 1) / (a * aa + b * ab + c * ac)[:, None]
    return whole.reshape(blocks.shape)


@dataclass(frozen=True, eq=False)
class TreeFactor:
    """The factor of systems with blocks on the joints and minus `bones` between a joint and its parent."""

    tree: TreeOrder
    inverses: Tensor
    """(J, 3, 3, N) of each joint's block after its children are eliminated."""
    gains: Tensor
    """(J, 3, 3, N) what a joint moves when its parent does."""

    @classmethod
    def of(cls, tree: TreeOrder, blocks: Tensor, bones: Tensor) -> "TreeFactor":
        """blocks, bones: (J, 3, 3, N), symmetric, rows in the order of the tree; the whole is positive definite. bones of roots are not read."""
        blocks, inverses, gains = blocks.clone(), torch.empty_like(blocks), torch.zeros_like(blocks)
        for level in reversed(range(len(tree.levels))):
            rows = tree.levels[level]
            inverses[rows] = inverse(blocks[rows])
            if level:
                bone = bones[rows]
                gains[rows] = gain = compose(inverses[rows], bone)
                tree.add_to_parents(blocks, compose(bone, gain), level, factor=-1)
        return cls(tree, inverses, gains)

    def solve(self, right: Tensor) -> Tensor:
        """The solution (J, 3, N) for a right-hand side (J, 3, N)."""
        right = right.clone()
        for level in reversed(range(1, len(self.tree.levels))):
            rows = self.tree.levels[level]
            self.tree.add_to_parents(right, apply(self.gains[rows].transpose(1, 2), right[rows]), level)
        solution = apply(self.inverses, right)
        for level in range(1, len(self.tree.levels)):
            rows = self.tree.levels[level]
            solution[rows] += apply(self.gains[rows], solution[self.tree.above[level]])
        return solution

    def covariance(self) -> Tensor:
        """(J, 3, 3, N) the blocks on the diagonal of the inverse."""
        blocks = self.inverses.clone()
        for level in range(1, len(self.tree.levels)):
            rows, gain = self.tree.levels[level], self.gains[self.tree.levels[level]]
            above = blocks[self.tree.above[level]]
            blocks[rows] += compose(compose(gain, above), gain.transpose(1, 2))
        return blocks

"""Linear systems on deep trees, long chains among them, solved in few rounds: in each, all leaves and every other joint of a chain are eliminated at once.

A joint with at most one child ties that child to its parent when it goes, so that what is left is a tree again: cyclic reduction (Hockney, J. ACM 12, 1965) with
rake and compress (Miller and Reif, FOCS 1985). A tree of any shape needs a number of rounds that grows with the logarithm of its joints. Layout as in `joint_trees`.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from .joint_trees import TreeFactor, TreeOrder, apply, compose, inverse

_DEEP = 32  # levels, beyond which rounds are faster ...
_SLIM = 1000  # ... where fewer blocks than this are in a level, so that starting an operation costs more than its arithmetic


@dataclass(frozen=True, eq=False)
class Round:
    """Joints (n) that are eliminated together, none next to another, and their parent and only child at that time: rows, J for none."""

    rows: Tensor
    above: Tensor
    below: Tensor


@dataclass(frozen=True, eq=False)
class DeepFactor:
    """The factor of systems as of `TreeFactor`, with a row more that is no joint's.

    inverses: (J + 1, 3, 3, N) of each joint's block when it is eliminated. up, down: (J + 1, 3, 3, N) what it moves when its parent or its child does.
    """

    rounds: tuple[Round, ...]
    inverses: Tensor
    up: Tensor
    down: Tensor

    @classmethod
    def of(cls, tree: TreeOrder, blocks: Tensor, bones: Tensor) -> "DeepFactor":
        """blocks, bones: (J, 3, 3, N), symmetric, rows in the order of the tree; the whole is positive definite. bones of roots are not read."""
        nobody = torch.zeros_like(blocks[:1])
        blocks, links = torch.cat([blocks, nobody]), torch.cat([torch.zeros_like(bones[: tree.below.start]), bones[tree.below], nobody])
        inverses, up, down = (torch.zeros_like(blocks) for _ in range(3))
        rounds = elimination_rounds(tree)
        for step in rounds:
            own, over = links[step.rows], links[step.below]
            inverses[step.rows] = whole = inverse(blocks[step.rows])
            up[step.rows] = raised = compose(whole, own)
            down[step.rows] = lowered = compose(whole, over.transpose(1, 2))
            blocks.index_add_(0, step.above, compose(own.transpose(1, 2), raised), alpha=-1)
            blocks.index_add_(0, step.below, compose(over, lowered), alpha=-1)
            links[step.below] = compose(over, raised)
            links[-1] = 0.0
        return cls(rounds, inverses, up, down)

    def solve(self, right: Tensor) -> Tensor:
        """The solution (J, 3, N) for a right-hand side (J, 3, N)."""
        right = torch.cat([right, torch.zeros_like(right[:1])])
        for step in self.rounds:
            pull = right[step.rows]
            right.index_add_(0, step.above, apply(self.up[step.rows].transpose(1, 2), pull))
            right.index_add_(0, step.below, apply(self.down[step.rows].transpose(1, 2), pull))
        solution = apply(self.inverses, right)
        for step in reversed(self.rounds):
            solution[step.rows] += apply(self.up[step.rows], solution[step.above]) + apply(self.down[step.rows], solution[step.below])
        return solution[:-1]

    def covariance(self) -> Tensor:
        """(J, 3, 3, N) the blocks on the diagonal of the inverse."""
        blocks, links = (
            self.inverses.clone(),
            torch.zeros_like(self.inverses),
        )  # links: the blocks of the inverse from a joint to its parent
        for step in reversed(self.rounds):
            up, down = self.up[step.rows], self.down[step.rows]
            past = links[step.below]
            to_parent = compose(up, blocks[step.above]) + compose(down, past)
            from_child = compose(past, up.transpose(1, 2)) + compose(blocks[step.below], down.transpose(1, 2))
            blocks[step.rows] += compose(to_parent, up.transpose(1, 2)) + compose(from_child.transpose(1, 2), down.transpose(1, 2))
            links[step.rows], links[step.below] = to_parent, from_child
            links[-1] = 0.0
        return blocks[:-1]


def elimination_rounds(tree: TreeOrder) -> tuple[Round, ...]:
    """Rounds that eliminate every joint of a tree once, each when at most one child of it is left."""
    joints, none = len(tree.order), len(tree.order)
    above = [none] * tree.below.start + tree.bone_above.tolist()
    children: list[set[int]] = [set() for _ in range(joints + 1)]
    for row, parent in enumerate(above):
        children[parent].add(row)
    left, rounds = list(range(joints)), []
    while left:
        chosen: set[int] = set()
        for row in reversed(left):  # children come after their parents
            if len(children[row]) <= 1 and not children[row] & chosen:
                chosen.add(row)
        rows = sorted(chosen)
        below = [next(iter(children[row]), none) for row in rows]
        rounds.append(Round(*(torch.tensor(part, device=tree.order.device) for part in (rows, [above[row] for row in rows], below))))
        for row, child in zip(rows, below, strict=True):
            children[above[row]].discard(row)
            if child != none:
                above[child] = above[row]
                children[above[row]].add(child)
        left = [row for row in left if row not in chosen]
    return tuple(rounds)


def factor_tree(tree: TreeOrder, blocks: Tensor, bones: Tensor) -> TreeFactor | DeepFactor:
    """The factor that is faster for a tree; arguments as for `TreeFactor.of`."""
    levels = len(tree.levels)
    deep = levels > _DEEP and len(blocks) * blocks.shape[-1] < _SLIM * levels
    return (DeepFactor if deep else TreeFactor).of(tree, blocks, bones)

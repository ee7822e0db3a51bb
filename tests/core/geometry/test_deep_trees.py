"""Deep trees in few rounds: the same answers as level by level, and as dense solutions."""

import numpy as np
import pytest
import torch
from motion4d.core.geometry.deep_trees import DeepFactor, elimination_rounds, factor_tree
from motion4d.core.geometry.joint_trees import TreeFactor, TreeOrder, compose

TREES = {
    "chain": tuple(range(-1, 60)),
    "star": (-1, *[0] * 20),
    "forest": (-1, -1, 0, 1, 2, 2, 1, 6, -1),
    "comb": tuple(n - 1 if n % 3 else max(n - 3, -1) for n in range(40)),
    "single": (-1,),
}


def system(parents, generator, count=2):
    """Blocks and bones of a positive definite system, rows in the order of the tree."""
    tree, joints = TreeOrder.of(parents), len(parents)
    bones, blocks = (torch.randn(joints, 3, 3, count, generator=generator, dtype=torch.float64) for _ in range(2))
    bones, blocks = compose(bones, bones.transpose(1, 2)), compose(blocks, blocks.transpose(1, 2)) + 0.1 * torch.eye(3)[None, :, :, None]
    blocks[tree.below] += bones[tree.below]
    tree.add_all_to_parents(blocks, bones)
    return tree, blocks, bones


def dense(tree, blocks, bones):
    """(N, J, 3, J, 3)."""
    joints = len(blocks)
    matrix = torch.zeros(blocks.shape[-1], joints, 3, joints, 3, dtype=torch.float64)
    for row in range(joints):
        matrix[:, row, :, row] = blocks[row].permute(2, 0, 1)
    for row, above in enumerate(tree.bone_above.tolist(), start=tree.below.start):
        matrix[:, row, :, above] = matrix[:, above, :, row] = -bones[row].permute(2, 0, 1)
    return matrix


@pytest.mark.parametrize("name", TREES)
def test_the_factor_solves_the_dense_system_and_gives_the_diagonal_of_its_inverse(name, generator):
    tree, blocks, bones = system(TREES[name], generator)
    joints = len(blocks)
    right = torch.randn(joints, 3, 2, generator=generator, dtype=torch.float64)
    matrix = dense(tree, blocks, bones).reshape(2, 3 * joints, 3 * joints).numpy()
    wanted = torch.from_numpy(np.linalg.solve(matrix, right.permute(2, 0, 1).reshape(2, -1, 1).numpy())[..., 0])
    factor = DeepFactor.of(tree, blocks, bones)
    assert torch.allclose(factor.solve(right).permute(2, 0, 1).reshape(2, -1), wanted, rtol=1e-9, atol=1e-9)
    inverse, found = torch.from_numpy(np.linalg.inv(matrix)).reshape(2, joints, 3, joints, 3), factor.covariance()
    for row in range(joints):
        assert torch.allclose(found[row].permute(2, 0, 1), inverse[:, row, :, row], rtol=1e-8, atol=1e-9)


def test_levels_and_rounds_agree(generator):
    tree, blocks, bones = system(TREES["comb"], generator)
    right = torch.randn(len(blocks), 3, 2, generator=generator, dtype=torch.float64)
    one, other = (kind.of(tree, blocks, bones) for kind in (TreeFactor, DeepFactor))
    assert torch.allclose(one.solve(right), other.solve(right), rtol=1e-9, atol=1e-9)
    assert torch.allclose(one.covariance(), other.covariance(), rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", TREES)
def test_each_joint_is_eliminated_once_and_never_beside_another(name):
    parents = TREES[name]
    rounds = elimination_rounds(TreeOrder.of(parents))
    assert sorted(row for step in rounds for row in step.rows.tolist()) == list(range(len(parents)))
    for step in rounds:
        assert not set(step.rows.tolist()) & {*step.above.tolist(), *step.below.tolist()}


@pytest.mark.parametrize(("name", "parents"), [("chain", tuple(range(-1, 499))), ("wide", (-1, *[0] * 499))])
def test_rounds_are_few(name, parents):
    assert len(elimination_rounds(TreeOrder.of(parents))) <= 10


@pytest.mark.parametrize(("name", "count", "kind"), [("chain", 2, DeepFactor), ("chain", 1001, TreeFactor), ("star", 2, TreeFactor)])
def test_only_deep_trees_of_few_systems_are_solved_in_rounds(name, count, kind, generator):
    assert isinstance(factor_tree(*system(TREES[name], generator, count)), kind)


def test_sums_reach_the_parents_of_deep_trees(generator):
    parents = TREES["chain"]
    tree, values = TreeOrder.of(parents), torch.randn(len(parents), 2, generator=generator, dtype=torch.float64)
    out = torch.zeros_like(values)
    tree.add_all_to_parents(out, values, factor=-2.0)
    assert torch.equal(out[:-1], -2 * values[1:]) and torch.equal(out[-1:], torch.zeros(1, 2).double())

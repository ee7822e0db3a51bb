"""Tree systems against dense ones."""

import pytest
import torch
from motion4d.core.geometry.joint_trees import TreeFactor, TreeOrder, apply, compose, inverse

TREES = {"chain": (-1, 0, 1, 2), "star": (-1, 0, 0, 0, 0), "forest": (-1, -1, 0, 1, 2, 2, 1, 6), "single": (-1,)}


def system(parents, generator, count=3):
    """Rows in tree order: blocks, bones and the dense matrices (N, 3J, 3J)."""
    tree, joints = TreeOrder.of(parents), len(parents)

    def positive():
        root = torch.randn(joints, 3, 3, count, generator=generator, dtype=torch.float64)
        return compose(root, root.transpose(1, 2))

    bones, blocks = positive(), positive() + 0.1 * torch.eye(3)[None, :, :, None]
    dense = torch.zeros(count, joints, 3, joints, 3, dtype=torch.float64)
    whole = blocks.clone()
    for joint, parent in enumerate(parents):
        if parent < 0:
            continue
        row, above = int(tree.place[joint]), int(tree.place[parent])
        whole[row] += bones[row]
        whole[above] += bones[row]
        dense[:, row, :, above] = dense[:, above, :, row] = -bones[row].permute(2, 0, 1)
    for row in range(joints):
        dense[:, row, :, row] = whole[row].permute(2, 0, 1)
    return tree, whole, bones, dense.reshape(count, 3 * joints, 3 * joints)


@pytest.mark.parametrize("name", TREES)
def test_the_factor_solves_the_dense_system(name, generator):
    tree, blocks, bones, dense = system(TREES[name], generator)
    right = torch.randn(len(blocks), 3, 3, generator=generator, dtype=torch.float64)
    wanted = torch.linalg.solve(dense, right.permute(2, 0, 1).flatten(1)[..., None])[..., 0]
    found = TreeFactor.of(tree, blocks, bones).solve(right)
    assert torch.allclose(found.permute(2, 0, 1).flatten(1), wanted, rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("name", TREES)
def test_covariance_is_the_diagonal_of_the_inverse(name, generator):
    tree, blocks, bones, dense = system(TREES[name], generator)
    joints = len(blocks)
    wanted = torch.linalg.inv(dense).reshape(-1, joints, 3, joints, 3)
    found = TreeFactor.of(tree, blocks, bones).covariance()
    for row in range(joints):
        assert torch.allclose(found[row].permute(2, 0, 1), wanted[:, row, :, row], rtol=1e-8, atol=1e-9)


def test_blocks_are_multiplied_and_inverted(generator):
    _, blocks, _, _ = system(TREES["star"], generator)
    vectors = torch.randn(5, 3, 3, generator=generator, dtype=torch.float64)
    assert torch.allclose(apply(blocks, vectors), torch.einsum("jabn,jbn->jan", blocks, vectors))
    eye = torch.eye(3, dtype=torch.float64)[None, :, :, None].expand_as(blocks)
    assert torch.allclose(compose(blocks, inverse(blocks)), eye, atol=1e-8)


def test_rows_are_levels_and_sums_reach_the_parents():
    parents = TREES["forest"]
    tree = TreeOrder.of(parents)
    assert sorted(tree.order.tolist()) == list(range(8)) and torch.equal(tree.order[tree.place], torch.arange(8))
    assert [parents[j] for j in tree.order[tree.below].tolist()] == tree.order[tree.bone_above].tolist()
    out = torch.zeros(8, 2, dtype=torch.float64)
    values = torch.arange(16.0, dtype=torch.float64).reshape(8, 2)
    tree.add_all_to_parents(out, values, factor=2.0)
    naive = torch.zeros_like(out)
    for joint, parent in enumerate(parents):
        if parent >= 0:
            naive[tree.place[parent]] += 2 * values[tree.place[joint]]
    assert torch.equal(out, naive)

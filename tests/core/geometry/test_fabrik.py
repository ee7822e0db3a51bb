import pytest
import torch
from motion4d.core.geometry.fabrik import fabrik
from motion4d.core.skeletons import SMPL24


def lengths_of(joints, parents):
    return (joints - joints[..., [max(p, 0) for p in parents], :]).norm(dim=-1)


@pytest.fixture
def bent(generator):
    """Twelve noisy poses of a person, and the lengths the bones should have."""
    rest = SMPL24.rest.double()
    noise = 0.02 * torch.randn(12, 24, 3, generator=generator, dtype=torch.float64)
    return rest + noise, lengths_of(rest, SMPL24.parents)


def test_bones_get_the_lengths_and_the_root_stays(bent):
    joints, lengths = bent
    found = fabrik(joints, lengths, SMPL24.parents)
    assert torch.allclose(lengths_of(found, SMPL24.parents), lengths.expand(12, 24), atol=1e-12)
    assert torch.equal(found[:, 0], joints[:, 0])
    assert (found - joints).norm(dim=-1).max() < 0.12


def test_joints_that_fit_already_stay_where_they_are(bent):
    joints = SMPL24.rest.double()[None]
    assert torch.allclose(fabrik(joints, lengths_of(joints[0], SMPL24.parents), SMPL24.parents), joints, atol=1e-12)


def test_a_chain_reaches_what_is_within_reach():
    parents, lengths = (-1, 0, 1, 2), torch.tensor([0.0, 1, 1, 1], dtype=torch.float64)
    joints = torch.tensor([[[0.0, 0, 0], [0, 1, 0], [0, 2, 0], [1.2, 0.7, 0.4]]], dtype=torch.float64)
    found = fabrik(joints, lengths, parents)
    assert (found[0, 3] - joints[0, 3]).norm() < 1e-2
    far = joints.clone()
    far[0, 3] = torch.tensor([10.0, 0, 0])
    stretched = fabrik(far, lengths, parents)
    assert stretched[0, 3, 0] > 2.8 and torch.isfinite(stretched).all()


def test_pinned_joints_and_joints_in_one_place_do_no_harm():
    parents, lengths = (-1, 0, 1), torch.tensor([0.0, 1, 1], dtype=torch.float64)
    joints = torch.zeros(2, 3, 3, dtype=torch.float64)
    found = fabrik(joints, lengths, parents)
    assert torch.allclose(lengths_of(found, parents)[:, 1:], torch.ones(2, 2, dtype=torch.float64))
    joints[:, 1] = torch.tensor([0.0, 5.0, 0.0])
    assert torch.equal(fabrik(joints, lengths, parents, pinned=(1,))[:, 1], joints[:, 1])
    assert torch.equal(fabrik(joints[:, :1], lengths[:1], (-1,)), joints[:, :1])

"""Hypergraph between molecules, and memory: values by hand, acceptance tests 1 and 2."""

from __future__ import annotations

import pytest
import torch

from moleblend_plugin.models.structure.hypergraph import HypergraphConv, Memory, incidence, propagation

FORMS = ("symmetric", "random_walk")


def embeddings(rows: int = 40, width: int = 6) -> torch.Tensor:
    return torch.randn(rows, width, generator=torch.Generator().manual_seed(3))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("twins", [False, True])
def test_every_molecule_leads_a_hyperedge_of_k(form: str, twins: bool) -> None:
    """Rows finite, columns sum to k, diagonal 1 (acceptance 1), also where many molecules are the same."""
    points = embeddings()
    if twins:
        points[:30] = points[0]
    members = incidence(points, 5)
    assert members.sum(0).tolist() == [5.0] * 40
    assert members.diagonal().tolist() == [1.0] * 40
    assert torch.isfinite(propagation(members, form)).all()


@pytest.mark.parametrize("form", FORMS)
def test_one_member_is_no_hypergraph(form: str) -> None:
    assert torch.equal(propagation(incidence(embeddings(), 1), form), torch.eye(40))


def test_the_symmetric_form_keeps_the_root_of_the_degrees() -> None:
    """Symmetric, with Dv^1/2 . 1 as eigenvector of eigenvalue 1 (acceptance 2)."""
    members = incidence(embeddings(), 5)
    between = propagation(members, "symmetric")
    torch.testing.assert_close(between, between.T)
    root = members.sum(1).sqrt()
    torch.testing.assert_close(between @ root, root)


def test_the_random_walk_form_keeps_constants() -> None:
    between = propagation(incidence(embeddings(), 5), "random_walk")
    torch.testing.assert_close(between.sum(1), torch.ones(40))


def test_members_are_the_nearest_by_angle() -> None:
    points = torch.tensor([[1.0, 0.0], [9.0, 1.0], [0.0, 2.0], [-0.1, 1.0]])
    assert incidence(points, 2).T.tolist() == [[1, 1, 0, 0], [1, 1, 0, 0], [0, 0, 1, 1], [0, 0, 1, 1]]


@pytest.mark.parametrize("rows", [0, 1, 2])
def test_few_molecules_are_fine(rows: int) -> None:
    convolution = HypergraphConv(6, 4, "symmetric", 0.0)
    points = embeddings(rows)
    refined = convolution(points, incidence(points, 10))
    assert refined.shape == (rows, 4)
    refined.sum().backward()
    assert torch.isfinite(convolution.theta.weight.grad).all()


def test_a_read_is_the_weighted_sum_of_anchors() -> None:
    memory = Memory(3, 2, 0.5)
    with torch.no_grad():
        memory.anchors.copy_(torch.tensor([[2.0, 0.0], [0.0, 3.0], [-1.0, 0.0]]))
    weights, read = memory(torch.tensor([[4.0, 0.0]]))
    expected = torch.tensor([2.0, 0.0, -2.0]).softmax(0)  # cosines over the temperature
    torch.testing.assert_close(weights[0], expected)
    torch.testing.assert_close(read[0], torch.stack((2 * expected[0] - expected[2], 3 * expected[1])))

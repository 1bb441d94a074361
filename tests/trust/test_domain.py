"""The nearest training molecule against RDKit's similarities, in blocks and groups; the threshold by hand."""

from __future__ import annotations

import numpy as np
import pytest
from rdkit import Chem, DataStructs
from rdkit.Chem import rdFingerprintGenerator

from moleblend_plugin.trust import domain as domain_module
from moleblend_plugin.trust.domain import Domain, domain_threshold, nearest, packed_ecfp4

NAN = float("nan")
KNOWN = ["C" * n + end for n in range(1, 8) for end in ("O", "N", "Cl", "C(=O)O", "c1ccccc1")]
NEW = ["CCO", "CCCCCCCCO", "c1ccncc1C", "O=C(O)CCCl", "[Na+].[Cl-]", "C1CC1", "not a molecule"]


def by_rdkit() -> np.ndarray:
    generator = rdFingerprintGenerator.GetMorganGenerator(radius=2, fpSize=2048)
    known = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in KNOWN]
    new = [generator.GetFingerprint(Chem.MolFromSmiles(smiles)) for smiles in NEW[:-1]]
    return np.array([DataStructs.BulkTanimotoSimilarity(one, known) for one in new])


@pytest.mark.parametrize(("new", "known"), [(1024, 4096), (2, 3)])
def test_similarities_are_rdkits(monkeypatch: pytest.MonkeyPatch, new: int, known: int) -> None:
    monkeypatch.setattr(domain_module, "_NEW", new)
    monkeypatch.setattr(domain_module, "_KNOWN", known)
    found = nearest(packed_ecfp4(NEW), packed_ecfp4(KNOWN))
    expected = by_rdkit()
    np.testing.assert_allclose(found.similarity[:-1], expected.max(1))
    assert found.place[:-1].tolist() == expected.argmax(1).tolist(), "the first of equal ones"
    assert found.similarity[-1] == 0, "what RDKit does not read shares nothing"


def test_groups_are_not_compared_with_themselves() -> None:
    packed = packed_ecfp4(KNOWN)
    groups = np.arange(len(KNOWN)) % 5
    found = nearest(packed, packed, groups, groups)
    assert (groups[found.place] != groups).all()
    for place in (0, 7, 20):
        others = np.flatnonzero(groups != groups[place])
        expected = nearest(packed[place : place + 1], packed[others])
        assert found.similarity[place] == expected.similarity[0]
    alone = nearest(packed[:2], packed[:1], np.array([0, 1]), np.array([0]))
    assert alone.place.tolist() == [-1, 0]
    assert np.isnan(alone.similarity).tolist() == [True, False]


def test_no_molecules_are_no_error() -> None:
    assert len(nearest(packed_ecfp4([]), packed_ecfp4(KNOWN)).place) == 0
    assert nearest(packed_ecfp4(NEW), packed_ecfp4([])).place.tolist() == [-1] * len(NEW)


def test_the_threshold_by_hand() -> None:
    """The 19th of 19 at 0.95, the 95th of 99; with 18 there is none, and nothing is outside."""
    assert domain_threshold(np.linspace(0.1, 1, 19)) == pytest.approx(0.1)
    assert domain_threshold(np.arange(1, 100) / 100) == pytest.approx(0.05)
    assert np.isnan(domain_threshold(np.linspace(0.1, 1, 18)))
    assert domain_threshold([NAN, *np.linspace(0.1, 1, 19)]) == pytest.approx(0.1)


def test_training_molecules_set_the_threshold_without_themselves() -> None:
    found = Domain.of(KNOWN, np.arange(len(KNOWN)) + 100)
    packed = packed_ecfp4(KNOWN)
    rows = np.arange(len(KNOWN))
    assert found.threshold == domain_threshold(nearest(packed, packed, rows, rows).similarity)
    assert (found.is_outside(found.nearest(KNOWN).similarity)).sum() == 0, "each is its own nearest"
    strange = found.nearest(["FC(F)(F)S(=O)(=O)N1CCN(CC1)c1ncns1"])
    assert found.is_outside(strange.similarity).tolist() == [True]
    assert not Domain.of(KNOWN[:5], range(5)).is_outside(np.zeros(3)).any()


def test_a_large_set_is_looked_at_in_part(monkeypatch: pytest.MonkeyPatch) -> None:
    """The drawn ones are compared with all others, not among themselves."""
    monkeypatch.setattr(domain_module, "MOST", 25)
    found = Domain.of(KNOWN, np.arange(len(KNOWN)))
    packed, rows = packed_ecfp4(KNOWN), np.arange(len(KNOWN))
    assert found.threshold in nearest(packed, packed, rows, rows).similarity
    assert found.threshold == Domain.of(KNOWN, np.arange(len(KNOWN))).threshold

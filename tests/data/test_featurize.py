"""Features of a small molecule by hand."""

from __future__ import annotations

import numpy as np
import pytest

from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.schema import MoleculeRecord
from moleblend_plugin.vocab import BOND, DEGREE
from tests.molecules import make_record


def test_three_atoms_in_a_row() -> None:
    """C-C=O: a single and a double bond."""
    record = MoleculeRecord(
        source="hand",
        row=0,
        smiles="CC=O",
        atom_codes=np.array(
            [[5, 0, 1, 5, 3, 0, 2, 0, 0], [5, 0, 2, 5, 1, 0, 1, 0, 0], [7, 0, 1, 5, 0, 0, 1, 0, 0]], np.uint8
        ),
        bonds=np.array([[0, 1], [1, 2]], np.uint16),
        bond_codes=np.array([[0, 0, 0], [1, 0, 0]], np.uint8),
        coords=None,
        coords_from="not wanted",
    )
    features = featurize(record)
    single, double = BOND.encode(0, 0, 0), BOND.encode(1, 0, 0)
    assert features.atom_codes[:, 0].tolist() == [6, 6, 8]  # atomic numbers: the OGB code plus one
    assert features.degree.tolist() == [DEGREE.encode(d) for d in (1, 2, 1)]
    assert features.spd.tolist() == [[1, 2, 3], [2, 1, 2], [3, 2, 1]]
    assert features.bond_path[0, 2].tolist() == [single, double, 0, 0, 0]
    assert features.bond_path[2, 0].tolist() == [double, single, 0, 0, 0]
    assert features.coords is None


def test_one_atom_without_bonds() -> None:
    features = featurize(make_record(1))
    assert features.spd.tolist() == [[1]]
    assert features.degree.tolist() == [1]
    assert not features.bond_path.any()


def test_a_conformer_is_chosen_by_number() -> None:
    record = make_record(5, conformers=3)
    assert record.coords is not None
    np.testing.assert_array_equal(featurize(record, 2).coords, record.coords[2])
    with pytest.raises(IndexError):
        featurize(record, 3)


def test_features_leave_the_record_alone() -> None:
    record = make_record(6)
    before = record.atom_codes.copy()
    featurize(record).atom_codes[:] = 0
    np.testing.assert_array_equal(record.atom_codes, before)

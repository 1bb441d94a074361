"""Shortest paths against SciPy, bond paths against a walk over the bonds, and the tie-break by hand."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from moleblend_plugin.data.featurize import featurize
from moleblend_plugin.data.paths import shortest_paths as write_shortest_paths
from moleblend_plugin.schema import PATH_HOPS, MoleculeRecord
from moleblend_plugin.vocab import BOND, SPD
from tests.molecules import make_record

CASES = [make_record(n, seed, rings=3) for seed, n in enumerate((1, 2, 3, 9, 17, 40))] + [
    make_record(12, 7, fragments=3),
    make_record(230, 8, rings=20),
]


def shortest_paths(n_atoms: int, bonds: np.ndarray, codes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    spd = np.full((n_atoms, n_atoms), 99, np.uint8)
    path = np.full((n_atoms, n_atoms, PATH_HOPS), 99, np.uint8)
    write_shortest_paths(bonds, codes, spd, path)
    return spd, path


def distances(record: MoleculeRecord) -> np.ndarray:
    n, bonds = record.n_atoms, record.bonds.astype(int)
    graph = coo_matrix((np.ones(len(bonds)), (bonds[:, 0], bonds[:, 1])), (n, n))
    return shortest_path(graph.tocsr(), directed=False, unweighted=True)


@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r.n_atoms}-atoms")
def test_lengths_equal_scipy(record: MoleculeRecord) -> None:
    expected = distances(record)
    codes = np.where(np.isinf(expected), SPD.encode(None), np.where(np.isinf(expected), 0, expected) + 1)
    np.testing.assert_array_equal(featurize(record).spd, codes)


@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r.n_atoms}-atoms")
def test_bond_path_is_a_walk_of_shortest_length(record: MoleculeRecord) -> None:
    """Some walk from i to j along bonds of exactly these codes exists, one step nearer to j each time."""
    length = distances(record)
    neighbours: dict[int, list[tuple[int, int]]] = {atom: [] for atom in range(record.n_atoms)}
    for (i, j), codes in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True):
        neighbours[i].append((j, BOND.encode(*codes)))
        neighbours[j].append((i, BOND.encode(*codes)))
    path = featurize(record).bond_path
    for i in range(0, record.n_atoms, 7):
        for j in range(record.n_atoms):
            hops = 0 if np.isinf(length[i, j]) else min(int(length[i, j]), PATH_HOPS)
            fronts = {i}
            for hop in range(hops):
                code = path[i, j, hop]
                fronts = {
                    near
                    for atom in fronts
                    for near, bond in neighbours[atom]
                    if bond == code and length[near, j] == length[atom, j] - 1
                }
            assert fronts, (i, j)
            assert not path[i, j, hops:].any()


def test_tie_break_prefers_the_lowest_middle_atom() -> None:
    """A square 0-1-2-3: from 0 to 2 both ways are two bonds; atom 1 is tried before atom 3."""
    bonds = np.array([[0, 1], [1, 2], [2, 3], [0, 3]], np.uint16)
    spd, path = shortest_paths(4, bonds, np.array([11, 12, 13, 14], np.uint8))
    assert spd[0, 2] == SPD.encode(2)
    assert path[0, 2].tolist() == [11, 12, 0, 0, 0]
    assert path[2, 0].tolist() == [12, 11, 0, 0, 0]
    assert path[1, 3].tolist() == [11, 14, 0, 0, 0]


def test_long_chain_is_capped_and_keeps_its_first_five_bonds() -> None:
    n = 300
    bonds = np.stack([np.arange(n - 1), np.arange(1, n)], 1).astype(np.uint16)
    codes = (np.arange(n - 1) % 60 + 1).astype(np.uint8)
    spd, path = shortest_paths(n, bonds, codes)
    assert SPD.decode(int(spd[0, n - 1])) == SPD.largest
    assert path[0, n - 1].tolist() == codes[:5].tolist()
    assert path[n - 1, 0].tolist() == codes[::-1][:5].tolist()

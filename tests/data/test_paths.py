"""Shortest paths against SciPy, bond paths against a walk over the bonds, and the tie-break by hand."""

from __future__ import annotations

from dataclasses import replace
from itertools import permutations

import numpy as np
import pytest
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import shortest_path

from moleblend_plugin.data.samples.featurize import featurize
from moleblend_plugin.data.samples.paths import invariant_paths
from moleblend_plugin.data.samples.paths import shortest_paths as write_shortest_paths
from moleblend_plugin.schema import PATH_HOPS, InputCodes, MoleculeRecord
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


@pytest.mark.parametrize("codes_seen", ["published", "invariant"])
@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r.n_atoms}-atoms")
def test_lengths_equal_scipy(record: MoleculeRecord, codes_seen: InputCodes) -> None:
    expected = distances(record)
    codes = np.where(np.isinf(expected), SPD.encode(None), np.where(np.isinf(expected), 0, expected) + 1)
    np.testing.assert_array_equal(featurize(record, 0, codes_seen).spd, codes)


@pytest.mark.parametrize("codes_seen", ["published", "invariant"])
@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r.n_atoms}-atoms")
def test_bond_path_is_a_walk_of_shortest_length(record: MoleculeRecord, codes_seen: InputCodes) -> None:
    """Some walk from i to j along bonds of exactly these codes exists, one step nearer to j each time."""
    length = distances(record)
    neighbours: dict[int, list[tuple[int, int]]] = {atom: [] for atom in range(record.n_atoms)}
    for (i, j), codes in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True):
        neighbours[i].append((j, BOND.encode(*codes)))
        neighbours[j].append((i, BOND.encode(*codes)))
    path = featurize(record, 0, codes_seen).bond_path
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


def test_invariant_paths_prefer_the_lowest_codes_from_either_end() -> None:
    """The same square: from 0 to 2 over 11, 12 rather than 14, 13; from 2 to 0 over 12, 11."""
    bonds = np.array([[0, 1], [1, 2], [2, 3], [0, 3]], np.uint16)
    spd, path = np.empty((4, 4), np.uint8), np.empty((4, 4, PATH_HOPS), np.uint8)
    invariant_paths(bonds, np.array([14, 11, 12, 13], np.uint8), spd, path)
    assert path[0, 2].tolist() == [13, 12, 0, 0, 0]
    assert path[2, 0].tolist() == [11, 14, 0, 0, 0]
    assert path[1, 3].tolist() == [11, 12, 0, 0, 0]


@pytest.mark.parametrize("record", CASES, ids=lambda r: f"{r.n_atoms}-atoms")
def test_invariant_paths_do_not_hang_on_the_order_of_atoms(record: MoleculeRecord) -> None:
    seen = featurize(record, 0, "invariant")
    for seed in range(3):
        order = np.random.default_rng(seed).permutation(record.n_atoms)
        moved = replace(
            record,
            atom_codes=record.atom_codes[order],
            ogb_chirality=None if record.ogb_chirality is None else record.ogb_chirality[order],
            bonds=np.argsort(order)[record.bonds.astype(int)].astype(np.uint16).reshape(-1, 2)[::-1, ::-1],
            bond_codes=record.bond_codes[::-1],
            coords=None,
        )
        again = featurize(moved, 0, "invariant")
        np.testing.assert_array_equal(again.bond_path, seen.bond_path[order][:, order])
        np.testing.assert_array_equal(again.spd, seen.spd[order][:, order])


def test_invariant_paths_are_the_lowest_of_all_shortest_walks() -> None:
    """Every walk of five bonds or fewer on a small graph, compared by hand."""
    record = make_record(9, 5, rings=4)
    codes = {
        pair: BOND.encode(*kinds)
        for ends, kinds in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True)
        for pair in permutations(ends)
    }
    length, path = distances(record), featurize(record, 0, "invariant").bond_path

    def walks(i: int, j: int) -> list[list[int]]:
        if i == j:
            return [[]]
        return [
            [code, *rest]
            for (start, near), code in codes.items()
            if start == i and length[near, j] == length[i, j] - 1
            for rest in walks(near, j)
        ]

    for i in range(record.n_atoms):
        for j in range(record.n_atoms):
            lowest = min(walks(i, j))[:PATH_HOPS]
            assert path[i, j].tolist() == lowest + [0] * (PATH_HOPS - len(lowest))


def test_long_chain_is_capped_and_keeps_its_first_five_bonds() -> None:
    n = 300
    bonds = np.stack([np.arange(n - 1), np.arange(1, n)], 1).astype(np.uint16)
    codes = (np.arange(n - 1) % 60 + 1).astype(np.uint8)
    spd, path = shortest_paths(n, bonds, codes)
    assert SPD.decode(int(spd[0, n - 1])) == SPD.largest
    assert path[0, n - 1].tolist() == codes[:5].tolist()
    assert path[n - 1, 0].tolist() == codes[::-1][:5].tolist()

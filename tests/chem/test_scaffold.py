"""Scaffolds and their split."""

from __future__ import annotations

import pytest

from moleblend_plugin.chem.identity.scaffold import scaffold_of, scaffold_split


@pytest.mark.parametrize(
    ("smiles", "scaffold"),
    [
        ("CCO", ""),
        ("Cc1ccccc1CC", "c1ccccc1"),
        ("C1CC1CCCc1ccccc1", "c1ccc(CCCC2CC2)cc1"),
        ("[Na+].CC1CC1", "C1CC1"),
        ("[2H]C([2H])c1ccccc1", "c1ccccc1"),
        ("[H+].[Cl-]", ""),
    ],
)
def test_scaffolds(smiles: str, scaffold: str, capfd: pytest.CaptureFixture[str]) -> None:
    assert scaffold_of(smiles) == scaffold
    assert capfd.readouterr().err == ""


def test_chirality_belongs_to_the_scaffold() -> None:
    left, right = "O[C@H]1CCC[C@@H](C2CC2)C1", "O[C@H]1CCC[C@H](C2CC2)C1"
    ring_left, ring_right = "C1C[C@@H](C2CC2)CO1", "C1C[C@H](C2CC2)CO1"
    assert scaffold_of(left) == scaffold_of(right)  # without its substituent the centre is none
    assert scaffold_of(ring_left) != scaffold_of(ring_right)


def test_split_by_hand() -> None:
    # sets: a = 0 1 2 3, b = 4 5, c = 6 7, d = 8, e = 9; order a, c, b, e, d (size, then last first index)
    scaffolds = list("aaaabbccde")
    # room: train 6, train + valid 8. a and c fill train; b goes to valid; e and d to test
    assert scaffold_split(scaffolds, (0.6, 0.2, 0.2)) == [0, 0, 0, 0, 1, 1, 0, 0, 2, 2]


def test_a_set_too_large_for_train_goes_on_and_small_ones_fill_the_room() -> None:
    # b does not fit in train (2 of 5) nor in train + valid (3 of 5): test
    assert scaffold_split(list("bbbbc"), (0.4, 0.2, 0.4)) == [2, 2, 2, 2, 0]


def test_no_scaffold_is_in_two_parts_and_all_are_placed() -> None:
    scaffolds = [str(n % 37) if n % 3 else f"single{n}" for n in range(500)]
    parts = scaffold_split(scaffolds, (0.8, 0.1, 0.1))
    assert [parts.count(part) for part in range(3)] == [400, 50, 50]
    homes = {}
    for scaffold, part in zip(scaffolds, parts, strict=True):
        assert homes.setdefault(scaffold, part) == part
    assert parts == scaffold_split(scaffolds, (0.8, 0.1, 0.1))


def test_nothing_to_split() -> None:
    assert scaffold_split([], (0.8, 0.1, 0.1)) == []

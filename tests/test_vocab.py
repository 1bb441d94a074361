"""Every code round-trips with its decoder."""

from __future__ import annotations

import pytest

from moleblend_plugin.vocab import (
    ATOM_FEATURES,
    ATOM_OFFSETS,
    ATOM_ROWS,
    BOND,
    BOND_FEATURES,
    DEGREE,
    EDGE_CLASSES,
    SPD,
    SPD_CLASSES,
    CappedCount,
    Feature,
)


@pytest.mark.parametrize("feature", [*ATOM_FEATURES, *BOND_FEATURES], ids=lambda f: f.name)
def test_features_round_trip(feature: Feature) -> None:
    for code in range(feature.size):
        value = feature.decode(code)
        if value == "misc":
            assert code == feature.size - 1
        else:
            assert feature.encode(value) == code
    with pytest.raises(ValueError, match=feature.name):
        feature.decode(feature.size)


def test_unknown_values_are_misc_where_there_is_a_misc() -> None:
    assert ATOM_FEATURES[0].encode(0) == ATOM_FEATURES[0].size - 1
    with pytest.raises(ValueError, match="stereo"):
        BOND_FEATURES[1].encode("STEREOATROPCW")


def test_atom_rows_do_not_overlap() -> None:
    rows = [
        offset + code
        for offset, feature in zip(ATOM_OFFSETS, ATOM_FEATURES, strict=True)
        for code in range(1, feature.size + 1)
    ]
    assert sorted(rows) == list(range(1, ATOM_ROWS))


@pytest.mark.parametrize("vocabulary", [SPD, DEGREE], ids=lambda v: v.name)
def test_counts_round_trip_and_cap(vocabulary: CappedCount) -> None:
    for count in range(vocabulary.largest + 1):
        assert vocabulary.decode(vocabulary.encode(count)) == count
    assert vocabulary.encode(vocabulary.largest + 50) == vocabulary.encode(vocabulary.largest)
    with pytest.raises(ValueError, match=vocabulary.name):
        vocabulary.decode(vocabulary.pad)
    with pytest.raises(ValueError, match="start at 0"):
        vocabulary.encode(-1)


def test_unreachable_has_a_code_of_its_own() -> None:
    assert SPD.decode(SPD.encode(None)) is None
    assert SPD.encode(None) == SPD.size - 1 == 255
    with pytest.raises(ValueError, match="missing"):
        DEGREE.encode(None)


def test_bonds_round_trip() -> None:
    for code in range(1, BOND.size):
        assert BOND.encode(*BOND.decode(code)) == code
    assert BOND.size == 61
    with pytest.raises(ValueError, match="bond codes"):
        BOND.decode(0)
    with pytest.raises(ValueError, match="stereo"):
        BOND.encode(0, 6, 0)


def test_edge_classes_round_trip_without_aliases() -> None:
    """The published code lets cis, trans and any of a double bond alias triple bonds (method 6.4)."""
    codes = [EDGE_CLASSES.decode(number) for number in range(EDGE_CLASSES.size)]
    assert [EDGE_CLASSES.encode(code) for code in codes] == list(range(24))
    outside = set(range(BOND.size)) - set(codes)
    assert all(EDGE_CLASSES.encode(code) == EDGE_CLASSES.ignored for code in outside)
    assert EDGE_CLASSES.table()[BOND.encode(1, 3, 0)] == EDGE_CLASSES.ignored


def test_spd_classes() -> None:
    assert [SPD_CLASSES.encode(SPD.encode(d)) for d in (1, 10, 11, 12, 253)] == [0, 9, 10, 10, 10]
    for code in (SPD.pad, SPD.encode(0), SPD.encode(None)):
        assert SPD_CLASSES.encode(code) == SPD_CLASSES.ignored
    for number in range(SPD_CLASSES.size):
        assert SPD_CLASSES.encode(SPD_CLASSES.decode(number)) == number

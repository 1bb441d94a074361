"""Lists of names in one text: what is written is read back."""

from __future__ import annotations

import csv

import pytest

from moleblend_plugin.names import parse_names, write_names, write_targets

NAMES = ("IC50", "IC50, nM", '5" pipe', '"quoted"', "a=b:c", "[x] (y)", "'single'", ",", 'a","b', "Größe")


def test_names_come_back() -> None:
    assert parse_names(write_names(NAMES)) == NAMES
    assert parse_names(write_names(NAMES, ", ")) == NAMES
    assert [parse_names(write_names([name])) for name in NAMES] == [(name,) for name in NAMES]


def test_the_rule_is_that_of_csv() -> None:
    assert next(csv.reader([write_names(NAMES)])) == list(NAMES)


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("a, b ,c", ("a", "b", "c")),
        ("a,,b,", ("a", "b")),
        ('a, "b, c"', ("a", "b, c")),
        ('"open, b', ('"open', "b")),  # as older runs wrote it
        ("", ()),
    ],
)
def test_what_people_write(text: str, names: tuple[str, ...]) -> None:
    assert parse_names(text) == names


def test_all_columns_are_a_word_and_not_a_name() -> None:
    assert write_targets(("all",)) == "all"
    assert write_targets(("a", "b, c")) == 'a,"b, c"'

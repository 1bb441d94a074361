"""Cells of label columns: numbers, words for missing and for classes, and what is refused with its remedy."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.inputs import open_molecules

BLOCK = "x\n\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.1000 C   0  0\nM  END\n"


def as_table(folder: Path, cells: list[str]) -> Path:
    path = folder / "a.csv"
    path.write_text("smiles,y\n" + "".join('C,"{}"\n'.format(cell.replace('"', '""')) for cell in cells))
    return path


def as_sdf(folder: Any, cells: Any) -> Any:
    path = folder / "a.sdf"
    path.write_text("".join(f"{BLOCK}> <y>\n{cell}\n\n$$$$\n" for cell in cells))
    return path


def as_npz(folder: Path, cells: list[bool]) -> Path:
    count = len(cells)
    np.savez(
        folder / "a.npz", n_atoms=[1] * count, n_bonds=[0] * count, atomic_number=[6] * count,
        formal_charge=[0] * count, pos_angstrom=np.zeros((count, 3)), bonds_i_j_order=np.zeros((0, 3), int),
        y=np.array(cells),
    )  # fmt: skip
    return folder / "a.npz"


FORMATS = pytest.mark.parametrize("write", [as_table, as_sdf, as_npz])


def read(path: Path, **columns: int | tuple[str, ...]) -> list[float | str]:
    rows = open_molecules(path, Columns(targets=("y",), **columns))
    return [row.targets[0] if isinstance(row, RawRow) else row.reason for row in rows]


MISSING = (
    "", "nan", "NaN", "-nan", "-NaN", "NA", "N/A", "n/a", "n.a.", "#N/A", "#N/A N/A", "#NA", "<NA>", "NULL",
    "null", "None", "1.#IND", "-1.#IND", "1.#QNAN", "-1.#QNAN", "#VALUE!", "#DIV/0!", "#REF!", "#NAME?",
    "#NUM!", "#NULL!", "missing", "Missing", "-", "--", "?", ".", "\u2013", "\u2014",
)  # fmt: skip


@FORMATS
def test_words_for_missing(tmp_path: Path, write: Callable[..., Any]) -> None:
    assert all(math.isnan(value) for value in read(write(tmp_path, MISSING)))


@FORMATS
def test_numbers(tmp_path: Path, write: Callable[..., Any]) -> None:
    cells = ["1", "-2.5", "+3", "1e3", "1E-3", ".5", "2.", "007"]
    assert read(write(tmp_path, cells)) == [1, -2.5, 3, 1000, 0.001, 0.5, 2, 7]


@FORMATS
@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("1e39", "target too large: column 'y' holds '1e39'; float32 ends at 3.4e+38"),
        ("-3.5e38", "target too large"),
        ("1e999", "target too large"),
        ("inf", "infinity"),
        ("-Infinity", "infinity"),
        (">10", "a qualifier"),
        ("<= 5", "a qualifier"),
        ("~5", "a qualifier"),
        ("\u22643", "a qualifier"),
        ("5 nM", "a unit"),
        ("12%", "a unit"),
        ("0x10", "a unit"),
        ("1,000", "a comma"),
        ("1 000", "blanks between digits"),
        ("1_000", "blanks between digits"),
        ("1.000.000", "blanks between digits"),
        ("\uff11\uff12", "digits or signs beyond ASCII"),
        ("\u22123", "digits or signs beyond ASCII"),
        ("ND", "--missing-label 'ND'"),
        ("maybe", "--positive and --negative"),
    ],
)
def test_what_is_no_label_is_refused_with_the_reason(
    tmp_path: Path, write: Callable[..., Any], cell: str, words: str
) -> None:
    (reason,) = read(write(tmp_path, [cell]))
    assert "column 'y' holds" in reason
    assert words in reason


def test_the_largest_float32_is_a_label(tmp_path: Path) -> None:
    largest = float(np.finfo(np.float32).max)
    assert read(as_table(tmp_path, [repr(largest), repr(-largest)])) == [largest, -largest]


@FORMATS
@pytest.mark.parametrize(
    ("one", "zero"),
    [
        ("True", "False"), ("TRUE", "FALSE"), ("t", "f"), ("yes", "no"), ("Y", "N"), ("active", "inactive"),
        ("Positive", "Negative"), ("pos", "neg"), ("toxic", "nontoxic"), ("Toxic", "Non-Toxic"),
    ],
)  # fmt: skip
def test_words_for_classes(tmp_path: Path, write: Callable[..., Any], one: str, zero: str) -> None:
    found = read(write(tmp_path, [one, zero, "", zero, one]))
    assert math.isnan(found.pop(2))
    assert found == [1, 0, 0, 1]


def test_truth_values_of_numpy(tmp_path: Path) -> None:
    assert read(as_npz(tmp_path, [True, False])) == [1, 0]


def test_a_column_holds_one_kind(tmp_path: Path) -> None:
    found = read(as_table(tmp_path, ["7.5", "active", "2"]))
    assert (found[0], found[2]) == (7.5, 2)
    assert "a word among numbers" in found[1]
    found = read(as_table(tmp_path, ["yes", "inactive", "0", "no"]))
    assert (found[0], found[3]) == (1, 0)
    assert "a word of another pair" in found[1]
    assert "a number among words" in found[2]


def test_words_that_the_user_names(tmp_path: Path) -> None:
    path = as_table(tmp_path, ["CA", "ci", "CM", "ND", "x"])
    found = read(path, positive=("CA", "CM"), negative=("CI",), missing_words=("nd",))
    assert found[:3] == [1, 0, 1]
    assert math.isnan(found[3])
    assert "'x', a word" in found[4]


def test_words_that_the_user_names_may_stand_among_numbers(tmp_path: Path) -> None:
    path = as_table(tmp_path, ["1", "True", "0", "false"])
    assert read(path, positive=("true",), negative=("false",)) == [1, 1, 0, 0]


def test_numbers_for_missing(tmp_path: Path) -> None:
    found = read(as_table(tmp_path, ["-1", "-1.0", "-999", "1"]), missing_label=-1, missing_words=("-999.0",))
    assert [math.isnan(value) for value in found] == [True, True, True, False]


def test_words_that_were_met_are_noted(tmp_path: Path) -> None:
    source = open_molecules(as_table(tmp_path, ["Active", "inactive"]), Columns(targets=("y",)))
    list(source)
    assert source.classes == {"y": {"active": 1, "inactive": 0}}

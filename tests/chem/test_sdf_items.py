"""Data items of an SDF: given twice, cut off, oddly named, and records without their separator."""

from __future__ import annotations

from pathlib import Path

import pytest

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.inputs import open_molecules

BLOCK = (
    "{}\n  x\n\n  1  0  0  0  0  0  0  0  0  0999 V2000\n    0.0000    0.0000    0.1000 C   0  0\nM  END\n"
)
V3000 = (
    "{}\n  x\n\n  0  0  0     0  0            999 V3000\nM  V30 BEGIN CTAB\nM  V30 COUNTS 1 0 0 0 0\n"
    "M  V30 BEGIN ATOM\nM  V30 1 C 0 0 0 0\nM  V30 END ATOM\nM  V30 END CTAB\nM  END\n"
)


def read(folder: Path, content: str, *targets: str) -> tuple[list[str | tuple[float, ...]], list[str]]:
    path = folder / "a.sdf"
    path.write_bytes(content.encode())
    source = open_molecules(path, Columns(targets=targets))
    rows = list(source)
    return [row.targets if isinstance(row, RawRow) else row.reason for row in rows], source.notes


def record(title: str, *items: tuple[str, int | str], block: str = BLOCK) -> str:
    return block.format(title) + "".join(f"> <{name}>\n{value}\n\n" for name, value in items)


def test_an_item_with_two_values_is_no_label(tmp_path: Path) -> None:
    content = (
        record("a", ("y", 1), ("y", 2)) + "$$$$\n"
        + record("b", ("y", 3), ("y", 3)) + "$$$$\n"
        + record("c", ("z", 1), ("z", 2), ("y", 4)) + "$$$$\n"
    )  # fmt: skip
    found, _ = read(tmp_path, content, "y")
    assert found == ["data item twice: 'y' holds '1' and '2'", (3,), (4,)]


def test_decimal_commas_are_read_as_in_tables(tmp_path: Path) -> None:
    values = {"y": ("1,5", "2,25", "1,000"), "z": ("1,000", "2,000", "3,000")}
    rows = (record("a", *zip(values, row, strict=True)) for row in zip(*values.values(), strict=True))
    content = "$$$$\n".join(rows)
    found, notes = read(tmp_path, content + "$$$$\n", "y")
    assert found == [(1.5,), (2.25,), (1,)]
    assert notes == ["a.sdf has decimal commas in column y: 1,5 is read as 1.5"]
    found, notes = read(tmp_path, content + "$$$$\n", "z")  # thousands, perhaps
    assert ["a comma" in reason for reason in found] == [True] * 3
    assert notes == []


@pytest.mark.parametrize("block", [BLOCK, V3000])
@pytest.mark.parametrize("items", [[], [("y", 1)]])
def test_records_without_a_separator_are_two(
    tmp_path: Path, block: str, items: list[tuple[str, int]]
) -> None:
    content = record("a", *items, block=block) + record("b", ("y", 2), block=block) + "$$$$\n"
    found, notes = read(tmp_path, content, "y")
    assert len(found) == 2
    assert found[1] == (2,)
    assert found[0] == (1,) or not items
    assert "lacks $$$$ between records" in notes[0]


def test_a_mol_block_as_a_value_is_no_record(tmp_path: Path) -> None:
    content = (
        record("a", ("y", 1), ("drawing", BLOCK.format("")), ("z", 2)) + "$$$$\n" + record("b", ("y", 3))
    )
    assert read(tmp_path, content, "y", "z")[0][0] == (1, 2)


def test_a_file_that_ends_in_a_label_is_cut_off(tmp_path: Path) -> None:
    content = record("a", ("y", 1)) + "$$$$\n" + record("b", ("y", "12")).rstrip("\n")
    assert read(tmp_path, content, "y")[0] == [
        (1,), "record cut off: the file ends in data item 'y', without $$$$"
    ]  # fmt: skip
    assert read(tmp_path, content + "\n\n", "y")[0] == [(1,), (12,)]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_names_of_items_and_line_ends(tmp_path: Path, end: str) -> None:
    heads = ["> <IC50 [nM]>  (3)", "> 25 <a, b> (MD->1)", ">  <p>q>", "> < s <t >"]
    items = "".join(f"{head}\n{number}\n\n" for number, head in enumerate(heads))
    content = (BLOCK.format("a") + items + "$$$$\n").replace("\n", end)
    assert read(tmp_path, content, "IC50 [nM]", "a, b", "p>q", "s <t")[0] == [(0, 1, 2, 3)]

"""Parts of an output: rows of whole windows, kept as they were."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.chem.convert import ConversionConfig
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_rows import Input
from moleblend_plugin.inference.part_file import PartReader, open_part
from moleblend_plugin.inference.windows import in_windows, window_at
from moleblend_plugin.inputs import open_molecules

COLUMNS = {"row_id": "text", "y": "number", "vector": "vector", "far": "flag"}


def table(path: Path, rows: int) -> Path:
    path.write_text("\n".join(["smiles,n", *(f"{'C' * (1 + n % 7)},{n}" for n in range(rows))]) + "\n")
    return path


def test_windows_from_a_later_row_on_are_those_of_all_rows(tmp_path: Path) -> None:
    path = table(tmp_path / "a.csv", 3500)

    def windows(first: int, stop: int | None) -> list[tuple[str, int]]:
        rows = Input(open_molecules(path), ConversionConfig(None), span=(first, stop))
        found = in_windows(rows, lambda records: iter([0] * len(records)), lambda done: None, 1024, first)
        return [(part[0][0].row_id, len(part)) for part in found]

    whole = windows(0, None)
    assert [size for _, size in whole] == [64, 128, 256, 512, 1024, 1024, 492]
    starts = [window_at(row).start for row in (0, 63, 64, 191, 959, 960, 1983, 1984, 3008, 3499)]
    assert starts == [0, 0, 64, 64, 448, 960, 960, 1984, 3008, 3008]
    assert windows(0, 448) + windows(448, 1984) + windows(1984, None) == whole


def test_rows_of_a_span_have_their_own_cells(tmp_path: Path) -> None:
    rows = list(Input(open_molecules(table(tmp_path / "a.csv", 9)), ConversionConfig(None), span=(5, 7)))
    assert [(row.row_id, row.cells[1]) for row in rows] == [("a.csv:5", "5"), ("a.csv:6", "6")]


def test_a_part_gives_back_what_it_was_given(tmp_path: Path) -> None:
    values = np.array([[0.1, np.nan], [-0.0, 3e38]], np.float32)
    rows = [["a:0", 0.1 + 0.2, values[0], True], ["a:1\n\udcff", None, values, False], ["a:2", 1, None, None]]
    path = tmp_path / "1-of-1.part"
    with open_part(path, COLUMNS, {"width": 2}, lambda: {"notes": ["one"]}) as part:
        for row in rows:
            part.write(row)
    reader, facts = PartReader(path), {}
    found = list(reader.rows(facts))
    assert (reader.columns, reader.head, facts) == (COLUMNS, {"width": 2}, {"notes": ["one"]})
    for got, given in zip(found, rows, strict=True):
        assert [cell for cell in got if not isinstance(cell, np.ndarray)] == [
            cell for cell in given if not isinstance(cell, np.ndarray)
        ]
    assert found[0][2].tobytes() == values[0].tobytes()
    assert (found[1][2].tobytes(), found[1][2].shape) == (values.tobytes(), (2, 2))


def test_a_part_that_is_cut_is_damaged(tmp_path: Path) -> None:
    path = tmp_path / "1-of-1.part"
    with open_part(path, COLUMNS) as part:
        part.write(["a:0", 1.0, None, True])
    lines = path.read_text().splitlines(keepends=True)
    for text in ("", "".join(lines[:-1]), lines[0] + lines[2], "".join(lines)[:-9]):
        path.write_text(text)
        with pytest.raises(MoleblendError, match=r"1-of-1\.part is damaged: remove it"):
            list(PartReader(path).rows({}))

"""Finished rows on disk: what is whole is read back in the order of the rows, whatever else is there."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pytest

from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.outcomes import Excluded, Molecule, Outcome, Rejected
from moleblend_plugin.building.work import _molecule
from moleblend_plugin.data.store.record_codec import decode_record
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord
from tests.molecules import make_record

CHUNKS = (1, 0, 3)
"""Numbers of chunks in the order of completion."""


def record(row: int) -> MoleculeRecord:
    made: MoleculeRecord = make_record(4, row, targets=(row / 2, float("nan")))
    return made


def chunk(number: int) -> list[Outcome]:
    """Outcomes of four rows: two molecules, a rejection, and an exclusion by the split or by a list."""
    row = 4 * number
    return [
        _molecule(record(row), "s"),
        Rejected("a", row + 1, "x", "bad"),
        Excluded("a", row + 2, "split" if number else "list"),
        _molecule(record(row + 3), "s"),
    ]


def fill(path: Path) -> Path:
    with FinishedRows(path) as rows:
        for number in CHUNKS:
            rows.add(number, chunk(number))
    return path


def everything(path: Path) -> list[Outcome]:
    with FinishedRows(path) as rows:
        return sorted((*rows.molecules(), *rows.rejections(), *rows.exclusions()), key=lambda done: done.row)


def whole(*numbers: int) -> list[Outcome]:
    return [outcome for number in numbers for outcome in chunk(number)]


def test_outcomes_come_in_the_order_of_rows(tmp_path: Path) -> None:
    with FinishedRows(fill(tmp_path / "rows")) as rows:
        assert dict(rows.counts) == {Molecule: 6, Rejected: 3, Excluded: 3}
        assert len(rows) == 12
        assert [number in rows for number in range(5)] == [True, True, False, True, False]
        rows.add(2, chunk(2))
        molecules = list(rows.molecules())
        assert [done.row for done in molecules] == [0, 3, 4, 7, 8, 11, 12, 15]
        assert list(rows.column("row_id"))[:2] == [done.row_id for done in (record(0), record(3))]
        assert list(rows.rejections())[0] == Rejected("a", 1, "x", "bad", None)
        assert [(done.row, done.cause) for done in rows.exclusions()] == [
            (6, "split"), (10, "split"), (14, "split"), (2, "list"),
        ]  # fmt: skip
    first = molecules[0]
    assert (first.n_atoms, first.with_3d, first.coords_from, first.group) == (4, 1, "source", "s")
    np.testing.assert_array_equal(first.labels, record(0).targets)
    assert decode_record(first.value).smiles == record(0).smiles
    assert everything(tmp_path / "rows") == whole(0, 1, 2, 3)


def test_a_log_cut_anywhere_keeps_its_whole_chunks(tmp_path: Path) -> None:
    """As a kill or a power cut leaves it: the file of a build that did not end, its log of any length."""
    path, log = tmp_path / "rows", tmp_path / "rows-wal"
    with FinishedRows(path) as rows:
        for number in CHUNKS:
            rows.add(number, chunk(number))
        copies = [shutil.copy(file, tmp_path / f"copy-{file.name}") for file in (path, log)]
    start, content = (Path(copy).read_bytes() for copy in copies)
    kept = set()
    for size in range(0, len(content) + 1, 997):
        path.write_bytes(start)
        log.write_bytes(content[:size])
        found = everything(path)
        assert found in (whole(), whole(1), whole(0, 1), whole(0, 1, 3))
        kept.add(len(found))
    log.write_bytes(content)
    path.write_bytes(start)
    assert everything(path) == whole(0, 1, 3)
    assert kept >= {0, 4, 8}


def test_changed_bytes_never_pass(tmp_path: Path) -> None:
    """What is read is what was written, or the user is told; then it is whole again, with chunks left out."""
    path = fill(tmp_path / "rows")
    content, told = path.read_bytes(), list[str]()
    for place in range(0, len(content), 61):
        damaged = bytearray(content)
        damaged[place] ^= 255
        path.write_bytes(damaged)
        for _ in range(2):
            try:
                found = everything(path)
                break
            except MoleblendError as error:
                told.append(str(error))
        else:
            pytest.fail(f"byte {place} is told twice")
        with FinishedRows(path) as rows:
            assert found == whole(*(number for number in (0, 1, 3) if number in rows))
    assert len(told) > 10
    assert all(f"{path} cannot be read back" in line and "run the command again" in line for line in told)


def test_a_full_disk_is_an_error_of_the_system(tmp_path: Path) -> None:
    rows = FinishedRows(tmp_path / "missing" / "rows")
    with pytest.raises(OSError, match="unable to open database file"):
        rows.__enter__()

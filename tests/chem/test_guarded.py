"""Rows that end their process, or hang, cost only themselves."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from moleblend_plugin.chem import guarded as chem_guarded
from moleblend_plugin.chem.guarded import guarded
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import Rejection


class Work:
    """Makes the text of a row long; some texts are fatal, ``thrice`` only as often."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, rows: list[RawRow | Rejection]) -> list[str]:
        return [self._one(row) for row in rows]

    def _one(self, row: RawRow | Rejection) -> str:
        if isinstance(row, Rejection):
            return f"{row.text} at {row.source}:{row.row}: {row.reason}"
        if row.text == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        if row.text == "hang":
            time.sleep(600)
        if row.text == "thrice" and len(list(self.folder.iterdir())) < 3:
            (self.folder / str(os.getpid())).touch()
            os.kill(os.getpid(), signal.SIGKILL)
        return row.text * 2


def chunks(*texts: list[str]) -> list[tuple[int, list[RawRow]]]:
    """Numbered chunks of rows with these texts."""
    rows = iter(range(100))
    return [
        (number, [RawRow("a.smi", next(rows), text, "smiles") for text in chunk])
        for number, chunk in enumerate(texts)
    ]


def test_rows_that_crash_or_hang_are_rejected_and_the_others_are_done(tmp_path: Path) -> None:
    given = chunks(["a", "crash", "b"], ["c", "thrice"], ["hang"], ["d"])
    found = list(guarded(given, Work(tmp_path), 1, in_order=True, row_seconds=2.0))
    assert found == [
        (0, ["aa", "crash at a.smi:1: ended its process: by SIGSEGV", "bb"]),
        (1, ["cc", "thricethrice"]),
        (2, ["hang at a.smi:5: took too long: more than 2 s"]),
        (3, ["dd"]),
    ]


def test_a_machine_that_ends_every_process_is_not_the_rows_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(chem_guarded, "_TOO_MANY", 2)
    with pytest.raises(MoleblendError, match=r"all of 2 rows from a\.smi:0 on are lost \(ended its process"):
        list(guarded(chunks(["crash"] * 2), Work(tmp_path), 1))

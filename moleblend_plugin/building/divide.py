"""Splits of a build: rows that are left out, the part of every molecule, and ``split.json``."""

from __future__ import annotations

import hashlib
import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from moleblend_plugin.building.finished_rows import Finished, Spill
from moleblend_plugin.building.plan import SPLITS, BuildPlan
from moleblend_plugin.building.tally import UNKNOWN_SPLIT
from moleblend_plugin.chem.convert import TOOLKIT
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.workers import Outcome
from moleblend_plugin.schema import MoleculeRecord, Rejection
from moleblend_plugin.splits.methods import PART_WORDS

SPLIT_LIST: Final = "split.json"
EXCLUDED: Final = "excluded"


def is_excluded(row: RawRow | Rejection, plan: BuildPlan) -> bool:
    """Whether a given split has the row in no part. Asked before chemistry: such a row may be no molecule."""
    if plan.rows_file is None or (plan.rows_file.key and isinstance(row, Rejection)):
        return False
    try:
        return _given_part(row.row, row.split if isinstance(row, RawRow) else "", plan) == ""
    except ValueError:  # the key is no number: the row is rejected later, with that reason
        return False


def _given_part(row: int, key: str, plan: BuildPlan) -> str:
    """Part of a row in the given split. ``ValueError``: its key is no whole number."""
    if plan.rows_file is None:
        return ""
    return plan.rows_file.part_of(int(key) if plan.rows_file.key else row)


@dataclass(frozen=True, slots=True)
class SplitCheck:
    """What the text that names a row's part must be.

    Attributes:
        kind: "column" (a word for a part), "key" (a whole number), or "" (anything).
        column: its name.
    """

    kind: str
    column: str

    @classmethod
    def of(cls, plan: BuildPlan) -> SplitCheck:
        """That of ``plan``."""
        if plan.method.kind == "column":
            return cls("column", plan.method.name)
        return cls("key", plan.rows_file.key) if plan.rows_file and plan.rows_file.key else cls("", "")


def check_split(outcome: Outcome, check: SplitCheck) -> MoleculeRecord | Rejection:
    """The outcome's result, or its rejection where the text that names its part does not."""
    result = outcome.result
    if isinstance(result, Rejection) or not check.kind:
        return result
    held = f"column {check.column!r} holds {outcome.split[:40]!r}"
    if check.kind == "column":
        held += ", not train, valid or test"
        good = outcome.split.strip().lower() in PART_WORDS
    else:
        held += ", not a whole number"
        good = outcome.split.strip().lstrip("-").isdecimal()
    return result if good else Rejection(result.source, result.row, result.smiles, f"{UNKNOWN_SPLIT}: {held}")


def with_part(plan: BuildPlan, spill: Spill) -> Iterator[tuple[str, Finished]]:
    """(part, outcome) of every row in input order; part "" for one that is no molecule."""
    kind = plan.method.kind
    if plan.method.needs_all:
        # One reference per molecule waits in memory, to one string per scaffold.
        scaffolds = [sys.intern(done.split) for done in spill if done.n_atoms]
        parts = iter(plan.method.parts(scaffolds, plan.sizes, plan.seed))
    for done in spill:
        if not done.n_atoms:
            yield "", done
        elif plan.method.needs_all:
            yield SPLITS[next(parts)], done
        elif kind in ("column", "files"):
            yield PART_WORDS[done.split.strip().lower()], done
        elif kind == "rows":
            yield _given_part(done.row, done.split, plan), done
        else:
            yield "train", done


class SplitList:
    """``split.json``: the row ids of every part in the order of its store, and their sha256.

    The hash of a part is over its row ids, each followed by a line feed; the hash of the split is over the
    lines ``PART HASH`` of train, valid and test. Row ids wait in files, so that memory does not grow.
    """

    def __init__(self, stage: Path) -> None:
        self._stage = stage
        self._stack = ExitStack()
        self._files: dict[str, IO[str]] = {}
        self._counts = dict.fromkeys((*SPLITS, EXCLUDED), 0)
        self._hashes = {part: hashlib.sha256() for part in self._counts}
        self.sha256 = ""

    def __enter__(self) -> SplitList:
        for part in self._counts:
            file = (self._stage / f".{part}.ids").open("w+", encoding="utf-8")
            self._files[part] = self._stack.enter_context(file)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
        for part in self._counts:
            (self._stage / f".{part}.ids").unlink(missing_ok=True)

    def add(self, part: str, row_id: str) -> None:
        """Append a row to ``part`` ("train", "valid", "test" or "excluded")."""
        self._files[part].write((", " if self._counts[part] else "") + json.dumps(row_id))
        self._hashes[part].update(f"{row_id}\n".encode())
        self._counts[part] += 1

    @property
    def excluded(self) -> int:
        """Rows in no part."""
        return self._counts[EXCLUDED]

    def write(self, plan: BuildPlan) -> None:
        """Write the file."""
        lines = "".join(f"{part} {self._hashes[part].hexdigest()}\n" for part in SPLITS)
        self.sha256 = hashlib.sha256(lines.encode()).hexdigest()
        head: dict[str, Any] = {
            "method": plan.method.kind,
            "settings": plan.split_settings(),
            "sha256": self.sha256,
            "toolkit": TOOLKIT,
        }
        with (self._stage / SPLIT_LIST).open("w", encoding="utf-8") as out:
            out.write(json.dumps(head, indent=2)[:-2] + ",\n  " + '"parts": {\n')
            for part in SPLITS:
                out.write((",\n" if part != SPLITS[0] else "") + self._opening(part))
                out.writelines(self._ids(part))
            out.write("\n  },\n" + self._opening(EXCLUDED)[2:])
            out.writelines(self._ids(EXCLUDED))
            out.write("\n}\n")

    def _opening(self, part: str) -> str:
        facts = {"molecules" if part in SPLITS else "rows": self._counts[part]}
        digest = {"sha256": self._hashes[part].hexdigest()}
        return f'    "{part}": ' + json.dumps(facts | digest)[:-1] + ', "row_ids": ['

    def _ids(self, part: str) -> Iterator[str]:
        self._files[part].seek(0)
        while block := self._files[part].read(1 << 20):
            yield block
        yield "]}"

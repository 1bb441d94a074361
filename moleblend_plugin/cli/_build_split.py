"""Splits of a build: rows that are left out, the part of every molecule, and ``split.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final

from moleblend_plugin.chem.rows import RawRow
from moleblend_plugin.chem.workers import Outcome
from moleblend_plugin.cli._build_plan import SPLITS, BuildPlan
from moleblend_plugin.data.store import MoleculeStore, StoreWriter
from moleblend_plugin.schema import MoleculeRecord, Rejection

SPLIT_LIST: Final = "split.json"
EXCLUDED: Final = "excluded"

_SPLIT_WORDS: Final = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""What a split column may hold (case does not matter)."""


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


def check_split(outcome: Outcome, plan: BuildPlan) -> MoleculeRecord | Rejection:
    """The outcome's result, or its rejection where the text that names its part does not."""
    result = outcome.result
    kind, key = plan.method.kind, "" if plan.rows_file is None else plan.rows_file.key
    if isinstance(result, Rejection) or not (kind == "column" or key):
        return result
    if kind == "column":
        held = f"column {plan.method.name!r} holds {outcome.split[:40]!r}, not train, valid or test"
        good = outcome.split.lower() in _SPLIT_WORDS
    else:
        held = f"column {key!r} holds {outcome.split[:40]!r}, not a whole number"
        good = outcome.split.strip().lstrip("-").isdecimal()
    return result if good else Rejection(result.source, result.row, result.smiles, f"unknown split: {held}")


def with_split(
    plan: BuildPlan, accepted: Iterator[tuple[str, MoleculeRecord]], stage: Path
) -> Iterator[tuple[str, MoleculeRecord]]:
    """(part, record) in input order, from (split text or scaffold, record)."""
    if plan.method.kind == "none":
        yield from (("train", record) for _, record in accepted)
    elif plan.method.kind == "column":
        yield from ((_SPLIT_WORDS[text.lower()], record) for text, record in accepted)
    elif plan.method.kind == "rows":
        yield from ((_given_part(record.row, text, plan), record) for text, record in accepted)
    else:
        # The division needs all molecules first: they wait on disk, not in memory.
        waiting = stage / "waiting.lmdb"
        scaffolds: list[str] = []
        with StoreWriter(waiting, settings={}, sources={}, target_names=plan.columns.targets) as writer:
            names: dict[str, str] = {}  # one string per scaffold, not per molecule
            for scaffold, record in accepted:
                scaffolds.append(names.setdefault(scaffold, scaffold))
                writer.add(record)
        parts = plan.method.parts(scaffolds, plan.sizes, plan.seed)
        yield from (
            (SPLITS[part], record) for part, record in zip(parts, MoleculeStore(waiting), strict=True)
        )
        waiting.unlink()


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
        }
        with (self._stage / SPLIT_LIST).open("w", encoding="utf-8") as out:
            out.write(json.dumps(head, indent=2)[:-2] + ",\n  " + '"parts": {\n')
            out.write(",\n".join(self._opening(part) + "".join(self._ids(part)) for part in SPLITS))
            out.write("\n  },\n" + self._opening(EXCLUDED)[2:] + "".join(self._ids(EXCLUDED)) + "\n}\n")

    def _opening(self, part: str) -> str:
        facts = {"molecules" if part in SPLITS else "rows": self._counts[part]}
        digest = {"sha256": self._hashes[part].hexdigest()}
        return f'    "{part}": ' + json.dumps(facts | digest)[:-1] + ', "row_ids": ['

    def _ids(self, part: str) -> Iterator[str]:
        self._files[part].seek(0)
        while block := self._files[part].read(1 << 20):
            yield block
        yield "]}"

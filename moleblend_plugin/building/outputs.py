"""What a build writes: the stores of its parts, rejected.csv and build_report.json."""

from __future__ import annotations

import csv
import json
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from moleblend_plugin.building.finished_rows import Finished
from moleblend_plugin.building.plan import SPLITS, BuildPlan
from moleblend_plugin.data.store.reader import StoreWriter

REPORT: Final = "build_report.json"
REJECTED: Final = "rejected.csv"


class SplitWriters:
    """The stores of one build, each opened with its first record. A context manager like StoreWriter."""

    def __init__(
        self, stage: Path, plan: BuildPlan, settings: dict[str, Any], sources: dict[str, str]
    ) -> None:
        self.stage = stage
        self.plan = plan
        self.settings = settings
        self.sources = sources
        self.writers: dict[str, StoreWriter] = {}
        self._stack = ExitStack()

    def __enter__(self) -> SplitWriters:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, split: str, done: Finished) -> None:
        """Append a molecule to the store of ``split``."""
        if split not in self.writers:
            writer = StoreWriter(
                self.stage / f"{split}.lmdb",
                settings=self.settings,
                sources=self.sources,
                target_names=self.plan.columns.targets,
                split=split,
            )
            self.writers[split] = self._stack.enter_context(writer)
        self.writers[split].add_encoded(done.value, done.n_atoms)

    def counts(self) -> dict[str, int]:
        """Molecules per split."""
        return {split: len(self.writers[split]) for split in SPLITS if split in self.writers}


class RejectedList:
    """``rejected.csv``, written as the build goes: row id, input, reason."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("w", newline="", encoding="utf-8")
        self._csv = csv.writer(self._file)
        self._csv.writerow(("row_id", "input", "reason"))

    def __enter__(self) -> RejectedList:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def add(self, done: Finished) -> None:
        """Append a rejected row."""
        self._csv.writerow((f"{done.source}:{done.row}", done.text, done.reason))


def write_report(path: Path, report: dict[str, Any]) -> None:
    """The report as indented JSON."""
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

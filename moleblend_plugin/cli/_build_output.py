"""Where a build writes: a hidden folder, moved into place when everything in it is complete."""

from __future__ import annotations

import csv
import json
import os
import secrets
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from types import TracebackType
from typing import Any, Final

from moleblend_plugin.cli._build_plan import SPLITS, BuildPlan
from moleblend_plugin.data.store import StoreWriter
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import MoleculeRecord, Rejection

REPORT: Final = "build_report.json"
REJECTED: Final = "rejected.csv"


def refuse_existing(plan: BuildPlan) -> None:
    """Raise when a store would be replaced without ``--overwrite``, or ``out`` is a file."""
    if plan.out.exists() and not plan.out.is_dir():
        raise MoleblendError(f"--out {plan.out} is a file; name a folder")
    held = [f"{split}.lmdb" for split in SPLITS if (plan.out / f"{split}.lmdb").exists()]
    if held and not plan.overwrite:
        raise MoleblendError(
            f"{plan.out} already holds {', '.join(held)}; name another --out or add --overwrite"
        )


@contextmanager
def staging(out: Path) -> Iterator[Path]:
    """A folder to build in; its files are moved to ``out`` when the block ends well, else removed.

    Raises:
        MoleblendError: ``out`` cannot be written to, or the disk is full.
    """
    # Inside an existing folder its parent may be read-only or another disk; a new one appears in one step.
    inside = out.is_dir()
    stage = (out if inside else out.parent) / f".{out.name}.{secrets.token_hex(6)}.partial"
    try:
        stage.mkdir(parents=True)
        yield stage
        if inside:
            _move_files(stage, out)
        else:
            os.rename(stage, out)
    except OSError as error:
        raise MoleblendError(
            f"cannot write {out} ({error.strerror or error}); name a folder that can be written to and has "
            "free space"
        ) from error
    finally:
        shutil.rmtree(stage, ignore_errors=True)


def _move_files(stage: Path, out: Path) -> None:
    new = sorted(stage.iterdir())
    for split in SPLITS:  # a split that the new build does not have must not stay behind
        if not (stage / f"{split}.lmdb").exists():
            (out / f"{split}.lmdb").unlink(missing_ok=True)
    for file in new:
        os.replace(file, out / file.name)


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

    def add(self, split: str, record: MoleculeRecord) -> None:
        """Append ``record`` to the store of ``split``."""
        if split not in self.writers:
            writer = StoreWriter(
                self.stage / f"{split}.lmdb",
                settings=self.settings,
                sources=self.sources,
                target_names=self.plan.columns.targets,
                split=split,
            )
            self.writers[split] = self._stack.enter_context(writer)
        self.writers[split].add(record)

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

    def add(self, rejection: Rejection) -> None:
        """Append one row."""
        self._csv.writerow((f"{rejection.source}:{rejection.row}", rejection.text, rejection.reason))


def write_report(path: Path, report: dict[str, Any]) -> None:
    """The report as indented JSON."""
    path.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")

"""What people see of a build, in one run or in pieces: its news while it works, and what came of it."""

from __future__ import annotations

import sys
from contextlib import ExitStack
from typing import TYPE_CHECKING

from moleblend_plugin.cli._console import print_notes, print_tables
from moleblend_plugin.cli._progress import RowProgress

if TYPE_CHECKING:
    from moleblend_plugin.building.piece import PieceResult
    from moleblend_plugin.building.progress import BuildProgress
    from moleblend_plugin.building.result import BuildResult


class BuildNews:
    """Shows the news of a build: choices on stdout, the rest on stderr.

    Args:
        name: of the command.
    """

    def __init__(self, name: str = "build") -> None:
        self._name = name
        self._stack = ExitStack()
        self._bar: RowProgress | None = None
        self._fraction = 0.0

    def __enter__(self) -> BuildNews:
        return self

    def __exit__(self, *error: object) -> None:
        self._stack.close()

    def show(self, news: BuildProgress) -> None:
        """Show one of them."""
        if news.kind == "choice":
            print(news.line)
        elif news.kind == "note":
            self._say(news.line)
        else:
            self._advance(news)

    def _say(self, line: str) -> None:
        if self._bar is None:
            print(line, file=sys.stderr, flush=True)
        else:
            self._bar.say(line)

    def _advance(self, news: BuildProgress) -> None:
        self._fraction = news.fraction
        if self._bar is None:
            self._bar = self._stack.enter_context(
                RowProgress(self._name, lambda _: self._fraction, news.total)
            )
            self._bar.start_from(news.rows)
        self._bar.update(news.rows, f"{news.rejected:,} rejected")


def print_summary(result: BuildResult) -> None:
    """The counts as a table, then notes and warnings on stderr."""
    from rich.table import Table

    from moleblend_plugin.building.labels import class_notes

    table = Table(show_header=False, box=None)
    table.add_row("rows read", f"{result.rows:,}")
    if result.resumed_rows:
        table.add_row("", f"{result.resumed_rows:,}  finished before")
    table.add_row("molecules", f"{result.molecules:,}")
    table.add_row("with 3D", f"{result.with_3d:,}")
    for how, count in result.coords_from.items():
        table.add_row("", f"{count:,}  {how}")
    table.add_row("rejected", f"{result.rejected:,}")
    for reason, count in result.rejected_by_reason.items():
        table.add_row("", f"{count:,}  {reason}")
    if count := result.excluded - result.excluded_by_list:
        table.add_row("excluded", f"{count:,}  in no part of the given split")
    if result.exclude and result.excluded_by_list:
        level = result.exclude["level"]
        table.add_row("excluded", f"{result.excluded_by_list:,}  molecules of --exclude ({level})")
    if count := result.duplicates["molecules"]:
        table.add_row("duplicates", f"{count:,}  molecules stand in more than one row")
    for part, store in result.stores.items():
        table.add_row(part, f"{result.splits[part]:,}  {store}")
    method = result.settings["split"].partition(":")[0]
    table.add_row("split", f"{method}, sha256 {result.split_sha256[:16]}  {result.out / 'split.json'}")
    table.add_row("reports", f"{result.out / 'build_report.json'}, {result.out / 'rejected.csv'}")
    speed = f"{result.rows_per_second:,.0f} rows/s, {result.workers} worker{'s' * (result.workers != 1)}"
    table.add_row("time", f"{result.seconds:.1f} s, {speed}")
    print_tables(table)
    print_notes(result.notes)
    print_notes(class_notes(result.classes))
    for line in result.warnings:
        print(f"warning: {line}", file=sys.stderr)


def print_piece(result: PieceResult) -> None:
    """What a piece came to, in two lines."""
    done = "is there already" if result.was_there else f"took {result.seconds:.1f} s"
    left_out = f", {result.excluded:,} excluded" if result.excluded else ""
    print(
        f"piece {result.piece} {done}: {result.molecules:,} molecules, {result.rejected:,} rejected"
        f"{left_out}: {result.path}"
    )
    print(f"when all {result.piece.of} are there: moleblend join {result.path.parent} --out STORE")

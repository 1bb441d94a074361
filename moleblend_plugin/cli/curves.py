"""``moleblend curves``: a run's log as a picture, a page and a table."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli._console import print_tables

if TYPE_CHECKING:
    from moleblend_plugin.report.run_log import Points, RunLog
    from moleblend_plugin.schema import Curve


def curves(
    run: Annotated[
        Path, typer.Argument(help="A run's folder (--save-dir), or a captured --log-format json log.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for curves.png and curves.html.")] = Path(
        "."
    ),
) -> None:
    """Draw a run's losses and accuracies: curves.png, curves.html and a table here."""
    from moleblend_plugin.report.curves_page import write_curves
    from moleblend_plugin.report.run_log import logged_curves, read_run_log

    log = read_run_log(run)
    logged = logged_curves(log)
    png, html = write_curves(log, logged, out)
    print_table(log, logged)
    print(f"picture: {png}\npage:    {html}")


def print_table(log: RunLog, curves: tuple[Curve, ...]) -> None:
    """Prints first -> last and the change of every curve, for training and validation."""
    from rich import box
    from rich.table import Table

    from moleblend_plugin.report.run_log import best_point

    title = f"first → last over {log.updates} updates of {log.path}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("term", no_wrap=True)
    for column in ("training", "change", log.subset or "validation", "change", "best"):
        table.add_column(column, justify="right", no_wrap=True)
    for curve in curves:
        train, valid = log.train.get(curve.key, []), log.valid.get(curve.key, [])
        best = f"{best_point(curve, valid)[1]:.3f}" if valid else "-"
        label = f"{curve.key} [Å]" if curve.unit.startswith("Å") else curve.key
        table.add_row(label, span(train), change(curve, train), span(valid), change(curve, valid), best)
    print(title)
    print_tables(table)


def span(points: Points) -> str:
    """First and last value, ``-`` without points."""
    return f"{points[0][1]:.3f} → {points[-1][1]:.3f}" if points else "-"


def change(curve: Curve, points: Points) -> str:
    """Change from the first to the last value: in per cent of a loss or error, as it is for a score."""
    if not points:
        return "-"
    first, last = points[0][1], points[-1][1]
    if curve.rises:
        return f"{last - first:+.2f}"
    return f"{(last - first) / first:+.0%}" if first > 0 else "-"

"""``moleblend curves``: a run's log as a picture, a page and a table."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from moleblend_plugin.cli._console import print_tables
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.report.run_log import Points, RunLog, Term, logged_terms, read_run_log


def curves(
    run: Annotated[
        Path, typer.Argument(help="A run's folder (--save-dir), or a captured --log-format json log.")
    ],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for curves.png and curves.html.")] = Path(
        "."
    ),
) -> None:
    """Draw a run's losses and accuracies: curves.png, curves.html and a table here."""
    log = read_run_log(run)
    terms = logged_terms(log)
    png, html = draw_curves(log, terms, out)
    print_table(log, terms)
    print(f"picture: {png}\npage:    {html}")


def draw_curves(log: RunLog, terms: tuple[Term, ...], out: Path) -> tuple[Path, Path]:
    """Writes ``curves.png`` and ``curves.html`` to a folder, which is made when missing; returns both paths.

    Raises:
        MoleblendError: the folder cannot be written.
    """
    from moleblend_plugin.report import curves_page

    title = f"{log.path.parent}: {log.updates} updates"
    light = curves_page.figure_png(log, terms, title, curves_page.LIGHT)
    dark = curves_page.figure_png(log, terms, title, curves_page.DARK)
    page = curves_page.html_page(log, terms, title, light, dark)
    png, html = out / "curves.png", out / "curves.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise MoleblendError(
            f"{out} cannot be made ({problem.strerror}); choose another folder with --out"
        ) from None
    for path, content in ((png, light), (html, page.encode("utf-8"))):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return png, html


def print_table(log: RunLog, terms: tuple[Term, ...]) -> None:
    """Prints first -> last and the change of every term, for training and validation."""
    from rich import box
    from rich.table import Table

    title = f"first → last over {log.updates} updates of {log.path}"
    table = Table(box=box.SIMPLE_HEAD, padding=(0, 1, 0, 0))
    table.add_column("term", no_wrap=True)
    for column in ("training", "change", log.subset or "validation", "change", "best"):
        table.add_column(column, justify="right", no_wrap=True)
    for term in terms:
        train, valid = log.train.get(term.key, []), log.valid.get(term.key, [])
        best = f"{term.best(valid)[1]:.3f}" if valid else "-"
        label = f"{term.key} [Å]" if term.unit.startswith("Å") else term.key
        table.add_row(label, span(train), change(term, train), span(valid), change(term, valid), best)
    print(title)
    print_tables(table)


def span(points: Points) -> str:
    """First and last value, ``-`` without points."""
    return f"{points[0][1]:.3f} → {points[-1][1]:.3f}" if points else "-"


def change(term: Term, points: Points) -> str:
    """Change from the first to the last value: in per cent of a loss or error, as it is for a score."""
    if not points:
        return "-"
    first, last = points[0][1], points[-1][1]
    if term.rises:
        return f"{last - first:+.2f}"
    return f"{(last - first) / first:+.0%}" if first > 0 else "-"

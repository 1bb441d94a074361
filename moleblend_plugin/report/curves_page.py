"""The figure and the self-contained page that ``moleblend curves`` writes."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from math import ceil
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.report.page import html_page, html_picture, html_table
from moleblend_plugin.report.run_log import Points, RunLog, best_point
from moleblend_plugin.report.theme import Picture, Theme, draw, legend_label
from moleblend_plugin.schema import Curve

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS: Final = 3
"""Panels side by side."""


def write_curves(log: RunLog, curves: Sequence[Curve], out: Path) -> tuple[Path, Path]:
    """Writes ``curves.png`` and ``curves.html`` to a folder, which is made when missing; returns both paths.

    Raises:
        MoleblendError: the folder cannot be written.
    """
    title = f"{log.path.parent}: {log.updates} updates"
    figure = draw_curves(log, curves, title)
    png, html = out / "curves.png", out / "curves.html"
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise MoleblendError(
            f"{out} cannot be made ({problem.strerror}); choose another folder with --out"
        ) from None
    page = curves_page(log, curves, title, figure)
    for path, content in ((png, figure.light), (html, page.encode("utf-8"))):
        with replacing(path) as temporary:
            temporary.write_bytes(content)
    return png, html


def draw_curves(log: RunLog, curves: Sequence[Curve], title: str) -> Picture:
    """One panel per curve: training as a thin line, validation as points."""
    rows, columns = ceil(len(curves) / COLUMNS), min(COLUMNS, len(curves))

    def fill(figure: Figure, theme: Theme) -> None:
        figure.suptitle(title, fontsize=12)
        panels = [figure.add_subplot(rows, columns, number + 1) for number in range(len(curves))]
        for panel, curve in zip(panels, curves, strict=True):
            _draw_curve(panel, log, curve, theme)
        for panel in panels[-columns:]:  # the lowest of each column
            panel.set_xlabel("updates")
        panels[0].legend(frameon=False)
        figure.align_ylabels(panels)

    caption = f"{', '.join(curve.title for curve in curves)} over updates"
    return draw(caption, (4 * columns, 0.7 + 2.4 * rows), fill)


def _draw_curve(panel: Axes, log: RunLog, curve: Curve, theme: Theme) -> None:
    """One number over updates, with its unit; the two legends are the same in every panel."""
    subset = legend_label(log.subset) or "no validation"
    panel.plot(*_columns(log.train.get(curve.key, [])), color=theme.train, linewidth=1, label="training")
    panel.plot(
        *_columns(log.valid.get(curve.key, [])),
        color=theme.valid,
        linewidth=0.8,
        marker="o",
        markersize=4,
        label=subset,
    )
    panel.set_title(curve.title, fontsize=10, loc="left")
    panel.set_ylabel(curve.unit, fontsize=8)
    panel.grid(visible=True, linewidth=0.5)
    panel.set_xlim(0, max(1, log.updates) * 1.02)


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [update for update, _ in points], [value for _, value in points]


def curves_page(log: RunLog, curves: Sequence[Curve], title: str, figure: Picture) -> str:
    """The page: the figure, and a table of every curve."""
    header = ("term", "first", "last", "best", "best at")
    tables = [
        html_table(caption, header, [_row(one, points[one.key]) for one in curves if one.key in points])
        for caption, points in (("Training", log.train), (log.subset[:1].upper() + log.subset[1:], log.valid))
        if points
    ]
    intro = f"training: mean over each log interval; {log.subset or 'no validation'}: whole subset"
    return html_page(title, intro, [html_picture(figure), *tables], f"Read from {log.path}.")


def _row(curve: Curve, points: Points) -> list[str]:
    at, best = best_point(curve, points)
    name = f"{escape(curve.title)} <small>{escape(curve.unit)}</small>"
    return [name, *(f"{value:.4f}" for value in (points[0][1], points[-1][1], best)), f"update {at}"]

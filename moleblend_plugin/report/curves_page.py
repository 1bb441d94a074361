"""The figure and the self-contained page that ``moleblend curves`` writes."""

from __future__ import annotations

import base64
import io
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from math import ceil
from typing import TYPE_CHECKING, Final

from moleblend_plugin.report.run_log import Points, RunLog, Term
from moleblend_plugin.version import __version__

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLUMNS: Final = 3
"""Panels side by side."""


@dataclass(frozen=True, slots=True)
class Theme:
    """Colours of a figure."""

    paper: str
    ink: str
    grid: str
    train: str
    valid: str


LIGHT: Final = Theme(paper="#ffffff", ink="#24292f", grid="#d8dee4", train="#7aa7d9", valid="#c2410c")
DARK: Final = Theme(paper="#161b22", ink="#e6edf3", grid="#30363d", train="#5b87b8", valid="#fb923c")

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #24292f; --soft: #57606a; --line: #d8dee4; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #8d96a0; --line: #30363d; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
       max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
p { color: var(--soft); margin-top: 0; }
img { width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1.5rem 0; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: 400; white-space: normal; }
small { color: var(--soft); }
"""


def figure_png(log: RunLog, terms: Sequence[Term], title: str, theme: Theme) -> bytes:
    """One panel per term: training as a thin line, validation as points. Returns a PNG."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    rows, columns = ceil(len(terms) / COLUMNS), min(COLUMNS, len(terms))
    with rc_context(
        {
            "text.color": theme.ink,
            "axes.labelcolor": theme.ink,
            "xtick.color": theme.ink,
            "ytick.color": theme.ink,
            "axes.edgecolor": theme.grid,
            "axes.facecolor": theme.paper,
            "grid.color": theme.grid,
            "font.size": 9,
            "axes.spines.top": False,
            "axes.spines.right": False,
            "text.parse_math": False,  # a name with two $ in it is no formula
        }
    ):
        figure = Figure(
            figsize=(4 * columns, 0.7 + 2.4 * rows), dpi=120, facecolor=theme.paper, layout="constrained"
        )
        FigureCanvasAgg(figure)
        figure.suptitle(title, fontsize=12)
        panels = [figure.add_subplot(rows, columns, number + 1) for number in range(len(terms))]
        for panel, term in zip(panels, terms, strict=True):
            _draw_term(panel, log, term, theme)
        for panel in panels[-columns:]:  # the lowest of each column
            panel.set_xlabel("updates")
        panels[0].legend(frameon=False)
        figure.align_ylabels(panels)
        png = io.BytesIO()
        figure.savefig(png, format="png")
    return png.getvalue()


def _draw_term(panel: Axes, log: RunLog, term: Term, theme: Theme) -> None:
    """One term over updates, with its unit; the two legends are the same in every panel."""
    updates, values = _columns(log.train.get(term.key, []))
    panel.plot(updates, values, color=theme.train, linewidth=1, label="training")
    updates, values = _columns(log.valid.get(term.key, []))
    panel.plot(
        updates,
        values,
        color=theme.valid,
        linewidth=0.8,
        marker="o",
        markersize=4,
        label=legend_label(log.subset) or "no validation",
    )
    panel.set_title(term.title, fontsize=10, loc="left")
    panel.set_ylabel(term.unit, fontsize=8)
    panel.grid(visible=True, linewidth=0.5)
    panel.set_xlim(0, max(1, log.updates) * 1.02)


def legend_label(name: str) -> str:
    """``name`` for a legend, which leaves out names that begin with an underscore."""
    return f" {name}" if name.startswith("_") else name


def _columns(points: Points) -> tuple[list[int], list[float]]:
    return [update for update, _ in points], [value for _, value in points]


def html_page(log: RunLog, terms: Sequence[Term], title: str, light: bytes, dark: bytes) -> str:
    """A page that needs nothing else: the figure for light and dark screens, and a table of every term."""
    name = escape(title)
    notes = f"training: mean over each log interval; {escape(log.subset or 'no validation')}: whole subset"
    head = "".join(
        f'<th scope="col">{column}</th>' for column in ("term", "first", "last", "best", "best at")
    )
    tables = "".join(
        f"<div><table><caption>{caption}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{''.join(_row(term, points[term.key]) for term in terms if term.key in points)}</tbody>"
        "</table></div>\n"
        for caption, points in (
            ("Training", log.train),
            (escape(log.subset[:1].upper() + log.subset[1:]), log.valid),
        )
        if points
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{name}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{name}</h1>
<p>{notes}</p>
<picture>
<source media="(prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">
<img src="{_data_uri(light)}" alt="{escape(", ".join(term.title for term in terms))} over updates">
</picture>
{tables}<p><small>Read from {escape(str(log.path))} by moleblend_plugin {__version__}.</small></p>
</body>
</html>
"""


def _row(term: Term, points: Points) -> str:
    at, best = term.best(points)
    cells = "".join(f"<td>{value:.4f}</td>" for value in (points[0][1], points[-1][1], best))
    return (
        f'<tr><th scope="row">{escape(term.title)} <small>{escape(term.unit)}</small></th>'
        f"{cells}<td>update {at}</td></tr>"
    )


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"

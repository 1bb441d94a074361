"""``report.html``: what a comparison found, on one page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence, Sized
from html import escape
from typing import Final

from moleblend_plugin.bench.report.comparisons import Comparison
from moleblend_plugin.bench.report.summary import Plan
from moleblend_plugin.bench.report.table import Best, ReportTable, Verdict
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.page import html_page, html_picture, html_table
from moleblend_plugin.report.theme import Picture

MOST_SHOWN: Final = 10
"""Sentences that stand above the table."""

MOST_ROWS: Final = 30
"""Rows of a table that is not folded."""


def report_page(
    plan: Plan,
    headlines: Sequence[str],
    tables: Sequence[ReportTable],
    overview: Picture,
    pictures: Mapping[str, Picture],
    notes: Iterable[str],
) -> str:
    """The page.

    Args:
        plan: what is compared.
        headlines: what is to be known first, a sentence each.
        tables: the first stands above the pictures, the others below.
        overview: all sets.
        pictures: by set.
        notes: small print, a sentence each.
    """
    title = f"{_count(plan.models, 'model')} on {_count(plan.sets, 'set')}, {_count(plan.seeds, 'seed')}"
    headline_list = _headline_list([escape(line) for line in headlines])
    sets = [
        f"<h2>{escape(name)} <small>{escape(plan.sets[name])}, split {escape(plan.splits[name])}</small>"
        f"</h2>\n{html_picture(picture)}"
        for name, picture in pictures.items()
    ]
    shown = [_table(table) for table in tables]
    intro = "Everything is selected on the validation part; the test part is scored once."
    parts = [headline_list, html_picture(overview), shown[0], *shown[1:2], *sets, *shown[2:]]
    return html_page(title, intro, parts, " ".join(notes))


def _headline_list(lines: Sequence[str]) -> str:
    """The sentences as a list; of many models they would push the table off the screen, so it is folded."""
    listed = f'<ul class="headlines">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'
    if len(lines) <= MOST_SHOWN:
        return listed
    return f"<details><summary>{len(lines)} comparisons in words</summary>{listed}</details>"


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"


def headlines(plan: Plan, compared: Sequence[Comparison], best: Mapping[str, str]) -> list[str]:
    """For each of our models: on how many sets it stands above the others, and how often clearly.

    Args:
        plan: what is compared.
        compared: all differences.
        best: by set, the best model that is not ours, "" for none.
    """
    lines = []
    for model in plan.ours:
        against = [one for one in compared if one.ours == model and one.other == best.get(one.set)]
        if against:
            lines.append(f"{model} {_counted(plan, against)} the best baseline of each set")
        for other in [name for name in plan.ours if name != model]:
            pairs = [one for one in compared if (one.ours, one.other) == (model, other)]
            if pairs:
                lines.append(f"{model} {_counted(plan, pairs)} {other}")
    return lines


def _counted(plan: Plan, pairs: Sequence[Comparison]) -> str:
    above = sum((one.difference > 0) == (METRICS[plan.sets[one.set]].rises) for one in pairs)
    clear = sum(one.verdict == "better" for one in pairs)
    worse = sum(one.verdict == "worse" for one in pairs)
    of_all = _count(pairs, "set")
    return f"scores better on {above} of {of_all} ({clear} clearly, and clearly worse on {worse}) than"


def _table(table: ReportTable) -> str:
    caption, header, rows = table
    shown = html_table(caption, header, [[_cell(cell) for cell in row] for row in rows])
    if len(rows) <= MOST_ROWS:
        return shown
    return f"<details><summary>{escape(caption)}: {len(rows)} rows</summary>{shown}</details>"


def _cell(text: str) -> str:
    if isinstance(text, Verdict) and text in ("better", "worse"):
        return f'<span class="{text}">{text}</span>'
    if isinstance(text, Best):
        return f"<b>{escape(text.score)}</b>{escape(text.rest)}"
    return escape(text)

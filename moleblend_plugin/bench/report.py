"""Everything that is made from finished cells: ``scores.csv``, ``table.md`` and ``report.html``."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from moleblend_plugin.bench.summary import Plan, comparisons, read_groups
from moleblend_plugin.bench.table import markdown, tables, write_scores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing


class Report(NamedTuple):
    """What was written.

    Attributes:
        scores: the rows, CSV.
        table: the tables, Markdown.
        page: the page, HTML.
        text: what ``table`` holds.
    """

    scores: Path
    table: Path
    page: Path
    text: str


def write_report(plan: Plan, out: Path) -> Report:
    """Write the three files from the cells in ``out``.

    Raises:
        MoleblendError: no cell is finished, or the folder cannot be written.
    """
    groups = read_groups(plan, out)
    report = Report(out / "scores.csv", out / "table.md", out / "report.html", "")
    write_scores(plan, groups, report.scores)
    if not any(group.results for group in groups.values()):
        raise MoleblendError(f"no cell of {out} is finished; {report.scores} tells why")
    compared = comparisons(plan, groups)
    found = tables(plan, groups, compared)
    text = markdown(plan, found)
    with replacing(report.table) as temporary:
        temporary.write_text(text, encoding="utf-8")
    return report._replace(text=text)

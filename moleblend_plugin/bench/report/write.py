"""Everything that is made from finished cells: ``scores.csv``, ``table.md`` and ``report.html``."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from moleblend_plugin.bench.report import figures, html_report
from moleblend_plugin.bench.report.comparisons import best_model, comparisons
from moleblend_plugin.bench.report.dot_plot import dot_plot
from moleblend_plugin.bench.report.scores_csv import write_scores
from moleblend_plugin.bench.report.summary import CellGroups, Plan, read_groups
from moleblend_plugin.bench.report.table import escaped, markdown, tables
from moleblend_plugin.bench.run.stores import scaffold_sizes, shared_with_test
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.report.theme import Picture


class WrittenReport(NamedTuple):
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


def write_report(plan: Plan, out: Path) -> WrittenReport:
    """Write the three files from the cells in ``out``.

    Raises:
        MoleblendError: no cell is finished, or the folder cannot be written.
    """
    groups = read_groups(plan, out)
    report = WrittenReport(out / "scores.csv", out / "table.md", out / "report.html", "")
    write_scores(plan, groups, report.scores)
    if not any(group.results for group in groups.values()):
        raise MoleblendError(f"no cell of {out} is finished; {report.scores} says why")
    whole, plan = plan, _there(plan, groups)
    compared = comparisons(plan, groups)
    shared = {name: shared_with_test(out, name) for name in plan.sets}
    found = tables(plan, groups, compared, shared)
    top = html_report.headlines(plan, compared, _best_others(plan, groups))
    text = "\n".join([*(f"- {escaped(line)}" for line in top), "", markdown(plan, found)])
    html = html_report.report_page(
        plan, top, found, dot_plot(plan, groups), _of_sets(plan, groups, out), _notes(whole, groups)
    )
    for path, content in ((report.table, text), (report.page, html)):
        with replacing(path) as temporary:
            temporary.write_text(content, encoding="utf-8")
    return report._replace(text=text)


def _there(plan: Plan, groups: CellGroups) -> Plan:
    """The sets and models that have a cell, finished or failed; the others would be rows of nothing."""
    held = [key for key, group in groups.items() if group.results or group.failed]
    sets = {name: metric for name, metric in plan.sets.items() if any(name == one for one, _ in held)}
    models = {name: kind for name, kind in plan.models.items() if any(name == one for _, one in held)}
    return replace(plan, sets=sets, models=models)


def _best_others(plan: Plan, groups: CellGroups) -> dict[str, str]:
    """By set, the best model that is not ours."""
    return {name: best_model(plan, groups, name, plan.baselines) for name in plan.sets}


def _of_sets(plan: Plan, groups: CellGroups, out: Path) -> dict[str, Picture]:
    """By set that has results, its picture."""
    return {
        name: figures.of_set(plan, groups, name, scaffold_sizes(out, name))
        for name in plan.sets
        if any(groups[name, model].results for model in plan.models)
    }


def _notes(plan: Plan, groups: CellGroups) -> list[str]:
    """Versions that made the cells, and how many of them there are."""
    results = [result for group in groups.values() for result in group.results.values()]
    versions = {f"{name} {version}" for result in results for name, version in result["packages"].items()}
    revisions = {str(result["revision"])[:12] for result in results if result.get("revision")}
    cells = len(groups) * len(plan.seeds)
    return [
        *(f"{note}." for note in plan.notes),
        f"{len(results)} of {cells} cells are finished.",
        f"Packages: {', '.join(sorted(versions))}.",
        f"Revisions: {', '.join(sorted(revisions)) or 'not from a checkout'}.",
    ]

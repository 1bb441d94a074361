"""``table.md`` of a comparison."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

import numpy as np

from moleblend_plugin.bench.report.comparisons import Comparison, best_model, of_best_ours
from moleblend_plugin.bench.report.summary import CellGroup, CellGroups, Plan, mean_sd
from moleblend_plugin.metrics.scores import METRICS


class Form(NamedTuple):
    """How the scores of a set are written."""

    scale: float
    digits: int

    def number(self, value: float, sign: str = "") -> str:
        """``sign`` is "+" where both signs are shown."""
        return f"{value * self.scale:{sign}.{self.digits}f}"

    def mean(self, values: Sequence[float]) -> str:
        """``mean (sd)``, or "-" of nothing."""
        mean, spread = mean_sd(values)
        if np.isnan(mean):
            return "-"
        return self.number(mean) + ("" if np.isnan(spread) else f" ({self.number(spread)})")


def form_of(plan: Plan, groups: CellGroups, name: str) -> Form:
    """Areas under curves in per cent; errors in the labels' units, the least with three digits or more."""
    metric = plan.sets[name]
    if metric in ("roc_auc", "pr_auc"):
        return Form(100, 1)
    means = [mean_sd(groups[name, model].scores("test", metric))[0] for model in plan.models]
    least = min((mean for mean in means if 0 < mean < math.inf), default=1.0)
    return Form(1, max(3, 2 - math.floor(math.log10(least))))


MOST_COLUMNS: Final = 6
"""Models that stand side by side; more are a row each, where there are fewer sets."""

Shared = Mapping[str, Mapping[str, int]]
"""By part: counts of ``molecules``, ``conflicts`` and ``scaffolds``."""

ReportTable = tuple[str, list[str], list[list[str]]]
"""Caption, header, rows; cells are text, and those of the classes below are shown as such."""


class Best(str):
    """The best score of a row, and what stands behind it."""

    rest: str

    def __new__(cls, score: str, rest: str = "") -> Best:
        """The whole cell; only ``score`` is bold."""
        cell = super().__new__(cls, score + rest)
        cell.rest = rest
        return cell

    @property
    def score(self) -> str:
        """What is bold."""
        return self[: len(self) - len(self.rest)]


class Verdict(str):
    """What a comparison says: better, worse or neither."""


_MARKDOWN = re.compile(r"[\\`*|~$]|<(?=[A-Za-z/!?])|(?<=\])(?=[(\[])|(?<!\w)_|_(?!\w)")


def escaped(text: str) -> str:
    """``text`` in Markdown that shows it as it is: names of sets and models are no markup."""
    return _MARKDOWN.sub(lambda found: "\\" + found[0], " ".join(text.splitlines()))


def tables(
    plan: Plan, groups: CellGroups, compared: Sequence[Comparison], shared: Mapping[str, Shared]
) -> list[ReportTable]:
    """Everything that ``table.md`` and the page report in words and numbers.

    Args:
        plan: what is compared.
        groups: its cells.
        compared: differences of test scores.
        shared: by set, what train and valid share with test; empty where the stores do not tell.
    """
    found = [_score_table(plan, groups)]
    best = of_best_ours(plan, groups, compared)
    if best:
        caption = "Our model with the best validation score of each set against every baseline"
        found.append(_difference_table(plan, groups, best, caption))
    if len(compared) > len(best):
        found.append(_difference_table(plan, groups, compared, "All differences of test scores"))
    ours = [model for model, kind in plan.models.items() if kind == "ours"]
    if ours:
        found.append(_selection_table(plan, groups, ours))
    found.append(_cost_table(plan, groups))
    if any(shared.values()):
        found.append(_shared_table(shared))
    failed = _failed_table(groups)
    return [*found, failed] if failed[2] else found


def _score_table(plan: Plan, groups: CellGroups) -> ReportTable:
    rows = []
    for name, metric in plan.sets.items():
        best, form = best_model(plan, groups, name), form_of(plan, groups, name)
        cells = []
        for model in plan.models:
            group = groups[name, model]
            text = form.mean(group.scores("test", metric))
            missing = len(plan.seeds) - len(group.results)
            facts = f", {_seconds(group)}" if group.results else ""
            facts += (
                f" [{len(group.results)} of {len(plan.seeds)} seeds]" if missing and group.results else ""
            )
            cells.append(Best(text, facts) if model == best else text + facts)
        rows.append(
            [name, f"{metric} {'↑' if METRICS[metric].rises else '↓'}", *_sizes(groups, plan, name), *cells]
        )
    seeds = ", ".join(map(str, plan.seeds))
    caption = f"Test score, selected on validation: mean (sd) over seeds {seeds}; processor seconds of a run"
    return _arranged(plan, caption, ["set", "metric", "test molecules", "tasks", *plan.models], rows)


def _arranged(plan: Plan, caption: str, header: list[str], rows: list[list[str]]) -> ReportTable:
    """A row per set; with many models and fewer sets a row per model."""
    if len(plan.models) <= max(MOST_COLUMNS, len(plan.sets)):
        return caption, header, rows
    columns = [list(column) for column in zip(header, *rows, strict=True)]
    return caption, ["", *columns[0][1:]], columns[1:]


def _seconds(group: CellGroup) -> str:
    """Mean processor time of a cell; below 10 seconds with a digit."""
    mean = float(np.mean([float(one["cpu_seconds"]) for one in group.results.values()]))
    return f"{mean:,.0f} s" if mean >= 10 else f"{mean:.1f} s"


def _sizes(groups: CellGroups, plan: Plan, name: str) -> list[str]:
    """Test molecules; tasks, with those that no score exists of."""
    results = [one for model in plan.models for one in groups[name, model].results.values()]
    if not results:
        return ["-", "-"]
    left_out = len(results[0]["test"]["left_out"][plan.sets[name]])
    tasks = str(results[0]["tasks"]) + (f" ({left_out} with one class left out)" if left_out else "")
    return [str(results[0]["n"]["test"]), tasks]


def _difference_table(
    plan: Plan, groups: CellGroups, compared: Sequence[Comparison], caption: str
) -> ReportTable:
    rows = []
    for one in compared:
        form = form_of(plan, groups, one.set)
        low, middle, high = (form.number(value, "+") for value in (one.low, one.difference, one.high))
        p = [f"{value:.3f}" if value >= 0.0005 else "< 0.001" for value in (one.p, one.p_all)]
        by_chance = one.verdict in ("better", "worse") and one.p_all > 0.05  # one of many: no green, no red
        verdict = f"{one.verdict}, taken alone" if by_chance else Verdict(one.verdict)
        rows.append([one.set, one.ours, one.other, middle, f"{low} to {high}", *p, verdict])
    caption += (
        ": paired bootstrap over test molecules, 95 % intervals; the second p "
        f"counts all {len(compared)} comparisons of this table (Holm)"
    )
    header = ["set", "model", "against", "difference", "interval", "p", "p of all", "verdict"]
    return caption, header, rows


def _selection_table(plan: Plan, groups: CellGroups, ours: Sequence[str]) -> ReportTable:
    rows = []
    for name, metric in plan.sets.items():
        form = form_of(plan, groups, name)
        for model in ours:
            group = groups[name, model]
            rows.append(
                [
                    name,
                    model,
                    form.mean(group.scores("valid", metric)),
                    form.mean(group.scores("test", metric)),
                    form.mean(group.test_selected()),
                ]
            )
    caption = (
        "What selection does: the epoch chosen on validation (our result) and on test (for comparison only)"
    )
    header = ["set", "model", "validation", "test, valid-selected", "test, test-selected"]
    return caption, header, rows


def _cost_table(plan: Plan, groups: CellGroups) -> ReportTable:
    rows = []
    for name in plan.sets:
        cells = []
        for model in plan.models:
            results = groups[name, model].results.values()
            wall = [float(one["seconds"]["total"]) for one in results]
            cpu = [float(one["cpu_seconds"]) for one in results]
            cells.append(f"{np.mean(wall):,.0f} / {np.mean(cpu):,.0f}" if wall else "-")
        rows.append([name, *cells])
    caption = "Compute per cell: seconds passed / processor seconds"
    return _arranged(plan, caption, ["set", *plan.models], rows)


def _shared_table(shared: Mapping[str, Shared]) -> ReportTable:
    rows = [
        [name, *(str(facts[part][key]) for key in ("molecules", "conflicts", "scaffolds") for part in facts)]
        for name, facts in shared.items()
        if facts
    ]
    parts = list(next(facts for facts in shared.values() if facts))
    header = [
        f"{what}, {part}"
        for what in ("molecules", "of them with other labels", "scaffolds")
        for part in parts
    ]
    caption = (
        "What the split lets through: test molecules (without stereo) and scaffolds that other parts hold too"
    )
    return caption, ["set", *header], rows


def _failed_table(groups: CellGroups) -> ReportTable:
    rows = [
        [group.set, group.model, str(seed), error]
        for group in groups.values()
        for seed, error in group.failed.items()
    ]
    return "Cells that failed", ["set", "model", "seed", "reason"], rows


def markdown(plan: Plan, found: Sequence[ReportTable]) -> str:
    """``table.md``."""
    splits = escaped(", ".join(f"{name}: {plan.splits[name]}" for name in plan.sets))
    notes = "".join(f"{escaped(note)}.\n\n" for note in plan.notes)
    units = "Areas under curves are in per cent; errors in the units of the labels."
    parts = [f"Splits: {splits}.\n\n{notes}{units}\n"]
    for caption, header, rows in found:
        lines = [[escaped(cell) for cell in header], ["---"] * len(header)]
        lines += [[_cell(cell) for cell in row] for row in rows]
        body = "\n".join("| " + " | ".join(line) + " |" for line in lines)
        parts.append(f"{caption}\n\n{body}\n")
    return "\n".join(parts)


def _cell(cell: str) -> str:
    if isinstance(cell, Best):
        return f"**{escaped(cell.score)}**{escaped(cell.rest)}"
    return escaped(cell)

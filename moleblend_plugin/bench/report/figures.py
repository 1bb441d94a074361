"""Pictures of a comparison.

Overview: every model's test score on every set. Per set: ROC or parity, learning curves, score by size of
scaffold.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from moleblend_plugin.bench.report.figure_data import (
    by_scaffold_size,
    learning_curves,
    mean_predictions,
    mean_roc,
)
from moleblend_plugin.bench.report.summary import CellGroup, CellGroups, Plan, mean_sd
from moleblend_plugin.bench.report.table import best_model
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.run_log import best_point
from moleblend_plugin.report.theme import Picture, Theme, draw, legend_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")


def overview(plan: Plan, groups: CellGroups) -> Picture:
    """One small panel per set: mean test score of every model, one standard deviation to each side."""
    columns = min(4, len(plan.sets))
    rows = ceil(len(plan.sets) / columns)

    def fill(figure: Figure, theme: Theme) -> None:
        for number, (name, metric) in enumerate(plan.sets.items()):
            panel = figure.add_subplot(rows, columns, number + 1)
            panel.set_title(
                f"{name}: {metric} {'→' if METRICS[metric].rises else '←'}", fontsize=10, loc="left"
            )
            _score_dots(panel, plan, groups, name, theme)
            if number % columns:
                panel.set_yticklabels([])

    size = (3.1 * columns, 0.4 + (0.7 + 0.26 * len(plan.models)) * rows)
    return draw("Test score of every model on every set", size, fill)


def _score_dots(panel: Axes, plan: Plan, groups: CellGroups, name: str, theme: Theme) -> None:
    models = list(plan.models)
    best = best_model(plan, groups, name)
    for place, model in enumerate(models):
        mean, spread = mean_sd(groups[name, model].scores("test", plan.sets[name]))
        if np.isnan(mean):
            panel.text(
                0.5, place, "no result", transform=panel.get_yaxis_transform(), ha="center", va="center"
            )
            continue
        panel.errorbar(
            mean,
            place,
            xerr=0 if np.isnan(spread) else spread,
            color=theme.lines[place % len(theme.lines)],
            marker=MARKERS[place % len(MARKERS)],
            markersize=8 if model == best else 5,
            capsize=3,
        )
    panel.set_yticks(range(len(models)), models)
    panel.set_ylim(len(models) - 0.5, -0.5)
    panel.margins(x=0.15)
    panel.grid(visible=True, axis="x", linewidth=0.5)


def of_set(plan: Plan, groups: CellGroups, name: str, sizes: Mapping[str, int]) -> Picture:
    """The panels of one set.

    Args:
        plan: what is compared.
        groups: its cells.
        name: the set.
        sizes: by row id of a test molecule, how many molecules share its scaffold.
    """
    metric = plan.sets[name]
    there = {
        model: groups[name, model] for model in plan.models if groups[name, model].results
    }  # in the order of the plan
    curves = {model: found for model, group in there.items() if (found := learning_curves(group))}

    def fill(figure: Figure, theme: Theme) -> None:
        look = {
            model: {"color": theme.lines[place % len(theme.lines)], "marker": MARKERS[place % len(MARKERS)]}
            for place, model in enumerate(plan.models)
        }
        panels = figure.subplots(1, 2 + bool(curves), squeeze=False)[0]
        if METRICS[metric].kind == "classification":
            _roc(panels[0], there, look, theme)
        else:
            _parity(panels[0], there, look, theme, best_model(plan, groups, name))
        _scaffolds(panels[1], there, look, metric, sizes)
        if curves:
            _learning(panels[2], curves, look, metric)

    caption = f"{name}: predictions, scores by scaffold and learning curves"
    return draw(caption, (4.2 * (2 + bool(curves)), 3.4), fill)


Look = Mapping[str, Mapping[str, Any]]


def _roc(panel: Axes, there: Mapping[str, CellGroup], look: Look, theme: Theme) -> None:
    for model, group in there.items():
        false, true = mean_roc(group)
        panel.plot(false, true, color=look[model]["color"], linewidth=1.5, label=legend_label(model))
    panel.plot([0, 1], [0, 1], color=theme.grid, linewidth=1)
    panel.set_title("ROC on test, mean over tasks and seeds", fontsize=10, loc="left")
    panel.set_xlabel("false positive rate")
    panel.set_ylabel("true positive rate")
    panel.legend(frameon=False, fontsize=8, loc="lower right")


def _parity(panel: Axes, there: Mapping[str, CellGroup], look: Look, theme: Theme, best: str) -> None:
    """Two clouds at most, the best model's and the best of the other sort: more cannot be distinguished."""
    ours = [model for model, group in there.items() if _is_ours(group)]
    others = [model for model in there if model not in ours]
    shown = [models[0] if best not in models else best for models in (others, ours) if models]
    for model in shown:
        labels, predictions = mean_predictions(there[model])
        style = look[model]
        panel.scatter(
            labels,
            predictions,
            s=12,
            alpha=0.6,
            color=style["color"],
            marker=style["marker"],
            label=legend_label(model),
        )
    ends = [*panel.get_xlim(), *panel.get_ylim()]
    line = (min(ends), max(ends))
    panel.plot(line, line, color=theme.grid, linewidth=1, zorder=0)
    panel.set_title("Prediction against label on test", fontsize=10, loc="left")
    panel.set_xlabel("label")
    panel.set_ylabel("prediction, mean over seeds")
    panel.legend(frameon=False, fontsize=8)


def _is_ours(group: CellGroup) -> bool:
    return any(result["kind"] == "ours" for result in group.results.values())


def _scaffolds(
    panel: Axes, there: Mapping[str, CellGroup], look: Look, metric: str, sizes: Mapping[str, int]
) -> None:
    ticks: Sequence[str] = ()
    for model, group in there.items():
        found = by_scaffold_size(group, metric, sizes)
        ticks = [f"{one.label}\n{one.molecules}" for one in found]
        panel.plot(
            range(len(found)),
            [one.score for one in found],
            **look[model],
            markersize=5,
            label=legend_label(model),
        )
    panel.set_xticks(range(len(ticks)), ticks)
    panel.set_xlim(-0.5, len(ticks) - 0.5)
    panel.set_title(f"Test {metric} by size of scaffold", fontsize=10, loc="left")
    panel.set_xlabel("molecules that share the scaffold; below: tested")
    panel.set_ylabel(f"{metric}, {'more' if METRICS[metric].rises else 'less'} is better")
    panel.grid(visible=True, axis="y", linewidth=0.5)
    if METRICS[metric].kind == "regression":
        panel.legend(frameon=False, fontsize=8)


def _learning(
    panel: Axes, curves: Mapping[str, Sequence[Sequence[tuple[int, float]]]], look: Look, metric: str
) -> None:
    """One thin line per seed; a point where the checkpoint was chosen."""
    for model, seeds in curves.items():
        for number, points in enumerate(seeds):
            epochs, values = zip(*points, strict=True)
            panel.plot(
                epochs, values, color=look[model]["color"], linewidth=1, alpha=0.7,
                label="" if number else legend_label(model),
            )  # fmt: skip
            panel.plot(*best_point(METRICS[metric].curve, points), **look[model], markersize=5)
    panel.set_title(f"Validation {metric}, the chosen epoch marked", fontsize=10, loc="left")
    panel.set_xlabel("epoch")
    panel.grid(visible=True, linewidth=0.5)
    panel.legend(frameon=False, fontsize=8)

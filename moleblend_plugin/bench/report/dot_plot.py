"""Every model's test score on every set with its interval, as dots on one axis per set."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from moleblend_plugin.bench.report.comparisons import best_model
from moleblend_plugin.bench.report.resampling import interval
from moleblend_plugin.bench.report.summary import CellGroups, Plan, mean_sd
from moleblend_plugin.bench.report.table import form_of
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.theme import Picture, Theme, draw

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLUMNS: Final = 3
ROW: Final = 0.24
"""Inches of one model."""

NAMES = {"roc_auc": "ROC-AUC [%]", "pr_auc": "PR-AUC [%]", "rmse": "RMSE", "mae": "MAE"}


def dot_plot(plan: Plan, groups: CellGroups) -> Picture:
    """One panel per set, models in the same order in all of them.

    Dot: mean test score over seeds; line: 95 % interval over resampled test molecules; small dots: the seeds.
    """
    columns = min(COLUMNS, len(plan.sets))
    rows = ceil(len(plan.sets) / columns)
    widest = max(len(model) for model in plan.models)

    def fill(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(rows, columns, squeeze=False, sharey=True)
        for panel, name in zip(panels.flat, plan.sets, strict=False):
            _panel(panel, plan, groups, name, theme)
        for panel in list(panels.flat)[len(plan.sets) :]:
            panel.set_axis_off()
        _legend(figure, theme)

    size = (0.075 * widest + 3.0 * columns, 0.5 + (0.75 + ROW * len(plan.models)) * rows)
    return draw("Test score of every model on every set, with 95 % intervals", size, fill)


def _panel(panel: Axes, plan: Plan, groups: CellGroups, name: str, theme: Theme) -> None:
    metric, models = plan.sets[name], list(plan.models)
    best = best_model(plan, groups, name)
    scale = form_of(plan, groups, name).scale
    for place, model in enumerate(models):
        group = groups[name, model]
        scores = np.array(group.scores("test", metric)) * scale
        mean = mean_sd(scores.tolist())[0]
        if np.isnan(mean):
            where = panel.get_yaxis_transform()
            panel.text(0.5, place, "no result", transform=where, ha="center", va="center", fontsize=8)
            continue
        style = _style(theme, ours=model in plan.ours, best=model == best)
        low, high = np.array(interval(group, metric)) * scale
        panel.hlines(place, low, high, color=style["color"], linewidth=1.6, alpha=0.75)
        panel.plot(scores, [place] * len(scores), ".", color=theme.ink, markersize=3, alpha=0.6, zorder=4)
        panel.plot([mean], [place], zorder=3, **style)
        if model == best:
            panel.axvline(mean, color=style["color"], linewidth=0.8, linestyle=":", zorder=0)
    panel.set_title(f"{name}: {NAMES.get(metric, metric)}, {direction(metric)}", fontsize=9, loc="left")
    panel.set_yticks(range(len(models)), models)
    panel.set_ylim(len(models) - 0.4, -0.6)
    panel.margins(x=0.08)
    panel.locator_params(axis="x", nbins=6)
    panel.grid(visible=True, linewidth=0.5)
    panel.set_axisbelow(True)


def direction(metric: str) -> str:
    """In words."""
    return "higher is better" if METRICS[metric].rises else "lower is better"


def _style(theme: Theme, ours: bool, best: bool) -> dict[str, Any]:
    """Ours and baselines differ in colour and form; the best of a set is a star."""
    form = {"marker": "*", "markersize": 12} if best else {"marker": "o" if ours else "s", "markersize": 5.5}
    return {"color": theme.lines[0] if ours else theme.lines[1], "linestyle": "none", **form}


def _legend(figure: Figure, theme: Theme) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], label=label, **_style(theme, ours, best=False))
        for label, ours in (("our models", True), ("baselines", False))
    ]
    handles += [
        Line2D(
            [], [], label="best mean of the set", color=theme.ink, linestyle="none", marker="*", markersize=10
        ),
        Line2D([], [], label="95 % interval over test molecules", color=theme.ink, linewidth=1.6),
        Line2D([], [], label="a seed", color=theme.ink, linestyle="none", marker=".", markersize=3),
    ]
    figure.legend(handles=handles, loc="outside lower center", ncols=len(handles), frameon=False, fontsize=8)

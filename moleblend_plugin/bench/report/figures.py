"""The panels of one set: ROC or parity, learning curves, score by size of scaffold."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from moleblend_plugin.bench.report.comparisons import best_model
from moleblend_plugin.bench.report.figure_data import (
    by_scaffold_size,
    learning_curves,
    mean_predictions,
    mean_roc,
)
from moleblend_plugin.bench.report.summary import CellGroup, CellGroups, Plan, mean_sd
from moleblend_plugin.bench.spec.model_spec import OURS
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.run_log import best_point
from moleblend_plugin.report.theme import Picture, Theme, draw, legend_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MARKERS: Final = ("o", "s", "^", "D", "v", "P", "X")
MOST_LINES: Final = 6


def of_set(plan: Plan, groups: CellGroups, name: str, sizes: Mapping[str, int]) -> Picture:
    """The panels of one set.

    Args:
        plan: what is compared.
        groups: its cells.
        name: the set.
        sizes: by row id of a test molecule, how many molecules share its scaffold.
    """
    metric = plan.sets[name]
    there = {model: groups[name, model] for model in shown_models(plan, groups, name)}
    curves = {model: found for model, group in there.items() if (found := learning_curves(group))}

    def fill(figure: Figure, theme: Theme) -> None:
        look = {
            model: {"color": theme.lines[place % len(theme.lines)], "marker": MARKERS[place % len(MARKERS)]}
            for place, model in enumerate(there)
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


def shown_models(plan: Plan, groups: CellGroups, name: str) -> list[str]:
    """Models with results, in the order of the plan, at most :data:`MOST_LINES`: more look alike.

    The best of ours and the best of the others stay, then those whose validation score is better.
    """
    there = [model for model in plan.models if groups[name, model].results]
    if len(there) <= MOST_LINES:
        return there
    means = {model: mean_sd(groups[name, model].scores("valid", plan.sets[name]))[0] for model in there}
    ranked = sorted(there, key=means.__getitem__, reverse=METRICS[plan.sets[name]].rises)
    firsts = [next((one for one in ranked if one in some), "") for some in (plan.ours, plan.baselines)]
    kept = list(dict.fromkeys([*filter(None, firsts), *ranked]))[:MOST_LINES]
    return [model for model in there if model in kept]


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
    return any(result["kind"] in OURS for result in group.results.values())


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
    panel.set_xlim(-0.5, max(1, len(ticks)) - 0.5)  # none where the stores are gone
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

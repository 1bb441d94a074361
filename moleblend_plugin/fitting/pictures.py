"""Pictures of the report: predicted against true, residuals, classes, learning curves, error by likeness.

Legend: m molecules of the test part, T targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Final

import numpy as np

from moleblend_plugin.fitting.evaluation import MODEL, Evaluation, errors
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.theme import Picture, Theme, draw
from moleblend_plugin.schema import Float64Array

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

MOST_TARGETS: Final = 6
"""Targets that get a panel of their own."""

_SHORT: Final = 10
"""Letters of a score's title beside which there is room in its panel."""

_COLUMNS: Final = 3
_BINS: Final = 5
_FEWEST: Final = 5
"""Molecules of a bin of which a mean is drawn."""


def scores_picture(evaluation: Evaluation, metrics: Sequence[str]) -> Picture:
    """Some scores of the model and the baselines with their 95 % intervals, one panel per score."""
    names = list(evaluation.scores)

    def fill(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(1, len(metrics), squeeze=False, sharey=True)[0]
        for panel, metric in zip(panels, metrics, strict=True):
            for place, name in enumerate(names):
                score = evaluation.scores[name][metric]
                low, high = score.intervals.mean
                color = theme.lines[0] if name == MODEL else theme.lines[1]
                panel.hlines(place, low, high, color=color, linewidth=2)
                panel.plot([score.values.mean], [place], "o" if name == MODEL else "s", color=color)
            better = "higher is better" if METRICS[metric].rises else "lower is better"
            title = METRICS[metric].curve.title
            between = ",\n" if len(title) > _SHORT else ", "
            panel.set_title(f"{title}{between}{better}", fontsize=9, loc="left")
            panel.set_yticks(range(len(names)), names)
            panel.set_ylim(len(names) - 0.4, -0.6)
            panel.margins(x=0.1)
            panel.locator_params(axis="x", nbins=4)
            panel.grid(visible=True, axis="x", linewidth=0.5)

    size = (2.5 + 2.4 * len(metrics), 0.8 + 0.35 * len(names))
    return draw("Test scores of the model and of baselines, with 95 % intervals", size, fill)


def values_picture(evaluation: Evaluation, targets: Mapping[int, str]) -> Picture:
    """Predicted against true values, and residuals against predicted ones, a pair of panels per target.

    Args:
        evaluation: of the test part.
        targets: names by place.
    """
    shown = dict(list(targets.items())[:MOST_TARGETS])

    def fill(figure: Figure, theme: Theme) -> None:
        panels = figure.subplots(len(shown), 2, squeeze=False)
        for row, (number, name) in enumerate(shown.items()):
            true, found = _known(evaluation, number)
            left, right = panels[row]
            ends = [min(true.min(), found.min()), max(true.max(), found.max())] if len(true) else [0.0, 1.0]
            left.plot(ends, ends, color=theme.grid, linewidth=1)
            if evaluation.bounds is not None:
                known = ~np.isnan(evaluation.labels[:, number])
                low, high = evaluation.bounds[known, number].T
                left.vlines(true, low, high, color=theme.lines[5], linewidth=0.8, alpha=0.5)
            left.plot(true, found, ".", color=theme.lines[1], alpha=0.7)
            left.set_ylim(*_around(np.concatenate((true, found))))
            label_panel(left, name, "true", "predicted")
            right.axhline(0, color=theme.grid, linewidth=1)
            right.plot(found, found - true, ".", color=theme.lines[1], alpha=0.7)
            label_panel(right, "residuals", "predicted", "predicted less true")

    return draw("Predicted against true values, and residuals", (8.5, 3.4 * len(shown)), fill)


def _around(values: Float64Array) -> tuple[float, float]:
    """Ends of an axis that shows all values: intervals may be infinite."""
    if not len(values):
        return 0.0, 1.0
    margin = 0.15 * (np.ptp(values) or 1.0)
    return float(values.min() - margin), float(values.max() + margin)


def classes_picture(evaluation: Evaluation, targets: Mapping[int, str]) -> Picture:
    """ROC curve, precision and recall, and calibration of every target, which are named by place."""
    shown = dict(list(targets.items())[:MOST_TARGETS])

    def fill(figure: Figure, theme: Theme) -> None:
        from sklearn.metrics import precision_recall_curve, roc_curve

        panels = figure.subplots(len(shown), _COLUMNS, squeeze=False)
        for row, (number, name) in enumerate(shown.items()):
            true, found = _known(evaluation, number)
            roc, recall, calibration = panels[row]
            if len(set(true.tolist())) == 2:
                false_rate, true_rate, _ = roc_curve(true, found)
                roc.plot(false_rate, true_rate, color=theme.lines[0])
                precision, recalled, _ = precision_recall_curve(true, found)
                recall.plot(recalled, precision, color=theme.lines[0])
                recall.axhline(true.mean(), color=theme.grid, linewidth=1)
                draw_calibration(calibration, true, found, theme.lines[0], "as predicted", theme)
                if evaluation.calibrated is not None:
                    known = ~np.isnan(evaluation.labels[:, number])
                    better = evaluation.calibrated[known, number]
                    draw_calibration(calibration, true, better, theme.lines[1], "calibrated", theme)
                    calibration.legend(frameon=False, fontsize=8)
            roc.plot([0, 1], [0, 1], color=theme.grid, linewidth=1)
            label_panel(roc, f"{name}: ROC", "false positives", "true positives")
            label_panel(recall, "precision and recall", "recall", "precision")
            recall.set_ylim(-0.02, 1.02)
            label_panel(calibration, "calibration", "predicted probability", "share of class 1")

    return draw("ROC, precision and recall, and calibration", (10.5, 3.2 * len(shown)), fill)


def draw_calibration(
    panel: Axes, true: Float64Array, found: Float64Array, color: str, label: str, theme: Theme
) -> None:
    """Share of class 1 in five ranges of the predicted probability, with the number of molecules."""
    panel.plot([0, 1], [0, 1], color=theme.grid, linewidth=1)
    order = np.argsort(found, kind="stable")
    for number, places in enumerate(np.array_split(order, min(_BINS, len(order)))):
        share, count = true[places].mean(), len(places)
        spread = 1.96 * np.sqrt(max(share * (1 - share), 0.25 / count) / count)
        named = label if number == 0 else None
        panel.errorbar(
            found[places].mean(), share, spread, fmt="o", color=color, linewidth=1, markersize=4, label=named
        )
    panel.set_xlim(-0.02, 1.02)
    panel.set_ylim(-0.02, 1.02)


def curves_picture(curves: Sequence[Mapping[int, float]], mean: Mapping[int, float], epoch: int) -> Picture:
    """Validation loss of every network on its fold, their mean, and the epoch that was chosen."""

    def fill(figure: Figure, theme: Theme) -> None:
        panel = figure.subplots()
        for curve in curves:
            panel.plot(list(curve), list(curve.values()), color=theme.train, linewidth=1, alpha=0.7)
        panel.plot(list(mean), list(mean.values()), color=theme.valid, linewidth=2, label="mean of the folds")
        panel.axvline(epoch, color=theme.ink, linewidth=0.8, linestyle=":", label=f"chosen: epoch {epoch}")
        label_panel(panel, "learning curves", "epoch", "validation loss")
        panel.legend(frameon=False)

    return draw("Validation loss by epoch", (7, 3.2), fill)


def likeness_picture(evaluation: Evaluation) -> Picture:
    """Error by similarity to the nearest training molecule: every test molecule, and the mean of ranges."""

    def fill(figure: Figure, theme: Theme) -> None:
        left, right = figure.subplots(1, 2, width_ratios=(2, 1))
        off = errors(evaluation)
        left.plot(evaluation.similarity, off, ".", color=theme.lines[1], alpha=0.5)
        for low, high, mean, _ in likeness_ranges(evaluation):
            left.hlines(mean, low, high, color=theme.lines[0], linewidth=3)
        similarity = "Tanimoto similarity to the nearest training molecule"
        label_panel(left, "error and likeness", similarity, error_words(evaluation))
        left.set_xlim(-0.02, 1.02)
        right.hist(evaluation.similarity, bins=list(np.linspace(0, 1, 11)), color=theme.lines[5])
        label_panel(right, "test molecules", "similarity", "molecules")

    return draw("Error by similarity to the nearest training molecule", (10, 3.4), fill)


def error_words(evaluation: Evaluation) -> str:
    """What ``evaluation.errors`` are called."""
    return "1 - probability of the true class" if evaluation.class_names else "error / sd of the labels"


def likeness_ranges(evaluation: Evaluation) -> list[tuple[float, float, float, int]]:
    """From, to, mean error in standard deviations of the labels, molecules: of ranges with enough of them."""
    off, found = errors(evaluation), []
    edges = (0.0, 0.3, 0.5, 0.7, 0.9, 1.01)
    for low, high in zip(edges, edges[1:], strict=False):
        inside = (evaluation.similarity >= low) & (evaluation.similarity < high)
        if np.count_nonzero(inside) >= _FEWEST:
            found.append((low, min(high, 1.0), float(off[inside].mean()), int(np.count_nonzero(inside))))
    return found


def _known(evaluation: Evaluation, target: int) -> tuple[Float64Array, Float64Array]:
    """Labels and predictions of the molecules that have a label of a target."""
    true = evaluation.labels[:, target]
    known = ~np.isnan(true)
    return true[known], evaluation.predictions[MODEL][known, target]


def label_panel(panel: Axes, title: str, x: str, y: str) -> None:
    """Title and names of the axes, and a grid."""
    panel.set_title(title[:60], fontsize=9, loc="left")
    panel.set_xlabel(x, fontsize=8)
    panel.set_ylabel(y, fontsize=8)
    panel.grid(visible=True, linewidth=0.4)
    panel.set_axisbelow(True)

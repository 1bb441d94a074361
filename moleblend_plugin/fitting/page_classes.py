"""Parts of the report about one column of several classes: confusion matrix, curves, sets, every class.

Legend: m molecules of the test part, K classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import numpy.typing as npt

from moleblend_plugin.fitting.evaluation import MODEL, Evaluation
from moleblend_plugin.fitting.pictures import draw_calibration, label_panel
from moleblend_plugin.inference.trust_columns import LEVEL
from moleblend_plugin.report.page import html_table
from moleblend_plugin.report.theme import Picture, Theme, draw, legend_label

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_MOST_CURVES: Final = 6
"""Classes that get a curve of their own."""

_LONG: Final = 14
"""Letters of a class's name in a picture."""


def confusion(evaluation: Evaluation) -> npt.NDArray[np.int64]:
    """Molecules [K, K] by true (row) and predicted (column) class."""
    classes = len(evaluation.class_names)
    found = np.zeros((classes, classes), np.int64)
    np.add.at(found, (evaluation.own_class, evaluation.predictions[MODEL].argmax(1)), 1)
    return found


def several_classes_picture(evaluation: Evaluation) -> Picture:
    """Confusion matrix, ROC curve of every class against the rest, and calibration of the likeliest class."""
    names = [name[:_LONG] for name in evaluation.class_names]

    def fill(figure: Figure, theme: Theme) -> None:
        matrix, roc, calibration = figure.subplots(1, 3, width_ratios=(1.15, 1, 1))
        _draw_confusion(matrix, confusion(evaluation), names, theme)
        _draw_roc(roc, evaluation, names, theme)
        found = [(evaluation.predictions[MODEL], theme.lines[0], "as predicted")]
        if evaluation.calibrated is not None:
            found.append((evaluation.calibrated, theme.lines[1], "calibrated"))
        for probabilities, color, label in found:
            right = (probabilities.argmax(1) == evaluation.own_class).astype(np.float64)
            draw_calibration(calibration, right, probabilities.max(1), color, label, theme)
        calibration.legend(frameon=False, fontsize=8)
        label_panel(calibration, "calibration", "probability of the likeliest class", "share that is right")

    size = max(3.4, 1.6 + 0.4 * len(names))
    return draw("Confusion matrix, ROC of every class against the rest, and calibration", (11, size), fill)


def every_class(evaluation: Evaluation) -> str:
    """A table: molecules, recall, precision and the area against the rest, of every class."""
    from sklearn.metrics import roc_auc_score

    counts, probabilities = confusion(evaluation), evaluation.predictions[MODEL]
    rows = []
    for place, name in enumerate(evaluation.class_names):
        own = evaluation.own_class == place
        area = roc_auc_score(own, probabilities[:, place]) if own.any() and not own.all() else None
        right = counts[place, place]
        rows.append(
            [
                escape(name),
                f"{own.sum():,}",
                _share(right, counts[place].sum()),
                _share(right, counts[:, place].sum()),
                "undefined" if area is None else f"{area:.3g}",
            ]
        )
    header = ["class", "test molecules", "recall", "precision", "ROC AUC against the rest"]
    return html_table("Every class of the test part", header, rows)


def sets_tables(evaluation: Evaluation, facts: Mapping[str, Any]) -> list[str]:
    """Tables of calibration, and of prediction sets on the test part."""
    assert evaluation.sets is not None
    known = [facts["calibration_error"], facts["calibration_error_after"]]
    told = ["undefined" if value is None else f"{value:.3f}" for value in known]
    calibration = html_table(
        "Expected calibration error of the likeliest class, by folds of the training part",
        ["calibration molecules", "temperature", "as predicted", "calibrated"],
        [[f"{facts['molecules']:,}", f"{facts['temperature']:.3g}", *told]],
    )
    inside = np.take_along_axis(evaluation.sets, evaluation.own_class[:, None], 1)[:, 0]
    rows = [
        [escape(name), f"{own.sum():,}", _share(inside[own].sum(), own.sum())]
        for name, own in (
            (name, evaluation.own_class == place) for place, name in enumerate(evaluation.class_names)
        )
    ]
    rows.append(["all", f"{len(inside):,}", _share(inside.sum(), len(inside))])
    size = evaluation.sets.sum(1).mean()
    caption = (
        f"Prediction sets that hold the class of {LEVEL:.0%} of the molecules of each class, like those of "
        f"training; {size:.2g} of {len(evaluation.class_names)} classes on average"
    )
    return [calibration, html_table(caption, ["class", "test molecules", "share inside of the set"], rows)]


def true_and_predicted(evaluation: Evaluation, place: int) -> str:
    """Of one test molecule: its class, and what was predicted with which probability."""
    probabilities, names = evaluation.predictions[MODEL][place], evaluation.class_names
    found = int(probabilities.argmax())
    true = names[evaluation.own_class[place]][:_LONG]
    return f"{true}, predicted {names[found][:_LONG]} ({probabilities[found]:.2f})"


def _share(part: int, of: int) -> str:
    return f"{part / of:.0%}" if of else "undefined"


def _draw_confusion(panel: Axes, counts: npt.NDArray[np.int64], names: list[str], theme: Theme) -> None:
    """Counts in a grid, coloured by their share of the true class."""
    shares = counts / np.maximum(counts.sum(1, keepdims=True), 1)
    for (row, column), count in np.ndenumerate(counts):
        panel.fill_between(
            [column - 0.5, column + 0.5],
            row - 0.5,
            row + 0.5,
            color=theme.lines[0],
            alpha=0.75 * float(shares[row, column]),
            linewidth=0,
        )
        panel.text(column, row, f"{count:,}", ha="center", va="center", fontsize=9, color=theme.ink)
    label_panel(panel, "confusion matrix", "predicted", "true")
    panel.grid(visible=False)
    turned = 45 if max(map(len, names)) > 6 or len(names) > 6 else 0
    panel.set_xticks(
        range(len(names)), names, rotation=turned, ha="right" if turned else "center", fontsize=8
    )
    panel.set_yticks(range(len(names)), names, fontsize=8)
    panel.set_xlim(-0.5, len(names) - 0.5)
    panel.set_ylim(len(names) - 0.5, -0.5)


def _draw_roc(panel: Axes, evaluation: Evaluation, names: list[str], theme: Theme) -> None:
    from sklearn.metrics import roc_curve

    for place, name in enumerate(names[:_MOST_CURVES]):
        own = evaluation.own_class == place
        if own.any() and not own.all():
            false_rate, true_rate, _ = roc_curve(own, evaluation.predictions[MODEL][:, place])
            panel.plot(
                false_rate, true_rate, color=theme.lines[place % len(theme.lines)], label=legend_label(name)
            )
    panel.plot([0, 1], [0, 1], color=theme.grid, linewidth=1)
    if panel.get_legend_handles_labels()[0]:
        panel.legend(frameon=False, fontsize=8)
    label_panel(panel, "ROC, one class against the rest", "false positives", "true positives")

"""``report.html``: what a fit found, on one page that needs nothing else.

Legend: m molecules of the test part, T targets.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.draw import draw_grid
from moleblend_plugin.fitting import pictures
from moleblend_plugin.fitting.evaluation import MODEL, Evaluation, errors, label_spread
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.page_classes import (
    every_class,
    sets_tables,
    several_classes_picture,
    true_and_predicted,
)
from moleblend_plugin.fitting.page_data import commands, data_table, leaks_table, notes_list, paragraph
from moleblend_plugin.fitting.parts import Divided
from moleblend_plugin.fitting.table import FitTable
from moleblend_plugin.fitting.task_type import WORDS
from moleblend_plugin.fitting.training import Estimator
from moleblend_plugin.inference.predictor import Ensemble, Predictor
from moleblend_plugin.inference.trust_columns import LEVEL
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.report.page import html_page, html_picture, html_table
from moleblend_plugin.version import __version__

_WORST: Final = 8
_COLUMNS: Final = 4
_FEW: Final = 5
_FAR: Final = 0.3
"""Similarity below which a molecule is unlike all training molecules."""

_CITED: Final = (
    ("The method", "Yu, Zhang, Ni, Feng, Lan, Zhou, Liu: Multimodal Molecular Pretraining via Modality "
     "Blending. ICLR 2024, arXiv:2307.06235."),
    ("This software", f"moleblend_plugin {__version__} (CITATION.cff)."),
)  # fmt: skip


def fit_page(
    table: FitTable,
    divided: Divided,
    evaluation: Evaluation | None,
    estimator: Estimator,
    predictor: Predictor,
    leaks: Mapping[str, Any],
    split_sha256: str,
    curves: Sequence[Mapping[int, float]] = (),
) -> str:
    """The page.

    Args:
        table: the table.
        divided: its parts.
        evaluation: of the test part; ``None`` without one.
        estimator: as it was fitted.
        predictor: the model.
        leaks: the report on leaks (``splits.report``).
        split_sha256: checksum of the split.
        curves: validation loss by epoch, of every network.
    """
    what = WORDS[table.kind]
    names = ", ".join(table.names[:5]) + (f" and {len(table.names) - 5} more" if len(table.names) > 5 else "")
    parts = [_headlines(table, evaluation)]
    if evaluation is not None:
        parts += [
            "<h2>Test scores</h2>",
            *_scores(table, evaluation),
            paragraph(" ".join(evaluation.notes)),
            "<h2>Predicted and true</h2>",
            *_predicted_and_true(table, evaluation),
            *_trust(evaluation, table.names),
            "<h2>Where this model should not be used</h2>",
            _domain(evaluation),
            html_picture(pictures.likeness_picture(evaluation)),
            "<h2>Worst predictions of the test part</h2>",
            _worst(table, evaluation),
        ]
    parts += [
        *_training(table, estimator, predictor, curves),
        "<h2>Data</h2>",
        data_table(table, divided, split_sha256),
        leaks_table(leaks),
        notes_list(table, divided),
        "<h2>Run again</h2>",
        commands(table),
        "<h2>How to cite</h2>",
        "<ul>" + "".join(f"<li>{escape(who)}: {escape(text)}</li>" for who, text in _CITED) + "</ul>",
    ]
    title = f"Model of {names}"
    intro = f"Fitted to {what} in {table.options.data}. Nothing was chosen on the test part."
    return html_page(title, intro, parts, "")


def _predicted_and_true(table: FitTable, evaluation: Evaluation) -> list[str]:
    """A picture of the targets of each kind."""
    if table.class_names:
        return [html_picture(several_classes_picture(evaluation)), every_class(evaluation)]
    drawn = {"regression": pictures.values_picture, "classification": pictures.classes_picture}
    parts = []
    for kind, draw in drawn.items():
        targets = {place: name for place, name in enumerate(table.names) if table.kinds[place] == kind}
        if targets:
            parts.append(html_picture(draw(evaluation, targets)))
    return parts


def _headlines(table: FitTable, evaluation: Evaluation | None) -> str:
    lines = []
    if evaluation is None:
        lines.append("No test part was held out: how good this model is, is not known.")
    else:
        firsts = {METRICS[metric].kind: metric for metric in reversed(evaluation.scores[MODEL])}
        for metric in reversed(firsts.values()):
            found = evaluation.scores[MODEL][metric]
            title = METRICS[metric].curve.title
            lines.append(f"{title} {_with_interval(found)} on {len(evaluation.rows):,} test molecules.")
            lines.append(_against(evaluation, metric))
        far = float(np.mean(evaluation.similarity < _FAR))
        if far > 0.5:
            lines.append(f"{far:.0%} of the test molecules are unlike all training molecules.")
    if table.rejected:
        lines.append(f"{len(table.rejected):,} rows could not be used: rejected.csv says why.")
    return f'<ul class="headlines">{"".join(f"<li>{escape(line)}</li>" for line in lines)}</ul>'


def _against(evaluation: Evaluation, metric: str) -> str:
    """The model against the better baseline."""
    rises = METRICS[metric].rises
    means = {name: scores[metric].values.mean for name, scores in evaluation.scores.items()}
    own = means.pop(MODEL)
    if not means or own != own:
        return "Too few labels for a comparison."
    best = (max if rises else min)(means, key=lambda name: means[name])
    better = own > means[best] if rises else own < means[best]
    low, high = evaluation.scores[best][metric].intervals.mean
    clear = "" if not low <= own <= high else " (within the other's interval: no clear difference)"
    return f"{'Better' if better else 'Not better'} than a {best} ({means[best]:.3g}){clear}."


def _scores(table: FitTable, evaluation: Evaluation) -> list[str]:
    """Picture and tables of the scores, those of each kind of labels by themselves."""
    parts = []
    for kind in sorted(set(table.kinds)):
        metrics = [metric for metric in evaluation.scores[MODEL] if METRICS[metric].kind == kind]
        targets = {place: name for place, name in enumerate(table.names) if table.kinds[place] == kind}
        parts += [
            html_picture(pictures.scores_picture(evaluation, metrics)),
            _scores_table(evaluation, metrics, list(targets.values()) if table.kind == "mixed" else []),
            _targets_table(evaluation, metrics, targets),
        ]
    return parts


def _scores_table(evaluation: Evaluation, metrics: Sequence[str], names: Sequence[str]) -> str:
    """Scores of the model and the baselines; ``names`` of the targets where they are not all."""
    rows = [
        [escape(name), *(_with_interval(scores[metric]) for metric in metrics)]
        for name, scores in evaluation.scores.items()
    ]
    header = ["model", *(METRICS[metric].curve.title for metric in metrics)]
    of = f"Mean over {', '.join(names[:_FEW])}" if names else "Mean over targets"
    if len(names) > _FEW:
        of += f" and {len(names) - _FEW} more"
    return html_table(f"{of}, with 95 % intervals over test molecules", header, rows)


def _targets_table(evaluation: Evaluation, metrics: Sequence[str], targets: Mapping[int, str]) -> str:
    if len(targets) < 2:
        return ""
    scores = {metric: evaluation.scores[MODEL][metric] for metric in metrics}
    rows = [
        [escape(name), f"{int((~np.isnan(evaluation.labels[:, place])).sum()):,}"]
        + [
            _number(score.values.per_task.get(name), score.intervals.per_task[place])
            for score in scores.values()
        ]
        for place, name in targets.items()
    ]
    return html_table("Every target", ["target", "labels", *(METRICS[m].curve.title for m in scores)], rows)


def _with_interval(score: Any) -> str:  # noqa: ANN401  Score
    return _number(score.values.mean, score.intervals.mean)


def _number(value: float | None, interval: tuple[float, float]) -> str:
    if value is None or value != value:
        return "undefined"
    low, high = interval
    return f"{value:.3g}" if low != low else f"{value:.3g} ({low:.3g} to {high:.3g})"


def _trust(evaluation: Evaluation, names: Sequence[str]) -> list[str]:
    """Whether intervals and probabilities keep what they promise on the test part."""
    trust = evaluation.trust
    if trust is None or trust.calibration is None:
        return []
    targets = trust.summary(LEVEL)["targets"]
    values, classes = [], []
    for place, name in enumerate(names):
        facts, kind = targets[name], trust.column_kinds[place]
        begin = [escape(name), f"{facts['molecules']:,}"]
        if kind == "regression" and evaluation.bounds is not None:
            width = facts["half_width"]
            told = ["too few" if width is None else f"± {width:.3g}", f"{evaluation.coverage[place]:.0%}"]
            values.append([*begin, *told])
        elif kind == "classification" and evaluation.calibrated is not None:
            errors_of = (facts["calibration_error"], facts["calibration_error_after"])
            told = ["undefined" if value is None else f"{value:.3f}" for value in errors_of]
            classes.append([*begin, *told])
    tables, header = [], ["target", "calibration molecules"]
    if evaluation.sets is not None:
        tables += sets_tables(evaluation, targets[names[0]])
    if values:
        caption = f"Intervals that hold {LEVEL:.0%} of molecules like those of training"
        tables.append(
            html_table(caption, [*header, "median interval", "share of test labels inside"], values)
        )
    if classes:
        caption = "Expected calibration error, by folds of the training part"
        tables.append(html_table(caption, [*header, "as predicted", "calibrated"], classes))
    if not tables:
        return []
    text = (
        "Calibrated on predictions of training molecules by networks that had not seen them "
        f"({trust.calibration.source}). The promise holds for molecules like those of training."
    )
    return ["<h2>How far to trust a prediction</h2>", paragraph(text), *tables]


def _domain(evaluation: Evaluation) -> str:
    """In words and numbers: on molecules unlike those of training."""
    far = int((evaluation.similarity < _FAR).sum())
    text = (
        f"Of the {len(evaluation.rows):,} test molecules {far:,} have a Tanimoto similarity (ECFP4) below "
        f"{_FAR:g} to "
        "every training molecule. On new molecules like these, and on kinds of molecules that the table "
        "does not "
        "hold, expect larger errors than the scores above."
    )
    rows = [
        [f"{low:g} to {high:g}", f"{count:,}", f"{mean:.3g}"]
        for low, high, mean, count in pictures.likeness_ranges(evaluation)
    ]
    header = (
        "similarity to the nearest training molecule",
        "test molecules",
        f"mean {pictures.error_words(evaluation)}",
    )
    return paragraph(text) + (html_table("Error by likeness", header, rows) if rows else "")


def _worst(table: FitTable, evaluation: Evaluation) -> str:
    order = np.argsort(-errors(evaluation), kind="stable")[:_WORST]
    smiles, labels = [], []
    spread = label_spread(evaluation)
    for place in order.tolist():
        row = int(evaluation.rows[place])
        if evaluation.class_names:
            smiles.append(table.smiles[row])
            labels.append(f"row {table.records[row].row}: {true_and_predicted(evaluation, place)}")
            continue
        off = np.abs(evaluation.predictions[MODEL][place] - evaluation.labels[place]) / spread
        target = int(np.nanargmax(off))
        name = f"{table.names[target][:14]} " if len(table.names) > 1 else ""
        true, found = evaluation.labels[place, target], evaluation.predictions[MODEL][place, target]
        smiles.append(table.smiles[row])
        labels.append(f"row {table.records[row].row}: {name}{true:.3g}, predicted {found:.3g}")
    svg = draw_grid(smiles, labels, _COLUMNS).decode()
    drawing = svg[svg.index("<svg") :]
    return f'<div style="background:#fff;border-radius:8px;padding:.5rem">{drawing}</div>'


_FEATURIZERS: Final = {"descriptors": "RDKit's descriptors", "ecfp": "ECFP"}


def _beside(options: FitOptions) -> str:
    """What the head reads beside the encoder, in words."""
    chosen = options.molecule_featurizers
    words = [text for name, text in _FEATURIZERS.items() if chosen in (name, "both")]
    return ", ".join([*words, *options.descriptors_columns]) or "nothing"


def _training(
    table: FitTable, estimator: Estimator, predictor: Predictor, curves: Sequence[Mapping[int, float]]
) -> list[str]:
    options = table.options
    rows = [
        ["start", escape(str(estimator.started_from_ or "fresh weights"))],
        ["networks", f"{predictor.n_members}, one per fold ({options.folds} folds)"],
        ["epochs", f"{options.epochs}, of which the best on the mean of the folds is taken"],
        ["input", escape(options.input_mode)],
        ["readout", escape(options.readout)],
        ["what the head reads too", escape(_beside(options))],
    ]
    if isinstance(predictor, Ensemble) and predictor.stack is not None:
        weights = predictor.stack.weights.mean(1)
        told = ", ".join(
            f"{name} {weight:.2f}" for name, weight in zip(predictor.stack.base_models, weights, strict=True)
        )
        rows.append(["weights of the stack", escape(told)])
    parts = ["<h2>Training</h2>", html_table("Settings", ("setting", "value"), rows)]
    curve = getattr(estimator, "validation_curve_", None)
    if curve:
        epoch = int(estimator.n_epochs_)
        parts.append(html_picture(pictures.curves_picture(curves, curve, epoch)))
    return parts

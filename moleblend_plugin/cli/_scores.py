"""Scores as lines for people and as JSON for programs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.files import replacing, sha256_of
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.scoring import Score, Scored, score_all
from moleblend_plugin.runs.run_record import package_versions

_SHOWN: Final = 30
"""Targets that the terminal shows."""

Interval = tuple[float, float]


def report_scores(
    network: Predictor,
    scored: Scored,
    files: Mapping[str, str],
    bootstrap: Mapping[str, Any],
    report: Path | None,
    table: Path | None,
) -> None:
    """Compute every score of the network's task, print the summary, and write ``report``.

    Args:
        network: what is judged.
        scored: its predictions and the labels.
        files: the files: ``model``, a checkpoint, and ``data``.
        bootstrap: ``resamples``, ``level`` and ``seed`` of the intervals.
        report: the JSON file, if one is wanted.
        table: the table of all rows, which is written already.

    Raises:
        MoleblendError: the report cannot be written.
    """
    scores = score_all(network, scored, bootstrap["resamples"], bootstrap["seed"], bootstrap["level"])
    if report is not None:
        _write_scores(report, files, network, scored, scores, bootstrap)
    written = [path for path in (report, table) if path is not None]
    print("\n".join(_score_lines(files, scored, scores, bootstrap, written)))


def _score_lines(
    files: Mapping[str, str],
    scored: Scored,
    scores: Mapping[str, Score],
    bootstrap: Mapping[str, Any],
    written: Sequence[Path],
) -> list[str]:
    """The summary: rows, a table of targets x scores, and what is left out of it."""
    lines = [f"{name:<10} {value}" for name, value in files.items()]
    lines.append(
        f"rows       {scored.rows:,}: {len(scored.row_ids):,} scored, {scored.without_label:,} without a "
        f"label, {scored.rejected.total():,} rejected"
    )
    lines += [f"           {count:,}  {reason}" for reason, count in scored.rejected.most_common()]
    lines += ["", *_table(scored, scores), ""]
    if len(scored.names) > _SHOWN:
        lines.append(f"and {len(scored.names) - _SHOWN} more targets; --out FILE holds them all")
    for name, score in scores.items():
        if left := score.values.left_out:
            more = f" and {len(left) - 5} more" if len(left) > 5 else ""
            lines.append(f"{name} is undefined on the labels of {', '.join(left[:5])}{more}")
    drawn = f"{bootstrap['level']:.0%} of {bootstrap['resamples']:,} resamples of molecules"
    lines.append(f"intervals  {drawn} (percentiles)")
    return [*lines, *(f"written    {path}" for path in written)]


def _table(scored: Scored, scores: Mapping[str, Score]) -> list[str]:
    rows = [["target", "labels", *scores]]
    for place, name in enumerate(scored.names[:_SHOWN]):
        cells = [
            _cell(score.values.per_task.get(name), score.intervals.per_task[place])
            for score in scores.values()
        ]
        rows.append([name, f"{scored.labels[name]:,}", *cells])
    if len(scored.names) > 1:
        means = [_cell(score.values.mean, score.intervals.mean) for score in scores.values()]
        rows.append(["mean", f"{sum(scored.labels.values()):,}", *means])
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return [
        "  ".join(f"{cell:<{width}}" for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in rows
    ]


def _cell(value: float | None, interval: Interval) -> str:
    if value is None or value != value:
        return "-"
    low, high = interval
    return f"{value:.4g}" if low != low else f"{value:.4g} ({low:.4g} to {high:.4g})"


def _write_scores(
    path: Path,
    files: Mapping[str, str],
    network: Predictor,
    scored: Scored,
    scores: Mapping[str, Score],
    bootstrap: Mapping[str, Any],
) -> None:
    """Write scores, counts and predictions as JSON; what is undefined is null.

    Raises:
        MoleblendError: it cannot be written.
    """
    classes = network.class_names
    report = {
        **files,
        "model_sha256": sha256_of(Path(files["model"])),
        "kind": network.kind,
        "targets": list(scored.names),
        "rows": scored.rows,
        "scored": len(scored.row_ids),
        "without_label": scored.without_label,
        "rejected": dict(scored.rejected),
        "labels": scored.labels,
        "bootstrap": dict(bootstrap),
        "scores": {name: _score(scored.names, score) for name, score in scores.items()},
        "packages": package_versions(),
        **({"classes": list(classes)} if classes else {}),  # labels are their places, from 0
        "predictions": [
            {"row_id": row_id, "labels": _plain(labels), "predicted": _plain(values)}
            for row_id, labels, values in zip(
                scored.row_ids, scored.targets.tolist(), scored.predictions.tolist(), strict=True
            )
        ],
    }
    with replacing(path) as temporary:
        temporary.write_text(json.dumps(report, indent=1, allow_nan=False) + "\n", encoding="utf-8")


def _score(names: Sequence[str], score: Score) -> dict[str, Any]:
    per_target = {
        name: {"value": score.values.per_task[name], "interval": _plain(score.intervals.per_task[place])}
        for place, name in enumerate(names)
        if name in score.values.per_task
    }
    mean = _plain((score.values.mean,))[0]
    return {
        "mean": mean,
        "interval": _plain(score.intervals.mean),
        "per_target": per_target,
        "undefined": list(score.values.left_out),
    }


def _plain(values: Sequence[float]) -> list[float | None]:
    return [None if value != value else value for value in values]

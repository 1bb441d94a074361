"""The report: scores as they are, both kinds of labels, undefined scores, names as text."""

from __future__ import annotations

from html.parser import HTMLParser
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.fitting.evaluation import MODEL, Evaluation
from moleblend_plugin.fitting.options import FitOptions
from moleblend_plugin.fitting.page import fit_page
from moleblend_plugin.fitting.parts import Divided, divide
from moleblend_plugin.fitting.pictures import likeness_ranges
from moleblend_plugin.fitting.table import FitTable, read_table
from moleblend_plugin.inference.scoring import Scored, score_all
from moleblend_plugin.schema import Float64Array
from moleblend_plugin.splits.report import read_identities, split_report
from moleblend_plugin.trust.calibrating import calibrate
from moleblend_plugin.trust.domain import Domain
from moleblend_plugin.trust.model import HeldOut, Trust
from tests.fitting.tables import SMILES, write_table

FITTED: Any = SimpleNamespace(started_from_="default", validation_curve_={1: 0.5, 2: 0.25}, n_epochs_=2)
NETWORKS: Any = SimpleNamespace(n_members=2, stack=None)


def parted(tmp_path: Path, kind: str) -> tuple[FitTable, Divided]:
    values = [n % 2 if kind == "classification" else n / 8 for n in range(40)]
    second = [n % 2 for n in range(40)] if kind == "mixed" else values[::-1]
    columns = {"smiles": SMILES, "a <b> & $x$": values, "z": second}
    path = write_table(tmp_path / "t.csv", columns)
    table = read_table(
        FitOptions(data=str(path), targets=("a <b> & $x$", "z"), test_size=0.4, split="random"), 1
    )
    return table, divide(table, read_identities(table.records))


def trust_in(table: FitTable, rows: list[int]) -> Trust:
    smiles = [table.smiles[row] for row in rows]
    labels = table.labels[rows]
    said = np.clip(
        labels + np.linspace(-0.3, 0.3, len(rows))[:, None], 0.01, 0.99 if labels.max() <= 1 else 99
    )
    places = np.arange(len(rows))
    held = HeldOut("folds", smiles, places, labels, said, places % 2)
    return calibrate(table.kinds, table.names, Domain.of(smiles, places), held)


def evaluated(table: FitTable, divided: Divided) -> Evaluation:
    test, train = divided.rows("test"), divided.rows("train").tolist()
    labels = table.labels[test].copy()
    labels[0, 1] = np.nan
    said: dict[str, Float64Array] = {MODEL: np.clip(table.labels[test] * 0.9 + 0.04, 0, 9)}
    said["a baseline"] = np.full(labels.shape, 0.5)
    predictor: Any = SimpleNamespace(kinds=table.kinds)
    scores = {
        name: score_all(predictor, Scored(table.names, [], labels, values), 20, 0, 0.95)
        for name, values in said.items()
    }
    trust = trust_in(table, train)
    similarity = np.linspace(0.1, 0.95, len(test))
    found = Evaluation(
        test, labels, said, scores, similarity, np.zeros(len(test), np.int64), ("A note.",), trust
    )
    if table.kind != "regression":
        found = found._replace(calibrated=trust.calibrated(said[MODEL]))
    if table.kind == "classification":
        return found
    return found._replace(bounds=trust.intervals(said[MODEL], similarity))


@pytest.mark.parametrize(
    "kind",
    [*(pytest.param(kind, marks=pytest.mark.long) for kind in ("regression", "classification")), "mixed"],
)
def test_all_kinds(tmp_path: Path, kind: str) -> None:
    table, divided = parted(tmp_path, kind)
    assert table.kind == kind
    evaluation = evaluated(table, divided)
    leaks = split_report(
        {"train": read_identities(table.records[:9]), "test": read_identities(table.records[9:])}, table.names
    )
    page = fit_page(table, divided, evaluation, FITTED, NETWORKS, leaks, "0" * 64, [{1: 0.5, 2: 0.3}])
    assert "a &lt;b&gt; &amp; $x$" in page
    assert "<b> &" not in page
    metrics = {"regression": ["rmse"], "classification": ["roc_auc"], "mixed": ["rmse", "roc_auc"]}[kind]
    for metric in metrics:
        score = evaluation.scores[MODEL][metric].values.mean
        assert f"{ {'rmse': 'RMSE', 'roc_auc': 'ROC AUC'}[metric] } {score:.3g}" in page
    assert "How far to trust a prediction" in page
    assert ("median interval" in page) == ("residuals" in page) == (kind != "classification")
    assert ("as predicted" in page) == ("ROC, precision" in page) == (kind != "regression")
    if kind != "classification":
        assert f"{evaluation.coverage[0]:.0%}" in page
    HTMLParser().feed(page)
    (tmp_path / "report.html").write_text(page, encoding="utf-8")


def test_coverage_by_hand(tmp_path: Path) -> None:
    table, divided = parted(tmp_path, "regression")
    bounds = np.zeros((3, 2, 2))
    bounds[:, 0] = [[0, 1], [0, 1], [2, 3]]
    labels = np.array([[0.5, np.nan], [2, np.nan], [2.5, np.nan]])
    found = evaluated(table, divided)._replace(labels=labels, bounds=bounds)
    assert found.coverage[0] == pytest.approx(2 / 3)
    assert np.isnan(found.coverage[1])


def test_ranges_of_likeness_hold_a_few_molecules(tmp_path: Path) -> None:
    found = evaluated(*parted(tmp_path, "regression"))
    similarity = np.array([0.1] * 4 + [0.35] * (len(found.rows) - 4))
    (only,) = likeness_ranges(found._replace(similarity=similarity))
    assert (only[:2], only[3]) == ((0.3, 0.5), len(found.rows) - 4)


def test_without_a_test_part(tmp_path: Path) -> None:
    table, divided = parted(tmp_path, "regression")
    leaks = split_report({"train": read_identities(table.records)}, table.names)
    page = fit_page(table, divided, None, FITTED, NETWORKS, leaks, "0" * 64)
    assert "is not known" in page
    assert "Test scores" not in page

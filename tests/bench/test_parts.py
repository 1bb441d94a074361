"""Pieces of a comparison by hand: logs, guesses, spreads, pairs, scores by scaffold, commands."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from moleblend_plugin.bench.report import resampling
from moleblend_plugin.bench.report.comparisons import FINE_RESAMPLES, compare, comparisons, of_best_ours
from moleblend_plugin.bench.report.figure_data import by_scaffold_size, mean_roc
from moleblend_plugin.bench.report.html_report import MOST_ROWS, MOST_SHOWN, _headline_list, _table
from moleblend_plugin.bench.report.resampling import RESAMPLES, interval
from moleblend_plugin.bench.report.summary import CellGroup, Plan, mean_sd
from moleblend_plugin.bench.report.table import form_of, tables
from moleblend_plugin.bench.run.cell_process import settings_of
from moleblend_plugin.bench.run.chemprop import write_parts
from moleblend_plugin.bench.run.moleblend_runs import best_on_test, command, read_log
from moleblend_plugin.bench.run.outcome import filled
from moleblend_plugin.bench.run.runner import last_line
from moleblend_plugin.bench.run.split_arrays import PartArrays
from moleblend_plugin.bench.spec.cell_spec import (
    Cell,
    copy_of_twin,
    finished,
    read_result,
    write_failure,
    write_result,
)
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics import bootstrap
from moleblend_plugin.metrics.bootstrap import paired_difference


def make_cell(out: Path, seed: int = 0, **other: Any) -> Cell:
    given = {"kind": "ecfp4-rf", "metric": "rmse", "stored": {"train": "a"}, "options": {"grid": {}}} | other
    return Cell(out=str(out), stores=str(out / "stores"), set="s", model="m", seed=seed, **given)


def arrays(targets: Any, predictions: Any) -> dict[str, Any]:
    targets, predictions = np.array(targets, float), np.array(predictions, float)
    return {
        "names": np.array([f"t{task}" for task in range(targets.shape[1])]),
        "test_ids": np.array([f"f:{row}" for row in range(len(targets))]),
        "test_targets": targets,
        "test_predictions": predictions,
    }


def make_group(out: Path, model: str, by_seed: dict[int, dict[str, Any]]) -> CellGroup:
    folder = out / model
    folder.mkdir()
    for seed, found in by_seed.items():
        np.savez(folder / f"{seed}.npz", **found)
    return CellGroup("s", model, dict.fromkeys(by_seed, {}), {}, folder)


def test_a_log_becomes_a_curve(tmp_path: Path) -> None:
    lines = [
        {"event": "valid", "subset": "valid", "epoch": 1, "rmse": 3.0},
        {"event": "valid", "subset": "test", "epoch": 1, "rmse": 9.0},
        {"event": "train", "epoch": 1, "loss": 1.0, "wall": 5.0},
        {"event": "valid", "subset": "valid", "epoch": 2, "rmse": 4.0},
        {"event": "valid", "subset": "valid", "epoch": 2, "rmse": 2.0},
        {"event": "valid", "subset": "test", "epoch": 2, "rmse": 8.0},
        {"event": "train", "epoch": 2, "loss": 1.0, "wall": 11.0},
    ]
    text = "\n".join(json.dumps(line) for line in lines) + '\n{"event": "val'
    (tmp_path / "train.jsonl").write_text(text)
    curve, seconds = read_log(tmp_path / "train.jsonl", "rmse")
    assert curve == [(1, 3.0, 9.0), (2, 2.0, 8.0)]
    assert seconds == 11.0
    assert (best_on_test(curve, rises=False), best_on_test(curve, rises=True)) == (8.0, 9.0)
    assert best_on_test([(1, 3.0, None)], rises=True) is None


def test_a_molecule_that_cannot_be_done_counts_as_the_mean() -> None:
    values, absent = filled(np.array([[1.0, 2.0], [np.nan, 5.0]]), np.array([7.0, 8.0]))
    assert values.tolist() == [[1.0, 2.0], [7.0, 8.0]]
    assert absent == 1


def test_a_grid_is_every_combination() -> None:
    assert list(settings_of({"a": [1, 2], "b": [3]})) == [{"a": 1, "b": 3}, {"a": 2, "b": 3}]
    assert list(settings_of({})) == [{}]


def test_spread_is_that_of_a_sample() -> None:
    assert mean_sd([1.0, 2.0, 3.0]) == (2.0, 1.0)
    mean, spread = mean_sd([5.0])
    assert (mean, np.isnan(spread)) == (5.0, True)


@pytest.mark.parametrize(
    ("metric", "scores", "told"),
    [
        ("roc_auc", [0.5, 0.75], "62.5 (17.7)"),
        ("rmse", [1.0, 2.0], "1.500 (0.707)"),
        ("mae", [0.0066, 0.0068], "0.00670 (0.00014)"),
        ("mae", [np.inf], "inf"),
        ("mae", [], "-"),
    ],
)
def test_scores_are_written_with_the_digits_they_need(metric: str, scores: list[float], told: str) -> None:
    results = {seed: {"test": {"scores": {metric: score}}} for seed, score in enumerate(scores)}
    groups = {("s", "ours"): CellGroup("s", "ours", results, {}, Path())}
    plan = Plan(sets={"s": metric}, splits={}, models={"ours": "ours"}, seeds=(0, 1))
    assert form_of(plan, groups, "s").mean(groups["s", "ours"].scores("test", metric)) == told


def test_a_pair_is_the_mean_over_common_seeds(tmp_path: Path) -> None:
    """Errors 1 and 3 against 2 and 2 on all molecules, so no resample changes the difference of RMSE."""
    labels = [[0.0]] * 6
    ours = make_group(tmp_path, "ours", {seed: arrays(labels, np.full((6, 1), seed)) for seed in (1, 3, 4)})
    other = make_group(tmp_path, "other", {seed: arrays(labels, np.full((6, 1), 2.5)) for seed in (1, 3)})
    found = compare(ours, other, "rmse")
    assert found is not None
    assert found.difference == pytest.approx((1 + 3) / 2 - 2.5)
    assert (found.low, found.high) == (pytest.approx(-0.5), pytest.approx(-0.5))
    assert found.verdict == "better"
    worse = compare(other, ours, "rmse")
    assert worse is not None
    assert (worse.verdict, worse.difference) == ("worse", pytest.approx(0.5))


def test_pairs_are_those_of_the_paired_bootstrap(tmp_path: Path) -> None:
    """As if the seeds were tasks side by side; and again from the files that were kept."""
    rng = np.random.default_rng(0)
    labels = rng.normal(size=(40, 2))
    labels[::5, 1] = np.nan
    made = {
        name: {seed: arrays(labels, np.nan_to_num(labels) + rng.normal(size=(40, 2))) for seed in (0, 1)}
        for name in ("ours", "other")
    }
    ours, other = (make_group(tmp_path, name, by_seed) for name, by_seed in made.items())
    columns = [
        np.concatenate([one["test_predictions"] for one in by_seed.values()], axis=1)
        for by_seed in made.values()
    ]
    first, second = columns
    twice = np.tile(labels, 2)
    n = FINE_RESAMPLES if paired_difference("rmse", twice, first, second).p <= 0.05 else RESAMPLES
    expected = paired_difference("rmse", twice, first, second, n=n)
    for _ in range(2):
        found = compare(ours, other, "rmse")
        assert found is not None
        assert found[3:7] == pytest.approx(expected)
        resampling._of_file.cache_clear()
    assert interval(ours, "rmse") == pytest.approx(bootstrap.interval("rmse", twice, first))


def test_our_best_row_is_chosen_on_validation_and_corrected_alone(tmp_path: Path) -> None:
    """On test the other of ours is better; two baselines, so the least p counts twice."""
    labels, validation = [[0.0]] * 6, {"a": 2.0, "b": 1.0, "forest": 3.0, "trees": 3.0}
    errors = {"a": 0.5, "b": 1.0, "forest": 2.0, "trees": 2.0}
    groups = {}
    for name, error in errors.items():
        group = make_group(tmp_path, name, {0: arrays(labels, np.full((6, 1), error))})
        result = {"valid": {"scores": {"rmse": validation[name]}}, "test": {"scores": {"rmse": error}}}
        groups["s", name] = group._replace(results={0: result})
    kinds = {"a": "ours", "b": "ours-frozen", "forest": "ecfp4-rf", "trees": "ecfp4-gb"}
    plan = Plan(sets={"s": "rmse"}, splits={}, models=kinds, seeds=(0,))
    every = comparisons(plan, groups)
    found = of_best_ours(plan, groups, every)
    assert [(one.ours, one.other) for one in found] == [("b", "forest"), ("b", "trees")]
    assert [one.p_all for one in found] == pytest.approx([2 * 2 / (FINE_RESAMPLES + 1)] * 2)
    assert len(every) == 5


def test_many_pairs_are_corrected_for_together(tmp_path: Path) -> None:
    """Errors 1, 2 and 2 on every molecule: two pairs as far apart as resamples can tell, and one alike."""
    labels = [[0.0]] * 6
    errors = {"near": 1.0, "far": 2.0, "as far": 2.0}
    groups = {
        ("s", name): make_group(tmp_path, name, {0: arrays(labels, np.full((6, 1), error))})
        for name, error in errors.items()
    }
    plan = Plan(sets={"s": "rmse"}, splits={}, models=dict.fromkeys(errors, "ours"), seeds=(0,))
    found = {(one.ours, one.other): one for one in comparisons(plan, groups)}
    least = 2 / (FINE_RESAMPLES + 1)
    assert found["near", "far"].p == found["near", "as far"].p == pytest.approx(least)
    assert found["near", "far"].p_all == found["near", "as far"].p_all == pytest.approx(3 * least)
    assert found["far", "as far"].p_all == 1.0


def test_pairs_need_the_same_molecules(tmp_path: Path) -> None:
    ours = make_group(tmp_path, "ours", {0: arrays([[0.0]] * 3, [[1.0]] * 3)})
    other = make_group(tmp_path, "other", {0: arrays([[0.0]] * 4, [[1.0]] * 4)})
    with pytest.raises(MoleblendError, match="ours and other have other test rows; run both again"):
        compare(ours, other, "rmse")
    nothing = make_group(tmp_path, "nothing", {})
    assert compare(ours, nothing, "rmse") is None


def test_scores_by_scaffold_use_their_molecules_only(tmp_path: Path) -> None:
    group = make_group(tmp_path, "m", {0: arrays([[0.0]] * 4, [[1.0], [2.0], [2.0], [9.0]])})
    sizes = {"f:0": 1, "f:1": 3, "f:2": 5, "f:3": 400}
    found = by_scaffold_size(group, "rmse", sizes)
    assert [(one.label, one.molecules, one.score) for one in found] == [
        ("1", 1, 1.0),
        ("2-5", 2, 2.0),
        ("21+", 1, 9.0),
    ]


def test_a_mean_roc_leaves_out_tasks_of_one_class(tmp_path: Path) -> None:
    labels = [[1.0, 1.0], [1.0, np.nan], [0.0, 1.0], [0.0, 1.0]]
    group = make_group(tmp_path, "m", {0: arrays(labels, [[0.9, 0.1], [0.8, 0.2], [0.2, 0.3], [0.1, 0.4]])})
    false, true = mean_roc(group)
    assert true[0] == 0.0
    assert (true[1:] == 1.0).all()
    assert false.tolist() == pytest.approx(np.linspace(0, 1, 101).tolist())


def test_a_half_written_cell_is_no_cell(tmp_path: Path) -> None:
    cell = make_cell(tmp_path)
    assert not finished(cell)
    write_result(cell, {"test": {}}, {"x": np.arange(3)})
    assert finished(cell)
    assert not finished(make_cell(tmp_path, metric="mae"))
    assert not finished(make_cell(tmp_path, stored={"train": "b"}))
    cell.path.with_suffix(".npz").unlink()
    assert not finished(cell)
    write_failure(cell, "why")
    assert not finished(cell)
    assert (read_result(cell.path) or {})["error"] == "why"
    cell.path.write_text("[1, 2]")
    assert read_result(cell.path) is None


def test_a_model_without_chance_is_run_once(tmp_path: Path) -> None:
    first, second = (make_cell(tmp_path, seed, kind="ecfp4-gb") for seed in (0, 1))
    assert first.hash == second.hash
    assert not copy_of_twin(second)
    write_result(first, {"test": {"x": 1}}, {"x": np.arange(3)})
    assert copy_of_twin(second)
    assert finished(second)
    copied = read_result(second.path) or {}
    assert (copied["seed"], copied["same_as_seed"], copied["test"]) == (1, 0, {"x": 1})
    assert make_cell(tmp_path, 0).hash != make_cell(tmp_path, 1).hash


OPTIONS = {
    "grid": {}, "arch": "moleblend_property_tiny", "checkpoint_sha256": "", "input_mode": "2d",
    "flags": ["--freeze-layers", "2"], "loss": "",
    "training": {"lr": 1e-4, "batch": 8, "epochs": 5, "dropout": 0.1, "warmup": 0.1, "patience": 3,
                 "weight_decay": 0.0, "fp16": True},
}  # fmt: skip


@pytest.mark.parametrize(("gpu", "track"), [(True, True), (False, False)])
def test_the_training_command_selects_on_validation(tmp_path: Path, gpu: bool, track: bool) -> None:
    cell = make_cell(
        tmp_path, 7, kind="ours", metric="roc_auc", options=OPTIONS, checkpoint="/w.pt", track_test=track
    )
    words = command(cell, {"lr": 1e-3}, tmp_path / "run", gpu)
    value = {word: after for word, after in zip(words, words[1:], strict=False) if word.startswith("--")}
    assert words[0] == sys.executable
    assert value["--valid-subset"].split(",")[0] == "valid"
    assert ("test" in value["--valid-subset"], "--fp16" in words) == (track, gpu)
    assert (value["--lr"], value["--batch-size"], value["--seed"]) == ("0.001", "8", "7")
    assert value["--finetune-from-model"] == "/w.pt"
    assert words[-2:] == ["--freeze-layers", "2"]


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("warning: x\nerror: the first\nmore\nerror: the last\n", "the last"),
        ("usage: main.py\nmain.py: error: unrecognized arguments: --x\n", "unrecognized arguments: --x"),
        ("Traceback\n  File\nKeyError: 'a'\n\n", "KeyError: 'a'"),
        ("", "it printed nothing"),
    ],
)
def test_the_reason_of_a_failure_is_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "log").write_text(text)
    assert last_line(tmp_path / "log") == told
    assert last_line(tmp_path / "none") == "it left no log"


def test_chemprop_gets_the_same_rows(tmp_path: Path) -> None:
    part = PartArrays(["f:0"], ["CCO"], np.array([[1.0, np.nan]]), ("a", "b"), tmp_path)
    write_parts(tmp_path / "t.csv", {"train": part, "valid": part, "test": part}, ["task0", "task1"])
    assert (tmp_path / "t.csv").read_text().split() == [
        "smiles,task0,task1,split", "CCO,1,,train", "CCO,1,,val", "CCO,1,,test"
    ]  # fmt: skip


@pytest.mark.parametrize("count", [6, 7])
def test_many_models_are_a_row_each(count: int) -> None:
    one = {"scores": {"rmse": 1.0}, "left_out": {"rmse": []}}
    result = {
        "kind": "ecfp4-rf",
        "valid": one,
        "test": one,
        "n": {"test": 3},
        "tasks": 2,
        "cpu_seconds": 20.0,
    }
    result |= {"seconds": {"total": 30.0}}
    models = [f"m{number}" for number in range(count)]
    groups = {
        (name, model): CellGroup(name, model, {0: result}, {}, Path()) for name in "ab" for model in models
    }
    plan = Plan(dict.fromkeys("ab", "rmse"), {}, dict.fromkeys(models, "ecfp4-rf"), (0,))
    _, header, rows = tables(plan, groups, [], {})[0]
    if count == 6:
        assert header == ["set", "metric", "test molecules", "tasks", *models]
        assert [row[:5] for row in rows] == [[name, "rmse ↓", "3", "2", "1.000, 20 s"] for name in "ab"]
    else:
        assert header == ["", "a", "b"]
        assert rows[:3] == [["metric", "rmse ↓", "rmse ↓"], ["test molecules", "3", "3"], ["tasks", "2", "2"]]
        assert rows[3:] == [[model, "1.000, 20 s", "1.000, 20 s"] for model in models]


@pytest.mark.parametrize("count", [MOST_ROWS, MOST_ROWS + 1])
def test_a_long_table_is_folded(count: int) -> None:
    shown = _table(("What", ["a"], [[str(number)] for number in range(count)]))
    assert shown.startswith("<details>") is (count > MOST_ROWS)
    assert shown.count("<tr>") == count + 1


@pytest.mark.parametrize(("count", "folded"), [(MOST_SHOWN, False), (MOST_SHOWN + 1, True)])
def test_many_comparisons_do_not_push_the_table_away(count: int, folded: bool) -> None:
    listed = _headline_list([f"line {number}" for number in range(count)])
    assert listed.count("<li>") == count
    assert listed.startswith("<details>") is folded

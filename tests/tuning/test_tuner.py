"""The search with a stub in place of training: time, pruning, going on, stale trials."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

optuna = pytest.importorskip("optuna")

from optuna.trial import TrialState  # noqa: E402

from moleblend_plugin.errors import MoleblendError  # noqa: E402
from moleblend_plugin.fitting.options import FitOptions  # noqa: E402
from moleblend_plugin.tuning.objective import Outcome, Watch  # noqa: E402
from moleblend_plugin.tuning.space import search_space  # noqa: E402
from moleblend_plugin.tuning.study import check_begun, opened  # noqa: E402
from moleblend_plugin.tuning.trials import default_of, tried, winner, write_trials  # noqa: E402
from moleblend_plugin.tuning.tuner import Budget, Told, Tuner  # noqa: E402

ASKED = FitOptions(data="t.csv")
DEFAULT = FitOptions(
    data="t.csv",
    epochs=8,
    batch_size=16,
    ensemble_size=4,
    stacking="yes",
    task="regression",
    readout="cls",
    molecule_featurizers="none",
)
SPACE = search_space(ASKED, DEFAULT)
K = 4


@dataclass
class Stub:
    """A trial takes its epochs in seconds, and is the better the nearer its rate is to 1e-3."""

    now: float = 0.0
    seen: list[FitOptions] = field(default_factory=list)
    at: Callable[[int, int], None] = lambda trial, fold: None

    def clock(self) -> float:
        return self.now

    def __call__(self, settings: FitOptions, watch: Watch) -> Outcome:
        self.seen.append(settings)
        loss = abs(settings.learning_rate - 1e-3) * 1e3
        for fold in range(1, K + 1):
            self.now += settings.epochs / K
            watch.progress(fold / K)
            self.at(len(self.seen), fold)
            watch.folds(fold, K, loss)
        alone = tuple(loss + 0.01 * fold for fold in range(K))
        return Outcome({"no": alone, "yes": tuple(value + 0.1 for value in alone)}, 3)


def new_study(rises: bool = False) -> optuna.Study:
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    return optuna.create_study(direction="maximize" if rises else "minimize")


def tuner(study: optuna.Study, stub: Stub, minutes: float = 10.0, trials: int = 0) -> Tuner:
    return Tuner(study, SPACE, DEFAULT, stub, Budget(minutes, trials), clock=stub.clock)


def test_the_first_trial_is_the_default_and_the_winner_is_no_worse() -> None:
    study, stub = new_study(), Stub()
    tuner(study, stub, trials=8).run()
    assert stub.seen[0] == DEFAULT
    trials = tried(study)
    default, best = default_of(trials), winner(trials, rises=False)
    assert (default.number, default.is_default, default.state) == (0, True, "complete")
    assert default.value == pytest.approx(0.5 + 0.015)
    assert (default.stacking, default.stacked) == ("no", pytest.approx(0.615))
    assert best.value < default.value
    assert sum(trial.state in ("complete", "pruned") for trial in trials) == 8
    assert any(trial.state == "pruned" for trial in trials)


def test_a_trial_that_the_others_leave_behind_is_pruned_after_a_fold() -> None:
    study, stub = new_study(), Stub()
    study.enqueue_trial({"learning_rate": 5e-4} | rest(), user_attrs={"default": True})
    for rate in (9e-4, 1e-4, 1.1e-3):
        study.enqueue_trial({"learning_rate": rate} | rest())
    tuner(study, stub, trials=4).run()
    assert [trial.state for trial in tried(study)] == ["complete", "complete", "pruned", "complete"]
    assert "after fold 1 of 4" in tried(study)[2].reason
    assert stub.now == pytest.approx(8 * 3 + 2)  # the pruned one took a fold


def rest() -> dict[str, object]:
    return {name: getattr(DEFAULT, name) for name in SPACE if name != "learning_rate"}


def test_where_more_is_better_pruning_looks_at_the_loss() -> None:
    """The score of the stub falls with the rate's distance here; what is pruned has the larger loss."""
    study, stub = new_study(rises=True), Stub()
    study.enqueue_trial({"learning_rate": 5e-4} | rest(), user_attrs={"default": True})
    for rate in (9e-4, 1e-4):
        study.enqueue_trial({"learning_rate": rate} | rest())
    tuner(study, stub, trials=3).run()
    assert [trial.state for trial in tried(study)] == ["complete", "complete", "pruned"]
    assert winner(tried(study), rises=True).stacking == "yes"


def test_the_minutes_are_kept() -> None:
    study, stub = new_study(), Stub()
    ended = tuner(study, stub, minutes=1.0).run()
    assert "minutes" in ended
    assert stub.now <= 60 + 16 / K  # the last fold that was begun
    last = tried(study)[-1]
    assert last.state == "stopped"
    used = study.user_attrs["seconds_used"]
    assert used == pytest.approx(stub.now)
    tuner(study, stub, minutes=2.0).run()
    again = [trial for trial in tried(study) if trial.params == last.params]
    assert [trial.number for trial in again] == [last.number, last.number + 1]  # what was stopped came first
    assert again[1].state in ("complete", "pruned")
    assert stub.now <= 120 + 16 / K


def test_a_trial_that_would_not_fit_is_not_begun() -> None:
    study, stub = new_study(), Stub()
    search = tuner(study, stub, minutes=0.5)
    search.run()
    begun = len(stub.seen)
    assert tried(study)[0].seconds == 8.0
    assert search.expected(rest() | {"learning_rate": 1e-3, "epochs": 16}) == pytest.approx(16.0)
    not_begun = [trial for trial in tried(study) if trial.reason.startswith("not begun")]
    assert len(stub.seen) == begun == len(tried(study)) - len(not_begun)
    assert all(trial.state == "stopped" for trial in not_begun)


def test_a_default_that_does_not_fit_is_one_line() -> None:
    study, stub = new_study(), Stub()
    with pytest.raises(MoleblendError, match="--minutes 0.1: the default setting alone takes longer"):
        tuner(study, stub, minutes=0.1).run()
    tuner(study, stub, minutes=5.0, trials=1).run()
    assert default_of(tried(study)).number == 1


def test_a_failure_is_kept_and_of_the_default_raised() -> None:
    def fail(trial: int, fold: int) -> None:
        if trial in (1, 3):
            raise MoleblendError("no epoch has a finite validation metric")

    study, stub = new_study(), Stub(at=fail)
    with pytest.raises(MoleblendError, match="no epoch"):
        tuner(study, stub, trials=3).run()
    tuner(study, stub, trials=3).run()
    trials = tried(study)
    assert [trial.state for trial in trials[:3]] == ["failed", "complete", "failed"]
    assert trials[1].is_default
    assert "no epoch" in trials[2].reason
    assert len({str(trial.params) for trial in trials[1:]}) == len(trials) - 1  # not proposed again


def test_the_same_settings_are_not_trained_twice() -> None:
    study, stub = new_study(), Stub()
    study.enqueue_trial({"learning_rate": 5e-4} | rest(), user_attrs={"default": True})
    study.enqueue_trial({"learning_rate": 5e-4} | rest())
    tuner(study, stub, trials=3).run()
    assert len(stub.seen) == 2
    assert tried(study)[1].value == tried(study)[0].value
    assert not tried(study)[1].is_default


class Killed(Exception):
    """Stands for a process that is gone: nothing after it runs."""


def test_an_interrupted_search_goes_on_as_if_it_had_not_been(tmp_path: Path) -> None:
    """Killed in one trial, interrupted in another: the settings that are tried are those of one long call."""
    whole = Stub()
    with opened(tmp_path / "whole.db", rises=False) as study:
        tuner(study, whole, trials=9).run()

    def kill(trial: int, fold: int) -> None:
        if trial == 3:
            raise Killed

    parts = Stub(at=kill)
    path = tmp_path / "my [b]? #x" / "study.db"
    path.parent.mkdir()
    with opened(path, rises=False) as study, pytest.raises(Killed):
        tuner(study, parts, trials=9).run()
    with opened(path, rises=False) as study:
        assert study.trials[-1].state == TrialState.RUNNING

    def interrupt(trial: int, fold: int) -> None:
        if trial == 7:
            raise KeyboardInterrupt

    parts.at = interrupt
    with opened(path, rises=False) as study, pytest.raises(KeyboardInterrupt):
        tuner(study, parts, trials=9).run()
    with opened(path, rises=False) as study:
        assert all(trial.state != TrialState.RUNNING for trial in study.trials)
        used = study.user_attrs["seconds_used"]
        assert 0 < used <= parts.now
        tuner(study, parts, trials=9).run()
        again = [trial.user_attrs["again"] for trial in study.trials if "again" in trial.user_attrs]
        stopped = [trial.number for trial in study.trials if trial.state == TrialState.FAIL]
        assert again == stopped
        assert len(stopped) == 2
    seen = [settings for number, settings in enumerate(parts.seen, 1) if number not in (3, 7)]
    assert seen == whole.seen
    assert len({settings.learning_rate for settings in seen}) == 9


def test_what_ends_its_process_twice_is_left_alone(tmp_path: Path) -> None:
    def kill(trial: int, fold: int) -> None:
        if trial in (2, 3):
            raise Killed

    study, stub = new_study(), Stub(at=kill)
    for _ in range(2):
        with pytest.raises(Killed):
            tuner(study, stub, trials=3).run()
    tuner(study, stub, trials=3).run()
    assert stub.seen[1] == stub.seen[2]
    assert stub.seen[1] not in stub.seen[3:]
    assert [trial.reason for trial in tried(study)[1:3]] == ["its process was killed"] * 2


def test_a_study_goes_on_with_its_own_data_and_options_only(tmp_path: Path) -> None:
    with opened(tmp_path / "study.db", rises=False) as study:
        check_begun(study, ASKED, SPACE, {"t.csv": "00"})
        check_begun(study, ASKED, SPACE, {"t.csv": "00"})
        with pytest.raises(MoleblendError, match="t.csv is not what the study was begun with"):
            check_begun(study, ASKED, SPACE, {"t.csv": "01"})
        with pytest.raises(MoleblendError, match="begun with seed = 0, not 3"):
            check_begun(study, FitOptions(data="t.csv", seed=3), SPACE, {"t.csv": "00"})
        with pytest.raises(MoleblendError, match="another version"):
            check_begun(study, ASKED, {"epochs": SPACE["epochs"]}, {"t.csv": "00"})
    (tmp_path / "bad.db").write_bytes(b"no database at all" * 99)
    with (
        pytest.raises(MoleblendError, match="start again with --overwrite"),
        opened(tmp_path / "bad.db", False),
    ):
        pass


def test_the_table_has_a_row_per_trial(tmp_path: Path) -> None:
    import csv

    study, stub = new_study(), Stub()
    said: list[str] = []
    search = Tuner(study, SPACE, DEFAULT, stub, Budget(10, 5), Told(said.append), clock=stub.clock)
    search.run()
    write_trials(tmp_path / "trials.csv", tried(study), tuple(SPACE), "rmse")
    with (tmp_path / "trials.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert [row["trial"] for row in rows] == [str(number) for number in range(len(rows))]
    assert float(rows[0]["rmse_fold_2"]) == pytest.approx(0.51)
    assert rows[0]["default"] == "yes"
    assert float(rows[0]["rmse_stacked"]) == pytest.approx(0.615)
    assert all(row["reason"] for row in rows if row["state"] != "complete")
    assert any("(default)" in line for line in said)

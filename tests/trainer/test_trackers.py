"""W&B and MLflow get what ``train.jsonl`` gets; where they are missing or fail, one line says so."""

from __future__ import annotations

import math
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest


@dataclass
class Sent:
    """What a fake tracker received."""

    opened: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, str] = field(default_factory=dict)
    values: list[tuple[int, dict[str, float]]] = field(default_factory=list)
    ended: Any = None
    fails_at: float = math.inf
    known: tuple[str, ...] = ()

    def take(self, step: int, values: dict[str, float], error: type[Exception]) -> None:
        if step >= self.fails_at:
            raise error("gone")
        self.values.append((step, values))


class FakeError(Exception):
    """Stands for ``wandb.Error`` and ``MlflowException``."""


@pytest.fixture
def wandb(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()

    def init(**options: Any) -> Any:
        if options["project"] == "closed":
            raise FakeError("api_key not configured\n(no-tty)")
        sent.opened = options
        return SimpleNamespace(
            log=lambda values, step: sent.take(step, values, FakeError),
            finish=lambda exit_code: setattr(sent, "ended", exit_code),
        )

    module = ModuleType("wandb")
    vars(module).update(init=init, Error=FakeError)
    monkeypatch.setitem(sys.modules, "wandb", module)
    return sent


@pytest.fixture
def mlflow(monkeypatch: pytest.MonkeyPatch) -> Sent:
    sent = Sent()

    class Client:
        def get_experiment_by_name(self, name: str) -> Any:
            if name == "closed":
                raise FakeError("cannot connect")
            return None

        def create_experiment(self, name: str) -> str:
            sent.opened["experiment"] = name
            return "7"

        def search_runs(self, experiments: list[str], filter_string: str, max_results: int) -> list[Any]:
            assert (experiments, max_results) == (["7"], 1)
            found = [name for name in sent.known if filter_string == f"attributes.run_name = '{name}'"]
            return [SimpleNamespace(info=SimpleNamespace(run_id=name)) for name in found]

        def update_run(self, run_id: str, status: str) -> None:
            sent.opened |= {"again": run_id, "status": status}

        def create_run(self, experiment: str, run_name: str | None) -> Any:
            sent.opened |= {"run_name": run_name, "id": experiment}
            return SimpleNamespace(info=SimpleNamespace(run_id="new"))

        def log_batch(self, run_id: str, metrics: Any = (), params: Any = ()) -> None:
            assert len(params) <= 100
            sent.parameters |= dict(params)
            if metrics:
                (step,) = {step for _, _, _, step in metrics}
                sent.take(step, {key: value for key, value, _, _ in metrics}, FakeError)

        def set_terminated(self, run_id: str, status: str) -> None:
            sent.ended = (run_id, status)

    def metric(*parts: Any) -> Any:
        return parts

    modules = {name: ModuleType(name) for name in ("mlflow", "mlflow.entities", "mlflow.exceptions")}
    vars(modules["mlflow"]).update(MlflowClient=Client)
    vars(modules["mlflow.entities"]).update(Metric=metric, Param=metric)
    vars(modules["mlflow.exceptions"]).update(MlflowException=FakeError)
    for name, module in modules.items():
        monkeypatch.setitem(sys.modules, name, module)
    return sent


FLAGS = {"wandb": "--wandb-project", "mlflow": "--mlflow-experiment"}


@pytest.mark.parametrize("name", FLAGS)
def test_every_value_of_the_log_arrives(name: str, train: Callable[..., Any], request: Any) -> None:
    sent = request.getfixturevalue(name)
    run = train("--max-epoch", 1, FLAGS[name], "mine")
    assert run.code == 0, run.err
    for event, tag in (("train_inner", "train_inner"), ("train", "train"), ("valid", "valid")):
        logged = [
            (row["num_updates"], {key: value for key, value in row.items() if key in row.keys() - HEAD})
            for row in run.events(event)
        ]
        got = [
            (step, {key.removeprefix(f"{tag}_"): value for key, value in values.items()})
            for step, values in sent.values
            if all(key.startswith(f"{tag}_") for key in values)
            and (tag != "train" or not any(key.startswith("train_inner_") for key in values))
        ]
        assert [step for step, _ in got] == [step for step, _ in logged]
        for (_, ours), (_, theirs) in zip(got, logged, strict=True):
            assert ours == {key: value for key, value in theirs.items() if value is not None}
    assert sent.ended in (0, ("new", "FINISHED"))


HEAD = {"event", "epoch", "subset", "num_updates"}


def test_wandb_gets_team_project_name_and_options(train: Callable[..., Any], wandb: Sent) -> None:
    train("--max-update", 1, "--wandb-project", "team/mine", "--wandb-name", "first")
    opened = wandb.opened
    assert (opened["entity"], opened["project"]) == ("team", "mine")
    assert (opened["name"], opened["id"], opened["resume"]) == ("first", "first", "allow")
    assert (opened["config"]["batch_size"], opened["config"]["task"]) == (4, "toy")
    train("--max-update", 1, "--wandb-project", "mine", into="other")
    assert [wandb.opened[key] for key in ("entity", "id", "resume")] == [None, None, None]


def test_mlflow_gets_experiment_name_and_options(train: Callable[..., Any], mlflow: Sent) -> None:
    train("--max-update", 1, "--mlflow-experiment", "mine", "--mlflow-name", "first")
    assert mlflow.opened == {"experiment": "mine", "id": "7", "run_name": "first"}
    assert (mlflow.parameters["batch_size"], mlflow.parameters["task"]) == ("4", "toy")


def test_mlflow_continues_the_run_of_that_name(train: Callable[..., Any], mlflow: Sent) -> None:
    mlflow.known = ("first",)
    train("--max-update", 1, "--mlflow-experiment", "mine", "--mlflow-name", "first")
    assert mlflow.opened == {"experiment": "mine", "again": "first", "status": "RUNNING"}
    assert (mlflow.parameters, mlflow.ended) == ({}, ("first", "FINISHED"))


@pytest.mark.parametrize("name", FLAGS)
def test_one_that_is_not_installed_is_one_line(
    name: str, train: Callable[..., Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, name, None)
    run = train("--max-update", 1, FLAGS[name], "mine")
    assert run.code == 2
    assert run.err == (
        f"error: {FLAGS[name]} needs the package {name}: pip install {name}, or remove the flag\n"
    )


@pytest.mark.parametrize("name", FLAGS)
def test_one_that_does_not_start_is_one_line(name: str, train: Callable[..., Any], request: Any) -> None:
    request.getfixturevalue(name)
    run = train("--max-update", 1, FLAGS[name], "closed")
    assert run.code == 2
    assert run.err.startswith(f"error: {FLAGS[name]} closed: ")
    assert "does not start (" in run.err
    assert run.err.count("\n") == 1
    assert not list(run.folder.glob("*.pt"))


@pytest.mark.parametrize("name", FLAGS)
def test_one_that_fails_later_does_not_end_the_run(
    name: str, train: Callable[..., Any], request: Any
) -> None:
    sent = request.getfixturevalue(name)
    sent.fails_at = 3
    run = train("--max-update", 6, FLAGS[name], "mine")
    assert run.code == 0, run.err
    assert {step for step, _ in sent.values} == {1, 2}
    assert run.out.count("takes no more values (gone)") == 1
    assert run.events("train_inner")[-1]["num_updates"] == 6


@pytest.mark.parametrize("name", FLAGS)
def test_a_run_that_fails_is_marked(
    name: str, train: Callable[..., Any], request: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    sent = request.getfixturevalue(name)
    train("--max-update", 1, into="first")
    from toy_plugin import ToyLoss

    def interrupt(self: Any, model: Any, sample: Any, reduce: bool = True) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(ToyLoss, "forward", interrupt)
    assert train("--max-update", 1, FLAGS[name], "mine").code == 130
    assert sent.ended in (1, ("new", "FAILED"))


@pytest.mark.parametrize("flag", ["--wandb-name", "--mlflow-name"])
def test_a_name_alone_is_refused(flag: str, train: Callable[..., Any]) -> None:
    run = train("--max-update", 1, flag, "first")
    assert run.code == 2
    assert f"{flag} has no effect without" in run.err

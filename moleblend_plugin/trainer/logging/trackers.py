"""Experiment trackers that take a run's values where they are asked for: TensorBoard, W&B, MLflow.

None of them is needed: a package is imported by the run that asks for it. A tracker that fails while a run
trains is left with a warning, since ``train.jsonl`` holds every value.
"""

from __future__ import annotations

import logging
import time
from argparse import Namespace
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.runs.flags import flag_of, option
from moleblend_plugin.trainer.logging.log_lines import Stats

logger = logging.getLogger(__name__)

_LONGEST_PARAMETER = 500  # characters of a parameter's value that every version of MLflow takes
_PARAMETERS_AT_ONCE = 100  # of one request to MLflow


_name = partial(option, metavar="NAME")


@dataclass(frozen=True, slots=True)
class TrackerConfig:
    """Experiment trackers beside TensorBoard; the first two flags are Uni-Core's.

    Attributes:
        wandb_project: log to this W&B project (PROJECT or TEAM/PROJECT); needs the package wandb
        wandb_name: name and id of the W&B run; a run of this name is continued
        mlflow_experiment: log to this MLflow experiment, at MLFLOW_TRACKING_URI; needs the package mlflow
        mlflow_name: name of the MLflow run; a run of this name is continued

    Raises:
        MoleblendError: a run's name without a place for the run.
    """

    wandb_project: str = _name("")
    wandb_name: str = _name("")
    mlflow_experiment: str = _name("")
    mlflow_name: str = _name("")

    def __post_init__(self) -> None:
        for name, place in (("wandb_name", "wandb_project"), ("mlflow_name", "mlflow_experiment")):
            if getattr(self, name) and not getattr(self, place):
                raise MoleblendError(f"{flag_of(name)} has no effect without {flag_of(place)}: give both")


class Tracker(Protocol):
    """Where values of a run go.

    Attributes:
        name: what messages call it.
        errors: exceptions that mean that it cannot be reached or written.
    """

    name: str
    errors: tuple[type[Exception], ...]

    def start(self) -> None:
        """Begin, or continue, the run there.

        Raises:
            MoleblendError: that is not possible.
        """

    def write(self, tag: str, stats: Stats, step: int) -> None:
        """Write values of one report.

        Args:
            tag: ``train``, ``train_inner`` or the name of a subset.
            stats: values by name; ``num_updates`` is the step, and ``None`` is no value.
            step: updates so far.
        """

    def close(self, completed: bool) -> None:
        """End the run there; ``completed`` says whether it reached its end."""


def build_trackers(args: Namespace) -> list[Tracker]:
    """The trackers that the options ask for, not yet started.

    Raises:
        MoleblendError: a package is not installed.
    """
    trackers: list[Tracker] = []
    if args.tensorboard_logdir:
        trackers.append(TensorBoard(args))
    if args.wandb_project:
        trackers.append(Wandb(args))
    if args.mlflow_experiment:
        trackers.append(MLflow(args))
    return trackers


class TensorBoard:
    """Event files in ``--tensorboard-logdir``, a folder per tag."""

    name = "TensorBoard"
    errors: tuple[type[Exception], ...] = (OSError,)

    def __init__(self, args: Namespace) -> None:
        self._writer = _needed("torch.utils.tensorboard", "--tensorboard-logdir", "tensorboard").SummaryWriter
        self._folder = Path(args.tensorboard_logdir)
        self._boards: dict[str, Any] = {}

    def start(self) -> None:
        """Do nothing: a folder appears with its first value."""

    def write(self, tag: str, stats: Stats, step: int) -> None:
        """Write to the files of this tag."""
        if tag not in self._boards:
            self._boards[tag] = self._writer(str(self._folder / tag))
        for key, value in _values(stats):
            self._boards[tag].add_scalar(key, value, step)
        self._boards[tag].flush()

    def close(self, completed: bool) -> None:
        """Close the files."""
        for board in self._boards.values():
            board.close()


class Wandb:
    """A run of the W&B project ``--wandb-project``; values have Uni-Core's names."""

    name = "W&B"

    def __init__(self, args: Namespace) -> None:
        self._wandb = _needed("wandb", "--wandb-project", "wandb")
        self.errors: tuple[type[Exception], ...] = (self._wandb.Error, OSError)
        self._args = args
        self._run: Any = None

    def start(self) -> None:
        """Start a run; with ``--wandb-name``, continue the run of that name if there is one."""
        team, _, project = self._args.wandb_project.rpartition("/")
        name = self._args.wandb_name or None
        try:
            self._run = self._wandb.init(
                project=project,
                entity=team or None,
                name=name,
                id=name,
                resume="allow" if name else None,
                config=_plain(self._args),
            )
        except self.errors as error:
            raise MoleblendError(
                f"--wandb-project {self._args.wandb_project}: W&B does not start ({_one_line(error)}): set "
                "WANDB_API_KEY, or WANDB_MODE=offline to write files alone, or remove the flag"
            ) from error

    def write(self, tag: str, stats: Stats, step: int) -> None:
        """Send the values as ``TAG_NAME``."""
        self._run.log({f"{tag}_{key}": value for key, value in _values(stats)}, step=step)

    def close(self, completed: bool) -> None:
        """Finish the run."""
        if self._run is not None:
            self._run.finish(exit_code=0 if completed else 1)


class MLflow:
    """A run of the experiment ``--mlflow-experiment``, at ``MLFLOW_TRACKING_URI``."""

    name = "MLflow"

    def __init__(self, args: Namespace) -> None:
        self._mlflow = _needed("mlflow", "--mlflow-experiment", "mlflow")
        self._entities = import_module("mlflow.entities")
        self.errors: tuple[type[Exception], ...] = (
            import_module("mlflow.exceptions").MlflowException,
            OSError,
        )
        self._args = args
        self._client: Any = None
        self._run_id = ""

    def start(self) -> None:
        """Start a run; with ``--mlflow-name``, continue the newest run of that name if there is one."""
        try:
            # A client of its own: the caller's active run, in a notebook, stays as it is.
            self._client = self._mlflow.MlflowClient()
            self._run_id = self._find() or self._create()
        except self.errors as error:
            raise MoleblendError(
                f"--mlflow-experiment {self._args.mlflow_experiment}: MLflow does not start "
                f"({_one_line(error)}): set MLFLOW_TRACKING_URI to a server or a "
                "database (sqlite:///mlflow.db), or remove the flag"
            ) from error

    def write(self, tag: str, stats: Stats, step: int) -> None:
        """Send the values as ``TAG_NAME``, in one request."""
        now = int(time.time() * 1000)
        metric = self._entities.Metric
        values = [metric(f"{tag}_{key}", float(value), now, step) for key, value in _values(stats)]
        self._client.log_batch(self._run_id, metrics=values)

    def close(self, completed: bool) -> None:
        """Say how the run ended."""
        if self._run_id:
            self._client.set_terminated(self._run_id, "FINISHED" if completed else "FAILED")

    def _experiment(self) -> str:
        name = self._args.mlflow_experiment
        found = self._client.get_experiment_by_name(name)
        return str(found.experiment_id if found else self._client.create_experiment(name))

    def _find(self) -> str:
        """Id of the newest run of the wanted name, which runs again; empty if there is none."""
        name = self._args.mlflow_name
        if not name:
            return ""
        quote = '"' if "'" in name else "'"
        wanted = f"attributes.run_name = {quote}{name}{quote}"
        runs = self._client.search_runs([self._experiment()], filter_string=wanted, max_results=1)
        if not runs:
            return ""
        self._client.update_run(runs[0].info.run_id, status="RUNNING")
        return str(runs[0].info.run_id)

    def _create(self) -> str:
        run = self._client.create_run(self._experiment(), run_name=self._args.mlflow_name or None)
        run_id = str(run.info.run_id)
        parameters = [
            self._entities.Param(key, str(value)[:_LONGEST_PARAMETER])
            for key, value in _plain(self._args).items()
        ]
        for start in range(0, len(parameters), _PARAMETERS_AT_ONCE):
            self._client.log_batch(run_id, params=parameters[start : start + _PARAMETERS_AT_ONCE])
        return run_id


def _needed(module: str, flag: str, package: str) -> Any:  # noqa: ANN401  a module of an optional package
    try:
        return import_module(module)
    except ImportError as error:
        raise MoleblendError(
            f"{flag} needs the package {package}: pip install {package}, or remove the flag"
        ) from error


def _values(stats: Stats) -> Iterator[tuple[str, float]]:
    for key, value in stats.items():
        if key != "num_updates" and value is not None:
            yield key, value


def _plain(args: Namespace) -> dict[str, Any]:
    """Options as values that every tracker can keep."""
    simple = (str, int, float, bool, type(None))
    return {key: value if isinstance(value, simple) else str(value) for key, value in vars(args).items()}


def _one_line(error: Exception) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__

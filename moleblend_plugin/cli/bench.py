"""``moleblend bench``: sets x seeds x models from one file, resumable, with a table and a page at the end."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from moleblend_plugin.cli._console import plain_console
from moleblend_plugin.cli._options import usable_cores
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.stopping import termination_as_exit

if TYPE_CHECKING:
    from moleblend_plugin.bench.spec.cell_spec import Cell
    from moleblend_plugin.bench.spec.config import BenchConfig


def bench(
    config: Annotated[Path, typer.Argument(help="TOML file: sets, seeds, models.")],
    out: Annotated[Path, typer.Option("--out", "-o", help="Folder for stores, cells, table and page.")],
    data: Annotated[
        Path | None, typer.Option(help="Folder that tables and splits are in [default: the file's data].")
    ] = None,
    checkpoint: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: the checkpoint, or bundled network, that a model starts from."),
    ] = None,
    python: Annotated[
        list[str] | None,
        typer.Option(help="NAME=FILE: the Python that has a model's packages (chemprop, minimol)."),
    ] = None,
    jobs: Annotated[
        int | None, typer.Option("--jobs", "--workers", min=1, help="Processes at a time.")
    ] = None,
    only_sets: Annotated[str, typer.Option("--sets", help="Run only these sets: bbbp,esol.")] = "",
    only_models: Annotated[str, typer.Option("--models", help="Run only these models.")] = "",
    report_only: Annotated[
        bool, typer.Option("--report-only", help="Run nothing: make table and page from what is there.")
    ] = False,
) -> None:
    """Run a comparison and write scores.csv, table.md and report.html.

    A cell that is finished is not run again, so an interrupted command goes on when it is repeated. A cell
    that fails is named and the others go on.
    """
    from moleblend_plugin.bench.report.summary import Plan
    from moleblend_plugin.bench.spec.config import load_config
    from moleblend_plugin.locks import holding

    if report_only:
        _report(Plan.read(out), out)
        return
    weights, interpreters = _named("--checkpoint", checkpoint or []), _named("--python", python or [])
    whole = load_config(config, data, weights, _names(only_models), interpreters)
    plan, part = Plan.of(whole), _part(whole, only_sets, only_models)
    what = f"another moleblend bench works in {out}"
    with (
        termination_as_exit(),
        holding(out / ".lock", what, "wait for it, or choose another --out", make_folder=True),
    ):
        plan.write(out)
        failed = _run(part, out.resolve(), jobs)
        _report(plan, out)
    if failed:
        raise typer.Exit(1)


def _named(flag: str, words: Sequence[str]) -> dict[str, Path]:
    found = {}
    for word in words:
        name, equals, path = word.partition("=")
        if not (name and equals and path):
            raise MoleblendError(f"{flag} {word!r}: write it as NAME=FILE, with a model's name")
        found[name] = Path(path)
    return found


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


def _part(config: BenchConfig, only_sets: str, only_models: str) -> BenchConfig:
    """The sets and models that were asked for."""
    sets, models = _names(only_sets), _names(only_models)
    for flag, names, there in (
        ("--sets", sets, [spec.name for spec in config.sets]),
        ("--models", models, [model.name for model in config.models]),
    ):
        for name in names:
            if name not in there:
                raise MoleblendError(f"{flag} {name}: there is no such name; choose from {', '.join(there)}")
    return replace(
        config,
        sets=tuple(spec for spec in config.sets if not sets or spec.name in sets),
        models=tuple(model for model in config.models if not models or model.name in models),
    )


def _run(config: BenchConfig, out: Path, jobs: int | None) -> int:
    """Build what is missing and run what is not finished; how many cells or sets failed."""
    from moleblend_plugin.bench.run.runner import run_cells
    from moleblend_plugin.bench.spec.cell_spec import finished, planned_cells
    from moleblend_plugin.bench.spec.model_spec import OURS
    from moleblend_plugin.files import sha256_of

    gpus = _gpus() if any(model.kind in OURS for model in config.models) else 0
    count = jobs or config.jobs or gpus or max(1, usable_cores() // config.threads)
    skipped = _without_packages(config)
    config = replace(config, models=tuple(model for model in config.models if model.name not in skipped))
    stores, unbuilt = _stores(config, out, count * config.threads)
    weights = {model.name: sha256_of(model.checkpoint) for model in config.models if model.checkpoint}
    cells = planned_cells(config, out, stores, weights)
    todo = [cell for cell in cells if not finished(cell)]
    _say(
        f"{len(cells)} cells, {len(cells) - len(todo)} finished before, {len(todo)} to run, {count} at a time"
    )
    with _Board(len(todo)) as board:
        _, failed = run_cells(todo, count, board.notify, gpus)
    return failed + unbuilt


def _stores(config: BenchConfig, out: Path, workers: int) -> tuple[dict[str, dict[str, str]], int]:
    """Fingerprints of the stores by set, and how many sets could not be built."""
    from moleblend_plugin.bench.run.stores import ensure_stores

    stores, failed = {}, 0
    featurizers = tuple(sorted({name for model in config.models for name in model.featurizers}))
    for spec in config.sets:
        try:
            built = ensure_stores(spec, out, workers, featurizers)
        except MoleblendError as error:
            _say(f"failed: {error}")
            failed += 1
            continue
        stores[spec.name] = built.fingerprints
        if built.new:
            _say(f"built {spec.name}")
    if not stores:
        raise MoleblendError("no set could be built; the reasons stand above")
    return stores, failed


def _without_packages(config: BenchConfig) -> set[str]:
    """Models that cannot run for want of another package; they are named and left out."""
    from moleblend_plugin.bench.run.interpreters import version_in
    from moleblend_plugin.bench.spec.model_spec import PACKAGES

    absent: dict[tuple[str, str], list[str]] = {}
    for model in config.models:
        package = PACKAGES.get(model.kind, "")
        if package and not version_in(model.python, package):
            absent.setdefault((package, model.python), []).append(model.name)
    for (package, python), names in absent.items():
        where = f" for {python}" if python else ""
        _say(
            f"skipped: {', '.join(names)}, because {package} is not installed{where} (pip install {package})"
        )
    return {name for names in absent.values() for name in names}


def _gpus() -> int:
    from moleblend_plugin.runs.devices import available

    return sum(name.startswith("cuda") for name in available())


def _say(text: str) -> None:
    print(f"bench: {text}", file=sys.stderr, flush=True)


class _Board:
    """Progress on stderr: a bar in a terminal, and a line for every cell that ends."""

    def __init__(self, total: int) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

        console = plain_console(stderr=True)
        self._live = console.is_terminal
        self._total, self._ended = total, 0
        self._started = time.monotonic()
        self._running: list[str] = []
        self._progress = Progress(
            TextColumn("bench"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TextColumn("{task.fields[running]}", markup=False),
            console=console,
            transient=True,
        )
        self._task = self._progress.add_task("bench", total=total, running="")

    def __enter__(self) -> _Board:
        self._context: AbstractContextManager[object] = self._progress if self._live else nullcontext()
        self._context.__enter__()
        return self

    def __exit__(self, *error: object) -> None:
        self._context.__exit__(None, None, None)

    def notify(self, cell: Cell, state: str, note: str) -> None:
        """Show a change of a cell."""
        if state == "started":
            self._running.append(cell.label)
        else:
            self._running.remove(cell.label)
            self._ended += 1
            left = (time.monotonic() - self._started) / self._ended * (self._total - self._ended)
            line = (
                f"[{self._ended}/{self._total}] {state}: {cell.label}: {note}; about {left / 60:.0f} min left"
            )
            if self._live:
                self._progress.console.print(line)
            else:
                _say(line)
        self._progress.update(self._task, completed=self._ended, running=", ".join(self._running))


def _report(plan: object, out: Path) -> None:
    from moleblend_plugin.bench.report.summary import Plan
    from moleblend_plugin.bench.report.write import write_report

    assert isinstance(plan, Plan)
    files = write_report(plan, out)
    print(files.text)
    for path in (files.scores, files.table, files.page):
        print(path)

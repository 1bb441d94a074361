"""What a comparison is: sets, seeds and models, read from a TOML file. Every mistake is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from moleblend_plugin.bench.spec.model_spec import (
    TRAINING_KEYS,
    TUNABLE_TRAINING,
    ModelSpec,
    check_interpreters,
    read_model,
    with_checkpoints,
    with_interpreters,
)
from moleblend_plugin.bench.spec.recipes import RECIPES, Training
from moleblend_plugin.bench.spec.toml_reader import Reader
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD, METHODS
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.label_kinds import ColumnKind
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.names import parse_names

Spec = TypeVar("Spec", "SetSpec", "ModelSpec")

_METRICS: Final = tuple(name for name, metric in METRICS.items() if metric.kind != "multiclass")
"""Scores of sets whose labels are values or two classes; several classes in one column are for ``fit``."""

KEEP: Final = ("none", "best", "all")


@dataclass(frozen=True, slots=True)
class SetSpec:
    """One data set.

    Attributes:
        name: names folders and columns; a preset's name brings its columns, metric and numbers.
        table: file for ``moleblend build``.
        split: ``--split`` of the build, with the path of a ``rows:`` file resolved.
        smiles: column of SMILES, empty for a usual name.
        targets: names of label columns, ("all",) for every numeric one.
        metric: what selects and is compared.
        conformers: ``--conformers`` of the build.
        conformer_method: its ``--conformer-method``.
        loss: ``--regression-loss``.
        training: numbers of our runs on it.
        split_seed: seed of conformers and of a random split.
        grid: as a model's, for our models on this set alone.
        words: what ``missing_label``, ``positive`` and ``negative`` of the build are, where given.
        sample: how many rows of the table are used, ``None`` for all (``run/set_table.py``).
        header: names of all its columns where those of the file will not do.
    """

    name: str
    table: Path
    split: str
    smiles: str
    targets: tuple[str, ...]
    metric: str
    conformers: str
    loss: str
    training: Training
    split_seed: int = 0
    grid: Mapping[str, tuple[Any, ...]] | None = None
    words: Mapping[str, tuple[str, ...]] | None = None
    sample: int | None = None
    header: tuple[str, ...] = ()
    conformer_method: str = DEFAULT_METHOD

    @property
    def kind(self) -> ColumnKind:
        """classification or regression."""
        return METRICS[self.metric].kind


@dataclass(frozen=True, slots=True)
class BenchConfig:
    """A whole comparison.

    Attributes:
        sets: data sets, in the order of the table.
        seeds: one run each.
        models: in the order of the table.
        jobs: processes at a time; ``None`` takes one per GPU, or per core.
        threads: threads of each.
        keep: what stays of our runs: none, the best checkpoint, or all.
        track_test: log the test score of every epoch too; it never selects.
    """

    sets: tuple[SetSpec, ...]
    seeds: tuple[int, ...]
    models: tuple[ModelSpec, ...]
    jobs: int | None = None
    threads: int = 1
    keep: str = "best"
    track_test: bool = True


def load_config(
    path: Path,
    data: Path | None = None,
    checkpoints: Mapping[str, Path] | None = None,
    only_models: Sequence[str] = (),
    interpreters: Mapping[str, Path] | None = None,
) -> BenchConfig:
    """Read a comparison.

    Args:
        path: the TOML file.
        data: folder that tables and splits are found in; stands over the file's ``data``.
        checkpoints: by model, weights to start from; they stand over the file's.
        only_models: models whose checkpoints and interpreters must be there; none: all.
        interpreters: by model, the Python that has its packages; they stand over the file's.

    Raises:
        MoleblendError: the file or anything in it is not as it should be.
    """
    top = Reader(_parse(path), str(path))
    named = path.parent / top.text("data", ".")
    root = data or named
    shared = top.table("training", TRAINING_KEYS)
    conformers = top.text("conformers", "")
    models = _unique(top, "models", [read_model(item, path.parent) for item in top.tables("models")])
    models = with_interpreters(with_checkpoints(models, checkpoints or {}, only_models), interpreters or {})
    check_interpreters([model for model in models if not only_models or model.name in only_models])
    config = BenchConfig(
        sets=_unique(top, "sets", [_set(item, root, shared, conformers) for item in top.tables("sets")]),
        seeds=_seeds(top),
        models=models,
        jobs=top.whole("jobs", None, least=1),
        threads=top.whole("threads", 1, least=1) or 1,
        keep=top.one_of("keep", KEEP, "best"),
        track_test=top.flag("track_test", True),
    )
    top.done()
    return config


def _parse(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MoleblendError(f"{path} cannot be read ({error.strerror}): give a TOML file") from None
    except ValueError as error:  # not TOML, or not UTF-8
        raise MoleblendError(f"{path} is not valid TOML ({error}): correct that line") from None


def _set(item: Reader, root: Path, shared: Mapping[str, Any], conformers: str) -> SetSpec:
    name = item.name("name")
    recipe = RECIPES.get(name)
    metric = item.one_of("metric", _METRICS, recipe.metric if recipe else None)
    numbers = {**shared, **item.table("training", TRAINING_KEYS)}
    training = replace(recipe.training if recipe else Training(), **numbers)
    spec = SetSpec(
        name=name,
        table=root / item.text("table", None),
        split=_split(item.text("split", recipe.split if recipe else None), root),
        smiles=item.text(_spelled(item, "smiles", "smiles_column"), recipe.smiles if recipe else ""),
        targets=_targets(item, recipe.targets if recipe else None),
        metric=metric,
        conformers=_conformers(item, conformers or (recipe.conformers if recipe else "1")),
        loss=item.text("loss", (recipe.loss if recipe else "") or "mse"),
        training=training,
        split_seed=item.whole("split_seed", 0, least=0) or 0,
        grid=item.lists("grid", TUNABLE_TRAINING),
        words={key: words for key in _WORDS if (words := item.texts(key, ()))},
        sample=item.whole("sample", None, least=10),
        header=item.texts("header", ()),
        conformer_method=item.one_of("conformer_method", tuple(METHODS), DEFAULT_METHOD),
    )
    item.done()
    _check_files(item.where, spec)
    return spec


def _check_files(where: str, spec: SetSpec) -> None:
    from moleblend_plugin.splits.given_rows import rows_file_path

    if not spec.table.is_file():
        raise MoleblendError(f"{where}: {spec.table} does not exist; correct table, or give --data FOLDER")
    kind, _, rows = spec.split.partition(":")
    if kind == "rows" and not rows_file_path(rows)[0].is_file():
        raise MoleblendError(f"{where}: {rows} does not exist; correct split, or give --data FOLDER")


_WORDS: Final = ("missing_label", "positive", "negative")


def _targets(item: Reader, default: tuple[str, ...] | None) -> tuple[str, ...]:
    """Label columns: a list of names as they are, or one text with commas between them."""
    key = _spelled(item, "targets", "target_columns")
    names = item.texts(key, default)
    return parse_names(names[0]) if isinstance(item.values.get(key), str) else names


def _spelled(item: Reader, short: str, long: str) -> str:
    """The key that is there; ``long`` is spelled as the option of ``moleblend build``."""
    return long if item.has(long) else short


def _conformers(item: Reader, default: str) -> str:
    """``conformers``, as ``--conformers`` of the build takes it: refused here, not in the first cell."""
    text = item.text("conformers", default)
    try:
        parse_conformers(text)
    except MoleblendError as error:
        raise MoleblendError(
            f"{item.where}: conformers = {text!r} should be a number from 1, or none"
        ) from error
    return text


def _split(text: str, root: Path) -> str:
    kind, colon, rest = text.partition(":")
    return f"rows:{root / rest}" if kind == "rows" and colon else text


def _seeds(top: Reader) -> tuple[int, ...]:
    seeds = top.wholes("seeds", (0, 1, 2))
    if len(set(seeds)) != len(seeds) or not seeds:
        raise MoleblendError(f"{top.where}: seeds {list(seeds)} must be different numbers, at least one")
    return seeds


def _unique(top: Reader, key: str, specs: list[Spec]) -> tuple[Spec, ...]:
    names = [spec.name for spec in specs]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise MoleblendError(f"{top.where}: two of {key} are named {twice!r}; rename one")
    return tuple(specs)

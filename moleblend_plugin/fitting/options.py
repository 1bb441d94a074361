"""What a fit is asked to do, as ``run.toml`` keeps it."""

from __future__ import annotations

import json
import tomllib
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path
from typing import Any, Final, get_args, get_type_hints

from moleblend_plugin.chem.geometry.conformer_method import DEFAULT_METHOD, METHODS
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.run_folder import FIT_RECORD
from moleblend_plugin.version import __version__

RUN_FILE: Final = FIT_RECORD

CENSORED: Final = ("refuse", "drop", "value")
TASKS: Final = ("auto", "regression", "classification", "multiclass", "mixed")
READOUTS: Final = ("cls", "mean", "sum", "attention")
FEATURIZERS: Final = ("none", "descriptors", "ecfp", "both")


@dataclass(frozen=True, slots=True)
class FitOptions:
    """Everything about a fit; what is empty, 0 or "auto" is found by looking at the table.

    Attributes:
        data: the table, or another file of molecules with labels.
        targets: columns of labels; (): the only column that can be one.
        smiles_column: "" looks for it by name and content.
        task: "auto" (by content), "regression", "classification", "multiclass" (several classes in one
            column), or "mixed" (columns of values and of two classes).
        positive: words for class 1 besides the usual ones.
        negative: words for class 0.
        missing_label: words or numbers for a missing label besides the usual ones.
        censored: what is done with labels such as >10: "refuse", "drop", or "value" (the number alone).
        weights_column: what each row's labels count, or "".
        descriptors_columns: numbers beside the molecule (temperature, pH) that the models read too.
        split: "auto", "random", "stratified", "scaffold", "none", "kfold:K:I" or "rows:FILE".
        test_size: share of the molecules that test.
        group_column: rows of one value fall into one part.
        date_column: the latest rows test.
        split_column: column that names each row's part.
        valid: files whose rows choose beside those of ``data`` (they join its folds).
        test: files whose rows test.
        checkpoint: what training starts from: "default", another name, a file, or "none".
        input_mode: "2d", "3d" or "both".
        conformer_method: "full" or "fast", where molecules without 3D get a conformer.
        ensemble_size: number of networks; 0: by the size of the table.
        folds: "random" or "scaffold".
        stacking: "auto", "yes" or "no".
        epochs: 0: by the size of the table.
        batch_size: molecules per update; 0: by the size of the table.
        learning_rate: highest rate.
        dropout: of the head.
        readout: "cls", "mean", "sum", "attention", or "auto": by the kind of the labels.
        freeze_epochs: first epochs, in which the head alone is trained.
        molecule_featurizers: what the head reads beside the encoder: "none", "descriptors", "ecfp", "both",
            or "auto": by the number of molecules.
        seed: of parts, folds and training.
        device: "auto", "cpu", "cuda", "cuda:N" or "mps".
    """

    data: str = ""
    targets: tuple[str, ...] = ()
    smiles_column: str = ""
    task: str = "auto"
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    missing_label: tuple[str, ...] = ()
    censored: str = "refuse"
    weights_column: str = ""
    descriptors_columns: tuple[str, ...] = ()
    split: str = "auto"
    test_size: float = 0.1
    group_column: str = ""
    date_column: str = ""
    split_column: str = ""
    valid: tuple[str, ...] = ()
    test: tuple[str, ...] = ()
    checkpoint: str = "default"
    input_mode: str = "2d"
    conformer_method: str = DEFAULT_METHOD
    ensemble_size: int = 0
    folds: str = "random"
    stacking: str = "auto"
    epochs: int = 0
    batch_size: int = 0
    learning_rate: float = 5e-4
    dropout: float = 0.1
    readout: str = "auto"
    freeze_epochs: int = 0
    molecule_featurizers: str = "auto"
    seed: int = 0
    device: str = "auto"

    def check(self) -> None:
        """Refuse what cannot be, or contradicts itself.

        Raises:
            MoleblendError: names the option.
        """
        if not self.data:
            raise MoleblendError(
                "no table: name a file of molecules with labels, as in: moleblend fit my.csv"
            )
        _choice("--censored", self.censored, CENSORED)
        _choice("--task", self.task, TASKS)
        _choice("--stacking", self.stacking, ("auto", "yes", "no"))
        _choice("--folds", self.folds, ("random", "scaffold"))
        _choice("--input-mode", self.input_mode, ("2d", "3d", "both"))
        _choice("--conformer-method", self.conformer_method, tuple(METHODS))
        _choice("--readout", self.readout, ("auto", *READOUTS))
        _choice("--molecule-featurizers", self.molecule_featurizers, ("auto", *FEATURIZERS))
        if not 0 <= self.dropout < 1:
            raise MoleblendError(f"--dropout {self.dropout:g}: give a rate from 0 to below 1")
        if not 0 <= self.test_size < 1:
            raise MoleblendError(f"--test-size {self.test_size:g}: give a share from 0 (none) to below 1")
        for name in ("ensemble_size", "epochs", "batch_size", "freeze_epochs", "seed"):
            if getattr(self, name) < 0:
                raise MoleblendError(f"--{name.replace('_', '-')} {getattr(self, name)}: give 0 or more")
        given = [
            flag
            for flag, value in (
                ("--split", self.split not in ("auto", "random")),
                ("--group-column", self.group_column),
                ("--date-column", self.date_column),
                ("--split-column", self.split_column),
                ("--valid and --test", self.valid or self.test),
            )
            if value
        ]
        if len(given) > 1:
            raise MoleblendError(f"{' and '.join(given)} each say which rows test: give one of them")

    @property
    def special_columns(self) -> tuple[str, ...]:
        """Columns with a meaning of their own, which are no targets."""
        named = (self.weights_column, self.group_column, self.date_column, self.split_column)
        return (*(name for name in named if name), *self.descriptors_columns)


def read_options(path: Path) -> FitOptions:
    """Options from a ``run.toml``, or from a file of some of its lines.

    Raises:
        MoleblendError: it cannot be read, or holds what is no option.
    """
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise MoleblendError(f"--config {path} cannot be read ({error.strerror or error})") from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise MoleblendError(f"--config {path} is no TOML ({error})") from error
    given = content.get("fit", {} if "found" in content else content)
    types = get_type_hints(FitOptions)
    values: dict[str, Any] = {}
    for name, value in given.items():
        if name not in types:
            known = ", ".join(types)
            raise MoleblendError(f"--config {path}: {name!r} is no option of fit; the options are {known}")
        values[name] = _typed(path, name, value, types[name])
    return replace(FitOptions(), **values)


def write_run_file(path: Path, options: FitOptions, found: dict[str, Any]) -> None:
    """Write ``run.toml``: the resolved options, which ``--config`` takes again, and what was found.

    Args:
        path: the file.
        options: resolved: nothing in it is left to be guessed.
        found: facts beside it, plain values.
    """
    lines = [
        f"# Written by moleblend_plugin {__version__}. Use: moleblend fit --config {path.name} --out FOLDER",
        "[fit]",
        *(f"{name} = {_toml(value)}" for name, value in asdict(options).items()),
        "",
        "[found]",
        *(f"{name} = {_toml(value)}" for name, value in found.items()),
    ]
    with replacing(path) as temporary:
        temporary.write_text("\n".join(lines) + "\n", encoding="utf-8")


def option_names() -> tuple[str, ...]:
    """Names of the options."""
    return tuple(item.name for item in fields(FitOptions))


def _choice(flag: str, value: str, choices: tuple[str, ...]) -> None:
    if value not in choices:
        raise MoleblendError(f"{flag} {value!r} is unknown; choose from {', '.join(choices)}")


def _typed(path: Path, name: str, value: Any, wanted: Any) -> Any:  # noqa: ANN401  whatever the file holds
    if get_args(wanted):
        if isinstance(value, str):
            value = [value]
        if isinstance(value, list) and all(isinstance(word, str) for word in value):
            return tuple(value)
    elif wanted is float and type(value) in (int, float):
        return float(value)
    elif type(value) is wanted:
        return value
    what = (
        "a list of texts"
        if get_args(wanted)
        else {"str": "a text", "int": "a whole number"}.get(wanted.__name__, "a number")
    )
    raise MoleblendError(f"--config {path}: {name} = {value!r}: give {what}")


def _toml(value: Any) -> str:  # noqa: ANN401  plain values
    """A plain value; TOML's basic strings are JSON's, but for the sign of deletion."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{_toml(key)} = {_toml(each)}" for key, each in value.items()) + " }"
    if isinstance(value, list | tuple):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")

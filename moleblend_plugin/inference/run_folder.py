"""A run's folder as what it holds: the checkpoint to judge, and the data that it was not trained on."""

from __future__ import annotations

import argparse
import tomllib
from pathlib import Path
from typing import Final, NamedTuple

from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs.folders import parts_in
from moleblend_plugin.networks.resolve import MODEL_FILE, find_checkpoint_file
from moleblend_plugin.runs.run_files import BEST_CHECKPOINT, LAST_CHECKPOINT, RUN_RECORD
from moleblend_plugin.runs.run_record import read_record

CHECKPOINTS: Final = (BEST_CHECKPOINT, LAST_CHECKPOINT)

TEST_PREDICTIONS: Final = "predictions_test.csv"
"""The test part of a ``moleblend fit``, beside its model: all columns of these rows, and the predictions."""

FIT_WORK: Final = "work"
"""Of a ``moleblend fit`` that is not finished, what there is."""

FIT_RECORD: Final = "run.toml"
"""Options of a ``moleblend fit``, beside its model."""


class PartFile(NamedTuple):
    """A part of a data set, and a note about it ("" for none)."""

    path: Path
    note: str


def find_checkpoint(given: Path) -> Path:
    """The checkpoint that ``given`` is or names, or the best (else the last) of the run whose folder it is.

    Raises:
        MoleblendError: there is none.
    """
    if not given.is_dir() or (given / MODEL_FILE).is_file():
        found = find_checkpoint_file(given)
        if not found.exists():
            raise MoleblendError(
                f"{given} does not exist: give a checkpoint, the --save-dir of a run, or the folder of a fit"
            )
        return found
    if (given / FIT_WORK).is_dir():
        raise MoleblendError(
            f"{given} holds a fit that was interrupted: finish it by moleblend fit --out {given} --resume"
        )
    for name in CHECKPOINTS:
        if (given / name).is_file():
            return given / name
    raise MoleblendError(
        f"{given} holds neither {' nor '.join(CHECKPOINTS)}: give a checkpoint, the --save-dir of a run, "
        "or the folder of a fit"
    )


def find_part(checkpoint: Path, args: argparse.Namespace, part: str, data: Path | None) -> PartFile:
    """The file to score: a named one, the part of a named folder, or the part of the run's own data.

    Args:
        checkpoint: the model.
        args: its options.
        part: "test", "valid" or "train".
        data: a file, a folder of stores, or ``None`` for the run's data, from ``run.json`` beside the
            checkpoint or from the checkpoint's options.

    Raises:
        MoleblendError: there is no such data or part.
    """
    note = ""
    if data is None and checkpoint.name == MODEL_FILE and (checkpoint.parent / TEST_PREDICTIONS).is_file():
        return PartFile(checkpoint.parent / TEST_PREDICTIONS, note)
    if data is None:
        data, note = _data_of_run(checkpoint, args)
    if not data.is_dir():
        return PartFile(data, note)
    parts = parts_in(data) | {file.stem: file for file in data.glob("*.lmdb") if file.is_file()}
    if part not in parts:
        there = sorted(parts)
        raise MoleblendError(
            f"{data} has no {part} part (parts: {', '.join(there) or 'none'}): build it with --split, "
            "give --part, or name a file with labels"
        )
    return PartFile(parts[part], note)


def words_of_build(checkpoint: Path, args: argparse.Namespace) -> dict[str, list[str]]:
    """What ``--missing-label``, ``--positive`` and ``--negative`` of the build of the run's data were.

    By the names of the options; nothing where the training data are not there any more. Of a
    ``moleblend fit`` they are in the file beside the model.
    """
    if checkpoint.name == MODEL_FILE and (checkpoint.parent / FIT_RECORD).is_file():
        return _words_of_fit(checkpoint.parent / FIT_RECORD)
    try:
        folder, _ = _data_of_run(checkpoint, args)
        columns = MoleculeStore(folder / "train.lmdb").meta.settings.get("columns") or {}
    except MoleblendError:
        return {}
    number = columns.get("missing_label")
    missing = [] if number is None else [repr(number)]
    return {
        "missing_label": [*missing, *columns.get("missing_words", ())],
        "positive": list(columns.get("positive", ())),
        "negative": list(columns.get("negative", ())),
    }


def _words_of_fit(path: Path) -> dict[str, list[str]]:
    try:
        options = tomllib.loads(path.read_text(encoding="utf-8"))["fit"]
        return {name: list(options.get(name, ())) for name in ("missing_label", "positive", "negative")}
    except (OSError, ValueError, KeyError) as error:
        raise MoleblendError(
            f"{path} is damaged ({error}): take the folder from where it came again"
        ) from error


def _data_of_run(checkpoint: Path, args: argparse.Namespace) -> tuple[Path, str]:
    folder, note = Path(getattr(args, "data", "") or ""), ""
    if (checkpoint.parent / RUN_RECORD).is_file():
        record = read_record(checkpoint.parent)
        paths = [str(store["path"]) for store in record["stores"].values() if store.get("path")]
        if paths:
            folder = Path(record["folder"], paths[0]).parent
            note = _changed(record)
    if str(folder) in ("", "."):
        raise MoleblendError(f"{checkpoint} does not say which data it was trained on: name the data as well")
    if not folder.is_dir():
        raise MoleblendError(f"{folder}, the data of the run, is not there any more: name the data as well")
    return folder, note


def _changed(record: dict[str, object]) -> str:
    """A warning where the training data are not those of the run: test molecules may have been trained on."""
    from moleblend_plugin.tasks.store_fingerprint import store_fingerprint

    stores = record["stores"]
    assert isinstance(stores, dict)
    for split, store in stores.items():
        path = Path(str(record["folder"]), str(store["path"]))
        if not path.is_file():
            return f"{path} is gone: it is unknown whether the other parts are of the same build"
        if store.get("fingerprint") and store_fingerprint(path) != store["fingerprint"]:
            return f"the {split} part was built again after training: the model may have seen what is scored"
    return ""

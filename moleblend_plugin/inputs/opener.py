"""The one way to open a file of molecules, of whatever format, for every command and from Python."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

from moleblend_plugin.chem.readers.columns import NumericColumns, named_columns, numeric_columns
from moleblend_plugin.chem.readers.source import Columns, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs.folders import expand_folders
from moleblend_plugin.inputs.formats import find_format
from moleblend_plugin.inputs.lmdb_files import UNIMOL
from moleblend_plugin.inputs.standard_input import STANDARD_INPUT, STREAM_NAME, spooled


class Opened(NamedTuple):
    """Inputs that are open.

    Attributes:
        sources: a reader of each file.
        columns: what is read from all of them, with the names of the targets.
        numeric: of ``--target-columns all``, the columns that are and are not labels; else ``None``.
    """

    sources: tuple[Source, ...]
    columns: Columns
    numeric: NumericColumns | None = None


def open_molecules(path: str | Path, columns: Columns | None = None) -> Source:
    """Reader of a file of molecules: CSV, TSV, SMILES, SDF (each also .gz), Parquet, .npz, LMDB.

    Args:
        path: the file; ``-`` is standard input.
        columns: what is read beside the molecules.

    Raises:
        MoleblendError: there is no such file, its format is not known or has not these columns.
    """
    wanted = columns or Columns()
    file, name, shown = Path(path), "", str(path)
    if file == STANDARD_INPUT:
        file, name, shown = spooled(), STREAM_NAME, "standard input"
    if not file.exists():
        raise MoleblendError(f"{shown} does not exist; check the path")
    if not file.is_file():
        raise MoleblendError(f"{shown} is not a file; name the files inside it")
    format, note = find_format(file, "" if name else file.name, shown, wanted.smiles)
    return Source(file, wanted, format, name, shown, note)


def open_inputs(paths: Sequence[Path], columns: Columns, target_columns: Sequence[str] = ()) -> Opened:
    """Readers of files and folders, for one set of molecules with the same labels.

    Args:
        paths: files, or folders of the files of parts (``inputs.folders``).
        columns: what is read from all; its targets are taken from ``target_columns`` where there are some.
        target_columns: texts of ``--target-columns``: names with commas between them, looked up in the first
            file; ``all`` for all its columns of numbers. None: labels that files bring with their molecules.

    Raises:
        MoleblendError: an input that cannot be read, or whose labels do not fit the names given.
    """
    sources = [open_molecules(path, replace(columns, targets=())) for path in expand_folders(paths)]
    numeric = None
    if [text.strip() for text in target_columns] == ["all"]:
        if sources[0].format.held_labels is None:
            numeric = numeric_columns(sources[0])
        columns = replace(columns, targets=numeric.taken if numeric else ())
    elif target_columns:
        names = tuple(name for text in target_columns for name in named_columns(sources[0], text))
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise MoleblendError(f"--target-columns names {twice!r} twice; name every column once")
        columns = replace(columns, targets=names)
    columns = _with_held_labels(sources, columns)
    return Opened(tuple(source.asking(columns) for source in sources), columns, numeric)


def _with_held_labels(sources: Sequence[Source], columns: Columns) -> Columns:
    """``columns``; without targets, those of the labels that the first file brings with its molecules."""
    for source in sources:
        if source.format.held_labels is None:
            continue
        held = source.format.held_labels(source.path)
        if not columns.targets:
            columns = replace(columns, targets=held)
        elif source.format is UNIMOL and len(columns.targets) != len(held):
            raise MoleblendError(
                f"{source.shown} holds {len(held)} labels per molecule, not {len(columns.targets)} as named; "
                "name all of them in their order, or leave out --target-columns"
            )
    return columns

"""Inputs of a build: files of any format, and folders of ``train.lmdb`` ... or ``train.csv`` ...

Wires the reader of Uni-Mol's files (``data/unimol``) to the sources of molecules (``chem``).
"""

from __future__ import annotations

from dataclasses import replace
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moleblend_plugin.chem.readers.source import Columns, Rows, Source
    from moleblend_plugin.data.unimol.reader import UniMolFile

FILE_COLUMN: Final = "file"
"""What Uni-Mol's files offer to ``--split column:NAME``: the name of the file without ``.lmdb``."""

_PARTS: Final = ("train", "valid", "test")
_LOOK_AHEAD: Final = 100
"""Values searched for one with labels, to count them."""


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """``paths`` with the files of its parts in place of a folder: LMDB files, else tables and the like.

    Raises:
        MoleblendError: a folder without any of them, or with two for one part.
    """
    from moleblend_plugin.splits.files import files_in

    files: list[Path] = []
    for path in paths:
        if not path.is_dir():
            files.append(path)
            continue
        found = [path / f"{part}.lmdb" for part in _PARTS if (path / f"{part}.lmdb").is_file()]
        found = found or files_in(path)
        if not found:
            raise MoleblendError(
                f"{path} is a folder without train.lmdb, valid.lmdb or test.lmdb, and without tables of "
                "these names; name the files inside it"
            )
        files += found
    return files


def split_of(paths: Sequence[Path], split: str) -> str:
    """What ``--split`` means for these inputs: folders keep their own parts unless told otherwise."""
    if split != "none" or not any(path.is_dir() for path in paths):
        return split
    return f"column:{FILE_COLUMN}" if all(map(is_unimol, expand_folders(paths))) else "files"


def open_inputs(paths: Sequence[Path], columns: Columns) -> tuple[tuple[Source, ...], Columns]:
    """Readers of all inputs, and ``columns`` with the names of the targets that Uni-Mol's files hold.

    Raises:
        MoleblendError: an input that cannot be read, or whose labels do not fit the names given.
    """
    from moleblend_plugin.chem.readers.formats import open_source

    files = expand_folders(paths)
    columns = _with_target_names([path for path in files if is_unimol(path)], columns)
    return tuple(
        _unimol(path, columns) if is_unimol(path) else open_source(path, columns) for path in files
    ), columns


def is_unimol(path: Path) -> bool:
    """Whether ``path`` is a file of Uni-Mol or a folder of them, by its name."""
    return path.is_dir() or path.name.lower().endswith(".lmdb")


def _with_target_names(paths: list[Path], columns: Columns) -> Columns:
    from moleblend_plugin.data.unimol.reader import UniMolFile

    for path in paths:
        count = _count_targets(UniMolFile(path))
        if not columns.targets or columns.targets == ("all",):
            columns = replace(columns, targets=tuple(f"target_{index}" for index in range(count)))
        elif len(columns.targets) != count:
            raise MoleblendError(
                f"{path} holds {count} labels per molecule, not {len(columns.targets)} as named; name all of "
                "them in their order, or leave out --target-columns"
            )
    return columns


def _count_targets(file: UniMolFile) -> int:
    """Labels of the first value that can be read."""
    from moleblend_plugin.chem.readers.unimol import targets_of

    for entry in islice(file, _LOOK_AHEAD):
        if entry.value is not None and "target" in entry.value:
            try:
                return len(targets_of(entry.value))
            except ValueError:
                continue
    return 0


def _unimol(path: Path, columns: Columns) -> Source:
    from moleblend_plugin.chem.readers.source import Source, missing_column

    source = Source(path, columns, _read_unimol, expects_columns=True)
    if columns.split and columns.split != FILE_COLUMN:
        raise missing_column(source, columns.split, [FILE_COLUMN], "column")
    if columns.smiles:
        raise MoleblendError(
            f"{path} keeps its SMILES under 'smi'; leave out --smiles-column {columns.smiles!r}"
        )
    return source


def _read_unimol(source: Source) -> Rows:
    from moleblend_plugin.chem.readers.unimol import row_of
    from moleblend_plugin.data.unimol.reader import UniMolFile
    from moleblend_plugin.schema import Rejection

    file = UniMolFile(source.path)
    for done, entry in enumerate(file, 1):
        source.rows_done = done / len(file)
        if entry.value is None:
            yield Rejection(source.name, entry.key, "", entry.problem)
        else:
            n_targets = len(source.columns.targets)
            yield row_of(source.name, entry.key, entry.value, n_targets, source.path.stem)

"""Folders whose files are parts of a data set: ``train.lmdb`` ..., else ``train.csv``, ``valid.sdf`` ..."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from moleblend_plugin.chem.readers.source import FILE_COLUMN
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs.formats import has_known_ending
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.part_files import part_named_by


def parts_in(folder: Path) -> dict[str, Path]:
    """The files of a folder by part, in the order train, valid, test: LMDB files, else tables and the like.

    Raises:
        MoleblendError: two are the same part.
    """
    found = {part: folder / f"{part}.lmdb" for part in PARTS if (folder / f"{part}.lmdb").is_file()}
    if found:
        return found
    for path in sorted(folder.iterdir()):
        # The folder's own name tells nothing here.
        part = part_named_by(Path("/") / path.name) if path.is_file() and has_known_ending(path) else ""
        if part in found:
            raise MoleblendError(
                f"{folder} holds {found[part].name} and {path.name}, both {part} by name; name the files "
                "to read instead of the folder"
            )
        if part:
            found[part] = path
    return {part: found[part] for part in PARTS if part in found}


def expand_folders(paths: Sequence[Path]) -> list[Path]:
    """``paths`` with the files of its parts in place of a folder.

    Raises:
        MoleblendError: a folder without parts, or with two files for one.
    """
    files: list[Path] = []
    for path in paths:
        found = list(parts_in(path).values()) if path.is_dir() else [path]
        if not found:
            raise MoleblendError(
                f"{path} is a folder without train.lmdb, valid.lmdb or test.lmdb, and without tables of "
                "these names; name the files inside it"
            )
        files += found
    return files


def split_of(paths: Sequence[Path], split: str) -> str:
    """What ``--split`` means for these inputs: folders keep their own parts by default."""
    if split != "none" or not any(path.is_dir() for path in paths):
        return split
    is_held = all(file.suffix.lower() == ".lmdb" for file in expand_folders(paths))
    return f"column:{FILE_COLUMN}" if is_held else "files"

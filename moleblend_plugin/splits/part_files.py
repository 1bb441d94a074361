"""Splits that come as separate files: ``train.csv``, ``valid.csv``, ``test.csv``."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Rows, Source
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.splits.methods import PART_WORDS


def part_named_by(path: Path) -> str:
    """Part that a file's name gives ("bbbp_train.csv", "val.smi.gz"), else its folder's; "" for none.

    A name that tells two ("train_test.csv") tells none.
    """
    for name in (path.name.partition(".")[0], path.absolute().parent.name):
        words = re.split(r"[^a-z]+", name.lower())
        found = {PART_WORDS[word] for word in words if word in PART_WORDS}
        if found:
            return found.pop() if len(found) == 1 else ""
    return ""


def parts_of_files(paths: Sequence[Path]) -> tuple[str, ...]:
    """Part of every file, for ``--split files``.

    Raises:
        MoleblendError: a name tells none.
    """
    parts = tuple(part_named_by(path) for path in paths)
    for path, part in zip(paths, parts, strict=True):
        if not part:
            raise MoleblendError(
                f"--split files: {path} does not name its part; name it train, valid (val, dev) or test, or "
                "give files by --valid and --test"
            )
    return parts


def in_part(source: Source, part: str) -> Source:
    """``source``, each of whose rows is in ``part``."""

    def placed(rows: Rows) -> Rows:
        for row in rows:
            yield replace(row, split=part) if isinstance(row, RawRow) else row

    return source.changed(placed)


def with_own_names(sources: Sequence[Source]) -> tuple[Source, ...]:
    """``sources`` with as much of their folders in the name as distinguishes files of one name."""
    names = [source.name for source in sources]
    paths = [source.path.absolute().parts for source in sources]
    depth = 1
    while len(set(names)) < len(names) and depth < max(map(len, paths)):
        depth += 1
        names = [
            "/".join(path[-depth:]).lstrip("/") if names.count(name) > 1 else name
            for name, path in zip(names, paths, strict=True)
        ]
    return tuple(
        source if source.name == name else source.named(name)
        for source, name in zip(sources, names, strict=True)
    )

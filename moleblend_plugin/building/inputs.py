"""Old names, until the build opens its inputs by ``inputs.open_inputs``; goes then."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from moleblend_plugin.inputs import expand_folders as expand_folders
from moleblend_plugin.inputs import split_of as split_of
from moleblend_plugin.inputs.opener import open_inputs as open_new

if TYPE_CHECKING:
    from collections.abc import Sequence

    from moleblend_plugin.chem.readers.source import Columns, Source


def open_inputs(paths: Sequence[Path], columns: Columns) -> tuple[tuple[Source, ...], Columns]:
    """Readers and columns."""
    from dataclasses import replace

    targets = () if columns.targets == ("all",) else columns.targets
    opened = open_new(paths, replace(columns, targets=targets))
    return opened.sources, opened.columns


def is_unimol(path: Path) -> bool:
    """By its name."""
    return path.is_dir() or path.name.lower().endswith(".lmdb")

"""What ``predict`` and ``embed`` do alike: open their input, guard their output, tell what came of it."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from moleblend_plugin.chem.convert import ConversionConfig
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.inference.inputs import Input
    from moleblend_plugin.inference.outputs import Counts


def open_rows(
    path: Path,
    conversion: ConversionConfig,
    workers: int,
    smiles_column: str,
    max_atoms: int,
    labels: Columns | None = None,
) -> Input:
    """Rows of a store, of a file of Uni-Mol, or of any other file of molecules.

    ``labels`` as in ``inference.inputs.open_input``.

    Raises:
        MoleblendError: no such file, format or column.
    """
    from moleblend_plugin.building.inputs import open_inputs
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.data.store.reader import NotAStore
    from moleblend_plugin.errors import MoleblendError
    from moleblend_plugin.inference.inputs import FileInput, open_input

    if path.is_dir():
        raise MoleblendError(f"{path} is a folder; name a file in it")
    try:
        return open_input(path, conversion, workers, smiles_column, max_atoms, labels)
    except NotAStore:
        (source,), _ = open_inputs([path], Columns())
        return FileInput(source, conversion, workers, max_atoms)


def refuse_existing(out: Path, overwrite: bool) -> None:
    """Raises a :class:`MoleblendError` where ``out`` would be replaced without being asked for."""
    from moleblend_plugin.errors import MoleblendError

    if out.exists() and not overwrite:
        raise MoleblendError(f"--out {out} is there already; name another file or add --overwrite")


def tell_3d(molecules: Path, told: str) -> None:
    """Say how molecules get their 3D; those of a store have it."""
    if molecules.suffix != ".lmdb":
        print(f"molecules: {told}", file=sys.stderr)


def print_counts(counts: Counts, done: str, out: Path, input_mode: str) -> None:
    """The summary: rows, rows with numbers, and the others by reason."""
    lines = [f"rows       {counts.rows:,}", f"{done:<10} {counts.done:,}"]
    if counts.flat and input_mode != "2d":
        lines.append(f"           {counts.flat.total():,}  of them without 3D: the network saw their 2D")
        lines += [f"           {count:,}  {reason}" for reason, count in counts.flat.most_common()]
    lines += [f"           {count:,}  {reason}" for reason, count in counts.reasons.most_common()]
    print("\n".join([*lines, f"written    {out}"]))

"""What ``predict``, ``embed`` and ``score`` do alike: open their input, guard their output, report rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from moleblend_plugin.cli._console import print_notes
from moleblend_plugin.cli._output import writing

if TYPE_CHECKING:
    from moleblend_plugin.chem.readers.source import Source
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.inference.outputs import Counts, OnRows
    from moleblend_plugin.inference.predictor import Predictor

_Model = TypeVar("_Model", "Predictor", "Embedder")


def open_rows(
    network: Predictor | Embedder,
    source: Source,
    conformers: str | None,
    workers: int | None,
    max_atoms: int,
    *,
    canonical: bool = True,
    row_timeout: float | None = None,
) -> Input:
    """Rows of a file as molecules for a network; says how they get their 3D, unless a store has it.

    Args:
        network: reads them.
        source: the file.
        conformers: as ``conversion_for`` takes them.
        workers: processes; ``None``: one for each core.
        max_atoms: of a molecule.
        canonical: whether anything but the network reads molecules: then they get their canonical SMILES.
        row_timeout: as of ``Input``.
    """
    from moleblend_plugin.entry import usable_cores
    from moleblend_plugin.inference.conversion import conversion_for
    from moleblend_plugin.inference.input_rows import Input

    conversion = conversion_for(network.args, network.input_mode, conformers)
    cores = workers or usable_cores()
    heads = network.featurizers, network.extra_descriptors
    canonical = canonical or network.reads_smiles
    rows = Input(
        *(source, conversion.config, cores, max_atoms, *heads), canonical=canonical, row_timeout=row_timeout
    )
    if not source.format.holds_records:
        print(f"molecules: {conversion.note}", file=sys.stderr)
    return rows


def write_rows(
    command: tuple[str, str],
    write: Callable[[_Model, Input, Path, int, OnRows], Counts],
    network: _Model,
    rows: Input,
    out: Path,
    batch_size: int,
    overwrite: bool,
) -> None:
    """Write the results of ``rows``, and say what came of them.

    Args:
        command: its name for the progress, and what the summary calls rows with numbers.
        write: writes the file.
        network: computes.
        rows: the input.
        out: the file.
        batch_size: molecules computed together.
        overwrite: whether the file may be there.
    """
    from moleblend_plugin.cli._progress import RowProgress

    with writing(out, overwrite), RowProgress(command[0], rows.fraction_done, rows.total) as progress:
        counts = write(network, rows, out, batch_size, progress.update)
    print_counts(rows.notes, counts, command[1], [out], network.input_mode)


def print_counts(
    notes: Sequence[str], counts: Counts, done: str, out: Sequence[Path], input_mode: str
) -> None:
    """The notes on an input, and the summary: rows, rows with numbers, and the others by reason.

    Args:
        notes: on how it was read.
        counts: what came of its rows.
        done: what rows with numbers are called.
        out: the files.
        input_mode: what the network sees.
    """
    print_notes(notes)
    lines = [f"rows       {counts.rows:,}", f"{done:<10} {counts.done:,}"]
    if counts.flat and input_mode != "2d":
        lines.append(f"           {counts.flat.total():,}  of them without 3D: the network saw their 2D")
        lines += [f"           {count:,}  {reason}" for reason, count in counts.flat.most_common()]
    lines += [f"           {count:,}  {reason}" for reason, count in counts.reasons.most_common()]
    print("\n".join([*lines, *(f"written    {path}" for path in out)]))

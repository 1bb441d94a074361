"""What ``predict``, ``embed`` and ``score`` do alike: open their input, guard their output, report rows."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from moleblend_plugin.cli._console import print_notes
from moleblend_plugin.cli._output import writing

if TYPE_CHECKING:
    from moleblend_plugin.chem.readers.source import Source
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.inference.kept_rows import KeptRows
    from moleblend_plugin.inference.outputs import Counts
    from moleblend_plugin.inference.predictor import Predictor
    from moleblend_plugin.inference.work import Stamp, Work


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


def work_of(network: Predictor | Embedder, rows: Input, model: Stamp, **options: object) -> Work | None:
    """What results depend on; ``None`` of standard input, which cannot be read again.

    Args:
        network: computes.
        rows: the input.
        model: the file of the network, as it was before it was read.
        **options: of the command, plain values.
    """
    from moleblend_plugin.inference.work import Stamp, Work
    from moleblend_plugin.inputs.standard_input import STREAM_NAME

    if rows.source.name == STREAM_NAME:
        return None
    settings = {"input name": rows.source.name, "device": str(network.device), **options, **rows.settings()}
    named = {name.replace("_", " "): value for name, value in settings.items()}
    return Work(named, {"input": Stamp.of(rows.source.path), "model": model})


def write_rows(
    command: tuple[str, str],
    write: Callable[..., Counts],
    network: Predictor | Embedder,
    rows: Input,
    out: Path,
    batch_size: int,
    overwrite: bool,
    work: Work | None,
) -> None:
    """Write the results of ``rows``, and say what came of them.

    Args:
        command: its name for the progress, and what the summary calls rows with numbers.
        write: writes the file (``predict_to_table``, ``embed_to_file``).
        network: computes.
        rows: the input.
        out: the file.
        batch_size: molecules computed together.
        overwrite: whether the file may be there.
        work: by which an interrupted command goes on, ``None`` where it does not.
    """
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.inference.joined_rows import ArraysHead
    from moleblend_plugin.inference.kept_rows import keeping
    from moleblend_plugin.stopping import termination_as_exit

    what = getattr(network, "what", None)
    head = None if what is None else ArraysHead(what, network.width, rows.header)  # type: ignore[union-attr]
    with termination_as_exit(), writing(out, overwrite), keeping(out, work, head, _tell) as kept:
        there = kept.counts.rows
        total = _resume(command[0], rows, kept) if there else rows.total
        fraction = rows.fraction_done if total is None else lambda done: done / max(1, total)
        with RowProgress(command[0], fraction, total) as progress:
            progress.start_from(there)

            def report(done: int) -> None:
                progress.update(there + done)

            if work is None:
                counts = write(network, rows, out, batch_size, report)
            else:
                options = {"spans": kept.missing, "open_out": kept.open, "counts": kept.fresh}
                write(network, rows, out, batch_size, report, **options)
                counts = kept.counts
    print_counts(rows.notes, counts, command[1], [out], network.input_mode)


def _resume(command: str, rows: Input, kept: KeptRows) -> int:
    """Have finished rows passed over, and say so; rows in all, about where counting would take long."""
    from moleblend_plugin.building.cut import rows_about

    rows.pass_over(kept.spans)
    known = rows.total
    total = rows_about([rows.source], None) if known is None else known
    first = kept.missing[0][0]
    behind = kept.counts.rows - first
    more = f"; {behind:,} rows behind it are there" if behind else ""
    about = "about " if known is None else ""
    _tell(f"{command}: resumed at row {first:,} of {about}{total:,}{more}")
    return total


def _tell(line: str) -> None:
    print(line, file=sys.stderr, flush=True)


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

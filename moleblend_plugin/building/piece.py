"""One piece of a build: some rows of its inputs, and all that joining needs of them.

A plain function of inputs, options, a piece and a folder, so that any scheduler can call it, anywhere and in
any order. What needs all rows (splits, duplicates, the descriptors' transform, reports) is left to
``building.join``.
"""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.building.convert_rows import check_inputs, finish_rows
from moleblend_plugin.building.cut import Piece, parse_piece, piece_path, rows_about
from moleblend_plugin.building.divide import parts_of_rows
from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.options import AnyPath, BuildOptions, plan_of
from moleblend_plugin.building.outcomes import Excluded, Molecule, Rejected
from moleblend_plugin.building.outputs import rejected_cells
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.progress import BuildProgress, Progress, RowCounter, silent
from moleblend_plugin.building.stage import working
from moleblend_plugin.building.terms import terms_of
from moleblend_plugin.building.work import work_of, work_settings
from moleblend_plugin.data.store.piece_file import PieceFile, PieceWriter, as_read_back
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.schema import PARTS

FORMAT: Final = 1
"""Of the facts of a piece."""

_BLOCK: Final = 4096
"""Rows whose facts are kept together."""

KINDS: Final = {Molecule: "molecules", Rejected: "rejected", Excluded: "excluded"}
"""Names of the facts about rows."""
CELLS: Final = "cells"
"""Name of the facts about what stands beside rejected rows: source, row and cells."""


_TOLD_ELSEWHERE: Final = ("piece", "checksums", "settings", "split_settings", "exclude")
"""Facts of a head that do not tell builds apart, or whose content others tell."""


@dataclass(frozen=True, slots=True)
class PieceResult:
    """What a piece came to.

    Attributes:
        path: its file.
        piece: which one of how many.
        was_there: whether it was made before: nothing was done.
        rows: of the inputs, that it has.
        molecules: those of them that are molecules.
        rejected: those that are none.
        excluded: those that are left out as asked for.
        resumed_rows: rows that an interrupted build of it had finished.
        seconds: that it took, in the run that made it.
    """

    path: Path
    piece: Piece
    was_there: bool
    rows: int
    molecules: int
    rejected: int
    excluded: int
    resumed_rows: int
    seconds: float


def build_piece(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    piece: str | Piece,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> PieceResult:
    """Make one piece of a build, as ``moleblend build --piece`` does.

    A piece that is there already, of the same inputs and settings, is left as it is. An interrupted call
    resumes when it is made again.

    Args:
        inputs: as of :func:`moleblend_plugin.build`, all of them for every piece.
        out: folder for the pieces.
        piece: which one of how many, such as "3/16".
        options: as of a build, the same for every piece.
        progress: called with news while it works.

    Raises:
        MoleblendError: anything that the user can correct.
    """
    report = progress or silent
    chosen = parse_piece(piece) if isinstance(piece, str) else piece
    plan = plan_of(inputs, out, options or BuildOptions(), lambda line: report(BuildProgress("choice", line)))
    return run_piece(plan, chosen, report)


def run_piece(plan: BuildPlan, piece: Piece, progress: Progress) -> PieceResult:
    """Make a piece of the build of ``plan``, beginning with what an interrupted run has finished."""
    if plan.out.exists() and not plan.out.is_dir():
        raise MoleblendError(f"--out {plan.out} is a file; name a folder")
    check_inputs(plan)
    started = time.monotonic()
    checksums, work, target = plan.checksums(), work_of(plan), piece_path(plan.out, piece)
    settings = work_settings(plan, work, checksums) | {"piece": [piece.number, piece.of]}
    asked = {"format": FORMAT, "piece": piece.number, "of": piece.of, "work": settings}
    asked = as_read_back(asked | {"asked": terms_of(plan, checksums).to_plain()[0]})
    if target.exists() and not plan.overwrite:
        return _found(target, piece, asked)
    count = rows_about(plan.sources, plan.limit)
    first, stop = piece.rows(count)

    def note(line: str) -> None:
        progress(BuildProgress("note", line))

    try:
        plan.out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise MoleblendError(
            f"--out {plan.out} cannot be made ({error.strerror or error}): name another folder"
        ) from error
    folder = target.with_name(f".{target.stem}.partial")
    with working(folder, target, settings, note) as rows:
        resumed = len(rows)
        total = (count if stop is None else stop) - first
        finish_rows(plan, work, rows, RowCounter(plan.sources, plan.limit, progress, total), first, stop)
        head = asked | {"read": terms_of(plan, checksums).to_plain()[1]}
        head |= {"rows": [first, first + len(rows)], "workers": plan.workers}
        head |= {"resumed": resumed, "counts": {name: rows.counts[kind] for kind, name in KINDS.items()}}
        _write(target, plan, rows, head, started)
    return _result(target, piece, PieceFile(target).head, was_there=False)


def _found(target: Path, piece: Piece, asked: dict[str, Any]) -> PieceResult:
    """The piece that is there, where it is the one that is asked for."""
    head = PieceFile(target).head
    if changed := differences(head, asked):
        raise MoleblendError(
            f"{target} is there and differs ({changed}); name another --out or add --overwrite"
        )
    return _result(target, piece, head, was_there=True)


def differences(held: dict[str, Any], asked: dict[str, Any]) -> str:
    """In what two pieces' builds differ, for people; "" where they are of one build.

    Args:
        held: head of one.
        asked: of the other; the first values named are its.
    """
    if held.get("format") != asked.get("format"):
        return f"format {held.get('format')} of pieces, not {asked.get('format')}"
    found = []
    for group in ("work", "asked"):
        ours, theirs = held[group], asked[group]
        for name in ours.keys() | theirs.keys():
            if ours.get(name) != theirs.get(name) and name not in _TOLD_ELSEWHERE:
                found.append(_difference(name, ours.get(name), theirs.get(name)))
    ours, theirs = held["asked"]["settings"], asked["asked"]["settings"]
    found = found or [  # where nothing else says it
        name.replace("_", " ") for name in ours.keys() | theirs.keys() if ours.get(name) != theirs.get(name)
    ]
    return "; ".join(sorted(dict.fromkeys(found)))


def _difference(name: str, ours: Any, theirs: Any) -> str:  # noqa: ANN401  plain values
    if name == "inputs" and isinstance(ours, dict) and isinstance(theirs, dict):
        other = sorted(file for file in ours.keys() | theirs.keys() if ours.get(file) != theirs.get(file))
        return f"other input: {', '.join(other)}"
    if isinstance(ours, str | int | float) and isinstance(theirs, str | int | float):
        return f"{name.replace('_', ' ')} {ours}, not {theirs}"
    return name.replace("_", " ")


def _write(target: Path, plan: BuildPlan, rows: FinishedRows, head: dict[str, Any], started: float) -> None:
    """The piece's file, in one step."""
    settings = plan.settings() | {"piece": [head["piece"], head["of"]]}
    with PieceWriter(target, settings=settings, target_names=plan.columns.targets) as writer:
        for molecule in rows.molecules():
            writer.add_encoded(molecule.value, molecule.n_atoms)
        for bad in rows.rejections():
            writer.rejected[bad.reason.partition(":")[0]] += 1
        for kind, found in (
            (Molecule, _placed(plan, rows)),
            (Rejected, rows.rejections()),
            (Excluded, rows.exclusions()),
        ):
            for block in _blocks(found):
                writer.add_facts(KINDS[kind], block)
        columns = {}
        for name, beside in rejected_cells(rows, plan.sources).items():
            columns[name] = list(beside.names)
            cells = ((name, row, held) for row, held in beside.cells.items())
            for block in _blocks(cells):
                writer.add_facts(CELLS, block)
        writer.head = head | {"columns": columns, "seconds": round(time.monotonic() - started, 3)}


def _placed(plan: BuildPlan, rows: FinishedRows) -> Iterator[Molecule]:
    """Molecules whose group is their part already, where the method decides row by row."""
    if plan.method.needs_all:
        yield from rows.without_values()
        return
    for molecule, part in zip(rows.without_values(), parts_of_rows(plan, rows), strict=True):
        yield molecule._replace(group=PARTS[part])


def _blocks(rows: Iterable[tuple[Any, ...]]) -> Iterator[list[tuple[Any, ...]]]:
    rest = iter(rows)
    while block := [tuple(row) for row in islice(rest, _BLOCK)]:
        yield block


def _result(target: Path, piece: Piece, head: dict[str, Any], was_there: bool) -> PieceResult:
    counts = head["counts"]
    return PieceResult(
        path=target,
        piece=piece,
        was_there=was_there,
        rows=sum(counts.values()),
        molecules=counts[KINDS[Molecule]],
        rejected=counts[KINDS[Rejected]],
        excluded=counts[KINDS[Excluded]],
        resumed_rows=0 if was_there else head["resumed"],
        seconds=head["seconds"],
    )

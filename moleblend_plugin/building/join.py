"""Pieces of a build to one: manifests in the place of stores, and the reports of a single run.

Nothing is copied: records stay in the pieces (``data.store.pieces``). What needs all rows is decided here, by
the code of a single run on the same rows in the same order.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.building.cut import ENDING, Piece
from moleblend_plugin.building.descriptors import Descriptors, ValuesOf
from moleblend_plugin.building.divide import joined_parts
from moleblend_plugin.building.finish import finish
from moleblend_plugin.building.finished_rows import FinishedRows
from moleblend_plugin.building.manifests import JoinedPiece, ManifestWriters
from moleblend_plugin.building.options import AnyPath
from moleblend_plugin.building.outcomes import Molecule, Outcome, Rejected
from moleblend_plugin.building.outputs import RejectedCells
from moleblend_plugin.building.piece import CELLS, FORMAT, KINDS, differences
from moleblend_plugin.building.progress import BuildProgress, Progress, silent
from moleblend_plugin.building.result import BuildResult
from moleblend_plugin.building.stage import refuse_existing_stores, staging
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.data.store.piece_file import PieceFile
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.errors import MoleblendError

_KIND_OF: Final = {name: kind for kind, name in KINDS.items()}


def join_pieces(
    pieces: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    *,
    overwrite: bool = False,
    progress: Progress | None = None,
) -> BuildResult:
    """Join the pieces of a build, as ``moleblend join`` does: the result is that of a build in one run.

    The pieces stay where they are, and the stores in ``out`` need them.

    Args:
        pieces: files that :func:`~moleblend_plugin.building.piece.build_piece` made, or folders of them.
        out: folder for the stores and reports.
        overwrite: replace stores in ``out``.
        progress: called with news while it works.

    Raises:
        MoleblendError: a piece is missing, double, damaged or of another build; or what a build refuses.
    """
    report, target, started = progress or silent, Path(out), time.monotonic()
    refuse_existing_stores(target, overwrite)
    given = [pieces] if isinstance(pieces, str | Path) else pieces
    files = _checked([PieceFile(path) for path in _files([Path(path) for path in given])])
    heads = [file.head for file in files]
    # The last piece has read all inputs to their ends, as a single run does.
    terms = BuildTerms.from_plain(
        heads[-1]["asked"], heads[-1]["read"], target, max(head["workers"] for head in heads)
    )
    joined = [JoinedPiece(file.path, file.hash, file.head["counts"][KINDS[Molecule]]) for file in files]

    def note(line: str) -> None:
        report(BuildProgress("note", line))

    settings = {"format": FORMAT, "pieces": [piece.hash for piece in joined]}
    with staging(target, overwrite, settings, note) as stage:
        beside = _take_in(files, stage.rows, report)
        parts = joined_parts(terms, stage.rows)
        before = started - sum(head["seconds"] for head in heads)  # seconds are those of all pieces together
        return finish(
            terms,
            stage,
            parts,
            _values_of(joined),
            lambda folder, held: ManifestWriters(folder, terms, held, joined, parts),
            beside,
            0,
            before,
        )


def _files(given: Sequence[Path]) -> list[Path]:
    """The files of pieces, each once."""
    found: dict[Path, Path] = {}
    for path in given:
        inside = sorted(path.glob(f"*{ENDING}")) if path.is_dir() else [path]
        if not inside:
            raise MoleblendError(f"{path} holds no piece (*{ENDING}): name what moleblend build --piece made")
        for file in inside:
            found.setdefault(file.resolve(), file)
    if not found:
        raise MoleblendError("no pieces; name the files, or the folder, that moleblend build --piece made")
    return list(found.values())


def _checked(files: list[PieceFile]) -> list[PieceFile]:
    """The pieces in their order, where they are all pieces of one build and no other."""
    first = files[0]
    by_number: dict[int, PieceFile] = {}
    for file in files:
        piece = _piece(file)
        if piece.of != _piece(first).of:
            raise MoleblendError(
                f"{file.path} is {piece}, but {first.path} is {_piece(first)}: leave out pieces of "
                "the other number"
            )
        if changed := differences(file.head, first.head):
            raise MoleblendError(
                f"{file.path} (piece {piece}) is of another build than {first.path} ({changed}): build both "
                "with the same inputs, options and versions"
            )
        if piece.number in by_number:
            raise MoleblendError(
                f"piece {piece} is there twice, {by_number[piece.number].path} and {file.path}: leave one out"
            )
        by_number[piece.number] = file
    _refuse_missing(first, by_number)
    ordered = [by_number[number] for number in sorted(by_number)]
    for left, right in zip(ordered, ordered[1:], strict=False):
        begin, end = right.head["rows"]
        if begin != left.head["rows"][1] and begin != end:
            raise MoleblendError(
                f"{right.path} (piece {_piece(right)}) begins at row {begin}, the piece before ends at row "
                f"{left.head['rows'][1]}: remove both and build them again"
            )
    return ordered


def _refuse_missing(first: PieceFile, there: dict[int, PieceFile]) -> None:
    of = _piece(first).of
    missing = [Piece(number, of) for number in range(1, of + 1) if number not in there]
    if not missing:
        return
    begun = [
        piece for piece in missing if first.path.with_name(f".{Path(piece.file_name).stem}.partial").is_dir()
    ]
    told = ", ".join(map(str, missing[:10])) + (f" and {len(missing) - 10} more" if missing[10:] else "")
    is_are = "piece {} is" if len(missing) == 1 else "pieces {} are"
    hint = f"; {', '.join(map(str, begun[:10]))} began and did not end" if begun else ""
    raise MoleblendError(
        f"{is_are.format(told)} missing{hint}: build with --piece {missing[0]}"
        + (" and so on" if missing[1:] else "")
    )


def _piece(file: PieceFile) -> Piece:
    return Piece(file.head["piece"], file.head["of"])


def _take_in(files: Sequence[PieceFile], rows: FinishedRows, progress: Progress) -> dict[str, RejectedCells]:
    """Have the facts of all rows in ``rows``, in their order; and what stands beside the rejected ones."""
    beside: dict[str, RejectedCells] = {}
    total = sum(sum(file.head["counts"].values()) for file in files)
    chunk = done = 0
    for file in files:
        for name, columns in file.head["columns"].items():
            beside.setdefault(name, RejectedCells(tuple(columns), {}))
        held: Counter[str] = Counter()
        for kind, block in file.facts():
            if kind == CELLS:
                for name, row, cells in block:
                    beside[name].cells[row] = cells
                continue
            held[kind] += len(block)
            if chunk not in rows:
                rows.add(chunk, [_outcome(kind, fields) for fields in block])
            chunk += 1
            done += len(block)
            progress(BuildProgress("rows", "", done, rows.counts[Rejected], total, done / max(1, total)))
        if held != Counter(file.head["counts"]):
            raise MoleblendError(f"{file.path} lacks facts of rows: remove it and build the piece again")
    rows.sync()
    order = files[-1].head["asked"]["inputs"]
    return {name: beside[name] for name in order if name in beside}


def _outcome(kind: str, fields: list[Any]) -> Outcome:
    if kind == KINDS[Molecule]:
        return Molecule(*fields)
    outcome: Outcome = _KIND_OF[kind](*fields)
    return outcome


def _values_of(pieces: Sequence[JoinedPiece]) -> ValuesOf:
    """Descriptors of the molecules of pieces; one file is open at a time."""
    ends = list(accumulate(piece.molecules for piece in pieces))

    def values(chosen: Sequence[bool]) -> Iterator[Descriptors | None]:
        for piece, end in zip(pieces, ends, strict=True):
            start = end - piece.molecules
            wanted = [number for number in range(piece.molecules) if chosen[start + number]]
            if wanted:
                store = MoleculeStore(piece.path)
                for number in wanted:
                    yield store[number].descriptors

    return values

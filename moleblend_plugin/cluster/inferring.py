"""``moleblend predict|embed --cluster``: windows of rows as tasks, whose parts are put into one file."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, Final, NamedTuple

from moleblend_plugin.building.cut import Piece
from moleblend_plugin.chem.readers.source import Source
from moleblend_plugin.cluster.inference_job import InferenceJob, counts_of, part_path
from moleblend_plugin.cluster.lot import Lot, finish_lot
from moleblend_plugin.cluster.request import Request, versions_here
from moleblend_plugin.cluster.run import Say
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import sha256_of
from moleblend_plugin.inference.joined_rows import ArraysHead, write_joined
from moleblend_plugin.inference.outputs import Counts
from moleblend_plugin.inference.part_file import PartReader
from moleblend_plugin.inference.windows import window_at
from moleblend_plugin.networks.registry import FOLDER

ROWS_2D: Final = 1 << 15
"""Rows of a part where no conformers are made: about a minute of one core."""
ROWS_3D: Final = 1 << 11
"""Rows of a part where they are: some minutes of one core."""
MOST: Final = 1_000
"""Parts unless more are asked for: each reads past the rows before its own."""


_HOW: Final = ("here", "workers", "row_timeout")
"""Of a job, what says nothing about the result."""


class Inferred(NamedTuple):
    """What came of the rows: counts, and notes on how the file was read."""

    counts: Counts
    notes: list[str]


def infer_on_cluster(
    job: InferenceJob,
    source: Source,
    rows: int,
    model: Path,
    out: Path,
    cluster: str,
    pieces: int | None,
    report: Callable[[int], None],
    say: Say,
) -> Inferred:
    """Write predictions or embeddings of a file: equal to those of one machine, byte for byte.

    Parts that are finished wait in a hidden folder beside ``out``, where the call finds them when it is
    repeated after an interruption.

    Args:
        job: what is computed, and how.
        source: the file, as it was opened.
        rows: that it has, about.
        model: the file of the network.
        out: the file to write; as all others, on a disk that all machines see.
        cluster: what works (``cluster.connect.FORMS``).
        pieces: how many, about: a window of rows is not cut; ``None``: by the number of rows alone.
        report: told how many rows are finished.
        say: told a line for people.

    Raises:
        MoleblendError: anything that the user can correct.
    """
    starts = _starts(rows, _count(job, pieces, rows))
    home = out.absolute().with_name(f".{out.name}.parts")
    folder = home / _fingerprint(job, source, model, starts)
    token, versions = secrets.token_hex(8), versions_here(job.kind)
    paths = [str(source.path.absolute())]
    paths += [] if model.is_relative_to(FOLDER) else [str(model.absolute())]  # others have the bundled ones
    requests = [
        Request(
            *(job.kind, number, len(starts), job.plain() | {"span": [start, stop]}),
            *(tuple(paths), str(folder), token, versions),
        )
        for number, (start, stop) in enumerate(pairwise([*starts, None]), 1)
    ]
    finish_lot(cluster, Lot(requests, _path_of, _counts_of, out), lambda finished, _: report(finished), say)
    found = _join([_path_of(request) for request in requests], job.what, out)
    shutil.rmtree(home, ignore_errors=True)
    return found


def _count(job: InferenceJob, pieces: int | None, rows: int) -> int:
    if pieces is not None and pieces < 1:
        raise MoleblendError(f"--pieces {pieces}: give 1 or more")
    return pieces or max(1, min(MOST, -(-rows // (ROWS_3D if job.makes_conformers else ROWS_2D))))


def _starts(rows: int, count: int) -> list[int]:
    """First rows of the parts: those of windows, so that molecules are computed beside the same others."""
    return sorted({window_at(Piece(number, count).rows(rows)[0]).start for number in range(1, count + 1)})


def _fingerprint(job: InferenceJob, source: Source, model: Path, starts: Sequence[int]) -> str:
    """Name for what the parts depend on."""
    depends = {name: value for name, value in job.plain().items() if name not in _HOW}
    files = [source.name, sha256_of(source.path), sha256_of(model)]
    facts = [depends, files, versions_here(job.kind), list(starts)]
    return hashlib.sha256(json.dumps(facts, sort_keys=True).encode()).hexdigest()[:12]


def _path_of(request: Request) -> Path:
    return part_path(Path(request.folder), request.number, request.of)


def _counts_of(path: Path) -> Mapping[str, Any]:
    return counts_of(PartReader(path).facts()["counts"])


def _join(paths: Sequence[Path], what: str, out: Path) -> Inferred:
    """One file of all parts, by the code that writes it on one machine."""
    parts, counts, last = [PartReader(path) for path in paths], Counts(), dict[str, Any]()

    def rows() -> Iterator[list[Any]]:
        for part in parts:
            last.clear()
            yield from part.rows(last)
            counts.take_in(last["counts"])

    head = parts[0].head
    arrays = ArraysHead(what, head["width"], head["header"])  # type: ignore[arg-type]
    write_joined(out, parts[0].columns, rows(), arrays)
    return Inferred(counts, last["notes"])

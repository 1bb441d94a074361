"""``moleblend build --cluster``: the pieces of a build as tasks, then the join."""

from __future__ import annotations

import hashlib
import json
import secrets
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final

from moleblend_plugin.building.convert_rows import check_inputs
from moleblend_plugin.building.cut import ENDING, Piece, piece_path, rows_about
from moleblend_plugin.building.join import join_pieces
from moleblend_plugin.building.options import AnyPath, BuildOptions, plan_of
from moleblend_plugin.building.plan import BuildPlan
from moleblend_plugin.building.progress import BuildProgress, Progress, silent
from moleblend_plugin.building.result import BuildResult
from moleblend_plugin.building.stage import refuse_existing_stores
from moleblend_plugin.building.terms import terms_of
from moleblend_plugin.building.work import work_of, work_settings
from moleblend_plugin.chem.guarded import ROW_SECONDS
from moleblend_plugin.cluster.lot import Lot, finish_lot
from moleblend_plugin.cluster.request import Request, versions_here
from moleblend_plugin.data.store.piece_file import PieceFile
from moleblend_plugin.errors import MoleblendError

PIECES: Final = "pieces"
"""Folder in ``--out`` of the pieces; there each build has a folder, by what its pieces depend on."""

ROWS_2D: Final = 50_000
"""Rows of a piece without conformers: about a minute of one core."""
ROWS_3D: Final = 2_000
"""Rows of a piece with conformers: some minutes of one core."""
MOST: Final = 1_000
"""Pieces unless more are asked for: each reads past the rows before its own."""


def build_on_cluster(
    inputs: AnyPath | Sequence[AnyPath],
    out: AnyPath,
    cluster: str,
    pieces: int | None = None,
    options: BuildOptions | None = None,
    progress: Progress | None = None,
) -> BuildResult:
    """Build stores on a cluster, as ``moleblend build --cluster`` does: equal to those of one machine.

    The pieces lie in ``out``, where the stores need them. Finished ones are taken over when the call is
    repeated after an interruption. A row that ends its process, or hangs, is rejected.

    Args:
        inputs: as of :func:`moleblend_plugin.build`; all machines must see them.
        out: folder for the stores and reports, likewise.
        cluster: what works (``cluster.connect.FORMS``).
        pieces: how many; ``None``: by the number of rows alone.
        options: as of a build; ``workers`` are the processes of one task, one unless asked for.
        progress: called with news while it works.

    Raises:
        MoleblendError: anything that the user can correct.
    """
    report = progress or silent
    files = [Path(path) for path in ([inputs] if isinstance(inputs, str | Path) else inputs)]
    if Path("-") in files:
        raise MoleblendError("--cluster: other machines have no standard input; name a file")
    given = options or BuildOptions()
    given = replace(given, workers=given.workers or 1, row_timeout=given.row_timeout or ROW_SECONDS)
    plan = plan_of(files, out, given, lambda line: report(BuildProgress("choice", line)))
    refuse_existing_stores(plan.out, plan.overwrite)
    check_inputs(plan)
    rows = rows_about(plan.sources, plan.limit)
    wanted = [Piece(number + 1, count) for count in [_count(plan, pieces, rows)] for number in range(count)]
    folder = plan.out.absolute() / PIECES / _fingerprint(plan)
    paths = [piece_path(folder, piece) for piece in wanted]

    def tell(finished: int, rejected: int) -> None:
        report(BuildProgress("rows", "", finished, rejected, rows, min(1.0, finished / max(1, rows))))

    lot = Lot(_requests(plan, files, given, wanted, folder), _path_of, _counts_of, plan.out)
    finish_lot(cluster, lot, tell, lambda line: report(BuildProgress("note", line)))
    built = join_pieces(paths, out, overwrite=plan.overwrite, progress=lambda news: _joining(news, report))
    _tidy(folder, paths, plan.overwrite)
    return built


def _joining(news: BuildProgress, report: Progress) -> None:
    """All rows are done: how far the join has come is no news."""
    if news.kind != "rows":
        report(news)


def _count(plan: BuildPlan, pieces: int | None, rows: int) -> int:
    """Pieces, by content alone: the command, repeated on another cluster, finds those that are there."""
    if pieces is not None:
        if pieces < 1:
            raise MoleblendError(f"--pieces {pieces}: give 1 or more")
        return pieces
    size = ROWS_2D if plan.conversion.conformers is None else ROWS_3D
    return max(1, min(MOST, -(-rows // size)))


def _fingerprint(plan: BuildPlan) -> str:
    """Name for what the pieces depend on: those of another build are not mixed with them, nor replaced."""
    checksums = plan.checksums()
    facts = [work_settings(plan, work_of(plan), checksums), terms_of(plan, checksums).to_plain()[0]]
    return hashlib.sha256(json.dumps(facts, sort_keys=True, default=str).encode()).hexdigest()[:12]


def _requests(
    plan: BuildPlan, files: Sequence[Path], given: BuildOptions, wanted: Sequence[Piece], folder: Path
) -> list[Request]:
    options = json.loads(json.dumps(asdict(replace(given, overwrite=False)), default=_plain))
    job = {"inputs": [str(path) for path in files], "options": options, "here": str(Path.cwd())}
    named = [source.path for source in plan.sources]
    named += [] if plan.geometry is None else [plan.geometry]
    named += [] if plan.rows_file is None else [plan.rows_file.path]
    paths = tuple(str(path.absolute()) for path in named)
    token, versions = secrets.token_hex(8), versions_here("build")
    return [
        Request("build", piece.number, piece.of, job, paths, str(folder), token, versions) for piece in wanted
    ]


def _plain(value: object) -> Any:  # noqa: ANN401  for JSON
    """Paths as text, and numbers of NumPy as Python's."""
    return value.item() if hasattr(value, "item") else str(value)


def _path_of(request: Request) -> Path:
    return piece_path(Path(request.folder), Piece(request.number, request.of))


def _counts_of(path: Path) -> Mapping[str, Any]:
    counts = PieceFile(path).head["counts"]
    return {"rows": sum(counts.values()), "rejected": counts["rejected"]}


def _tidy(folder: Path, wanted: Sequence[Path], replaced: bool) -> None:
    """Remove pieces that no store needs: of another number, and of stores that were replaced."""
    for path in set(folder.glob(f"*{ENDING}")) - set(wanted):
        path.unlink(missing_ok=True)
    for other in folder.parent.iterdir() if replaced else ():
        if other != folder:
            shutil.rmtree(other, ignore_errors=True)

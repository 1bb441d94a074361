"""What is done with a piece, in a process of its own: what a command on one machine does with all rows."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Any, Final

from moleblend_plugin.building.cut import Piece
from moleblend_plugin.building.options import BuildOptions
from moleblend_plugin.building.piece import build_piece
from moleblend_plugin.building.progress import BuildProgress
from moleblend_plugin.cluster.request import Kind, Request

OnRows = Callable[[int, int], None]
"""Told how many rows are finished, and rejected."""

Job = Callable[[Request, OnRows], dict[str, Any]]


def build_job(request: Request, on_rows: OnRows) -> dict[str, Any]:
    """Build a piece; its counts."""

    def tell(news: BuildProgress) -> None:
        if news.kind == "rows":
            on_rows(news.rows, news.rejected)

    job = request.job
    os.chdir(job["here"])  # names of files then mean what they mean there, also in reports
    options = BuildOptions(**job["options"])
    piece = Piece(request.number, request.of)
    made = build_piece(job["inputs"], request.folder, piece, options, tell)
    return {"rows": made.rows, "rejected": made.rejected}


def infer(request: Request, on_rows: OnRows) -> dict[str, Any]:
    """Predict or embed a part; its counts."""
    from moleblend_plugin.cluster.inference_job import infer_job  # torch, which a build does not need

    return infer_job(request, on_rows)


JOBS: Final[Mapping[Kind, Job]] = {"build": build_job, "predict": infer, "embed": infer}

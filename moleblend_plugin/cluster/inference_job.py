"""A part of an input through a network, in a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any, Literal

import torch

from moleblend_plugin.chem.readers.source import Columns
from moleblend_plugin.cluster.request import Request
from moleblend_plugin.inference.conversion import conversion_for
from moleblend_plugin.inference.embedder import Embedder
from moleblend_plugin.inference.input_rows import Input
from moleblend_plugin.inference.outputs import Counts, embed_to_table, predict_to_table
from moleblend_plugin.inference.part_file import open_part
from moleblend_plugin.inference.predictor import Predictor
from moleblend_plugin.inference.run_folder import find_checkpoint
from moleblend_plugin.inference.trust_columns import choose_trust_columns
from moleblend_plugin.inputs import open_molecules


@dataclass(frozen=True)
class InferenceJob:
    """Options of ``moleblend predict`` or ``embed``, by their names; plain values.

    Attributes:
        kind: which of the two.
        here: the folder that relative paths start from.
        makes_conformers: whether molecules get conformers, which take long.
        threads: of torch, as where the command was given: sums depend on them.
    """

    kind: Literal["predict", "embed"]
    here: str
    checkpoint: str
    molecules: str
    smiles_column: str
    conformers: str | None
    batch_size: int
    device: str
    use_ema: bool
    max_atoms: int
    workers: int
    row_timeout: float
    threads: int
    makes_conformers: bool
    members_sd: bool = False
    interval: float | None = None
    no_trust: bool = False
    what: str = "graph"
    input_mode: str | None = None

    def plain(self) -> dict[str, Any]:
        """As a dictionary, for JSON."""
        return asdict(self)


def part_path(folder: Path, number: int, of: int) -> Path:
    """The file of a part."""
    return folder / f"{number:0{len(str(of))}d}-of-{of}.part"


def counts_of(counts: Mapping[str, Any]) -> dict[str, int]:
    """Rows, and rows without numbers, of ``Counts.to_plain``."""
    return {"rows": counts["rows"], "rejected": counts["rows"] - counts["done"]}


def infer_job(request: Request, on_rows: Callable[[int, int], None]) -> dict[str, Any]:
    """Predict or embed the rows of a part; its counts."""
    plain = dict(request.job)
    first, stop = plain.pop("span")
    job = InferenceJob(**plain)
    os.chdir(job.here)
    torch.set_num_threads(job.threads)
    network = _network(job.kind, job.checkpoint, job.device, job.use_ema, job.what, job.input_mode)
    rows = Input(
        open_molecules(job.molecules, Columns(job.smiles_column)),
        conversion_for(network.args, network.input_mode, job.conformers).config,
        job.workers,
        job.max_atoms,
        network.featurizers,
        network.extra_descriptors,
        span=(first, stop),
        row_timeout=job.row_timeout,
    )
    path = part_path(Path(request.folder), request.number, request.of)
    counts = _write(job, network, rows, path, first, lambda finished: on_rows(finished, 0))
    return counts_of(counts.to_plain())


def _write(
    job: InferenceJob,
    network: Predictor | Embedder,
    rows: Input,
    path: Path,
    first: int,
    progress: Callable[[int], None],
) -> Counts:
    counts = Counts()  # what is written has them too
    head = {"header": list(rows.header), "width": getattr(network, "width", 0)}
    open_out = partial(
        open_part, head=head, facts=lambda: {"counts": counts.to_plain(), "notes": list(rows.notes)}
    )
    if isinstance(network, Embedder):
        return embed_to_table(
            network,
            rows,
            path,
            job.batch_size,
            progress,
            spans=((first, None),),
            open_out=open_out,
            counts=counts,
        )
    extra, _ = choose_trust_columns(network, job.members_sd, job.interval, not job.no_trust)
    return predict_to_table(
        network,
        rows,
        path,
        job.batch_size,
        progress,
        members_sd=job.members_sd,
        extra=extra,
        spans=((first, None),),
        open_out=open_out,
        counts=counts,
    )


@lru_cache(maxsize=1)
def _network(
    kind: str, checkpoint: str, device: str, use_ema: bool, what: str, input_mode: str | None
) -> Predictor | Embedder:
    """Kept for the next part."""
    if kind == "embed":
        return Embedder.from_checkpoint(checkpoint, what, device, input_mode, use_ema)  # type: ignore[arg-type]
    return Predictor.from_checkpoint(find_checkpoint(Path(checkpoint)), device, use_ema)

"""``predict`` and ``embed`` on a cluster: the request for its tasks, and what came of it."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from moleblend_plugin.cli._output import writing
from moleblend_plugin.cli._rows import print_counts

if TYPE_CHECKING:
    from moleblend_plugin.cluster.inference_job import InferenceJob
    from moleblend_plugin.inference.embedder import Embedder
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.inference.predictor import Predictor


def cluster_job(
    kind: Literal["predict", "embed"],
    checkpoint: str | Path,
    molecules: Path,
    network: Predictor | Embedder,
    rows: Input,
    conformers: str | None,
    workers: int | None,
    row_timeout: float | None,
    **options: Any,
) -> InferenceJob:
    """What tasks do; ``options`` are those that they take as they are."""
    import torch

    from moleblend_plugin.chem.guarded import ROW_SECONDS
    from moleblend_plugin.cluster.inference_job import InferenceJob
    from moleblend_plugin.inference.conversion import conversion_for

    made = conversion_for(network.args, network.input_mode, conformers).config.conformers
    return InferenceJob(
        kind=kind,
        here=str(Path.cwd()),
        checkpoint=str(checkpoint),
        molecules=str(molecules),
        conformers=conformers,
        workers=workers or 1,
        row_timeout=row_timeout or ROW_SECONDS,
        threads=torch.get_num_threads(),
        makes_conformers=made is not None and not rows.source.format.holds_records,
        **options,
    )


def write_rows_on_cluster(
    command: tuple[str, str],
    job: InferenceJob,
    network: Predictor | Embedder,
    rows: Input,
    model: Path,
    out: Path,
    overwrite: bool,
    cluster: str,
    pieces: int | None,
) -> None:
    """Write the results of ``rows`` by the tasks of a cluster, and say what came of them.

    Args:
        command: its name for the progress, and what the summary calls rows with numbers.
        job: what they do.
        network: loaded here to check what is asked for, not to compute.
        rows: the input.
        model: file of the network.
        out: the file.
        overwrite: whether the file may be there.
        cluster: ``--cluster``.
        pieces: ``--pieces``.
    """
    from moleblend_plugin.building.cut import rows_about
    from moleblend_plugin.cli._progress import RowProgress
    from moleblend_plugin.cluster.inferring import infer_on_cluster
    from moleblend_plugin.inference.kept_rows import folder_of
    from moleblend_plugin.stopping import termination_as_exit

    total = rows.total or rows_about([rows.source], None)
    with (
        termination_as_exit(),
        writing(out, overwrite),
        RowProgress(command[0], lambda done: done / max(1, total), total) as progress,
    ):
        found = infer_on_cluster(
            job, rows.source, total, model, out, cluster, pieces, progress.update, progress.say
        )
        shutil.rmtree(folder_of(out), ignore_errors=True)  # of a command without a cluster
    print_counts(found.notes, found.counts, command[1], [out], network.input_mode)


def refuse_standard_input(cluster: str | None, molecules: Path) -> None:
    """Raises a :class:`MoleblendError` where other machines are to read what is piped in here."""
    from moleblend_plugin.errors import MoleblendError

    if cluster is not None and str(molecules) == "-":
        raise MoleblendError("--cluster: other machines have no standard input; name a file")

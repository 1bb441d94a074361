"""What large runs would take, computed from measured and assumed numbers: python tools/bench/scale.py.

Every number is a flag. The measured ones come from the other benchmarks of this folder; the assumed ones,
those of GPUs and networks above all, are yours to replace.
"""

from __future__ import annotations

import argparse
import math
from dataclasses import dataclass

from moleblend_plugin.runs.flags import add_flags, read_flags

GPUS = (1, 8, 64)
MACHINES = (1, 8, 64)


@dataclass(frozen=True, slots=True)
class Numbers:
    """What the tables are computed from; the flags of this script.

    Attributes:
        peak: ASSUMED bf16 peak of a GPU in TFLOP/s (H100 or H200, dense, its maker's figure).
        share: measured on an H200, part of that peak that a step with AdamW reaches, PCQM4Mv2-like.
        share_large: measured, the same, drug-like.
        launch_ms: measured, milliseconds that a host takes to hand over a step's kernels, whatever the batch.
        gpus_per_node: ASSUMED.
        inside: ASSUMED GB/s per GPU between the GPUs of a node (NVLink, one direction).
        between: ASSUMED GB/s per GPU between nodes (a port of 400 Gbit/s each).
        gpu_batch: ASSUMED molecules per GPU and update where the update grows with the GPUs.
        update_batch: molecules per update as published, whatever the GPUs.
        weights: measured, millions of weights of the published size with our heads.
        gflop: measured, matrix products of a step per molecule, PCQM4Mv2-like, padding included.
        gflop_large: measured, the same, drug-like.
        loader: measured, molecules/s of one core from store to batch, PCQM4Mv2-like.
        loader_large: measured, the same, drug-like.
        stored: measured, kB of a stored molecule with one conformer, PCQM4Mv2-like.
        stored_large: measured, the same, drug-like.
        atoms_large: heavy atoms of a drug-like molecule; a further conformer takes 12 bytes per atom.
        row_ms: measured, CPU milliseconds of the build per molecule, of 1.58 million, without conformers.
        conformer_ms: measured, CPU milliseconds of the build per conformer, drug-like.
        atoms_small: heavy atoms of a molecule of PCQM4Mv2.
        predict_ms: measured, CPU milliseconds of ``predict`` per row, 2D, ``moleblend_property_tiny``.
        predicted: measured, kB of a row of its Parquet output.
        stored_2d: measured, kB of a stored molecule without conformers, drug-like.
        cores: ASSUMED cores of a machine.
    """

    peak: float = 989.0
    share: float = 0.091
    share_large: float = 0.082
    launch_ms: float = 33.0
    gpus_per_node: int = 8
    inside: float = 450.0
    between: float = 50.0
    gpu_batch: int = 1024
    update_batch: int = 4096
    weights: float = 45.0
    gflop: float = 5.73
    gflop_large: float = 9.70
    loader: float = 27600.0
    loader_large: float = 19600.0
    stored: float = 0.736
    stored_large: float = 1.147
    atoms_large: float = 27.5
    row_ms: float = 0.68
    conformer_ms: float = 63.0
    atoms_small: float = 14.0
    predict_ms: float = 1.36
    predicted: float = 0.027
    stored_2d: float = 0.633
    cores: int = 32


@dataclass(frozen=True, slots=True)
class Epoch:
    """One pass over a data set: molecules seen, GFLOP, share of the peak and loader rate of each."""

    name: str
    items: int
    gflop: float
    share: float
    loader: float


def epochs(n: Numbers) -> list[Epoch]:
    """The runs of the table."""
    large = (n.gflop_large, n.share_large, n.loader_large)
    return [
        Epoch("PCQM4Mv2", 3_380_000, n.gflop, n.share, n.loader),
        Epoch("19 M, one conformer of each", 19_000_000, *large),
        Epoch("19 M, all 11 conformers", 209_000_000, *large),
    ]


@dataclass(frozen=True, slots=True)
class Work:
    """Something that processors do, row by row: rows, CPU milliseconds and kB written for each."""

    name: str
    rows: int
    milliseconds: float
    kilobytes: float


def works(n: Numbers) -> list[Work]:
    """The rows of the table. Conformers of small molecules cost less; theirs is scaled by atoms."""
    further = 12 * n.atoms_large / 1000
    small = n.conformer_ms * n.atoms_small / n.atoms_large
    billion = 1_000_000_000
    return [
        Work("build PCQM4Mv2, geometry given", 3_380_000, n.row_ms, n.stored),
        Work("build PCQM4Mv2, one conformer each", 3_380_000, n.row_ms + small, n.stored),
        Work(
            "build 19 M x 11 conformers",
            19_000_000,
            n.row_ms + 11 * n.conformer_ms,
            n.stored_large + 10 * further,
        ),
        Work("build 10^9 in 2D", billion, n.row_ms, n.stored_2d),
        Work("predict 10^9 in 2D", billion, n.predict_ms, n.predicted),
    ]


def work_table(n: Numbers) -> list[str]:
    """Time of work on some machines, its output, and pieces of half an hour of a core."""
    head = " | ".join(f"{count} machine{'s' if count > 1 else ''}" for count in MACHINES)
    lines = [
        f"| work | rows | GB written | core hours | {head} | pieces |",
        "|---" * (5 + len(MACHINES)) + "|",
    ]
    for work in works(n):
        seconds = work.rows * work.milliseconds / 1000
        times = " | ".join(duration(seconds / n.cores / count) for count in MACHINES)
        size, pieces = work.rows * work.kilobytes / 1e6, math.ceil(seconds / 1800)
        lines.append(
            f"| {work.name} | {work.rows:,} | {size:,.1f} | {seconds / 3600:,.1f} | {times} | {pieces:,} |"
        )
    return lines


def sent(n: Numbers, gpus: int) -> dict[str, float]:
    """GB that every GPU sends in an update.

    DDP adds up fp32 gradients in a ring: twice their bytes. FSDP gathers bf16 weights in forward and
    backward and scatters fp32 gradients: once each.
    """
    gigabytes = n.weights / 1000 * (gpus - 1) / gpus
    return {"DDP": 2 * 4 * gigabytes, "FSDP": (2 + 2 + 4) * gigabytes}


def row(n: Numbers, epoch: Epoch, gpus: int, batch: int) -> str:
    """An epoch on so many GPUs. Sending overlaps with computing, so the longer of the two counts."""
    computing = max(batch / gpus * epoch.gflop / (n.peak * epoch.share * 1000), n.launch_ms / 1000)
    sending = sent(n, gpus)["DDP"] / (n.inside if gpus <= n.gpus_per_node else n.between)
    rate = batch / max(computing, sending)
    cores = rate / gpus / epoch.loader
    times = f"{1000 * computing:.1f} | {1000 * sending:.1f} | {rate:,.0f} | {duration(epoch.items / rate)}"
    return f"| {epoch.name} | {gpus} | {batch:,} | {times} | {cores:.1f} |"


def duration(seconds: float) -> str:
    """Seconds below two minutes, minutes below two hours, hours below two days, then days."""
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.1f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def page(n: Numbers) -> str:
    """All tables as markdown."""
    head = "epoch of | GPUs | molecules per update | computing, ms | sending, ms | molecules/s | time"
    lines = [*work_table(n), "", f"| {head} | loader cores per GPU |", "|---" * 8 + "|"]
    for epoch in epochs(n):
        fixed = [row(n, epoch, gpus, n.update_batch) for gpus in GPUS]
        growing = [row(n, epoch, gpus, n.gpu_batch * gpus) for gpus in GPUS[1:]]
        lines += fixed + growing
    lines += ["", "| GB sent per GPU and update | " + " | ".join(f"{gpus} GPU(s)" for gpus in GPUS) + " |"]
    lines.append("|---" * (len(GPUS) + 1) + "|")
    for kind in ("DDP", "FSDP"):
        lines.append(f"| {kind} | " + " | ".join(f"{sent(n, gpus)[kind]:.2f}" for gpus in GPUS) + " |")
    return "\n".join(lines)


def main() -> None:
    """Read the numbers and print."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add_flags(parser, Numbers)
    print(page(read_flags(parser.parse_args(), Numbers)))


if __name__ == "__main__":
    main()

"""Index and order of a store of 10^9 molecules: python tools/bench/simulate.py MOLECULES --work FOLDER.

The store is a manifest of many pieces, each a file of the same few real molecules; its index, its sizes, the
epoch's order, the batches of one process of several and the reads are those of a real store of this length.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import resource
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from measure import Figure, Table, finish, molecules, own_memory

from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.store.manifest import ManifestWriter
from moleblend_plugin.data.store.piece_file import PieceFile, PieceWriter
from moleblend_plugin.data.store.reader import MoleculeStore
from moleblend_plugin.data.store.record_codec import encode_record
from moleblend_plugin.tasks.base import TrainerDataset
from moleblend_plugin.trainer.loop.batches import EpochBatches

BATCH, PROCESSES, READ = 4096, 8, 20
STEPS = ("open", "order", "batches", "first batch", "batches read", "resumed")


def write_pieces(work: Path, folder: Path, pieces: int) -> list[int]:
    """``pieces`` files of the same molecules; their sizes."""
    held = molecules(folder, "drug-like")
    first = work / "0.piece"
    with PieceWriter(first, settings={}, target_names=()) as writer:
        for record in held:
            writer.add_encoded(encode_record(record), record.n_atoms)
    for number in range(1, pieces):
        shutil.copyfile(first, work / f"{number}.piece")
    return [record.n_atoms for record in held]


def write_manifest(work: Path, rows: int, pieces: int, sizes: list[int]) -> float:
    """A store of ``rows`` molecules of the pieces; CPU seconds."""
    digest = PieceFile(work / "0.piece").hash
    named = [(f"{number}.piece", digest) for number in range(pieces)]
    started = time.process_time()
    with ManifestWriter(work / "train.lmdb", named, False, settings={}, sources={}) as writer:
        for piece in range(pieces):
            count = rows // pieces + (piece < rows % pieces)
            for place, n_atoms in itertools.islice(itertools.cycle(enumerate(sizes)), count):
                writer.add_place(piece, place, n_atoms)
    return time.process_time() - started


@dataclass
class Steps:
    """CPU seconds, wall seconds and own memory in MB after each step."""

    taken: dict[str, tuple[float, float, float]]

    @contextmanager
    def step(self, name: str) -> Iterator[None]:
        """Note what the body took."""
        cpu, wall = time.process_time(), time.perf_counter()
        yield
        self.taken[name] = (time.process_time() - cpu, time.perf_counter() - wall, own_memory(os.getpid()))


def read_epoch(path: Path) -> dict[str, tuple[float, float, float]]:
    """What process 3 of 8 does in an epoch: opens, orders, cuts, reads batches, and goes on in the middle."""
    steps = Steps({"start": (0.0, 0.0, own_memory(os.getpid()))})
    with steps.step("open"):
        store = MoleculeStore(path)
    data = TrainerDataset(BlendedMolecules(store, BlendConfig(), 1, shuffle=True), BATCH)
    with steps.step("order"):
        order = data.ordered_indices()
    with steps.step("batches"):
        cut = data.batch_by_size(order, BATCH)
        batches = EpochBatches(data, cut, num_shards=PROCESSES, shard_id=3)
    with steps.step("first batch"):
        epoch = batches.iterate()
        next(epoch)
    with steps.step("batches read"):
        for _ in range(READ):
            next(epoch)
    batches.load_state_dict(batches.state_dict() | {"iterations_in_epoch": len(batches) - 1})
    with steps.step("resumed"):
        rest = sum(1 for _ in batches.iterate())
    assert rest == 1, rest
    return steps.taken


def main() -> None:
    """Write the store, read it in a process of its own, print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("molecules", type=Path)
    parser.add_argument("--rows", type=int, default=10**9)
    parser.add_argument("--pieces", type=int, default=10_000)
    parser.add_argument("--work", type=Path, required=True, help="folder for the store, up to 12 GB")
    parser.add_argument(
        "--read", action="store_true", help="read the store that is there; used by the script"
    )
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    path = arguments.work / "train.lmdb"
    if arguments.read:
        print(json.dumps(read_epoch(path)))
        return
    arguments.work.mkdir(parents=True)
    sizes = write_pieces(arguments.work, arguments.molecules, arguments.pieces)
    written = write_manifest(arguments.work, arguments.rows, arguments.pieces, sizes)
    read = subprocess.run([sys.executable, __file__, *sys.argv[1:], "--read"], capture_output=True, text=True)
    if read.returncode:
        sys.exit(read.stderr)
    steps = json.loads(read.stdout)
    table = Table(f"A store of {arguments.rows:,} molecules in {arguments.pieces:,} pieces")
    table.add(Figure("manifest written", written, "s", "CPU time"))
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    table.add(Figure("manifest written: memory", peak, "MB", "peak of the process"))
    table.add(Figure("manifest", path.stat().st_size / arguments.rows, "bytes/molecule"))
    before = steps["start"][2]
    for name in STEPS:
        cpu, wall, memory = steps[name]
        table.add(Figure(f"{name}: time", cpu, "s", f"CPU time; wall time {wall:.2f} s"))
        table.add(Figure(f"{name}: memory since the start", memory - before, "MB", "own pages"))
    table.notes.append(
        f"One process of {PROCESSES}, batches of {BATCH:,}, {READ} read ({READ * BATCH:,} molecules)."
    )
    finish([table], 1, arguments.out)


if __name__ == "__main__":
    main()

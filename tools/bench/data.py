"""Store -> collated batch on one core: python tools/bench/data.py MOLECULES [--out FILE].

Molecules/s of the data path, bytes handed to the device, start-up and memory for a store of a million.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import Figure, Table, finish, molecules, settings, timed

from moleblend_plugin.data.batches.order import cut_batches, epoch_order
from moleblend_plugin.schema import INPUT_FIELDS, TARGET_FIELDS

BEFORE = {"drug-like": (171, 294), "PCQM4Mv2-like": (584, 71)}
"""Published code on one core: molecules/s, kB per molecule."""
TARGETS = {"drug-like": (8000, 8.0), "PCQM4Mv2-like": (20000, None)}
MILLION, SIZES = 1_000_000, 100_000
BATCH = 32

_WORKER = """
import sys, time
start = time.process_time()
from moleblend_plugin.data.samples.blend import BlendConfig
from moleblend_plugin.data.batches.dataset import BlendedMolecules
from moleblend_plugin.data.store.reader import MoleculeStore
def anonymous():
    lines = open("/proc/self/status", encoding="utf-8").read().splitlines()
    return sum(int(line.split()[1]) for line in lines if line.startswith(("RssAnon", "RssShmem")))
loaded, memory = time.process_time(), anonymous()
molecules = BlendedMolecules(MoleculeStore(sys.argv[1]), BlendConfig(), 1, shuffle=True)
opened = time.process_time()
order = molecules.order(1024)
ordered = time.process_time()
for index in order[:3000:3]:
    molecules[int(index)]
print(opened - loaded, ordered - opened, (anonymous() - memory) / 1024)
"""


def speed(folder: Path, which: str, scratch: Path, repeats: int) -> list[Figure]:
    """Molecules/s and bytes of one kind of molecules."""
    from moleblend_plugin.data.batches.dataset import BlendedMolecules
    from moleblend_plugin.data.samples.blend import BlendConfig
    from moleblend_plugin.data.store.reader import MoleculeStore

    records = molecules(folder, which)
    records = records * max(1, 256 // len(records))
    path = write(scratch / f"{which}.lmdb", records, len(records))
    data = BlendedMolecules(MoleculeStore(path), BlendConfig(), 1, shuffle=True)
    order = data.order(BATCH).tolist()
    batches = [order[start : start + BATCH] for start in range(0, len(order), BATCH)]
    timing = timed(lambda: [data.collate([data[i] for i in batch]) for batch in batches], repeats, "cpu", 2)
    (rate, kilobytes), (wanted, kilobytes_wanted) = BEFORE[which], TARGETS[which]
    count, how = len(records), f"CPU time, 1 thread, {repeats} x {len(records)} molecules, batches of {BATCH}"
    speeds = {"median": timing.median, "quickest": min(timing.seconds)}
    rows = [
        Figure(
            f"{which}, {name}", count / seconds, "molecules/s", how, timing.spread, before=rate, target=wanted
        )
        for name, seconds in speeds.items()
    ]
    device = Figure(
        f"{which}, to the device",
        device_bytes(np.array([record.n_atoms for record in records])) / 1000,
        "kB/molecule",
        f"all fields, padded, batches of {BATCH} by size, {SIZES:,} sizes drawn from the file",
        before=kilobytes,
        target=kilobytes_wanted,
        more=False,
    )
    stored = path.stat().st_size / count / 1000
    return [*rows, device, Figure(f"{which}, store", stored, "kB/molecule", "file, one conformer")]


def device_bytes(there: np.ndarray) -> float:
    """Bytes per molecule of the batches of an epoch, by the schema's shapes; without descriptors and ECFP."""
    sizes = np.random.default_rng(1).choice(there, SIZES)
    every = [*INPUT_FIELDS.values(), *TARGET_FIELDS.values()]
    fields = [field for field in every if not {"E", "F", "L"} & set(field.shape.split())]
    total = 0
    for batch in cut_batches(epoch_order(sizes, BATCH, 1, 1, True), sizes, BATCH):
        axes = {"B": len(batch), "N": int(sizes[batch].max())}
        for field in fields:
            shape = [axes.get(letter) or int(letter) for letter in field.shape.split()]
            total += np.dtype(field.dtype).itemsize * math.prod(shape)
    return total / SIZES


def write(path: Path, records: list, count: int) -> Path:
    """A store of ``count`` molecules that repeats ``records``."""
    from moleblend_plugin.data.store.reader import StoreWriter

    with StoreWriter(path, settings={}, sources={}) as writer:
        for row in range(count):
            writer.add(records[row % len(records)])
    return path


def start_up(store: Path, name: str) -> list[Figure]:
    """Seconds and memory of a worker in a process of its own."""
    command = [sys.executable, "-c", _WORKER, str(store)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    opening, ordering, memory = (float(word) for word in done.stdout.split())
    how = "CPU time, 1 thread, one process"
    return [
        Figure(f"{name}: open, order of an epoch", opening + ordering, "s", how, target=2.0, more=False),
        Figure(f"{name}: memory of its reader", memory, "MB", "not shared, after 1,000 molecules"),
    ]


def first_batch(store: Path, repeats: int) -> Figure:
    """Wall seconds from the start of an epoch, with workers yet to be forked, to its first batch."""
    from torch.utils.data import DataLoader

    from moleblend_plugin.data.batches.dataset import BlendedMolecules
    from moleblend_plugin.data.samples.blend import BlendConfig
    from moleblend_plugin.data.store.reader import MoleculeStore

    data = BlendedMolecules(MoleculeStore(store), BlendConfig(), 1, shuffle=True)
    batches = [batch.tolist() for batch in cut_batches(data.order(BATCH), data.sizes(), BATCH)][:64]

    def start() -> None:
        loader = iter(DataLoader(data, batch_sampler=batches, collate_fn=data.collate, num_workers=2))
        next(loader)

    timing = timed(start, repeats, "wall")
    how = f"wall time, 2 workers forked, their end included, {repeats} epochs"
    return Figure("start of an epoch", timing.median, "s", how, timing.spread)


def measure(folder: Path, count: int, repeats: int) -> Table:
    """The table."""
    table = Table("Data path: store to collated batch, blended for pretraining")
    with tempfile.TemporaryDirectory(dir=os.environ.get("TMPDIR")) as temporary:
        scratch = Path(temporary)
        for which in BEFORE:
            for figure in speed(folder, which, scratch, repeats):
                table.add(figure)
        records = [
            dataclasses.replace(record, coords=None) for record in molecules(folder, "PCQM4Mv2-like")
        ]  # without coordinates, so that a million are quickly written
        for size in (count // 100, count):
            store = write(scratch / f"{size}.lmdb", records, size)
            for figure in start_up(store, f"store of {size:,}"):
                table.add(figure)
        table.add(first_batch(store, repeats))
    table.notes.append(
        "Workers are forked: the list of sizes (2 bytes per molecule) and the order (8 bytes) are shared "
        "with the trainer; records are mapped from the file, and the system may drop them at any time."
    )
    return table


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    parser.add_argument("--count", type=int, default=MILLION, help="molecules of the large store")
    args = parser.parse_args()
    finish([measure(args.molecules, args.count, args.repeats)], 1, args.out)


if __name__ == "__main__":
    main()

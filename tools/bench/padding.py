"""Computed over useful pairs and atoms of an epoch's batches: python tools/bench/padding.py MOLECULES."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from measure import Figure, Table, finish, molecules, settings

from moleblend_plugin.data.batches.order import cut_batches, epoch_order, padding_share

MOLECULES = 100_000
"""Sizes drawn from those of the file, with replacement."""

CASES = ((32, None), (1024, None), (1024, 1024), (4096, 16384))
"""Molecules and padded atoms per batch."""


def measure(folder: Path) -> Table:
    """The table."""
    table = Table("Padding: computed / useful in one epoch")
    for which in ("PCQM4Mv2-like", "drug-like"):
        there = np.array([record.n_atoms for record in molecules(folder, which)])
        sizes = np.random.default_rng(1).choice(there, MOLECULES)
        for batch_size, max_atoms in CASES:
            ways = {"in any order": np.random.default_rng(2).permutation(MOLECULES)} if not max_atoms else {}
            ways["by size"] = epoch_order(sizes, batch_size, 1, 1, True)
            for way, order in ways.items():
                batches = cut_batches(order, sizes, batch_size, max_atoms)
                atoms = sum(len(batch) * int(sizes[batch].max()) for batch in batches) / sizes.sum()
                limit = f", {max_atoms:,} atoms" if max_atoms else ""
                how = f"atoms {atoms:.3f}; {MOLECULES / len(batches):.0f} molecules per batch"
                pairs = padding_share(sizes, batches)
                table.add(Figure(f"{which}, {batch_size}{limit}, {way}: pairs", pairs, "x", how))
    table.notes.append(f"{MOLECULES:,} sizes drawn from those of the file; no clock is involved.")
    return table


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    settings(parser)
    args = parser.parse_args()
    finish([measure(args.molecules)], 1, args.out)


if __name__ == "__main__":
    main()

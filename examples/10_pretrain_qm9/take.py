"""Takes molecules, spread evenly, out of a geometry file (.npz), because QM9 is sorted by size.

The file holds molecules end to end: ``n_atoms`` and ``n_bonds`` [molecules] are their lengths in the arrays
per atom (``atomic_number, formal_charge, pos_angstrom``) and per bond (``bonds_i_j_order``).
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

PER_ATOM = ("atomic_number", "formal_charge", "pos_angstrom")
PER_BOND = ("bonds_i_j_order",)


def take(data: dict[str, np.ndarray], count: int) -> dict[str, np.ndarray]:
    """``count`` molecules in the same layout."""
    total = len(data["n_atoms"])
    chosen = np.arange(count) * total // count
    keep = np.isin(np.arange(total), chosen)  # [molecules]
    atoms, bonds = np.repeat(keep, data["n_atoms"]), np.repeat(keep, data["n_bonds"])
    masks = dict.fromkeys(PER_ATOM, atoms) | dict.fromkeys(PER_BOND, bonds)
    return {name: array[masks.get(name, keep)] for name, array in data.items()}


def main() -> None:
    """Writes the smaller file."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("npz", type=Path, help="file to take from")
    parser.add_argument("count", type=int, help="number of molecules")
    parser.add_argument("out", type=Path, help="file to write")
    args = parser.parse_args()
    if not args.npz.is_file():
        parser.error(f"{args.npz} does not exist; give the path of qm9_geometry_128k.npz")
    with np.load(args.npz, allow_pickle=False) as file:
        data = {name: file[name] for name in file.files}
    total = len(data["n_atoms"])
    if not 1 <= args.count <= total:
        parser.error(f"{args.npz} holds {total} molecules, not {args.count}; give 1 to {total}")
    np.savez(args.out, **take(data, args.count))
    print(f"{args.count} of {total} molecules written to {args.out}")


if __name__ == "__main__":
    main()

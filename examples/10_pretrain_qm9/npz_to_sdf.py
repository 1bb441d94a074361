"""Turns a QM9 geometry file (.npz) into an SDF that `moleblend build` reads.

The file holds molecules end to end: ``n_atoms`` and ``n_bonds`` [molecules] give their lengths;
``atomic_number``, ``formal_charge`` [atoms], ``pos_angstrom`` [atoms, 3] and ``bonds_i_j_order`` [bonds, 3]
(atom numbers within the molecule, Kekule order) hold the rest; ``gdb_index`` [molecules] names them.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path

import numpy as np

SYMBOLS = {1: "H", 6: "C", 7: "N", 8: "O", 9: "F"}
"""The elements of QM9."""

HEADER = f"  {'QM9':<8}{'':10}3D"
"""Second line of a record; its last two columns say that the coordinates are 3D."""

Arrays = dict[str, np.ndarray]


def load(path: Path) -> Arrays:
    """Every array of the file."""
    with np.load(path, allow_pickle=False) as file:
        return {name: file[name] for name in file.files}


def molecules(data: Arrays, count: int) -> Iterator[Arrays]:
    """Yields ``count`` molecules spread evenly over the file, because QM9 is sorted by size."""
    atom_ends, bond_ends = np.cumsum(data["n_atoms"]), np.cumsum(data["n_bonds"])
    for number in np.arange(count) * len(data["n_atoms"]) // count:
        atoms = slice(atom_ends[number] - data["n_atoms"][number], atom_ends[number])
        bonds = slice(bond_ends[number] - data["n_bonds"][number], bond_ends[number])
        yield {
            "name": data["gdb_index"][number],
            "z": data["atomic_number"][atoms],
            "charge": data["formal_charge"][atoms],
            "xyz": data["pos_angstrom"][atoms],
            "bonds": data["bonds_i_j_order"][bonds],
        }


def sdf_record(molecule: Arrays) -> str:
    """One V2000 record, hydrogens included."""
    atoms = [
        f"{x:10.4f}{y:10.4f}{z:10.4f} {SYMBOLS[int(number)]:<3} 0  0  0  0  0  0  0  0  0  0  0  0"
        for (x, y, z), number in zip(molecule["xyz"], molecule["z"], strict=True)
    ]
    bonds = [f"{i + 1:3d}{j + 1:3d}{order:3d}  0" for i, j, order in molecule["bonds"].tolist()]
    charges = [
        f"M  CHG  1{atom + 1:4d}{charge:4d}"
        for atom, charge in enumerate(molecule["charge"].tolist())
        if charge
    ]
    counts = f"{len(atoms):3d}{len(bonds):3d}  0  0  0  0  0  0  0  0999 V2000"
    lines = [f"gdb {molecule['name']}", HEADER, "", counts, *atoms, *bonds, *charges]
    return "\n".join([*lines, "M  END", "$$$$", ""])


def main() -> None:
    """Writes the SDF."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("npz", type=Path, help="qm9_geometry_128k.npz")
    parser.add_argument("sdf", type=Path, help="where to write")
    parser.add_argument("--count", type=int, help="this many molecules, spread over the file (default: all)")
    args = parser.parse_args()
    if not args.npz.is_file():
        parser.error(f"{args.npz} does not exist; give the path of qm9_geometry_128k.npz")
    data = load(args.npz)
    total = len(data["n_atoms"])
    count = total if args.count is None else args.count
    if not 1 <= count <= total:
        parser.error(f"--count {count}: {args.npz} holds {total} molecules; give 1 to {total}")
    with args.sdf.open("w", encoding="ascii") as file:
        file.writelines(sdf_record(molecule) for molecule in molecules(data, count))
    print(f"{count} molecules written to {args.sdf}")


if __name__ == "__main__":
    main()

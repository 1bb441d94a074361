"""Molecules to pretrain on: MoleculeNet sets, MOSES and QM9 without any validation or test molecule.

    python examples/20_moleculenet/prepare.py DATA OUT --moses molsets-0.3.1-py3-none-any.whl

``DATA`` holds ``moleculenet/<set>.csv.gz``, ``splits/unimol_scaffold_<set>.json.gz`` (0-based ``valid`` and
``test`` rows; QM9 by ``gdb_index``) and ``qm9/``. Two molecules are the same when their canonical
SMILES without stereo marks, isotopes and atom maps agree, so a held-out molecule is not seen as a
stereoisomer either. The file of MOSES is the wheel of ``molsets==0.3.1`` (``pip download --no-deps
molsets==0.3.1``), whose training set of drug-like molecules has neither charge, stereo mark nor salt: the
sets bring those. ``OUT`` gets

* ``with_3d.csv``, molecules of the sets for ``moleblend build --conformers 1``,
* ``flat.csv``, the rest of them and MOSES, for their 2D side,
* ``qm9.npz``, with its DFT geometry, and ``prepare.json``, the counts.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import io
import json
import random
import zipfile
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from rdkit import Chem, RDLogger

RDLogger.DisableLog("rdApp.*")

SMILES_COLUMN = {"bace": "mol"}
TABLES = ("bbbp", "bace", "clintox", "tox21", "toxcast", "esol", "freesolv", "lipo", "hiv", "muv")
HELD_OUT_ONLY = ("qm8",)
"""Their held-out molecules are left out as well; nothing is taken from them."""
PER_ATOM = ("atomic_number", "formal_charge", "pos_angstrom")
PER_BOND = ("bonds_i_j_order",)


def without_stereo(smiles: str) -> tuple[str, int]:
    """Canonical SMILES without stereo marks and the number of heavy atoms; ("", 0) where unparseable."""
    mol = Chem.MolFromSmiles(smiles)
    if mol is None or not mol.GetNumAtoms():
        return "", 0
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)
    return Chem.MolToSmiles(mol, isomericSmiles=False), mol.GetNumHeavyAtoms()


def read_table(data: Path, name: str) -> list[str]:
    """SMILES of a set, by row number."""
    with gzip.open(data / "moleculenet" / f"{name}.csv.gz", "rt", newline="", encoding="utf-8") as file:
        return [row[SMILES_COLUMN.get(name, "smiles")].strip() for row in csv.DictReader(file)]


def read_split(data: Path, name: str) -> dict[str, Any]:
    """The published split of a set."""
    with gzip.open(data / "splits" / f"unimol_scaffold_{name}.json.gz", "rt", encoding="utf-8") as file:
        split: dict[str, Any] = json.load(file)
        return split


def take_tables(
    data: Path, most: int, max_atoms: int
) -> tuple[list[list[str]], set[str], set[str], dict[str, Any]]:
    """Rows (smiles, set) to pretrain on, everything held out, everything seen, and counts.

    ``most`` limits each large set.
    """
    tables = {name: read_table(data, name) for name in (*TABLES, *HELD_OUT_ONLY)}
    plain = {name: [without_stereo(smiles) for smiles in column] for name, column in tables.items()}
    held: set[str] = set()
    for name, column in plain.items():
        split = read_split(data, name)
        held |= {column[row][0] for part in ("valid", "test") for row in split[part]}
    rows, seen, counts = [], set(held) | {""}, {}
    for name in TABLES:
        fresh = []
        for smiles, (key, n_atoms) in zip(tables[name], plain[name], strict=True):
            if key not in seen and n_atoms <= max_atoms:
                seen.add(key)
                fresh.append([smiles, name])
        taken = random.Random(0).sample(fresh, most) if len(fresh) > most else fresh
        counts[name] = {"available": len(fresh), "taken": len(taken)}
        rows += taken
    return rows, held - {""}, seen, counts


def take_moses(wheel: Path, most: int, seen: set[str]) -> tuple[list[list[str]], dict[str, int]]:
    """Rows (smiles, "moses") of the training set in the wheel of ``molsets``, none of them ``seen``."""
    with zipfile.ZipFile(wheel) as archive, archive.open("moses/dataset/data/train.csv.gz") as packed:
        text = gzip.decompress(packed.read()).decode("ascii")
    column = [row["SMILES"] for row in csv.DictReader(io.StringIO(text))]
    drawn = random.Random(0).sample(column, min(len(column), most + most // 4))
    fresh = [smiles for smiles in drawn if without_stereo(smiles)[0] not in seen]
    return [[smiles, "moses"] for smiles in fresh[:most]], {
        "available": len(column),
        "taken": len(fresh[:most]),
    }


def write_rows(path: Path, rows: list[list[str]]) -> None:
    """A table of SMILES and where they come from."""
    with path.open("w", newline="", encoding="utf-8") as file:
        csv.writer(file).writerows([["smiles", "set"], *rows])


def take_qm9(data: Path, out: Path, most: int, held: set[str]) -> dict[str, int]:
    """Writes ``most`` QM9 geometries: none held out anywhere, none of the 12,000 of qm9_gap.toml."""
    with gzip.open(data / "qm9" / "qm9_all_smiles_homo.csv.gz", "rt", newline="", encoding="utf-8") as file:
        smiles = {int(row["gdb_index"]): row["smiles"] for row in csv.DictReader(file)}
    split = read_split(data, "qm9")
    with gzip.open(data / "qm9" / "qm9_12k.sdf.gz", "rt", encoding="utf-8") as file:
        twelve = {int(line) for before, line in pairwise_lines(file) if "<gdb_index>" in before}
    away = {*split["valid"], *split["test"], *twelve}
    keys = {index: without_stereo(text)[0] for index, text in smiles.items()}
    held = held | {keys[index] for index in away}
    with np.load(data / "qm9" / "qm9_geometry_128k.npz", allow_pickle=False) as archive:
        arrays = {name: archive[name] for name in archive.files}
    free = np.array([keys[int(index)] not in held for index in arrays["gdb_index"]])
    chosen = np.random.default_rng(0).permutation(np.flatnonzero(free))[:most]
    keep = np.isin(np.arange(len(free)), chosen)
    masks = dict.fromkeys(PER_ATOM, np.repeat(keep, arrays["n_atoms"]))
    masks |= dict.fromkeys(PER_BOND, np.repeat(keep, arrays["n_bonds"]))
    np.savez(out, **{name: array[masks.get(name, keep)] for name, array in arrays.items()})
    return {"available": int(free.sum()), "taken": int(keep.sum())}


def pairwise_lines(file: TextIO) -> list[tuple[str, str]]:
    """Every line with the one before it."""
    lines = file.read().splitlines()
    return list(zip(lines, lines[1:], strict=False))


def main() -> None:
    """Writes the three files."""
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("data", type=Path, help="folder with moleculenet/, splits/ and qm9/")
    parser.add_argument("out", type=Path, help="folder to write to")
    parser.add_argument("--most", type=int, default=15_000, help="molecules taken of any one set")
    parser.add_argument("--moses", type=Path, help="the wheel of molsets 0.3.1")
    parser.add_argument("--moses-most", type=int, default=25_000, help="molecules taken of MOSES")
    parser.add_argument(
        "--with-3d", type=int, default=8_000, help="molecules of the sets that get a conformer"
    )
    parser.add_argument("--qm9", type=int, default=12_000, help="molecules taken of QM9")
    parser.add_argument("--max-atoms", type=int, default=50, help="leave out larger molecules")
    args = parser.parse_args()
    if not (args.data / "moleculenet").is_dir():
        parser.error(f"{args.data} has no folder moleculenet; give the folder that holds the sets")
    args.out.mkdir(parents=True, exist_ok=True)
    rows, held, seen, counts = take_tables(args.data, args.most, args.max_atoms)
    random.Random(0).shuffle(rows)
    write_rows(args.out / "with_3d.csv", rows[: args.with_3d])
    flat = rows[args.with_3d :]
    if args.moses is not None:
        moses, counts["moses"] = take_moses(args.moses, args.moses_most, seen)
        flat += moses
    write_rows(args.out / "flat.csv", flat)
    counts["qm9"] = take_qm9(args.data, args.out / "qm9.npz", args.qm9, held)
    told = {"held_out_molecules": len(held), "sets": counts, "max_atoms": args.max_atoms}
    (args.out / "prepare.json").write_text(json.dumps(told, indent=1) + "\n", encoding="utf-8")
    print(json.dumps(told, indent=1))


if __name__ == "__main__":
    main()

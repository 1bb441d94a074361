"""The same molecules with the same labels in a file of every format."""

from __future__ import annotations

import gzip
import io
import pickle
import sys
from collections.abc import Callable
from pathlib import Path

import lmdb
import numpy as np
import pytest
from rdkit import Chem

from moleblend_plugin.chem.convert import ConversionConfig, convert
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.data.store.reader import StoreWriter

SMILES = ("OCC", "c1ccccc1C", "CC(=O)O", "N#CC")
LABELS = (1.5, -2.0, 0.25, 3.0)


def as_table(separator: str) -> str:
    rows = [("smiles", "y"), *zip(SMILES, map(str, LABELS), strict=True)]
    return "".join(separator.join(row) + "\n" for row in rows)


def as_list() -> str:
    return "".join(f"{smiles} name {place}\n" for place, smiles in enumerate(SMILES))


def as_sdf() -> str:
    text = io.StringIO()
    with Chem.SDWriter(text) as writer:
        for smiles, label in zip(SMILES, LABELS, strict=True):
            mol = Chem.MolFromSmiles(smiles)
            mol.SetProp("y", str(label))
            writer.write(mol)
    return text.getvalue()


def write_npz(path: Path) -> None:
    mols = [Chem.MolFromSmiles(smiles) for smiles in SMILES]
    for mol in mols:
        Chem.Kekulize(mol, clearAromaticFlags=True)
    atoms = [atom for mol in mols for atom in mol.GetAtoms()]
    bonds = [bond for mol in mols for bond in mol.GetBonds()]
    ends = [(b.GetBeginAtomIdx(), b.GetEndAtomIdx(), int(b.GetBondTypeAsDouble())) for b in bonds]
    with path.open("wb") as file:
        np.savez(
            file,
            n_atoms=[mol.GetNumAtoms() for mol in mols],
            n_bonds=[mol.GetNumBonds() for mol in mols],
            atomic_number=[atom.GetAtomicNum() for atom in atoms],
            formal_charge=[atom.GetFormalCharge() for atom in atoms],
            pos_angstrom=np.zeros((len(atoms), 3)),
            bonds_i_j_order=np.array(ends),
            y=np.array(LABELS),
        )


def write_unimol(path: Path) -> None:
    with (
        lmdb.open(str(path), subdir=False, lock=False, map_size=1 << 24) as env,
        env.begin(write=True) as txn,
    ):
        for key, (smiles, label) in enumerate(zip(SMILES, LABELS, strict=True)):
            txn.put(str(key).encode(), pickle.dumps({"smi": smiles, "target": [label]}))


def write_store(path: Path) -> None:
    with StoreWriter(path, settings={}, sources={}, target_names=("y",)) as writer:
        for row, (smiles, label) in enumerate(zip(SMILES, LABELS, strict=True)):
            writer.add(convert(RawRow("old.csv", row, smiles, "smiles", (label,)), ConversionConfig()))


def write_parquet(path: Path) -> None:
    arrow = pytest.importorskip("pyarrow", reason="needs the extra [parquet]")
    parquet = pytest.importorskip("pyarrow.parquet")
    parquet.write_table(arrow.table({"smiles": SMILES, "y": LABELS}), path)


def text(content: Callable[[], str], packed: bool = False) -> Callable[[Path], None]:
    def write(path: Path) -> None:
        data = content().encode()
        path.write_bytes(gzip.compress(data) if packed else data)

    return write


WRITERS: dict[str, tuple[str, Callable[[Path], None]]] = {
    "csv": (".csv", text(lambda: as_table(","))),
    "csv.gz": (".csv.gz", text(lambda: as_table(","), packed=True)),
    "tsv": (".tsv", text(lambda: as_table("\t"))),
    "list": (".smi", text(as_list)),
    "list.gz": (".smi.gz", text(as_list, packed=True)),
    "sdf": (".sdf", text(as_sdf)),
    "sdf.gz": (".sdf.gz", text(as_sdf, packed=True)),
    "npz": (".npz", write_npz),
    "parquet": (".parquet", write_parquet),
    "unimol": (".lmdb", write_unimol),
    "store": (".lmdb", write_store),
    "table without an ending": ("", text(lambda: as_table(","))),
    "sdf called csv": (".csv", text(as_sdf)),
    "store called csv": (".csv", write_store),
}
"""By format, the ending of its names and what writes a file."""

UNLABELLED = ("list", "list.gz")
"""Formats without labels."""


def write_file(folder: Path, format: str, stem: str = "molecules") -> Path:
    ending, write = WRITERS[format]
    path = folder / f"{stem}{ending}"
    write(path)
    return path


class Piped:
    """Standard input that a file is piped into."""

    def __init__(self, data: bytes) -> None:
        self.buffer = io.BytesIO(data)

    def isatty(self) -> bool:
        return False


def pipe(monkeypatch: pytest.MonkeyPatch, data: bytes) -> None:
    monkeypatch.setattr(sys, "stdin", Piped(data))

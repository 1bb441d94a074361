"""``moleblend export``: stores -> files of Uni-Mol or chemprop."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moleblend_plugin.cli._output import writing
from moleblend_plugin.cli.inspect import store_files
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.schema import MoleculeRecord


def export(
    store: Annotated[Path, typer.Argument(help="A .lmdb store, or a folder that moleblend build made.")],
    out: Annotated[
        Path, typer.Option("--out", "-o", help="File to write; for Uni-Mol's files a folder for a folder.")
    ],
    format: Annotated[
        str,
        typer.Option(
            help="unimol: LMDB of pickled dicts, as Uni-Mol reads. chemprop: a CSV with labels and a column "
            "of the split. chemprop-splits: row numbers of the parts, for chemprop's --splits-file."
        ),
    ] = "unimol",
    hydrogens: Annotated[
        bool, typer.Option("--hydrogens", help="Add hydrogens, placed by RDKit; stores keep none.")
    ] = False,
    missing_label: Annotated[
        float | None, typer.Option(help="Written for a missing label, such as -1 [default: NaN].")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that are there.")] = False,
) -> None:
    """Write stores as files that Uni-Mol reads (atoms, coordinates, smi and target), or chemprop."""
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.data.unimol.writer import write_unimol

    if format in ("chemprop", "chemprop-splits"):
        _for_chemprop(store, out, format == "chemprop", overwrite)
        return
    if format != "unimol":
        raise MoleblendError(f"--format {format!r} is unknown; use unimol, chemprop or chemprop-splits")
    plan = [(MoleculeStore(path), target) for path, target in _targets(store, out)]
    for opened, target in plan:
        if target.exists() and (target.resolve() == opened.path.resolve() or not overwrite):
            raise MoleblendError(f"{target} already exists; name another --out or add --overwrite")
    for opened, target in plan:
        target.parent.mkdir(parents=True, exist_ok=True)
        tally: Counter[str] = Counter()
        with writing(target):
            count = write_unimol(target, _values(opened, hydrogens, missing_label, tally))
        print(f"{count:,} molecules written to {target}")
        for reason, number in tally.items():
            print(f"  {number:,}  {reason}")


def _for_chemprop(store: Path, out: Path, as_table: bool, overwrite: bool) -> None:
    from moleblend_plugin.cli._export_chemprop import write_chemprop_table, write_splits
    from moleblend_plugin.data.store.reader import MoleculeStore

    if out.is_dir():
        raise MoleblendError(f"--out {out} is a folder; name a file")
    if out.exists() and not overwrite:
        raise MoleblendError(f"{out} already exists; name another --out or add --overwrite")
    stores = [MoleculeStore(path) for path in store_files(store)]
    out.parent.mkdir(parents=True, exist_ok=True)
    flag = f"--splits-column {write_chemprop_table(stores, out)}" if as_table else "--splits-file"
    if not as_table:
        write_splits(stores, out)
    print(f"{sum(map(len, stores)):,} molecules written to {out}, for chemprop train {flag}")


def _targets(store: Path, out: Path) -> list[tuple[Path, Path]]:
    """Every store and the file it becomes."""
    if store.is_dir():
        return [(path, out / path.name) for path in store_files(store)]
    if out.is_dir():
        raise MoleblendError(f"--out {out} is a folder; name a file for a single store")
    return [(store, out)]


def _values(
    store: MoleculeStore, hydrogens: bool, missing: float | None, tally: Counter[str]
) -> Iterator[dict[str, Any]]:
    from moleblend_plugin.chem.atom_order import in_smiles_order

    whole = _whole_columns(store)
    for record in store:
        listed = in_smiles_order(record, hydrogens)
        if listed is None:
            tally[f"left out, their SMILES is not that of their atoms (first: {record.row_id})"] += 1
            continue
        if listed.coords is None:
            tally["without 3D, an empty list of coordinates"] += 1
        value: dict[str, Any] = {
            "atoms": list(listed.symbols),
            "coordinates": [] if listed.coords is None else [places.copy() for places in listed.coords],
            "smi": record.smiles,
        }
        if store.meta.target_names:
            value["target"] = _labels(record, whole, missing)
        yield value


def _whole_columns(store: MoleculeStore) -> list[bool]:
    """Which labels are whole numbers throughout: classes, which Uni-Mol's losses want as integers."""
    import numpy as np

    whole = np.ones(len(store.meta.target_names), bool)
    for record in store:
        whole &= record.targets == np.floor(record.targets)  # False for NaN
        if not whole.any():
            break
    return [bool(item) for item in whole]


def _labels(record: MoleculeRecord, whole: list[bool], missing: float | None) -> list[float]:
    labels: list[float] = []
    for value, is_whole in zip(record.targets.tolist(), whole, strict=True):
        if value != value and missing is not None:
            labels.append(missing)
        else:
            labels.append(int(value) if is_whole else value)
    return labels

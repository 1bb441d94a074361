"""``moleblend inspect``: a store's metadata, and one molecule at every stage in words."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from moleblend_plugin.data.samples.blend import BlendConfig
    from moleblend_plugin.data.samples.featurize import Features
    from moleblend_plugin.data.store.reader import MoleculeStore
    from moleblend_plugin.schema import MoleculeRecord

_SHOWN_ATOMS = 8
"""Atoms of the table of blended pairs."""


def inspect(
    store: Annotated[Path, typer.Argument(help="A .lmdb file, or a folder that moleblend build made.")],
    index: Annotated[int, typer.Option(help="Molecule to show; from the train split of a folder.")] = 0,
    pair: Annotated[
        tuple[int, int] | None, typer.Option(help="Two atoms to follow [default: the farthest two].")
    ] = None,
    conformer: Annotated[int, typer.Option(min=0, help="Conformer to show.")] = 0,
    seed: Annotated[int, typer.Option(help="Seed of the training run, for the blend.")] = 1,
    epoch: Annotated[int, typer.Option(min=1, help="Epoch of the training run, for the blend.")] = 1,
) -> None:
    """Show what a store holds: its metadata, and one molecule at every stage in words."""
    from moleblend_plugin.data.samples.blend import BlendConfig
    from moleblend_plugin.data.samples.featurize import featurize
    from moleblend_plugin.data.store.reader import MoleculeStore

    stores = [MoleculeStore(path) for path in store_files(store)]
    for opened in stores:
        print_metadata(opened)
    print_split(store if store.is_dir() else store.parent)
    if not len(stores[0]):
        return
    record = _record(stores[0], index)
    if record.coords is not None and conformer >= len(record.coords):
        raise MoleblendError(f"--conformer {conformer}: {record.row_id} has {len(record.coords)} (from 0)")
    features = featurize(record, conformer)
    atoms = _atoms(record, features, pair)
    print_molecule(record, index, conformer)
    print_path(record, features, atoms)
    print_blend(record, features, atoms, (BlendConfig(), seed, epoch, index % len(stores[0])))


def store_files(path: Path) -> list[Path]:
    """The store at ``path``, or the stores of its splits in a folder."""
    if not path.is_dir():
        return [path]
    from moleblend_plugin.schema import PARTS

    found = [path / f"{part}.lmdb" for part in PARTS]
    found = [file for file in found if file.exists()]
    if not found:
        raise MoleblendError(f"{path} holds no train.lmdb, valid.lmdb or test.lmdb; name a built folder")
    return found


def _record(store: MoleculeStore, index: int) -> MoleculeRecord:
    try:
        return store[index]
    except IndexError:
        raise MoleblendError(
            f"--index {index}: {store.path} holds {len(store)} molecules, from 0 to {len(store) - 1}"
        ) from None


def _atoms(record: MoleculeRecord, features: Features, pair: tuple[int, int] | None) -> tuple[int, int]:
    from moleblend_plugin.cli._decoded_words import farthest_pair

    if pair is None:
        return farthest_pair(features)
    for atom in pair:
        if not 0 <= atom < record.n_atoms:
            raise MoleblendError(
                f"--pair {pair[0]} {pair[1]}: {record.row_id} has atoms 0 to {record.n_atoms - 1}"
            )
    return pair


def print_metadata(store: MoleculeStore) -> None:
    """What the store knows about itself."""
    meta = store.meta
    print(f"\n{store.path}")
    heavy = store.n_atoms
    lines = {
        "molecules": f"{meta.count:,}",
        "split": meta.split,
        "heavy atoms": f"{heavy.min()} to {heavy.max()}, mean {heavy.mean():.1f}" if len(heavy) else "-",
        "targets": ", ".join(meta.target_names) or "none",
        "sources": "; ".join(f"{name} (sha256 {checksum[:12]})" for name, checksum in meta.sources.items()),
        "rejected": f"{meta.rejected:,} rows of the whole build"
        + "".join(f"; {reason}: {count:,}" for reason, count in meta.rejected_by_reason.items()),
        "settings": ", ".join(_flat(meta.settings)),
        "fingerprint": meta.fingerprint[:16],
        "written": f"{meta.created}, moleblend_plugin {meta.package_version}, schema {meta.schema_version}",
    }
    if store.pieces is not None:
        lines["pieces"] = f"{len(store.pieces.paths):,} files, the first is {store.pieces.paths[0]}"
    for name, value in lines.items():
        print(f"  {name:<12} {value}")


def print_split(folder: Path) -> None:
    """Method and hash of the folder's ``split.json``, where there is one."""
    from moleblend_plugin.cli.splits import read_split_list

    listed = read_split_list(folder)
    if listed is not None:
        print(f"\nsplit.json: {listed['method']}, sha256 {listed['sha256'][:16]}")


def _flat(settings: dict[str, Any], prefix: str = "") -> list[str]:
    """Nested settings as ``outer.inner=value``; unset ones left out."""
    flat: list[str] = []
    for name, value in settings.items():
        if isinstance(value, dict):
            flat += _flat(value, f"{prefix}{name}.")
        elif value not in (None, "", []):
            flat.append(f"{prefix}{name}={value}")
    return flat


def print_molecule(record: MoleculeRecord, index: int, conformer: int) -> None:
    """Identity, atoms and bonds."""
    from moleblend_plugin.cli._decoded_words import ATOM_HEADER, atom_row, bond_words, symbol

    print(f"\nmolecule {index}: {record.smiles}")
    print(f"  from         {record.row_id}")
    shape = (
        "no 3D" if record.coords is None else f"{len(record.coords)} conformer(s), number {conformer} shown"
    )
    print(f"  3D           {shape} ({record.coords_from})")
    if len(record.targets):
        values = ("missing" if value != value else f"{value:g}" for value in record.targets)  # NaN
        print(f"  targets      {', '.join(values)}")
    print(f"\natoms ({record.n_atoms}; neighbours include hydrogens, places in Angstrom)")
    _print_table(ATOM_HEADER, (atom_row(record, atom, conformer) for atom in range(record.n_atoms)))
    print(f"\nbonds ({len(record.bonds)})")
    for (i, j), codes in zip(record.bonds.tolist(), record.bond_codes.tolist(), strict=True):
        print(f"  {symbol(record, i)}-{symbol(record, j)}: {bond_words((codes[0], codes[1], codes[2]))}")


def print_path(record: MoleculeRecord, features: Features, atoms: tuple[int, int]) -> None:
    """The three relations of one pair of atoms, before blending."""
    import numpy as np

    from moleblend_plugin.cli._decoded_words import distance_words, path_words, symbol

    i, j = atoms
    print(f"\nrelations of {symbol(record, i)} -> {symbol(record, j)}")
    print(f"  spd          {distance_words(features, i, j)}")
    for hop, words in enumerate(path_words(features, i, j), 1):
        print(f"  edge, hop {hop}  {words}")
    if features.coords is not None:
        distance = float(np.linalg.norm(features.coords[i] - features.coords[j]))
        print(f"  3D           {distance:.3f} Angstrom")


def print_blend(
    record: MoleculeRecord,
    features: Features,
    atoms: tuple[int, int],
    draw: tuple[BlendConfig, int, int, int],
) -> None:
    """What a pretraining step would show: ``draw`` is (config, seed, epoch, index)."""
    import numpy as np

    from moleblend_plugin.cli._decoded_words import shown_word, symbol
    from moleblend_plugin.data.samples.blend import blend
    from moleblend_plugin.schema import RELATIONS

    config, seed, epoch, index = draw
    sample = blend(features, config, seed, epoch, index)
    shown, sides = sample["pair_shown"], sample["atom_shown"]
    shares = (f"{row.word} {p:g}" for row, p in zip(RELATIONS, config.relation_probs, strict=True))
    print(f"\nblend of seed {seed}, epoch {epoch}, index {index}: {', '.join(shares)}")
    if features.coords is None:
        flat = " or ".join(row.word for row in RELATIONS if not row.needs_3d)
        print(f"  no 3D: pairs show {flat}, in their proportions")
    counts = {row.word: 0 for row in RELATIONS}
    for bits in shown.ravel().tolist():
        word = shown_word(bits)
        counts[word] = counts.get(word, 0) + 1
    print(f"  of {shown.size} pairs: " + ", ".join(f"{count} show {word}" for word, count in counts.items()))
    some = sorted({*atoms, *range(min(_SHOWN_ATOMS, record.n_atoms))})
    names = [symbol(record, atom) for atom in some]
    rows = ([symbol(record, i), *(shown_word(int(shown[i, j])) for j in some)] for i in some)
    _print_table(("i \\ j", *names), rows)
    for atom in some:
        side = {"spd": "its degree", "3D": "its 3D summary"}.get(shown_word(int(sides[atom])), "nothing")
        shift = float(np.linalg.norm(sample["noise"][atom]))
        moved = f", moved by {shift:.3f} Angstrom" if features.coords is not None else ""
        print(f"  {symbol(record, atom)} shows {side}{moved}")


def _print_table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    lines = [tuple(header), *(tuple(row) for row in rows)]
    widths = [max(len(line[column]) for line in lines) for column in range(len(header))]
    for line in lines:
        cells = (cell.ljust(width) for cell, width in zip(line, widths, strict=True))
        print(("  " + "  ".join(cells)).rstrip())

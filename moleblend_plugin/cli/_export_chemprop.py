"""Stores as files that chemprop 2 reads: a table with its split, or a split of the table they come from.

chemprop knows the words ``train``, ``val`` and ``test`` and leaves rows of any other out without a word.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.files import replacing

if TYPE_CHECKING:
    from moleblend_plugin.data.store.reader import MoleculeStore

WORDS: Final = {"train": "train", "valid": "val", "test": "test"}
"""Our parts as chemprop calls them."""


def write_chemprop_table(stores: Sequence[MoleculeStore], out: Path) -> str:
    """A CSV of SMILES, labels (empty where missing) and a column of the split, for ``--splits-column``.

    Returns:
        Name of that column: "split", with underscores where a label has this name.

    Raises:
        MoleblendError: stores of different labels, or a label named "smiles".
    """
    names = _labels(stores)
    column = "split"
    while column in names:
        column += "_"
    with replacing(out) as temporary, temporary.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.writer(stream)
        writer.writerow(["smiles", *names, column])
        for store in stores:
            for record in store:
                cells = ["" if label != label else repr(label) for label in record.targets.tolist()]
                writer.writerow([record.smiles, *cells, WORDS[store.meta.split]])
    return column


def write_splits(stores: Sequence[MoleculeStore], out: Path) -> None:
    """Row numbers of every part in the file that the stores were built from, for ``--splits-file``.

    Raises:
        MoleblendError: the stores were built from several files.
    """
    rows: dict[str, list[int]] = {word: [] for word in WORDS.values()}
    sources = set()
    for store in stores:
        for record in store:
            sources.add(record.source)
            rows[WORDS[store.meta.split]].append(record.row)
    if len(sources) != 1:
        raise MoleblendError(
            f"the stores come from {len(sources)} files ({', '.join(sorted(sources)[:5])}), and row numbers "
            "are those of one; use --format chemprop for a table of all"
        )
    with replacing(out) as temporary:
        temporary.write_text(json.dumps([rows]) + "\n", encoding="utf-8")


def _labels(stores: Sequence[MoleculeStore]) -> tuple[str, ...]:
    names = {store.meta.target_names for store in stores}
    if len(names) > 1:
        raise MoleblendError("the stores have different targets; build them together")
    found = names.pop()
    if "smiles" in found:
        raise MoleblendError(
            "a label is named 'smiles' as the column of molecules is; build with another name"
        )
    return tuple(found)

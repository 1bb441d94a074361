"""Writes a manifest: a store of molecules that lie in pieces (``data.store.pieces``)."""

from __future__ import annotations

import json
from array import array
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from moleblend_plugin.data.store.pieces import INDEX_BLOCK, PIECES_KEY, PieceOfStore, index_key
from moleblend_plugin.data.store.writer import StoreWriter


class ManifestWriter(StoreWriter):
    """Context manager that writes a manifest, which replaces an existing store only when it is whole.

    Args:
        path: the ``.lmdb`` file to make.
        pieces: of each piece its file, seen from the folder where the manifest will lie, and its hash.
        whole: whether the store takes all molecules of all pieces.
        settings: as of a store that is one file.
        sources: likewise.
        target_names: likewise.
        split: likewise.
    """

    def __init__(
        self,
        path: Path,
        pieces: Sequence[tuple[str, str]],
        whole: bool,
        *,
        settings: dict[str, Any],
        sources: dict[str, str],
        target_names: tuple[str, ...] = (),
        split: str = "train",
    ) -> None:
        super().__init__(path, settings=settings, sources=sources, target_names=target_names, split=split)
        self._pieces = list(pieces)
        self._counts = [0] * len(self._pieces)
        self._whole = whole
        self._places = array("I")  # of the block that is not full yet
        self._blocks = 0

    def add_place(self, piece: int, place: int, n_atoms: int) -> None:
        """Append a molecule.

        Args:
            piece: number of its piece; never one before that of the molecule before.
            place: its number in that piece.
            n_atoms: heavy atoms.
        """
        self._counts[piece] += 1
        self._sizes.append(n_atoms)
        if not self._whole:
            self._places.append(place)
            if len(self._places) == INDEX_BLOCK:
                self._write_block()

    def put_last(self) -> None:
        """Write the rest of the index, the metadata and the pieces."""
        if self._places:
            self._write_block()
        super().put_last()
        taken = [
            asdict(PieceOfStore(file, count, digest))
            for (file, digest), count in zip(self._pieces, self._counts, strict=True)
            if count
        ]
        self._seal(
            PIECES_KEY, json.dumps({"block": 0 if self._whole else INDEX_BLOCK, "pieces": taken}).encode()
        )

    def _write_block(self) -> None:
        self._seal(index_key(self._blocks), np.array(self._places, "<u4").tobytes())
        self._blocks += 1
        self._places = array("I")

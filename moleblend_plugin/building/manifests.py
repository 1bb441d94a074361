"""The stores of a joined build: manifests, which name the pieces that hold the records."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from moleblend_plugin.building.outcomes import Molecule
from moleblend_plugin.building.terms import BuildTerms
from moleblend_plugin.data.store.manifest import ManifestWriter
from moleblend_plugin.schema import PARTS


class JoinedPiece(NamedTuple):
    """A piece that is joined.

    Attributes:
        path: its file.
        hash: of its content.
        molecules: in it.
    """

    path: Path
    hash: str
    molecules: int


class ManifestWriters:
    """The manifests of one build, of each part that has molecules. A context manager.

    Args:
        folder: where they are written.
        terms: of the build; they will lie in its ``out``.
        settings: of the stores.
        pieces: in their order.
        parts: part (index into ``PARTS``) of every molecule.
    """

    def __init__(
        self,
        folder: Path,
        terms: BuildTerms,
        settings: dict[str, Any],
        pieces: Sequence[JoinedPiece],
        parts: bytes,
    ) -> None:
        named = [(_seen_from(piece.path, terms.out), piece.hash) for piece in pieces]
        present = [number for number in range(len(PARTS)) if number in parts]
        self.writers = {
            PARTS[number]: ManifestWriter(
                folder / f"{PARTS[number]}.lmdb",
                named,
                len(present) == 1,
                settings=settings,
                sources=terms.checksums,
                target_names=terms.targets,
                split=PARTS[number],
            )
            for number in present
        }
        self._places = _places(pieces)
        self._stack = ExitStack()

    def __enter__(self) -> ManifestWriters:
        for writer in self.writers.values():
            self._stack.enter_context(writer)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.__exit__(kind, error, trace)

    def add(self, part: str, molecule: Molecule) -> None:
        """Take in the next molecule, of all, for the store of ``part``."""
        piece, place = next(self._places)
        self.writers[part].add_place(piece, place, molecule.n_atoms)

    def counts(self, rejected: Counter[str]) -> dict[str, int]:
        """Molecules by part; called last, it gives every store the ``rejected`` rows by reason."""
        for writer in self.writers.values():
            writer.rejected.update(rejected)
        return {part: len(writer) for part, writer in self.writers.items()}


def _places(pieces: Sequence[JoinedPiece]) -> Iterator[tuple[int, int]]:
    """Piece of every molecule in their order, and number there."""
    for number, piece in enumerate(pieces):
        for place in range(piece.molecules):
            yield number, place


def _seen_from(path: Path, folder: Path) -> str:
    """``path`` as a file in ``folder`` names it, with ``/``; whole where they are on different drives."""
    try:
        return Path(os.path.relpath(path.resolve(), folder.resolve())).as_posix()
    except ValueError:
        return path.resolve().as_posix()

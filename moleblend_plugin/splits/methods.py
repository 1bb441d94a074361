"""The methods of ``moleblend build --split``: which molecules train, validate and test."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from moleblend_plugin.chem.identity.scaffold import scaffold_split
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import parse_names
from moleblend_plugin.schema import PARTS

FORMS: Final = "none, random, scaffold, scaffold-achiral, rows:FILE, kfold:K:I, column:NAME or files"
"""What ``--split`` takes."""

PART_WORDS: Final = {
    "train": "train",
    "training": "train",
    "valid": "valid",
    "val": "valid",
    "validation": "valid",
    "dev": "valid",
    "test": "test",
    "testing": "test",
}
"""What a split column, a split file's list or a file's name may call a part (case does not matter)."""

_SIZED: Final = ("random", "scaffold", "scaffold-achiral")


@dataclass(frozen=True, slots=True)
class SplitMethod:
    """One form of ``--split``, taken apart.

    Attributes:
        kind: the word before the first colon.
        name: file of ``rows:``, column of ``column:``.
        folds: K of ``kfold:``.
        fold: I of ``kfold:``, from 0.
    """

    kind: str
    name: str = ""
    folds: int = 0
    fold: int = 0

    @property
    def by_scaffold(self) -> bool:
        """Whether molecules are divided by scaffold."""
        return self.kind in ("scaffold", "scaffold-achiral")

    @property
    def is_sized(self) -> bool:
        """Whether ``--split-sizes`` matters."""
        return self.kind in _SIZED

    @property
    def needs_all(self) -> bool:
        """Whether all molecules must be known before the first is placed."""
        return self.is_sized or self.kind == "kfold"

    def settings(self, sizes: Sequence[float], seed: int) -> dict[str, Any]:
        """What decides the parts besides the molecules: plain values for reports."""
        found: dict[str, Any] = {"sizes": list(sizes)} if self.is_sized else {}
        if self.by_scaffold:
            found["chirality"] = self.kind == "scaffold"
        elif self.needs_all:
            found["seed"] = seed
        if self.kind == "kfold":
            found |= {"folds": self.folds, "fold": self.fold}
        if self.kind == "column":
            found["column"] = self.name
        return found

    def parts(self, scaffolds: Sequence[str], sizes: Sequence[float], seed: int) -> list[int]:
        """Part (index into ``PARTS``) of every molecule, for a method that ``needs_all``.

        Args:
            scaffolds: one for each molecule in input order; only their number matters unless
                ``by_scaffold``.
            sizes: fraction of molecules in each part.
            seed: of the shuffle (random and kfold).
        """
        if self.by_scaffold:
            return scaffold_split(scaffolds, sizes)
        if self.kind == "kfold":
            return kfold_split(len(scaffolds), self.folds, self.fold, seed)
        return random_split(len(scaffolds), sizes, seed)


def parse_split(text: str) -> SplitMethod:
    """Method of ``--split``.

    Raises:
        MoleblendError: an unknown form, or folds that do not exist.
    """
    kind, colon, rest = text.partition(":")
    if not colon and kind in ("none", "files", *_SIZED):
        return SplitMethod(kind)
    if kind == "column" and rest.strip():  # the writing of --target-columns does too
        return SplitMethod(kind, parse_names(rest)[0] if rest.startswith('"') else rest.strip())
    if kind == "rows" and rest:
        return SplitMethod(kind, rest)
    if kind == "kfold":
        return _kfold(text, rest)
    raise MoleblendError(f"--split {text!r} is unknown; use {FORMS}")


def _kfold(text: str, numbers: str) -> SplitMethod:
    try:
        folds, fold = (int(number) for number in numbers.split(":"))
    except ValueError:
        folds, fold = 0, 0
    if folds < 3 or not 0 <= fold < folds:
        raise MoleblendError(
            f"--split {text!r}: kfold:K:I needs K folds, at least 3 (test, valid and train), and the fold I "
            "to test from 0 to K - 1, such as kfold:5:0"
        )
    return SplitMethod("kfold", folds=folds, fold=fold)


def random_split(count: int, sizes: Sequence[float], seed: int) -> list[int]:
    """Part of every molecule: a seeded shuffle cut at the cumulative sizes."""
    cuts = [round(cut) for cut in np.cumsum(sizes)[:-1] * count]
    return _cut(_shuffled(count, seed), cuts)


def kfold_split(count: int, folds: int, fold: int, seed: int) -> list[int]:
    """Part of every molecule: fold ``fold`` tests, the next one (cyclic) validates, the others train.

    Folds are a seeded shuffle cut into ``folds`` pieces whose sizes differ by at most one, so that over all
    values of ``fold`` every molecule is tested once and validates once.
    """
    pieces = np.array(_cut(_shuffled(count, seed), [count * k // folds for k in range(1, folds)]))
    parts = np.full(count, PARTS.index("train"))
    parts[pieces == fold] = PARTS.index("test")
    parts[pieces == (fold + 1) % folds] = PARTS.index("valid")
    return [int(part) for part in parts]


def _shuffled(count: int, seed: int) -> list[int]:
    return [int(index) for index in np.random.default_rng(seed).permutation(count)]


def _cut(order: Sequence[int], cuts: Sequence[int]) -> list[int]:
    """Number of the piece that each molecule of ``order`` falls into, by molecule."""
    pieces = np.empty(len(order), int)
    for piece, members in enumerate(np.split(np.array(order, int), list(cuts))):
        pieces[members] = piece
    return [int(piece) for piece in pieces]

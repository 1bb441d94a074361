"""What a build says about labels: words for classes, how files were read, and values that are odd."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import write_name

if TYPE_CHECKING:
    from moleblend_plugin.building.plan import BuildPlan
    from moleblend_plugin.chem.readers.source import Columns

_SHOWN: Final = 5
"""Lines of one kind; the report has all."""

_SHOWN_NAMES: Final = 30
"""Columns that a line names."""


def with_words(
    columns: Columns, missing: Sequence[str], positive: Sequence[str], negative: Sequence[str]
) -> Columns:
    """``columns`` with the words of ``--missing-label``, ``--positive`` and ``--negative``.

    Raises:
        MoleblendError: a word means two things.
    """
    flags = {"--missing-label": missing, "--positive": positive, "--negative": negative}
    meaning: dict[str, str] = {}
    for flag, words in flags.items():
        for word in words:
            other = meaning.setdefault(word.strip().lower(), flag)
            if other != flag:
                raise MoleblendError(f"{other} and {flag} are both {word!r}: give each word one meaning")
    first = _number(missing[0]) if missing else None
    words = tuple(missing[1:] if first is not None else missing)
    return replace(
        columns, missing_label=first, missing_words=words, positive=tuple(positive), negative=tuple(negative)
    )


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def class_words(plan: BuildPlan) -> dict[str, dict[str, int]]:
    """By label column, the words that were read as classes."""
    found: dict[str, dict[str, int]] = {}
    for source in plan.sources:
        for column, words in source.classes.items():
            found.setdefault(column, {}).update({word: int(value) for word, value in words.items()})
    return found


def class_notes(classes: dict[str, dict[str, int]]) -> list[str]:
    """Lines for people about :func:`class_words`."""
    pairs = {
        column: ", ".join(f"{word} = {value}" for word, value in sorted(words.items()))
        for column, words in classes.items()
    }
    return [f"words of classes in {write_name(column)}: {listed}" for column, listed in pairs.items()]


def notes_of(plan: BuildPlan) -> list[str]:
    """How files were read, where that is not plain."""
    return list(dict.fromkeys(note for source in plan.sources for note in source.notes))


def mixed(plan: BuildPlan) -> Iterator[str]:
    """Columns that hold numbers in one file and words in another, or words of several pairs."""
    kinds: dict[str, dict[str, str]] = {}  # by column and kind, the first file
    for source in plan.sources:
        for column, kind in ({} if source.labels is None else source.labels.kinds).items():
            kinds.setdefault(column, {}).setdefault(kind, source.name)
    for column, found in kinds.items():
        if len(found) > 1:
            listed = ", ".join(f"{kind} in {name}" for kind, name in found.items())
            yield f"labels of {write_name(column)} are of several kinds: {listed}; do they mean the same?"


def few(lines: Sequence[str]) -> list[str]:
    """The first of some lines of one kind, and how many there are more."""
    if len(lines) <= _SHOWN:
        return list(lines)
    return [*lines[:_SHOWN], f"{len(lines) - _SHOWN} more of this kind: see build_report.json"]


def few_names(names: Sequence[str]) -> str:
    """The names, or the first of many."""
    more = f" and {len(names) - _SHOWN_NAMES} more" if len(names) > _SHOWN_NAMES else ""
    return ", ".join(names[:_SHOWN_NAMES]) + more

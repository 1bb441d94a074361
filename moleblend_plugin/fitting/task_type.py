"""Regression or classification: by what stands in the columns of labels."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final, NamedTuple

from moleblend_plugin.chem.readers.label_text import LabelRules
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.label_columns import MOST_NAMED, ColumnContent, with_other_word
from moleblend_plugin.label_kinds import ColumnKind, kind_of_all
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import LabelKind

_FEW_NUMBERS: Final = 3
_SHOWN: Final = 5

WORDS: Final = {
    "regression": "values",
    "classification": "two classes",
    "multiclass": "several classes",
    "mixed": "values and two classes",
}
"""What labels of a kind are called."""


class TaskType(NamedTuple):
    """What is fitted.

    Attributes:
        kind: "regression", "classification", "multiclass" or "mixed".
        kinds: of every column of labels.
        rules: words of labels, completed.
        notes: what was guessed.
        classes: of one column of several classes, what they are called.
    """

    kind: LabelKind
    kinds: tuple[ColumnKind, ...]
    rules: LabelRules
    notes: tuple[str, ...]
    classes: tuple[str, ...] = ()


def task_type(targets: Mapping[str, ColumnContent], wanted: str, rules: LabelRules) -> TaskType:
    """The kind of labels of all columns, and of each.

    Args:
        targets: what the columns of labels hold, by name.
        wanted: "auto", "regression", "classification", "multiclass" or "mixed".
        rules: words that the user gave a meaning.

    Raises:
        MoleblendError: several classes beside other columns, words without a meaning, or not the kinds that
            are wanted.
    """
    kinds: dict[str, ColumnKind] = {}
    for name, found in targets.items():
        rules = with_other_word(name, found, rules)
        kinds[name] = _kind(name, found, wanted, rules)
    _check_alone(kinds, targets)
    kind = kind_of_all(tuple(kinds.values()))
    classes = next(iter(targets.values())).classes if kind == "multiclass" else ()
    rules = replace(rules, classes=classes)
    if wanted == "mixed" and kind != "mixed":
        raise MoleblendError(
            f"--task mixed: all columns of labels hold {WORDS[kind]}: leave --task out, or name columns of "
            "both kinds by --target"
        )
    notes = [f"labels are {_told(kinds, classes)} (by content)"] * (wanted == "auto")
    for name, found in targets.items():
        if kinds[name] == "regression" and found.whole and 1 < len(found.numbers) <= _FEW_NUMBERS:
            numbers = ", ".join(f"{value:g}" for value in found.numbers)
            either = "; give --task multiclass if they are classes" if found.classes else ""
            notes.append(
                f"{write_name(name)} holds whole numbers ({numbers} ...), which are fitted as values{either}"
            )
    return TaskType(kind, tuple(kinds.values()), rules, tuple(notes), classes)


def _check_alone(kinds: Mapping[str, ColumnKind], targets: Mapping[str, ColumnContent]) -> None:
    """Refuse several classes beside another column (``MoleblendError``)."""
    name = next((name for name, kind in kinds.items() if kind == "multiclass"), None)
    if name is not None and len(kinds) > 1:
        raise MoleblendError(
            f"column {write_name(name)} holds {len(targets[name].classes)} classes, which are fitted by "
            f"themselves: name it alone by --target, and fit the other columns on their own"
        )


def _told(kinds: Mapping[str, ColumnKind], classes: tuple[str, ...]) -> str:
    """What the columns hold, in words."""
    if classes:
        return f"{len(classes)} classes, {', '.join(classes)}"
    if len(set(kinds.values())) == 1:
        return WORDS[next(iter(kinds.values()))]
    parts = []
    for kind in ("regression", "classification"):
        names = [write_name(name) for name, own in kinds.items() if own == kind]
        more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
        parts.append(f"{WORDS[kind]} in {', '.join(names[:_SHOWN])}{more}")
    return ", ".join(parts)


def _kind(name: str, found: ColumnContent, wanted: str, rules: LabelRules) -> ColumnKind:
    shown = write_name(name)
    named = {word.strip().lower() for word in (*rules.positive, *rules.negative)}
    unknown = [word for word in found.words if word.lower() not in named]
    if found.content == "empty":
        raise MoleblendError(f"column {shown} holds no label at all: name another one by --target")
    if found.content == "words":
        raise _words_refused(shown, unknown)
    if found.content == "several classes" and wanted not in ("regression", "mixed"):
        return "multiclass"
    if found.content == "several classes":
        raise MoleblendError(
            f"--task {wanted}: column {shown} holds words for {len(found.classes)} classes: leave --task out"
        )
    if wanted == "multiclass":
        return _numbers_as_classes(shown, found)
    if wanted == "regression" and found.content == "two classes" and (found.words or not found.numbers):
        raise MoleblendError(f"--task regression: column {shown} holds words for classes: leave --task out")
    if wanted == "regression":
        return "regression"
    if found.content == "two classes":
        return "classification"
    if found.content == "two numbers":
        low, high = (f"{value:g}" for value in found.numbers)
        if {low, high} <= named:
            return "classification"
        raise_question = wanted == "classification" or found.whole
        if raise_question:
            raise MoleblendError(
                f"column {shown} holds two numbers, {low} and {high}: are they classes or values? Give "
                f"--positive {high} --negative {low} for classes, or --task regression for values"
            )
        return "regression"
    if wanted == "classification":
        raise MoleblendError(
            f"--task classification: column {shown} holds more than two numbers; classes are 0 and 1, or two "
            "words: write a column of them, give --task multiclass for several classes, or leave --task out"
        )
    return "regression"


def _numbers_as_classes(shown: str, found: ColumnContent) -> ColumnKind:
    if found.classes:
        return "multiclass"
    if found.content in ("two classes", "two numbers"):
        what, remedy = "two classes", "give --task classification"
    elif found.content == "id":
        what, remedy = "a number of its own in every row", "name another column by --target"
    else:
        what = "more different values" if found.whole else "numbers that are not whole"
        remedy = "give --task regression, or name another column by --target"
    raise MoleblendError(
        f"--task multiclass: column {shown} holds {what}; classes are 3 to {MOST_NAMED} different words or "
        f"whole numbers: {remedy}"
    )


def _words_refused(shown: str, words: list[str]) -> MoleblendError:
    listed = ", ".join(repr(word[:30]) for word in words[:6])
    if len(words) == 2:
        return MoleblendError(
            f"column {shown} holds the words {words[0]!r} and {words[1]!r}: say which is class 1, as in "
            f"--positive {words[0]!r}"
        )
    return MoleblendError(
        f"column {shown} holds words, such as {listed}: labels are numbers, or 2 to {MOST_NAMED} classes "
        "whose words come again and again: name another column by --target, or say which words are class 1 "
        "and which class 0, by --positive and --negative (each may be given again)"
    )

"""Regression or classification: by what stands in the columns of labels."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from moleblend_plugin.chem.readers.label_text import LabelRules
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.label_columns import ColumnContent, with_other_word
from moleblend_plugin.names import write_name
from moleblend_plugin.schema import LabelKind

_FEW_NUMBERS: Final = 3


class TaskType(NamedTuple):
    """What is fitted.

    Attributes:
        kind: "regression" or "classification".
        rules: words of labels, completed.
        notes: what was guessed.
    """

    kind: LabelKind
    rules: LabelRules
    notes: tuple[str, ...]


def task_type(targets: Mapping[str, ColumnContent], wanted: str, rules: LabelRules) -> TaskType:
    """The kind of labels that all columns have.

    Args:
        targets: what the columns of labels hold, by name.
        wanted: "auto", "regression" or "classification".
        rules: words that the user gave a meaning.

    Raises:
        MoleblendError: several classes, words without a meaning, or columns of both kinds.
    """
    kinds: dict[str, LabelKind] = {}
    for name, found in targets.items():
        rules = with_other_word(name, found, rules)
        kinds[name] = _kind(name, found, wanted, rules)
    first = {kind: next((name for name, own in kinds.items() if own == kind), "") for kind in kinds.values()}
    if len(first) > 1:
        raise MoleblendError(
            f"columns of labels are of two kinds, {write_name(first['regression'])} of numbers and "
            f"{write_name(first['classification'])} of two classes: fit them one by one, each with its own "
            "--target and --out"
        )
    (kind,) = first
    notes = [f"labels are {'values' if kind == 'regression' else 'two classes'} (by content)"] * (
        wanted == "auto"
    )
    for name, found in targets.items():
        if kind == "regression" and found.whole and 1 < len(found.numbers) <= _FEW_NUMBERS:
            numbers = ", ".join(f"{value:g}" for value in found.numbers)
            notes.append(
                f"{write_name(name)} holds whole numbers ({numbers} ...), which are fitted as values"
            )
    return TaskType(kind, rules, tuple(notes))


def _kind(name: str, found: ColumnContent, wanted: str, rules: LabelRules) -> LabelKind:
    shown = write_name(name)
    named = {word.strip().lower() for word in (*rules.positive, *rules.negative)}
    unknown = [word for word in found.words if word.lower() not in named]
    if found.content == "empty":
        raise MoleblendError(f"column {shown} holds no label at all: name another one by --target")
    if found.content == "words":
        raise _words_refused(shown, unknown)
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
            "words: write a column of them, or leave --task out"
        )
    return "regression"


def _words_refused(shown: str, words: list[str]) -> MoleblendError:
    listed = ", ".join(repr(word[:30]) for word in words[:6])
    if len(words) == 2:
        return MoleblendError(
            f"column {shown} holds the words {words[0]!r} and {words[1]!r}: say which is class 1, as in "
            f"--positive {words[0]!r}"
        )
    if 2 < len(words) <= 12:
        return MoleblendError(
            f"column {shown} holds {len(words)} classes ({listed}); two are supported: say which "
            "words are "
            f"class 1 and which class 0, by --positive and --negative (each may be given again)"
        )
    return MoleblendError(
        f"column {shown} holds words, such as {listed}: labels are numbers or two classes: name another "
        "column "
        "by --target"
    )

"""Regression or classification, by content."""

from __future__ import annotations

import pytest

from moleblend_plugin.chem.readers.label_text import LabelRules
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.label_columns import ColumnContent, look_at
from moleblend_plugin.fitting.task_type import task_type

NUMBERS = ColumnContent("numbers", numbers=(0.5, 1.0, 2.0))
CLASSES = ColumnContent("two classes", numbers=(0.0, 1.0), whole=True)


@pytest.mark.parametrize(
    ("targets", "wanted", "kind"),
    [
        ({"y": NUMBERS}, "auto", "regression"),
        ({"y": CLASSES}, "auto", "classification"),
        ({"y": CLASSES}, "regression", "regression"),
        ({"y": CLASSES, "z": CLASSES}, "auto", "classification"),
        ({"y": NUMBERS, "z": NUMBERS}, "auto", "regression"),
        ({"y": NUMBERS, "z": CLASSES}, "auto", "mixed"),
        ({"y": NUMBERS, "z": CLASSES}, "mixed", "mixed"),
        ({"y": NUMBERS, "z": CLASSES}, "regression", "regression"),
        ({"y": ColumnContent("two numbers", numbers=(0.5, 1.5))}, "auto", "regression"),
    ],
)
def test_kind(targets: dict[str, ColumnContent], wanted: str, kind: str) -> None:
    assert task_type(targets, wanted, LabelRules()).kind == kind


@pytest.mark.parametrize(
    ("targets", "wanted", "words"),
    [
        (
            {"y": ColumnContent("two numbers", numbers=(-1.0, 1.0), whole=True)},
            "auto",
            "--positive 1 --negative -1",
        ),
        ({"y": ColumnContent("words", ("a", "b"))}, "auto", "--positive 'a'"),
        ({"y": ColumnContent("words", ("a", "b", "c"))}, "auto", "3 classes.*--positive and --negative"),
        ({"y": ColumnContent("words", tuple("abcdefghijklmn"))}, "auto", "another column by --target"),
        ({"y": ColumnContent("empty")}, "auto", "no label at all"),
        ({"y": NUMBERS}, "classification", "more than two numbers"),
        ({"y": NUMBERS, "z": NUMBERS}, "mixed", "hold values: leave --task out"),
        ({"y": ColumnContent("two classes", ("active", "inactive"))}, "regression", "words for classes"),
    ],
)
def test_what_cannot_be_told_is_a_question(
    targets: dict[str, ColumnContent], wanted: str, words: str
) -> None:
    with pytest.raises(MoleblendError, match=words):
        task_type(targets, wanted, LabelRules())


def test_each_column_has_its_kind_and_the_note_says_which() -> None:
    found = task_type({"a": CLASSES, "b": NUMBERS, "c": CLASSES}, "auto", LabelRules())
    assert found.kinds == ("classification", "regression", "classification")
    assert "labels are values in b, two classes in a, c (by content)" in found.notes


def test_words_that_the_user_names_are_classes() -> None:
    rules = LabelRules(positive=("a",))
    found = task_type({"y": look_at("y", ["a", "b", "b"], rules)}, "auto", rules)
    assert (found.kind, found.rules.positive, found.rules.negative) == ("classification", ("a",), ("b",))


def test_numbers_that_the_user_names_are_classes() -> None:
    rules = LabelRules(positive=("1",), negative=("-1",))
    found = task_type({"y": look_at("y", ["1", "-1", "-1"], rules)}, "auto", rules)
    assert found.kind == "classification"


def test_a_few_whole_numbers_are_values_and_said() -> None:
    found = task_type(
        {"y": ColumnContent("numbers", numbers=(0.0, 1.0, 2.0), whole=True)}, "auto", LabelRules()
    )
    assert found.kind == "regression"
    assert any("fitted as values" in note for note in found.notes)

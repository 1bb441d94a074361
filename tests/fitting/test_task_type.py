"""Regression or classification, by content."""

from __future__ import annotations

import pytest

from moleblend_plugin.chem.readers.label_text import LabelRules
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.label_columns import ColumnContent, look_at
from moleblend_plugin.fitting.task_type import task_type

NUMBERS = ColumnContent("numbers", numbers=(0.5, 1.0, 2.0))
SEVERAL = ColumnContent("several classes", ("low", "high", "mid"), classes=("high", "low", "mid"))
GRADES = ColumnContent("numbers", numbers=(1.0, 2.0, 5.0), whole=True, classes=("1", "2", "5"))
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
        ({"y": SEVERAL}, "auto", "multiclass"),
        ({"y": SEVERAL}, "classification", "multiclass"),
        ({"y": GRADES}, "auto", "regression"),
        ({"y": GRADES}, "multiclass", "multiclass"),
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
        ({"y": ColumnContent("words", ("a", "b", "c"))}, "auto", "words.*--positive and --negative"),
        ({"y": SEVERAL}, "regression", "words for 3 classes: leave --task out"),
        ({"y": SEVERAL, "z": NUMBERS}, "auto", "y holds 3 classes, which are fitted by themselves"),
        ({"y": CLASSES}, "multiclass", "holds two classes.*--task classification"),
        ({"y": NUMBERS}, "multiclass", "numbers that are not whole.*--task regression"),
        ({"y": ColumnContent("numbers", whole=True)}, "multiclass", "more different values"),
        ({"y": ColumnContent("id", whole=True)}, "multiclass", "a number of its own in every row"),
        ({"y": GRADES}, "classification", "give --task multiclass for several classes"),
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


def test_several_classes_are_named_and_numbers_that_may_be_classes_are_said() -> None:
    found = task_type({"y": SEVERAL}, "auto", LabelRules())
    assert found.classes == found.rules.classes == ("high", "low", "mid")
    assert found.notes == ("labels are 3 classes, high, low, mid (by content)",)
    (_, note) = task_type({"y": GRADES}, "auto", LabelRules()).notes
    assert note.endswith("fitted as values; give --task multiclass if they are classes")


@pytest.mark.parametrize(
    ("cells", "content", "classes"),
    [
        (["low", "mid", "high", "", "Low", "low", "mid"], "several classes", ("high", "low", "mid")),
        (
            ["active", "inactive", "inconclusive"] * 3,
            "several classes",
            ("active", "inactive", "inconclusive"),
        ),
        (["Ada", "Bob", "Eve", "Ann", "Ada"], "words", ()),
        ([f"kind {number}" for number in range(21)] * 4, "words", ()),
        (["3", "10", "2", "3"], "numbers", ("2", "3", "10")),
        (["3", "10.5", "2", "3"], "numbers", ()),
        ([str(number % 25) for number in range(99)], "numbers", ()),
        (["1", "2", "1"], "two numbers", ()),
        (["low", "low", "high", "high"], "words", ()),
    ],
)
def test_what_may_be_several_classes(cells: list[str], content: str, classes: tuple[str, ...]) -> None:
    found = look_at("y", cells, LabelRules())
    assert (found.content, found.classes) == (content, classes)

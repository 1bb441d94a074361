"""What stands in a column, and which one is the target."""

from __future__ import annotations

import pytest

from moleblend_plugin.chem.readers.label_text import LabelRules
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.fitting.label_columns import (
    ColumnContent,
    choose_targets,
    look_at,
    uncensored,
    with_other_word,
)


@pytest.mark.parametrize(
    ("name", "cells", "content"),
    [
        ("y", ["1.5", "2", "", "-3e1"], "numbers"),
        ("y", ["1,5", "2,25", "3,1"], "numbers"),
        ("y", ["0", "1", "1", "NA"], "two classes"),
        ("y", ["active", "Inactive", ""], "two classes"),
        ("y", ["True", "False"], "two classes"),
        ("y", ["yes", "no", "no"], "two classes"),
        ("y", ["-1", "1", "1"], "two numbers"),
        ("y", ["A", "B", "C"], "words"),
        ("y", ["blocker", "none", "non-blocker"], "words"),
        ("num", ["1", "2", "3", "4"], "id"),
        ("z", ["7", "8", "9", "10"], "id"),
        ("Compound ID", ["17", "4", "99"], "id"),
        ("z", ["7", "4", "99"], "numbers"),
        ("y", ["", "NA", "-"], "empty"),
        ("y", ["1.5", "2.5", "insoluble", "3.5"], "numbers"),
    ],
)
def test_content_of_a_column(name: str, cells: list[str], content: str) -> None:
    assert look_at(name, cells, LabelRules()).content == content


def test_bounds_are_counted_and_dropped_or_taken() -> None:
    cells = [">10", "<0.5", "3", "<= 2", "\u2265 7"]
    found = look_at("y", cells, LabelRules())
    assert (found.content, found.censored) == ("numbers", 4)
    assert uncensored(cells, "drop") == ["", "", "3", "", ""]
    assert uncensored(cells, "value") == ["10", "0.5", "3", "2", "7"]


def test_the_only_column_that_can_be_one_is_the_target() -> None:
    contents = {
        "num": ColumnContent("id"),
        "name": ColumnContent("words"),
        "p_np": ColumnContent("two classes"),
    }
    names, note = choose_targets(contents, (), "t.csv")
    assert names == ("p_np",)
    assert "p_np" in note


def test_two_words_alone_are_the_target() -> None:
    contents = {"kind": ColumnContent("words", ("a", "b")), "name": ColumnContent("words", ("x", "y", "z"))}
    assert choose_targets(contents, (), "t.csv")[0] == ("kind",)


def test_several_columns_are_a_question() -> None:
    contents = {"expt": ColumnContent("numbers"), "calc [x]": ColumnContent("numbers")}
    with pytest.raises(MoleblendError, match=r"expt, calc \[x\].*--target expt --target 'calc \[x\]'"):
        choose_targets(contents, (), "t.csv")


def test_no_column_is_a_question_that_lists_what_there_is() -> None:
    with pytest.raises(MoleblendError, match="name: words.*--target"):
        choose_targets({"name": ColumnContent("words", ("a", "b", "c"))}, (), "t.csv")


@pytest.mark.parametrize(
    ("wanted", "words"),
    [(("logs",), "did you mean 'logS'"), (("x",), "columns: logS"), (("logS", "logS"), "twice")],
)
def test_a_wrong_name_says_so(wanted: tuple[str, ...], words: str) -> None:
    with pytest.raises(MoleblendError, match=words):
        choose_targets({"logS": ColumnContent("numbers")}, wanted, "t.csv")


def test_the_other_one_of_two_words_is_the_other_class() -> None:
    found = look_at("y", ["blocker", "free", "free"], LabelRules(positive=("blocker",)))
    assert found.content == "two classes"
    assert with_other_word("y", found, LabelRules(positive=("blocker",))).negative == ("free",)

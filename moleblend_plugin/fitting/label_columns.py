"""What stands in a column: numbers, two classes, several classes, ids, words. Which one is the target.

Legend: n rows.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, Literal, NamedTuple

from moleblend_plugin.chem.readers.label_text import (
    CLASS_WORDS,
    MISSING_WORDS,
    LabelReader,
    LabelRules,
    has_decimal_commas,
)
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.names import closest_name, write_name, write_names

Content = Literal["numbers", "two classes", "two numbers", "several classes", "words", "id", "empty"]
"""``two classes``: 0 and 1, or the words of a pair; ``two numbers``: other two; ``several classes``: few
different words, again and again; ``words``: anything else."""

MOST_NAMED: Final = 20
"""Different words, or whole numbers, that a column of several classes may have."""

_TIMES: Final = 2
"""How often a word of classes stands in a column on average, at least: others are names."""

_ID_NAME: Final = re.compile(
    r"(?:^|[\s_.\-#])(?:id|ids|cid|sid|idx|index|no|nr|num|number|row|key|cas|inchikey|registry)$"
    r"|^unnamed: \d+$"
    r"|^(?:[a-z]*id|#)$",
    re.IGNORECASE,
)
"""Names that columns of ids have."""

_CENSORED: Final = re.compile(r"^\s*(?:[<>\u2264\u2265]=?|=?[<>])\s*(?=[+\-.\d])")
"""A bound in place of a value: >10, <= 0.5."""

_SHOWN: Final = 12
"""Columns, or words, that a message lists."""

_MOST_CLASSES: Final = 20
"""Different words up to which a column is one of classes."""


class ColumnContent(NamedTuple):
    """What a column holds.

    Attributes:
        content: in a word.
        words: different texts that are no numbers and no missing labels, the most frequent first.
        numbers: different numbers, at most three of them.
        censored: rows that hold a bound in place of a value.
        whole: whether all numbers are whole.
        classes: what the classes are called in order, if words or whole numbers may be several classes.
    """

    content: Content
    words: tuple[str, ...] = ()
    numbers: tuple[float, ...] = ()
    censored: int = 0
    whole: bool = False
    classes: tuple[str, ...] = ()


def look_at(name: str, cells: Sequence[str], rules: LabelRules) -> ColumnContent:
    """What stands in the cells [n] of a column.

    Args:
        name: of the column.
        cells: texts.
        rules: words that the user gave a meaning.
    """
    comma = frozenset((name,) if has_decimal_commas(cells) else ())
    known = {word.strip().lower() for word in (*rules.positive, *rules.negative)}
    words: Counter[str] = Counter()
    values: list[float] = []
    censored, given = 0, False
    missing = MISSING_WORDS | {word.strip().lower() for word in rules.missing}
    for cell in cells:
        text = cell.strip()
        if text.lower() in known:
            given = True
            continue
        if text.lower() in missing:
            continue
        bare = _CENSORED.sub("", text)
        # Every cell by itself: whether numbers and words are mixed is told by the counts.
        try:
            (value,) = LabelReader((name,), LabelRules(rules.missing, decimal_comma=comma)).read([bare])
        except ValueError:
            words[text] += 1
            continue
        if _is_word(text):
            words[text] += 1
        elif not math.isnan(value):
            censored += bare != text
            values.append(value)
    return _content(name, words, values, censored, given)


def _is_word(text: str) -> bool:
    return any(text.lower() in pair for pair in CLASS_WORDS)


def _content(
    name: str, words: Counter[str], values: list[float], censored: int, given: bool
) -> ColumnContent:
    different = sorted(set(values))
    whole = all(value.is_integer() for value in different)
    ordered = tuple(word for word, _ in words.most_common(_SHOWN + 1))
    lower = {word.lower() for word in words}
    found = ColumnContent("numbers", ordered, tuple(different[:3]), censored, whole)
    if given:
        return found._replace(content="two classes")
    if not values and not words:
        return found._replace(content="empty")
    if len(words) > len(values):
        is_pair = any(lower <= set(pair) for pair in CLASS_WORDS) and not values
        if is_pair:
            return found._replace(content="two classes")
        classes = () if values else _classes_of(words)
        return found._replace(content="several classes" if classes else "words", classes=classes)
    if _is_id(name, values, whole):
        return found._replace(content="id")
    if different in ([0.0, 1.0], [0.0], [1.0]):
        return found._replace(content="two classes")
    if whole and 2 < len(different) <= MOST_NAMED and not words:
        found = found._replace(classes=tuple(f"{value:.0f}" for value in different))
    return found._replace(content="two numbers" if len(different) == 2 else "numbers")


def _classes_of(words: Counter[str]) -> tuple[str, ...]:
    """Several classes that words may be, each as it is written most often, in order; none if they are not."""
    written: dict[str, str] = {}
    for word, _ in words.most_common():
        written.setdefault(word.lower(), word)
    if not 2 < len(written) <= MOST_NAMED or words.total() < _TIMES * len(written):
        return ()
    return tuple(sorted(written.values()))


def _is_id(name: str, values: list[float], whole: bool) -> bool:
    """Whether numbers only name rows: whole, each once, and so called or in a row."""
    if not whole or len(values) < 3 or len(set(values)) < len(values):
        return False
    steps = {second - first for first, second in zip(values, values[1:], strict=False)}
    return bool(_ID_NAME.search(name.strip())) or steps == {1.0}


def choose_targets(
    contents: Mapping[str, ColumnContent], wanted: Sequence[str], shown: str
) -> tuple[tuple[str, ...], str]:
    """The columns of labels, and what was guessed ("" where the user named them).

    Args:
        contents: what columns hold that may be one, by name; those of SMILES, weights, parts are not there.
        wanted: names that the user gave.
        shown: the file's name.

    Raises:
        MoleblendError: no such column, or several that may be meant.
    """
    if wanted:
        return _named(contents, wanted, shown), ""
    able = [
        name for name, found in contents.items() if found.content in ("numbers", "two classes", "two numbers")
    ]
    if len(able) == 1:
        return (able[0],), f"column of labels: {write_name(able[0])} (the only one of numbers or two classes)"
    listed = _listed(contents)
    pairs = [name for name, found in contents.items() if found.content == "words" and len(found.words) == 2]
    if not able and len(pairs) == 1:
        return (pairs[0],), f"column of labels: {write_name(pairs[0])} (the only one of two words)"
    several = [name for name, found in contents.items() if found.content == "several classes"]
    if not able and not pairs and len(several) == 1:
        return (several[0],), f"column of labels: {write_name(several[0])} (the only one of few words)"
    able = able or several
    if able:
        first = " ".join(f"--target {_quoted(name)}" for name in able[:2])
        raise MoleblendError(
            f"{shown} has several columns that may be the labels ({_few(able)}): name one by --target, as in "
            f"--target {_quoted(able[0])}, or several, as in {first}"
        )
    raise MoleblendError(
        f"{shown} has no column of numbers or of two classes ({listed}): name the column of labels by "
        "--target"
    )


def _named(contents: Mapping[str, ColumnContent], wanted: Sequence[str], shown: str) -> tuple[str, ...]:
    for name in wanted:
        if name not in contents:
            close = closest_name(name, contents)
            hint = f"; did you mean {close!r}?" if close else ""
            raise MoleblendError(
                f"{shown} has no column of labels {name!r}{hint} (columns: {_few(contents)})"
            )
    twice = next((name for name in wanted if list(wanted).count(name) > 1), None)
    if twice is not None:
        raise MoleblendError(f"--target names {twice!r} twice: name every column once")
    return tuple(wanted)


def _few(names: Iterable[str]) -> str:
    known = list(names)
    more = f" and {len(known) - _SHOWN} more" if len(known) > _SHOWN else ""
    return (write_names(known[:_SHOWN], ", ") or "none") + more


def _listed(contents: Mapping[str, ColumnContent]) -> str:
    told = [f"{write_name(name)}: {found.content}" for name, found in list(contents.items())[:_SHOWN]]
    return "; ".join(told) or "no other columns"


def _quoted(name: str) -> str:
    """``name`` as a shell takes it."""
    return name if re.fullmatch(r"[\w.\-+]+", name) else "'" + name.replace("'", "'\\''") + "'"


def uncensored(cells: Sequence[str], how: str) -> list[str]:
    """Cells [n] in which a bound such as >10 is its number ("value") or a missing label ("drop")."""
    if how == "value":
        return [_CENSORED.sub("", cell) for cell in cells]
    return ["" if _CENSORED.match(cell) else cell for cell in cells]


def with_other_word(name: str, found: ColumnContent, rules: LabelRules) -> LabelRules:
    """``rules`` in which the other one of two words is negative, or positive, where the user named one."""
    named = {word.strip().lower() for word in (*rules.positive, *rules.negative)}
    numbers = [f"{value:g}" for value in found.numbers]
    others = [word for word in (*found.words, *numbers) if word.lower() not in named]
    if len(others) != 1 or bool(rules.positive) == bool(rules.negative):
        return rules
    if rules.positive:
        return replace(rules, negative=(others[0],))
    return replace(rules, positive=(others[0],))

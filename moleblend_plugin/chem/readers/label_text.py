"""Cells of label columns -> numbers: what is a number, a word for "missing" or for a class, or neither.

Nothing is guessed: a number is written with ASCII digits and a point, and what is neither that nor one of
the words below is refused with the reason and the remedy. The rules are the same for tables, SDF and npz.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from moleblend_plugin.schema import FLOAT32_MAX

MISSING_WORDS: Final = frozenset(
    {
        "", "nan", "-nan", "na", "n/a", "n.a.", "none", "null", "<na>", "#na", "missing", "?", ".",
        "-", "--", "\N{EN DASH}", "\N{EM DASH}", "-1.#ind", "1.#ind", "-1.#qnan", "1.#qnan",
        "#n/a", "#n/a n/a", "#null!", "#div/0!", "#value!", "#ref!", "#name?", "#num!",
        "#getting_data", "#spill!", "#calc!",
    }
)  # fmt: skip
"""Words for a missing label; case does not matter: those of pandas, of Excel's errors, and a few signs."""

CLASS_WORDS: Final = (
    ("true", "false"), ("t", "f"), ("yes", "no"), ("y", "n"), ("active", "inactive"),
    ("positive", "negative"), ("pos", "neg"), ("toxic", "nontoxic"), ("toxic", "non-toxic"),
    ("toxic", "non toxic"),
)  # fmt: skip
"""Pairs of words for the classes 1 and 0; case does not matter."""

_NUMBERS: Final = "numbers"
_COMMAS: Final = "numbers with decimal commas"

_FEW_CLASSES: Final = 12
"""Classes that a message lists."""

_KNOWN: Final = 10_000
"""Different numbers that are kept by their text."""

_NUMBER: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?", re.ASCII)
_COMMA: Final = re.compile(r"[+-]?\d+,\d+", re.ASCII)
_THOUSANDS: Final = re.compile(r"[+-]?[1-9]\d{0,2}(?:,\d{3})+(?:\.\d+)?", re.ASCII)
_QUALIFIED: Final = re.compile(r"(?:[<>~=\u2264\u2265\u2248]|\+/-|\u00b1|ca\.?\s)", re.ASCII)
_UNIT: Final = re.compile(r"[+-]?(?:\d+\.?\d*|\.\d+)(?:[eE][+-]?\d+)?\s*[^\W\d_%\u00b0].*|.*[%\u00b0]")
_BROKEN: Final = re.compile(r"[+-]?\d[\d\s.,'\u2019]*", re.ASCII)
_PAIR_OF: Final = {
    word: (pair[0], value) for pair in CLASS_WORDS for word, value in ((pair[0], 1.0), (pair[1], 0.0))
}


@dataclass(frozen=True, slots=True)
class LabelRules:
    """What a user says about the words of labels.

    Attributes:
        missing: words or numbers that stand for a missing label, besides ``MISSING_WORDS``.
        positive: words for class 1, besides those of ``CLASS_WORDS``; case does not matter.
        negative: words for class 0.
        decimal_comma: columns whose numbers are written as 1,5.
        classes: words or numbers for the classes 0, 1, 2 ... of a column of several, which then holds nothing
            else; case matters where two differ by it alone.
    """

    missing: tuple[str, ...] = ()
    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    decimal_comma: frozenset[str] = frozenset()
    classes: tuple[str, ...] = ()


class LabelReader:
    """Labels of rows, one after the other. A column holds numbers or the two words of one pair, never both.

    Words that the user names go with either. Where the rules name several classes, a column holds these.

    Args:
        names: of the columns.
        rules: what the user says.

    Attributes:
        classes: by column, the words that were met and their number.
    """

    def __init__(self, names: Sequence[str], rules: LabelRules | None = None) -> None:
        self.names = tuple(names)
        self.classes: dict[str, dict[str, float]] = {}
        self._rules = rules or LabelRules()
        self._missing = MISSING_WORDS | {word.strip().lower() for word in self._rules.missing}
        self._missing_numbers = frozenset(missing_numbers(self._rules.missing))
        self._given = {word.strip().lower(): 1.0 for word in self._rules.positive}
        self._given |= {word.strip().lower(): 0.0 for word in self._rules.negative}
        self._codes = {word.strip().lower(): code for code, word in enumerate(self._rules.classes)}
        self._codes |= {word: code for code, word in enumerate(self._rules.classes)}
        self._numbers = dict(_numbered(self._rules.classes))
        self._known: dict[str, float] = {}  # numbers that were met: labels of classes come again and again
        self._kinds: list[str] = [""] * len(self.names)  # of numbers, or a pair's first word

    @property
    def kinds(self) -> dict[str, str]:
        """By column with a label: ``numbers``, or the words of its classes."""
        words = dict(reversed(CLASS_WORDS))
        return {
            name: "numbers" if kind in (_NUMBERS, _COMMAS) else f"{kind} and {words[kind]}"
            for name, kind in zip(self.names, self._kinds, strict=True)
            if kind
        }

    def read(self, cells: Sequence[str]) -> tuple[float, ...]:
        """Labels from their text, NaN where one is missing.

        Raises:
            ValueError: a cell is no label; the text names the column, the cell and the remedy.
        """
        kinds, known = self._kinds, self._known
        return tuple(
            [
                math.nan
                if not cell
                else known[cell]
                if cell in known and kinds[place] == _NUMBERS
                else self._label(place, cell)
                for place, cell in enumerate(cells)
            ]
        )

    def _label(self, place: int, cell: str) -> float:
        text = cell.strip()
        if not text:
            return math.nan
        word = text.lower()
        if self._codes:
            return self._one_of_several(place, text)
        if word in self._given:
            return self._class(place, word, self._given[word])
        if word in self._missing:
            return math.nan
        comma = self.names[place] in self._rules.decimal_comma
        if _NUMBER.fullmatch(text) or comma and _COMMA.fullmatch(text):
            return self._number(place, text, comma)
        if word in _PAIR_OF:
            pair, value = _PAIR_OF[word]
            self._note_kind(place, word, pair)
            return self._class(place, word, value)
        raise self._refused(place, text, _why_not(text))

    def _one_of_several(self, place: int, text: str) -> float:
        word = text.lower()
        code = self._codes.get(text, self._codes.get(word))
        if code is None and word in self._missing:
            return math.nan
        if code is None and _NUMBER.fullmatch(text):
            if float(text) in self._missing_numbers:
                return math.nan
            code = self._numbers.get(float(text))
        if code is None:
            few = ", ".join(self._rules.classes[:_FEW_CLASSES])
            more = len(self._rules.classes) - _FEW_CLASSES
            raise ValueError(
                f"label is no class of the model: column {self.names[place]!r} holds {text[:40]!r}; classes "
                f"are {few}{f' and {more} more' if more > 0 else ''}"
            )
        return self._class(place, self._rules.classes[code], float(code))

    def _number(self, place: int, text: str, comma: bool) -> float:
        if comma and "." in text:
            raise self._refused(place, text, "a point, where other rows have decimal commas")
        value = float(text.replace(",", "."))
        if value in self._missing_numbers:
            return math.nan
        if abs(value) > FLOAT32_MAX:
            raise ValueError(
                f"target too large: column {self.names[place]!r} holds {text[:40]!r}; float32 ends at "
                f"{FLOAT32_MAX:.2g}: give the column another unit, or name it by --missing-label"
            )
        self._note_kind(place, text, _COMMAS if comma else _NUMBERS)
        if not comma and len(self._known) < _KNOWN:
            self._known[text] = value
        return value

    def _class(self, place: int, word: str, value: float) -> float:
        self.classes.setdefault(self.names[place], {})[word] = value
        return value

    def _note_kind(self, place: int, text: str, kind: str) -> None:
        """Refuse a cell that is of another kind than those before it in its column."""
        before = self._kinds[place]
        if before == kind:
            return
        if before:
            number, numbers = kind in (_NUMBERS, _COMMAS), before in (_NUMBERS, _COMMAS)
            why = "a word of another pair than the rows before"
            if number or numbers:
                why = "a number among words for classes" if number else "a word among numbers"
            raise self._refused(place, text, f"{why}; name the words by --positive and --negative")
        self._kinds[place] = kind

    def _refused(self, place: int, text: str, why: str) -> ValueError:
        return ValueError(f"target is no number: column {self.names[place]!r} holds {text[:40]!r}, {why}")


def _numbered(classes: Iterable[str]) -> Iterator[tuple[float, int]]:
    """By number, the places of classes that are numbers: 1.0 in a file is the class 1."""
    for code, word in enumerate(classes):
        if _NUMBER.fullmatch(word.strip()):
            yield float(word), code


def missing_numbers(words: Iterable[str]) -> list[float]:
    """Those of ``words`` that are numbers."""
    return [float(word) for word in words if _NUMBER.fullmatch(word.strip())]


def _why_not(text: str) -> str:
    """What is wrong with a cell that is neither number nor known word, and the remedy."""
    if text.lower().lstrip("+-") in ("inf", "infinity"):
        return "infinity; correct it or leave it empty"
    if '"' in text:
        return "a double quote; close or remove it"
    if _THOUSANDS.fullmatch(text) or _COMMA.fullmatch(text):
        return "a comma; write 1000 and 1.5, without thousands separators and with a decimal point"
    if _BROKEN.fullmatch(text.replace("_", " ")):
        return "signs or blanks between digits; write plain digits with a decimal point"
    if _QUALIFIED.match(text):
        return (
            "a qualifier; give the number alone or leave the cell empty (--missing-label for all such words)"
        )
    if not text.isascii() and _is_number_in_disguise(text):
        return "digits or signs beyond ASCII; write 0-9 and -"
    if _UNIT.fullmatch(text):
        return "a unit or remark behind the number; give the number alone"
    shown = text[:40]
    return (
        f"a word; classes are 0 and 1: give --positive and --negative WORD, or --missing-label {shown!r} "
        "where it means missing"
    )


def _is_number_in_disguise(text: str) -> bool:
    plain = text.translate({0x2212: "-", 0x2013: "-", 0xFF0D: "-", 0xFF0E: ".", 0x066B: "."})
    try:
        float(plain)
    except ValueError:
        return False
    return True


def has_decimal_commas(cells: Iterable[str]) -> bool:
    """Whether numbers among ``cells`` are written as 1,5: some can be nothing else, and none has a point."""
    sure = False
    for cell in cells:
        text = cell.strip()
        if _NUMBER.fullmatch(text):
            if "." in text:
                return False
        elif _COMMA.fullmatch(text):
            sure = sure or not _THOUSANDS.fullmatch(text)
    return sure

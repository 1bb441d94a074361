"""Lists of names in one text, such as ``--target-columns``, by the rule of CSV.

Names stand with commas between them. A name that has a comma itself, or begins with a double quote, is
written in double quotes, and a double quote in it twice::

    IC50,"IC50, nM"     two names: IC50 and IC50, nM
    "5"" pipe, m"       one name: 5" pipe, m
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from difflib import get_close_matches


def parse_names(text: str) -> tuple[str, ...]:
    """The names in ``text``, without the blanks around them; empty ones are left out.

    A text with a quote that is not closed, or with something behind a closing one, is cut at every comma.
    """
    try:
        (names,) = csv.reader([text], skipinitialspace=True, strict=True)
    except (csv.Error, ValueError):
        names = text.split(",")
    return tuple(name.strip() for name in names if name.strip())


def write_name(name: str) -> str:
    """``name`` as :func:`parse_names` reads it."""
    if "," in name or name.startswith('"') or name != name.strip() or not name.isprintable():
        return '"' + name.replace('"', '""') + '"'
    return name


def write_names(names: Iterable[str], between: str = ",") -> str:
    """``names`` as :func:`parse_names` reads them."""
    return between.join(map(write_name, names))


def closest_name(wanted: str, names: Iterable[str]) -> str | None:
    """The one of ``names`` that ``wanted`` is most probably meant to be, whatever its case."""
    by_case = {name.lower(): name for name in names}
    close = get_close_matches(wanted.lower(), by_case, n=1)
    return by_case[close[0]] if close else None


def write_targets(names: Sequence[str]) -> str:
    """What ``--target-columns`` takes for ``names``; ("all",) stands for all columns."""
    return "all" if tuple(names) == ("all",) else write_names(names)

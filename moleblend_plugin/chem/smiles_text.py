"""What SMILES look like as text, before chemistry: in headers, in lists, and beside other words in a cell."""

from __future__ import annotations

import re
from typing import Final

_SMILES: Final = re.compile(
    r"(?:\[[^\[\]\s]+\]|->|<-|Br|Cl|[BCNOPSFIbcnops*.\-=#$:/\\~()]|[0-9]|%[0-9]{2}|%\([0-9]+\))+"
)

_ODD: Final = re.compile(r"[\s;,>\x00]")
"""Letters that no SMILES has outside an extension."""

_BETWEEN: Final = frozenset(["/", "+", "&", "|", ";", ",", "and", "or", "und", "with", "->"])
"""Words that people write between two SMILES."""


def looks_like_smiles(text: str) -> bool:
    """Whether ``text`` is made of the words of SMILES and has an atom. Some names are: "no", "CON"."""
    return bool(_SMILES.fullmatch(text)) and any(letter in text for letter in "BCNOPSFIbcnops*[")


def what_follows(text: str) -> tuple[str, str]:
    """The SMILES at the start of ``text`` and the words behind it; a CXSMILES extension belongs to the first.

    ``CCO |...| ethanol`` gives ``CCO |...|`` and ``ethanol``.
    """
    smiles, rest = (*text.split(None, 1), "", "")[:2]
    rest = rest.strip()
    if rest.startswith("|"):
        end = rest.find("|", 1)
        if end > 0:
            return f"{smiles} {rest[: end + 1]}", rest[end + 1 :].strip()
    return smiles, rest


def problem_with(text: str) -> str:
    """Why a cell is not one SMILES, though a toolkit may read its start; "" where it is.

    A name behind the SMILES is no problem, as in a list of SMILES.
    """
    if not _ODD.search(text):
        return ""
    if "\n" in text or "\r" in text:
        return "line break in a SMILES"
    if "\0" in text:
        return "zero byte in a SMILES"
    smiles, rest = what_follows(text)
    parts = re.split("[;,]", smiles.split()[0])
    words = rest.split()
    if words[0:1] and words[0].lower() in _BETWEEN:
        words = words[1:]
    if words and looks_like_smiles(words[0]) or len(parts) > 1 and all(map(looks_like_smiles, parts)):
        return f"more than one SMILES: {text[:60]!r}"
    if ">" in smiles.split()[0].replace("->", ""):  # a dative bond is no arrow of a reaction
        return f"a reaction, not a molecule: {text[:60]!r}"
    return ""

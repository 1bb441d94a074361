"""All formats of files of molecules, and which one a file is of: by what it holds, then by its name."""

from __future__ import annotations

import gzip
import zlib
from itertools import islice
from pathlib import Path
from typing import Final

from moleblend_plugin.chem.readers.npz import NPZ
from moleblend_plugin.chem.readers.sdf import SDF
from moleblend_plugin.chem.readers.smi import LIST
from moleblend_plugin.chem.readers.source import Fit, Format, Head
from moleblend_plugin.chem.readers.tables import PARQUET, TABLE
from moleblend_plugin.chem.readers.text_files import open_lines
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inputs.lmdb_files import STORE, UNIMOL

FORMATS: Final = (UNIMOL, STORE, NPZ, PARQUET, SDF, TABLE, LIST)
"""Of a file without a name that tells, the first that it resembles most is taken."""

_START: Final = 64
"""First bytes that tell formats that are no text."""
_LINES: Final = 100
"""First lines that tell the others."""


def has_known_ending(path: Path) -> bool:
    """Whether a file's name has the ending of a format."""
    return any(_is_named(path.name, format) for format in FORMATS)


def find_format(path: Path, name: str, shown: str, smiles: str = "") -> tuple[Format, str]:
    """The format of a file, and a note where its name says another ("" where it does not).

    What is certain by content wins over the name; the name decides between what is possible.

    Args:
        path: the file.
        name: its name; "" for standard input.
        shown: what errors call it.
        smiles: name of the column of SMILES, where one is asked for.

    Raises:
        MoleblendError: it cannot be read, is of a format that is not read, or neither tells the format.
    """
    head = _read_head(path, shown, smiles)
    scores = {format: format.resembles(head) for format in FORMATS}
    best = max(FORMATS, key=scores.__getitem__)
    named = max((f for f in FORMATS if _is_named(name, f)), key=scores.__getitem__, default=None)
    if named is not None and (scores[best] < Fit.CERTAIN or scores[named] == Fit.CERTAIN):
        return named, ""
    if not scores[best]:
        first = next((line.strip() for line in head.lines if line.strip()), "")
        seen = f"begins with {first[:40]!r}" if first else "is empty or no text"
        nameless = ", and its name has no ending that names its format" if name else ""
        raise MoleblendError(
            f"{shown} {seen}{nameless}: give SMILES, a table with a header, an SDF, or a name that ends in "
            ".smi, .csv, .tsv, .sdf (each also .gz), .parquet, .npz or .lmdb"
        )
    return best, "" if named is None else f"is read as {best.title}, although its name says {named.title}"


def _is_named(name: str, format: Format) -> bool:
    return name.lower().removesuffix(".gz").endswith(format.endings)


def _read_head(path: Path, shown: str, smiles: str) -> Head:
    lines: list[str] = []
    try:
        with path.open("rb") as raw:
            head = Head(raw.read(_START), lines, path, smiles)
            raw.seek(0)
            if not any(format.resembles(head) for format in FORMATS):
                with open_lines(raw, shown, lambda note: None) as text:
                    lines.extend(islice(text, _LINES))
    except (gzip.BadGzipFile, EOFError, zlib.error):
        pass  # the lines before the damage tell the format, its reader tells of the damage
    except OSError as error:
        raise MoleblendError(f"{shown} cannot be read ({error.strerror or error})") from error
    return head

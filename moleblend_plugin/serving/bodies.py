"""Bodies of requests as rows of molecules: a list in JSON, or a text file as ``inputs`` reads them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath, PureWindowsPath
from tempfile import TemporaryDirectory
from typing import Any, Final

from moleblend_plugin.chem.convert import ConversionConfig, convert_molecule
from moleblend_plugin.chem.identity.featurizers import featurized
from moleblend_plugin.chem.readers.extra_columns import ExtraCells
from moleblend_plugin.chem.readers.raw_row import RawRow
from moleblend_plugin.chem.readers.source import Columns, Rows, Source
from moleblend_plugin.chem.readers.text_files import GZIP, LMDB_MAGIC
from moleblend_plugin.entry import one_line
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inputs.formats import find_format
from moleblend_plugin.schema import Rejection
from moleblend_plugin.serving.limits import Limits

_BINARY: Final = (GZIP, b"PK\x03\x04", b"\x89HDF", b"PAR1", b"%PDF")
_LONGEST_NAME: Final = 100
_SHOWN: Final = 500
"""Letters of a row's text that a rejection repeats."""


class TooLarge(MoleblendError):
    """A request beyond the server's limits (HTTP 413)."""


@dataclass(frozen=True)
class Body:
    """What a client sent.

    Attributes:
        content: the bytes.
        is_json: whether it is a list in JSON; else a text file.
        name: what row ids call the file; its ending helps to tell its format.
        smiles_column: column of SMILES in a table; "" looks for a usual name.
    """

    content: bytes
    is_json: bool = False
    name: str = ""
    smiles_column: str = ""


@dataclass(frozen=True)
class BodyRows:
    """Rows of a body.

    Attributes:
        header: names of the columns that rows bring.
        rows: every row, converted as it is taken.
        notes: how the body was read; whole when all rows were taken.
    """

    header: Sequence[str]
    rows: Iterable[InputRow]
    notes: Sequence[str] = ()


@dataclass(frozen=True)
class Reads:
    """What a model reads of the rows of a body.

    Attributes:
        conversion: how rows become molecules.
        max_atoms: molecules with more heavy atoms are rows with a reason.
        featurizers: what molecules get besides: "descriptors", "ecfp".
        extra_descriptors: columns, or members of the objects of a list, that stand beside the molecule.
    """

    conversion: ConversionConfig
    max_atoms: int
    featurizers: tuple[str, ...] = ()
    extra_descriptors: tuple[str, ...] = ()


@contextmanager
def open_body(body: Body, reads: Reads, limits: Limits) -> Iterator[BodyRows]:
    """The rows of a body, inside of the block.

    Args:
        body: what a client sent.
        reads: what the model reads of it.
        limits: of a request.

    Raises:
        TooLarge: it has too many rows.
        MoleblendError: it cannot be read.
    """
    if body.is_json:
        yield _listed(_read_list(body.content, limits), reads, limits)
        return
    with TemporaryDirectory(prefix="moleblend-") as folder:
        source = _source(body, Path(folder, "body"), limits)
        rows = Input(source, reads.conversion, 1, reads.max_atoms, reads.featurizers, reads.extra_descriptors)
        if (rows.total or 0) > limits.max_rows:
            raise _too_many(rows.total or 0, limits)
        yield BodyRows(rows.header, rows, rows.notes)


def plain_name(given: str) -> str:
    """The name of a file as row ids may hold it: without folders, control characters and excess length."""
    name = one_line(PurePosixPath(PureWindowsPath(given).name).name)
    return name if len(name) <= _LONGEST_NAME else name[-_LONGEST_NAME:]


def _too_many(count: int, limits: Limits) -> TooLarge:
    return TooLarge(
        f"{count:,} rows are more than the {limits.max_rows:,} of one request: send them in parts, or use "
        "moleblend predict, which has no limit"
    )


def _read_list(content: bytes, limits: Limits) -> list[Any]:
    try:
        found = json.loads(content)
    except (ValueError, RecursionError) as error:  # UnicodeDecodeError is a ValueError
        raise MoleblendError(
            f'the body is no JSON ({error}): send a list of SMILES, as in ["CCO"]'
        ) from error
    if not isinstance(found, list) or not found:
        what = "an empty list" if found == [] else f"JSON, but no list ({type(found).__name__})"
        raise MoleblendError(f'the body is {what}: send a list of SMILES, as in ["CCO"]')
    if len(found) > limits.max_rows:
        raise _too_many(len(found), limits)
    return found


def _listed(items: list[Any], reads: Reads, limits: Limits) -> BodyRows:
    names = reads.extra_descriptors
    cells_of = ExtraCells(names)

    def rows() -> Iterator[InputRow]:
        for number, item in enumerate(items):
            molecule = item.get("smiles") if names and isinstance(item, dict) else item
            beside = tuple(_cell(item, name) for name in names)
            text = _text(molecule)
            row_id = f"molecules:{number}"
            too_long = _too_long(text, limits)
            found = None if too_long else convert_molecule(molecule, number, reads.conversion)
            cells, reason, record = (text, *beside), "", None
            if found is None:
                cells, reason = (text[:_SHOWN], *beside), too_long
            elif isinstance(found, Rejection):
                reason = found.reason
            elif found.n_atoms > reads.max_atoms:
                reason = f"more than {reads.max_atoms} heavy atoms: {found.n_atoms}"
            else:
                record = featurized(found, reads.featurizers) if reads.featurizers else found
            if record is not None and names:
                reason = _lacking(item, names)
                try:
                    record = replace(record, extra_descriptors=cells_of.read(beside))
                except ValueError as error:
                    reason = reason or str(error)
            yield InputRow(row_id, cells, None if reason else record, reason)

    return BodyRows(("smiles", *names), rows())


def _cell(item: object, name: str) -> str:
    """A number or text of an object in a list as the cell of a table; "" where there is none."""
    value = item.get(name) if isinstance(item, dict) else None
    return "" if value is None else _text(value)[:_SHOWN]


def _lacking(item: object, names: tuple[str, ...]) -> str:
    """Why an item of a list does not say what the model reads beside the molecule, "" where it does."""
    lacking = [name for name in names if not (isinstance(item, dict) and name in item)]
    if not lacking:
        return ""
    example = json.dumps({"smiles": "CCO"} | dict.fromkeys(names, 1), ensure_ascii=False)
    return f"no {lacking[0]!r}, which the model reads beside the molecule: send objects such as {example}"


def _text(item: object) -> str:
    """An item of a list as a cell; halves of characters, which no encoding has, become question marks."""
    text = item if isinstance(item, str) else json.dumps(item)
    return text.encode("utf-8", "replace").decode("utf-8")


def _source(body: Body, path: Path, limits: Limits) -> Source:
    name = plain_name(body.name) or "body"
    content = body.content
    if not content.strip():
        raise MoleblendError("the body is empty: send SMILES, a table with a column of SMILES, or an SDF")
    if content.startswith(_BINARY) or content[16:20] in LMDB_MAGIC:
        raise MoleblendError(f"{name} is no text: send SMILES, CSV, TSV or SDF, not compressed")
    path.write_bytes(content)
    format, note = find_format(path, name, name, body.smiles_column)
    if format.holds_records or not (format.has_columns or format.held_labels is None):
        raise MoleblendError(f"{name} is {format.title}: send SMILES, CSV, TSV or SDF")
    source = Source(path, Columns(body.smiles_column), format, name, name, note)
    return source.changed(lambda rows: _short_rows(rows, limits))


def _short_rows(rows: Rows, limits: Limits) -> Rows:
    """The rows; one whose SMILES is too long becomes a rejection, before RDKit sees it."""
    for row in rows:
        too_long = _too_long(row.text, limits) if isinstance(row, RawRow) and row.kind == "smiles" else ""
        yield Rejection(row.source, row.row, row.text[:_SHOWN], too_long) if too_long else row


def _too_long(text: str, limits: Limits) -> str:
    if len(text) <= limits.max_text:
        return ""
    return f"SMILES longer than {limits.max_text:,} characters: {len(text):,}"

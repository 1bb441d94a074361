"""Rows of an input, explained, into files: a page to look at, numbers per atom as a table or as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any, Final, NamedTuple

import numpy as np

from moleblend_plugin.chem.elements import symbols_of
from moleblend_plugin.errors import MoleblendError
from moleblend_plugin.explain.explainer import WINDOW, Explainer, Explanation, Method
from moleblend_plugin.explain.page import Page
from moleblend_plugin.files import replacing
from moleblend_plugin.inference.input_rows import Input, InputRow
from moleblend_plugin.inference.outputs import NOT_FINITE, Counts, input_columns
from moleblend_plugin.inference.table_writer import check_table, free_name, open_table
from moleblend_plugin.inference.windows import OnRows
from moleblend_plugin.version import __version__

TABLES: Final = (".csv", ".tsv", ".parquet")
ENDINGS: Final = (".html", *TABLES, ".json")

Write = Callable[[InputRow, Explanation | None, str], None]
"""Takes a row, its explanation and, where there is none, why."""


class Outputs(NamedTuple):
    """Files to write.

    Attributes:
        page: HTML.
        table: .csv, .tsv or .parquet.
        json: .json.
    """

    page: Path | None = None
    table: Path | None = None
    json: Path | None = None

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Outputs:
        """By their endings.

        Raises:
            MoleblendError: none, another ending, no such folder, or two of a kind.
        """
        found: dict[str, Path] = {}
        for path in paths:
            check_table(path, ENDINGS)
            kind = {".html": "page", ".json": "json"}.get(path.suffix, "table")
            if kind in found:
                raise MoleblendError(f"--out {path}: {found[kind]} is of the same kind; give one of them")
            found[kind] = path
        if not found:
            raise MoleblendError(f"--out is missing: name a file that ends in {', '.join(ENDINGS)}")
        return cls(**found)


def explain_to_files(
    explainer: Explainer,
    rows: Input,
    outputs: Outputs,
    progress: OnRows,
    model: str = "",
    most_drawn: int = 100,
) -> Counts:
    """Explain every row and write what is asked for; files appear when all rows are done.

    Args:
        explainer: explains molecules.
        rows: the input.
        outputs: the files.
        progress: told how many rows are finished.
        model: its name, for readers.
        most_drawn: molecules that the page draws; further ones are in the numbers only.

    Raises:
        MoleblendError: a file cannot be written.
    """
    counts = Counts()
    with ExitStack() as files:
        writers: list[Write] = []
        if outputs.table is not None:
            writers.append(files.enter_context(_table(outputs.table, explainer, rows.header)))
        if outputs.json is not None:
            writers.append(files.enter_context(_json(outputs.json, explainer, rows.header, model)))
        if outputs.page is not None:
            page = Page(explainer, rows.header, model, most_drawn)
            writers.append(files.enter_context(_page(outputs.page, page)))
        for row, found in _explained(explainer, rows, progress):
            reason = row.reason if found is None else _not_finite(found, explainer.targets)
            counts.add(row, reason if found is not None else "")
            for write in writers:
                write(row, None if reason else found, reason)
    return counts


def _explained(
    explainer: Explainer, rows: Iterable[InputRow], progress: OnRows
) -> Iterator[tuple[InputRow, Explanation | None]]:
    source, finished = iter(rows), 0
    while part := list(islice(source, WINDOW)):
        found = explainer.explain_records(row.record for row in part if row.record is not None)
        for row in part:
            yield row, None if row.record is None else next(found)
            finished += 1
            progress(finished)


def _not_finite(found: Explanation, targets: Sequence[str]) -> str:
    """Why an explanation is none, "" where it is one."""
    numbers = [found.predicted, found.explained]
    numbers += [attribution.contributions.sum(0) for attribution in found.attributions.values()]
    columns = np.array(numbers).T.tolist()
    lost = [name for name, column in zip(targets, columns, strict=True) if not np.isfinite(column).all()]
    return f"{NOT_FINITE}: {', '.join(lost)}" if lost else ""


def column_of(method: Method) -> str:
    """What columns of a method's numbers begin with."""
    return method.replace("-", "_")


@contextmanager
def _table(path: Path, explainer: Explainer, header: Sequence[str]) -> Iterator[Write]:
    """A row per atom: the input's columns, ``atom``, ``symbol``, ``predicted_NAME``, ``METHOD_NAME``,
    ``reason``; one row for what is no molecule. Of several classes ``class_NAME`` is the one explained, and
    ``predicted_NAME`` its probability."""
    columns = input_columns(header)
    given = len(columns)
    for name in ("atom", "symbol"):
        columns[free_name(name, columns)] = "text"
    several = bool(explainer.predictor.class_names)
    for name in explainer.targets if several else ():
        columns[free_name(f"class_{name}", columns)] = "text"
    names = [f"predicted_{name}" for name in explainer.targets]
    names += [f"{column_of(method)}_{name}" for method in explainer.methods for name in explainer.targets]
    for name in names:
        columns[free_name(name, columns)] = "number"
    columns[free_name("reason", columns)] = "text"
    blank = [None] * (len(columns) - given - 1)
    with open_table(path, columns) as table:

        def write(row: InputRow, found: Explanation | None, reason: str) -> None:
            begin = [row.row_id, *row.cells]
            if found is None:
                table.write([*begin, *blank, reason])
                return
            parts = np.hstack([found.attributions[method].contributions for method in explainer.methods])
            for atom, symbol in enumerate(symbols_of(found.record)):
                numbers = [*found.predicted.tolist(), *parts[atom].tolist()]
                table.write([*begin, str(atom), symbol, *found.class_names, *numbers, ""])

        yield write


@contextmanager
def _page(path: Path, page: Page) -> Iterator[Write]:
    with replacing(path) as temporary:
        yield page.add
        temporary.write_text(page.html(), encoding="utf-8")


@contextmanager
def _json(path: Path, explainer: Explainer, header: Sequence[str], model: str) -> Iterator[Write]:
    """One object; its list of molecules is written as they come."""
    head = {
        "version": __version__,
        "model": model,
        "kind": explainer.kind,
        "unit": explainer.unit,
        "methods": list(explainer.methods),
        "targets": list(explainer.targets),
        "notes": list(explainer.notes),
    }
    names = list(input_columns(header))[1:]
    with replacing(path) as temporary, temporary.open("w", encoding="utf-8") as stream:
        stream.write(json.dumps(head, indent=1)[:-2] + ',\n "molecules": [')
        separators = iter(["\n"])

        def write(row: InputRow, found: Explanation | None, reason: str) -> None:
            about: dict[str, Any] = {
                "row_id": row.row_id,
                "columns": dict(zip(names, row.cells, strict=True)),
            }
            about |= {"reason": reason} if found is None else as_plain(found, explainer.targets)
            stream.write(next(separators, ",\n") + json.dumps(about))

        yield write
        stream.write("\n]}\n")


def as_plain(found: Explanation, targets: Sequence[str]) -> dict[str, Any]:
    """An explanation as plain values: numbers by target, of atoms in the order of the input.

    Args:
        found: the explanation.
        targets: names of its T targets.
    """
    by_target = partial(_by_target, targets)
    methods: dict[str, Any] = {}
    for method, attribution in found.attributions.items():
        methods[method] = {"contributions": by_target(attribution.contributions.T)}
        share = found.missing(method)
        if attribution.baseline is not None and share is not None:
            methods[method] |= {
                "baseline": by_target(attribution.baseline),
                "steps": attribution.steps,
                "missing": by_target(share),
            }
    classes = {"class": dict(zip(targets, found.class_names, strict=True))} if found.class_names else {}
    return {
        **classes,
        "predicted": by_target(found.predicted),
        "explained": by_target(found.explained),
        "symbols": symbols_of(found.record),
        "methods": methods,
    }


def _by_target(targets: Sequence[str], values: Any) -> dict[str, Any]:  # noqa: ANN401  an array [T, ...]
    return dict(zip(targets, values.tolist(), strict=True))

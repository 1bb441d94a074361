"""``moleblend splits``: what the parts of a built folder share, and which labels they hold."""

from __future__ import annotations

import hashlib
import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Final

import typer

from moleblend_plugin.cli._console import print_notes, print_tables
from moleblend_plugin.cli._options import SmilesColumn, Workers, usable_cores
from moleblend_plugin.cli._progress import RowProgress
from moleblend_plugin.errors import MoleblendError

if TYPE_CHECKING:
    from rich.table import Table

    from moleblend_plugin.chem.readers.source import Source
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.schema import MoleculeRecord
    from moleblend_plugin.splits.report import PartIdentities

_SHOWN_TASKS: Final = 20
"""Tasks of which every one gets a line; of more, those with one class."""


def splits(
    folder: Annotated[
        Path,
        typer.Argument(
            help="A folder that moleblend build made, or one of files of any format that are parts by their "
            "names (train.csv, valid.sdf ...)."
        ),
    ],
    out: Annotated[Path | None, typer.Option("--out", "-o", help="Write the whole report as JSON.")] = None,
    smiles_column: SmilesColumn = "",
    target_columns: Annotated[
        list[str] | None,
        typer.Option(help="Columns of labels in the files, as in build [default: those that a store holds]."),
    ] = None,
    workers: Workers = None,
) -> None:
    """Report what train, valid and test share (scaffolds, molecules, conflicting labels) and their labels.

    Duplicates in the tables leave stereochemistry and isotopes aside; the lines below tell the same molecule,
    isotopes, stereoisomers, salt or charge forms and tautomers apart.
    """
    from moleblend_plugin.chem.readers.source import Columns
    from moleblend_plugin.files import replacing
    from moleblend_plugin.inputs.folders import expand_folders, parts_in
    from moleblend_plugin.inputs.opener import open_inputs
    from moleblend_plugin.splits.report import split_report

    if folder.is_file():
        raise MoleblendError(f"{folder} is a file; name the folder that holds its parts")
    if not folder.is_dir():
        raise MoleblendError(
            f"{folder} holds no train.lmdb, valid.lmdb or test.lmdb; "
            "name a built folder, or one with train.csv, valid.csv ..."
        )
    opened = open_inputs(expand_folders([folder]), Columns(smiles_column), target_columns or [])
    held = {labels(source.path) for source in opened.sources if (labels := source.format.held_labels)}
    if len(held) > 1 and not target_columns:
        raise MoleblendError(f"{folder}: the stores have different targets; build them together")
    tasks = opened.columns.targets
    parts = _read(dict(zip(parts_in(folder), opened.sources, strict=True)), workers or usable_cores())
    listed = split_facts(folder, {name: part.row_ids for name, part in parts.items()})
    report = {"split": listed} | split_report(parts, tasks)
    if out is not None:
        with replacing(out) as temporary:
            temporary.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    tables = _parts_table(report), _pairs_table(report), _tasks_table(report, tasks)
    print_tables(*(table for table in tables if table.row_count))
    for line in _remarks(report, tasks):
        print(line)
    if out is not None:
        print(f"report: {out}")


def _read(sources: Mapping[str, Source], workers: int) -> dict[str, PartIdentities]:
    """The molecules of every part; rows that are none are counted on stderr."""
    from moleblend_plugin.chem.convert import MOST_ATOMS, ConversionConfig
    from moleblend_plugin.inference.input_rows import Input
    from moleblend_plugin.splits.report import read_identities

    parts = {}
    for name, source in sources.items():
        rows = Input(source, ConversionConfig(None, source_coords=False), workers, MOST_ATOMS)
        bad: Counter[str] = Counter()
        with RowProgress(f"reading {name}", rows.fraction_done, rows.total) as progress:
            parts[name] = read_identities(_molecules(rows, bad, progress))
        for reason, count in bad.most_common():
            print(f"warning: {name}: left out {count:,} rows: {reason}", file=sys.stderr)
        print_notes(rows.notes)
    return parts


def _molecules(rows: Input, bad: Counter[str], progress: RowProgress) -> Iterator[MoleculeRecord]:
    """The molecules among ``rows``; the others are counted in ``bad`` by kind of reason."""
    for number, row in enumerate(rows):
        progress.update(number)
        if row.record is None:
            bad[row.reason.partition(":")[0]] += 1
        else:
            yield row.record


def split_facts(folder: Path, row_ids: dict[str, Iterable[str]]) -> dict[str, Any]:
    """Method and hash of the folder's ``split.json``, and whether the stores hold just those rows.

    Raises:
        MoleblendError: the file is damaged.
    """
    from moleblend_plugin.schema import PARTS

    lines = ""
    for part in PARTS:
        digest = hashlib.sha256()
        for row_id in row_ids.get(part, ()):
            digest.update(f"{row_id}\n".encode())
        lines += f"{part} {digest.hexdigest()}\n"
    found = hashlib.sha256(lines.encode()).hexdigest()
    listed = read_split_list(folder)
    if listed is None:
        return {"sha256": found, "method": None, "matches": None}
    return {
        "sha256": found,
        "method": listed["method"],
        "settings": listed["settings"],
        "matches": listed["sha256"] == found,
    }


def read_split_list(folder: Path) -> dict[str, Any] | None:
    """``split.json`` of a built folder, or ``None``.

    Raises:
        MoleblendError: it is damaged.
    """
    file = folder / "split.json"
    if not file.exists():
        return None
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        return {name: content[name] for name in ("method", "settings", "sha256", "parts", "excluded")}
    except (ValueError, KeyError, TypeError) as error:
        raise MoleblendError(f"{file} is damaged ({error}); build the folder again") from error


def _parts_table(report: dict[str, Any]) -> Table:
    rows = []
    for name, part in report["parts"].items():
        scaffolds, same = part["scaffolds"], part["duplicates"]
        rows.append(
            (
                name,
                part["molecules"],
                part["without_rings"],
                scaffolds["chiral"],
                scaffolds["achiral"],
                f"{same['molecules'][name]:,} in {same['groups']:,}",
                part["conflicts"]["groups"],
            )
        )
    header = "part", "molecules", "without rings", "scaffolds", "achiral", "duplicates", "conflicting"
    return _table("Parts", header, rows)


def _pairs_table(report: dict[str, Any]) -> Table:
    rows = []
    for pair, facts in report["pairs"].items():
        last = pair.split("-")[1]
        shared = [
            f"{facts['scaffolds'][kind]['shared']:,} ({facts['scaffolds'][kind]['molecules'][last]:,})"
            for kind in ("chiral", "achiral")
        ]
        same = f"{facts['duplicates']['groups']:,} ({facts['duplicates']['molecules'][last]:,})"
        rows.append((pair, *shared, same, facts["conflicts"]["groups"]))
    header = "parts", "scaffolds", "achiral scaffolds", "same molecule", "conflicting"
    return _table("In both parts (molecules of the second part that are concerned)", header, rows)


def _tasks_table(report: dict[str, Any], tasks: tuple[str, ...]) -> Table:
    odd = {task for found in report["one_class"].values() for task in found}
    shown = [task for task in tasks if len(tasks) <= _SHOWN_TASKS or task in odd][: 2 * _SHOWN_TASKS]
    rows = []
    for task in shown:
        cells = [
            _label_words(part["tasks"][task], report["kinds"][task]) for part in report["parts"].values()
        ]
        rows.append((task, *cells))
    counted = "Positives/labels" if "classes" in report["kinds"].values() else "Labels"
    title = f"{counted} (missing): {len(shown)} of {len(tasks)} tasks"
    return _table(title, ("task", *report["parts"]), rows)


def _label_words(fact: dict[str, Any], kind: str) -> str:
    missing = f" ({fact['missing']:,})" if fact["missing"] else ""
    if kind == "classes":
        one = "  one class" if fact["one_class"] else ""
        return f"{fact['positives']:,}/{fact['labels']:,}{missing}{one}"
    if not fact["labels"]:
        return f"none{missing}"
    return f"{fact['labels']:,}, mean {fact['mean']:.4g}, sd {fact['sd']:.3g}{missing}"


def _remarks(report: dict[str, Any], tasks: tuple[str, ...]) -> list[str]:
    """What a reader must not overlook, one line each."""
    split = report["split"]
    lines = [f"split: {split['method'] or 'no split.json'}, sha256 {split['sha256'][:16]}"]
    if split["matches"] is False:
        lines.append("warning: the stores do not hold the rows that split.json lists; build the folder again")
    for part, found in report["one_class"].items():
        if found:
            names = ", ".join(found[:5]) + (f" and {len(found) - 5} more" if len(found) > 5 else "")
            lines.append(f"{part}: {len(found)} of {len(tasks)} tasks have one class or no label: {names}")
    for scope, facts in (report["parts"] | report["pairs"]).items():
        lines += [_alike(scope, kind, found) for kind, found in facts["likeness"].items() if found["groups"]]
    for pair, facts in report["pairs"].items():
        if facts["conflicts"]["groups"]:
            worst = max(facts["conflicts"]["tasks"].items(), key=lambda item: item[1]["largest_gap"])
            lines.append(
                f"{pair}: molecules in both with different labels: {facts['conflicts']['groups']:,} "
                f"(largest difference {worst[1]['largest_gap']:.3g}, {worst[0]})"
            )
    return lines


def _alike(scope: str, kind: str, found: dict[str, Any]) -> str:
    """One kind of likeness in a part or between two, in a line."""
    from moleblend_plugin.splits.likeness_report import LIKENESS_KINDS

    counts = " and ".join(f"{count:,} of {name}" for name, count in found["molecules"].items())
    groups = f"{found['groups']:,} group{'s' if found['groups'] > 1 else ''}"
    line = f"{scope}: {LIKENESS_KINDS[kind]}: {groups}, molecules {counts}"
    if found["conflicts"]["groups"]:
        task, worst = max(found["conflicts"]["tasks"].items(), key=lambda item: item[1]["largest_gap"])
        line += (
            f"; labels contradict in {found['conflicts']['groups']:,} "
            f"(largest difference {worst['largest_gap']:.3g}, {task})"
        )
    first = [row_id for row_ids in found["examples"][0]["row_ids"].values() for row_id in row_ids[:2]]
    return f"{line}; such as {', '.join(first)}"


def _table(title: str, header: tuple[str, ...], rows: list[tuple[Any, ...]]) -> Table:
    from rich.table import Table

    table = Table(*header, title=title, title_justify="left", box=None, pad_edge=False)
    for row in rows:
        table.add_row(*(f"{cell:,}" if isinstance(cell, int) else cell for cell in row))
    return table

"""Parts of the report about the data: what was read, what the parts share, how to run again."""

from __future__ import annotations

import shlex
from collections.abc import Mapping
from html import escape
from typing import Any

from moleblend_plugin.fitting.parts import Divided
from moleblend_plugin.fitting.table import FitTable, reasons
from moleblend_plugin.names import write_name
from moleblend_plugin.networks.resolve import MODEL_FILE
from moleblend_plugin.report.page import html_table
from moleblend_plugin.schema import PARTS
from moleblend_plugin.splits.likeness_report import LIKENESS_KINDS


def data_table(table: FitTable, divided: Divided, split_sha256: str) -> str:
    """What was read, and how it was parted."""
    columns = ", ".join(map(write_name, table.names[:10]))
    rows = [
        ["file", escape(table.options.data)],
        ["columns of labels", escape(columns)],
        *(
            [["read beside the molecule", escape(", ".join(map(write_name, table.read_beside)))]]
            if table.read_beside
            else []
        ),
        ["rows", f"{len(table.held.rows):,}"],
        *[[part, f"{len(divided.rows(part)):,} molecules"] for part in PARTS if len(divided.rows(part))],
        ["rejected", f"{len(table.rejected):,}"],
        *[[f"- {escape(reason)}", f"{count:,}"] for reason, count in reasons(table.rejected).most_common(5)],
        ["split", escape(divided.method)],
        ["sha256 of the split", split_sha256[:16]],
    ]
    return html_table("What was read", ("", ""), rows)


def leaks_table(leaks: Mapping[str, Any]) -> str:
    """What train and test share."""
    rows = []
    for pair, facts in leaks["pairs"].items():
        last = pair.split("-")[1]
        shared = facts["scaffolds"]["achiral"]
        rows.append([f"{pair}: scaffolds", f"{shared['shared']:,}", f"{shared['molecules'][last]:,}"])
        for kind, found in facts["likeness"].items():
            name = LIKENESS_KINDS[kind]
            rows.append([f"{pair}: {escape(name)}", f"{found['groups']:,}", f"{found['molecules'][last]:,}"])
    header = ("what two parts share", "groups", "molecules of the second part")
    return html_table("Leaks", header, rows) if rows else ""


def notes_list(table: FitTable, divided: Divided) -> str:
    """What was guessed, and what a reader must know of the file and the parts."""
    lines = [*table.notes, *divided.notes]
    return (
        f"<p>What was guessed or noticed:</p><ul>{''.join(f'<li>{escape(line)}</li>' for line in lines)}</ul>"
    )


def commands(table: FitTable) -> str:
    """How to run again, and what to do with the folder."""
    data = shlex.quote(table.options.data)
    lines = (
        f"moleblend fit --config run.toml --out again/      # the same table ({data}) and settings",
        "moleblend predict THIS_FOLDER new.csv -o predictions.csv",
        "moleblend score THIS_FOLDER labelled.csv",
    )
    text = f"{MODEL_FILE} is the one file that predicting needs. run.toml holds all settings."
    return f"{paragraph(text)}<div><pre>{escape(chr(10).join(lines))}</pre></div>"


def paragraph(text: str) -> str:
    """Plain text as a paragraph; nothing of none."""
    return f"<p>{escape(text)}</p>" if text else ""

"""``report.html``: one page that needs nothing else, for light and dark screens."""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence, Sized
from html import escape
from typing import Final

from moleblend_plugin.bench.report.summary import Comparison, Plan
from moleblend_plugin.bench.report.table import Best, Table, Verdict
from moleblend_plugin.bench.spec.recipes import RISING
from moleblend_plugin.version import __version__

Picture = tuple[str, bytes, bytes]
"""What it shows, in words; the PNG for light and for dark screens."""

STYLE: Final = """
:root { color-scheme: light dark; --paper: #fff; --ink: #24292f; --soft: #57606a; --line: #d8dee4;
        --good: #1a7f37; --bad: #b42318; }
@media (prefers-color-scheme: dark) {
  :root { --paper: #0d1117; --ink: #e6edf3; --soft: #8d96a0; --line: #30363d;
          --good: #3fb950; --bad: #ff7b72; }
}
body { background: var(--paper); color: var(--ink); font: 16px/1.5 system-ui, sans-serif;
       max-width: 78rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; margin-bottom: .2rem; }
h2 { font-size: 1.1rem; margin: 2rem 0 .4rem; }
p { color: var(--soft); margin-top: 0; }
ul.told { font-size: 1.05rem; padding-left: 1.2rem; }
img { max-width: 100%; height: auto; border: 1px solid var(--line); border-radius: 8px; }
div { overflow-x: auto; }
table { border-collapse: collapse; margin: 1.2rem 0; font-variant-numeric: tabular-nums; width: 100%; }
caption { text-align: left; font-weight: 600; padding: .3rem 0; }
th, td { text-align: right; padding: .3rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
tbody th { font-weight: 400; }
.better { color: var(--good); font-weight: 600; }
.worse { color: var(--bad); font-weight: 600; }
small { color: var(--soft); }
"""


MOST_TOLD: Final = 10
"""Sentences that stand above the table."""


def html_page(
    plan: Plan,
    headlines: Sequence[str],
    tables: Sequence[Table],
    overview: Picture,
    pictures: Mapping[str, Picture],
    notes: Iterable[str],
) -> str:
    """The page.

    Args:
        plan: what is compared.
        headlines: what is to be known first, a sentence each.
        tables: the first stands above the pictures, the others below.
        overview: all sets.
        pictures: by set.
        notes: small print, a sentence each.
    """
    title = f"{_count(plan.models, 'model')} on {_count(plan.sets, 'set')}, {_count(plan.seeds, 'seed')}"
    told = _told([escape(line) for line in headlines])
    sets = "".join(
        f"<h2>{escape(name)} <small>{escape(plan.sets[name])}, split {escape(plan.splits[name])}</small>"
        f"</h2>\n{_picture(picture)}\n"
        for name, picture in pictures.items()
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{escape(title)}</title>
<style>{STYLE}</style>
</head>
<body>
<h1>{escape(title)}</h1>
<p>Everything is selected on the validation part; the test part is scored once.</p>
{told}
{_table(tables[0])}
{_picture(overview)}
{"".join(_table(table) for table in tables[1:2])}
{sets}{"".join(_table(table) for table in tables[2:])}
<p><small>{" ".join(escape(note) for note in notes)} Made by moleblend_plugin {__version__}.</small></p>
</body>
</html>
"""


def _told(lines: Sequence[str]) -> str:
    """The sentences as a list; of many models they would push the table off the screen, so it is folded."""
    listed = f'<ul class="told">{"".join(f"<li>{line}</li>" for line in lines)}</ul>'
    if len(lines) <= MOST_TOLD:
        return listed
    return f"<details><summary>{len(lines)} comparisons in words</summary>{listed}</details>"


def _count(things: Sized, word: str) -> str:
    return f"{len(things)} {word}{'s' if len(things) != 1 else ''}"


def headlines(plan: Plan, compared: Sequence[Comparison], best: Mapping[str, str]) -> list[str]:
    """For each of our models: on how many sets it stands above the others, and how often clearly.

    Args:
        plan: what is compared.
        compared: all differences.
        best: by set, the best model that is not ours, "" for none.
    """
    lines = []
    for model in [name for name, kind in plan.models.items() if kind == "ours"]:
        against = [one for one in compared if one.ours == model and one.other == best.get(one.set)]
        if against:
            lines.append(f"{model} {_counted(plan, against)} the best baseline of each set")
        for other in [name for name, kind in plan.models.items() if kind == "ours" and name != model]:
            pairs = [one for one in compared if (one.ours, one.other) == (model, other)]
            if pairs:
                lines.append(f"{model} {_counted(plan, pairs)} {other}")
    return lines


def _counted(plan: Plan, pairs: Sequence[Comparison]) -> str:
    above = sum((one.difference > 0) == (plan.sets[one.set] in RISING) for one in pairs)
    clear = sum(one.verdict == "better" for one in pairs)
    worse = sum(one.verdict == "worse" for one in pairs)
    of_all = _count(pairs, "set")
    return f"scores better on {above} of {of_all} ({clear} clearly, and clearly worse on {worse}) than"


def _picture(picture: Picture) -> str:
    text, light, dark = picture
    return (
        f'<picture><source media="(prefers-color-scheme: dark)" srcset="{_data_uri(dark)}">'
        f'<img src="{_data_uri(light)}" alt="{escape(text)}"></picture>'
    )


def _table(table: Table) -> str:
    caption, header, rows = table
    head = "".join(f'<th scope="col">{escape(cell)}</th>' for cell in header)
    body = "".join(
        f'<tr><th scope="row">{_cell(first)}</th>{"".join(f"<td>{_cell(cell)}</td>" for cell in rest)}</tr>'
        for first, *rest in rows
    )
    return (
        f"<div><table><caption>{escape(caption)}</caption><thead><tr>{head}</tr></thead>"
        f"<tbody>{body}</tbody></table></div>\n"
    )


def _cell(text: str) -> str:
    if isinstance(text, Verdict) and text in ("better", "worse"):
        return f'<span class="{text}">{text}</span>'
    if isinstance(text, Best):
        return f"<b>{escape(text.score)}</b>{escape(text.rest)}"
    return escape(text)


def _data_uri(png: bytes) -> str:
    return f"data:image/png;base64,{base64.b64encode(png).decode('ascii')}"
